"""tf.keras.backend: reductions."""

from __future__ import annotations

import math

import torch

from tfport.compat.integers import ints
from tfport.rule import Float, Tensor, array, boolean, f32, i32, prove, rule


@rule("tf.keras.backend.sum", returns="x")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3), 1, True)
@prove(f32(2, 3))
@prove(i32(2, 3), axis=-1)
def sum(x: Tensor, axis=None, keepdims=False):
    """Sum over axes; integers keep their dtype."""
    if x.is_floating_point():
        return torch.sum(x, dim=axis, keepdim=keepdims)
    return torch.sum(x, dim=axis, keepdim=keepdims, dtype=x.dtype)


@rule("tf.keras.backend.mean", returns="tensor")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3), -1, True)
@prove(f32(2, 3))
@prove(boolean(2, 3))
def mean(x: Float, axis=None, keepdims=False):
    """Mean over axes; booleans count as 0 and 1."""
    if x.is_floating_point():
        return torch.mean(x, dim=axis, keepdim=keepdims)
    return _mean(x, axis, keepdims)


def _mean(x, axis, keepdims):
    if x.dtype == torch.bool:
        return torch.mean(x.float(), dim=axis, keepdim=keepdims)
    count = x.numel() if axis is None else math.prod(x.shape[a] for a in ints(axis))
    total = torch.sum(x, dim=axis, keepdim=keepdims, dtype=x.dtype)
    return torch.div(total, count, rounding_mode="trunc")


@rule("tf.keras.backend.max", returns="x")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3), -1, True)
@prove(i32(2, 3))
def max(x: Tensor, axis=None, keepdims=False):
    """The largest over axes; ties share the gradient."""
    if axis is None:
        return _extreme(torch.amax, x, keepdims)
    return torch.amax(x, dim=axis, keepdim=keepdims)


@rule("tf.keras.backend.min", returns="x")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3), -1, True)
@prove(i32(2, 3))
def min(x: Tensor, axis=None, keepdims=False):
    """The smallest over axes; ties share the gradient."""
    if axis is None:
        return _extreme(torch.amin, x, keepdims)
    return torch.amin(x, dim=axis, keepdim=keepdims)


def _extreme(function, x, keepdims):
    return function(x, dim=tuple(range(x.ndim)), keepdim=keepdims)


@rule("tf.keras.backend.prod", returns="x")
@prove(f32(2, 3), axis=1)
@prove(i32(2, 3), axis=0, keepdims=True)
@prove(f32(2, 3))
@prove(f32(2, 3, 2), axis=[0, 2])
def prod(x: Tensor, axis=None, keepdims=False):
    """Product over axes; integers keep their dtype."""
    return _prod(x, axis, keepdims)


def _prod(x, axis, keepdims):
    axes = list(range(x.ndim)) if axis is None else [a % x.ndim for a in ints(axis)]
    for a in sorted(axes, reverse=True):
        x = torch.prod(x, dim=a, keepdim=keepdims, dtype=x.dtype)
    return x


@rule("tf.keras.backend.std", returns="x")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3), axis=-1, keepdims=True)
@prove(f32(5))
def std(x: Tensor, axis=None, keepdims=False):
    """Standard deviation over axes, biased (divided by n)."""
    return torch.std(x, dim=axis, keepdim=keepdims, correction=0)


@rule("tf.keras.backend.var", returns="x")
@prove(f32(2, 3, 4), axis=[0, 2])
@prove(f32(2, 3), axis=-1, keepdims=True)
@prove(f32(5))
def var(x: Tensor, axis=None, keepdims=False):
    """Variance over axes, biased (divided by n)."""
    return torch.var(x, dim=axis, keepdim=keepdims, correction=0)


@rule("tf.keras.backend.any", returns="bool")
@prove(boolean(2, 3), axis=1)
@prove(boolean(2, 3), keepdims=True, axis=0)
@prove(boolean(4))
@prove(f32(2, 3), axis=-1, grad=False)
def any(x: Tensor, axis=None, keepdims=False):
    """Whether a value is true over axes."""
    return torch.any(x != 0, dim=axis, keepdim=keepdims)


@rule("tf.keras.backend.all", returns="bool")
@prove(boolean(2, 3), axis=1)
@prove(boolean(2, 3), keepdims=True, axis=0)
@prove(boolean(4))
def all(x: Tensor, axis=None, keepdims=False):
    """Whether all values are true over axes."""
    return torch.all(x != 0, dim=axis, keepdim=keepdims)


@rule("tf.keras.backend.argmax", returns="int64")
@prove(f32(2, 3), grad=False)
@prove(f32(2, 3), axis=0, grad=False)
@prove(array([1.0, 3.0, 3.0]), grad=False)
def argmax(x: Tensor, axis=-1):
    """The place of the largest, on the last axis unless told; of ties the first."""
    return torch.argmax(x, dim=axis)


@rule("tf.keras.backend.argmin", returns="int64")
@prove(f32(2, 3), grad=False)
@prove(array([3.0, 1.0, 1.0]), grad=False)
def argmin(x: Tensor, axis=-1):
    """The place of the smallest, on the last axis unless told; of ties the first."""
    return torch.argmin(x, dim=axis)
