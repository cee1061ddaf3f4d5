"""What graph programs say about execution, with the meaning it has when everything runs at once."""

from __future__ import annotations

import contextlib
import time

import numpy as np
import torch

from tfport.compat.integers import ints as _ints
from tfport.rule import Tensor, Tensors, array, f32, i32, i64, prove, rule


@rule("tf.executing_eagerly", returns="python")
@prove()
def executing_eagerly():
    """True: torch runs eagerly, so the eager branch of a program is the one that is ported."""
    return True


@rule("tf.is_tensor", "tf.contrib.framework.is_tensor", returns="python")
@prove(f32(2), grad=False)
@prove(i32(2))
@prove(3.0)
@prove([1.0])
@prove(np.zeros(2))
def is_tensor(x):
    """Whether ``x`` is a tensor or a variable; arrays and numbers are not."""
    return torch.is_tensor(x)


@rule("tf.group", returns="python", pure=False)
@prove(f32(2), f32(3), grad=False)
@prove(f32(2), name="all", grad=False)
def group(*inputs, **kwargs):
    """None: its arguments have run when it is called."""
    return None


@rule("tf.no_op", returns="python")
@prove()
def no_op(name=None):
    """None: nothing is to be done."""
    return None


@rule("tf.tuple", returns=None, version=2)
@prove([f32(2), f32(3)])
def tuple_(tensors, control_inputs=None, name=None):
    """The tensors as a list; all of them have been computed."""
    return list(tensors)


@rule("tf.compat.v1.tuple", "tf.tuple", returns=None, version=1)
@prove([f32(2), f32(3)], "both")
def tuple_v1(tensors, name=None, control_inputs=None):
    """The tensors as a list; all of them have been computed."""
    return list(tensors)


@rule("tf.identity_n", returns=None)
@prove([f32(2), f32(3)])
def identity_n(input: Tensors, name=None):
    """The same tensors as a list."""
    return list(input)


@rule("tf.get_static_value", "tf.contrib.util.constant_value", returns="python")
@prove(f32(2, 3), grad=False)
@prove(i32(2))
@prove(i64())
@prove(3)
def get_static_value(tensor, partial=False):
    """The value as a NumPy array: always known, where a graph may not know it."""
    if torch.is_tensor(tensor):
        return tensor.detach().cpu().numpy()
    return tensor


@rule("tf.compat.dimension_value", "tf.dimension_value", returns="python")
@prove(3)
@prove(None)
def dimension_value(dimension):
    """A size as an int, which it is already."""
    return dimension


@rule("tf.dimension_at_index", returns="python", proved_by="tests/compat/test_types.py")
def dimension_at_index(shape, index):
    """One size of a shape."""
    return shape[index]


@rule("tf.broadcast_static_shape", returns="python", proved_by="tests/compat/test_types.py")
def broadcast_static_shape(shape_x, shape_y):
    """The shape that two shapes broadcast to. RuntimeError if they do not."""
    return torch.broadcast_shapes(shape_x, shape_y)


@rule("tf.broadcast_dynamic_shape", returns="shape_x")
@prove(array([2, 1, 3], "int32"), array([4, 1], "int32"))
@prove(array([2, 1], "int64"), [2, 5])
def broadcast_dynamic_shape(shape_x: Tensor, shape_y: Tensor):
    """The shape that two shapes broadcast to, as a tensor of integers."""
    return torch.tensor(torch.broadcast_shapes(_sizes(shape_x), _sizes(shape_y)), dtype=shape_x.dtype)


def _sizes(shape):
    return _ints(shape)


@rule("tf.timestamp", returns="float64", pure=False)
@prove(random=True)
def timestamp(name=None):
    """Seconds since 1970 as a float64 tensor."""
    return torch.tensor(time.time(), dtype=torch.float64)


@rule("tf.init_scope", returns="python", proved_by="tests/compat/test_types.py")
def init_scope():
    """A context without effect: there is no graph to leave."""
    return contextlib.nullcontext()


@rule("tf.colocate_with", returns="python", proved_by="tests/compat/test_types.py")
def colocate_with(op, ignore_existing=False):
    """A context without effect: a result lies where its inputs lie."""
    return contextlib.nullcontext()
