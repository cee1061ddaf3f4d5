"""Changes of the optimizer that are tried where gradients agree and weights do not."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from tfport.parity.training import optimizers
from tfport.parity.training.causes import Proposal
from tfport.parity.training.context import Arrays, Context
from tfport.parity.training.loop import Loop, Trial

NAMES = {"beta1": "beta_1", "beta2": "beta_2", "use_nesterov": "nesterov", "lr": "learning_rate", "decay": "rho",
         "start": "initial_accumulator_value"}  # fmt: skip
"""TensorFlow 1's names of what Keras calls otherwise."""

IN_TORCH = {"epsilon": "eps", "rho": "alpha"}
CAUSE = {
    "epsilon": "epsilon", "initial_accumulator_value": "initial accumulator value", "weight_decay": "weight decay",
    "nesterov": "Nesterov momentum", "centered": "centred second moment", "amsgrad": "amsgrad",
    "momentum": "momentum", "beta_1": "momentum", "beta_2": "decay of the second moment",
    "rho": "decay of the second moment", "learning_rate": "learning rate", "clipnorm": "gradient clipping",
    "global_clipnorm": "gradient clipping", "clipvalue": "gradient clipping", "dampening": "momentum",
    "use_ema": "moving average of the weights", "gradient_accumulation_steps": "gradient accumulation",
}  # fmt: skip
_ADAM = ("place of epsilon", "epsilon beside the root of the uncorrected average")
FORM = {
    "adam": _ADAM,
    "adamw": _ADAM,
    "sgd": ("form of the momentum", "the learning rate inside the velocity"),
    "rmsprop": ("place of epsilon", "epsilon inside the root"),
    "rmspropoptimizer": (
        "initial accumulator value",
        "an average that starts at 1 and epsilon inside the root",
    ),
    "adagrad": ("place of epsilon", "epsilon inside the root"),
    "momentum": ("form of the momentum", "the learning rate outside of the velocity"),
}
CLIPS = ("clipnorm", "global_clipnorm", "clipvalue")
OFF = {"weight_decay": 0.0, "momentum": 0.0, "nesterov": False, "centered": False, "amsgrad": False, "clipnorm": None,
       "global_clipnorm": None, "clipvalue": None, "initial_accumulator_value": 0.0,
       "dampening": 0.0, "use_ema": False, "gradient_accumulation_steps": None}  # fmt: skip


def proposals(loop: Loop, result: Mapping[str, Any]) -> Iterator[Proposal]:
    """Rates, single settings, the formula, clipping, pairs of settings, all of the reference's optimizer."""
    told, used = loop.told, loop.optimizer
    yield from _rates(loop, result)
    wanted, own = settings(told["optimizer"]), optimizer_settings(used)
    if "dampening" in own:
        wanted["dampening"] = 0.0
    apart = {k: v for k, v in wanted.items() if _differs(k, v, own)}
    settable = {k: v for k, v in apart.items() if can_set(used, k)}
    for name, value in settable.items():
        yield _setting({name: value}, own)
    clips = [k for k in CLIPS if told["optimizer"]["config"].get(k)]
    foreign = not _is_counterpart(used, told["optimizer"])
    cause, form = _form(told["optimizer"])
    if foreign:
        kept = {k: own.get(k, OFF.get(k)) for k in apart}
        has = f"(the candidate has {_package(used)} {type(used).__name__})"
        if _is_coupled(used) and wanted.get("weight_decay"):
            cause = "weight decay"
            form = f"weight decay taken off the weight, not added to the gradient, and {form}"
        yield Proposal(
            cause, _replaced(loop, kept, _groups_without_decay(used)), f"with {form} it agrees {has}"
        )
    yield from clipping(loop, clips)
    for pair in itertools.combinations(settable.items(), 2):
        yield _setting(dict(pair), own)
    if _family(type(used).__name__) != _family(told["optimizer"]["class"]):
        said = f"with {told['optimizer']['class']} it agrees (the candidate has {type(used).__name__})"
        yield Proposal("another optimizer", _replaced(loop, {}), said)
        return
    if apart:
        cause = " and ".join(dict.fromkeys(CAUSE[k] for k in apart))
    parts = [f"{k}={_show(v)} (the candidate has {_show(own.get(k, OFF.get(k)))})" for k, v in apart.items()]
    other = _decay_left_out(loop, used) if wanted.get("weight_decay") else ""
    if other:
        parts.append(other)
        cause = cause if "weight_decay" in apart else f"weight decay and {cause}" if apart else "weight decay"
    said = (
        " and ".join([*([form] if foreign else []), *parts])
        or f"the reference's {told['optimizer']['class']}"
    )
    yield Proposal(cause, _replaced(loop, {}), f"with {said} it agrees")


