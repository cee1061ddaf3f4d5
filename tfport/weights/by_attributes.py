"""A subclassed Keras model in a ``.weights.h5`` and a module with the same attributes: every layer by where it is held.

Keras writes what an attribute holds under the attribute's name, the items of a list by class and number
(``blocks/block_2/fc1``), and the layers that stand in the model itself in ``layers/``, by class in the order in which the
model got them. A module's lists are in their order too; what it defines in itself may be in any, so that of ``layers/`` only
what is unlike all others of its class there is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.keras_weights import CONTAINERS, counted
from tfport.weights.matching import Match, Matching, match
from tfport.weights.record import Layer, Record, Way

__all__ = ["ATTRIBUTES", "match_attributes"]

ATTRIBUTES = "attributes"
Fits = Callable[[Way, Entry], bool]
"""Whether a tensor gives a way's target its shape."""


def match_attributes(layers: Sequence[Layer], checkpoint: Checkpoint, fits: Fits) -> Matching | None:
    """The matching of all layers (in the module's order) to all tensors of the file; None where one is left, in doubt, or
    does not fit its parameter.
    """
    entries = [entry for entry in checkpoint.entries.values() if not entry.ignored]
    if not entries or any(entry.index is None or not entry.paths for entry in entries):
        return None
    found = match(Record("", "subclass", tuple(layers), ""), checkpoint)
    if found.missing or found.left_over or found.ambiguous:
        return None
    if any(m.level not in ("path", "class and order") for m in found.matches) or _alike(found.matches):
        return None
    placed = _by_shape(found.matches, fits)
    if {entry.key for _, entry in placed} != {entry.key for entry in entries}:
        return None
    if not all(fits(way, entry) for way, entry in placed):
        return None
    found.matches = [Match(way, entry, ATTRIBUTES) for way, entry in placed]
    return found


def _by_shape(matches: Sequence[Match], fits: Fits) -> list[tuple[Way, Entry]]:
    """Each way with its tensor; the layers of a class that stand in one ``layers/``, no two alike, by their shapes."""
    groups: dict[str, list[Match]] = {}
    for m in matches:
        groups.setdefault(m.entry.paths[0], []).append(m)
    kinds: dict[tuple[str, str], list[str]] = {}
    for group in groups:
        base, _, name = group.rpartition("/")
        if base.rpartition("/")[2] in CONTAINERS:
            kinds.setdefault((base, counted(name)[0]), []).append(group)
    held = {group: {m.entry.index: m.entry for m in found} for group, found in groups.items()}
    taken = {group: group for group in groups}
    for alike in kinds.values():
        for group in alike:
            options = [
                other for other in alike
                if held[other].keys() == held[group].keys()
                and all(fits(m.way, held[other][m.entry.index]) for m in groups[group])
            ]  # fmt: skip
            taken[group] = options[0] if len(options) == 1 else group
    return [(m.way, held[taken[group]][m.entry.index]) for group, found in groups.items() for m in found]


def _alike(matches: Sequence[Match]) -> bool:
    """Whether two layers of one class that ``layers/`` holds have the same shapes, or two blocks of one class."""
    groups: dict[str, list[Entry]] = {}
    for m in matches:
        parts = m.entry.paths[0].split("/")
        for at, part in enumerate(parts[:-1]):
            if part in CONTAINERS:
                groups.setdefault("/".join(parts[: at + 2]), []).append(m.entry)
    signs = []
    for group, held in groups.items():
        base, _, name = group.rpartition("/")
        rest = sorted((entry.paths[0][len(group) :], entry.index, entry.shape) for entry in held)
        signs.append((base, counted(name)[0], tuple(rest)))
    return len(set(signs)) < len(signs)
