"""What a map that is being written says of parameters that are still open: the pattern that their layer's class has, and the
tensors that would fit by it. Nothing is chosen: every line of it is a comment until a person takes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfport.weights.by_names import roles
from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.errors import WeightsError
from tfport.weights.flattening import flattening
from tfport.weights.lazy import is_lazy
from tfport.weights.matching import Matching
from tfport.weights.names import natural
from tfport.weights.patterns import ZEROS, Sizes, plan

__all__ = ["Proposal", "proposals"]


@dataclasses.dataclass(frozen=True)
class Proposal:
    """Pattern and sizes of an open parameter ("" where no class tells them), the tensors that fit, and what is said of it."""

    pattern: str = ""
    sizes: Sizes = dataclasses.field(default_factory=dict)
    sources: tuple[str, ...] = ()
    note: str = ""


def proposals(
    targets: Mapping[str, Any], open_targets: Iterable[str], matching: Matching, checkpoint: Checkpoint
) -> dict[str, Proposal]:
    """By target, in the given order; ``targets`` are ``fitting.Held`` by name."""
    ways = {way.target: (way.own_name, way.pattern, way.sizes) for _, way in matching.missing}
    told = flattening(list({id(held.owner): held.owner for held in targets.values()}.values()))
    used = {m.entry.key for m in matching.matches}
    free = [e for e in checkpoint.entries.values() if not e.ignored and e.key not in used]
    listed = {key: at for order in checkpoint.orders[:1] for at, key in enumerate(order)}
    free.sort(key=lambda e: (listed.get(e.key, len(listed)), natural(e.key)))
    found = {}
    for target in dict.fromkeys(open_targets):
        held, note = targets.get(target), matching.notes.get(target, "")
        way = ways.get(target)
        if way is None and held is not None and id(held.owner) in told:
            vector = is_lazy(held.tensor) or len(held.tensor.shape) == 1
            pattern, sizes = told[id(held.owner)].way(vector)
            way = (held.name, pattern, sizes) if pattern else None
        if way is None or held is None or way[1] == ZEROS:
            found[target] = Proposal(note=note)
            continue
        fits = () if is_lazy(held.tensor) else _fitting(way, tuple(held.tensor.shape), free)
        found[target] = Proposal(way[1], way[2], tuple(e.key for e in fits), note)
    return found


def _fitting(way: tuple[str, str, Sizes], shape: tuple[int, ...], free: Sequence[Entry]) -> list[Entry]:
    """The tensors of the checkpoint that the pattern brings into that shape, and whose names say nothing else."""
    variable, pattern, sizes = way
    mine = set(roles(variable))
    found = []
    for entry in free:
        theirs = set(roles(entry.variable)) if entry.variable else set()
        if mine and theirs and not mine & theirs:
            continue
        try:
            if plan(pattern, entry.shape, sizes).target == shape:
                found.append(entry)
        except WeightsError:
            continue
    return found
