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
from tfport.weights.optimizer.hyperparameters import rate_after, schedule_of, settings
from tfport.weights.optimizer.scalars import steps_of_powers
from tfport.weights.optimizer.slots import read_optimizer
from tfport.weights.optimizer.state import Asked, OptimizerState
from tfport.weights.optimizer.target import KerasTarget, Target, target_of
from tfport.weights.patterns import apply

__all__ = ["OptimizerReport", "load_optimizer"]

NEVER_NEGATIVE = frozenset(
    ["velocity", "velocity_hat", "norm", "accumulator", "accumulated_grad", "accumulated_delta_var"]
)
_ADVICE = {
    "velocity_hat": ": make it with amsgrad=True",
    "momentum": ": make it with the run's momentum",
    "average_gradient": ": make it with centered=True",
    "gradient_accumulator": ", and the run was saved in the middle of an accumulation: take tfport.compat's optimizer"
    " with gradient_accumulation_steps",
}
_UNUSED = {
    "average": "the averages of the weights (use_ema), which the optimizer does not keep; load_weights(ema=True) takes"
    " them as weights, tfport.compat's optimizer with use_ema=True goes on averaging",
    "momentum": "a momentum that the run kept and the optimizer does not use; make it with momentum if the run did",
    "gradient_accumulator": "sums of gradients, all zero: accumulate as the run did (gradient_accumulation_steps)",
}


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
    which: str | None = None,
    steps: int | None = None,
    verify: bool = True,
) -> OptimizerReport:
    """Carry the state of a TensorFlow or Keras optimizer into the torch optimizer of the same kind.

    ``optimizer`` trains ``module``'s parameters and is of torch.optim, or of tfport.compat (Keras' and TensorFlow 1's
    formulas). Each slot moves as its weight does (see `load_weights`); the count of steps, and with it a schedule's
    position, continues; ``scaler`` (torch.amp.GradScaler) takes the loss scale. Parameters that need no gradient get
    no state. The learning rate and the other hyperparameters stay what the optimizer has; those that differ from the
    run's, as far as the checkpoint tells them, are noted. ``which`` names one of several optimizers
    ("generator_optimizer"), ``steps`` tells the count where the checkpoint does not.

    Raises WeightsError, the optimizer untouched, when the state is of another family, a parameter has none, or the
    optimizer lacks a counterpart (torch has no Ftrl and no LAMB: use tfport.compat's).
    """
    checkpoint = open_checkpoint(path_or_mapping, verify)
    fitted = fit(module, checkpoint, record=record, name=name, map=map)
    target = target_of(optimizer)
    known = target.groups()
    parameters = {id(h.tensor) for h in fitted.targets.values() if h.parameter and h.tensor.requires_grad}
    trained = {number for number in parameters if not known or number in known}
    trainable = fitted.trainable(trained) if trained else []
    if not trainable:
        raise WeightsError("the optimizer trains no parameter of this module (or all of them are frozen)")
    asked = Asked(target.family, target.uses, target.extra, which=which, counted=steps is not None)
    state = read_optimizer(checkpoint, trainable, asked, fitted.trainable(parameters), fitted.ordered)
    config = settings(checkpoint, state)
    every = int(config.get("gradient_accumulation_steps") or 1)
    count = steps if steps is not None else _steps(checkpoint, state, target)
    if every > 1 and "gradient_accumulator" not in target.extra:
        count //= every  # Keras counts the calls
    rate = rate_after(config, state.rate, count)
    wanted, rows, notes = _values(checkpoint, fitted, state, target, rate, set(trainable), trained, config)
    notes = [
        *state.notes,
        *notes,
        *target.notes(state),
        *target.others(config),
        *_on_rates(state, target, config, rate, count),
    ]
    notes += _left_out(state, fitted, known, wanted)
    if not config and state.family != target.family:
        notes.append(f"the run's optimizer was {state.family}, this is {target.family}: mind weight_decay")
    notes += _on_embeddings(fitted, state, wanted)
    told = None if scaler is None else _scale(checkpoint, state, scaler)
    if not known:
        optimizer.build([held for held, _ in wanted.values()])
    target.put(wanted, count)
    if told is not None:
        scaler.load_state_dict(told)
    elif state.loss_scale is not None:
        notes.append(f"loss scale {state.loss_scale:g}: pass scaler=torch.amp.GradScaler(...) to carry it")
    return OptimizerReport(
        checkpoint.path, state.family, type(optimizer).__name__, count, rate, state.loss_scale, tuple(rows),
        tuple(notes),
    )  # fmt: skip


