"""Which state of which optimizer is the same quantity: Keras, TensorFlow 1, torch.optim and tfport's own.

Each state tensor has a *role*, named as torch.optim names it, and a factor that depends on the learning rate:
Keras' SGD holds -rate times what torch holds, its RMSprop the rate times it (semantics.md, "Optimiser state").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

Factor = Callable[[float], float]


def _same(rate: float) -> float:
    return 1.0


def _minus_rate(rate: float) -> float:
    return -rate


def _rate(rate: float) -> float:
    return rate


_ADAM: dict[str, tuple[str, Factor]] = {
    "momentum": ("exp_avg", _same),
    "velocity": ("exp_avg_sq", _same),
    "velocity_hat": ("max_exp_avg_sq", _same),
}
KERAS: dict[str, dict[str, tuple[str, Factor]]] = {
    "adam": _ADAM,
    "adamw": _ADAM,
    "nadam": _ADAM,
    "adamax": {"momentum": ("exp_avg", _same), "norm": ("exp_inf", _same)},
    "lion": {"momentum": ("exp_avg", _same)},
    "sgd": {"momentum": ("momentum_buffer", _minus_rate)},
    "rmsprop": {
        "velocity": ("square_avg", _same),
        "momentum": ("momentum_buffer", _rate),
        "average_gradient": ("grad_avg", _same),
    },
    "adagrad": {"accumulator": ("sum", _same)},
    "adadelta": {"accumulated_grad": ("square_avg", _same), "accumulated_delta_var": ("acc_delta", _same)},
    "ftrl": {"accumulator": ("sum", _same), "linear": ("linear", _same)},
}
V1: dict[str, dict[str, tuple[str, Factor]]] = {
    "adam": {"m": ("exp_avg", _same), "v": ("exp_avg_sq", _same)},
    "momentum": {"momentum": ("momentum_buffer", _same)},
    "rmsprop": {
        "rms": ("square_avg", _same),
        "momentum": ("momentum_buffer", _rate),
        "mg": ("grad_avg", _same),
    },
    "adagrad": {"accumulator": ("sum", _same)},
    "adadelta": {"accum": ("square_avg", _same), "accum_update": ("acc_delta", _same)},
    "ftrl": {"accum": ("sum", _same), "linear": ("linear", _same)},
}
ROLES = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "grad_avg", "sum",
         "acc_delta", "linear")  # fmt: skip


def reference_roles(optimizer: Mapping[str, Any]) -> dict[str, tuple[str, Factor]]:
    """Slot name of the reference's optimizer -> (role, factor); {} for one that is not known."""
    name = optimizer["class"].lower()
    if optimizer.get("v1") or (name.endswith("optimizer") and name.removesuffix("optimizer") in V1):
        return V1.get(name.removesuffix("optimizer"), {})
    return KERAS.get(name, {})


def candidate_roles(optimizer: Any) -> dict[str, tuple[str, Factor]]:
    """Role -> (key of the candidate's state, factor); {} for an optimizer that is not known.

    A class of the user's counts as the known class that it derives from, as long as it keeps its state.
    """
    from tfport.compat.optimizers import KerasOptimizer
    from tfport.compat.optimizers_v1 import V1Optimizer

    for kind in type(optimizer).__mro__:
        name = kind.__name__.lower().removeprefix("legacy")
        if isinstance(optimizer, KerasOptimizer) and name in KERAS:
            return {role: (slot, factor) for slot, (role, factor) in KERAS[name].items()}
        if isinstance(optimizer, V1Optimizer) and name.removesuffix("optimizer") in V1:
            table = V1[name.removesuffix("optimizer")]
            return {role: (slot, factor) for slot, (role, factor) in table.items()}
        if kind.__module__.startswith("torch.optim.") and name != "optimizer":
            return {role: (role, _same) for role in ROLES}
    return {}


def state_of(optimizer: Any, parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    """The state tensors of a parameter that have its shape, by key."""
    state = optimizer.state.get(parameter, {}) if hasattr(optimizer, "state") else {}
    return {k: v for k, v in state.items() if isinstance(v, torch.Tensor) and v.shape == parameter.shape}
