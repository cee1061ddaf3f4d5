"""dtypes by any of their names: a torch dtype, a NumPy dtype or type, a string, a Python type."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

_NAMES = {
    "bool": torch.bool, "uint8": torch.uint8, "int8": torch.int8, "int16": torch.int16, "int32": torch.int32,
    "int64": torch.int64, "uint16": torch.uint16, "uint32": torch.uint32, "uint64": torch.uint64,
    "float16": torch.float16, "half": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32,
    "float64": torch.float64, "double": torch.float64, "complex64": torch.complex64, "complex128": torch.complex128,
    "float": torch.float32, "int": torch.int32,
}  # fmt: skip
_PYTHON = {float: torch.float32, int: torch.int32, bool: torch.bool, complex: torch.complex128}


def as_dtype(value: Any) -> torch.dtype:
    """``tf.as_dtype``. Python's float is float32 and int is int32, as in TensorFlow. Raises TypeError if unknown."""
    if isinstance(value, torch.dtype):
        return value
    if isinstance(value, type) and value in _PYTHON:
        return _PYTHON[value]
    name = value if isinstance(value, str) else np.dtype(value).name
    if name not in _NAMES:
        raise TypeError(f"{value!r} is not a dtype that torch has; known are {', '.join(sorted(_NAMES))}")
    return _NAMES[name]


def name(dtype: Any) -> str:
    """``dtype.name``: "float32"; also of NumPy's dtypes."""
    return str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else str(dtype.name)


def is_floating(dtype: Any) -> bool:
    """``dtype.is_floating``: a real floating dtype."""
    return as_dtype(dtype).is_floating_point


def is_integer(dtype: Any) -> bool:
    """``dtype.is_integer``: signed or unsigned; bool is none."""
    found = as_dtype(dtype)
    return not (found.is_floating_point or found.is_complex or found == torch.bool)


def is_bool(dtype: Any) -> bool:
    """``dtype.is_bool``."""
    return as_dtype(dtype) == torch.bool


def is_unsigned(dtype: Any) -> bool:
    """``dtype.is_unsigned``: an integer dtype without sign."""
    return name(as_dtype(dtype)).startswith("uint")


def size(dtype: Any) -> int:
    """``dtype.size``: bytes of one value."""
    return as_dtype(dtype).itemsize


def limits(dtype: Any) -> torch.finfo | torch.iinfo:
    """The object whose ``min`` and ``max`` are those of a dtype. TypeError for bool and complex."""
    found = as_dtype(dtype)
    return torch.finfo(found) if found.is_floating_point else torch.iinfo(found)


def as_numpy_dtype(dtype: Any) -> type:
    """``dtype.as_numpy_dtype``: NumPy's scalar type. TypeError for bfloat16, which NumPy lacks."""
    found = np.dtype(name(as_dtype(dtype))).type
    return found


def base_dtype(dtype: Any) -> torch.dtype:
    """``dtype.base_dtype``: the dtype itself, there are no references."""
    return as_dtype(dtype)


def real_dtype(dtype: Any) -> torch.dtype:
    """``dtype.real_dtype``: of the real part of complex values, others themselves."""
    return as_dtype(dtype).to_real()
