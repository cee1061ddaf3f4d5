"""tf.keras.ops: reductions."""

from __future__ import annotations

import torch

from tfport.rule import Float, Tensor, boolean, f32, i32, prove, rule


@rule("tf.keras.ops.sum", returns="tensor")
@prove(f32(2, 3, 4), axis=(0, 2))
@prove(f32(2, 3), -1, True)
@prove(f32(2, 3))
@prove(i32(2, 3), axis=0)
@prove(boolean(2, 3), axis=0)
def sum(x: Tensor, axis=None, keepdims=False):
    """Sum over axes; int32 stays int32, booleans are counted as int32."""
    if x.is_floating_point():
        return torch.sum(x, dim=axis, keepdim=keepdims)
    return _sum(x, axis, keepdims)


def _sum(x, axis, keepdims):
    kind = torch.int32 if x.dtype in (torch.bool, torch.int8, torch.int16) else x.dtype
    return torch.sum(x, dim=axis, keepdim=keepdims, dtype=kind)


@rule("tf.keras.ops.mean", returns="tensor")
@prove(f32(2, 3, 4), axis=(0, 2))
@prove(f32(2, 3), -1, True)
@prove(f32(2, 3))
@prove(i32(2, 3), axis=0)
def mean(x: Float, axis=None, keepdims=False):
    """Mean over axes; integers are averaged as float32."""
    if x.is_floating_point():
        return torch.mean(x, dim=axis, keepdim=keepdims)
    return torch.mean(x.to(torch.float32), dim=axis, keepdim=keepdims)


@rule("tf.keras.ops.var", returns="x")
@prove(f32(2, 3, 4), axis=(0, 2))
@prove(f32(5), keepdims=True)
def var(x: Tensor, axis=None, keepdims=False):
    """Variance over axes, biased."""
    return torch.var(x, dim=axis, keepdim=keepdims, correction=0)


@rule("tf.keras.ops.std", returns="x")
@prove(f32(2, 3, 4), axis=(0, 2))
@prove(f32(5))
def std(x: Tensor, axis=None, keepdims=False):
    """Standard deviation over axes, biased."""
    return torch.std(x, dim=axis, keepdim=keepdims, correction=0)


@rule("tf.keras.ops.max", returns="x")
@prove(f32(2, 3, 4), axis=(0, 2))
@prove(f32(2, 3), -1, True)
@prove(i32(2, 3))
def max(x: Tensor, axis=None, keepdims=False, initial=None):
    """The largest over axes."""
    if axis is not None and initial is None:
        return torch.amax(x, dim=axis, keepdim=keepdims)
    return _extreme(torch.amax, torch.maximum, x, axis, keepdims, initial)


@rule("tf.keras.ops.min", returns="x")
@prove(f32(2, 3, 4), axis=(0, 2))
@prove(f32(2, 3), -1, True)
@prove(i32(2, 3), initial=-20)
def min(x: Tensor, axis=None, keepdims=False, initial=None):
    """The smallest over axes."""
    if axis is not None and initial is None:
        return torch.amin(x, dim=axis, keepdim=keepdims)
    return _extreme(torch.amin, torch.minimum, x, axis, keepdims, initial)


def _extreme(reduce, join, x, axis, keepdims, initial):
    found = reduce(x, dim=tuple(range(x.ndim)) if axis is None else axis, keepdim=keepdims)
    return found if initial is None else join(found, torch.tensor(initial, dtype=x.dtype, device=x.device))


@rule("tf.keras.ops.any", returns="bool")
@prove(boolean(2, 3), axis=1)
@prove(boolean(4))
@prove(f32(4), grad=False)
def any(x: Tensor, axis=None, keepdims=False):
    """Whether a value is true over axes."""
    return torch.any(x != 0, dim=axis, keepdim=keepdims)


@rule("tf.keras.ops.all", returns="bool")
@prove(boolean(2, 3), axis=1)
@prove(boolean(4))
def all_(x: Tensor, axis=None, keepdims=False):
    """Whether all values are true over axes."""
    return torch.all(x != 0, dim=axis, keepdim=keepdims)


@rule("tf.keras.ops.argmax", returns="int32")
@prove(f32(2, 3), axis=1, grad=False)
@prove(f32(2, 3), grad=False)
@prove(f32(2, 3), axis=0, keepdims=True, grad=False)
def argmax(x: Tensor, axis=None, keepdims=False):
    """The int32 place of the largest; without an axis that among all values."""
    return torch.argmax(x, dim=axis, keepdim=keepdims).to(torch.int32)


@rule("tf.keras.ops.argmin", returns="int32")
@prove(f32(2, 3), axis=1, grad=False)
@prove(f32(2, 3), grad=False)
def argmin(x: Tensor, axis=None, keepdims=False):
    """The int32 place of the smallest; without an axis that among all values."""
    return torch.argmin(x, dim=axis, keepdim=keepdims).to(torch.int32)