def _family(name: str) -> str:
    name = name.lower().removesuffix("optimizer").removeprefix("legacy")
    return {"momentum": "sgd", "gradientdescent": "sgd", "adamw": "adam"}.get(name, name)


def _form(told: Mapping[str, Any]) -> tuple[str, str]:
    """What the formula of a class is known for: (cause, words)."""
    name = told["class"].lower()
    found = FORM.get(name) or FORM.get(name.removesuffix("optimizer"))
    return found or ("formula of the update", f"TensorFlow's formula of {told['class']}")


def _rates(loop: Loop, result: Mapping[str, Any]) -> Iterator[Proposal]:
    wanted = loop.told["learning_rates"]
    own = [step["rate"] for step in result["per_step"]]
    if None in wanted or None in own:
        return
    near = [math.isclose(a, b, rel_tol=1e-6) for a, b in zip(wanted, own, strict=True)]
    if all(near):
        return
    said = (
        f"with the reference's learning rates it agrees (at step {near.index(False) + 1} the candidate has "
    )
    said += f"{_show(own[near.index(False)])}, the reference {_show(wanted[near.index(False)])}"
    cause = "learning rate"
    for shift, word in ((1, "ahead"), (-1, "behind")):
        a, b = (own[:-1], wanted[1:]) if shift == 1 else (own[1:], wanted[:-1])
        if (
            a
            and all(math.isclose(x, y, rel_tol=1e-6) for x, y in zip(a, b, strict=True))
            and len(set(wanted)) > 1
        ):
            cause = "schedule off by one"
            said += f": its schedule is one step {word}"
    yield Proposal(cause, Trial(rates=list(wanted)), said + ")")


def settings(told: Mapping[str, Any]) -> dict[str, Any]:
    """The reference's settings under Keras' names, without rate and name."""
    found = {}
    for key, value in told["config"].items():
        name = NAMES.get(key, key) if told.get("v1") or told["class"].endswith("Optimizer") else key
        if (
            name in CAUSE
            and name != "learning_rate"
            and (value is None or isinstance(value, (bool, int, float)))
        ):
            found[name] = value
    return found


def optimizer_settings(optimizer: Any) -> dict[str, Any]:
    """The candidate's settings under Keras' names."""
    from tfport.compat.optimizers_v1 import V1Optimizer

    found = optimizers.hyperparameters(optimizer)
    if _decay_of(optimizer):
        found["weight_decay"] = _decay_of(optimizer)
    if isinstance(optimizer, V1Optimizer):
        for key, value in vars(optimizer).items():
            name = NAMES.get(key.lstrip("_"), key.lstrip("_"))
            if name in CAUSE and isinstance(value, (bool, int, float)):
                found[name] = value
    return {k: v for k, v in found.items() if k in CAUSE}


def _differs(name: str, wanted: Any, own: Mapping[str, Any]) -> bool:
    has = own.get(name, OFF.get(name))
    if not wanted and not has:
        return False
    if wanted is None or has is None or isinstance(wanted, bool) or isinstance(has, bool):
        return bool(wanted) != bool(has)
    return not math.isclose(float(wanted), float(has), rel_tol=1e-6)


def can_set(optimizer: Any, name: str) -> bool:
    """Whether a setting can be changed on the optimizer as it is."""
    group = optimizer.param_groups[0]
    if hasattr(optimizer, "_rate_now"):
        return hasattr(optimizer, name) or _private(optimizer, name) is not None
    if name in ("beta_1", "beta_2"):
        return "betas" in group
    if name == "initial_accumulator_value":
        return "initial_accumulator_value" in group
    return IN_TORCH.get(name, name) in group


