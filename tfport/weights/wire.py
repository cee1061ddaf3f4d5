"""Protocol buffers, read as wire format: enough for bundle entries and object graphs, no generated code.

Source: the encoding page of the Protocol Buffers documentation. Every length is checked against the message.
"""

from __future__ import annotations

from collections.abc import Iterator

from tfport.weights.errors import WeightsError

__all__ = ["fields", "signed64", "varint", "views"]


def varint(data: bytes | memoryview, at: int, end: int) -> tuple[int, int]:
    """Read a base-128 number of at most 64 bits at ``at``; return it and the next position."""
    value = shift = 0
    while True:
        if at >= end or shift > 63:
            raise WeightsError("a number runs past the end of its record: the file is damaged")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7


def signed64(value: int) -> int:
    """A varint read as the int64 it encodes."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes | memoryview) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value): an int for varint and fixed fields, bytes for length-delimited ones."""
    for number, value in views(data):
        yield number, value if isinstance(value, int) else bytes(value)


def views(data: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """As `fields`, but a length-delimited field is a view of ``data``: nothing is copied."""
    data = memoryview(data)
    at, end = 0, len(data)
    value: int | memoryview
    while at < end:
        tag, at = varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = varint(data, at, end)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            if at + size > end:
                raise WeightsError("a field runs past the end of its record: the file is damaged")
            value, at = int.from_bytes(data[at : at + size], "little"), at + size
        elif kind == 2:
            size, at = varint(data, at, end)
            if at + size > end:
                raise WeightsError("a field runs past the end of its record: the file is damaged")
            value, at = data[at : at + size], at + size
        else:
            raise WeightsError(f"unknown wire type {kind}: the file is damaged")
        yield number, value
