"""The V2 bundle of TensorFlow: ``x.index`` and ``x.data-00000-of-00001``, by name and by object graph.

Source of the layout: tensorflow/core/protobuf/tensor_bundle.proto and the comments of
tensorflow/core/util/tensor_bundle; checked bit for bit against TensorFlow in the tests.
"""

from __future__ import annotations

import dataclasses
import glob
import math
import os
import re
from collections.abc import Mapping

import numpy as np

from tfport.weights import objectgraph
from tfport.weights.checkpoint import Checkpoint, Entry, Unchecked, with_slots
from tfport.weights.dtypes import STRING, UNREADABLE, dtype_of, name_of
from tfport.weights.errors import WeightsError
from tfport.weights.files import mapped
from tfport.weights.names import describe
from tfport.weights.slices import check_cover, extents_of, places, shape_of, slice_key
from tfport.weights.sstable import entries, masked_crc
from tfport.weights.wire import fields, varint

__all__ = ["GRAPH", "prefix_of", "read_bundle"]

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


@dataclasses.dataclass(frozen=True)
class _Stored:
    """A BundleEntryProto: where the bytes of one tensor lie."""

    dtype: int = 0
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0
    slices: tuple[
        tuple[tuple[int, int], ...], ...
    ] = ()  # (start, length) per axis; length -1 is the whole axis


def read_bundle(prefix: str, *, verify: bool = True) -> Checkpoint:
    """Read ``prefix.index`` and map the shards; ``verify`` checks the crc of every tensor that is read.

    Strings come as object arrays of bytes. Tensors of dtype variant or resource are listed and raise when
    read.
    """
    index = prefix + ".index"
    try:
        table = dict(entries(mapped(index)))
        header = table.pop(b"", None)
        if header is None:
            raise WeightsError("the index has no header: not a V2 checkpoint, or damaged")
        shards = _shards(header)
        stored = {key: _stored(value) for key, value in table.items()}
    except WeightsError as error:
        message = str(error)
        raise WeightsError(message if message.startswith(index) else f"{index}: {message}") from None
    data = _Data(prefix, shards, verify, stored)
    names = [key.decode("utf-8", "backslashreplace") for key in stored if not key.startswith(b"\0")]
    facts, orders, trained = _facts(names, data)
    listed = []
    for name in names:
        item = stored.get(name.encode("utf-8"))
        if item is None:
            raise WeightsError(f"{index}: a tensor's name is not UTF-8: {name}")
        about = facts.get(name) or describe(name)
        about["ignored"] = about["ignored"] or _no_variable(name, item.dtype, stored)
        read = lambda n=name: data.tensor(n)  # type: ignore[misc]  # noqa: E731
        unchecked = None
        if verify and not item.slices and item.dtype != STRING:
            unchecked = Unchecked(lambda i=item: data.whole(i, False), lambda i=item: data.check(i))  # type: ignore[misc]
        listed.append(Entry(name, item.shape, name_of(item.dtype), read, unchecked=unchecked, **about))
    return Checkpoint(
        prefix, "V2 checkpoint", listed if facts else with_slots(listed), orders, trained=trained
    )


def _no_variable(name: str, dtype: int, stored: Mapping[bytes, _Stored]) -> str:
    """Why an entry is the state of an object that is no variable; empty when it may be one."""
    if name_of(dtype) in UNREADABLE:
        return f"state of an iterator or other object, which is no numbers ({name_of(dtype)})"
    table = re.fullmatch(r"(.*-)(keys|values)", name)
    if table and _is_table(*(stored.get((table[1] + part).encode()) for part in ("keys", "values"))):
        return "contents of a lookup table"
    return "description of an object" if name.endswith("/.ATTRIBUTES/OBJECT_CONFIG_JSON") else ""


def _is_table(keys: _Stored | None, values: _Stored | None) -> bool:
    """Whether two entries are a table's: a value for each of the keys, which are strings or integers in a row."""
    if keys is None or values is None or len(keys.shape) != 1:
        return False
    return values.shape[:1] == keys.shape and re.match(r"string|u?int\d+$", name_of(keys.dtype)) is not None


def _facts(names: list[str], data: _Data) -> tuple[dict[str, dict], list[list[str]], dict[str, list[str]]]:
    if GRAPH not in names:
        return {}, [], {}
    value = data.tensor(GRAPH)
    if value.shape != () or not isinstance(value.item(), bytes):
        raise WeightsError(f"{data.prefix}.index: the object graph is no string: the file is damaged")
    graph = objectgraph.parse(value.item())
    try:
        facts, orders, trained = objectgraph.facts(graph, set(names))
    except RecursionError:
        raise WeightsError(f"{data.prefix}.index: its objects are nested too deep: refused") from None
    facts[GRAPH] = {"ignored": "description of the saved objects"}
    return facts, orders, trained


def _shards(header: bytes) -> int:
    """The number of shards of a BundleHeaderProto; big-endian bundles are refused."""
    count = 0
    for number, value in fields(header):
        if number == 1:
            if isinstance(value, bytes):
                raise WeightsError(
                    "a V1 checkpoint (one file); save it again with tf.compat.v1.train.Saver, which writes V2"
                )
            count = value
        elif number == 2 and value != 0:
            raise WeightsError("a big-endian checkpoint: not supported; save it on a little-endian machine")
    if not 0 < count < 1 << 20:
        raise WeightsError(f"the header says {count} shards: the file is damaged")
    return count