def _private(optimizer: Any, name: str) -> str | None:
    names = [name, *(k for k, v in NAMES.items() if v == name)]
    return next((f"_{n}" for n in names if hasattr(optimizer, f"_{n}")), None)


def change(optimizer: Any, name: str, value: Any) -> None:
    """Changes a setting of an optimizer that has made no step yet."""
    if hasattr(optimizer, "_rate_now"):
        setattr(optimizer, name if hasattr(optimizer, name) else _private(optimizer, name) or name, value)
        return
    for group in optimizer.param_groups:
        if name in ("beta_1", "beta_2"):
            first, second = group["betas"]
            group["betas"] = (value, second) if name == "beta_1" else (first, value)
        else:
            group[IN_TORCH.get(name, name)] = 0.0 if value is None else value
    if name == "initial_accumulator_value":
        for state in optimizer.state.values():
            if "sum" in state:
                state["sum"].fill_(value)


def _setting(values: Mapping[str, Any], own: Mapping[str, Any]) -> Proposal:
    def apply(optimizer: Any) -> Any:
        for name, value in values.items():
            change(optimizer, name, value)
        return optimizer

    shown = " and ".join(f"{k}={_show(v)}" for k, v in values.items())
    has = " and ".join(_show(own.get(k, OFF.get(k))) for k in values)
    causes = " and ".join(dict.fromkeys(CAUSE[k] for k in values))
    return Proposal(causes, Trial(optimizer=apply), f"with {shown} it agrees (the candidate has {has})")


def _is_coupled(optimizer: Any) -> bool:
    """Whether an optimizer of torch's adds its weight decay to the gradient."""
    group = optimizer.param_groups[0]
    told = type(optimizer).__name__ == "AdamW" or group.get("decoupled_weight_decay")
    return _package(optimizer) == "torch.optim's" and not told and bool(_decay_of(optimizer))


def _decay_of(optimizer: Any) -> float:
    """The largest weight decay of any group."""
    return max((float(group.get("weight_decay") or 0.0) for group in optimizer.param_groups), default=0.0)


def _decay_left_out(loop: Loop, used: Any) -> str:
    """In words, where reference and candidate leave out other weights of the weight decay; "" where they do not."""
    wanted = optimizers.undecayed(loop.context, loop.told["optimizer"])
    live = loop.context.parameters_of()
    if hasattr(used, "_undecays"):
        has = [p for p in live.values() if used._undecays(p)]
    else:
        has = _groups_without_decay(used)
    ids = {id(p) for p in wanted}
    if ids == {id(p) for p in has}:
        return ""
    names = [name for name, p in live.items() if id(p) in ids]
    some = f"{', '.join(names[:3])}{' ...' * (len(names) > 3)}" if names else "nothing"
    return f"weight decay that leaves out {some} (the candidate's leaves out {len(has)} of {len(live)})"


def _groups_without_decay(optimizer: Any) -> list[torch.Tensor]:
    """The parameters that the candidate leaves out of its weight decay, by groups of their own."""
    if not _decay_of(optimizer):
        return []
    return [p for group in optimizer.param_groups if not group.get("weight_decay") for p in group["params"]]


def _replaced(loop: Loop, values: Mapping[str, Any], kept: list[torch.Tensor] | None = None) -> Trial:
    """The reference's optimizer as tfport has it, some settings being the candidate's.

    `kept` are the parameters without weight decay; the reference's unless given.
    """

    def apply(optimizer: Any) -> Any:
        made = optimizers.counterpart(loop.told["optimizer"], **_spelled(loop.told["optimizer"], values))
        told = loop.told["optimizer"]
        optimizers.exclude(made, optimizers.undecayed(loop.context, told) if kept is None else kept)
        made.build(list(loop.context.parameters_of().values()))
        return made

    return Trial(optimizer=apply)


