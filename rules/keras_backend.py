"""tf.keras.backend: Keras' own names for what tf.* has, with its own defaults."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tfport.compat.arguments import to_tensor
from tfport.compat.dtypes import as_dtype
from tfport.compat.integers import ints
from tfport.rule import Indices, Tensor, Tensors, array, boolean, f32, f64, i32, i64, prove, rule


@rule("tf.keras.backend.concatenate", returns="tensor")
@prove([f32(2, 3), f32(2, 1)])
@prove([f32(2, 3), f32(1, 3)], axis=0)
def concatenate(tensors: Tensors, axis=-1):
    """Values joined along an axis, the last unless told."""
    return torch.cat(tensors, dim=axis)


@rule("tf.keras.backend.stack", returns="tensor")
@prove([f32(2), f32(2, seed=1)])
@prove([f32(2), f32(2, seed=1)], axis=-1)
def stack(x: Tensors, axis=0):
    """Values joined along a new axis."""
    return torch.stack(x, dim=axis)


@rule("tf.keras.backend.squeeze", returns="x")
@prove(f32(2, 1, 3), 1)
@prove(f32(2, 1), axis=-1)
def squeeze(x: Tensor, axis):
    """An axis of size 1 dropped."""
    return torch.squeeze(x, dim=axis)


@rule("tf.keras.backend.tile", returns="x")
@prove(f32(2, 3), [2, 1])
@prove(f32(3), 2)
def tile(x: Tensor, n):
    """The tensor repeated along every axis; an int is a list of one."""
    if isinstance(n, (list, tuple)):
        return torch.tile(x, n)
    return torch.tile(x, ints(n))


@rule("tf.keras.backend.permute_dimensions", returns="x")
@prove(f32(2, 3, 4), (0, 2, 1))
@prove(f32(2, 3), [1, 0])
def permute_dimensions(x: Tensor, pattern):
    """Axes in another order."""
    return torch.permute(x, pattern)


@rule("tf.keras.backend.transpose", returns="x")
@prove(f32(2, 3))
@prove(f32(2, 3, 4))
def transpose(x: Tensor):
    """All axes reversed."""
    if x.ndim == 2:
        return x.T
    return _reversed(x)


def _reversed(x):
    return x.permute(list(range(x.ndim))[::-1])


@rule("tf.keras.backend.flatten", returns="x")
@prove(f32(2, 3, 4))
@prove(f32())
def flatten(x: Tensor):
    """All values on one axis."""
    return torch.flatten(x)


@rule("tf.keras.backend.batch_flatten", returns="x")
@prove(f32(2, 3, 4))
@prove(f32(2, 3))
def batch_flatten(x: Tensor):
    """All axes but the first made one."""
    return torch.flatten(x, 1)


@rule("tf.keras.backend.gather", returns="reference")
@prove(f32(5, 3), array([4, 0], "int32"))
@prove(f32(5, 3), array([[4, 0]], "int64"))
def gather(reference: Tensor, indices: Indices):
    """Slices along the first axis; a negative index raises."""
    if indices.ndim == 1:
        return torch.index_select(reference, 0, indices)
    return _gather(reference, indices)


def _gather(reference, indices):
    chosen = torch.index_select(reference, 0, indices.reshape(-1))
    return chosen.reshape(indices.shape + reference.shape[1:])


@rule("tf.keras.backend.one_hot", returns="float32")
@prove(array([0, 2, -1, 3], "int32"), 3)
@prove(array([[0], [2]], "int64"), num_classes=3)
def one_hot(indices: Indices, num_classes):
    """Indices outside [0, num_classes) give a row of zeros; the result is float32."""
    return (indices.unsqueeze(-1) == torch.arange(num_classes, device=indices.device)).to(torch.float32)


@rule("tf.keras.backend.repeat", returns="x")
@prove(f32(2, 3), 4)
def repeat(x: Tensor, n):
    """[samples, dim] as [samples, n, dim]."""
    return x.unsqueeze(1).repeat(1, n, 1)


@rule("tf.keras.backend.repeat_elements", returns="x")
@prove(f32(2, 3), 2, 1)
@prove(f32(2, 3), rep=3, axis=0)
def repeat_elements(x: Tensor, rep, axis):
    """Each value repeated in place along an axis."""
    return torch.repeat_interleave(x, rep, dim=axis)


@rule("tf.keras.backend.zeros", returns="dtype")
@prove([2, 3])
@prove((2,), dtype="int32")
def zeros(shape, dtype=None, name=None):
    """A variable of zeros, float32 unless told."""
    return _filled(torch.zeros, shape, dtype)


@rule("tf.keras.backend.ones", returns="dtype")
@prove([2, 3])
@prove((2,), dtype="int32")
def ones(shape, dtype=None, name=None):
    """A variable of ones, float32 unless told."""
    return _filled(torch.ones, shape, dtype)


def _filled(make, shape, dtype):
    return make(ints(shape), dtype=torch.float32 if dtype is None else dtype)


@rule("tf.keras.backend.eye", returns="dtype")
@prove(3)
@prove(2, dtype="int32")
def eye(size, dtype=None, name=None):
    """The identity matrix, float32 unless told."""
    return _eye(size, dtype)


def _eye(size, dtype):
    return torch.eye(int(size), dtype=torch.float32 if dtype is None else dtype)


@rule("tf.keras.backend.constant", returns="dtype")
@prove(3)
@prove([1, 2], dtype="int32")
@prove(0.5, shape=(2, 2))
def constant(value, dtype=None, shape=None, name=None):
    """A constant, float32 unless told."""
    return _constant(value, dtype, shape)


def _constant(value, dtype, shape):
    made = to_tensor(value).to(torch.float32 if dtype is None else dtype)
    return made if shape is None else made.expand(ints(shape)).clone()


@rule("tf.keras.backend.arange", returns="dtype")
@prove(5)
@prove(1, 7, 2)
@prove(5, dtype="float32")
@prove(-3)
def arange(start, stop=None, step=1, dtype="int32"):
    """A half-open range, int32 unless told."""
    return _arange(start, stop, step, dtype)


def _arange(start, stop, step, dtype):
    if stop is None:
        start, stop = 0, start if start > 0 else 0
    return torch.arange(int(start), int(stop), int(step)).to(as_dtype(dtype))


@rule("tf.keras.backend.shape", returns="int32")
@prove(f32(2, 3))
def shape(x: Tensor):
    """The shape as an int32 tensor."""
    return torch.tensor(x.shape, dtype=torch.int32)


@rule("tf.keras.backend.int_shape", returns="python")
@prove(f32(2, 3))
@prove(f32())
def int_shape(x: Tensor):
    """The shape as a tuple of ints."""
    return tuple(x.shape)


@rule("tf.keras.backend.ndim", returns="python")
@prove(f32(2, 3))
def ndim(x: Tensor):
    """The number of axes."""
    return x.ndim


@rule("tf.keras.backend.dtype", returns="python")
@prove(f32(2), grad=False)
@prove(i64(2))
@prove(boolean(2))
def dtype(x: Tensor):
    """The name of the dtype, a string."""
    return _dtype(x)


def _dtype(x):
    return str(x.dtype).removeprefix("torch.")


@rule("tf.keras.backend.floatx", "tf.keras.config.floatx", returns="python")
@prove()
def floatx():
    """The name of Keras' default dtype."""
    return "float32"


