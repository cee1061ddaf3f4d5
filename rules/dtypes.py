"""dtypes, casts and the constants that stand for them."""

from __future__ import annotations

import numpy as np
import torch

from tfport.compat import dtypes as _names
from tfport.rule import Tensor, array, boolean, c64, f32, f64, i8, i32, i64, prove, rule, u8

CONSTANTS = {
    "tf.float16": torch.float16,
    "tf.half": torch.float16,
    "tf.bfloat16": torch.bfloat16,
    "tf.float32": torch.float32,
    "tf.float64": torch.float64,
    "tf.double": torch.float64,
    "tf.int8": torch.int8,
    "tf.int16": torch.int16,
    "tf.int32": torch.int32,
    "tf.int64": torch.int64,
    "tf.uint8": torch.uint8,
    "tf.uint16": torch.uint16,
    "tf.uint32": torch.uint32,
    "tf.uint64": torch.uint64,
    "tf.bool": torch.bool,
    "tf.complex64": torch.complex64,
    "tf.complex128": torch.complex128,
    "tf.dtypes.float16": torch.float16,
    "tf.dtypes.half": torch.float16,
    "tf.dtypes.bfloat16": torch.bfloat16,
    "tf.dtypes.float32": torch.float32,
    "tf.dtypes.float64": torch.float64,
    "tf.dtypes.double": torch.float64,
    "tf.dtypes.int8": torch.int8,
    "tf.dtypes.int16": torch.int16,
    "tf.dtypes.int32": torch.int32,
    "tf.dtypes.int64": torch.int64,
    "tf.dtypes.uint8": torch.uint8,
    "tf.dtypes.uint16": torch.uint16,
    "tf.dtypes.uint32": torch.uint32,
    "tf.dtypes.uint64": torch.uint64,
    "tf.dtypes.bool": torch.bool,
    "tf.dtypes.complex64": torch.complex64,
    "tf.dtypes.complex128": torch.complex128,
    "tf.newaxis": None,
}


@rule("tf.cast", "tf.dtypes.cast", "tf.keras.backend.cast", "tf.keras.ops.cast",
      returns="dtype")  # fmt: skip
@prove(f32(2, 3), torch.int32)
@prove(f32(2, 3, low=-300, high=300), dtype=torch.uint8)
@prove(array([np.nan, np.inf, -np.inf, 3e9, -1e20, -1.5]), torch.int32)
@prove(array([np.nan, 2.5, 1e20, -1e20]), torch.int64)
@prove(array([np.nan, 0.0, -0.0, 0.1]), torch.bool)
@prove(i32(4), torch.float32)
@prove(i64(2, 2, low=-(2**40), high=2**40), torch.int32)
@prove(boolean(5), torch.float32)
@prove(f32(2, 3), torch.float64)
@prove(f64(2, 3), torch.float16, rtol=1e-3)
@prove(f32(2, 3), torch.bfloat16, rtol=1e-2)
@prove(c64(3), torch.float32, grad=False)
@prove(f32(3), torch.complex64, grad=False)
@prove(True, torch.float32)
@prove([1, 2], "float32")
@prove(i32(3), "float32")
@prove(f32(3), dtype="int32")
@prove(f32(2), torch.float32)
@prove(f32(0, 2), torch.int64)
def cast(x: Tensor, dtype, name=None):
    """Conversion to a dtype, toward zero from float to int. NaN and values out of range give on CPU what the
    processor gives, in both frameworks; on GPU TensorFlow and torch each saturate in their own way."""
    return x.to(dtype)


@rule("tf.to_float", returns="float32")
@prove(i32(2, 3))
@prove(f64(3))
@prove(boolean(3))
def to_float(x: Tensor, name="ToFloat"):
    """Conversion to float32."""
    return x.to(torch.float32)


@rule("tf.to_double", returns="float64")
@prove(i32(2, 3))
@prove(f32(3))
def to_double(x: Tensor, name="ToDouble"):
    """Conversion to float64."""
    return x.to(torch.float64)


