"""The V1 checkpoint of TensorFlow before 0.12: one file, a table whose entries hold the values.

Source: saved_tensor_slice.proto and the comments of tensor_slice_writer. The entry of the empty key lists the
tensors; every other entry is one slice of one tensor, found by its key when it is asked for.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from tfport.weights import tensorproto
from tfport.weights.checkpoint import Checkpoint, Entry, with_slots
from tfport.weights.dtypes import dtype_of, name_of
from tfport.weights.errors import WeightsError
from tfport.weights.files import mapped
from tfport.weights.names import describe
from tfport.weights.slices import Extents, check_cover, extents_of, places, shape_of, slice_key
from tfport.weights.sstable import Table
from tfport.weights.wire import fields

__all__ = ["is_v1", "read_v1"]


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A SavedSliceMeta; each slice with the table that holds it."""

    name: str
    shape: tuple[int, ...]
    dtype: int
    slices: tuple[tuple[Extents, Table], ...]


def is_v1(header: bytes) -> bool:
    """Whether the value of the empty key is a SavedTensorSlices, not the header of a V2 bundle."""
    return any(number == 1 and isinstance(value, bytes) for number, value in fields(header))


def read_v1(path: str, files: Sequence[str] = ()) -> Checkpoint:
    """Read a V1 checkpoint, the file that ``Saver(write_version=SaverDef.V1)`` writes, or its shards (``sharded=True``).

    A variable may have slices in several shards. Raises WeightsError.
    """
    tensors: dict[str, _Tensor] = {}
    for file in files or [path]:
        try:
            for tensor in _listed(Table(mapped(file))):
                first = tensors.get(tensor.name)
                if first is not None:
                    if (first.shape, first.dtype) != (tensor.shape, tensor.dtype):
                        raise WeightsError(
                            f"{tensor.name} has another shape or dtype in another shard: damaged"
                        )
                    tensor = dataclasses.replace(tensor, slices=first.slices + tensor.slices)
                tensors[tensor.name] = tensor
        except WeightsError as error:
            message = str(error)
            raise WeightsError(message if message.startswith(file) else f"{file}: {message}") from None
    entries = [
        Entry(t.name, t.shape, name_of(t.dtype), lambda t=t: _values(t), **describe(t.name))  # type: ignore[misc]
        for t in tensors.values()
    ]
    return Checkpoint(path, "V1 checkpoint", with_slots(entries))


def _listed(table: Table) -> Iterator[_Tensor]:
    header = table.find(b"")
    if header is None:
        raise WeightsError("the table has no entry that lists its tensors: damaged")
    meta = next((v for n, v in fields(header) if n == 1 and isinstance(v, bytes)), None)
    if meta is None:
        raise WeightsError("not a V1 checkpoint")
    for number, value in fields(meta):
        if number == 1 and isinstance(value, bytes):
            yield _tensor(value, table)


def _tensor(message: bytes, table: Table) -> _Tensor:
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
            slices.append((extents_of(value), table))
    return _Tensor(name, shape, dtype, tuple(slices))


def _values(tensor: _Tensor) -> np.ndarray:
    """The values of a tensor, put together from its slices, which must cover it exactly once."""
    kind = dtype_of(name_of(tensor.dtype))
    full = [(extents or ((0, -1),) * len(tensor.shape), table) for extents, table in tensor.slices]
    where = [places(extents, tensor.shape) for extents, _ in full]
    check_cover(where, tensor.shape)
    protos = [_slice(table, tensor, extents) for extents, table in full]
    if name_of(tensor.dtype) != "string" and math.prod(tensor.shape) > sum(proto.stored for proto in protos):
        raise WeightsError("its slices hold fewer bytes than it has values: damaged")
    if len(where) == 1:
        return protos[0].array(tensor.shape)
    whole = np.empty(tensor.shape, kind)
    for place, proto in zip(where, protos, strict=True):
        whole[place] = proto.array(tuple(s.stop - s.start for s in place))
    whole.flags.writeable = False
    return whole


def _slice(table: Table, tensor: _Tensor, extents: Extents) -> tensorproto.Proto:
    value = table.find(slice_key(tensor.name.encode("utf-8"), extents))
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
