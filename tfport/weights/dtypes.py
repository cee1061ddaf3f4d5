"""TensorFlow's dtype numbers and names as NumPy dtypes.

Source: the enum ``DataType`` in tensorflow/core/framework/types.proto. bfloat16, the float8 kinds and the
numbers of 2 and 4 bits have no NumPy dtype of their own; ``ml_dtypes`` supplies it and is imported only when such a tensor is met.
"""

from __future__ import annotations

import numpy as np

from tfport.weights.errors import WeightsError

__all__ = ["STRING", "UNREADABLE", "VARIANT", "dtype_of", "name_of"]

STRING = 7
VARIANT = 21
_NAMES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64",
    9: "int64", 10: "bool", 11: "qint8", 12: "quint8", 13: "qint32", 14: "bfloat16", 15: "qint16",
    16: "quint16", 17: "uint16", 18: "complex128", 19: "float16", 20: "resource", 21: "variant", 22: "uint32",
    23: "uint64", 24: "float8_e5m2", 25: "float8_e4m3fn", 26: "float8_e4m3fnuz", 27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz", 29: "int4", 30: "uint4", 31: "int2", 32: "uint2", 33: "float4_e2m1fn",
}  # fmt: skip
_FROM_ML_DTYPES = frozenset({
    "bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz", "int4", "uint4",
    "int2", "uint2", "float4_e2m1fn",
})  # fmt: skip
"""Each takes a whole number of bytes, in TensorFlow's files as in NumPy's arrays: those of 2 and 4 bits take one."""
_QUANTIZED = {"qint8": "int8", "quint8": "uint8", "qint16": "int16", "quint16": "uint16", "qint32": "int32"}
"""The numbers as they are stored; their scale stands elsewhere in the graph."""
UNREADABLE = frozenset({"resource", "variant"})


def name_of(number: int) -> str:
    """TensorFlow's name of a dtype number; an unknown number is named as such."""
    return _NAMES.get(number, f"dtype {number}")


def dtype_of(name: str) -> np.dtype:
    """The little-endian NumPy dtype of a TensorFlow dtype name; WeightsError where there is none."""
    if name in _FROM_ML_DTYPES:
        try:
            import ml_dtypes

            return np.dtype(getattr(ml_dtypes, name))
        except (ImportError, AttributeError):
            raise WeightsError(
                f"{name} tensors need a newer package ml_dtypes: pip install -U ml_dtypes"
            ) from None
    if name in UNREADABLE or name not in _NAMES.values():
        raise WeightsError(f"tensors of dtype {name} cannot be read as numbers")
    name = _QUANTIZED.get(name, name)
    if name == "string":
        return np.dtype(object)
    return np.dtype(name)
