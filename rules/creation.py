"""Tensors made from numbers: constants, fills, ranges, masks."""

from __future__ import annotations

import math

import numpy as np
import torch

from tfport.compat.arguments import literal_dtype, takes, to_tensor
from tfport.compat.integers import ints
from tfport.rule import Indices, Operand, Tensor, array, boolean, f32, i32, i64, prove, rule


@rule("tf.zeros", returns="dtype")
@prove([2, 3])
@prove((2, 3), dtype=torch.int32)
@prove([])
@prove(3)
@prove([0, 2], dtype=torch.bool)
@prove(array([2, 3], "int32"))
@prove([2, 1], torch.bfloat16)
def zeros(shape, dtype=torch.float32, name=None, layout=None):
    """Zeros of a shape. The dtype is float32 unless given, whatever torch's default dtype."""
    if isinstance(shape, (list, tuple)):
        return torch.zeros(shape, dtype=dtype)
    return torch.zeros(ints(shape), dtype=dtype)


@rule("tf.ones", returns="dtype")
@prove([2, 3])
@prove((2, 3), dtype=torch.int64)
@prove([])
@prove(4)
@prove([3, 0], dtype=torch.bool)
@prove(array([2, 3], "int64"), dtype=torch.float64)
def ones(shape, dtype=torch.float32, name=None, layout=None):
    """Ones of a shape. The dtype is float32 unless given, whatever torch's default dtype."""
    if isinstance(shape, (list, tuple)):
        return torch.ones(shape, dtype=dtype)
    return torch.ones(ints(shape), dtype=dtype)


@rule("tf.fill", returns="value")
@prove([2, 3], 1.5)
@prove([2, 3], 7)
@prove([2], True)
@prove([], 2)
@prove(3, 1.0)
@prove(array([2, 2], "int32"), -1)
@prove([2, 3], f32())
@prove(dims=(0, 2), value=i64())
def fill(dims, value: Operand, name=None, layout=None):
    """A tensor of one value: a Python int gives int32, a float float32. A tensor value carries its gradient."""
    if isinstance(dims, (list, tuple)):
        if isinstance(value, bool):
            return torch.full(dims, value)
        if isinstance(value, float):
            return torch.full(dims, value)
        if isinstance(value, int):
            return torch.full(dims, value, dtype=torch.int32)
    return _fill(dims, value)


def _fill(dims, value):
    return to_tensor(value).expand(ints(dims)).clone()


@rule("tf.zeros_like", "tf.keras.backend.zeros_like", "tf.keras.ops.zeros_like",
      renamed={"tensor": "input", "x": "input"}, returns="dtype|input")  # fmt: skip
@prove(f32(2, 3))
@prove(i32(2, 3), dtype=torch.float32)
@prove(boolean(3))
@prove(f32(0, 3), dtype=torch.int64)
def zeros_like(input: Tensor, dtype=None, name=None, layout=None, optimize=True):
    """Zeros of a tensor's shape and, unless given, its dtype."""
    return torch.zeros_like(input, dtype=dtype)


@rule("tf.ones_like", "tf.keras.backend.ones_like", "tf.keras.ops.ones_like",
      renamed={"tensor": "input", "x": "input"}, returns="dtype|input")  # fmt: skip
@prove(f32(2, 3))
@prove(i32(2, 3), dtype=torch.float32)
@prove(boolean(3))
@prove(f32())
def ones_like(input: Tensor, dtype=None, name=None, layout=None, optimize=True):
    """Ones of a tensor's shape and, unless given, its dtype."""
    return torch.ones_like(input, dtype=dtype)


@rule("tf.eye", "tf.linalg.eye", returns="dtype")
@prove(3)
@prove(2, 4)
@prove(3, dtype=torch.int32)
@prove(2, 3, batch_shape=[4, 1])
@prove(0)
def eye(num_rows, num_columns=None, batch_shape=None, dtype=torch.float32, name=None):
    """The identity matrix, repeated over ``batch_shape``."""
    if batch_shape is not None:
        return _eye(num_rows, num_columns, batch_shape, dtype)
    if num_columns is None:
        return torch.eye(num_rows, dtype=dtype)
    return torch.eye(num_rows, num_columns, dtype=dtype)


def _eye(rows, columns, batch, dtype):
    matrix = torch.eye(int(rows), int(rows if columns is None else columns), dtype=dtype)
    return matrix.expand(*ints(batch), *matrix.shape).clone()