@rule("tf.keras.backend.epsilon", "tf.keras.config.epsilon", returns="python")
@prove()
def epsilon():
    """Keras' fuzz factor."""
    return 1e-7


@rule("tf.keras.backend.cast_to_floatx", returns="float32")
@prove(f64(3))
@prove(i32(3))
def cast_to_floatx(x: Tensor):
    """Conversion to float32."""
    return x.to(torch.float32)


@rule("tf.keras.backend.clip", returns="x")
@prove(f32(2, 3), -0.5, 0.5)
@prove(i32(5), min_value=-2, max_value=2)
@prove(f32(5), 0.0, 1.0)
def clip(x: Tensor, min_value, max_value):
    """Values moved into [min_value, max_value]."""
    return torch.clamp(x, min=min_value, max=max_value)


@rule("tf.keras.backend.relu", returns="x")
@prove(f32(2, 3))
@prove(f32(2, 3), alpha=0.1)
@prove(f32(2, 3), 0.0, 0.5)
@prove(f32(2, 3), alpha=0.2, max_value=0.7, threshold=0.1)
@prove(f32(20), threshold=0.5)
def relu(x: Tensor, alpha=0.0, max_value=None, threshold=0.0):
    """max(x, 0), with a slope below ``threshold`` and a cap."""
    if alpha == 0 and max_value is None and threshold == 0:
        return F.relu(x)
    if max_value is None and threshold == 0:
        return F.leaky_relu(x, alpha)
    return _relu(x, alpha, max_value, threshold)


def _relu(x, alpha, max_value, threshold):
    y = torch.where(x > threshold, x, torch.zeros_like(x)) if threshold else F.relu(x)
    if max_value is not None:
        y = torch.clamp(y, max=max_value)
    return y - alpha * F.relu(threshold - x) if alpha else y


@rule("tf.keras.backend.hard_sigmoid", returns="x")
@prove(f32(2, 9, low=-5, high=5))
def hard_sigmoid(x: Tensor):
    """clip(0.2 * x + 0.5, 0, 1): Keras 2's slope, not torch's 1/6."""
    return torch.clamp(0.2 * x + 0.5, 0.0, 1.0)


@rule("tf.keras.backend.l2_normalize", returns="x")
@prove(f32(2, 3), axis=1)
@prove(f32(2, 3))
@prove(array([1e-8, 0.0]), axis=0, grad=False)
def l2_normalize(x: Tensor, axis=None):
    """x / sqrt(max(sum(x**2), 1e-12)): the squared sum is clamped, not the norm."""
    if axis is None:
        return x * torch.rsqrt(torch.clamp(torch.sum(x * x), min=1e-12))
    return x * torch.rsqrt(torch.clamp(torch.sum(x * x, dim=axis, keepdim=True), min=1e-12))


