"""Kernels in another axis order: a transposed square matrix, height and width exchanged, a flipped kernel."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tfport.parity.localise.causes.base import Context, Fix


def propose(context: Context) -> Iterator[Fix]:
    """Every exchange of two axes of one size, for each weight; recurrent kernels gate by gate; flips."""
    if context.operation is not None:
        return
    for name, weight in context.weights.items():
        if weight.ndim < 2 or not weight.is_floating_point():
            continue
        for a in range(weight.ndim):
            for b in range(a + 1, weight.ndim):
                if weight.shape[a] == weight.shape[b] > 1:
                    said = (
                        f"{name} transposed" if weight.ndim == 2 else f"axes {a} and {b} of {name} exchanged"
                    )
                    yield _fix("transposed square kernel", said, weight, weight.transpose(a, b))
        if weight.ndim == 2:
            yield from _gates(name, weight)
            yield from _reshaped(name, weight)
        else:
            spatial = tuple(range(2, weight.ndim))
            if max(weight.shape[2:]) > 1:
                yield _fix("flipped kernel", f"{name} flipped in space", weight, weight.flip(spatial))
        yield from _multiplied(context, name, weight)


def _fix(cause: str, said: str, weight: torch.Tensor, made: torch.Tensor) -> Fix:
    return Fix(cause, said, "it the other way round", swaps={id(weight): made.contiguous()})


def _gates(name: str, weight: torch.Tensor) -> Iterator[Fix]:
    """(gates * units, units): each gate's square block transposed."""
    rows, columns = weight.shape
    if columns > 1 and rows % columns == 0 and rows // columns in (3, 4):
        made = weight.unflatten(0, (rows // columns, columns)).transpose(1, 2).flatten(0, 1)
        yield _fix("transposed square kernel", f"{name} transposed gate by gate", weight, made)


def _reshaped(name: str, weight: torch.Tensor) -> Iterator[Fix]:
    """A matrix whose numbers were reshaped where they should have been transposed."""
    rows, columns = weight.shape
    if rows != columns and min(rows, columns) > 1:
        made = weight.reshape(columns, rows).t()
        yield _fix("transposed kernel", f"{name} transposed, not reshaped", weight, made)


def _multiplied(context: Context, name: str, weight: torch.Tensor) -> Iterator[Fix]:
    """Depthwise kernels: (channel, multiplier) against (multiplier, channel)."""
    count = context.told("depth_multiplier", 1)
    if weight.ndim > 2 and weight.shape[1] == 1 and isinstance(count, int) and count > 1:
        channels = weight.shape[0] // count
        for sizes in ((count, channels), (channels, count)):
            made = weight.unflatten(0, sizes).transpose(0, 1).flatten(0, 1)
            yield _fix(
                "depthwise order", f"the outputs of {name} in the order (channel, multiplier)", weight, made
            )
