"""A module without a conversion's record: by canonical names; where no name meets, by structure, shape and order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfport.weights import keras_chain
from tfport.weights.by_attributes import match_attributes
from tfport.weights.by_chain import match_chains
from tfport.weights.by_names import NAMED, pair_by_names
from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.counters import created_otherwise
from tfport.weights.cudnn import no_twin
from tfport.weights.derive import Slot, derive, is_output, pattern_for, recurrent_kind
from tfport.weights.errors import WeightsError
from tfport.weights.keras_chain import behind_flatten
from tfport.weights.lazy import is_lazy
from tfport.weights.matching import Match, Matching, match
from tfport.weights.patterns import ZEROS, plan
from tfport.weights.record import Layer, Record, Way

__all__ = ["match_unrecorded"]

_FLATTENED = (
    "it would be that of {!r}, before which Keras flattens an image as h w c: whether the module flattens it so or as c h w"
    " is not shown; a map gives '(h w c) o -> o (c h w)' with sizes {{ c = ... }}, or 'i o -> o i'"
)
RECURRENT = ("LSTM", "GRU", "RNN")
_ORDERED = {"order": "structure and order", "class and order": "structure, class and order"}


def match_unrecorded(
    module: Any, targets: Mapping[str, Any], checkpoint: Checkpoint
) -> tuple[Record, Matching]:
    """Match a checkpoint to a module that has no record; what cannot be told is left missing, with the reason."""
    name = type(module).__name__
    slots, refused = derive(targets, recurrent=bool(checkpoint.made))
    weights = _weights(slots, checkpoint)
    paired = pair_by_names(slots, weights, refused)
    record = Record(
        name, "derived", _layers(slots), f"none; {name} has no record (tfport_record, or <file>.tfport.json beside its source)"
    )  # fmt: skip
    notes = dict(refused)
    notes.update(_recurrent(targets, checkpoint, notes))
    otherwise = created_otherwise(paired.pairs, slots, checkpoint)
    for slot, entry, _ in otherwise:
        notes[slot.target] = (
            f"by Keras' counters it would be {entry.key}, but the layers of that class are listed in another order"
        )
    square = [p for p in paired.pairs if is_output(p[1]) and len(set(p[1].shape)) == 1]
    for slot, entry, _ in square:
        notes[slot.target] = (
            f"it would be {entry.key} {list(entry.shape)}: whether that is (out, in), as BERT's, or (in, out) cannot be told"
        )
    paired.pairs = [pair for pair in paired.pairs if pair not in otherwise and pair not in square]
    if refused or len(paired.pairs) < len(slots):
        keys = {slot.target: entry.key for slot, entry, level in paired.pairs if level == NAMED}
        if (chained := match_chains(module, targets, checkpoint, keys)) is not None:
            return Record(name, "derived", chained[0].layers, record.origin), chained[1]
    if not refused and len(paired.pairs) < len(slots):
        placed = _by_attributes(slots, targets, checkpoint)
        if placed is not None:
            return record, placed
    flat = behind_flatten(keras_chain.chain_of(checkpoint.config)) if checkpoint.config else set()
    flattened = [p for p in paired.pairs if flat & set(p[1].layers) and p[0].role != "bias"]
    for slot, entry, _ in flattened:
        notes[slot.target] = _FLATTENED.format(entry.layers[0])
    paired.pairs = [pair for pair in paired.pairs if pair not in flattened]
    recurrent = any(slot.kind in RECURRENT for slot in slots)
    if (
        not paired.pairs
        and not otherwise
        and not flattened
        and not paired.ambiguous
        and not refused
        and not recurrent
    ):
        found = _by_structure(slots, record, checkpoint, notes, flat)
        if found is not None:
            return record, found
    matches, zeros = [], []
    for slot, entry, level in paired.pairs:
        first_way, *rest = _ways(slot, pattern_for(slot, entry))
        matches += [Match(way, entry, level) for way in (first_way, *rest) if way.pattern != ZEROS]
        zeros += [way for way in rest if way.pattern == ZEROS]
    tensors = {slot.target: slot.tensor for slot in slots}
    followed = {target: slot.target for slot in slots for target, _, _ in slot.also}
    settled = {slot.tensor for slot, _, _ in paired.pairs} | {
        tensors[word] for word in paired.disputed if word in tensors
    }
    ways = {m.way.target: m.way for m in matches}
    layers = tuple(
        Layer(layer.name, layer.kind, layer.path, None, tuple(ways.get(w.target, w) for w in layer.ways))
        for layer in record.layers
    )
    open_ = {slot.target for slot in slots if slot.required and slot.tensor not in settled}
    first = {slot.tensor: slot.target for slot in reversed(slots)}
    missing = [
        (layer, way) for layer in layers for way in layer.ways
        if way.target in open_ and first[tensors[way.target]] == way.target
    ]  # fmt: skip
    used = {m.entry.key for m in matches} | paired.disputed
    left = [entry for entry in weights if entry.key not in used]
    told = ways.keys() | open_ | paired.disputed
    kept = tuple(
        Layer(layer.name, layer.kind, layer.path, None, tuple(
            w for w in layer.ways if followed.get(w.target, w.target) in told
        )) for layer in layers
    )  # fmt: skip
    place = {target: at for at, target in enumerate(targets)}
    matches.sort(key=lambda m: place[m.way.target])
    return Record(name, "derived", kept, record.origin), Matching(
        matches, missing, left, paired.ambiguous, zeros, notes
    )


def _recurrent(
    targets: Mapping[str, Any], checkpoint: Checkpoint, notes: Mapping[str, str]
) -> dict[str, str]:
    """Why torch's recurrent layers take nothing of TensorFlow 1's cells, by parameter."""
    kinds = {target: recurrent_kind(held.owner) for target, held in targets.items() if held.parameter}
    said = {kind: no_twin(kind, list(checkpoint.entries)) for kind in set(kinds.values())}
    return {
        target: "; ".join(filter(None, (notes.get(target), said[kind])))
        for target, kind in kinds.items() if said.get(kind)
    }  # fmt: skip


def _weights(slots: list[Slot], checkpoint: Checkpoint) -> list[Entry]:
    """The checkpoint's weights; where the module has torch's recurrent layers, those of cuDNN's in their form."""
    weights = [entry for entry in checkpoint.entries.values() if not entry.ignored]
    if not any(slot.kind in RECURRENT for slot in slots):
        return weights
    used = {key for entry in checkpoint.made.values() for key in entry.made_of}
    return [entry for entry in weights if entry.key not in used] + list(checkpoint.made.values())


