"""Tests moving averages of variables against TensorFlow: with and without the count of updates and the bias correction."""

import os

import numpy as np
import pytest
import torch
from torch import nn

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")

from tfport.rules import moving_averages as ours  # noqa: E402

VALUES = np.random.default_rng(0).standard_normal((12, 3)).astype("float32")


@pytest.mark.parametrize("counted", [False, True])
def test_averages_equal_tensorflow(counted):
    theirs, mine = tf.Variable(VALUES[0]), nn.Parameter(torch.tensor(VALUES[0]))
    their_step, step = tf.Variable(0), torch.zeros((), dtype=torch.int32)
    reference = tf.train.ExponentialMovingAverage(0.9, their_step if counted else None)
    candidate = ours.ExponentialMovingAverage(0.9, step if counted else None)
    assert candidate.average(mine) is None
    for value in VALUES:
        theirs.assign(value)
        with torch.no_grad():
            mine.copy_(torch.tensor(value))
        reference.apply([theirs])
        candidate.apply([mine])
        their_step.assign_add(1)
        step += 1
        np.testing.assert_allclose(
            candidate.average(mine).numpy(), reference.average(theirs).numpy(), rtol=1e-6
        )


@pytest.mark.parametrize("zero_debias", [False, True])
def test_assign_moving_average_equals_tensorflow(zero_debias):
    from tensorflow.python.training import moving_averages

    with tf.Graph().as_default():
        v = tf.compat.v1.get_variable("v", initializer=tf.zeros([3]), use_resource=True)
        x = tf.compat.v1.placeholder(tf.float32, [3])
        update = moving_averages.assign_moving_average(v, x, 0.9, zero_debias)
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            reference = []
            for value in VALUES:
                session.run(update, {x: value})
                reference.append(session.run(v))
    mine = nn.Parameter(torch.zeros(3))
    for value, expected in zip(VALUES, reference):
        assert ours.assign_moving_average(mine, torch.tensor(value), 0.9, zero_debias) is mine
        np.testing.assert_allclose(mine.detach().numpy(), expected, rtol=2e-6, atol=1e-7)


def test_what_is_refused():
    average = ours.ExponentialMovingAverage(0.9)
    with pytest.raises(ValueError, match="which variables"):
        average.apply()
    with pytest.raises(TypeError, match="floating"):
        average.apply([torch.arange(3)])
