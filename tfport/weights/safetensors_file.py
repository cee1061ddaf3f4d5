"""Reads a .safetensors file: names, dtypes and shapes from its header, values as views of the mapped file.

Source of the layout: the format section of the safetensors README.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from tfport.weights.dtypes import dtype_of
from tfport.weights.errors import WeightsError, brief
from tfport.weights.files import mapped
from tfport.weights.writers.safetensors import CODES

__all__ = ["read_safetensors"]

NAMES = {code: name for name, code in CODES.items()}


def read_safetensors(path: str) -> dict[str, np.ndarray]:
    """Tensors by name, read-only. Raises WeightsError on a file that is cut short or no safetensors."""
    data = mapped(path)
    try:
        size = int.from_bytes(data[:8], "little")
        if len(data) < 8 or size > len(data) - 8:
            raise ValueError("the header reaches past the end of the file")
        header = json.loads(bytes(data[8 : 8 + size]))
        values = data[8 + size :]
        return {name: _tensor(values, told) for name, told in header.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise WeightsError(f"{path}: no whole .safetensors file: {brief(error)}") from None


def _tensor(values: memoryview, told: dict[str, Any]) -> np.ndarray:
    start, end = told["data_offsets"]
    shape = tuple(told["shape"])
    dtype = dtype_of(NAMES[told["dtype"]])
    if not 0 <= start <= end <= len(values) or end - start != math.prod(shape) * dtype.itemsize:
        raise ValueError("a tensor reaches past the end of the file")
    array = np.frombuffer(values[start:end], dtype) if end > start else np.empty(0, dtype)
    array = array.reshape(shape)
    array.flags.writeable = False
    return array
