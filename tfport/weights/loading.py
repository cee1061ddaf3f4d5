"""load_weights: a checkpoint into a module, all or nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfport.weights import lazy
from tfport.weights.averages import lone_averages, with_averages
from tfport.weights.checkpoint import Checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.fitting import Held, fit, open_checkpoint
from tfport.weights.matching import Match, Matching
from tfport.weights.patterns import Plan, apply, fill
from tfport.weights.report import Report, report_of
from tfport.weights.writable import make_real, unwritable

__all__ = ["load_weights", "to_torch"]


def load_weights(
    module: Any,
    path_or_mapping: str | os.PathLike[str] | Mapping[str, np.ndarray],
    *,
    strict: bool = True,
    record: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    name: str | None = None,
    map: str | os.PathLike[str] | None = None,
    ema: bool = False,
    verify: bool = True,
) -> Report:
    """Carry the weights of a TensorFlow or Keras checkpoint into a torch module.

    Each variable goes where the module's record says: the attribute ``tfport_record``, the file
    ``<source>.tfport.json`` beside the module's source, or ``record`` (a path or the parsed JSON; ``name``
    picks the model in it). Without a record names are made canonical and paired one-to-one, with the pattern of
    the class that owns the parameter; where no name meets, the order of the file counts if kinds and shapes agree and
    no two layers are alike; the report's ``matched_by`` says which. What neither tells is settled by ``map``.
    Patterns permute, nothing is ever reshaped to fit, and dtypes must be equal. Lazy modules get their shapes
    from the kernels, tensors on the meta device become real ones on the CPU.

    Returns a Report with every tensor's way. Raises WeightsError that names each missing, left-over,
    ambiguous, wrongly shaped or wrongly typed tensor; the module is untouched then. ``strict=False`` lets
    tensors be missing or left over and lists them in the report; shapes and dtypes must fit still.
    """
    checkpoint = open_checkpoint(path_or_mapping, verify)
    if ema:
        checkpoint = lone_averages(checkpoint)
    fitted = fit(module, checkpoint, record=record, name=name, strict=strict, map=map)
    if ema:
        checkpoint = with_averages(checkpoint, fitted.trainable(), fitted.ordered)
    targets, matching, plans = fitted.targets, fitted.matching, fitted.plans
    _check(module, targets, matching, checkpoint, strict)
    values = [_value(checkpoint, m, moves) for m, moves in zip(matching.matches, plans, strict=True)]
    _assign(module, targets, matching, values)
    return report_of(fitted, checkpoint)


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


def _check(
    module: Any, targets: dict[str, Held], matching: Matching, checkpoint: Checkpoint, strict: bool
) -> None:
    """WeightsError where a tensor of the module could not be written: before the first one is."""
    written = [m.way.target for m in matching.matches] + [way.target for way in matching.zeros]
    problems = unwritable(module, targets, written, strict)
    if problems:
        raise WeightsError(
            f"{checkpoint.path} cannot go into {type(module).__name__}, nothing was loaded", problems
        )


def _assign(module: Any, targets: dict[str, Held], matching: Matching, values: list[np.ndarray]) -> None:
    """Write all values; nothing here can fail for what the checkpoint holds. Numbers where TensorFlow has no variable:
    zeros for torch's second bias of an LSTM, or its forget bias.
    """
    import torch

    fresh: dict[int, tuple[Any, dict[str, tuple[int, ...]]]] = {}
    for m, value in zip(matching.matches, values, strict=True):
        held = targets[m.way.target]
        if lazy.is_lazy(held.tensor):
            fresh.setdefault(id(held.owner), (held.owner, {}))[1][held.name] = value.shape
    with torch.no_grad():
        for owner, shapes in fresh.values():
            lazy.materialise(owner, shapes)
        written = [(targets[m.way.target], value) for m, value in zip(matching.matches, values, strict=True)]
        filled = [(targets[way.target], way.pattern) for way in matching.zeros]
        make_real(module, {id(getattr(held.owner, held.name)) for held, _ in (*written, *filled)})
        for held, value in written:
            getattr(held.owner, held.name).copy_(to_torch(value))
        for held, pattern in filled:
            tensor = getattr(held.owner, held.name)
            tensor.copy_(to_torch(fill(pattern, tuple(tensor.shape), np.dtype(np.float64))))
