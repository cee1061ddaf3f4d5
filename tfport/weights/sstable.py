"""The index of a V2 bundle: a sorted string table.

Layout as in the notes of LevelDB's table format: blocks of prefix-compressed entries, each followed by a type
byte (0 raw, 1 snappy) and a masked crc32c, an index block, and a footer of 48 bytes that ends in a magic
number.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from tfport.weights.errors import WeightsError
from tfport.weights.wire import varint

__all__ = ["FOOTER", "MAGIC", "Table", "entries", "masked_crc"]

FOOTER = 48
MAGIC = bytes.fromhex("57fb808b247547db")
_LARGEST_BLOCK = 1 << 28


def masked_crc(*pieces: bytes | memoryview) -> int:
    """crc32c of the pieces in a row, rotated and offset as LevelDB stores it. Other threads run meanwhile."""
    import crc32c

    crc = 0
    for piece in pieces:
        crc = crc32c.crc32c(piece, crc)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _block(data: memoryview, offset: int, size: int) -> bytes:
    """The contents of the block at ``offset``, crc checked and decompressed."""
    if offset + size + 5 > len(data):
        raise WeightsError("a block of the index lies past the end of the file: it is truncated")
    body, kind = bytes(data[offset : offset + size + 1]), data[offset + size]
    stored = int.from_bytes(data[offset + size + 1 : offset + size + 5], "little")
    if masked_crc(body) != stored:
        raise WeightsError(f"crc mismatch in the index block at byte {offset}: the file is damaged")
    if kind == 0:
        return body[:-1]
    if kind == 1:
        import cramjam

        length, _ = varint(body, 0, size)
        if length > _LARGEST_BLOCK:
            raise WeightsError(f"an index block claims {length} bytes unpacked: refused")
        try:
            return bytes(cramjam.snappy.decompress_raw(body[:-1]))
        except cramjam.DecompressionError as error:
            raise WeightsError(f"a snappy block of the index does not unpack ({error})") from None
    raise WeightsError(f"unknown compression {kind} of an index block")


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) pairs of one block."""
    if len(block) < 4:
        raise WeightsError("an index block is too short: the file is damaged")
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 - 4 * restarts
    if end < 0:
        raise WeightsError("an index block has more restarts than bytes: the file is damaged")
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at, end)
        fresh, at = varint(block, at, end)
        length, at = varint(block, at, end)
        if shared > len(key) or at + fresh + length > end:
            raise WeightsError("an entry of the index runs past its block: the file is damaged")
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length


def entries(data: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """All (key, value) pairs in the file's order, which is the keys'; WeightsError when it is no table or damaged."""
    before: bytes | None = None
    for _, offset, size in _blocks(data):
        for key, value in _entries(_block(data, offset, size)):
            if before is not None and key <= before:
                raise WeightsError("the keys of the index are not in order, or one stands twice: damaged")
            before = key
            yield key, value


class Table:
    """A mapped table in which single keys are looked up; only the block that may hold a key is read."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._blocks = list(_blocks(data))
        self._last = [last for last, _, _ in self._blocks]

    def find(self, key: bytes) -> bytes | None:
        """The value of a key, None if the table lacks it."""
        at = bisect.bisect_left(self._last, key)
        if at == len(self._last):
            return None
        _, offset, size = self._blocks[at]
        block = _block(self._data, offset, size)
        return next((value for found, value in _entries(block) if found == key), None)


def _blocks(data: memoryview) -> Iterator[tuple[bytes, int, int]]:
    """For each block of entries: a key not below its last one, its offset and its size."""
    if len(data) < FOOTER or bytes(data[-8:]) != MAGIC:
        raise WeightsError(
            "not the index of a TensorFlow checkpoint (no table magic at its end), or truncated"
        )
    footer = bytes(data[-FOOTER:-8])
    at = 0
    numbers = []
    for _ in range(4):
        number, at = varint(footer, at, len(footer))
        numbers.append(number)
    for last, handle in _entries(_block(data, numbers[2], numbers[3])):
        offset, at = varint(handle, 0, len(handle))
        size, _ = varint(handle, at, len(handle))
        yield last, offset, size
