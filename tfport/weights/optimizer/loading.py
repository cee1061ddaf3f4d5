"""load_optimizer: the optimizer's state of a TensorFlow or Keras checkpoint into a torch optimizer, all or nothing."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfport.weights.checkpoint import Checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.fitting import Fitted, fit, open_checkpoint
from tfport.weights.loading import to_torch
from tfport.weights.optimizer.slots import OptimizerState, read_optimizer, steps_of_powers
from tfport.weights.optimizer.target import Target, target_of
from tfport.weights.patterns import apply

__all__ = ["OptimizerReport", "load_optimizer"]


@dataclasses.dataclass(frozen=True)
class OptimizerReport:
    """What load_optimizer did: the family of the state, the optimizer's class, the count of steps, each tensor's way
    (source, parameter, key of the state, factor), and what a person should know."""

    path: str
    family: str
    optimizer: str
    iterations: int
    rate: float | None
    loss_scale: float | None
    loaded: tuple[tuple[str, str, str, float], ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} state tensors of {self.family} from {self.path} into {self.optimizer},"
                 f" after {self.iterations} steps"]  # fmt: skip
        lines += [
            f"  {source} -> {parameter} {key}" + ("" if factor == 1 else f"  times {factor:g}")
            for source, parameter, key, factor in self.loaded
        ]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def load_optimizer(
    optimizer: Any,
    module: Any,
    path_or_mapping: str | os.PathLike[str] | Mapping[str, np.ndarray],
    *,
    record: Mapping[str, Any] | str | os.PathLike[str] | None = None,
    name: str | None = None,
    map: str | os.PathLike[str] | None = None,
    scaler: Any = None,
    verify: bool = True,
) -> OptimizerReport:
    """Carry the state of a TensorFlow or Keras optimizer into the torch optimizer of the same kind.

    ``optimizer`` trains ``module``'s parameters and is of torch.optim, or of tfport.compat (Keras' and TensorFlow 1's
    formulas). Each slot moves as its weight does (see `load_weights`); the count of steps, and with it a schedule's
    position, continues; ``scaler`` (torch.amp.GradScaler) takes the loss scale. The learning rate and the other
    hyperparameters stay what the optimizer has; a rate that differs from the stored one is noted.

    Raises WeightsError, the optimizer untouched, when the state is of another family, a parameter has none, a tensor
    is left over, or the optimizer lacks a counterpart (torch has no Ftrl and no LAMB: use tfport.compat's).
    """
    checkpoint = open_checkpoint(path_or_mapping, verify)
    fitted = fit(module, checkpoint, record=record, name=name, map=map)
    target = target_of(optimizer)
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    trainable = fitted.trainable(trained or None)
    if not trainable:
        raise WeightsError("the optimizer trains no parameter of this module")
    state = read_optimizer(checkpoint, trainable, target.family, target.uses, ordered=fitted.ordered)
    steps = _steps(checkpoint, state, target)
    rate = state.rate if state.rate is not None else target.rate
    wanted, rows = _values(checkpoint, fitted, state, target, rate, set(trainable))
    notes = [*state.notes, *target.notes(state)]
    if state.rate is not None and abs(state.rate - target.rate) > 1e-6 * abs(state.rate):
        notes.append(
            f"the checkpoint's learning rate is {state.rate:g}, the optimizer's {target.rate:g}: it stays"
        )
    if not trained:
        optimizer.build([fitted.targets[n].tensor for n in _parameters(fitted, trainable)])
    target.put(wanted, steps)
    if scaler is not None:
        _scale(checkpoint, state, scaler)
    elif state.loss_scale is not None:
        notes.append(f"loss scale {state.loss_scale:g}: pass scaler=torch.amp.GradScaler(...) to carry it")
    return OptimizerReport(
        checkpoint.path, state.family, type(optimizer).__name__, steps, state.rate, state.loss_scale, tuple(rows),
        tuple(notes),
    )  # fmt: skip


def _parameters(fitted: Fitted, trainable: list[str]) -> list[str]:
    return list(dict.fromkeys(m.way.target for m in fitted.matching.matches if m.entry.key in set(trainable)))


def _steps(checkpoint: Checkpoint, state: OptimizerState, target: Target) -> int:
    """The count of steps; TensorFlow 1's Adam knows it by the powers of its betas, however global_step was used."""
    if state.v1 and state.family == "adam":
        counted = steps_of_powers(checkpoint, state, target.betas)
        if counted is not None:
            if state.iterations not in (None, counted):
                state.notes.append(
                    f"global_step is {state.iterations}, Adam's own count {counted}: Adam's is taken"
                )
            return counted
    if state.iterations is None:
        if target.counts:
            raise WeightsError(f"{checkpoint.path}: holds no count of steps (iterations, global_step)")
        return 0
    return state.iterations


def _values(
    checkpoint: Checkpoint,
    fitted: Fitted,
    state: OptimizerState,
    target: Target,
    rate: float,
    trainable: set[str],
) -> tuple[dict[str, tuple[Any, dict[str, Any]]], list[tuple[str, str, str, float]]]:
    """Parameter's name -> (parameter, key -> tensor), and the rows of the report."""
    wanted: dict[str, tuple[Any, dict[str, Any]]] = {}
    rows = []
    for match, moves in zip(fitted.matching.matches, fitted.plans, strict=True):
        if match.entry.key not in trainable:
            continue
        held = fitted.targets[match.way.target]
        _, tensors = wanted.setdefault(match.way.target, (held.tensor, {}))
        for slot, key in state.slots[match.entry.key].items():
            place = target.place(slot, state, rate)
            if place is None:
                raise WeightsError(
                    f"{checkpoint.path}: {key}: {type(target.optimizer).__name__} has no counterpart of"
                    f" {state.family}'s {slot}"
                )
            name, factor = place
            tensor = to_torch(apply(moves, checkpoint[key]))
            tensors[name] = tensor if factor == 1 else tensor * factor
            rows.append((key, match.way.target, name, factor))
    for way in fitted.matching.zeros:
        held = fitted.targets[way.target]
        sample = next(iter(wanted.values()))[1]
        wanted[way.target] = (
            held.tensor,
            {name: held.tensor.detach().new_zeros(held.tensor.shape) for name in sample},
        )
    missing = target.missing(next(iter(wanted.values()))[1])
    if missing:
        raise WeightsError(
            f"{checkpoint.path}: {type(target.optimizer).__name__} keeps {', '.join(missing)}, which the checkpoint lacks"
        )
    return wanted, rows


def _scale(checkpoint: Checkpoint, state: OptimizerState, scaler: Any) -> None:
    if state.loss_scale is None:
        raise WeightsError(f"{checkpoint.path}: holds no loss scale for the scaler")
    told = scaler.state_dict()
    if not told:
        raise WeightsError("the GradScaler is disabled: it takes no loss scale")
    scaler.load_state_dict(told | {"scale": state.loss_scale, "_growth_tracker": state.good_steps or 0})
