"""HDF5 files through h5py, read defensively: no link is followed out of the file, contiguous data is mapped.

Values of contiguous, unfiltered datasets are views of the file; others are read by h5py when asked for.
"""

from __future__ import annotations

import bisect
import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tfport.weights.checkpoint import Entry
from tfport.weights.dtypes import dtype_of
from tfport.weights.errors import WeightsError, brief

__all__ = ["HDF5_ERRORS", "attribute", "check_places", "datasets", "groups", "open_hdf5", "reader", "texts"]

HDF5_ERRORS = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
)
"""What h5py raises on damaged files; each is turned into a WeightsError with the file's name."""

_DEEPEST = 32
_SMALL = 1 << 24
_LARGEST_RATIO = 200
"""Datasets may claim this many times the bytes of their file where they are packed."""
_MOST_OBJECTS = 1_000_000
_NUMBERS = frozenset(
    [
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bool",
    ]
)


_FLOATS = {
    (2, (15, 7, 8, 0, 7), 127): "bfloat16",
    (1, (7, 3, 4, 0, 3), 7): "float8_e4m3fn",
    (1, (7, 2, 5, 0, 2), 15): "float8_e5m2",
}
"""Bytes, places and widths of sign, exponent and mantissa, and the exponent's bias: HDF5's own way to describe them."""


def open_hdf5(data: memoryview, where: str) -> Any:
    """An h5py.File over mapped bytes (a file, or a stored member of a zip)."""
    import h5py

    try:
        return h5py.File(_Bytes(data, where), "r")
    except HDF5_ERRORS as error:
        raise WeightsError(f"{where}: not a readable HDF5 file, or truncated ({brief(error)})") from None


_LARGEST_METADATA = 1 << 21
_HEAP = b"GCOL\x01\0\0\0"


def _check_heap(data: memoryview, start: int, where: str) -> None:
    """Walk a global heap (where HDF5 keeps strings of variable length) before the library does.

    It loops for ever on a heap whose free space claims no size, and takes the memory that one claims. A heap: `GCOL`,
    version 1, 3 zeros, u64 size; objects: u16 index, u16 count, 4 zeros, u64 size, data padded to 8; index 0 is the free
    space, which fills the rest.
    """
    end = start + int.from_bytes(data[start + 8 : start + 16], "little")
    at = start + 16
    if end > len(data):
        raise WeightsError(f"{where}: a damaged HDF5 file (its heap at byte {start} reaches past its end)")
    while at + 16 <= end:
        size = int.from_bytes(data[at + 8 : at + 16], "little")
        if bytes(data[at : at + 2]) == b"\0\0":
            if size < 16 or at + size != end:
                raise WeightsError(f"{where}: a damaged HDF5 file (its heap at byte {start} does not add up)")
            break
        at += 16 + (size + 7) // 8 * 8


class _Bytes(io.RawIOBase):
    """A read-only file over a memoryview, without a copy of the whole. It looks at each heap that the library reads."""

    def __init__(self, data: memoryview, where: str) -> None:
        self.data, self.where, self.at = data, where, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, len(self.data))[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: Any) -> int:
        piece = self.data[self.at : self.at + len(buffer)]
        if len(piece) <= _LARGEST_METADATA:
            start = max(0, self.at - len(_HEAP))
            for match in re.finditer(_HEAP, self.data[start : self.at + len(piece)]):
                _check_heap(self.data, start + match.start(), self.where)
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def _children(group: Any) -> Iterator[tuple[str, Any]]:
    """Members by hard links, in the file's order; soft and external links are refused."""
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise WeightsError(
                f"{group.name}/{name} is a link to elsewhere: refused; save the weights into one file"
            )
        yield name, group[name]


def groups(root: Any) -> Iterator[tuple[str, Any]]:
    """All groups below ``root`` as (path without leading slash, group), ``root`` first with path "".

    A group with two names, such as one that holds itself, is refused.
    """
    import h5py

    stack, seen = [("", root, 0)], set()
    while stack:
        path, group, depth = stack.pop()
        place = h5py.h5o.get_info(group.id).addr
        if place in seen:
            raise WeightsError(f"its group {path} has a second name: damaged or made to harm")
        seen.add(place)
        if depth > _DEEPEST or len(seen) > _MOST_OBJECTS:
            raise WeightsError("its groups are nested too deep or too many: damaged or made to harm")
        yield path, group
        below = [
            (f"{path}/{n}" if path else n, c, depth + 1)
            for n, c in _children(group)
            if isinstance(c, h5py.Group)
        ]
        stack.extend(reversed(below))


def datasets(group: Any) -> list[tuple[str, Any]]:
    """The datasets directly in ``group``; those with data in other files, and virtual ones, are refused."""
    import h5py

    found = []
    for name, child in _children(group):
        if isinstance(child, h5py.Dataset):
            if child.external or child.is_virtual:
                raise WeightsError(f"{child.name} keeps its data in another file: refused")
            found.append((name, child))
    return found


def attribute(item: Any, name: str) -> Any:
    """An attribute that holds strings, or None; a list that Keras cut into ``name0``, ``name1``, ... is joined.

    Its type is looked at before its value: the library crashes on a string whose type was damaged into a sequence.
    """
    if name in item.attrs:
        return _strings(item, name)
    pieces: list[Any] = []
    while f"{name}{len(pieces)}" in item.attrs:
        pieces.append(_strings(item, f"{name}{len(pieces)}"))
    return np.concatenate(pieces) if pieces else None


