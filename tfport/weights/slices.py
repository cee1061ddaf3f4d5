"""Shapes and slices as TensorFlow's checkpoints write them, shared by the V1 and V2 formats.

Source: tensor_shape.proto, tensor_slice.proto and, for the keys of slices, the notes on OrderedCode in TensorFlow's
strings library; checked against files that TensorFlow wrote.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfport.weights.errors import WeightsError
from tfport.weights.wire import fields, signed64

__all__ = ["check_cover", "extents_of", "places", "shape_of", "slice_key"]

Extents = tuple[tuple[int, int], ...]
"""(start, length) for each axis; length -1 is the whole axis."""

_HIGHEST_RANK = 32
"""NumPy 1's limit."""
_MOST_ELEMENTS = 1 << 56
"""So that bytes are counted in 63 bits; sizes of zero count as one, as they do in NumPy."""


def places(extents: Extents, shape: Sequence[int]) -> tuple[slice, ...]:
    """Where a slice lies in its variable. Raises WeightsError when it does not fit the shape."""
    if len(extents) != len(shape):
        raise WeightsError("a slice of another rank than its variable: the file is damaged")
    where = []
    for (start, length), size in zip(extents, shape, strict=True):
        length = size - start if length < 0 else length
        if start < 0 or length < 0 or start + length > size:
            raise WeightsError(f"the slice {extents} does not lie in shape {tuple(shape)}: damaged")
        where.append(slice(start, start + length))
    return tuple(where)


def check_cover(where: Sequence[tuple[slice, ...]], shape: Sequence[int]) -> None:
    """Raise WeightsError where slices (as of `places`) do not cover a shape exactly once."""
    covered = sum(math.prod(s.stop - s.start for s in place) for place in where)
    if covered != math.prod(shape) or not where:
        raise WeightsError(
            f"its slices hold {covered} of {math.prod(shape)} values: damaged, or a merge that lost a part"
        )
    if len(where) == 1 or not covered:
        return
    bounds = np.array([[(s.start, s.stop) for s in place] for place in where], np.int64)
    order = np.argsort(bounds[:, 0, 0], kind="stable")
    bounds = bounds[order]
    for number, one in enumerate(bounds[:-1]):
        near = bounds[number + 1 :]
        near = near[: np.searchsorted(near[:, 0, 0], one[0, 1])]  # those that start before this one ends
        if len(near) and ((near[:, :, 0] < one[:, 1]) & (one[:, 0] < near[:, :, 1])).all(axis=1).any():
            raise WeightsError(f"its slices overlap at {one[:, 0].tolist()}: damaged")


def shape_of(message: bytes) -> tuple[int, ...]:
    """A TensorShapeProto without unknown sizes, of a rank and sizes that an array can have."""
    sizes = []
    for number, item in fields(message):
        if number == 3:
            raise WeightsError("a tensor of unknown rank: the file is damaged")
        if number == 2 and isinstance(item, bytes):
            size = signed64(next((v for n, v in fields(item) if n == 1 and isinstance(v, int)), 0))
            if size < 0:
                raise WeightsError("a tensor with a negative size: the file is damaged")
            sizes.append(size)
    if len(sizes) > _HIGHEST_RANK or math.prod(size or 1 for size in sizes) > _MOST_ELEMENTS:
        raise WeightsError(
            f"a tensor of rank {len(sizes)} with more elements than an array can have: damaged"
        )
    return tuple(sizes)


def extents_of(message: bytes) -> tuple[tuple[int, int], ...]:
    """A TensorSliceProto as (start, length) per axis; length -1 where the slice takes the whole axis."""
    extents = []
    for number, item in fields(message):
        if number == 1 and isinstance(item, bytes):
            parts = {n: signed64(v) for n, v in fields(item) if isinstance(v, int)}
            extents.append((parts.get(1, 0), parts.get(2, -1)))
    return tuple(extents)


def slice_key(name: bytes, extents: tuple[tuple[int, int], ...]) -> bytes:
    """The key under which a slice of a partitioned variable lies (OrderedCode of name, rank, extents)."""
    escaped = b"".join({0: b"\0\xff", 255: b"\xff\0"}.get(byte, bytes((byte,))) for byte in name)
    key = b"\0" + escaped + b"\0\1" + _increasing(len(extents))
    return key + b"".join(_signed(start) + _signed(length) for start, length in extents)


def _increasing(value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((len(digits),)) + digits


def _signed(value: int) -> bytes:
    """An int64 so that bytes sort as numbers: n bytes hold -2**(7n-1) <= value < 2**(7n-1)."""
    size = 1
    while not -(1 << (7 * size - 1)) <= value < 1 << (7 * size - 1):
        size += 1
    header = ((1 << size) - 1) << (8 * size - size)  # `size` leading ones, flipped against the sign bits
    return ((value & ((1 << 8 * size) - 1)) ^ header).to_bytes(size, "big")
