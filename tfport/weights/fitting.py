"""Whether a checkpoint fits a module, by names, shapes and dtypes alone: every problem is found before a value is read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from tfport.weights import lazy
from tfport.weights.checkpoint import Checkpoint, plain
from tfport.weights.cudnn import opaque
from tfport.weights.detect import read_checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.mapping_file import matched, read_map
from tfport.weights.matching import Match, Matching, match
from tfport.weights.patterns import ZEROS, Plan, Sizes, plan, source_shape
from tfport.weights.record import Record, find_record, load_record, parse_record
from tfport.weights.unrecorded import match_unrecorded
from tfport.weights.wrapped import prefixed, unwrapped

__all__ = ["Fitted", "Held", "fit", "open_checkpoint", "pair", "untold"]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A checkpoint that fits a module: the record, the module's tensors, what goes where, and how it moves."""

    record: Record
    targets: dict[str, Held]
    matching: Matching
    plans: list[Plan]

    def untold(self, told: set[str]) -> list[str]:
        """Parameters that are not among these, themselves or under another name of the same tensor."""
        return untold(self.targets, told)

    @property
    def ordered(self) -> bool:
        """Whether the module's weights stand in Keras' order: a conversion's record keeps it."""
        return self.record.kind not in ("derived", "map")

    def trainable(self, trained: set[int] | None = None) -> list[str]:
        """Keys of the weights whose every target is a parameter (one of those with these ids), in the model's order."""
        places: dict[str, list[Held]] = {}
        for m in self.matching.matches:
            places.setdefault(m.entry.key, []).append(self.targets[m.way.target])
        return [
            key for key, held in places.items()
            if all(h.parameter and (trained is None or id(h.tensor) in trained) for h in held)
        ]  # fmt: skip


def pair(
    module: Any, checkpoint: Checkpoint, *, record: Any = None, name: str | None = None, map: Any = None
) -> tuple[Record, dict[str, Held], Matching]:
    """What goes where, whether all of it fits or not: by a map, by the record, or by what the module tells."""
    targets = _targets(module)
    if map is not None:
        told = read_map(map)
        found, matching = matched(told, checkpoint, type(module).__name__)
        unknown = sorted(told.kept - targets.keys())
        if unknown:
            raise WeightsError(
                f"{told.path}: {type(module).__name__} has no parameter of these names", unknown
            )
        return found, {n: held for n, held in targets.items() if n not in told.kept}, matching
    inside, prefix = unwrapped(module)
    recorded = _record(inside, record, name)
    if recorded is not None:
        recorded = prefixed(recorded, prefix)
        return recorded, targets, match(recorded, checkpoint)
    found, matching = match_unrecorded(module, targets, checkpoint)
    return found, targets, matching


def fit(
    module: Any,
    checkpoint: Checkpoint,
    *,
    record: Any = None,
    name: str | None = None,
    strict: bool = True,
    map: Any = None,
) -> Fitted:
    """Match a checkpoint to a module by names and shapes alone; no value is read. WeightsError as `load_weights`."""
    found, targets, matching = pair(module, checkpoint, record=record, name=name, map=map)
    problems = _placed(found, targets, matching, strict)
    plans, wrong = _plans(targets, matching.matches)
    problems += wrong + _forbidden(found, matching.matches) + _fills(targets, matching)
    if problems:
        by_hand = _cast(targets, matching.matches)
        if found.kind == "derived" and any(not p.startswith("wrong dtype") for p in problems):
            by_hand += "; settle it by hand: --write-map FILE.toml, then --map FILE.toml"
        if any(getattr(part, "built", True) is False for part in module.modules()):  # compat.keras
            by_hand += (
                "; it has layers without weights before their first call: call it once on an example (tfport weights:"
                " --input 1x224x224x3, in the order that the module takes)"
            )
        raise WeightsError(
            f"{checkpoint.path} does not fit {found.model} (record: {found.origin});"
            f" {len(problems)} {'problem' if len(problems) == 1 else 'problems'}, nothing was loaded{by_hand}",
            problems,
        )
    return Fitted(found, targets, matching, plans)


@dataclasses.dataclass(frozen=True)
class Held:
    """One parameter or buffer of a module: the module that owns it and the name it has there."""

    owner: Any
    name: str
    tensor: Any
    parameter: bool


def open_checkpoint(source: Any, verify: bool) -> Checkpoint:
    """A checkpoint from a path, a mapping of arrays, or one that is open."""
    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, Mapping):
        return plain(source)
    return read_checkpoint(source, verify=verify)


def _record(module: Any, record: Any, name: str | None) -> Record | None:
    wanted = name or type(module).__name__
    if isinstance(record, (str, os.PathLike)):
        return parse_record(load_record(os.fspath(record)), wanted, os.fspath(record))
    if record is not None:
        return parse_record(record, wanted, "the record given")
    return find_record(module, name)


def _targets(module: Any) -> dict[str, Held]:
    """Parameters and saved buffers by name; BatchNorm's batch counter has no counterpart and is left out."""
    found = {}
    for path, child in module.named_modules(remove_duplicate=False):
        base = f"{path}." if path else ""
        for name, tensor in child._parameters.items():
            if tensor is not None:
                found[base + name] = Held(child, name, tensor, True)
        for name, tensor in child._buffers.items():
            if (
                tensor is not None
                and name not in child._non_persistent_buffers_set
                and name != "num_batches_tracked"
            ):
                found[base + name] = Held(child, name, tensor, False)
    return found


