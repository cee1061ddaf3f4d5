"""Shapes and the places of values: reshape, concat, split, transpose, pad, tile."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.compat.arguments import to_tensor
from tfport.compat.integers import ints, pairs
from tfport.rule import Tensor, Tensors, array, bf16, boolean, c64, f32, f64, i32, i64, prove, rule, u8


@rule("tf.reshape", "tf.keras.backend.reshape", returns="tensor", renamed={"x": "tensor"})
@prove(f32(2, 3, 4), [-1, 12])
@prove(f32(2, 3, 4), shape=[4, 6])
@prove(i32(6), (2, 3))
@prove(f32(1), [])
@prove(f32(), [1, 1])
@prove(f32(2, 3), array([3, 2], "int32"))
@prove(f32(2, 3), [array(3, "int32"), -1], grad=False)
@prove(f32(0, 3), [3, -1])
@prove(f32(2, 3), [-1])
@prove(f32(2, 3), -1)
@prove([1, 2, 3, 4], [2, 2])
@prove(f32(2, 3), [4, 2], raises=True)
def reshape(tensor: Tensor, shape, name=None):
    """The same values in another shape, in row-major order; one size may be -1."""
    if isinstance(shape, (list, tuple)):
        return torch.reshape(tensor, shape)
    return torch.reshape(tensor, ints(shape))


@rule("tf.concat", renamed={"concat_dim": "axis"}, returns="tensor")
@prove([f32(2, 3), f32(4, 3)], 0)
@prove([f32(2, 3), f32(2, 1)], axis=-1)
@prove((i32(2, 3, 1), i32(2, 3, 2)), axis=2)
@prove([f32(2, 3)], 1)
@prove([bf16(2), bf16(3)], 0)
@prove([f32(2, 3), f32(0, 3)], 0)
@prove([boolean(2), boolean(3)], axis=0)
@prove([f32(2, 3), f32(3, 3)], axis=1, raises=True)
def concat(values: Tensors, axis, name="concat"):
    """Values joined along an existing axis; they have one dtype."""
    return torch.cat(values, dim=axis)


@rule("tf.stack", "tf.pack", returns="tensor")
@prove([f32(2, 3), f32(2, 3, seed=1)])
@prove([f32(2, 3), f32(2, 3, seed=1)], axis=1)
@prove((i32(2), i32(2, seed=1), i32(2, seed=2)), axis=-1)
@prove([f32(), f32(seed=1)])
@prove([1, 2, 3])
@prove([i32(), 4, 5])
@prove([f32(), 4])
@prove([f32(2), f32(3)], raises=True)
def stack(values: Tensors, axis=0, name="stack"):
    """Values of one shape joined along a new axis."""
    return torch.stack(values, dim=axis)


@rule("tf.unstack", "tf.unpack")
@prove(f32(3, 2))
@prove(f32(3, 2), axis=1)
@prove(i32(2, 3, 4), num=4, axis=-1)
@prove(f32(2, 0))
@prove([1, 2, 3])
def unstack(value: Tensor, num=None, axis=0, name="unstack"):
    """The slices of a tensor along an axis, which is dropped: torch's unbind, a tuple where TensorFlow has a list."""
    return torch.unbind(value, dim=axis)


@rule("tf.split", renamed={"split_dim": "axis", "num_split": "num_or_size_splits"})
@prove(f32(6, 2), 3)
@prove(f32(4, 6), 3, axis=1)
@prove(f32(4, 6), num_or_size_splits=[1, 2, 3], axis=-1)
@prove(f32(4, 6), [1, -1, 2], 1)
@prove(i32(2, 4), 4, -1)
@prove(f32(4, 6), array([2, 4], "int32"), axis=1)
@prove(f32(0, 6), 3, axis=1)
@prove(f32(0, 2), 3)
@prove(f32(5), 1)
@prove(f32(4, 6), (4, 2), axis=1, num=2)
def split(value: Tensor, num_or_size_splits, axis=0, num=None, name="split"):
    """An int counts the pieces (torch.split's is their size); a list gives the sizes, one of which may be -1."""
    if isinstance(num_or_size_splits, int):
        return torch.chunk(value, num_or_size_splits, dim=axis)
    if isinstance(num_or_size_splits, (list, tuple)) and -1 not in num_or_size_splits:
        return torch.split(value, num_or_size_splits, dim=axis)  # type: ignore[arg-type]
    return _split(value, num_or_size_splits, axis)


