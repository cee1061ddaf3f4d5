"""Reductions: ``tf.reduce_sum`` and its kin, ``tf.cumsum``, ``tf.argmax``, counting.

``axis=[]`` is the identity in TensorFlow and everything in torch; integer results keep their dtype in TensorFlow.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tfport.rule import Float, Tensor, array, boolean, c64, f16, f32, f64, i32, i64, prove, rule, u8

_OLD = {"keep_dims": "keepdims", "reduction_indices": "axis"}
_NAN = array([[1.0, float("nan")], [float("inf"), -1.0]])


def _axes(axis, rank):
    """Any way to name axes (None, number, list, range, tensor) as a tuple of ints."""
    if axis is None:
        return tuple(range(rank))
    flat = np.ravel(axis.tolist() if torch.is_tensor(axis) else list(axis) if np.iterable(axis) else axis)
    return tuple(int(a) % rank for a in flat)


def _reduce(function, x, axis, keepdims):
    """``function(x, dim=..., keepdim=...)`` for an axis that is neither None, a number, a list nor a tuple."""
    axes = _axes(axis, x.ndim)
    return function(x, dim=axes, keepdim=bool(keepdims)) if axes else x


def _sum(x, dim, keepdim):
    return torch.sum(x, dim=dim, keepdim=keepdim, dtype=x.dtype)


@rule("tf.reduce_sum", "tf.math.reduce_sum", renamed=_OLD, returns="input_tensor")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), 1)
@prove(f32(2, 3, 4), axis=-1, keepdims=True)
@prove(f32(2, 3, 4), axis=(1, 2), keepdims=True)
@prove(f32(2, 3), keepdims=True)
@prove(f32(2, 3), axis=[])
@prove(f32(2, 3), axis=array([0], "int32"))
@prove(f32(2, 3, 2), axis=range(1, 3))
@prove(i32(2, 3), axis=-1, keepdims=True)
@prove(i32(2, 3))
@prove(u8(2, 30))
@prove(i64(3))
@prove(_NAN, axis=0)
@prove(f32(0, 3), axis=0)
@prove(f32(3, 0), axis=1)
@prove(f32())
@prove(f64(2, 3, 2, 3, 2), axis=[1, 3])
@prove(c64(2, 3), axis=1)
@prove(f16(2, 3), axis=1)
def reduce_sum(input_tensor: Tensor, axis=None, keepdims=False, name=None):
    """Sum over axes."""
    if axis is not None and not isinstance(axis, (int, list, tuple)):
        return _reduce(_sum, input_tensor, axis, keepdims)
    if axis == [] or axis == ():
        return input_tensor
    if axis is None and keepdims:
        return _reduce(_sum, input_tensor, axis, keepdims)
    if input_tensor.is_floating_point():
        return torch.sum(input_tensor, dim=axis, keepdim=keepdims)
    return torch.sum(input_tensor, dim=axis, keepdim=keepdims, dtype=input_tensor.dtype)


@rule("tf.reduce_mean", "tf.math.reduce_mean", renamed=_OLD, returns="input_tensor")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), 1)
@prove(f32(2, 3, 4), axis=-1, keepdims=True)
@prove(f32(2, 3, 4), axis=(1, 2), keepdims=True)
@prove(f32(2, 3), keepdims=True)
@prove(f32(2, 3), axis=[])
@prove(f32(2, 3), axis=array([0], "int32"))
@prove(array([-3, -4, 2], "int32"))
@prove(i32(3, 5), axis=1, keepdims=True)
@prove(array([100, 100, 101], "int8"))
@prove(i64(2, 3), axis=[0])
@prove(array([2**30, 2**30, 2**30], "int32"))
@prove(_NAN, axis=0)
@prove(f32(0, 3), axis=0)
@prove(f64(2, 3))
@prove(c64(2, 3))
def reduce_mean(input_tensor: Float, axis=None, keepdims=False, name=None):
    """Mean over axes; integers give the quotient of their (wrapping) sum, cut towards 0, where torch refuses."""
    if axis is not None and not isinstance(axis, (int, list, tuple)):
        return _reduce(_mean, input_tensor, axis, keepdims)
    if axis == [] or axis == ():
        return input_tensor
    if axis is None and keepdims:
        return _reduce(_mean, input_tensor, axis, keepdims)
    if input_tensor.is_floating_point():
        return torch.mean(input_tensor, dim=axis, keepdim=keepdims)
    return _mean(input_tensor, axis, keepdims)


def _mean(x, dim, keepdim):
    axes = _axes(dim, x.ndim)
    if x.is_floating_point() or x.is_complex():
        return torch.mean(x, dim=axes, keepdim=keepdim)
    count = math.prod(x.shape[a] for a in axes)
    total = torch.sum(x, dim=axes, keepdim=keepdim, dtype=torch.int64)
    return torch.div(total, max(count, 1), rounding_mode="trunc").to(x.dtype)


@rule("tf.reduce_max", "tf.math.reduce_max", renamed=_OLD, returns="input_tensor")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), 1)
@prove(f32(2, 3, 4), axis=-1, keepdims=True)
@prove(f32(2, 3), keepdims=True)
@prove(f32(2, 3), axis=[])
@prove(f32(2, 3), axis=array([0], "int32"))
@prove(array([1.0, 1.0, 0.0]))
@prove(array([[1.0, 1.0, 0.0], [2.0, 3.0, 3.0]]), axis=1)
@prove(i32(2, 3), axis=0)
@prove(u8(4))
@prove(_NAN, axis=0, grad=False)
@prove(f64(2, 3), axis=(0, 1))
def reduce_max(input_tensor: Tensor, axis=None, keepdims=False, name=None):
    """Largest value; ties share the gradient in both. Over an axis of size 0 torch raises."""
    if axis is not None and not isinstance(axis, (int, list, tuple)):
        return _reduce(torch.amax, input_tensor, axis, keepdims)
    if axis == [] or axis == ():
        return input_tensor
    if axis is None and keepdims:
        return _reduce(torch.amax, input_tensor, axis, keepdims)
    if axis is None:
        return torch.amax(input_tensor)
    return torch.amax(input_tensor, dim=axis, keepdim=keepdims)


@rule("tf.reduce_min", "tf.math.reduce_min", renamed=_OLD, returns="input_tensor")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), 1)
@prove(f32(2, 3, 4), axis=-1, keepdims=True)
@prove(f32(2, 3), keepdims=True)
@prove(f32(2, 3), axis=[])
@prove(f32(2, 3), axis=array([0], "int32"))
@prove(array([1.0, 1.0, 4.0]))
@prove(i32(2, 3), axis=0)
@prove(_NAN, axis=0, grad=False)
def reduce_min(input_tensor: Tensor, axis=None, keepdims=False, name=None):
    """Smallest value; ties share the gradient in both. Over an axis of size 0 torch raises."""
    if axis is not None and not isinstance(axis, (int, list, tuple)):
        return _reduce(torch.amin, input_tensor, axis, keepdims)
    if axis == [] or axis == ():
        return input_tensor
    if axis is None and keepdims:
        return _reduce(torch.amin, input_tensor, axis, keepdims)
    if axis is None:
        return torch.amin(input_tensor)
    return torch.amin(input_tensor, dim=axis, keepdim=keepdims)


@rule("tf.reduce_prod", "tf.math.reduce_prod", renamed=_OLD, returns="input_tensor")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3))
@prove(f32(2, 3, 4), 1)
@prove(f32(2, 3, 4), axis=-1, keepdims=True)
@prove(f32(2, 3), keepdims=True)
@prove(f32(2, 3), axis=[])
@prove(array([0.0, 2.0, 0.0]))
@prove(array([0.0, 2.0, 3.0]), axis=0)
@prove(array([100, 3], "int8"))
@prove(i32(2, 3), axis=0)
@prove(i64(4))
@prove(f32(0, 3), axis=0)
def reduce_prod(input_tensor: Tensor, axis=None, keepdims=False, name=None):
    """Product over axes; torch takes one axis or all."""
    if isinstance(axis, int) and input_tensor.is_floating_point():
        return torch.prod(input_tensor, dim=axis, keepdim=keepdims)
    if axis is None and not keepdims and input_tensor.is_floating_point():
        return torch.prod(input_tensor)
    return _prod(input_tensor, axis, keepdims)


def _prod(x, axis, keepdims):
    for a in sorted(_axes(axis, x.ndim), reverse=True):
        x = torch.prod(x, dim=a, keepdim=keepdims, dtype=x.dtype)
    return x


@rule("tf.reduce_any", "tf.math.reduce_any", renamed=_OLD, returns="bool")
@prove(boolean(2, 3, 4), axis=[0, 2])
@prove(boolean(2, 3))
@prove(boolean(2, 3), 1)
@prove(boolean(2, 3), axis=-1, keepdims=True)
@prove(boolean(2, 3), keepdims=True)
@prove(boolean(2, 3), axis=[])
@prove(boolean(0, 3), axis=0)
def reduce_any(input_tensor: Tensor, axis=None, keepdims=False, name=None):
    """Whether any is true."""
    if axis is not None and not isinstance(axis, (int, list, tuple)):
        return _reduce(torch.any, input_tensor, axis, keepdims)
    if axis == [] or axis == ():
        return input_tensor
    if axis is None and keepdims:
        return _reduce(torch.any, input_tensor, axis, keepdims)
    return torch.any(input_tensor, dim=axis, keepdim=keepdims)


@rule("tf.reduce_all", "tf.math.reduce_all", renamed=_OLD, returns="bool")
@prove(boolean(2, 3, 4), axis=[0, 2])
@prove(boolean(2, 3))
@prove(boolean(2, 3), 1)
@prove(boolean(2, 3), axis=-1, keepdims=True)
@prove(boolean(2, 3), keepdims=True)
@prove(boolean(2, 3), axis=[])
@prove(boolean(0, 3), axis=0)
def reduce_all(input_tensor: Tensor, axis=None, keepdims=False, name=None):
    """Whether all are true."""
    if axis is not None and not isinstance(axis, (int, list, tuple)):
        return _reduce(torch.all, input_tensor, axis, keepdims)
    if axis == [] or axis == ():
        return input_tensor
    if axis is None and keepdims:
        return _reduce(torch.all, input_tensor, axis, keepdims)
    return torch.all(input_tensor, dim=axis, keepdim=keepdims)


@rule("tf.reduce_logsumexp", "tf.math.reduce_logsumexp", renamed=_OLD, returns="input_tensor")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3))
@prove(f32(2, 3), 1)
@prove(f32(2, 3), axis=-1, keepdims=True)
@prove(f32(2, 3), keepdims=True)
@prove(f32(2, 3), axis=[])
@prove(f64(2, 3), axis=0)
@prove(array([[float("-inf"), float("-inf")], [1000.0, 1000.0]]), axis=1, grad=False)
def reduce_logsumexp(input_tensor: Tensor, axis=None, keepdims=False, name=None):
    """log(sum(exp(x))) without overflow."""
    if axis is not None and not isinstance(axis, (int, list, tuple)):
        return _reduce(torch.logsumexp, input_tensor, axis, keepdims)
    if axis == [] or axis == ():
        return input_tensor
    if axis is None:
        return torch.logsumexp(input_tensor, dim=tuple(range(input_tensor.ndim)), keepdim=keepdims)
    return torch.logsumexp(input_tensor, dim=axis, keepdim=keepdims)


@rule("tf.math.reduce_std", returns="input_tensor")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3))
@prove(f32(2, 3), 1)
@prove(f32(2, 3), axis=-1, keepdims=True)
@prove(f32(2, 3), keepdims=True)
@prove(f32(2, 3), axis=[], grad=False)
@prove(f64(2, 3), axis=0)
def reduce_std(input_tensor: Tensor, axis=None, keepdims=False, name=None):
    """Standard deviation, divided by n (torch divides by n - 1 by default). At 0 TensorFlow's gradient is NaN."""
    if axis == [] or axis == ():
        return torch.zeros_like(input_tensor)
    return torch.std(input_tensor, dim=axis, correction=0, keepdim=keepdims)


