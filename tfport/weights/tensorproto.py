"""TensorProto: a tensor inside a graph or a V1 checkpoint.

Source: tensor.proto. Values lie in ``tensor_content`` as raw little-endian bytes, or one by one in the typed
``*_val`` fields, where a list that is too short repeats its last value (none at all: zeros), as TensorFlow reads it.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfport.weights.dtypes import STRING, dtype_of, name_of
from tfport.weights.errors import WeightsError
from tfport.weights.slices import shape_of
from tfport.weights.wire import signed64, varint, views

__all__ = ["Proto", "parse"]

CONTENT, STRINGS = 4, 8
SMALL, MOST_REPEATED = (
    1 << 22,
    1 << 12,
)  # elements that a list of several values may always fill, and per value
_FIXED = {5: "<f4", 6: "<f8", 9: "<c8", 12: "<c16"}
"""Fields of packed fixed-width numbers: float_val, double_val, scomplex_val, dcomplex_val."""
_VARINTS = frozenset({7, 10, 11, 13, 16, 17})
"""Fields of packed varints: int_val, int64_val, bool_val, half_val, uint32_val, uint64_val."""
_FLOAT8 = 18
_BITS = frozenset({"float16", "bfloat16"})  # half_val holds their bits


@dataclasses.dataclass(frozen=True)
class Proto:
    """A TensorProto whose values are not read yet: dtype name, shape, and its value fields as views."""

    dtype: str
    shape: tuple[int, ...]
    values: tuple[tuple[int, int | memoryview], ...]

    def array(self, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """The values, read-only, as ``shape`` where the message has none. Raises WeightsError when they do not fit."""
        shape = self.shape if shape is None else shape
        count = math.prod(shape)
        content = [v for number, v in self.values if number == CONTENT and not isinstance(v, int)]
        dtype = dtype_of(self.dtype)
        if self.dtype == name_of(STRING):
            flat = self._strings()
        elif content:
            if len(content[-1]) != count * dtype.itemsize:
                raise WeightsError(
                    f"{len(content[-1])} bytes are no {self.dtype} tensor of shape {shape}: damaged"
                )
            array = np.frombuffer(content[-1], dtype).reshape(shape)
            array.flags.writeable = False
            return array
        else:
            flat = self._numbers(dtype)
        if len(flat) != count:
            flat = self._filled(flat, count, dtype)
        array = flat.reshape(shape)
        if array.flags.writeable:
            array.flags.writeable = False
        return array

    @property
    def stored(self) -> int:
        """Bytes of the values as they are stored."""
        return sum(8 if isinstance(v, int) else len(v) for _, v in self.values)

    def _strings(self) -> np.ndarray:
        found = [bytes(v) for number, v in self.values if number == STRINGS and not isinstance(v, int)]
        flat = np.empty(len(found), object)
        flat[:] = found
        return flat

    def _numbers(self, dtype: np.dtype) -> np.ndarray:
        parts: list[np.ndarray] = []
        for number, value in self.values:
            if number in _FIXED:
                parts.append(_fixed(number, value))
            elif number == _FLOAT8 and not isinstance(value, int):
                parts.append(np.frombuffer(value, np.uint8))
            elif number in _VARINTS:
                given = [value] if isinstance(value, int) else _varints(value)
                parts.append(np.array([signed64(v) for v in given], np.int64))
        if not parts:
            return np.zeros(0, dtype)
        flat = np.concatenate(parts)
        if self.dtype in _BITS:
            return flat.astype(np.uint16).view(dtype)
        if self.dtype.startswith(("float8", "float4")):
            return flat.astype(np.uint8).view(dtype)
        if self.dtype == "uint64":
            return flat.view(np.uint64)
        return flat.astype(dtype, copy=False)

    @staticmethod
    def _filled(flat: np.ndarray, count: int, dtype: np.dtype) -> np.ndarray:
        """The last value repeated; one value alone takes no memory, however many it stands for."""
        if len(flat) > count:
            raise WeightsError(f"{len(flat)} values for {count} elements: damaged")
        if len(flat) <= 1:
            empty = b"" if dtype.kind == "O" else 0
            return np.broadcast_to(flat[0] if len(flat) else np.array(empty, dtype), (count,))
        if count > max(SMALL, MOST_REPEATED * len(flat)):
            raise WeightsError(f"{len(flat)} values are to fill {count} elements: refused")
        whole = np.empty(count, flat.dtype)
        whole[: len(flat)] = flat
        whole[len(flat) :] = flat[-1]
        return whole


def _fixed(number: int, value: int | memoryview) -> np.ndarray:
    kind = np.dtype(_FIXED[number])
    if isinstance(value, int):  # not packed: one value for each field
        size = 4 if number in (5, 9) else 8
        return np.frombuffer(value.to_bytes(size, "little"), kind if size == kind.itemsize else f"<f{size}")
    part = np.dtype(f"<f{4 if number in (5, 9) else 8}")
    if len(value) % kind.itemsize:
        raise WeightsError(f"{len(value)} bytes are no list of {part.name}: damaged")
    return np.frombuffer(value, kind)


def _varints(data: memoryview) -> list[int]:
    at, found = 0, []
    while at < len(data):
        value, at = varint(data, at, len(data))
        found.append(value)
    return found


def parse(message: bytes | memoryview) -> Proto:
    """Read the message's header; values stay where they are. Raises WeightsError on a damaged message."""
    number_of_dtype = 0
    shape: tuple[int, ...] = ()
    values = []
    for number, value in views(message):
        if number == 1 and isinstance(value, int):
            number_of_dtype = value
        elif number == 2 and not isinstance(value, int):
            shape = shape_of(bytes(value))
        elif number != 3:  # the version
            values.append((number, value))
    return Proto(name_of(number_of_dtype), shape, tuple(values))