def _stored(value: bytes) -> _Stored:
    found: dict = {"slices": []}
    for number, item in fields(value):
        if number == 2 and isinstance(item, bytes):
            found["shape"] = shape_of(item)
        elif number == 7 and isinstance(item, bytes):
            found["slices"].append(extents_of(item))
        elif number in (1, 3, 4, 5, 6) and isinstance(item, int):
            found[("", "dtype", "", "shard", "offset", "size", "crc")[number]] = item
        else:
            raise WeightsError(
                f"unknown field {number} in an entry: the file is damaged or newer than this reader"
            )
    found["slices"] = tuple(found["slices"])
    return _Stored(**found)


class _Data:
    """The shards of a bundle and the tensors in them."""

    def __init__(self, prefix: str, count: int, verify: bool, stored: dict[bytes, _Stored]) -> None:
        self.prefix, self.count, self.verify, self.stored = prefix, count, verify, stored
        self.open: dict[int, memoryview] = {}
        for shard in {item.shard for item in stored.values() if not item.slices}:
            if shard >= count or not os.path.isfile(self.name(shard)):
                beside = sorted(os.path.basename(f) for f in glob.glob(glob.escape(prefix) + ".data-*"))
                raise WeightsError(
                    f"{prefix}.index: its shard {os.path.basename(self.name(shard))} is missing"
                    f" (beside it: {', '.join(beside) or 'no shard'}); copy all files together"
                )

    def name(self, shard: int) -> str:
        return f"{self.prefix}.data-{shard:05d}-of-{self.count:05d}"

    def bytes_of(self, item: _Stored) -> memoryview:
        if item.shard not in self.open:
            self.open[item.shard] = mapped(self.name(item.shard))
        shard = self.open[item.shard]
        if item.offset + item.size > len(shard):
            raise WeightsError(
                f"its bytes {item.offset} to {item.offset + item.size} lie past the end of"
                f" {os.path.basename(self.name(item.shard))} ({len(shard)} bytes): the file is truncated"
            )
        return shard[item.offset : item.offset + item.size]

    def tensor(self, name: str) -> np.ndarray:
        key = name.encode("utf-8")
        item = self.stored[key]
        if not item.slices:
            return self.whole(item)
        return self.assembled(key, item)

    def whole(self, item: _Stored, verify: bool | None = None) -> np.ndarray:
        """A tensor that lies in one piece, as a view of the map."""
        verify = self.verify if verify is None else verify
        dtype = dtype_of(name_of(item.dtype))
        data = self.bytes_of(item)
        if item.dtype == STRING:
            return _strings(data, math.prod(item.shape), item, verify)
        if math.prod(item.shape) * dtype.itemsize != item.size:
            raise WeightsError(
                f"{item.size} bytes are no {name_of(item.dtype)} tensor of shape {item.shape}: damaged"
            )
        if verify:
            self.check(item)
        array = np.frombuffer(data, dtype) if len(data) else np.empty(0, dtype)
        array = array.reshape(item.shape)
        array.flags.writeable = False
        return array

    def check(self, item: _Stored) -> None:
        """Raise WeightsError where the bytes of a tensor do not have the crc that the index says."""
        if masked_crc(self.bytes_of(item)) != item.crc:
            raise WeightsError(
                f"crc mismatch in {os.path.basename(self.name(item.shard))}: the file is damaged"
            )

    def assembled(self, key: bytes, item: _Stored) -> np.ndarray:
        """A partitioned variable, put together from its slices, which must cover it exactly once."""
        dtype = dtype_of(name_of(item.dtype))
        pieces, total = [], math.prod(item.shape)
        for extents in item.slices:
            part = self.stored.get(slice_key(key, extents))
            if part is None:
                raise WeightsError(f"the slice {extents} of this partitioned variable is missing")
            where = places(extents, item.shape)
            if part.dtype != item.dtype or part.shape != tuple(s.stop - s.start for s in where):
                raise WeightsError(
                    f"the slice {extents} has another shape or dtype than its variable says: damaged"
                )
            pieces.append((where, part))
        check_cover([where for where, _ in pieces], item.shape)
        if total * (1 if item.dtype == STRING else dtype.itemsize) > sum(part.size for _, part in pieces):
            raise WeightsError("its slices hold fewer bytes than the variable needs: damaged")
        array = np.empty(item.shape, dtype)
        for where_, part in pieces:
            array[where_] = self.whole(part)
        array.flags.writeable = False
        return array


def _strings(data: memoryview, count: int, item: _Stored, verify: bool) -> np.ndarray:
    """A string tensor: varint lengths, crc of the lengths, then the bytes."""
    if count > item.size:
        raise WeightsError(f"{item.size} bytes are no {count} strings: damaged")
    at, lengths = 0, []
    for _ in range(count):
        length, at = varint(data, at, len(data))
        lengths.append(length)
    if at + 4 + sum(lengths) != len(data):
        raise WeightsError("its strings do not fill its bytes: damaged")
    widths = b"".join(n.to_bytes(4 if n < 1 << 32 else 8, "little") for n in lengths)
    if verify:
        check, body = data[at : at + 4], data[at + 4 :]
        if int.from_bytes(check, "little") != masked_crc(widths) or item.crc != masked_crc(
            widths, check, body
        ):
            raise WeightsError("crc mismatch: the file is damaged")
    at += 4
    array = np.empty(count, object)
    for number, length in enumerate(lengths):
        array[number] = bytes(data[at : at + length])
        at += length
    return array.reshape(item.shape)


def prefix_of(path: str) -> str:
    """The prefix of a bundle, given its index or one of its shards."""
    return re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path)
