"""Keras' counters against the order of the model: whether ``dense_7`` and ``dense_8`` may be taken for the first and second.

Keras counts layers as they are created. A module that counts its own from 1 counts them as they are used. Where the
file tells the model's order and it is another one, the ranks of both mean different things.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tfport.weights.by_names import AUTOMATIC, COUNTED
from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.derive import Slot
from tfport.weights.keras_weights import counted

__all__ = ["created_otherwise"]

Pair = tuple[Slot, Entry, str]


def created_otherwise(pairs: Sequence[Pair], checkpoint: Checkpoint) -> list[Pair]:
    """The pairs by rank among layers of a class that the model lists in another order than Keras counted them in."""
    classes: dict[str, list[tuple[int, Pair]]] = {}
    for pair in pairs:
        if pair[2] == COUNTED and (place := _counter(pair[1])):
            classes.setdefault(place[0], []).append((place[1], pair))
    found = []
    for held in classes.values():
        entries = [pair[1] for _, pair in sorted(held, key=lambda item: item[0])]
        if any(places != sorted(places) for places in _places(entries, checkpoint)):
            found += [pair for _, pair in held]
    return found


def _counter(entry: Entry) -> tuple[str, int] | None:
    """The class in an entry's name, with what stands before it, and its number."""
    parts = re.sub(r":\d+$", "", entry.layers[0] if entry.layers else entry.key).split("/")
    for at in range(len(parts) - 1, -1, -1):
        if match := AUTOMATIC.fullmatch(parts[at]):
            return "/".join((*parts[:at], match[1])), int(match[2] or 0)
    return None


def _places(entries: Sequence[Entry], checkpoint: Checkpoint) -> list[list[int]]:
    """The entries' positions in each order that the file keeps of the model: its lists, and its groups by class."""
    orders = checkpoint.orders if checkpoint.format != "mapping" else ()
    found = [
        [order.index(entry.key) for entry in entries]
        for order in orders if all(entry.key in order for entry in entries)
    ]  # fmt: skip
    groups = [
        entry.paths[0].split("/") if entry.paths and entry.index is not None else [] for entry in entries
    ]
    if all(groups) and len({"/".join((*g[:-1], counted(g[-1])[0])) for g in groups}) == 1:
        found.append([counted(group[-1])[1] for group in groups])
    return found