@rule("tf.constant", returns="dtype|value")
@prove(3)
@prove(2**40)
@prove([[1, -(2**31) - 1]])
@prove([2**40, 0.5])
@prove(2.5)
@prove(True)
@prove([1, 2])
@prove([1, 2.5])
@prove([True, False])
@prove([[1.5, 2.0], [3.0, 4.0]])
@prove(((1, 2), (3, 4)))
@prove([[], []])
@prove([[1, 2], [3, 4]], dtype=torch.float32)
@prove([[0.1, 0.2]], torch.float64)
@prove(0.0, shape=[2, 2])
@prove(7, dtype=torch.float32, shape=[3])
@prove([1.0, 2.0, 3.0, 4.0], shape=[2, 2])
@prove([])
@prove(math.nan)
@prove(array([1, 2], "int64"), dtype=torch.int64)
@prove(1.5, torch.int32, raises=True)
@prove([1, 2.5], dtype=torch.int32, raises=True)
@prove(1, torch.bool, raises=True)
@prove(True, torch.float32)
@prove(300, dtype=torch.uint8)
@prove([[-1, 200, 256]], dtype=torch.uint8)
@prove([-129, 128], dtype=torch.int8)
@prove(70000, torch.int16)
@prove([2**40], dtype=torch.int32)
def constant(value, dtype=None, shape=None, name="Const", verify_shape=False):
    """A constant: Python floats are float32, ints int32; arrays keep their dtype. A single value fills ``shape``."""
    if shape is None:
        if isinstance(value, (bool, float)) and dtype is None:
            return torch.tensor(value)
        if isinstance(value, int) and dtype is None:
            return torch.tensor(value, dtype=literal_dtype(value))
        if literal_dtype(value) == torch.int32 and dtype in (
            torch.float32, torch.float64, torch.int64, torch.int32, torch.float16
        ):  # fmt: skip
            return torch.tensor(value, dtype=dtype)
        if literal_dtype(value) == torch.int32 and dtype in (torch.int16, torch.int8, torch.uint8):
            return torch.tensor(value).to(dtype)  # wraps around, where torch.tensor raises
        if literal_dtype(value) == torch.float32 and dtype in (torch.float32, torch.float64, torch.float16):
            return torch.tensor(value, dtype=dtype)
        if literal_dtype(value) == dtype and dtype is not None:
            return torch.tensor(value, dtype=dtype)
        if dtype is not None:
            return _constant(value, dtype, shape)
        if literal_dtype(value) == torch.float32:
            return torch.tensor(value)
        if literal_dtype(value) is not None:
            return torch.tensor(value, dtype=literal_dtype(value))
    return _constant(value, dtype, shape)


def _constant(value, dtype=None, shape=None):
    made = to_tensor(value, dtype)
    plain = isinstance(value, (bool, int, float, list, tuple))
    if dtype is not None and plain and not takes(dtype, to_tensor(value).dtype):
        raise TypeError(f"{value!r} is no {dtype} to TensorFlow: cast it")
    if dtype is not None:
        made = made.to(dtype)
    if not isinstance(value, torch.Tensor):
        made = made.clone()  # TensorFlow copies arrays
    if shape is None:
        return made
    return made.expand(ints(shape)).clone() if made.numel() == 1 else made.reshape(ints(shape))


@rule("tf.convert_to_tensor",

      renamed={"preferred_dtype": "dtype_hint"}, returns="dtype|value")  # fmt: skip
@prove(f32(2, 3))
@prove(i64(2, 3), dtype=torch.int64)
@prove([1, 2])
@prove([1, 2.5])
@prove([[1, 2]], dtype=torch.float32)
@prove(3)
@prove(3, torch.float64)
@prove([f32(2), f32(2, seed=1)])
@prove([f32(), 1.0])
@prove(True)
def convert_to_tensor(value: Operand, dtype=None, dtype_hint=None, name=None, sparse=None, ragged=None):
    """A tensor is returned as it is, a variable's values as they are now; numbers, lists and arrays are copied, floats as
    float32, ints as int32."""
    if isinstance(value, torch.nn.Parameter) and dtype is None:
        return value.clone()
    if torch.is_tensor(value):
        return value if dtype is None else _same(value, dtype)
    if isinstance(value, (bool, float)) and dtype is None:
        return torch.tensor(value)
    if isinstance(value, int) and dtype is None:
        return torch.tensor(value, dtype=literal_dtype(value))
    if literal_dtype(value) == torch.float32 and dtype is None:
        return torch.tensor(value)
    if literal_dtype(value) is not None and dtype is None:
        return torch.tensor(value, dtype=literal_dtype(value))
    return _constant(value, dtype)


