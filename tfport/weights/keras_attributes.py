"""Where Keras puts the layers of a subclassed model in a ``.weights.h5``: under the attributes that hold them.

Keras visits the attributes of a model in alphabetical order (Keras 3 from A to Z, Keras 2.12 to 2.15 and tf_keras from
Z to A), and writes nothing twice. ``layers`` is such an attribute: what it holds and was not visited before lies in
`layers/`, each under its class in snake case. Keras 3 counts all layers of a class there, Keras 2 those that it
writes. A block that is no model has no ``layers``: its attributes have all it holds. Items of a list are numbered by
class inside the attribute. Source: ``_walk_saveable`` and ``_save_container_state`` in keras/src/saving/saving_lib.py.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Sequence

from tfport.weights.keras_weights import CONTAINERS
from tfport.weights.names import natural, snake_case
from tfport.weights.record import Layer

__all__ = ["place_attributes"]

_MODELS = ("Sequential", "Functional")


@dataclasses.dataclass
class _Holder:
    """An attribute of a subclassed model, or an item of a list: a layer, a block, a list or a Sequential."""

    name: str
    kind: str = ""
    number: int | None = None
    children: dict[str, _Holder] = dataclasses.field(default_factory=dict)

    @property
    def is_list(self) -> bool:
        return not self.kind and bool(self.children) and all(name.isdigit() for name in self.children)


def place_attributes(items: Sequence[tuple[int, Layer]], known: set[str], found: dict[int, str]) -> None:
    """Add the group of each layer (by its number in the record) among the file's; what is not decided stays out."""
    _Placing(known, found).of(_tree(items), "")


def _tree(items: Sequence[tuple[int, Layer]]) -> _Holder:
    root = _Holder("")
    for number, layer in items:
        at = root
        for part in layer.keras_path.split("/") if layer.keras_path else layer.path.split("."):
            at = at.children.setdefault(part, _Holder(part))
        if at.number is None:
            at.kind, at.number = layer.kind, number
    return root


@dataclasses.dataclass
class _Placing:
    known: set[str]
    found: dict[int, str]

    def of(self, holder: _Holder, base: str) -> None:
        """Place what a model or block holds; ``base`` is its own group and a slash."""
        container = next((c for c in CONTAINERS if self._there(f"{base}{c}")), "")
        apart = (
            []
            if holder.kind in _MODELS
            else [c for c in holder.children.values() if self._there(base + c.name)]
        )
        for child in apart:
            inside = f"{base}{child.name}/"
            if child.is_list and not any(self._there(inside + c) for c in CONTAINERS):
                self._counted(list(child.children.values()), list(child.children.values()), inside)
            else:  # a Sequential whose class the record does not have holds items 0, 1, ... as a list does
                child.kind = child.kind or ("Sequential" if child.is_list else "")
                self._at(child, inside)
        rest = [c for c in holder.children.values() if c not in apart]
        if not container or not rest:
            return
        sides = {c.name.lstrip("_") > container for c in apart if not c.name.startswith("_")}
        if len(sides) > 1:
            return
        written, every = _flat(rest), _flat(holder.children.values())
        self._counted(written, written if sides == {True} else every, f"{base}{container}/")

    def _at(self, item: _Holder, inside: str) -> None:
        group = inside.rstrip("/")
        if item.number is not None and (group in self.known or not item.children):
            self.found[item.number] = group
        self.of(item, inside)

    def _counted(self, written: list[_Holder], counted: list[_Holder], base: str) -> None:
        """Place items that are numbered by class: those of a list, or of `layers/`."""
        there = {key[len(base) :].split("/")[0] for key in self.known if key.startswith(base)}
        names = _numbered(counted)
        kinds = collections.defaultdict(list)
        for item in written:
            kinds[snake_case(item.kind)].append(item)
        for snake, items in kinds.items():
            if snake and {names[id(i)] for i in items} == {n for n in there if _is_a(n, snake)}:
                for item in items:
                    self._at(item, f"{base}{names[id(item)]}/")
        for item, name in self._shaped(
            kinds.get("", []), there - {n for n in there for k in kinds if k and _is_a(n, k)}, base
        ):
            self._at(item, f"{base}{name}/")

    def _shaped(self, items: list[_Holder], names: set[str], base: str) -> list[tuple[_Holder, str]]:
        """Blocks whose class the record does not have, by the names of what they hold; several alike in their order if
        they are of one class.
        """
        shapes: dict[frozenset[str], list[_Holder]] = collections.defaultdict(list)
        for item in items:
            shapes[frozenset(item.children)].append(item)
        groups: dict[frozenset[str], list[str]] = collections.defaultdict(list)
        for name in sorted(names, key=natural):
            inside = f"{base}{name}/"
            groups[
                frozenset(k[len(inside) :].split("/")[0] for k in self.known if k.startswith(inside))
            ].append(name)
        pairs = []
        for shape, alike in shapes.items():
            held = groups.get(shape, [])
            if len(held) == len(alike) and len({re.sub(r"_\d+$", "", name) for name in held}) == 1:
                pairs += list(zip(alike, held, strict=True))
        return pairs

    def _there(self, group: str) -> bool:
        return group in self.known or any(key.startswith(f"{group}/") for key in self.known)


def _flat(holders: Iterable[_Holder]) -> list[_Holder]:
    return [item for h in holders for item in (h.children.values() if h.is_list else [h])]


def _numbered(holders: Iterable[_Holder]) -> dict[int, str]:
    """What Keras calls the items of a container: the class in snake case, numbered; by ``id`` of the item."""
    counts: collections.Counter[str] = collections.Counter()
    names = {}
    for holder in holders:
        snake = snake_case(holder.kind)
        names[id(holder)] = f"{snake}_{counts[snake]}" if counts[snake] else snake
        counts[snake] += 1
    return names


def _is_a(name: str, snake: str) -> bool:
    return re.fullmatch(re.escape(snake) + r"(_\d+)?", name) is not None
