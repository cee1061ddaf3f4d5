"""Keras' counters against the order of the model: whether ``dense_7`` and ``dense_8`` are the first and the second.

Keras counts layers as they are created, a module that counts its own as they are used. Where the file lists the model's
layers in another order than their numbers, the numbers of both sides mean different things.
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


def created_otherwise(pairs: Sequence[Pair], slots: Sequence[Slot], checkpoint: Checkpoint) -> list[Pair]:
    """The pairs by a counter of Keras' that the order of the layers speaks against.

    Ranks hold where the module defines its layers in their order, and the file lists them so where it has an order.
    Names that are equal but for their spelling (``dense1``) hold where the file lists the layers in the order of their
    numbers, or the module defines them as the file lists them. Keras' very names (``dense_1``) always hold.
    """
    place = {slot.target: at for at, slot in enumerate(slots)}
    classes: dict[tuple[str, str], list[tuple[int, Pair]]] = {}
    for pair in pairs:
        if counter := _counter(pair[1]):
            classes.setdefault((counter[0], pair[0].role), []).append((counter[1], pair))
    found = []
    for held in classes.values():
        held.sort(key=lambda item: item[0])
        entries = [pair[1] for _, pair in held]
        defined = [place[pair[0].target] for _, pair in held]
        listed = _places(entries, checkpoint)
        otherwise = any(places != sorted(places) for places in listed)
        if any(pair[2] == COUNTED for _, pair in held):
            otherwise = otherwise or defined != sorted(defined)
        elif otherwise:
            copied = all(_last(pair[1]) in pair[0].path.split(".") for _, pair in held)
            otherwise = not copied and any(_ranks(places) != _ranks(defined) for places in listed)
        if otherwise:
            found += [pair for _, pair in held]
    return found


def _last(entry: Entry) -> str:
    """The automatic name in an entry's name, as it is spelt."""
    return next((p for p in reversed(_parts(entry)) if AUTOMATIC.fullmatch(p)), "")


def _parts(entry: Entry) -> list[str]:
    return re.sub(r":\d+$", "", entry.layers[0] if entry.layers else entry.key).split("/")


def _ranks(numbers: Sequence[int]) -> list[int]:
    ordered = sorted(numbers)
    return [ordered.index(number) for number in numbers]


def _counter(entry: Entry) -> tuple[str, int] | None:
    """The class in an entry's name, with what stands before it, and its number."""
    parts = _parts(entry)
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
