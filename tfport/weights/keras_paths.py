"""Where Keras 3 puts each layer in a ``.weights.h5``: the group that a record's layer must be in.

The rules, as Keras follows them when it saves: a Functional or Sequential model puts its layers into
`layers/`, each under its class in snake case, with `_1`, `_2`, ... in the order of the layers of that class;
a nested model is such a group with `layers/` of its own. Subclassed models are in `keras_attributes`.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Sequence

from tfport.weights.keras_attributes import place_attributes
from tfport.weights.keras_weights import CONTAINERS
from tfport.weights.names import snake_case
from tfport.weights.record import Layer, Record

__all__ = ["group_paths"]


def group_paths(record: Record, groups: Iterable[str]) -> dict[int, str]:
    """The group of each layer (by its position in the record) among the file's ``groups``; absent where
    undecided.
    """
    known = set(groups)
    found: dict[int, str] = {}
    items = [(number, layer) for number, layer in enumerate(record.layers)]
    if record.kind == "subclass":
        place_attributes(items, known, found)
    else:
        _layers(items, "", 0, known, found, nested=record.kind != "derived")
    return found


def _below(prefix: str, known: set[str]) -> tuple[str, list[str]]:
    """The container under ``prefix`` and the names of the groups directly in it."""
    for container in CONTAINERS:
        base = f"{prefix}{container}/"
        names = {group[len(base) :].split("/")[0] for group in known if group.startswith(base)}
        if names:
            return base, sorted(names)
    return f"{prefix}{CONTAINERS[0]}/", []


def _number(name: str, snake: str) -> int | None:
    match = re.fullmatch(re.escape(snake) + r"(?:_(\d+))?", name)
    return int(match.group(1) or 0) if match else None


def _layers(
    items: Sequence[tuple[int, Layer]],
    prefix: str,
    depth: int,
    known: set[str],
    found: dict[int, str],
    nested: bool,
) -> None:
    """The layers of one Functional or Sequential model."""
    base, names = _below(prefix, known)
    inner: dict[str, list[tuple[int, Layer]]] = {}
    kinds: dict[str, list[int]] = {}
    for number, layer in items:
        parts = (layer.name or "").split("/")
        if nested and len(parts) > depth + 1:
            inner.setdefault(parts[depth], []).append((number, layer))
        else:
            kinds.setdefault(snake_case(layer.kind), []).append(number)
    models = [name for name in names if _below(f"{base}{name}/", known)[1]]
    for snake, numbers in kinds.items():
        there = {n: name for name in names if (n := _number(name, snake)) is not None and name not in models}
        ranked = [there[n] for n in sorted(there)]
        for rank, number in enumerate(numbers):
            if rank in there:
                found[number] = base + there[rank]
            elif len(ranked) == len(numbers):  # Keras 2.12 to 2.15 counts each layer twice
                found[number] = base + ranked[rank]
    for model, below in _paired(inner, models, base, depth + 1, known):
        _layers(below, f"{base}{model}/", depth + 1, known, found, nested)


def _paired(
    inner: dict[str, list[tuple[int, Layer]]], models: list[str], base: str, depth: int, known: set[str]
) -> list[tuple[str, list[tuple[int, Layer]]]]:
    """Nested models and their groups: by the classes in them where that settles it, by order if of one class."""
    fits = {
        name: [m for m in models if _classes_in(f"{base}{m}/", known) == _classes(layers, depth)]
        for name, layers in inner.items()
    }
    if all(len(groups) == 1 for groups in fits.values()) and len({g[0] for g in fits.values()}) == len(inner):
        return [(fits[name][0], layers) for name, layers in inner.items()]
    if len(inner) == len(models) and len({re.sub(r"_\d+$", "", m) for m in models}) == 1:
        ordered = sorted(models, key=lambda m: int(match.group()) if (match := re.search(r"\d+$", m)) else 0)
        return list(zip(ordered, inner.values(), strict=True))
    return []


def _classes(layers: Sequence[tuple[int, Layer]], depth: int) -> collections.Counter[str]:
    own = [layer for _, layer in layers if layer.ways and (layer.name or "").count("/") == depth]
    return collections.Counter(snake_case(layer.kind) for layer in own)


def _classes_in(prefix: str, known: set[str]) -> collections.Counter[str]:
    base, names = _below(prefix, known)
    return collections.Counter(re.sub(r"_\d+$", "", name) for name in names if base + name in known)