def _same(tensor, dtype):
    if tensor.dtype != dtype:
        raise ValueError(
            f"the tensor is {tensor.dtype}, {dtype} was asked for; TensorFlow does not cast here"
        )
    return tensor


@rule("tf.range", returns="tensor")
@prove(5)
@prove(2, 7)
@prove(0, 10, 3)
@prove(5, 0, -2)
@prove(5.0)
@prove(0, 1, 0.25)
@prove(0.0, 0.9, 0.3)
@prove(3, dtype=torch.float32)
@prove(0)
@prove(start=1, limit=6, delta=2, dtype=torch.int64)
@prove(i32(low=3, high=4))
@prove(i64(low=0, high=1), i64(low=4, high=5))
@prove(array(3.5))
def range(start, limit=None, delta=1, dtype=None, name="range"):
    """A half-open range. Python ints give int32, and the number of float steps is computed in float32."""
    if isinstance(start, int) and isinstance(delta, int) and limit is None and dtype is None:
        return torch.arange(start, dtype=torch.int32)
    if isinstance(start, int) and isinstance(limit, int) and isinstance(delta, int) and dtype is None:
        if delta == 1:
            return torch.arange(start, limit, dtype=torch.int32)
        return torch.arange(start, limit, delta, dtype=torch.int32)
    return _range(start, limit, delta, dtype)


def _range(start, limit, delta, dtype):
    if limit is None:
        start, limit = 0, start
    given = [start, limit, delta]
    parts = [to_tensor(v, dtype) for v in given]
    if dtype is None:
        order = [torch.int32, torch.int64, torch.float32, torch.float64]
        dtype = max((p.dtype for p in parts), key=lambda d: order.index(d) if d in order else 2)
    device = next((v.device for v in given if isinstance(v, torch.Tensor)), None)
    first, last, step = (np.asarray(p.detach().to(dtype).cpu())[()] for p in parts)
    if step == 0 or (last - first) * (1 if step > 0 else -1) < 0:
        raise ValueError(f"tf.range({first}, {last}, {step}) does not reach its limit")
    count = (
        math.ceil(abs((last - first) / step)) if dtype.is_floating_point else len(_steps(first, last, step))
    )
    return (torch.arange(count, device=device) * step + first).to(dtype)


def _steps(first, last, step):
    return np.arange(int(first), int(last), int(step))


@rule("tf.linspace", "tf.lin_space", returns="tensor")
@prove(0.0, 1.0, 5)
@prove(0, 10, 4)
@prove(-1.0, 1.0, 1)
@prove(f32(2), f32(2, seed=1), 4)
@prove(f32(2), f32(2, seed=1), 3, axis=-1)
@prove(f32(), 2.0, num=7)
@prove(array(0.0, "float64"), array(3.0, "float64"), 6)
def linspace(start, stop, num, name=None, axis=0):
    """``num`` evenly spaced values, both ends included; integer ends give float64."""
    if isinstance(start, float) and isinstance(stop, (int, float)) and axis == 0:
        return torch.linspace(start, stop, num)
    return _linspace(start, stop, int(num), int(axis))


def _linspace(start, stop, num, axis):
    first = to_tensor(start, stop.dtype if isinstance(stop, torch.Tensor) else None)
    last = to_tensor(stop, first.dtype, first.device)
    if not first.is_floating_point():
        first, last = first.double(), last.double()
    first, last = torch.broadcast_tensors(first, last)
    axis = axis + first.ndim + 1 if axis < 0 else axis
    steps = torch.arange(num, dtype=first.dtype, device=first.device) / max(num - 1, 1)
    steps = steps.reshape([-1] + [1] * (first.ndim - axis))
    first, last = first.unsqueeze(axis), last.unsqueeze(axis)
    return torch.where(steps == 1, last, first + (last - first) * steps) if num > 1 else first + 0 * steps


