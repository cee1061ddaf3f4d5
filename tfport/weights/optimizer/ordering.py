"""The order in which Keras numbers an optimizer's tensors: that of its layers, which a module need not share.

A conversion's record keeps the order. A module written by hand may define its layers in any: then ``.keras`` files
tell by their config.json, and in all files the counters of a class (``layers/dense``, ``layers/dense_1``) do. Where two
layers could still be exchanged unnoticed, the state is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.errors import WeightsError
from tfport.weights.keras_weights import CONTAINERS, counted

__all__ = ["in_kerass_order"]

Shapes = tuple[tuple[int, ...], ...]


def in_kerass_order(checkpoint: Checkpoint, weights: Sequence[Entry]) -> list[Entry]:
    """The weights, given in a module's order, in Keras'; WeightsError names two layers whose order nothing tells."""
    held: dict[str, list[Entry]] = {}
    for weight in weights:
        held.setdefault(weight.paths[0] if weight.paths else "", []).append(weight)
    ranks = {path: n for n, path in enumerate(checkpoint.layers)}
    order: list[str] = []
    left = list(held)
    while left:
        first = next(one for one in left if not any(_before(other, one, ranks) for other in left))
        left.remove(first)
        order.append(first)
    shapes: dict[str, Shapes] = {
        path: tuple(e.shape for e in sorted(entries, key=_place)) for path, entries in held.items()
    }
    for (at, one), (to, other) in itertools.combinations(enumerate(order), 2):
        alike = shapes[one] == shapes[other]
        if to == at + 1:
            alike = shapes[one] + shapes[other] == shapes[other] + shapes[one]
        if alike and not _before(one, other, ranks):
            raise WeightsError(
                f"{checkpoint.path}: numbers the optimizer's tensors in the order of Keras' layers; whether {one} or"
                f" {other}, alike in shape, comes first is told neither by it nor by the module, which has no record:"
                " resume from the .keras file of a Functional model, an .h5 file or a checkpoint"
            )
    return [entry for path in order for entry in sorted(held[path], key=_place)]


def _place(entry: Entry) -> int:
    return entry.index if entry.index is not None else -1


def _before(one: str, other: str, ranks: Mapping[str, int]) -> bool:
    """Whether the file tells that a group of it stands before another in the model."""
    first, second = one.split("/"), other.split("/")
    parting = (n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    at = next(parting, None)
    if at is None:
        return False
    mine, theirs = ("/".join(path[: at + 1]) for path in (first, second))
    if mine in ranks and theirs in ranks:
        return ranks[mine] < ranks[theirs]
    if at == 0 or first[at - 1] not in CONTAINERS:
        return False
    (kind, number), (same, next_) = counted(first[at]), counted(second[at])
    return kind == same and number < next_