def _split(value, sizes, axis):
    axis = int(axis)
    if not isinstance(sizes, list | tuple) and to_tensor(sizes).ndim == 0:
        return list(torch.chunk(value, int(sizes), dim=axis))
    sizes = ints(sizes)
    rest = value.shape[axis] - sum(s for s in sizes if s >= 0)
    return list(torch.split(value, [rest if s == -1 else s for s in sizes], dim=axis))


@rule("tf.squeeze", renamed={"squeeze_dims": "axis"}, returns="input")
@prove(f32(1, 3, 1))
@prove(f32(1, 3, 1), 0)
@prove(f32(1, 3, 1), axis=-1)
@prove(f32(1, 3, 1, 1), axis=[0, 2])
@prove(f32(1, 3, 1), axis=[])
@prove(f32(1, 3, 1), axis=(0, -1))
@prove(i32(1))
@prove(f32(2, 3))
def squeeze(input: Tensor, axis=None, name=None):
    """Axes of size 1 dropped: all, or those of ``axis``. TensorFlow raises where one of them has another size,
    torch keeps it; a program that runs in TensorFlow does not see the difference."""
    if axis is None or axis == [] or axis == ():
        return torch.squeeze(input)
    return torch.squeeze(input, dim=axis)


@rule(
    "tf.expand_dims", "tf.keras.backend.expand_dims", renamed={"dim": "axis", "x": "input"}, returns="input"
)
@prove(f32(2, 3), 0)
@prove(f32(2, 3), axis=-1)
@prove(i32(2, 3), axis=1)
@prove(f32(), 0)
@prove(f32(0, 3), axis=-2)
@prove([1.0, 2.0], 1)
@prove(3, 0)
@prove(f32(2, 3), axis=[-1])
@prove(f32(2, 3), [1])
def expand_dims(input: Tensor, axis=-1, name=None):
    """A new axis of size 1. The axis may stand in a list of one."""
    if isinstance(axis, (list, tuple)):
        return torch.unsqueeze(input, axis[0])
    return torch.unsqueeze(input, axis)


@rule("tf.transpose", returns="a")
@prove(f32(2, 3))
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), [0, 2, 1])
@prove(f32(2, 3, 4, 5), perm=(3, 1, 2, 0))
@prove(i32(2, 3, 4), [1, -1, 0])
@prove(f32(3))
@prove(f32())
@prove(f32(1, 2, 1, 2, 3), [4, 3, 2, 1, 0])
@prove(f32(2, 3), array([1, 0], "int32"))
@prove(c64(2, 3), conjugate=True, grad=False)
@prove(c64(2, 3), perm=[1, 0], conjugate=True, grad=False)
def transpose(a: Tensor, perm=None, conjugate=False, name="transpose"):
    """Axes in the order ``perm``; without it all axes reversed."""
    if isinstance(perm, (list, tuple)) and conjugate is False:
        return torch.permute(a, perm)
    if perm is None and conjugate is False and a.ndim == 2:
        return a.T
    return _transpose(a, perm, conjugate)


def _transpose(a, perm, conjugate):
    order = list(range(a.ndim))[::-1] if perm is None else ints(perm)
    moved = a.permute(order)
    return moved.conj().resolve_conj() if conjugate and a.is_complex() else moved


@rule("tf.linalg.matrix_transpose", "tf.matrix_transpose", returns="a")
@prove(f32(2, 3))
@prove(f32(4, 2, 3))
@prove(c64(2, 3), conjugate=True, grad=False)
def matrix_transpose(a: Tensor, name="matrix_transpose", conjugate=False):
    """The last two axes swapped."""
    if conjugate is False:
        return a.mT
    return _conjugated(a)