@rule("tf.math.reduce_variance", returns="input_tensor")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3))
@prove(f32(2, 3), 1)
@prove(f32(2, 3), axis=-1, keepdims=True)
@prove(f32(2, 3), axis=[])
@prove(f64(2, 3), axis=0)
def reduce_variance(input_tensor: Tensor, axis=None, keepdims=False, name=None):
    """Variance, divided by n (torch divides by n - 1 by default)."""
    if axis == [] or axis == ():
        return torch.zeros_like(input_tensor)
    return torch.var(input_tensor, dim=axis, correction=0, keepdim=keepdims)


@rule("tf.math.reduce_euclidean_norm", returns="input_tensor")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3))
@prove(f32(2, 3), axis=-1, keepdims=True)
@prove(f64(2, 3), axis=0)
def reduce_euclidean_norm(input_tensor: Tensor, axis=None, keepdims=False, name=None):
    """Square root of the sum of squares."""
    if axis == [] or axis == ():
        return torch.abs(input_tensor)
    return torch.linalg.vector_norm(input_tensor, dim=axis, keepdim=keepdims)


@rule("tf.math.count_nonzero", "tf.count_nonzero", returns="dtype",
      renamed={**_OLD, "input_tensor": "input"})  # fmt: skip
@prove(array([[0.0, 1.0, float("nan")], [0.0, -0.0, 2.0]]))
@prove(i32(3, 4, low=0, high=2), axis=1)
@prove(i32(3, 4, low=0, high=2), axis=[0, 1], dtype=torch.int32)
@prove(boolean(3, 4), 0, True)
@prove(boolean(3, 4), axis=-1, keepdims=True, dtype=torch.float32)
def count_nonzero(input: Tensor, axis=None, keepdims=None, dtype=torch.int64, name=None):
    """How many values are not 0; NaN counts."""
    if keepdims:
        return torch.sum(input != 0, dim=axis, keepdim=True, dtype=dtype)
    if dtype == torch.int64:
        return torch.count_nonzero(input, dim=axis)
    return torch.count_nonzero(input, dim=axis).to(dtype)