@rule("tf.one_hot", returns="dtype|on_value")
@prove(i32(4, low=0, high=3), 3)
@prove(array([0, -1, 2, 5], "int64"), 3)
@prove(i32(2, 3, low=0, high=4), depth=4, axis=1)
@prove(i32(2, 3, low=0, high=4), 4, axis=0, dtype=torch.int32)
@prove(array([0, 2, -1], "int32"), 3, on_value=5.0, off_value=-1.0)
@prove(array([0, 2, -1], "int32"), 3, on_value=5, off_value=-1)
@prove(array([0, 2], "int32"), 3, on_value=True, off_value=False, dtype=torch.bool)
@prove(array(1, "int32"), 3)
@prove(array([1, 0], "uint8"), 2, on_value=2.0)
@prove([0, 1, 2], 3)
@prove(indices=1, depth=2, dtype=torch.float64)
@prove(i64(0), 3)
@prove(i32(2, 3, low=0, high=4), 4, dtype=torch.float16)
def one_hot(indices: Indices, depth, on_value=None, off_value=None, axis=None, dtype=None, name=None):
    """Indices outside [0, depth) give a row of zeros, and the result is float32; F.one_hot raises and is int64."""
    if on_value is None and off_value is None and axis is None:
        if dtype is None:
            return (indices.unsqueeze(-1) == torch.arange(depth, device=indices.device)).to(torch.float32)
        return (indices.unsqueeze(-1) == torch.arange(depth, device=indices.device)).to(dtype)
    if on_value is None and off_value is None and axis == -1:
        if dtype is None:
            return (indices.unsqueeze(-1) == torch.arange(depth, device=indices.device)).to(torch.float32)
        return (indices.unsqueeze(-1) == torch.arange(depth, device=indices.device)).to(dtype)
    return _one_hot(indices, depth, on_value, off_value, -1 if axis is None else axis, dtype)


def _one_hot(indices, depth, on_value, off_value, axis, dtype):
    if dtype is None:
        known = on_value if on_value is not None else off_value
        dtype = torch.float32 if known is None else to_tensor(known).dtype
    on = to_tensor(1 if on_value is None else on_value).to(indices.device, dtype)
    off = to_tensor(0 if off_value is None else off_value).to(indices.device, dtype)
    hit = indices.unsqueeze(-1) == torch.arange(int(depth), device=indices.device)
    return torch.where(hit, on, off).movedim(-1, axis)


@rule("tf.sequence_mask", returns="dtype")
@prove(array([1, 3, 0], "int32"))
@prove(array([1, 3, 0], "int32"), 2)
@prove(array([[1, 3], [2, 0]], "int64"), maxlen=4, dtype=torch.float32)
@prove(array([2, 1], "int32"), dtype=torch.int32)
@prove([1, 2], 3)
@prove(array(2, "int32"), 4)
@prove(array([2, 1], "int32"), array(5, "int32"))
@prove(i32(0))
def sequence_mask(lengths: Indices, maxlen=None, dtype=torch.bool, name=None):
    """True at the first ``lengths`` places of a new last axis of size ``maxlen`` (the longest length if None)."""
    if maxlen is None:
        return _sequence_mask(lengths, dtype)
    if dtype == torch.bool:
        return torch.arange(maxlen, device=lengths.device) < lengths.unsqueeze(-1)
    return (torch.arange(maxlen, device=lengths.device) < lengths.unsqueeze(-1)).to(dtype)


def _sequence_mask(lengths, dtype):
    longest = max(int(lengths.max()), 0) if lengths.numel() else 0
    return (torch.arange(longest, device=lengths.device) < lengths.unsqueeze(-1)).to(dtype)


@rule("tf.meshgrid", "tf.keras.ops.meshgrid")
@prove(f32(3), f32(2))
@prove(f32(3), f32(2), indexing="ij")
@prove(i32(2), i32(3), i32(4))
@prove(i32(2), i32(3), i32(4), indexing="ij")
@prove([1.0, 2.0], [3.0, 4.0, 5.0])
@prove(f32(3))
def meshgrid(*args, indexing="xy", name=None):
    """Coordinate grids; the first two axes are swapped by default ("xy"), unlike torch's default."""
    axes = [to_tensor(a).reshape(-1) for a in args]
    rank = len(axes)
    places = np.arange(rank).tolist()
    if indexing == "xy" and rank > 1:
        places[:2] = [1, 0]
    shape = [1] * rank
    for axis, place in zip(axes, places, strict=True):
        shape[place] = axis.numel()
    grids = []
    for axis, place in zip(axes, places, strict=True):
        own = [1] * rank
        own[place] = -1
        grids.append(axis.reshape(own).expand(shape).clone())
    return grids
