"""tf.TensorArray: the same steps give the same arrays, and the same refusals, as TensorFlow's eager one."""

from __future__ import annotations

import pytest
import torch

from tfport import compat
from tfport.proving.reference import tensorflow


def filled(tf, **options):
    array = tf.TensorArray(tf.float32, size=3, **options)
    for i in range(3):
        array = array.write(i, [float(i), 2.0 * i])
    return array


STEPS = {
    "stack": lambda tf: filled(tf).stack(),
    "concat": lambda tf: filled(tf).concat(),
    "gather": lambda tf: filled(tf).gather([2, 0]),
    "read": lambda tf: filled(tf).read(1),
    "size": lambda tf: filled(tf).size(),
    "names": lambda tf: tf.TensorArray(dtype="int32", size=1, element_shape=[]).write(0, 3).stack(),
    "unwritten": lambda tf: tf.TensorArray(tf.float32, size=3).write(1, [1.0]).stack(),
    "given shape": lambda tf: tf.TensorArray(tf.float32, size=2, element_shape=[2]).stack(),
    "dynamic": lambda tf: tf.TensorArray(tf.float32, size=0, dynamic_size=True).write(0, 1.0).write(1, 2.0).stack(),
    "unstack": lambda tf: tf.TensorArray(tf.float32, size=2).unstack([[1.0, 2.0], [3.0, 4.0]]).read(1),
    "scatter": lambda tf: tf.TensorArray(tf.float32, size=3).scatter([2, 0], [[1.0], [3.0]]).gather([0, 2]),
    "split": lambda tf: tf.TensorArray(tf.float32, size=2, infer_shape=False).split([1.0, 2.0, 3.0], [1, 2]).read(1),
    "identity": lambda tf: filled(tf).identity().stack(),
    "read twice, kept": lambda tf: (lambda a: a.read(0) + a.read(0))(filled(tf, clear_after_read=False)),
    "read twice": lambda tf: (lambda a: a.read(0) + a.read(0))(filled(tf)),
    "read before a write": lambda tf: tf.TensorArray(tf.float32, size=2).read(0),
    "beyond": lambda tf: filled(tf).write(3, [1.0, 2.0]),
    "negative": lambda tf: filled(tf).read(-1),
    "another shape": lambda tf: filled(tf).write(0, [1.0, 2.0, 3.0]),
    "another dtype": lambda tf: filled(tf).write(0, tf.constant([1, 2], tf.int32)),
    "too many": lambda tf: tf.TensorArray(tf.float32, size=1).unstack([[1.0], [2.0]]),
}  # fmt: skip


def outcome(step, root):
    try:
        found = step(root)
    except Exception:  # that it refuses is what is compared
        return "refused"
    return str(found.dtype).replace("torch.", "").replace("<dtype: '", "").replace(
        "'>", ""
    ), found.numpy().tolist()


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_the_same_steps_give_what_tensorflow_gives(step):
    assert outcome(step, compat) == outcome(step, tensorflow())


def test_gradients_flow_through_the_elements():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    array = compat.TensorArray(torch.float32, size=2).write(0, x).write(1, x * x)
    array.stack().sum().backward()
    assert x.grad.tolist() == [3.0, 5.0]