@rule("tf.cumsum", "tf.math.cumsum", returns="x")
@prove(f32(2, 3, 4))
@prove(f32(2, 3), 1)
@prove(f32(2, 3), axis=-1, exclusive=True)
@prove(f32(2, 3), axis=1, reverse=True)
@prove(i32(2, 3), axis=-1, exclusive=True, reverse=True)
@prove(array([100, 100], "int8"))
@prove(i64(4))
@prove(f64(2, 3), axis=1)
@prove(f32(2, 0), axis=1, exclusive=True)
def cumsum(x: Tensor, axis=0, exclusive=False, reverse=False, name=None):
    """Running sum; ``exclusive`` starts with 0 and leaves the element itself out."""
    if exclusive or reverse:
        return _cumulative(torch.cumsum, x, axis, exclusive, reverse, 0)
    if x.is_floating_point():
        return torch.cumsum(x, dim=axis)
    return torch.cumsum(x, dim=axis, dtype=x.dtype)


@rule("tf.math.cumprod", "tf.cumprod", returns="x")
@prove(f32(2, 3, 4))
@prove(f32(2, 3), axis=-1, exclusive=True)
@prove(f32(2, 3), axis=1, reverse=True)
@prove(i32(2, 3), axis=-1, exclusive=True, reverse=True)
@prove(f64(2, 3), axis=1)
@prove(array([2.0, 0.0, 3.0]), grad=False)
def cumprod(x: Tensor, axis=0, exclusive=False, reverse=False, name=None):
    """Running product. Behind a 0 TensorFlow's gradient is 0 where it should not be; torch's is right."""
    if exclusive or reverse:
        return _cumulative(torch.cumprod, x, axis, exclusive, reverse, 1)
    if x.is_floating_point():
        return torch.cumprod(x, dim=axis)
    return torch.cumprod(x, dim=axis, dtype=x.dtype)