def untold(targets: dict[str, Held], told: set[str]) -> list[str]:
    """Parameters that no record line mentions, themselves or under another name of the same tensor."""
    same = {id(targets[t].tensor) for t in told if t in targets}
    return [
        t for t, held in targets.items() if held.parameter and t not in told and id(held.tensor) not in same
    ]


def _placed(record: Record, targets: dict[str, Held], matching: Matching, strict: bool) -> list[str]:
    """What has no place: on either side."""
    problems = [f"ambiguous: {line}" for line in matching.ambiguous]
    ways = [way for layer in record.layers for way in layer.ways]
    for way in ways:
        if way.target not in targets:
            problems.append(
                f"unknown target: the record names {way.target}, the module has no such parameter or buffer"
            )
    if strict:
        for layer, way in matching.missing:
            wanted = _wanted(targets, way.target, way.pattern, way.sizes)
            problems.append(
                f"missing: {way.target} wants {way.variable} of layer"
                f" {layer.name or layer.keras_path or layer.path!r} ({layer.kind}, shape {wanted},"
                f" {way.pattern}); {matching.notes.get(way.target, 'no such tensor in the checkpoint')}"
            )
        told = {way.target for way in ways}
        problems += [
            f"missing: {t}: {matching.notes[t]}"
            if t in matching.notes
            else f"missing: {t} has no variable in the record"
            for t in untold(targets, told)
        ]
        problems += [
            f"left over: {entry.key} {list(entry.shape)} {entry.dtype}"
            + (f" (layer {entry.layers[0]})" if entry.layers else "")
            + " belongs to no parameter"
            + opaque(entry.key)
            for entry in matching.left_over
        ]
    return problems


def _forbidden(record: Record, matches: list[Match]) -> list[str]:
    """Tensors of a class that the reader cannot tell from another."""
    kinds = {way.target: layer.kind for layer in record.layers for way in layer.ways}
    return [
        f"ambiguous: {m.entry.key} -> {m.way.target}: the file does not tell whether the last two axes of this kernel are"
        f" those of a {kinds[m.way.target]}; with the model's configuration in the file (model.save), it would"
        for m in matches
        if m.entry.not_for and kinds.get(m.way.target, "").endswith(m.entry.not_for)
    ]


def _wanted(targets: dict[str, Held], target: str, pattern: str, sizes: Sizes) -> str:
    """The TensorFlow shape that a target wants, as text; ? where it is not known."""
    if target not in targets:
        return "unknown"
    shape = source_shape(pattern, _shape(targets[target]), sizes)
    return (
        "[" + ", ".join("?" if n is None else str(n) for n in shape) + "]" if shape is not None else "unknown"
    )


def _shape(held: Held) -> tuple[int | None, ...]:
    return lazy.known_shape(held.owner, held.name) if lazy.is_lazy(held.tensor) else tuple(held.tensor.shape)


def _fills(targets: dict[str, Held], matching: Matching) -> list[str]:
    """A line for each target that is filled with numbers and cannot be cut into as many blocks."""
    problems = []
    for way in matching.zeros:
        blocks = len(way.pattern.split())
        if way.target in targets and way.pattern != ZEROS:
            shape = _shape(targets[way.target])
            if None in shape or (blocks > 1 and (not shape or (shape[0] or 0) % blocks)):
                problems.append(
                    f"wrong shape: {way.target} {list(shape)} has no {blocks} equal blocks to fill"
                )
    return problems


def _cast(targets: dict[str, Held], matches: list[Match]) -> str:
    """What to do where the module has another dtype than the checkpoint: nothing is rounded unasked."""
    pairs = {
        (m.entry.dtype, str(targets[m.way.target].tensor.dtype).removeprefix("torch."))
        for m in matches if m.way.target in targets
    }  # fmt: skip
    return "".join(
        f"; for {there}, load it into the module in {here} (module.to(torch.{here})) and cast the module then"
        f" (tfport weights: --dtype {there})"
        for here, there in sorted(pairs) if here != there and "float" in here and "float" in there
    )  # fmt: skip


def _plans(targets: dict[str, Held], matches: list[Match]) -> tuple[list[Plan], list[str]]:
    """The move of every match, and a line for each that does not fit in shape or dtype."""
    plans, problems = [], []
    fresh: dict[int, dict[str, tuple[int, ...]]] = {}
    for m in matches:
        held = targets.get(m.way.target)
        if held is None:
            continue
        label = f"{m.entry.key} {list(m.entry.shape)} -> {m.way.target}"
        wanted = _wanted(targets, m.way.target, m.way.pattern, m.way.sizes)
        try:
            moves = plan(m.way.pattern, m.entry.shape, m.way.sizes)
        except WeightsError as error:
            problems.append(f"wrong shape: {label}: {error} ({m.way.pattern}; wanted {wanted})")
            continue
        plans.append(moves)
        shape = _shape(held)
        if len(shape) != len(moves.target) or any(
            w is not None and w != g for w, g in zip(shape, moves.target, strict=True)
        ):
            goes = ["?" if n is None else n for n in shape]
            problems.append(
                f"wrong shape: {label}: {m.way.pattern} gives"
                f" {list(moves.target)}, the target is {goes} (wanted {wanted})"
            )
        dtype = str(held.tensor.dtype).removeprefix("torch.")
        if dtype != m.entry.dtype:
            problems.append(f"wrong dtype: {label}: the checkpoint has {m.entry.dtype}, the module {dtype}")
        if lazy.is_lazy(held.tensor):
            fresh.setdefault(id(held.owner), {})[held.name] = moves.target
    owners = {id(held.owner): held.owner for held in targets.values()}
    for number, shapes in fresh.items():
        problems += lazy.problems(type(owners[number]).__name__, owners[number], shapes)
    return plans, problems
