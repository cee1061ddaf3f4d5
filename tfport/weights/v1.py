"""The V1 checkpoint of TensorFlow before 0.12: one file, a table whose entries hold the values.

Source: saved_tensor_slice.proto and the comments of tensor_slice_writer. The entry of the empty key lists the
tensors; every other entry is one slice of one tensor, found by its key when it is asked for.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfport.weights import tensorproto
from tfport.weights.checkpoint import Checkpoint, Entry, with_slots
from tfport.weights.dtypes import dtype_of, name_of
from tfport.weights.errors import WeightsError
from tfport.weights.files import mapped
from tfport.weights.names import describe
from tfport.weights.slices import Extents, extents_of, places, shape_of, slice_key
from tfport.weights.sstable import find
from tfport.weights.wire import fields

__all__ = ["is_v1", "read_v1"]


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A SavedSliceMeta."""

    name: str
    shape: tuple[int, ...]
    dtype: int
    slices: tuple[Extents, ...]


def is_v1(header: bytes) -> bool:
    """Whether the value of the empty key is a SavedTensorSlices, not the header of a V2 bundle."""
    return any(number == 1 and isinstance(value, bytes) for number, value in fields(header))


def read_v1(path: str) -> Checkpoint:
    """Read a V1 checkpoint, the file that ``Saver(write_version=SaverDef.V1)`` writes. Raises WeightsError."""
    data = mapped(path)
    try:
        header = find(data, b"")
        if header is None:
            raise WeightsError("the table has no entry that lists its tensors: damaged")
        meta = next((v for n, v in fields(header) if n == 1 and isinstance(v, bytes)), None)
        if meta is None:
            raise WeightsError("not a V1 checkpoint")
        tensors = [_tensor(v) for n, v in fields(meta) if n == 1 and isinstance(v, bytes)]
    except WeightsError as error:
        message = str(error)
        raise WeightsError(message if message.startswith(path) else f"{path}: {message}") from None
    entries = [
        Entry(t.name, t.shape, name_of(t.dtype), lambda t=t: _values(data, t), **describe(t.name))  # type: ignore[misc]
        for t in tensors
    ]
    return Checkpoint(path, "V1 checkpoint", with_slots(entries))


def _tensor(message: bytes) -> _Tensor:
    name, dtype, slices = "", 0, []
    shape: tuple[int, ...] = ()
    for number, value in fields(message):
        if number == 1 and isinstance(value, bytes):
            name = value.decode("utf-8", "backslashreplace")
        elif number == 2 and isinstance(value, bytes):
            shape = shape_of(value)
        elif number == 3 and isinstance(value, int):
            dtype = value
        elif number == 4 and isinstance(value, bytes):
            slices.append(extents_of(value))
    return _Tensor(name, shape, dtype, tuple(slices))


def _values(data: memoryview, tensor: _Tensor) -> np.ndarray:
    """The values of a tensor, put together from its slices."""
    kind = dtype_of(name_of(tensor.dtype))
    whole, covered, held = None, 0, 0
    for extents in tensor.slices:
        full = extents or ((0, -1),) * len(tensor.shape)
        where = places(full, tensor.shape)
        shape = tuple(s.stop - s.start for s in where)
        proto = _slice(data, tensor, full)
        array = proto.array(shape)
        covered += math.prod(shape)
        held += proto.stored
        if shape == tensor.shape and len(tensor.slices) == 1:
            return array
        if whole is None:
            whole = np.empty(tensor.shape, kind)
        whole[where] = array
    if whole is None or covered != math.prod(tensor.shape):
        raise WeightsError(f"its slices hold {covered} of {math.prod(tensor.shape)} values: damaged")
    whole.flags.writeable = False
    return whole


def _slice(data: memoryview, tensor: _Tensor, extents: Extents) -> tensorproto.Proto:
    value = find(data, slice_key(tensor.name.encode("utf-8"), extents))
    if value is None:
        raise WeightsError(f"its slice {extents} is missing: damaged")
    saved = next((v for n, v in fields(value) if n == 2 and isinstance(v, bytes)), b"")
    parts = dict(fields(saved))
    message = parts.get(3)
    name = parts.get(1)
    if not isinstance(message, bytes) or name != tensor.name.encode("utf-8"):
        raise WeightsError(f"its slice {extents} is of another tensor, or empty: damaged")
    proto = tensorproto.parse(message)
    if proto.dtype not in (name_of(0), name_of(tensor.dtype)):  # TensorFlow writes none
        raise WeightsError(f"a slice of dtype {proto.dtype} in a {name_of(tensor.dtype)} tensor: damaged")
    return dataclasses.replace(proto, dtype=name_of(tensor.dtype))
