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