def _conjugated(a):
    return a.mT.conj().resolve_conj() if a.is_complex() else a.mT


@rule("tf.tile", renamed={"x": "input", "n": "multiples"}, returns="input")
@prove(f32(2, 3), [1, 2])
@prove(i32(3), multiples=(4,))
@prove(f32(2, 3), [0, 2])
@prove(f32(2, 1, 3), array([2, 3, 1], "int32"))
@prove(boolean(2), [3])
@prove(f32(), [])
def tile(input: Tensor, multiples, name=None):
    """The tensor repeated along every axis."""
    if isinstance(multiples, (list, tuple)):
        return torch.tile(input, multiples)
    return torch.tile(input, ints(multiples))


@rule("tf.repeat", returns="input")
@prove(f32(2, 3), 2)
@prove(f32(2, 3), 2, axis=0)
@prove(f32(2, 3), repeats=[1, 0, 2], axis=1)
@prove(f32(2, 3), [2], axis=-1)
@prove(i32(2, 3), array([3, 1], "int32"), axis=0)
@prove(f32(2, 3), array(2, "int32"))
@prove(5, 3)
@prove(f32(3), [1, 2, 3])
def repeat(input: Tensor, repeats, axis=None, name=None):
    """Each value repeated in place, as torch.repeat_interleave (torch's ``repeat`` is tf.tile)."""
    if isinstance(repeats, int):
        return torch.repeat_interleave(input, repeats, dim=axis)
    return _repeat(input, repeats, axis)


def _repeat(tensor, repeats, axis):
    counts = to_tensor(repeats).to(tensor.device)
    if axis is None:
        tensor, axis = tensor.reshape(-1), 0
    return torch.repeat_interleave(tensor, counts.expand(tensor.shape[axis]), dim=axis)


@rule("tf.reverse", "tf.reverse_v2", "tf.keras.backend.reverse", renamed={"dims": "axis", "x": "tensor", "axes": "axis"},
      returns="tensor")  # fmt: skip
@prove(f32(2, 3), [0])
@prove(f32(2, 3), axis=[-1, 0])
@prove(i32(2, 3, 4), [1])
@prove(f32(2, 3), [])
@prove(boolean(4), axis=(0,))
@prove(f32(2, 3), array([1], "int32"))
def reverse(tensor: Tensor, axis, name=None):
    """The order of the values along the axes reversed."""
    if isinstance(axis, (list, tuple)):
        return torch.flip(tensor, axis)
    return torch.flip(tensor, ints(axis))


@rule("tf.roll", "tf.manip.roll", returns="input")
@prove(f32(4, 3), 1, 0)
@prove(f32(4, 3), shift=[1, -2], axis=[0, 1])
@prove(i32(5), -7, axis=-1)
@prove(f32(4, 3), [1, 1], [1, 1])
@prove(f32(4, 3), array(2, "int32"), 1)
def roll(input: Tensor, shift, axis, name=None):
    """The values moved along the axes, those that fall off come in at the other end."""
    if isinstance(shift, (int, list, tuple)) and isinstance(axis, (int, list, tuple)):
        return torch.roll(input, shift, axis)
    return torch.roll(input, ints(shift), ints(axis))


@rule("tf.broadcast_to", returns="input")
@prove(f32(3), [2, 3])
@prove(f32(2, 1), shape=(4, 2, 3))
@prove(i32(), [2])
@prove(f32(3), array([2, 3], "int32"))
@prove(2.0, [2, 2])
@prove(f32(3), [2, 4], raises=True)
def broadcast_to(input: Tensor, shape, name=None):
    """The tensor broadcast to a shape. The result is a view."""
    if isinstance(shape, (list, tuple)):
        return torch.broadcast_to(input, shape)
    return torch.broadcast_to(input, ints(shape))


