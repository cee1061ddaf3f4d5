"""Axis orders as the conversion's record writes them: `NHWC -> NCHW`."""

from __future__ import annotations

from collections.abc import Sequence

CHANNELS_LAST = {3: "NLC -> NCL", 4: "NHWC -> NCHW", 5: "NDHWC -> NCDHW"}


def permutation(layout: str) -> tuple[int, ...]:
    """`NHWC -> NCHW` -> (0, 3, 1, 2). Raises ValueError unless both sides name the same axes once each."""
    source, arrow, target = (part.replace(" ", "") for part in layout.partition("->"))
    if not arrow or sorted(source) != sorted(target) or len(set(source)) != len(source):
        raise ValueError(f"layout {layout!r}: expected the same axes on both sides, such as 'NHWC -> NCHW'")
    return tuple(source.index(axis) for axis in target)


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `order`."""
    return tuple(sorted(range(len(order)), key=lambda i: order[i]))


def way_back(
    shape: Sequence[int], wanted: Sequence[int], orders: Sequence[Sequence[int]], free: bool = False
) -> tuple[int, ...] | None:
    """How an output of `shape` goes back to TensorFlow's axis order, where the record does not say.

    `orders` are the permutations applied to the arguments. An output of the rank of a changed argument is
    presumed to have changed in the same way, unless only the unchanged shape fits `wanted`.
    With `free` there is no record at all, and images may come channels first though no argument was changed (a
    generator's), where only that fits. Returns a permutation or None (leave it).
    """
    for order in orders:
        if len(order) != len(shape):
            continue
        back = inverse(order)
        moved = [shape[i] for i in back]
        if moved == list(wanted) or list(shape) != list(wanted):
            return back
    if free and list(shape) != list(wanted) and len(shape) in CHANNELS_LAST:
        back = inverse(permutation(CHANNELS_LAST[len(shape)]))
        if [shape[i] for i in back] == list(wanted):
            return back
    return None
