"""load_weights: a checkpoint into a module, all or nothing."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfport.weights import lazy
from tfport.weights.checkpoint import Checkpoint, plain
from tfport.weights.derive import derive_record
from tfport.weights.detect import read_checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.matching import Match, Matching, match
from tfport.weights.patterns import Plan, apply, plan, source_shape
from tfport.weights.record import Record, find_record, load_record, parse_record
from tfport.weights.report import Report, Row

__all__ = ["load_weights"]


def load_weights(
    module: Any,
    path_or_mapping: str | os.PathLike[str] | Mapping[str, np.ndarray],
    *,
    strict: bool = True,
    record: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    name: str | None = None,
    verify: bool = True,
) -> Report:
    """Carry the weights of a TensorFlow or Keras checkpoint into a torch module.

    Each variable goes where the module's record says: the attribute ``tfport_record``, the file
    ``<source>.tfport.json`` beside the module's source, or ``record`` (a path or the parsed JSON; ``name``
    picks the model in it). Without a record the module's own layers are taken in order of definition.
    Patterns permute, nothing is ever reshaped to fit, and dtypes must be equal. Lazy modules get their shapes
    from the kernels.

    Returns a Report with every tensor's way. Raises WeightsError that names each missing, left-over,
    ambiguous, wrongly shaped or wrongly typed tensor; the module is untouched then. ``strict=False`` lets
    tensors be missing or left over and lists them in the report; shapes and dtypes must fit still.
    """
    checkpoint = _open(path_or_mapping, verify)
    found = _record(module, record, name)
    targets = _targets(module)
    matching = match(found, checkpoint)
    problems = _placed(found, targets, matching, strict)
    plans, wrong = _plans(targets, matching.matches)
    problems += wrong
    if problems:
        raise WeightsError(
            f"{checkpoint.path} does not fit {found.model} (record: {found.origin});"
            f" {len(problems)} {'problem' if len(problems) == 1 else 'problems'}, nothing was loaded",
            problems,
        )
    values = [_value(checkpoint, m, moves) for m, moves in zip(matching.matches, plans, strict=True)]
    _assign(targets, matching.matches, values)
    missing = [way.target for _, way in matching.missing]
    gone = {m.way.target for m in matching.matches} | set(missing)
    return Report(
        path=checkpoint.path, format=checkpoint.format, model=found.model, record=found.origin,
        loaded=tuple(_row(m, moves) for m, moves in zip(matching.matches, plans, strict=True)),
        ignored=tuple((e.key, e.ignored) for e in checkpoint.entries.values() if e.ignored),
        kept=tuple(t for t, held in targets.items() if t not in gone and not held.parameter),
        missing=(*missing, *(t for t in _untold(targets, gone))),
        left_over=tuple(entry.key for entry in matching.left_over),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Held:
    """One parameter or buffer of a module: the module that owns it and the name it has there."""

    owner: Any
    name: str
    tensor: Any
    parameter: bool


def _open(source: Any, verify: bool) -> Checkpoint:
    if isinstance(source, Checkpoint):
        return source
    if isinstance(source, Mapping):
        return plain(source)
    return read_checkpoint(source, verify=verify)


def _record(module: Any, record: Any, name: str | None) -> Record:
    wanted = name or type(module).__name__
    if isinstance(record, (str, os.PathLike)):
        return parse_record(load_record(os.fspath(record)), wanted, os.fspath(record))
    if record is not None:
        return parse_record(record, wanted, "record=")
    return find_record(module, name) or derive_record(module)


def _targets(module: Any) -> dict[str, _Held]:
    """Parameters and saved buffers by name; BatchNorm's batch counter has no counterpart and is left out."""
    found = {}
    for path, child in module.named_modules(remove_duplicate=False):
        base = f"{path}." if path else ""
        for name, tensor in child._parameters.items():
            if tensor is not None:
                found[base + name] = _Held(child, name, tensor, True)
        for name, tensor in child._buffers.items():
            if (
                tensor is not None
                and name not in child._non_persistent_buffers_set
                and name != "num_batches_tracked"
            ):
                found[base + name] = _Held(child, name, tensor, False)
    return found


def _untold(targets: dict[str, _Held], told: set[str]) -> list[str]:
    """Parameters that no record line mentions, themselves or under another name of the same tensor."""
    same = {id(targets[t].tensor) for t in told if t in targets}
    return [
        t for t, held in targets.items() if held.parameter and t not in told and id(held.tensor) not in same
    ]


def _placed(record: Record, targets: dict[str, _Held], matching: Matching, strict: bool) -> list[str]:
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
                f" {way.pattern}); no such tensor in the checkpoint"
            )
        told = {way.target for way in ways}
        problems += [f"missing: {t} has no variable in the record" for t in _untold(targets, told)]
        problems += [
            f"left over: {entry.key} {list(entry.shape)} {entry.dtype}"
            + (f" (layer {entry.layers[0]})" if entry.layers else "")
            + " belongs to no parameter"
            for entry in matching.left_over
        ]
    return problems


def _wanted(targets: dict[str, _Held], target: str, pattern: str, sizes: Mapping[str, int]) -> str:
    """The TensorFlow shape that a target wants, as text; ? where it is not known."""
    if target not in targets:
        return "unknown"
    shape = source_shape(pattern, _shape(targets[target]), sizes)
    return (
        "[" + ", ".join("?" if n is None else str(n) for n in shape) + "]" if shape is not None else "unknown"
    )


def _shape(held: _Held) -> tuple[int | None, ...]:
    return lazy.known_shape(held.owner, held.name) if lazy.is_lazy(held.tensor) else tuple(held.tensor.shape)


def _plans(targets: dict[str, _Held], matches: list[Match]) -> tuple[list[Plan], list[str]]:
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


def _value(checkpoint: Checkpoint, m: Match, moves: Plan) -> np.ndarray:
    """The moved array; a second look at the dtype, since a reader could not have told before it read."""
    array = checkpoint[m.entry.key]
    if array.dtype.name != m.entry.dtype:
        raise WeightsError(
            f"{checkpoint.path}: {m.entry.key}: holds {array.dtype.name}, its entry says {m.entry.dtype}"
        )
    return apply(moves, array)


def to_torch(array: np.ndarray) -> Any:
    """A torch tensor with the array's values, bit for bit; always a copy in C order."""
    import torch

    array = np.array(array, order="C", copy=True)
    if array.dtype.type.__module__ == "numpy":  # not one of ml_dtypes
        return torch.from_numpy(array)
    bits = {1: np.uint8, 2: np.int16}[array.dtype.itemsize]
    return torch.from_numpy(array.view(bits)).view(getattr(torch, array.dtype.name))


def _assign(targets: dict[str, _Held], matches: list[Match], values: list[np.ndarray]) -> None:
    """Write all values; nothing here can fail for what the checkpoint holds."""
    import torch

    fresh: dict[int, tuple[Any, dict[str, tuple[int, ...]]]] = {}
    for m, value in zip(matches, values, strict=True):
        held = targets[m.way.target]
        if lazy.is_lazy(held.tensor):
            fresh.setdefault(id(held.owner), (held.owner, {}))[1][held.name] = value.shape
    with torch.no_grad():
        for owner, shapes in fresh.values():
            lazy.materialise(owner, shapes)
        for m, value in zip(matches, values, strict=True):
            held = targets[m.way.target]
            getattr(held.owner, held.name).copy_(to_torch(value))


def _row(m: Match, moves: Plan) -> Row:
    return Row(m.entry.key, m.way.target, m.way.pattern, m.entry.shape, moves.target, m.entry.dtype, m.level)
