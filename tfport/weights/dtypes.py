"""TensorFlow's dtype numbers and names as NumPy dtypes.

Source: the enum ``DataType`` in tensorflow/core/framework/types.proto. bfloat16 and the float8 kinds have no
NumPy dtype of their own; ``ml_dtypes`` supplies it and is imported only when such a tensor is met.
"""

from __future__ import annotations

import numpy as np

from tfport.weights.errors import WeightsError

__all__ = ["STRING", "VARIANT", "dtype_of", "name_of"]

STRING = 7
VARIANT = 21
_NAMES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64",
    9: "int64", 10: "bool", 11: "qint8", 12: "quint8", 13: "qint32", 14: "bfloat16", 15: "qint16",
    16: "quint16", 17: "uint16", 18: "complex128", 19: "float16", 20: "resource", 21: "variant", 22: "uint32",
    23: "uint64", 24: "float8_e5m2", 25: "float8_e4m3fn", 29: "int4", 30: "uint4",
}  # fmt: skip
_FROM_ML_DTYPES = {"bfloat16", "float8_e5m2", "float8_e4m3fn"}
_REFUSED = {"resource", "variant", "int4", "uint4", "qint8", "quint8", "qint16", "quint16", "qint32"}


def name_of(number: int) -> str:
    """TensorFlow's name of a dtype number; an unknown number is named as such."""
    return _NAMES.get(number, f"dtype {number}")


def dtype_of(name: str) -> np.dtype:
    """The little-endian NumPy dtype of a TensorFlow dtype name; WeightsError where there is none."""
    if name in _FROM_ML_DTYPES:
        try:
            import ml_dtypes
        except ImportError:
            raise WeightsError(f"{name} tensors need the package ml_dtypes: pip install ml_dtypes") from None
        return np.dtype(getattr(ml_dtypes, name))
    if name in _REFUSED or name not in _NAMES.values():
        raise WeightsError(f"tensors of dtype {name} cannot be read as numbers")
    if name == "string":
        return np.dtype(object)
    return np.dtype(name)