def _spelled(told: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under the names that the reference's class has for them."""
    back = {NAMES.get(k, k): k for k in told["config"]}
    return {back[k]: v for k, v in values.items() if k in back}


def _is_counterpart(optimizer: Any, told: Mapping[str, Any]) -> bool:
    return hasattr(optimizer, "_rate_now") and type(optimizer).__name__ == told["class"]


def _package(optimizer: Any) -> str:
    return "torch.optim's" if type(optimizer).__module__.startswith("torch.") else "its own"


def _show(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, float) else "none" if value is None else str(value)


# Clipping.


def clipping(loop: Loop, configured: list[str]) -> Iterator[Proposal]:
    """Every way of clipping, with the limits that the reference's optimizer or the candidate's own calls have."""
    if not loop.told["gradients"][0]:
        return
    config, calls = loop.told["optimizer"]["config"], clip_calls(loop)
    if calls:
        said = "with clip_grad_norm_ as TensorFlow clips it agrees: torch adds 1e-6 to the norm"
        yield Proposal("gradient clipping", Trial(around=_as_tensorflow_clips), said)
    bounds = [float(config[k]) for k in configured] or sorted(
        {float(bound) for _, bound in loop.told.get("clips") or calls}
    )
    for bound in bounds[:2]:
        for kind, words in (("global_clipnorm", "by the norm of all gradients together"),
                            ("clipnorm", "each gradient by its own norm"),
                            ("clipvalue", "each element by its size")):  # fmt: skip
            said = f"with clipping {words} at {_show(bound)} it agrees"
            yield Proposal("gradient clipping", Trial(final=clipped(kind, bound)), said)
    if calls:
        said = "without clipping it agrees"
        yield Proposal("gradient clipping", Trial(final=lambda gradients: gradients), said)


def clipped(kind: str, bound: float) -> Callable[[Arrays], Arrays]:
    """A way of clipping, as Keras does it."""

    def apply(gradients: Arrays) -> Arrays:
        if kind == "clipvalue":
            return {k: np.clip(g, -bound, bound) for k, g in gradients.items()}
        norms = {k: np.sqrt(np.sum(g.astype(np.float64) ** 2)) for k, g in gradients.items()}
        if kind == "global_clipnorm":
            whole = float(np.sqrt(sum(n**2 for n in norms.values())))
            norms = dict.fromkeys(norms, whole)
        return {k: (g * (bound / max(norms[k], bound))).astype(g.dtype) for k, g in gradients.items()}

    return apply


def clip_calls(loop: Loop) -> list[tuple[str, float]]:
    """(function, bound) of the calls of torch's clipping functions in one step of the candidate."""
    calls: list[tuple[str, float]] = []
    loop.follow(lambda seen: False, equal=True, trial=Trial(around=lambda c: _listening(c, calls)), steps=1)
    return calls


@contextlib.contextmanager
def _as_tensorflow_clips(context: Context) -> Iterator[None]:
    def clip(parameters: Any, bound: float, *args: Any, **kw: Any) -> torch.Tensor:
        held = [parameters] if isinstance(parameters, torch.Tensor) else list(parameters)
        gradients = [p.grad for p in held if p.grad is not None]
        norm = torch.sqrt(torch.stack([g.square().sum() for g in gradients]).sum())
        for gradient in gradients:
            gradient.mul_(bound / norm.clamp(min=bound))
        return norm

    with _in_place_of({"clip_grad_norm_": lambda before: clip}, context):
        yield


@contextlib.contextmanager
def _listening(context: Context, calls: list[tuple[str, float]]) -> Iterator[None]:
    def listener(name: str) -> Callable[[Any], Any]:
        def around(before: Any) -> Any:
            def heard(parameters: Any, bound: float, *args: Any, **kw: Any) -> Any:
                calls.append((name, float(bound)))
                return before(parameters, bound, *args, **kw)

            return heard

        return around

    with _in_place_of({n: listener(n) for n in ("clip_grad_norm_", "clip_grad_value_")}, context):
        yield


@contextlib.contextmanager
def _in_place_of(made: Mapping[str, Callable[[Any], Any]], context: Context) -> Iterator[None]:
    """Puts others in the place of torch's clipping functions, wherever the candidate's file has them."""
    places: list[Any] = [torch.nn.utils, torch.nn.utils.clip_grad, context.user]
    restore: list[tuple[Any, str, Any]] = []
    for name, make in made.items():
        before = getattr(torch.nn.utils, name)
        other = make(before)
        for place in places:
            for key, value in list(vars(place).items()):
                if value is before:
                    restore.append((place, key, value))
                    setattr(place, key, other)
    try:
        yield
    finally:
        for place, key, value in restore:
            setattr(place, key, value)
