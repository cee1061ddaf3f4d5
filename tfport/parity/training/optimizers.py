"""The candidate's optimizer: the factory of the same name in its file, else what the reference's class is here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.targets import binds, required
from tfport.parity.reference.training_optimizers import parse_spec
from tfport.parity.training.context import Context

DROPPED = frozenset({"name", "is_legacy_optimizer", "jit_compile", "use_locking"})
MODEL = frozenset({"model", "module", "net", "network"})
PARAMETERS = frozenset({"params", "parameters", "weights", "variables"})


def make(context: Context, told: Mapping[str, Any]) -> tuple[Any, Any]:
    """(optimizer, learning rate scheduler or None) for the candidate's parameters.

    `told` is the golden's training entry. Raises UsageError where the candidate lacks the factory, CaptureError
    where it makes something else or where the reference's class has no counterpart.
    """
    parameters = list(context.parameters_of().values())
    if not parameters:
        raise CaptureError("training: the candidate has no weights that can be trained")
    if told.get("factory"):
        made = context.guard(lambda: from_factory(context, told["factory"], parameters))
    else:
        made = counterpart(told["optimizer"])
    scheduler = None
    if isinstance(made, tuple) and len(made) == 2:
        made, scheduler = made
    if not isinstance(made, torch.optim.Optimizer):
        kind = type(made).__name__
        raise CaptureError(
            f"the candidate's optimizer {told.get('factory')} is a {kind}, no torch.optim.Optimizer"
        )
    if not told.get("factory"):
        exclude(made, undecayed(context, told["optimizer"]))
    if hasattr(made, "build") and not any(group["params"] for group in made.param_groups):
        made.build(parameters)
    return made, scheduler


def undecayed(context: Context, told: Mapping[str, Any]) -> list[torch.Tensor]:
    """The candidate's tensors of the variables that the reference's optimizer leaves out of its weight decay."""
    numbers, live = set(told.get("undecayed") or ()), context.tensors()
    return [live[name] for name, own in context.targets().items() if own and set(own) <= numbers]


def exclude(optimizer: Any, tensors: Sequence[torch.Tensor]) -> None:
    """Leaves tensors out of the weight decay of one of tfport's optimizers."""
    if tensors and hasattr(optimizer, "exclude_from_weight_decay"):
        optimizer.exclude_from_weight_decay(var_list=tensors)


def as_tensorflow_rounds(optimizer: Any, rate: float | None) -> bool:
    """Rounds rate and momentum of an optimizer of torch's as TensorFlow's have them for float64 weights too: to float32.

    `rate` is the reference's at this step; one within 1e-6 of it counts as the same. Without this a right port would be
    1e-8 of the update off. Returns whether anything was rounded.
    """
    if hasattr(optimizer, "_rate_now"):  # tfport's own do
        return False
    changed = False
    for group in optimizer.param_groups:
        for key in ("lr", "momentum"):
            value = group.get(key)
            if not isinstance(value, float):
                continue
            rounded = float(np.float32(value))
            if key == "lr" and rate is not None and abs(value - rate) <= 1e-6 * abs(rate):
                rounded = rate
            changed |= rounded != value
            group[key] = rounded
    return changed


def from_factory(context: Context, text: str, parameters: Sequence[torch.Tensor]) -> Any:
    """Calls the candidate's factory as the reference's was called, with the parameters or the model if it wants them."""
    name, args, kwargs = parse_spec(text, "--optimizer")
    found = getattr(context.user, name, None)
    if found is None:
        raise UsageError(f"the candidate's file has no {name}, which makes the reference's optimizer")
    if not callable(found):
        return found
    names = context.parameters(found)
    for word in [n for n in names if n in MODEL or n in PARAMETERS]:
        given = {**kwargs, word: context.module if word in MODEL else list(parameters)}
        if binds(found, args, given):
            return found(*args, **given)
    for given_args in ([*args], [list(parameters), *args], [*args, list(parameters)]):
        if binds(found, given_args, kwargs):
            return found(*given_args, **kwargs)
    need = ", ".join(required(found) or [])
    raise UsageError(
        f"the candidate's {name}({need}) cannot be called as {text}, with or without the parameters"
    )


def counterpart(told: Mapping[str, Any], **changed: Any) -> Any:
    """tfport's own optimizer of the reference's class, with its configuration, some of it `changed`."""
    from tfport import compat

    name, config = told["class"], dict(told["config"])
    keras: Any = compat.keras.optimizers  # type: ignore[attr-defined]
    if told.get("v1") or (name.endswith("Optimizer") and name != "Optimizer"):
        found = getattr(compat.train, name, None)  # type: ignore[attr-defined]
        config = {("learning_rate" if k == "lr" else k): v for k, v in config.items()}
    else:
        legacy = "legacy" in told.get("module", "") or told["config"].get("is_legacy_optimizer") is True
        place = keras.legacy if legacy and "legacy" in told.get("module", "") else keras
        found = getattr(place, name, None)
    if found is None:
        raise CaptureError(f"training: tfport has no optimizer {name}; name a factory with --optimizer")
    config = {k: _scheduled(v, keras) for k, v in config.items()} | changed
    accepted = accepts(found)
    kept = {k: v for k, v in config.items() if k not in DROPPED and (accepted is None or k in accepted)}
    return found(**kept)


def accepts(cls: type) -> set[str] | None:
    """The names of a constructor's arguments through its classes; None where any is taken by its own."""
    names: set[str] = set()
    for kind in cls.__mro__:
        if "__init__" in vars(kind) and kind not in (object, torch.optim.Optimizer):
            parameters = inspect.signature(vars(kind)["__init__"]).parameters.values()
            names |= {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return names - {"self", "params"}


def _scheduled(value: Any, keras: Any) -> Any:
    if not isinstance(value, Mapping) or "class_name" not in value:
        return value
    made = getattr(keras.schedules, value["class_name"], None)
    if made is None:
        raise CaptureError(f"training: tfport has no schedule {value['class_name']}")
    config = {k: v for k, v in value["config"].items() if k != "name"}
    return made(**config)


def rate_of(optimizer: Any) -> float | None:
    """The learning rate of the next step."""
    now = getattr(optimizer, "_rate_now", None)
    rate = now() if callable(now) else optimizer.param_groups[0].get("lr")
    return None if rate is None else float(rate)


def count_of(optimizer: Any) -> int | None:
    """How many steps the optimizer has counted; None where it does not count."""
    count = optimizer.param_groups[0].get("iterations")
    if count is not None:
        every = getattr(optimizer, "gradient_accumulation_steps", None)
        return int(count) // every if every else int(count)
    steps = [state["step"] for state in optimizer.state.values() if "step" in state]
    return max(int(s) for s in steps) if steps else None


def hyperparameters(optimizer: Any) -> dict[str, Any]:
    """What an optimizer was made with, under Keras' names; those that are not numbers or switches are left out."""
    found: dict[str, Any] = {}
    group = optimizer.param_groups[0]
    renamed = {"eps": "epsilon", "lr_decay": "decay", "alpha": "rho"}
    for key, value in group.items():
        if key == "betas":
            found["beta_1"], found["beta_2"] = value
        elif key not in ("params", "lr", "iterations") and isinstance(value, (bool, int, float)):
            found[renamed.get(key, key)] = value
    for key, value in vars(optimizer).items():
        if isinstance(value, (bool, int, float)) and not key.startswith("_"):
            found.setdefault(key, value)
    return found
