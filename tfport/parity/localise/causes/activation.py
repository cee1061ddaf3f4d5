"""Activations: a wrong or a missing one, another slope, the approximate gelu; the axis of a softmax."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F

from tfport.parity.localise.causes.base import Context, Fix, shown

FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: torch.softmax(x, -1),
    "log_softmax": lambda x: torch.log_softmax(x, -1),
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "gelu approximate": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "swish": F.silu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "mish": F.mish,
    "exponential": torch.exp,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "hard_sigmoid": lambda x: torch.clamp(x / 6 + 0.5, 0, 1),
    "hard_sigmoid of Keras 2": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    "hard_silu": lambda x: x * torch.clamp(x / 6 + 0.5, 0, 1),
}
LAYERS = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "Softmax": "softmax"}
OPERATIONS = (
    "relu", "relu6", "tanh", "sigmoid", "elu", "selu", "gelu", "silu", "softplus", "softsign", "mish", "leaky_relu",
    "hardtanh", "hardsigmoid", "hardswish", "exp", "celu", "prelu", "clamp", "clamp_min", "logsigmoid",
)  # fmt: skip
SOFTMAXES = ("softmax", "log_softmax")
SLOPES = (0.3, 0.2, 0.01, 0.1)


def propose(context: Context) -> Iterator[Fix]:
    """The reference's activation first, then slopes and forms of the one there is, then all others."""
    operation = context.operation
    if operation is None:
        yield from _missing(context)
        return
    if operation.name in SOFTMAXES:
        value = operation.first
        has = operation.get("dim")
        for axis in range(value.ndim):
            if has is None or axis != has % value.ndim:
                yield Fix("softmax axis", f"dim={axis}", f"dim={has}",
                          lambda op, a=axis: getattr(torch, op.name)(op.first, a))  # fmt: skip
        other = SOFTMAXES[operation.name == "softmax"]
        yield Fix("activation", other, operation.name,
                  lambda op: getattr(torch, other)(op.first, op.get("dim", -1)))  # fmt: skip
        yield Fix("activation", "no activation", operation.name, lambda op: op.first)
    if operation.name not in (*OPERATIONS, *SOFTMAXES):
        return
    if operation.name in ("leaky_relu", "elu", "celu"):
        key = "negative_slope" if operation.name == "leaky_relu" else "alpha"
        has = operation.get(key, 0.01 if key == "negative_slope" else 1.0)
        told = context.told("negative_slope", context.told("alpha"))
        for slope in dict.fromkeys(v for v in (told, *SLOPES, 1.0) if isinstance(v, (int, float))):
            if slope != has:
                yield Fix("slope", f"{key}={shown(slope)}", shown(has),
                          lambda op, k=key, v=slope: op.again(**{k: v}), told=slope == told)  # fmt: skip
    if operation.name == "gelu":
        has = operation.get("approximate", "none")
        other = "none" if has == "tanh" else "tanh"
        yield Fix(
            "approximate gelu", f"approximate={other!r}", repr(has), lambda op: op.again(approximate=other)
        )
    if operation.name == "softplus" or operation.name in ("hardtanh", "clamp", "relu6"):
        limit = context.told("max_value")
        if isinstance(limit, (int, float)):
            yield Fix("activation", f"max_value={shown(limit)}", operation.name,
                      lambda op: op.first.clamp(0, limit), told=True)  # fmt: skip
    for name, function, told in _named(context):
        if name != operation.name:
            yield Fix("activation", name, operation.name, lambda op, f=function: f(op.first), told=told)


def _named(context: Context) -> Iterator[tuple[str, Callable[..., torch.Tensor], bool]]:
    told = [LAYERS.get(name, name) for name in context.activations]
    for name in dict.fromkeys([*told, *FUNCTIONS]):
        if name in FUNCTIONS:
            yield name, FUNCTIONS[name], name in told
    slope = context.told("negative_slope", context.told("alpha"))
    for value in dict.fromkeys(v for v in (slope, *SLOPES) if isinstance(v, (int, float))):
        yield f"leaky_relu({value:g})", lambda x, v=value: F.leaky_relu(x, v), value == slope
    limit = context.told("max_value")
    if isinstance(limit, (int, float)):
        yield f"relu up to {limit:g}", lambda x: x.clamp(0, limit), True


def _missing(context: Context) -> Iterator[Fix]:
    """An activation that the candidate does not have at all: applied to the value that differs."""
    for name, function, told in _named(context):
        if name != "linear":
            yield Fix("activation", name, "none there", value=function, told=told)
            yield Fix("activation", name, "none there", after=function, told=told)
