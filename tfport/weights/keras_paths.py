"""Where Keras 3 puts each layer in a ``.weights.h5``: the group that a record's layer must be in.

The rules, as Keras follows them when it saves: a Functional or Sequential model puts its layers into
`layers/`, each under its class in snake case, with `_1`, `_2`, ... in the order of the layers of that class;
a nested model is such a group with `layers/` of its own. A subclassed model puts each layer under the
attribute that holds it, in alphabetical order of the attributes, and what it has seen once it does not write
again: since `layers` is such an attribute too, what is held by attributes after it in the alphabet lies in
`layers/`. Lists are numbered by class inside the attribute.
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Sequence

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
        _subclass(items, known, found)
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


def _tree(items: Sequence[tuple[int, Layer]]) -> _Holder:
    root = _Holder("")
    for number, layer in items:
        at = root
        for part in layer.keras_path.split("/") if layer.keras_path else layer.path.split("."):
            at = at.children.setdefault(part, _Holder(part))
        if at.number is None:
            at.kind, at.number = layer.kind, number
    return root


def _numbered(holders: Iterable[_Holder]) -> dict[int, str]:
    """What Keras calls the items of a container: the class in snake case, numbered; by ``id`` of the item."""
    counts: dict[str, int] = {}
    names = {}
    for holder in holders:
        snake = snake_case(holder.kind)
        counts[snake] = counts.get(snake, -1) + 1
        names[id(holder)] = f"{snake}_{counts[snake]}" if counts[snake] else snake
    return names


def _held(holder: _Holder, base: str, known: set[str], found: dict[int, str]) -> None:
    """The groups of what a model or block holds; ``base`` is its own group and a slash."""
    held = [i for c in holder.children.values() for i in (c.children.values() if c.is_list else [c])]
    everywhere = _numbered(held)
    for child in holder.children.values():
        inside = _numbered(child.children.values()) if child.is_list else {}
        for item in child.children.values() if child.is_list else [child]:
            attribute = f"{base}{child.name}/{inside[id(item)]}" if child.is_list else f"{base}{child.name}"
            options = [f"{base}{container}/{everywhere[id(item)]}" for container in CONTAINERS]
            if holder.kind not in ("Sequential", "Functional"):
                options.insert(0, attribute)
            taken = set(found.values())
            group = next((o for o in options if o not in taken and _there(o, known)), None)
            if group is None:
                continue
            if item.number is not None and (group in known or not item.children):
                found[item.number] = group
            _held(item, f"{group}/", known, found)


def _there(group: str, known: set[str]) -> bool:
    return group in known or any(k.startswith(f"{group}/") for k in known)


def _subclass(items: Sequence[tuple[int, Layer]], known: set[str], found: dict[int, str]) -> None:
    """The layers of a subclassed model: by the tree of attributes where all blocks are in the record.

    Item 0 of a module path may be a list's or a nested model's; an attribute path says which.
    """
    tree = _tree(items)
    told = all(layer.keras_path for _, layer in items) or not any(c.is_list for c in tree.children.values())
    if told and all(_complete(child) for child in tree.children.values()):
        _held(tree, "", known, found)
    _by_attributes([(n, layer) for n, layer in items if n not in found], known, found)


def _complete(holder: _Holder) -> bool:
    """Whether the classes of a block and of all that it holds are known."""
    return (holder.is_list or bool(holder.kind)) and all(_complete(c) for c in holder.children.values())


def _by_attributes(items: Sequence[tuple[int, Layer]], known: set[str], found: dict[int, str]) -> None:
    """Layers whose blocks the record does not name."""
    in_lists: dict[tuple[str, str], int] = {}
    in_layers: dict[str, int] = {}
    models = any(
        re.match(rf"({'|'.join(CONTAINERS)})/[^/]+/({'|'.join(CONTAINERS)})/", group) for group in known
    )
    for number, layer in items:
        snake = snake_case(layer.kind)
        attributes = layer.keras_path.split("/") if layer.keras_path else layer.path.split(".")
        candidates = ["/".join(attributes)]
        listed = len(attributes) > 1 and attributes[-1].isdigit()
        if listed:
            where = "/".join(attributes[:-1])
            count = in_lists.get((where, snake), 0)
            in_lists[where, snake] = count + 1
            candidates.append(f"{where}/{snake}" + (f"_{count}" if count else ""))
        if len(attributes) == 1 or (listed and len(attributes) == 2):
            rank = in_layers.get(snake, 0)
            in_layers[snake] = rank + 1
            # item 0 of an attribute may be a list's or a nested model's: with such models the counters are not known
            if not (models and any(_listed(other) for _, other in items)):
                candidates += [
                    f"{container}/{snake}" + (f"_{rank}" if rank else "") for container in CONTAINERS
                ]
        inside = any(part for part in layer.parts)
        group = next(
            (
                c
                for c in candidates
                if (c in known or (inside and _there(c, known))) and c not in found.values()
            ),
            None,
        )
        if group is not None:
            found[number] = group


def _listed(layer: Layer) -> bool:
    return layer.path.rpartition(".")[2].isdigit()
