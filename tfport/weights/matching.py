"""Which source tensor belongs to which target: by path, by name, by Keras' counters, by the model's own
order.

Never by shape. The levels are tried from the safest; the level that decided is said in the report. Two
targets with one source, or two sources for one target, are an error.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.keras_paths import group_paths
from tfport.weights.names import is_automatic, natural, part_names, synonyms
from tfport.weights.patterns import ZEROS
from tfport.weights.record import Layer, Record, Way

__all__ = ["Match", "Matching", "match"]


@dataclasses.dataclass(frozen=True)
class Match:
    """One source tensor for one target, and the level that brought them together."""

    way: Way
    entry: Entry
    level: str


@dataclasses.dataclass
class Matching:
    """All matches, targets without a source, sources without a target, lines on what is ambiguous, targets that
    are zero in Keras, and why a target has no source where more is known.
    """

    matches: list[Match]
    missing: list[tuple[Layer, Way]]
    left_over: list[Entry]
    ambiguous: list[str]
    zeros: list[Way] = dataclasses.field(default_factory=list)
    notes: dict[str, str] = dataclasses.field(default_factory=dict)


Found = dict[tuple[int, str], tuple[Entry, str]]


def match(record: Record, checkpoint: Checkpoint) -> Matching:
    """Match the record's variables to the checkpoint's weights."""
    weights = [entry for entry in checkpoint.entries.values() if not entry.ignored]
    disputed: dict[str, list[str]] = {}
    found: Found = {}
    by_path = _by_path(record, weights)
    levels = (
        by_path,
        _by_name(record, weights, disputed),
        _by_group(record, weights),
        _by_order(record, checkpoint),
        _by_layer_list(record, weights),
    )
    for level in levels:
        taken = {entry.key for entry, _ in found.values()}
        for place, (entry, how) in level.items():
            if place not in found and entry.key not in taken:
                found[place] = (entry, how)
    result = Matching([], [], [], [])
    claimed: dict[str, dict[tuple[int, str], str]] = {}
    for number, layer in enumerate(record.layers):
        for way in layer.ways:
            if way.pattern == ZEROS:
                result.zeros.append(way)
            elif (number, way.variable) in found:
                entry, how = found[number, way.variable]
                result.matches.append(Match(way, entry, how))
                claimed.setdefault(entry.key, {})[number, way.variable] = way.target
            elif way.target not in disputed:
                result.missing.append((layer, way))
            else:
                keys = disputed[way.target]
                result.ambiguous.append(
                    f"{way.target}: several layers are called {layer.name!r}: {', '.join(keys)}"
                )
                claimed.update((key, {(number, way.variable): way.target}) for key in keys)
    result.left_over = [entry for entry in weights if entry.key not in claimed]
    result.ambiguous += [
        f"{key} fits {' and '.join(t.values())}" for key, t in claimed.items() if len(set(t.values())) > 1
    ]
    return result


def _variables(ways: Sequence[Way], entries: Sequence[Entry]) -> dict[str, Entry]:
    """The variables of one object among entries that all belong to it: by name, by synonym, or by position."""
    named = {entry.variable: entry for entry in entries if entry.variable is not None}
    found: dict[str, Entry] = {}
    own = {way.own_name for way in ways}
    unnamed = [way for way in ways if _is_unnamed(way.own_name)]
    counted = sorted(
        (n for n in named if _is_unnamed(n)), key=natural
    )  # over all layers: `variable_7` may be the first
    if len(unnamed) == len(counted):
        found.update((way.variable, named[n]) for way, n in zip(unnamed, counted, strict=True))
    for way in ways:
        if way in unnamed:
            continue
        names = (way.own_name, *(name for name in synonyms(way.own_name) if name not in own))
        entry = next((named[name] for name in names if name in named), None)
        if entry is not None:
            found[way.variable] = entry
    if not named:
        numbered = sorted((e for e in entries if e.index is not None), key=lambda e: e.index or 0)
        if len(numbered) == len(ways):
            return {way.variable: entry for way, entry in zip(ways, numbered, strict=True)}
    return found


def _is_unnamed(variable: str) -> bool:
    """Whether Keras counted the variable, since the layer gave it no name."""
    return re.fullmatch(r"variable(_\d+)?", variable) is not None


def _grouped(entries: Iterable[Entry], places: str) -> dict[str, list[Entry]]:
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        for place in getattr(entry, places):
            groups.setdefault(place, []).append(entry)
    return groups


def _single(entries: Sequence[Entry]) -> bool:
    """Whether no variable is there twice."""
    keys = [(entry.variable, entry.index) for entry in entries]
    return len(set(keys)) == len(keys)


def _by_path(record: Record, weights: Sequence[Entry]) -> Found:
    """By the attribute path in Keras, or by the module's own path for a subclassed model."""
    groups = _grouped(weights, "paths")
    found: Found = {}
    for number, layer in enumerate(record.layers):
        candidates = [] if layer.keras_path is None else [layer.keras_path]
        if record.kind == "subclass":
            candidates.append(layer.path.replace(".", "/"))
        for path in candidates:
            held = {part: group_of(groups, path, part) for part in layer.parts}
            if any(held.values()) and all(_single(entries) for entries in held.values()):
                for part, entries in held.items():
                    for variable, entry in _variables(layer.parts[part], entries).items():
                        found[number, variable] = (entry, "path")
                break
    return found


