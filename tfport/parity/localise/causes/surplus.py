"""A step too much, a lower precision, a bias or a factor that is missing or there twice: the last proposals."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tfport.parity.localise.causes.base import Context, Fix

KEEPING = frozenset(
    ("linear", "conv1d", "conv2d", "conv3d", "lstm", "gru", "embedding", "contiguous", "clone", "detach")
)


def propose(context: Context) -> Iterator[Fix]:
    """Leaves out what keeps the shape; leaves out a bias; keeps the precision."""
    operation = context.operation
    if operation is None:
        for name, weight in context.weights.items():
            if "bias" in name:
                yield Fix("bias", f"no {name}", "one", swaps={id(weight): torch.zeros_like(weight)})
        return
    value = operation.first
    if operation.name in ("half", "bfloat16", "to", "type", "float", "double") and isinstance(
        value, torch.Tensor
    ):
        yield Fix("precision", "no change of precision", operation.name, lambda op: op.first)
    if operation.name in ("linear", "conv1d", "conv2d", "conv3d") and operation.get("bias") is not None:
        yield Fix(
            "bias", "no bias", "one", lambda op: op.again(bias=None), told=context.told("use_bias") is False
        )
    if isinstance(value, torch.Tensor) and value.is_floating_point() and operation.name not in KEEPING:
        said = f"no {operation.name}"
        yield Fix("extra step", said, "it", lambda op: op.first)
        if len(operation.args) > 1 and isinstance(operation.args[1], torch.Tensor):
            yield Fix("extra step", said, "it", lambda op: op.args[1])