@rule("tf.pad", returns="tensor", version=2)
@prove(f32(2, 3), [[1, 0], [0, 2]])
@prove(f32(2, 4, 3, 1), [[0, 0], [1, 1], [2, 3], [0, 0]])
@prove(f32(2, 3, 4), paddings=[[0, 0], [3, 3], [0, 0]], constant_values=-1.5)
@prove(i32(3), [[2, 1]], constant_values=7)
@prove(f32(1, 2, 1, 2, 1), [[1, 0], [0, 1], [1, 1], [0, 0], [2, 0]])
@prove(f32(3, 4), [[2, 2], [1, 3]], "REFLECT")
@prove(f32(3, 4), [[3, 2], [1, 4]], mode="SYMMETRIC")
@prove(f32(1, 5, 4, 2), [[0, 0], [3, 3], [2, 1], [0, 0]], mode="reflect")
@prove(i64(4), ((1, 2),), mode="SYMMETRIC")
@prove(f32(2, 3), array([[1, 0], [0, 2]], "int32"))
@prove(f32(2, 3), array([[1, 0], [0, 2]], "int32"), constant_values=f32())
@prove(boolean(3), [[1, 1]])
@prove(f32(3), [[3, 0]], mode="REFLECT", raises=True)
@prove(bf16(2, 2), [[0, 0], [1, 0]])
def pad(tensor: Tensor, paddings, mode="CONSTANT", constant_values=0, name=None):
    """Values added before and after each axis; F.pad lists the pairs from the last axis on. SYMMETRIC repeats the
    edge itself, REFLECT does not; torch has no twin for the first, and for the second on few ranks only."""
    if (
        mode == "CONSTANT"
        and isinstance(paddings, (list, tuple))
        and isinstance(constant_values, (int, float))
    ):
        first = paddings[0]
        last = paddings[-1]
        if len(paddings) == 4 and first[0] == 0 and first[1] == 0 and last[0] == 0 and last[1] == 0:
            middle = (0, 0, paddings[2][0], paddings[2][1], paddings[1][0], paddings[1][1])
            if constant_values == 0:
                return F.pad(tensor, middle)
            return F.pad(tensor, middle, value=constant_values)
        widths = tuple(paddings)[::-1]
        if len(paddings) == 1:
            return F.pad(tensor, (last[0], last[1]), value=constant_values)
        if len(paddings) == 2:
            return F.pad(tensor, (last[0], last[1], first[0], first[1]), value=constant_values)
        if len(paddings) == 3:
            return F.pad(
                tensor,
                (last[0], last[1], widths[1][0], widths[1][1], first[0], first[1]),
                value=constant_values,
            )
    return _pad(tensor, paddings, mode, constant_values)


def _pad(tensor, paddings, mode, constant_values):
    widths = pairs(paddings)
    if mode.upper() == "CONSTANT":
        flat = [w for pair in widths[::-1] for w in pair]
        if not isinstance(constant_values, torch.Tensor):
            return F.pad(tensor, flat, value=constant_values)
        inside = F.pad(torch.ones_like(tensor, dtype=torch.bool), flat)
        return torch.where(inside, F.pad(tensor, flat), constant_values.detach().to(tensor.dtype))
    edge = 1 if mode.upper() == "SYMMETRIC" else 0
    for axis, (before, after) in enumerate(widths):
        size = tensor.shape[axis]
        if max(before, after) > size - 1 + edge:
            raise ValueError(f"{mode} padding {before, after} of axis {axis} goes beyond its size {size}")
        if before or after:
            place = torch.arange(-before, size + after, device=tensor.device)
            place = torch.where(place < 0, -place - edge, place)
            place = torch.where(place >= size, 2 * size - 2 + edge - place, place)
            tensor = tensor.index_select(axis, place)
    return tensor


