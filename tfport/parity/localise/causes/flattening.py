"""Flatten order: TensorFlow flattens height, width, channels; torch channels, height, width."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from tfport.parity.localise.causes.base import Context, Fix
from tfport.parity.localise.readings import CHANNELS_FIRST


def propose(context: Context) -> Iterator[Fix]:
    """A dense kernel's inputs in the other order, and images moved before they are flattened (or after they are
    made of a vector).
    """
    operation = context.operation
    if operation is None:
        yield from _kernels(context)
        yield from _rows(context)
        return
    if operation.name not in ("flatten", "reshape", "view", "unflatten"):
        return
    value = operation.first
    if not isinstance(value, torch.Tensor):
        return
    if value.ndim in CHANNELS_FIRST and operation.name != "unflatten":
        last = tuple(range(value.ndim))
        for order, said, has in (
            ((0, *last[2:], 1), "the flatten order h w c", "c h w"),
            ((0, last[-1], *last[1:-1]), "the flatten order c h w", "h w c"),
        ):
            yield Fix("flatten order", said, has, lambda op, o=order: op.on(op.first.permute(o)), told=True)
    yield Fix("flatten order", "an image made in the order h w c", "c h w", _image)


def _rows(context: Context) -> Iterator[Fix]:
    """A dense layer whose outputs become an image: its rows, and its bias, in the other order."""
    shapes = {
        context.reference.shape(key)[1:]
        for call in context.reference.calls
        if call.kind == "Reshape"
        for key in call.tensors
        if len(context.reference.shape(key)) in CHANNELS_FIRST
    }
    for own in shapes:
        count = len(own)
        for order, sizes, said, has in (
            ((count - 1, *range(count - 1)), own, "c h w", "h w c"),
            ((*range(1, count), 0), (own[-1], *own[:-1]), "h w c", "c h w"),
        ):
            swaps = {}
            for weight in context.weights.values():
                if weight.ndim in (1, 2) and weight.shape[0] == math.prod(own):
                    moved = weight.unflatten(0, sizes).permute(*order, *range(count, count + weight.ndim - 1))
                    swaps[id(weight)] = moved.flatten(0, count - 1).contiguous()
            if swaps:
                yield Fix("flatten order", f"its outputs in the order {said}", has, swaps=swaps)


def _image(operation):  # type: ignore[no-untyped-def]
    made = operation.function(*operation.args, **operation.kwargs)
    if made.ndim not in CHANNELS_FIRST:
        return made
    sizes = made.shape
    return operation.first.reshape(sizes[0], *sizes[2:], sizes[1]).permute(CHANNELS_FIRST[made.ndim])


def _kernels(context: Context) -> Iterator[Fix]:
    shapes = set()
    if context.call is not None:
        for key in context.call.inputs:
            shape = context.reference.flattened.get(key or "")
            shapes |= {shape} if shape and len(shape) in CHANNELS_FIRST else set()
    for shape in shapes:
        size = math.prod(shape[1:])
        for name, weight in context.weights.items():
            if weight.ndim != 2 or size not in weight.shape:
                continue
            axis = 1 if weight.shape[1] == size else 0
            own = tuple(shape[1:])
            for sizes, said, has in (
                (own, "its inputs in the order c h w", "h w c"),
                ((own[-1], *own[:-1]), "its inputs in the order h w c", "c h w"),
            ):
                last = sizes == own
                parts = weight.movedim(axis, 0).unflatten(0, sizes)
                order = (len(own) - 1, *range(len(own) - 1)) if last else (*range(1, len(own)), 0)
                made = parts.permute(*order, len(own)).flatten(0, len(own) - 1).movedim(0, axis)
                yield Fix(
                    "flatten order", f"{name}: {said}", has, swaps={id(weight): made.contiguous()}, told=True
                )
