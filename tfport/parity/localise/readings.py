"""The ways in which a tensor of the candidate may hold a tensor of the reference: other axis orders, merged axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

ORDERS: dict[int, tuple[tuple[int, ...], ...]] = {
    3: ((0, 1, 2), (0, 2, 1), (1, 0, 2)),  # as it is, channels first, time first
    4: ((0, 1, 2, 3), (0, 3, 1, 2), (0, 2, 1, 3), (0, 2, 3, 1)),  # ..., heads before time, both
    5: ((0, 1, 2, 3, 4), (0, 4, 1, 2, 3)),
}
CHANNELS_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}


@dataclass(frozen=True)
class Reading:
    """Reference axes in another order, then merged or split into the candidate's shape."""

    order: tuple[int, ...]
    split: tuple[int, ...] | None = None
    """The shape of the images that the reference has flattened; None for a tensor as it is."""
    flip: int | None = None
    """An axis of the reference that runs the other way (time)."""
    exact: bool = True
    """Whether only axes of size one differ, so that nothing is merged."""

    def of(self, wanted: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """The reference tensor as the candidate holds it."""
        if self.flip is not None:
            wanted = wanted.flip(self.flip)
        if self.split is not None:
            wanted = wanted.reshape(self.split)
        wanted = wanted.permute(self.order)
        return wanted if tuple(wanted.shape) == tuple(shape) else wanted.reshape(tuple(shape))

    @property
    def channels_first(self) -> bool:
        """Whether channels come second and the reference has them last."""
        return self.order == CHANNELS_FIRST.get(len(self.order))


def readings(
    wanted: Sequence[int], given: Sequence[int], flattened: Sequence[int] | None = None, time: bool = False
) -> Iterator[Reading]:
    """All readings between two shapes, likely ones first; none where the numbers of elements differ.

    `flattened` is the shape of the images that the reference flattened into this tensor, `time` whether the
    second axis is time, which a module may return in the other direction.
    """
    if math.prod(wanted) != math.prod(given):
        return
    bare = [n for n in given if n != 1]
    orders = ORDERS.get(len(wanted), (tuple(range(len(wanted))),))
    merged = []
    for order in orders:
        exact = [wanted[i] for i in order if wanted[i] != 1] == bare
        made = Reading(order, exact=exact)
        if exact:
            yield made
            if time and len(wanted) >= 3:
                yield Reading(order, flip=1)
        elif _merges([wanted[i] for i in order], given):
            merged.append(made)
    if flattened and len(flattened) in CHANNELS_FIRST:
        yield Reading(CHANNELS_FIRST[len(flattened)], tuple(flattened))
    yield from merged


def _merges(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether one shape comes from the other by merging neighbouring axes (or splitting them) alone."""
    ends = []
    for shape in (one, other):
        products, product = {1}, 1
        for n in shape:
            product *= n
            products.add(product)
        ends.append(products)
    return ends[0] <= ends[1] or ends[1] <= ends[0]


def crops(wanted: Sequence[int], given: Sequence[int]) -> Iterator[tuple[Reading, tuple[int, ...]]]:
    """Where a padded image may hold the reference's: (reading, first index along each spatial axis)."""
    if len(wanted) != len(given) or len(wanted) not in CHANNELS_FIRST:
        return
    for order in (CHANNELS_FIRST[len(wanted)], tuple(range(len(wanted)))):
        first = 2 if order[1] != 1 else 1
        inner = [wanted[i] for i in order]
        spatial = range(first, first + len(wanted) - 2)
        if any(inner[i] != given[i] for i in range(len(given)) if i not in spatial):
            continue
        room = [given[i] - inner[i] for i in spatial]
        if min(room) < 0 or not any(room) or math.prod(n + 1 for n in room) > 200:
            continue
        counts = [n + 1 for n in room]
        for number in range(math.prod(counts)):
            place = []
            for count in reversed(counts):
                place.append(number % count)
                number //= count
            yield Reading(order), tuple(reversed(place))


def cropped(
    given: torch.Tensor, reading: Reading, place: Sequence[int], sizes: Sequence[int]
) -> torch.Tensor:
    """The part of a padded tensor that starts at `place` and has the spatial `sizes`."""
    first = 2 if reading.channels_first else 1
    for axis, (start, size) in enumerate(zip(place, sizes, strict=True), first):
        given = given.narrow(axis, start, size)
    return given
