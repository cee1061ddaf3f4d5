"""Activations by the names that Keras gives them (https://keras.io/api/layers/activations/)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from tfport.layers.layouts import ELEMENTWISE_ACTIVATIONS, ELEMENTWISE_OPS


def hard_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """``relu6(x + 3) / 6``; the gradient of F.hardsigmoid is rounded to float32, in float64 too."""
    return F.relu6(x + 3.0) / 6.0


# name -> torch function and its keywords; an axis ("dim") is in TensorFlow's order
TABLE: dict[str, tuple[Callable[..., torch.Tensor], dict[str, Any]]] = {
    "celu": (F.celu, {}),
    "elu": (F.elu, {}),
    "exponential": (torch.exp, {}),
    "gelu": (F.gelu, {}),
    "hard_shrink": (F.hardshrink, {}),
    "hard_sigmoid": (hard_sigmoid, {}),
    "hard_silu": (F.hardswish, {}),
    "hard_swish": (F.hardswish, {}),
    "hard_tanh": (F.hardtanh, {}),
    "leaky_relu": (F.leaky_relu, {"negative_slope": 0.2}),
    "log_sigmoid": (F.logsigmoid, {}),
    "log_softmax": (F.log_softmax, {"dim": -1}),
    "mish": (F.mish, {}),
    "relu": (F.relu, {}),
    "relu6": (F.relu6, {}),
    "selu": (F.selu, {}),
    "sigmoid": (torch.sigmoid, {}),
    "silu": (F.silu, {}),
    "softmax": (F.softmax, {"dim": -1}),
    "softplus": (F.softplus, {"threshold": 100.0}),
    "softsign": (F.softsign, {}),
    "swish": (F.silu, {}),
    "tanh": (torch.tanh, {}),
}


def find(activation: Any) -> tuple[Callable[..., torch.Tensor], dict[str, Any]] | None:
    """The function and keywords of an activation given as name, function or None (and "linear").

    Raises ValueError for an unknown name.
    """
    if activation is None or activation == "linear":
        return None
    if isinstance(activation, str):
        if activation not in TABLE:
            raise ValueError(f"no activation {activation!r}; known are {', '.join(sorted(TABLE))}")
        return TABLE[activation]
    if not callable(activation):
        raise ValueError(f"{activation!r} is neither the name of an activation nor a function")
    return activation, {}


def is_elementwise(activation: Any) -> bool:
    """Whether it treats every element alike, so that layout does not matter. Unknown functions do not count."""
    if activation is None or isinstance(activation, str):
        return activation in ELEMENTWISE_ACTIVATIONS
    if isinstance(activation, torch.nn.Module):
        return type(activation).__name__ in {
            "ReLU",
            "ReLU6",
            "GELU",
            "SiLU",
            "Tanh",
            "Sigmoid",
            "ELU",
            "LeakyReLU",
        }
    entry = getattr(activation, "rule", None)
    if entry is not None:
        if entry.primary.startswith("tf.keras.activations."):
            return entry.primary.rsplit(".", 1)[1] in ELEMENTWISE_ACTIVATIONS
        return bool(set(entry.names) & ELEMENTWISE_OPS)
    plain = {torch.relu, torch.exp, F.tanh, F.sigmoid}
    functions = plain | {function for name, (function, _) in TABLE.items() if name in ELEMENTWISE_ACTIVATIONS}
    return activation in functions


def get(identifier: Any) -> Callable[..., Any]:
    """``keras.activations.get``: a function for a name; None is the identity."""
    found = find(identifier)
    if found is None:
        return _linear
    function, keywords = found
    if not keywords:
        return function

    def activation(x: Any) -> Any:
        return function(x, **keywords)

    activation.__name__ = str(identifier)
    return _NAMED.setdefault(str(identifier), activation)


_NAMED: dict[str, Callable[..., Any]] = {}


def _linear(x: Any) -> Any:
    return x