def _cumulative(function, x, axis, exclusive, reverse, start):
    axis = int(axis)
    if reverse:
        x = torch.flip(x, [axis])
    if exclusive and x.shape[axis]:
        first = torch.full_like(x.narrow(axis, 0, 1), start)
        x = torch.cat([first, x.narrow(axis, 0, x.shape[axis] - 1)], dim=axis)
    made = function(x, dim=axis, dtype=x.dtype)
    return torch.flip(made, [axis]) if reverse else made


@rule("tf.math.cumulative_logsumexp", returns="x")
@prove(f32(2, 3))
@prove(f64(2, 3), axis=1)
def cumulative_logsumexp(x: Tensor, axis=0, exclusive=False, reverse=False, name=None):
    """Running log(sum(exp(x)))."""
    if exclusive or reverse:
        raise NotImplementedError("cumulative_logsumexp with exclusive or reverse")
    return torch.logcumsumexp(x, dim=axis)


@rule("tf.argmax", "tf.math.argmax", version=2, returns="output_type")
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), 1)
@prove(f32(2, 3), axis=-1, output_type=torch.int32)
@prove(array([[1.0, 3.0, 3.0], [3.0, 3.0, 1.0]]), axis=1)
@prove(i32(2, 30), 1)
@prove(f32(4), axis=array(0, "int32"))
def argmax(input: Tensor, axis=None, output_type=torch.int64, name=None):
    """First place of the largest value, along axis 0 by default. torch takes a NaN for the largest, TensorFlow not."""
    if axis is None:
        axis = 0
    if output_type == torch.int64:
        return torch.argmax(input, dim=axis)
    return torch.argmax(input, dim=axis).to(output_type)


