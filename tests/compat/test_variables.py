"""Tests tf.Variable and its assignments against TensorFlow's."""

import os

import numpy as np
import pytest
import torch
from torch import nn

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")

import tfport.compat  # noqa: E402, F401  # fills itself from the rules: before one of them is imported alone
from tfport.rules import variables  # noqa: E402  # after importorskip


@pytest.mark.parametrize(
    "value", [1.5, 2, [1, 2], [[1.0], [2.0]], True, np.float64(3.0), np.arange(3), 1 + 2j]
)
def test_variables_have_tensorflows_dtype_and_value(value):
    theirs, mine = tf.Variable(value), variables.Variable(value)
    assert isinstance(mine, nn.Parameter)
    assert str(mine.dtype).removeprefix("torch.") == theirs.dtype.name and tuple(mine.shape) == tuple(
        theirs.shape
    )
    assert mine.tolist() == theirs.numpy().tolist()
    assert mine.requires_grad == (mine.is_floating_point() or mine.is_complex())


def test_variables_copy_and_take_functions_dtypes_and_shapes():
    source = torch.ones(2)
    v = variables.Variable(source, trainable=False)
    source += 1
    assert v.tolist() == [1.0, 1.0] and not v.requires_grad
    assert variables.Variable(lambda: torch.zeros(2)).shape == (2,)
    assert variables.Variable(1, dtype="float64").dtype == torch.float64
    assert not variables.Variable(1.0, False, collections=["local_variables"]).requires_grad
    with pytest.raises(ValueError, match="cast the value"):
        variables.Variable(torch.ones(1), dtype=torch.float64)
    with pytest.raises(ValueError, match="needs an initial value"):
        variables.Variable()
    with pytest.raises(ValueError, match="shape"):
        variables.Variable([1.0, 2.0], shape=(3,))
    with pytest.raises(ValueError):
        tf.Variable([1.0, 2.0], shape=(3,))


def test_assignment_changes_in_place_and_refuses_what_tensorflow_refuses():
    for make, assign in ((tf.Variable, lambda v, x: v.assign(x)), (variables.Variable, variables.assign)):
        v = make([1.0, 2.0])
        assign(v, [3.0, 4.0])
        assert np.asarray(v.detach() if isinstance(v, torch.Tensor) else v).tolist() == [3.0, 4.0]
        for wrong in (5.0, [1.0, 2.0, 3.0]):
            with pytest.raises(ValueError):
                assign(v, wrong)
    v = variables.Variable([1.0, 2.0])
    assert variables.assign_add(v, [1.0, 1.0]) is v and v.tolist() == [2.0, 3.0]
    assert variables.assign_sub(v, torch.ones(2)).tolist() == [1.0, 2.0]
    n = variables.Variable(1)
    assert variables.assign_add(n, 2).item() == 3
    with pytest.raises(TypeError):
        variables.assign(n, 1.5)
    with pytest.raises(TypeError):
        variables.assign(v, torch.ones(2, dtype=torch.float64))
