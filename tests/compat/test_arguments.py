"""What stands beside a tensor takes its dtype, as in TensorFlow: NumPy arrays, NumPy numbers, lists and numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tfport import compat
from tfport.proving.reference import tensorflow

FUNCTIONS = ["maximum", "add", "math.squared_difference"]


def named(root, path):
    for part in path.split("."):
        root = getattr(root, part)
    return root


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("other", ["float64", "float32", "float16", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("own", ["float32", "float64", "int32", "int64"])
def test_an_array_takes_the_dtype_of_the_tensor(function, own, other):
    tf = tensorflow()
    array = np.array([1.7, 0.0]).astype(other)
    want = named(tf, function)(tf.constant([3, -2], own), array)
    have = named(compat, function)(torch.tensor([3, -2], dtype=getattr(torch, own)), array)
    assert str(have.dtype) == f"torch.{want.dtype.name}"
    np.testing.assert_array_equal(have.numpy(), want.numpy())


@pytest.mark.parametrize("value", [np.float64(1.5), np.int64(2), [np.float64(1.5), 2.0], [1.5, 2], 1.5])
def test_numbers_and_lists_take_the_dtype_of_the_tensor(value):
    tf = tensorflow()
    want = tf.maximum(tf.constant([1.0, 3.0]), value)
    have = compat.maximum(torch.tensor([1.0, 3.0]), value)
    assert have.dtype == torch.float32 and have.tolist() == want.numpy().tolist()


ITEMS = [["tensor", "float64"], ["float64", "tensor"], ["float64", "list"]]


@pytest.mark.parametrize(
    ("join", "values"),
    [*(("stack", i) for i in ITEMS), *(("concat", i) for i in ITEMS), ("concat", ["int64", "float32"])],
)
def test_items_of_a_list_take_the_dtype_of_the_first_tensor_or_else_of_the_first_array(join, values):
    tf = tensorflow()

    def made(constant):
        kinds = {"tensor": constant([1.0, 2.0]), "list": [1.0, 2.0]}
        return [kinds[v] if v in kinds else np.array([1, 2], v) for v in values]

    want = getattr(tf, join)(made(tf.constant), 0)
    have = getattr(compat, join)(made(torch.tensor), 0)
    assert str(have.dtype) == f"torch.{want.dtype.name}" and have.tolist() == want.numpy().tolist()


def test_arrays_alone_keep_the_dtype_of_the_first():
    tf = tensorflow()
    for first, second in (
        ([1.5, 2.0], [1, 2]),
        (np.array([1, 2]), np.array([1.0, 2.5])),
        (np.array([1.5]), [1]),
    ):
        want = tf.maximum(np.array(first), second)
        have = compat.maximum(np.array(first), second)
        assert str(have.dtype) == f"torch.{want.dtype.name}" and have.tolist() == want.numpy().tolist()


def test_class_numbers_and_indices_keep_a_dtype_of_their_own():
    tf = tensorflow()
    logits, labels = np.array([[0.2, 1.5, -1.0], [2.0, 0.1, 0.3]], np.float32), np.array([1, 2])
    calls = {
        "nn.sparse_softmax_cross_entropy_with_logits": [labels, logits], "nn.embedding_lookup": [logits, np.array([1, 0])],
        "nn.in_top_k": [labels, logits, 1], "keras.losses.sparse_categorical_crossentropy": [labels, abs(logits)],
        "keras.losses.huber": [np.array([1, 2]), np.array([0.5, 1.25], np.float32)],
    }  # fmt: skip
    for name, given in calls.items():
        for place in range(2):  # a tensor in one place, an array in the other
            theirs, ours = (
                [make(x) if i == place else x for i, x in enumerate(given)]
                for make in (tf.constant, torch.tensor)
            )
            want, have = named(tf, name)(*theirs).numpy(), named(compat, name)(*ours).numpy()
            assert have.dtype == want.dtype, name
            np.testing.assert_allclose(have, want, rtol=1e-6, err_msg=name)


def test_text_has_no_tensor_form():
    with pytest.raises(TypeError, match="cannot become a tensor"):
        compat.reduce_sum("text")