@rule("tf.argmin", "tf.math.argmin", version=2, returns="output_type")
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), 1)
@prove(f32(2, 3), axis=-1, output_type=torch.int32)
@prove(array([[1.0, 1.0, 3.0], [3.0, 1.0, 1.0]]), axis=1)
def argmin(input: Tensor, axis=None, output_type=torch.int64, name=None):
    """First place of the smallest value, along axis 0 by default."""
    if axis is None:
        axis = 0
    if output_type == torch.int64:
        return torch.argmin(input, dim=axis)
    return torch.argmin(input, dim=axis).to(output_type)


@rule("tf.compat.v1.argmax", "tf.argmax", "tf.math.argmax", version=1, renamed={"dimension": "axis"},
      returns="output_type")  # fmt: skip
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), 1)
@prove(f32(2, 3), axis=-1, output_type=torch.int32)
@prove(f32(2, 3), dimension=1)
def argmax_v1(input: Tensor, axis=None, name=None, output_type=torch.int64):
    """tf.argmax of TensorFlow 1: ``name`` is the third argument, ``axis`` was called ``dimension``."""
    if axis is None:
        axis = 0
    if output_type == torch.int64:
        return torch.argmax(input, dim=axis)
    return torch.argmax(input, dim=axis).to(output_type)


@rule("tf.compat.v1.argmin", "tf.argmin", "tf.math.argmin", version=1, renamed={"dimension": "axis"},
      returns="output_type")  # fmt: skip
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), 1)
@prove(f32(2, 3), axis=-1, output_type=torch.int32)
def argmin_v1(input: Tensor, axis=None, name=None, output_type=torch.int64):
    """tf.argmin of TensorFlow 1: ``name`` is the third argument, ``axis`` was called ``dimension``."""
    if axis is None:
        axis = 0
    if output_type == torch.int64:
        return torch.argmin(input, dim=axis)
    return torch.argmin(input, dim=axis).to(output_type)


@rule("tf.compat.v1.arg_max", "tf.arg_max", version=1, returns="output_type")
@prove(f32(2, 3), 1)
@prove(f32(2, 3), dimension=0, output_type=torch.int32)
def arg_max(input: Tensor, dimension, output_type=torch.int64, name=None):
    """The oldest spelling of tf.argmax."""
    if output_type == torch.int64:
        return torch.argmax(input, dim=dimension)
    return torch.argmax(input, dim=dimension).to(output_type)


@rule("tf.compat.v1.arg_min", "tf.arg_min", version=1, returns="output_type")
@prove(f32(2, 3), 1)
@prove(f32(2, 3), dimension=0, output_type=torch.int32)
def arg_min(input: Tensor, dimension, output_type=torch.int64, name=None):
    """The oldest spelling of tf.argmin."""
    if output_type == torch.int64:
        return torch.argmin(input, dim=dimension)
    return torch.argmin(input, dim=dimension).to(output_type)