@rule("tf.to_int32", returns="int32")
@prove(f32(2, 3, low=-9, high=9))
@prove(i64(3))
@prove(array([np.nan, 2.9, -2.9]))
def to_int32(x: Tensor, name="ToInt32"):
    """Conversion to int32, toward zero."""
    return x.to(torch.int32)


@rule("tf.to_int64", returns="int64")
@prove(f32(2, 3, low=-9, high=9))
@prove(boolean(3))
def to_int64(x: Tensor, name="ToInt64"):
    """Conversion to int64, toward zero."""
    return x.to(torch.int64)


@rule("tf.to_bfloat16", returns="bfloat16")
@prove(f32(2, 3), rtol=1e-2)
def to_bfloat16(x: Tensor, name="ToBFloat16"):
    """Conversion to bfloat16."""
    return x.to(torch.bfloat16)


@rule("tf.saturate_cast", "tf.dtypes.saturate_cast", returns="dtype")
@prove(f32(2, 3, low=-300, high=600), torch.uint8)
@prove(array([3e9, -3e9, 1.5, -1.5]), dtype=torch.int32)
@prove(i32(5, low=-300, high=300), torch.int8)
@prove(i8(4), torch.uint8)
@prove(u8(4), torch.int32)
@prove(array([1e6, -1e6, 2.0]), torch.float16)
@prove(f32(3), torch.float64)
@prove(f64(3), torch.float32)
def saturate_cast(value: Tensor, dtype, name=None):
    """Conversion with values out of range moved to the nearest the dtype has (the nearest that both dtypes have)."""
    return _saturate_cast(value, dtype)


def _saturate_cast(value, dtype):
    low, high = _range(dtype)
    own_low, own_high = _range(value.dtype)
    if value.dtype.is_floating_point:
        like = np.dtype("float64" if value.dtype == torch.float64 else "float32").type
        low, high = _inside(like, low, True), _inside(like, high, False)
    low, high = max(low, own_low), min(high, own_high)
    return value.clamp(low, high).to(dtype)


def _range(dtype):
    facts = torch.finfo(dtype) if dtype.is_floating_point else torch.iinfo(dtype)
    return facts.min, facts.max


def _inside(kind, bound, lower):
    """The value of a floating type that is nearest to ``bound`` and not beyond it."""
    with np.errstate(over="ignore"):
        near = kind(bound)
    beyond = float(near) < bound if lower else float(near) > bound
    return float(np.nextafter(near, kind(0))) if beyond else float(near)


@rule("tf.bitcast")
@prove(f32(2, 3), torch.int32)
@prove(i32(2, 2), type=torch.float32, grad=False)
@prove(f32(2), torch.uint8)
@prove(u8(3, 4), torch.int32)
def bitcast(input: Tensor, type, name=None):
    """The same bytes under another dtype; a smaller one adds a last axis, a larger one takes the last axis up."""
    return _bitcast(input, type)


def _bitcast(value, dtype):
    dtype = _names.as_dtype(dtype)
    if dtype.itemsize == value.dtype.itemsize:
        return value.detach().view(dtype)
    if dtype.itemsize < value.dtype.itemsize:
        return value.detach().unsqueeze(-1).view(dtype)
    return value.detach().contiguous().view(dtype).squeeze(-1)


@rule("tf.as_dtype", "tf.dtypes.as_dtype", returns="python")
@prove("float32")
@prove(np.int64)
@prove(torch.bool)
@prove(float)
def as_dtype(type_value):
    """A dtype by any of its names. Python's float means float32 and int means int32."""
    return _as_dtype(type_value)


def _as_dtype(value):
    return _names.as_dtype(value)


@rule("tf.complex", "tf.dtypes.complex", returns="complex64")
@prove(f32(2, 3), f32(2, 3, seed=1), grad=False)
@prove(f64(3), imag=f64(3, seed=1), grad=False)
def complex(real: Tensor, imag: Tensor, name=None):
    """A complex tensor of its parts."""
    return torch.complex(real, imag)