def _strings(item: Any, name: str) -> Any:
    import h5py

    stored = h5py.h5a.open(item.id, name.encode())
    if 0 in stored.shape:
        return np.empty(0, object)
    if not isinstance(stored.get_type(), h5py.h5t.TypeStringID):
        raise WeightsError(f"{item.name}: its attribute {name} holds no text: damaged")
    return item.attrs[name]


def texts(value: Any) -> list[str]:
    """A list attribute as strings."""
    return [
        v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else str(v) for v in np.ravel(value)
    ]


def reader(data: memoryview, dataset: Any) -> tuple[str, Callable[[], np.ndarray]]:
    """The TensorFlow dtype name of a dataset and a function that reads it."""
    import h5py

    kind, shape = dataset.dtype, dataset.shape
    if shape is None:
        raise WeightsError(f"{dataset.name}: holds no values at all (an empty dataspace): damaged")
    size = math.prod(shape) * kind.itemsize
    offset = _offset(dataset)
    if offset is None and size > max(_SMALL, len(data) * (1 if dataset.chunks is None else _LARGEST_RATIO)):
        raise WeightsError(
            f"{dataset.name}: claims {size} bytes in a file of {len(data)}: damaged, or made to harm"
        )
    if h5py.check_string_dtype(kind) is not None:
        return "string", lambda: np.asarray(_through(dataset), object)
    name, mappable = _kind_of(dataset)
    wanted = dtype_of(name)
    if offset is None or not mappable:
        return name, lambda: _as(_through(dataset), wanted)
    size = math.prod(shape) * wanted.itemsize
    if dataset.id.get_storage_size() != size:
        raise WeightsError(
            f"{dataset.name}: {dataset.id.get_storage_size()} bytes are no {name} of shape {shape}: damaged"
        )
    if offset + size > len(data):
        raise WeightsError(f"{dataset.name}: its values lie past the end of the file: it is truncated")
    return name, lambda: _view(data, offset, size, wanted, shape)


def _kind_of(dataset: Any) -> tuple[str, bool]:
    """The TensorFlow dtype name of a dataset of numbers, and whether its bytes are those of that dtype."""
    import h5py

    kind, stored = dataset.dtype, dataset.id.get_type()
    marked = _text(attribute(dataset, "dtype")) == "bfloat16"
    if kind.kind == "V" and kind.names is None and kind.itemsize == 2:  # what h5py makes of bfloat16
        return "bfloat16", True
    if kind.kind == "V" and kind.names is None and kind.itemsize == 1:
        raise WeightsError(
            f"{dataset.name}: numbers of one byte, whose kind (float8_e4m3fn, float8_e5m2, int4) HDF5 has not kept:"
            " save them as float32, or with tf.train.Checkpoint"
        )
    if isinstance(stored, h5py.h5t.TypeFloatID):
        layout = stored.get_size(), stored.get_fields(), stored.get_ebias()
        if layout in _FLOATS:
            return _FLOATS[layout], stored.get_order() == h5py.h5t.ORDER_LE
    if kind.name not in _NUMBERS or not stored.equal(h5py.h5t.py_create(kind)):
        raise WeightsError(f"{dataset.name}: dtype {kind} is none that TensorFlow writes")
    return ("bfloat16", False) if marked else (kind.name, bool(kind.isnative))


def _as(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers as numbers of another dtype, bytes without a kind as what they are."""
    return array.view(dtype) if array.dtype.kind == "V" else array.astype(dtype, copy=False)


def _offset(dataset: Any) -> int | None:
    """Where the values stand in a row in the file; None where they are packed, in the description or not written."""
    import h5py

    if dataset.chunks is not None or dataset.id.get_space_status() != h5py.h5d.SPACE_STATUS_ALLOCATED:
        return None  # for values that are not written the library adds the user block's size to "no address"
    found: int | None = dataset.id.get_offset()
    return found


def check_places(stored: Iterable[Any]) -> None:
    """Raise WeightsError where the values of datasets lie on each other, or on what describes another dataset.

    HDF5 as Keras writes it has no checksums: this much a wrong place shows.
    """
    import h5py

    spans, heads = [], []
    for dataset in stored:
        heads.append((h5py.h5o.get_info(dataset.id).addr, dataset.name))
        offset = _offset(dataset)
        if offset is not None and dataset.id.get_storage_size():
            spans.append((offset, offset + dataset.id.get_storage_size(), dataset.name))
    spans.sort()
    for (_, end, one), (start, _, other) in itertools.pairwise(spans):
        if start < end:
            raise WeightsError(f"the values of {one} and {other} lie on each other: damaged")
    starts = [start for start, _, _ in spans]
    for head, name in heads:
        at = bisect.bisect_right(starts, head) - 1
        if at >= 0 and head < spans[at][1]:
            raise WeightsError(f"the values of {spans[at][2]} lie on the description of {name}: damaged")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _view(data: memoryview, offset: int, size: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    array = np.frombuffer(data[offset : offset + size], dtype) if size else np.empty(0, dtype)
    array = array.reshape(shape)
    array.flags.writeable = False
    return array


def _through(dataset: Any) -> np.ndarray:
    """The values as the library reads them, in the machine's order of bytes."""
    try:
        array = np.asarray(dataset[()])
    except HDF5_ERRORS as error:
        raise WeightsError(f"its values cannot be read ({brief(error)}): damaged") from None
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def entry(data: memoryview, dataset: Any, **about: Any) -> Entry:
    """The Entry of one dataset, keyed by its path in the file."""
    dtype, read = reader(data, dataset)
    return Entry(about.pop("key"), tuple(dataset.shape or ()), dtype, read, **about)