@rule("tf.compat.v1.pad", "tf.pad", returns="tensor", version=1)
@prove(f32(2, 3), [[1, 0], [0, 2]])
@prove(f32(2, 4, 3, 1), [[0, 0], [1, 1], [2, 3], [0, 0]], constant_values=2)
@prove(f32(2, 3, 4), [[0, 0], [3, 3], [0, 0]], "CONSTANT", "padded", -1.5)
@prove(f32(3, 4), [[2, 2], [1, 3]], "REFLECT")
@prove(f32(1, 5, 4, 2), [[0, 0], [3, 3], [2, 1], [0, 0]], mode="SYMMETRIC")
@prove(i32(3), [[2, 1]])
@prove(f32(2, 3), array([[1, 0], [0, 2]], "int32"))
def pad_v1(tensor: Tensor, paddings, mode="CONSTANT", name=None, constant_values=0):
    """tf.pad with TensorFlow 1's order of arguments."""
    if (
        mode == "CONSTANT"
        and isinstance(paddings, (list, tuple))
        and isinstance(constant_values, (int, float))
    ):
        first = paddings[0]
        last = paddings[-1]
        if len(paddings) == 4 and first[0] == 0 and first[1] == 0 and last[0] == 0 and last[1] == 0:
            middle = (0, 0, paddings[2][0], paddings[2][1], paddings[1][0], paddings[1][1])
            if constant_values == 0:
                return F.pad(tensor, middle)
            return F.pad(tensor, middle, value=constant_values)
        widths = tuple(paddings)[::-1]
        if len(paddings) == 1:
            return F.pad(tensor, (last[0], last[1]), value=constant_values)
        if len(paddings) == 2:
            return F.pad(tensor, (last[0], last[1], first[0], first[1]), value=constant_values)
        if len(paddings) == 3:
            return F.pad(
                tensor,
                (last[0], last[1], widths[1][0], widths[1][1], first[0], first[1]),
                value=constant_values,
            )
    return _pad(tensor, paddings, mode, constant_values)


@rule("tf.shape", returns="out_type")
@prove(f32(2, 3))
@prove(f32())
@prove(f32(0, 3), out_type=torch.int64)
@prove([[1, 2]])
def shape(input: Tensor, out_type=torch.int32, name=None):
    """The shape as an int32 tensor."""
    return torch.tensor(input.shape, dtype=out_type)


@rule("tf.shape_n", returns=None)
@prove([f32(2, 3), f32(4)])
def shape_n(input, out_type=torch.int32, name=None):
    """The shapes of several tensors as int32 tensors."""
    return [torch.tensor(t.shape, dtype=out_type) for t in input]


@rule("tf.size", returns="out_type")
@prove(f32(2, 3))
@prove(f32())
@prove(f32(0, 3), out_type=torch.int64)
@prove([1, 2])
def size(input: Tensor, out_type=torch.int32, name=None):
    """The number of values as an int32 tensor."""
    return torch.tensor(input.numel(), dtype=out_type)


@rule("tf.rank", returns="int32")
@prove(f32(2, 3))
@prove(f32())
@prove(i32(1, 2, 1, 1, 1))
@prove([1, 2])
def rank(input: Tensor, name=None):
    """The number of axes as an int32 tensor."""
    return torch.tensor(input.ndim, dtype=torch.int32)


@rule("tf.identity", returns="input")
@prove(f32(2, 3))
@prove(i32(2))
@prove(3)
def identity(input: Tensor, name=None):
    """A copy: what is assigned to a variable later does not show in it."""
    return torch.clone(input)


@rule("tf.stop_gradient", returns="input")
@prove(f32(2, 3))
@prove(i32(2))
@prove(f64(2))
def stop_gradient(input: Tensor, name=None):
    """The same values, through which no gradient flows."""
    return input.detach()


@rule("tf.ensure_shape", returns="x")
@prove(f32(2, 3), [2, 3])
@prove(f32(2, 3), [None, 3])
@prove(f32(2, 3), None)
@prove(u8(2, 3), [2, 4], raises=True)
@prove(f32(2, 3), [2], raises=True)
def ensure_shape(x: Tensor, shape, name=None):
    """The tensor, if its shape is ``shape`` (None fits every size); else ValueError."""
    return _ensure_shape(x, shape)


def _ensure_shape(x, shape):
    if shape is not None:
        wanted = list(shape)
        fits = len(wanted) == x.ndim and all(
            w is None or int(w) == s for w, s in zip(wanted, x.shape, strict=True)
        )
        if not fits:
            raise ValueError(f"shape {tuple(x.shape)} is not {tuple(wanted)}")
    return x
