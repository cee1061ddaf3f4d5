"""tf.keras.ops: Keras 3's NumPy-like names."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tfport.compat import structure
from tfport.compat.arguments import to_tensor
from tfport.compat.integers import ints, pairs
from tfport.rule import Indices, Operand, Tensor, Tensors, array, boolean, f32, i32, prove, rule


@rule("tf.keras.ops.reshape", returns="x")
@prove(f32(2, 3, 4), (-1, 12))
@prove(f32(6), [2, 3])
@prove(f32(2, 3), -1)
def reshape(x: Tensor, newshape):
    """The same values in another shape."""
    if isinstance(newshape, (list, tuple)):
        return torch.reshape(x, newshape)
    return torch.reshape(x, ints(newshape))


@rule("tf.keras.ops.transpose", returns="x")
@prove(f32(2, 3))
@prove(f32(2, 3, 4), (0, 2, 1))
@prove(f32(2, 3, 4), axes=[2, 0, 1])
@prove(f32(2, 3, 4))
def transpose(x: Tensor, axes=None):
    """Axes in another order; without ``axes`` all reversed."""
    if axes is None:
        return _reversed(x)
    return torch.permute(x, axes)


def _reversed(x):
    return x.permute(list(range(x.ndim))[::-1])


@rule("tf.keras.ops.expand_dims", returns="x")
@prove(f32(2, 3), -1)
@prove(f32(2, 3), axis=[0, 2])
@prove(i32(3), 0)
def expand_dims(x: Tensor, axis):
    """New axes of size 1."""
    if isinstance(axis, int):
        return torch.unsqueeze(x, axis)
    return _expanded(x, axis)


def _expanded(x, axis):
    axes = ints(axis)
    rank = x.ndim + len(axes)
    for a in sorted(a % rank for a in axes):
        x = x.unsqueeze(a)
    return x


@rule("tf.keras.ops.squeeze", returns="x")
@prove(f32(1, 3, 1))
@prove(f32(1, 3, 1), 0)
@prove(f32(1, 3, 1), axis=-1)
def squeeze(x: Tensor, axis=None):
    """Axes of size 1 dropped."""
    if axis is None:
        return torch.squeeze(x)
    return torch.squeeze(x, dim=axis)


@rule("tf.keras.ops.shape", returns="python")
@prove(f32(2, 3))
@prove(f32())
def shape(x: Tensor):
    """The shape as a tuple of ints."""
    return tuple(x.shape)


@rule("tf.keras.ops.ndim", returns="python")
@prove(f32(2, 3))
def ndim(x: Tensor):
    """The number of axes."""
    return x.ndim


@rule("tf.keras.ops.concatenate", returns="tensor")
@prove([f32(2, 3), f32(1, 3)])
@prove([f32(2, 3), f32(2, 1)], axis=-1)
def concatenate(xs: Tensors, axis=0):
    """Values joined along an axis."""
    return torch.cat(xs, dim=axis)


@rule("tf.keras.ops.stack", returns="tensor")
@prove([f32(2), f32(2, seed=1)])
@prove([f32(2), f32(2, seed=1)], axis=1)
def stack(x: Tensors, axis=0):
    """Values joined along a new axis."""
    return torch.stack(x, dim=axis)


@rule("tf.keras.ops.unstack")
@prove(f32(3, 2))
@prove(f32(3, 2), axis=1)
def unstack(x: Tensor, num=None, axis=0):
    """The slices along an axis, which is dropped."""
    return torch.unbind(x, dim=axis)


@rule("tf.keras.ops.split")
@prove(f32(6, 2), 3)
@prove(f32(2, 6), [1, 4], axis=1)
def split(x: Tensor, indices_or_sections, axis=0):
    """An int counts the pieces, a list says where to cut (tf.split's list says how long they are)."""
    return torch.tensor_split(x, indices_or_sections, dim=axis)


@rule("tf.keras.ops.where", returns="tensor")
@prove(boolean(3), f32(3), f32(3, seed=1))
@prove(boolean(2, 3), f32(3), 0.0)
@prove(boolean(2, 3), 1.0, 0.0)
def where(condition: Indices, x1: Tensor, x2: Tensor):
    """``x1`` where the condition is true, ``x2`` elsewhere."""
    if isinstance(x1, float) and isinstance(x2, float):
        return torch.where(condition, x1, x2)
    if isinstance(x2, (int, float)):
        return torch.where(condition, x1, x2)
    return torch.where(condition, x1, x2)


@rule("tf.keras.ops.convert_to_tensor", "tf.keras.ops.array", returns="dtype|x")
@prove(f32(2))
@prove([1, 2])
@prove([1.0, 2.0], dtype="float32")
@prove(i32(2), dtype="float32")
@prove(3)
def convert_to_tensor(x: Operand, dtype=None, sparse=None, ragged=None):
    """A tensor, cast if ``dtype`` is given."""
    if torch.is_tensor(x) and dtype is None:
        return x
    return _converted(x, dtype)


def _converted(x, dtype):
    made = to_tensor(x)
    made = made if torch.is_tensor(x) else made.clone()
    return made if dtype is None else made.to(dtype)


@rule("tf.keras.ops.convert_to_numpy", returns="python")
@prove(f32(2), grad=False)
@prove(i32(2, 2))
def convert_to_numpy(x):
    """The values as a NumPy array."""
    return np.array(x.detach().cpu().numpy()) if torch.is_tensor(x) else np.asarray(x)


@rule("tf.keras.ops.is_tensor", returns="python")
@prove(f32(2))
@prove(3)
def is_tensor(x):
    """Whether x is a tensor."""
    return torch.is_tensor(x)


@rule("tf.keras.ops.zeros", returns="dtype")
@prove((2, 3))
@prove([2], dtype="int32")
def zeros(shape, dtype=None):
    """Zeros, float32 unless told."""
    if dtype is None and isinstance(shape, (list, tuple)):
        return torch.zeros(shape)
    return _made(torch.zeros, shape, dtype)


@rule("tf.keras.ops.ones", returns="dtype")
@prove((2, 3))
@prove([2], dtype="int32")
def ones(shape, dtype=None):
    """Ones, float32 unless told."""
    if dtype is None and isinstance(shape, (list, tuple)):
        return torch.ones(shape)
    return _made(torch.ones, shape, dtype)


def _made(make, shape, dtype):
    return make(ints(shape), dtype=torch.float32 if dtype is None else dtype)


@rule("tf.keras.ops.full", returns="dtype")
@prove((2, 3), 1.5)
@prove([2], 3, dtype="float32")
def full(shape, fill_value, dtype=None):
    """A tensor of one value."""
    return to_tensor(fill_value, dtype).expand(ints(shape)).clone()


@rule("tf.keras.ops.full_like", returns="dtype|x")
@prove(f32(2, 3), 1.5)
@prove(i32(2), 3, dtype="float32")
def full_like(x: Tensor, fill_value, dtype=None):
    """A tensor of one value, with the shape and dtype of another."""
    return torch.full_like(x, fill_value, dtype=dtype)


@rule("tf.keras.ops.arange", returns="dtype")
@prove(5)
@prove(1, 7, 2)
@prove(0, 3, dtype="float32")
@prove(0.0, 1.0, 0.25)
def arange(start, stop=None, step=None, dtype=None):
    """A half-open range: int32 of ints, float32 of floats."""
    return _arange(start, stop, 1 if step is None else step, dtype)


def _arange(start, stop, step, dtype):
    if stop is None:
        start, stop = 0, start
    whole = not [
        v
        for v in (start, stop, step)
        if not (isinstance(v, int) or (torch.is_tensor(v) and not v.is_floating_point()))
    ]
    return torch.arange(start, stop, step, dtype=dtype or (torch.int32 if whole else torch.float32))


@rule("tf.keras.ops.take", returns="x")
@prove(f32(5, 3), array([4, 0, -1], "int32"), axis=0)
@prove(f32(2, 5), array([[4], [0]], "int32"), axis=1)
@prove(f32(2, 3), array([5, 0], "int32"))
def take(x: Tensor, indices: Indices, axis=None):
    """Slices along an axis, or values of the flattened tensor; negative indices count from the end."""
    return _take(x, indices, axis)


def _take(x, indices, axis):
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = axis % x.ndim
    index = torch.where(indices < 0, indices + x.shape[axis], indices)
    chosen = torch.index_select(x, axis, index.reshape(-1))
    return chosen.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


@rule("tf.keras.ops.take_along_axis", returns="x")
@prove(f32(2, 3), array([[0, 2], [1, -1]], "int32"), axis=1)
@prove(f32(2, 3), array([[1, 0, 1]], "int64"), axis=0)
@prove(f32(2, 3), array([5, 0], "int32"))
def take_along_axis(x: Tensor, indices: Indices, axis=None):
    """Values by their places along an axis; negative indices count from the end."""
    return _along(x, indices, axis)


def _along(x, indices, axis):
    if axis is None:
        x, indices, axis = x.reshape(-1), indices.reshape(-1), 0
    index = torch.where(indices < 0, indices + x.shape[axis], indices).long()
    return torch.take_along_dim(x, index, dim=axis)


@rule("tf.keras.ops.tile", returns="x")
@prove(f32(2, 3), (2, 1))
@prove(f32(3), 2)
def tile(x: Tensor, repeats):
    """The tensor repeated along its axes."""
    return torch.tile(x, ints(repeats))


@rule("tf.keras.ops.repeat", returns="x")
@prove(f32(2, 3), 2)
@prove(f32(2, 3), 2, axis=1)
@prove(f32(2, 3), [1, 2], axis=0)
def repeat(x: Tensor, repeats, axis=None):
    """Each value repeated in place."""
    if isinstance(repeats, int):
        return torch.repeat_interleave(x, repeats, dim=axis)
    return torch.repeat_interleave(x, to_tensor(repeats).to(x.device), dim=axis)


@rule("tf.keras.ops.pad", returns="x")
@prove(f32(2, 3), [[1, 0], [0, 2]])
@prove(f32(2, 3), ((1, 0), (0, 2)), mode="constant", constant_values=2.0)
def pad(x: Tensor, pad_width, mode="constant", constant_values=None):
    """Values added before and after each axis."""
    return _pad(x, pad_width, mode, constant_values)


def _pad(x, pad_width, mode, constant_values):
    if mode != "constant":
        raise NotImplementedError(f"pad mode {mode}")
    widths = pairs(pad_width)
    flat = [w for pair in (widths * x.ndim if len(widths) == 1 else widths)[::-1] for w in pair]
    return F.pad(x, flat, value=0 if constant_values is None else constant_values)


@rule("tf.keras.ops.one_hot", returns="dtype")
@prove(array([0, 2, -1, 3], "int32"), 3)
@prove(array([[0], [2]], "int64"), num_classes=3, axis=0)
@prove(array([0, 2], "int32"), 3, dtype="int32")
def one_hot(x: Indices, num_classes, axis=-1, dtype=None, sparse=False):
    """Indices outside [0, num_classes) give zeros; the result is float32 unless told."""
    if axis == -1 and dtype is None:
        return (x.unsqueeze(-1) == torch.arange(num_classes, device=x.device)).to(torch.float32)
    return _one_hot(x, num_classes, axis, dtype)


def _one_hot(x, num_classes, axis, dtype):
    hit = x.unsqueeze(-1) == torch.arange(int(num_classes), device=x.device)
    return hit.to(torch.float32 if dtype is None else dtype).movedim(-1, axis)


@rule("tf.keras.ops.clip", returns="x")
@prove(f32(2, 3), -0.5, 0.5)
@prove(i32(5), x_min=-2, x_max=2)
def clip(x: Tensor, x_min, x_max):
    """Values moved into [x_min, x_max]."""
    return torch.clamp(x, min=x_min, max=x_max)


@rule("tf.keras.ops.relu", returns="x")
@prove(f32(2, 3))
def relu(x: Tensor):
    """max(x, 0)."""
    return F.relu(x)


@rule("tf.keras.ops.gelu", returns="x")
@prove(f32(2, 3))
@prove(f32(2, 3), approximate=False)
def gelu(x: Tensor, approximate=True):
    """GELU; Keras' default is the tanh form."""
    if approximate:
        return F.gelu(x, approximate="tanh")
    return F.gelu(x)


@rule("tf.keras.ops.stop_gradient", returns="variable")
@prove(f32(2, 3))
def stop_gradient(variable: Tensor):
    """The same values, through which no gradient flows."""
    return variable.detach()


@rule("tf.keras.ops.broadcast_to", returns="x")
@prove(f32(3), (2, 3))
def broadcast_to(x: Tensor, shape):
    """The tensor broadcast to a shape. The result is a view."""
    return torch.broadcast_to(x, ints(shape))


@rule("tf.keras.ops.size", returns="python")
@prove(f32(2, 3))
def size(x: Tensor):
    """The number of values as an int32 tensor."""
    return torch.tensor(x.numel(), dtype=torch.int32)


@rule("tf.keras.ops.slice", returns="inputs")
@prove(f32(3, 4), (0, 1), (2, 3))
@prove(f32(3, 4), start_indices=[1, 0], shape=[1, 4])
def slice(inputs: Tensor, start_indices, shape):
    """A block of a tensor."""
    return _slice(inputs, start_indices, shape)


def _slice(x, start, shape):
    for axis, (first, length) in enumerate(zip(ints(start), ints(shape), strict=True)):
        x = x.narrow(axis, first, x.shape[axis] - first if length == -1 else length)
    return x


@rule("tf.keras.ops.cond")
@prove(True, lambda: 1, lambda: 2)
def cond(pred, true_fn, false_fn):
    """The result of one of two functions."""
    return true_fn() if bool(pred) else false_fn()


@rule("tf.keras.ops.while_loop")
@prove(lambda i, x: i < 3, lambda i, x: (i + 1, x * 2.0), (array(0, "int32"), f32(2)))
def while_loop(cond, body, loop_vars, maximum_iterations=None):
    """``loop_vars = body(*loop_vars)`` while ``cond(*loop_vars)``."""
    state, count = structure.map_structure(to_tensor, loop_vars), 0
    while (maximum_iterations is None or count < maximum_iterations) and bool(cond(*state)):
        found = body(*state)
        state = structure.pack_sequence_as(loop_vars, [to_tensor(v) for v in structure.flatten(found)])
        count += 1
    return state


@rule("tf.keras.ops.floor", returns="x")
@prove(array([1.5, -1.5]), grad=False)
def floor(x: Tensor):
    """The largest integer not above x."""
    return torch.floor(x)


@rule("tf.keras.ops.sqrt", returns="x")
@prove(f32(4, low=0.1, high=3))
def sqrt(x: Tensor):
    """Square root."""
    return torch.sqrt(x)


@rule("tf.keras.ops.matmul", returns="tensor")
@prove(f32(2, 3), f32(3, 4))
@prove(f32(5, 2, 3), f32(5, 3, 1))
@prove(f32(2, 3), f32(3))
def matmul(x1: Tensor, x2: Tensor):
    """Matrix product, batch by batch."""
    return torch.matmul(x1, x2)