def _steps(checkpoint: Checkpoint, state: OptimizerState, target: Target) -> int:
    """The count of steps; TensorFlow 1's Adam knows it by the powers of its betas, however global_step was used."""
    if state.v1 and state.family == "adam":
        counted = steps_of_powers(checkpoint, state.scalars, target.betas)
        if counted is not None:
            if state.iterations not in (None, counted):
                state.notes.append(
                    f"global_step is {state.iterations}, Adam's own count {counted}: Adam's is taken"
                )
            return counted
    if state.iterations is None:
        if target.counts:
            raise WeightsError(
                f"{checkpoint.path}: holds no count of steps (iterations, global_step): pass steps="
            )
        return 0
    return state.iterations


def _on_rates(
    state: OptimizerState, target: Target, config: Mapping[str, Any], rate: float | None, steps: int
) -> list[str]:
    own = target.rate_at(steps)
    schedule = schedule_of(config)
    whose = "the checkpoint's learning rate" + (f" ({schedule} at step {steps})" if schedule else "")
    if rate is not None:
        return (
            [f"{whose} is {rate:g}, the optimizer's {own:g}: it stays"]
            if abs(rate - own) > 1e-6 * abs(rate)
            else []
        )
    if target.family == "sgd" and target.uses and not isinstance(target, KerasTarget) and not state.v1:
        return [
            f"the checkpoint tells no rate: the momentum was divided by the optimizer's, {own:g}; it must be the run's at"
            f" step {steps}"
        ]
    return []


def _values(
    checkpoint: Checkpoint,
    fitted: Fitted,
    state: OptimizerState,
    target: Target,
    rate: float | None,
    trainable: set[str],
    trained: set[int],
    config: Mapping[str, Any],
) -> tuple[dict[str, tuple[Any, dict[str, Any]]], list[tuple[str, str, str, float]], list[str]]:
    """Parameter's name -> (parameter, key -> tensor), the rows of the report, and notes."""
    wanted: dict[str, tuple[Any, dict[str, Any]]] = {}
    rows = []
    unused: dict[str, list[str]] = {}
    groups = target.groups()
    for match, moves in zip(fitted.matching.matches, fitted.plans, strict=True):
        if match.entry.key not in trainable:
            continue
        held = fitted.targets[match.way.target]
        group = groups.get(id(held.tensor), target.group)
        _, tensors = wanted.setdefault(match.way.target, (held.tensor, {}))
        for slot, key in state.slots[match.entry.key].items():
            value = checkpoint[key]
            _possible(checkpoint, state, match.entry.key, slot, value)
            place = target.place(slot, state, rate, group)
            if place is None:
                if not _idle(state, slot, value, config):
                    raise WeightsError(
                        f"{checkpoint.path}: {key}: {type(target.optimizer).__name__} has no counterpart of"
                        f" {state.family}'s {slot}{_ADVICE.get(slot, '')}"
                    )
                unused.setdefault(slot, []).append(key)
                continue
            name, factor = place
            tensor = to_torch(apply(moves, value))
            tensors[name] = tensor if factor == 1 else tensor * factor
            rows.append((key, match.way.target, name, factor))
        missing = target.missing(tensors, group)
        if missing:
            raise WeightsError(
                f"{checkpoint.path}: {type(target.optimizer).__name__} keeps {', '.join(missing)}, which the checkpoint"
                f" lacks for {match.entry.key}: make it without, as the run's optimizer was"
            )
    notes = [
        f"{len(keys)} tensors left out: {_UNUSED.get(slot, slot + ' is not used')}"
        for slot, keys in unused.items()
    ]
    if "average" in target.extra and not any("average" in tensors for _, tensors in wanted.values()):
        for parameter, tensors in wanted.values():
            tensors["average"] = parameter.detach().clone()
        notes.append(
            "the checkpoint has no averages of the weights: the optimizer's (use_ema) start from the weights"
        )
    for way in fitted.matching.zeros:
        held = fitted.targets[way.target]
        if held.parameter and id(held.tensor) in trained and way.target not in wanted:
            names = next(iter(wanted.values()))[1]
            wanted[way.target] = (
                held.tensor,
                {n: held.tensor.detach().new_zeros(held.tensor.shape) for n in names},
            )
            notes.append(
                f"{way.target} is torch's own (Keras has one bias there) and would be trained beside it:"
                " requires_grad_(False) continues the run"
            )
    return wanted, rows, notes