def group_of(groups: dict[str, list[Entry]], path: str, part: str) -> list[Entry]:
    """The entries of an object inside a layer; Keras writes some attributes with a leading underscore."""
    base = path.split("/") if path else []
    if part == "":
        return groups.get(path, [])
    words = [*base, *part.split("/")]
    for key in ("/".join(words), "/".join([*base, *(f"_{word}" for word in part.split("/"))])):
        if key in groups:
            return groups[key]
    return []


def _by_name(record: Record, weights: Sequence[Entry], disputed: dict[str, list[str]]) -> Found:
    """By the layer's name: given ones each for itself, automatic ones only when all of them are there."""
    groups = _grouped(weights, "layers")
    found: Found = {}
    automatic: Found = {}
    complete = True
    for number, layer in enumerate(record.layers):
        if not layer.sources:
            continue
        given = not is_automatic(layer.name, layer.kind)
        for part, ways in layer.parts.items():
            entries = _named(groups, layer, part)
            if entries is None:
                complete = False
                continue
            if not _single(entries):
                for way in ways:
                    names = (way.own_name, *synonyms(way.own_name), None)
                    disputed[way.target] = [entry.key for entry in entries if entry.variable in names]
                complete = False
                continue
            for variable, entry in _variables(ways, entries).items():
                (found if given else automatic)[number, variable] = (entry, "name")
    if complete:
        found.update(automatic)
    return found


def _named(groups: dict[str, list[Entry]], layer: Layer, part: str) -> list[Entry] | None:
    """The entries of the layer with this name, or of one object inside it; of those that also have it as the end of
    a longer name, the outermost.
    """
    name = layer.name
    if name and part:
        names = part_names(part, name, sorted(groups, key=natural), single=len(layer.parts) == 1)
        if len(names) != 1:
            return _at_path(groups, name, part)
        name = names[0]
    entries = groups.get(name) if name else None
    if not entries:
        return None
    depth = min(entry.layers[0].count("/") for entry in entries)
    return [entry for entry in entries if entry.layers[0].count("/") == depth]


def _at_path(groups: dict[str, list[Entry]], name: str, part: str) -> list[Entry] | None:
    """The entries under a layer's name that an object graph has at the object inside it: ``.../backward_layer/cell``."""
    below = {
        entry.key: entry
        for held, entries in groups.items() if held.startswith(f"{name}/")
        for entry in entries if any(f"/{path}".endswith(f"/{part}") for path in entry.paths)
    }  # fmt: skip
    return list(below.values()) or None


