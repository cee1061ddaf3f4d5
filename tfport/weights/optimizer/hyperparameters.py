"""Hyperparameters that a checkpoint tells (``.keras`` and ``.h5`` files, Keras 2's legacy optimizers), against those of
the optimizer that receives the state; and an optimizer made with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfport.weights.checkpoint import Checkpoint
from tfport.weights.optimizer.scalars import SETTINGS
from tfport.weights.optimizer.state import OptimizerState

__all__ = ["differences", "rate_after", "rate_of_schedule", "schedule_of", "settings"]

COMPARED = (
    "beta_1", "beta_2", "epsilon", "rho", "momentum", "nesterov", "amsgrad", "centered", "weight_decay", "clipnorm",
    "clipvalue", "global_clipnorm", "use_ema", "ema_momentum", "ema_overwrite_frequency", "gradient_accumulation_steps",
    "loss_scale_factor", "learning_rate_power", "l1_regularization_strength", "l2_regularization_strength",
    "l2_shrinkage_regularization_strength", "beta", "decay",
)  # fmt: skip


def settings(checkpoint: Checkpoint, state: OptimizerState) -> dict[str, Any]:
    """The hyperparameters of the run, as far as the checkpoint tells them."""
    if checkpoint.optimizer is not None:
        found = dict(checkpoint.optimizer["config"])
    else:
        found = {name: float(checkpoint[state.scalars[name]]) for name in SETTINGS if name in state.scalars}
    if state.family == "nadam":
        found.pop("decay", None)  # there it is the momentum's schedule
    return found


def differences(config: Mapping[str, Any], given: Mapping[str, Any], lacks: Mapping[str, str]) -> list[str]:
    """A note for the settings that differ, and one for each that the optimizer has no argument for (``lacks``: what to
    do instead). ``given`` are the optimizer's, under Keras' names."""
    told = []
    for name in COMPARED:
        if name not in config or (name.startswith("ema_") and not config.get("use_ema")):
            continue
        if name in given and not _same(config[name], given[name]):
            told.append(f"{name} is {_text(config[name])}, the optimizer's {_text(given[name])}")
    notes = [f"the checkpoint's hyperparameters are others: {'; '.join(told)}"] if told else []
    return notes + [
        f"the checkpoint's optimizer has {name}={_text(config[name])}: {advice}"
        for name, advice in lacks.items()
        if config.get(name)
    ]


def _same(one: Any, other: Any) -> bool:
    if not one or not other:
        return not one and not other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) <= 1e-6 * abs(one)
    return bool(one == other)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def schedule_of(config: Mapping[str, Any]) -> str | None:
    """The class of the schedule that gave the rate, None for a constant rate."""
    rate = config.get("learning_rate")
    return str(rate.get("class_name")) if isinstance(rate, Mapping) else None


def rate_after(config: Mapping[str, Any], stored: float | None, steps: int) -> float | None:
    """The run's learning rate after so many steps: the stored one, the configured one, or its schedule's; None where
    nothing tells it."""
    import torch

    if schedule_of(config) is not None:
        schedule = rate_of_schedule(config)
        return None if schedule is None else float(schedule(torch.tensor(steps)))
    told = config.get("learning_rate") if stored is None else stored
    return told / (1 + (config.get("decay") or 0) * steps) if isinstance(told, (int, float)) else None


def rate_of_schedule(config: Mapping[str, Any]) -> Any:
    """Keras' schedule by its configuration, as tfport.compat has it: a function of the count of steps. None where there
    is none, or one of the program's own."""
    from tfport import compat

    rate = config.get("learning_rate")
    if not isinstance(rate, Mapping) or not isinstance(rate.get("config"), Mapping):
        return None
    kind = getattr(compat.keras.optimizers.schedules, str(rate.get("class_name")), None)
    try:
        return None if kind is None else kind(**rate["config"])
    except (TypeError, ValueError):  # arguments of another version
        return None