def _ways(slot: Slot, pattern: str) -> tuple[Way, ...]:
    """The slot's way, and those of the parameters that follow it."""
    variable = slot.role or slot.target.rpartition(".")[2]
    return tuple(Way(variable, *place) for place in ((slot.target, pattern, slot.sizes), *slot.also))


def _layers(slots: list[Slot]) -> tuple[Layer, ...]:
    """The owners in the order of definition, each with its weights in Keras' order."""
    groups: dict[str, list[Slot]] = {}
    for slot in slots:
        groups.setdefault(slot.path, []).append(slot)
    return tuple(
        Layer(path.replace(".", "/") or None, held[0].kind, path, None, tuple(
            way for s in sorted(held, key=lambda s: s.index) for way in _ways(s, s.pattern)
        )) for path, held in groups.items()
    )  # fmt: skip


def _by_attributes(slots: list[Slot], targets: Mapping[str, Any], checkpoint: Checkpoint) -> Matching | None:
    """All tensors by where a subclassed model holds them, with the patterns that they need."""
    slot_of = {slot.target: slot for slot in slots}

    def pattern(way: Way, entry: Entry) -> str:
        return pattern_for(slot_of[way.target], entry) if way.target in slot_of else way.pattern

    def fits(way: Way, entry: Entry) -> bool:
        tensor = targets[way.target].tensor
        try:
            made = plan(pattern(way, entry), entry.shape, way.sizes).target
        except WeightsError:
            return False
        return not is_lazy(tensor) and made == tuple(tensor.shape)

    found = match_attributes(_layers(_wanted(slots)), checkpoint, fits)
    if found is not None:
        found.matches = [
            Match(dataclasses.replace(m.way, pattern=pattern(m.way, m.entry)), m.entry, m.level)
            for m in found.matches
        ]
        place = {target: at for at, target in enumerate(targets)}
        found.matches.sort(key=lambda m: place[m.way.target])
    return found


def _wanted(slots: list[Slot]) -> list[Slot]:
    """The slots that must have a source, one of each tensor."""
    first = {slot.tensor: slot.target for slot in reversed(slots)}
    return [slot for slot in slots if slot.required and first[slot.tensor] == slot.target]


def _by_structure(
    slots: list[Slot], record: Record, checkpoint: Checkpoint, notes: dict[str, str], flat: set[str]
) -> Matching | None:
    """All tensors by the order that the file keeps, or none: kinds, variables and shapes must agree one by one, and no
    two layers may be such that they could be exchanged unnoticed: a module defines its layers in any order.
    """
    wanted = _wanted(slots)
    record = Record(record.model, record.kind, _layers(wanted), record.origin)
    found = match(record, checkpoint)
    if found.missing or found.left_over or found.ambiguous or not found.matches:
        return None
    entries = {m.way.target: m.entry for m in found.matches}
    scopes = [{_scope(entries[way.target]) for way in layer.sources} for layer in record.layers]
    whole = all(len(held) == 1 for held in scopes) and len(set().union(*scopes)) == len(scopes)
    if not whole or any(m.level not in _ORDERED for m in found.matches):
        return None
    alike: dict[Any, list[Layer]] = {}
    for layer in record.layers:
        alike.setdefault(_sign(layer, {m.way.target: m for m in found.matches}), []).append(layer)
    for layers in alike.values():
        for layer in layers:
            others = [other.path for other in layers if other is not layer]
            for way in layer.sources if others else ():
                notes[way.target] = (
                    f"no name meets, and by order alone {layer.path} and {' and '.join(others)}, alike in shape,"
                    f" could be exchanged unnoticed; perhaps {entries[way.target].key}"
                )
    for m in found.matches:
        if flat & set(m.entry.layers) and m.way.variable != "bias":
            notes.setdefault(m.way.target, _FLATTENED.format(m.entry.layers[0]))
    if notes:
        return None
    slot_of = {slot.target: slot for slot in wanted}
    for at, m in enumerate(found.matches):
        slot = slot_of.get(m.way.target)
        way = dataclasses.replace(m.way, pattern=pattern_for(slot, m.entry)) if slot else m.way
        found.matches[at] = Match(way, m.entry, _ORDERED[m.level])
    return found


def _scope(entry: Entry) -> str:
    """What owns a tensor in the checkpoint."""
    return next(iter((*entry.layers, *entry.paths)), entry.key.rpartition("/")[0])


def _sign(layer: Layer, matches: Mapping[str, Match]) -> Any:
    """What the checkpoint shows of a layer: variables and shapes, and the class only where its groups are named so."""
    held = [matches[way.target] for way in layer.sources]
    kind = layer.kind if any(m.level == "class and order" for m in held) else ""
    return kind, tuple((m.entry.variable, m.entry.shape) for m in held)