def _by_group(record: Record, weights: Sequence[Entry]) -> Found:
    """By Keras' class counters, in files that name their groups so."""
    holders = [entry for entry in weights if entry.variable is None and entry.paths]
    groups = _grouped(holders, "paths")
    found: Found = {}
    for number, group in group_paths(record, groups).items():
        for part, ways in record.layers[number].parts.items():
            for variable, entry in _variables(ways, group_of(groups, group, part)).items():
                found[number, variable] = (entry, "class and order")
    return found


def _by_order(record: Record, checkpoint: Checkpoint) -> Found:
    """By a list that the file keeps in the model's own order; every variable's name must agree."""
    found: Found = {}
    for order in checkpoint.orders:
        entries = [checkpoint.entries[key] for key in order]
        fits = []
        for sequence in _sequences(record):
            if len(sequence) == len(entries) and all(
                _agree(way, entry) for (_, way), entry in zip(sequence, entries, strict=True)
            ):
                fits.append({(n, w.variable): e.key for (n, w), e in zip(sequence, entries, strict=True)})
        if fits and all(fit == fits[0] for fit in fits):
            for place, key in fits[0].items():
                found.setdefault(place, (checkpoint.entries[key], "order"))
    return _without_conflict(record, found)


_LISTED = re.compile(r"layer_with_weights-\d+(?:/layer_with_weights-\d+)*")


def _by_layer_list(record: Record, weights: Sequence[Entry]) -> Found:
    """By the list of layers with weights that Keras 2's checkpoints of Functional models keep; every variable of every
    layer must be there under its name, inside the layer too."""
    groups = _grouped(weights, "paths")
    held: dict[str, set[str]] = {}
    for path, entries in groups.items():
        if listed := _LISTED.match(path):
            held.setdefault(listed[0], set()).update(entry.key for entry in entries)
    layers = [number for number, layer in enumerate(record.layers) if layer.sources]
    found: Found = {}
    if len(held) != len(layers):
        return found
    for place, number in zip(sorted(held, key=natural), layers, strict=True):
        made: dict[str, Entry] = {}
        for part, ways in record.layers[number].parts.items():
            made.update(_variables(ways, group_of(groups, place, part)))
        if {entry.key for entry in made.values()} != held[place] or len(made) != len(
            record.layers[number].sources
        ):
            return {}
        found.update(((number, variable), (entry, "order")) for variable, entry in made.items())
    return _without_conflict(record, found)


def _agree(way: Way, entry: Entry) -> bool:
    return (
        entry.variable is None
        or entry.variable == way.own_name
        or entry.variable in synonyms(way.own_name)
        or (_is_unnamed(entry.variable) and _is_unnamed(way.own_name))
    )


def _without_conflict(record: Record, found: Found) -> Found:
    """Drop all if a given name stands elsewhere in the list: then the order is not the record's."""
    names = {layer.name for layer in record.layers if layer.name and not is_automatic(layer.name, layer.kind)}
    for (number, _), (entry, _) in found.items():
        mine = record.layers[number].name
        if set(entry.layers) & names and mine not in entry.layers:
            return {}
    return found


def _sequences(record: Record) -> list[list[tuple[int, Way]]]:
    """The orders in which Keras may list the variables of the model."""
    layers = list(enumerate(record.layers))
    by_layer = [(number, way) for number, layer in layers for way in layer.sources]
    nested: dict[str, list[tuple[int, Way]]] = {}
    for number, layer in layers:
        top = layer.name.split("/")[0] if layer.name and record.kind != "derived" else str(number)
        nested.setdefault(top, []).extend((number, way) for way in layer.sources)
    grouped = [item for items in nested.values() for item in sorted(items, key=lambda i: not i[1].trainable)]
    own_first = sorted(by_layer, key=lambda item: record.layers[item[0]].path != "")
    top_last = sorted(by_layer, key=lambda item: record.layers[item[0]].path == "")
    return [
        sequence
        for base in (by_layer, grouped, own_first, top_last)
        for sequence in (
            base,
            [item for item in base if item[1].trainable],
            [i for i in base if not i[1].trainable],
        )
        if sequence
    ]