@rule("tf.keras.backend.dot", returns="x")
@prove(f32(2, 3), f32(3, 4))
@prove(f32(2, 3, 4), f32(4, 5))
@prove(f32(2, 3), f32(4, 3, 5))
def dot(x: Tensor, y: Tensor):
    """The last axis of x against the last but one of y; all pairs of the other axes."""
    if y.ndim == 2:
        return torch.matmul(x, y)
    return _dot(x, y)


def _dot(x, y):
    return torch.tensordot(x, y, dims=([x.ndim - 1], [y.ndim - 2]))


@rule("tf.keras.backend.batch_dot", returns="x")
@prove(f32(2, 3, 4), f32(2, 4, 5))
@prove(f32(2, 3, 4), f32(2, 5, 4), axes=2)
@prove(f32(2, 3, 4), f32(2, 4, 5), axes=(2, 1))
@prove(f32(2, 4), f32(2, 4), 1)
@prove(f32(2, 3, 4), f32(2, 4), axes=[2, 1])
def batch_dot(x: Tensor, y: Tensor, axes=None):
    """A product over one axis of each, batch by batch."""
    return _batch_dot(x, y, axes)


def _batch_dot(x, y, axes):
    if axes is None:
        axes = [1, 1] if y.ndim == 2 else [x.ndim - 1, y.ndim - 2]
    first, second = (axes, axes) if isinstance(axes, int) else axes
    a = x.movedim(first, -1)
    b = y.movedim(second, 1)
    left, right = a.shape[1:-1], b.shape[2:]
    product = torch.bmm(a.reshape(a.shape[0], -1, a.shape[-1]), b.reshape(b.shape[0], b.shape[1], -1))
    result = product.reshape(a.shape[0], *left, *right)
    return result.unsqueeze(1) if result.ndim == 1 else result


@rule("tf.keras.backend.switch")
@prove(array(True, "bool"), f32(2), f32(2, seed=1))
@prove(boolean(2, 3), f32(2, 3), f32(2, 3, seed=1))
def switch(condition: Indices, then_expression, else_expression):
    """One of two values by a scalar condition, or value by value."""
    return _switch(condition, then_expression, else_expression)


def _switch(condition, then, other):
    if condition.ndim == 0:
        chosen = then if bool(condition) else other
        return chosen() if callable(chosen) else chosen
    then = to_tensor(then() if callable(then) else then)
    other = to_tensor(other() if callable(other) else other, then.dtype)
    return torch.where(condition.reshape(condition.shape + (1,) * (then.ndim - condition.ndim)), then, other)


@rule("tf.keras.backend.stop_gradient", returns="variables")
@prove(f32(2, 3))
def stop_gradient(variables):
    """The same values, through which no gradient flows; a list gives a list."""
    return _detached(variables)


def _detached(variables):
    if isinstance(variables, list | tuple):
        return [v.detach() for v in variables]
    return variables.detach()


@rule("tf.keras.backend.get_value", "tf.keras.backend.eval", returns="python")
@prove(f32(2, 3), grad=False)
def get_value(x):
    """The values as a NumPy array."""
    return _value(x)


def _value(x):
    return np.array(x.detach().cpu().numpy())[()] if torch.is_tensor(x) else x


@rule("tf.keras.backend.batch_get_value", returns="python")
@prove([f32(2, 3), f32(2)], grad=False)
def batch_get_value(tensors):
    """The values of several tensors as NumPy arrays."""
    return [_value(t) for t in tensors]


@rule("tf.keras.backend.bias_add", returns="x")
@prove(f32(2, 3, 4), f32(4), data_format="channels_last")
@prove(f32(2, 4, 3), f32(4), data_format="channels_first")
@prove(f32(2, 3), f32(3))
def bias_add(x: Tensor, bias: Tensor, data_format=None):
    """A bias added along the channel axis."""
    if data_format is None or data_format == "channels_last":
        return x + bias
    return _bias_first(x, bias)


def _bias_first(x, bias):
    return x + bias.reshape(bias.shape + (1,) * (x.ndim - 2))


@rule("tf.keras.backend.random_uniform", returns="dtype", pure=False)
@prove([2000], random=True)
@prove([2000], -1.0, 3.0, "float64", random=True)
def random_uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    """Uniform values in [minval, maxval)."""
    return torch.rand(ints(shape), dtype=_float(dtype)) * (maxval - minval) + minval


@rule("tf.keras.backend.random_normal", returns="dtype", pure=False)
@prove([2000], random=True)
@prove([2000], 1.0, 3.0, random=True)
def random_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    """Normal values."""
    return torch.randn(ints(shape), dtype=_float(dtype)) * stddev + mean


def _float(dtype):
    return torch.float32 if dtype is None else as_dtype(dtype)


@rule("tf.keras.backend.is_sparse", returns="python")
@prove(f32(2))
def is_sparse(tensor):
    """Whether a tensor is sparse."""
    return bool(torch.is_tensor(tensor) and tensor.is_sparse)