def _possible(
    checkpoint: Checkpoint, state: OptimizerState, weight: str, slot: str, value: np.ndarray
) -> None:
    """WeightsError where a slot has values that no run gives it: then the tensors are others than was thought."""
    held = state.slots[weight]
    wrong = ""
    if slot in NEVER_NEGATIVE and (value < 0).any():
        wrong = "has negative values"
    elif slot == "velocity_hat" and (value < checkpoint[held["velocity"]]).any():
        wrong = "is smaller than the velocity, whose maximum it is"
    elif slot == "average_gradient" and (value**2 > checkpoint[held["velocity"]] * 1.0001 + 1e-30).any():
        wrong = "is larger than the mean of squares allows"
    if wrong:
        raise WeightsError(
            f"{checkpoint.path}: {held[slot]} cannot be {state.family}'s {slot}: it {wrong}; the optimizer's tensors are"
            " others than their names or numbers say: make the optimizer with the run's amsgrad, momentum, centered, use_ema"
        )


def _idle(state: OptimizerState, slot: str, value: np.ndarray, config: Mapping[str, Any]) -> bool:
    """Whether a slot says nothing that the optimizer would need: zeros, averages of the weights, a momentum that the
    writer (Keras 2's SGD, TensorFlow 1's RMSProp) keeps without using it."""
    keeps = state.idle if state.family == "sgd" else state.v1 and state.family == "rmsprop"
    return (
        slot == "average" or not value.any() or (slot == "momentum" and keeps and not config.get("momentum"))
    )


def _left_out(
    state: OptimizerState, fitted: Fitted, known: Mapping[int, Any], wanted: Mapping[str, tuple[Any, Any]]
) -> list[str]:
    """Notes on state of weights that this optimizer does not train, and on its parameters that get none."""
    notes = []
    if state.left:
        notes.append(
            f"{len(state.left)} tensors of weights that this optimizer does not train were left: {state.left[0]} ..."
        )
    given = {id(parameter) for parameter, _ in wanted.values()}
    names = {id(held.tensor): name for name, held in fitted.targets.items()}
    bare = [
        names.get(number, "one that is none of this module's")
        for number, group in known.items()
        for parameter in group["params"]
        if id(parameter) == number and number not in given and parameter.requires_grad
    ]
    if bare:
        notes.append(f"{len(bare)} parameters of the optimizer get no state: {', '.join(bare[:5])}")
    return notes


def _on_embeddings(fitted: Fitted, state: OptimizerState, wanted: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """A note where the run updated embeddings otherwise than by their dense gradient."""
    from torch import nn

    dense = [
        name for name in wanted
        if isinstance(fitted.targets[name].owner, nn.Embedding) and not fitted.targets[name].owner.sparse
    ]  # fmt: skip
    lazily = state.family in ("rmsprop", "adadelta", "ftrl") or (
        state.family == "sgd" and any(state.slots.values())
    )
    if lazily and (state.v1 or (state.legacy and state.family != "rmsprop")):
        how = "TensorFlow left the rows that a batch does not hold as they were, with their state"
    elif state.keras3 and state.family in (
        "adam",
        "adamw",
        "nadam",
        "lamb",
        "rmsprop",
        "adagrad",
        "adadelta",
    ):
        how = "Keras 3 squares the gradient of a row that a batch holds twice before adding up"
    else:
        return []
    exact = ": nn.Embedding(sparse=True) with tfport.compat's optimizer does the same"
    return [f"{', '.join(dense)}: {how}{exact}"] if dense else []


def _scale(checkpoint: Checkpoint, state: OptimizerState, scaler: Any) -> dict[str, Any]:
    """What the scaler is to load."""
    if state.loss_scale is None:
        raise WeightsError(f"{checkpoint.path}: holds no loss scale for the scaler")
    told = scaler.state_dict()
    if not told:
        raise WeightsError("the GradScaler is disabled: it takes no loss scale")
    return told | {"scale": state.loss_scale, "_growth_tracker": state.good_steps or 0}  # type: ignore[no-any-return]
