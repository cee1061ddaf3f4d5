"""keras.ops: binary operations, logic, cumulative sums. Numbers of two kinds meet as in NumPy."""

from __future__ import annotations

from collections import namedtuple

import torch

from tfport.rule import Operand, Tensor, array, boolean, f32, i32, prove, rule

TopK = namedtuple("TopK", ["values", "indices"])


@rule("tf.keras.ops.logical_and", returns="bool")
@prove(boolean(3, 4), boolean(4))
@prove(f32(3), boolean(3), grad=False)
def logical_and(x1: Tensor, x2: Tensor):
    """Both, element by element; what is not 0 is true."""
    return torch.logical_and(x1, x2)


@rule("tf.keras.ops.logical_or", returns="bool")
@prove(boolean(3, 4), boolean(4))
def logical_or(x1: Tensor, x2: Tensor):
    """At least one, element by element; what is not 0 is true."""
    return torch.logical_or(x1, x2)


@rule("tf.keras.ops.logical_not", returns="bool")
@prove(boolean(3, 4))
@prove(array([0.0, 2.0]), grad=False)
def logical_not(x: Tensor):
    """The opposite, element by element; what is not 0 is true."""
    return torch.logical_not(x)


@rule("tf.keras.ops.power", returns="tensor")
@prove(f32(2, 3, low=0.5, high=2.0), f32(3))
@prove(f32(2, 3), 2)
@prove(f32(2, 3), 2.0)
@prove(i32(3), 2)
def power(x1: Operand, x2: Operand):
    """x1 to the power x2."""
    return x1**x2


@rule("tf.keras.ops.mod", returns="tensor")
@prove(array([7, -7, 7], "int32"), array([3, 3, -3], "int32"))
@prove(array([7.5, -7.5, 7.0]), array([3.0, 3.0, -3.0]))
@prove(f32(2, 3), 0.3)
def mod(x1: Operand, x2: Operand):
    """Remainder with the sign of x2, as Python's %."""
    return x1 % x2


@rule("tf.keras.ops.add", returns="tensor")
@prove(f32(2, 3), f32(3))
@prove(f32(2, 3), 2)
@prove(f32(2, 3), i32(3))
@prove(i32(2, 3), i32(3))
def add(x1: Operand, x2: Operand):
    """The sum."""
    return x1 + x2


@rule("tf.keras.ops.subtract", returns="tensor")
@prove(f32(2, 3), f32(3))
@prove(f32(2, 3), 2)
@prove(1.0, f32(2, 3))
def subtract(x1: Operand, x2: Operand):
    """The difference."""
    return x1 - x2


@rule("tf.keras.ops.multiply", returns="tensor")
@prove(f32(2, 3), f32(3))
@prove(f32(2, 3), 2)
@prove(i32(2, 3), f32(3))
def multiply(x1: Operand, x2: Operand):
    """The product."""
    return x1 * x2


@rule("tf.keras.ops.divide", "tf.keras.ops.true_divide", returns="tensor")
@prove(f32(2, 3), f32(3, low=1.0, high=2.0))
@prove(f32(2, 3), 2)
@prove(i32(2, 3), array([1, 2, 4], "int32"))
def divide(x1: Operand, x2: Operand):
    """The quotient; of integers float32."""
    return x1 / x2


@rule("tf.keras.ops.cumsum", returns="x")
@prove(f32(2, 3), axis=1)
@prove(f32(2, 3), axis=-2)
@prove(f32(2, 3))
@prove(i32(2, 3), 0)
def cumsum(x: Tensor, axis=None, dtype=None):
    """Running sums along an axis; without one, of all values in order."""
    if axis is None:
        return torch.cumsum(x.flatten(), 0, dtype=x.dtype if dtype is None else dtype)
    if dtype is None and x.is_floating_point():
        return torch.cumsum(x, axis)
    return torch.cumsum(x, axis, dtype=x.dtype if dtype is None else dtype)


@rule("tf.keras.ops.top_k")
@prove(f32(3, 6), 2)
@prove(array([[1.0, 3.0, 3.0, 2.0, 3.0]]), k=4)
def top_k(x: Tensor, k, sorted=True):
    """The k greatest along the last axis and their int32 places; of equal ones the first comes first."""
    return _top_k(x, k)


def _top_k(x, k):
    values, indices = torch.sort(x, dim=-1, descending=True, stable=True)
    return TopK(values[..., :k], indices[..., :k].to(torch.int32))


@rule("tf.keras.ops.moments")
@prove(f32(2, 3, 4), [0, 2])
@prove(f32(2, 3), axes=1, keepdims=True)
@prove(f32(2, 3), [0], synchronized=False)
def moments(x: Tensor, axes, keepdims=False, synchronized=False):
    """Mean and biased variance."""
    return _moments(x, axes, keepdims, synchronized)


def _moments(x, axes, keepdims, synchronized):
    if synchronized:
        raise NotImplementedError("synchronized moments need torch.nn.SyncBatchNorm")
    variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=keepdims)
    return mean, variance
