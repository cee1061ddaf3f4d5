"""Axes and orders: concatenation, reduction axes, normalised axes, repeated, shuffled or shifted pixels and ids."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from tfport.parity.localise.causes.base import Context, Fix
from tfport.parity.localise.readings import readings
from tfport.parity.localise.taps import Operation

REDUCTIONS = ("mean", "sum", "amax", "amin", "max", "min", "logsumexp", "std", "var", "argmax")
MERGES = frozenset(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"))
BINARY = {
    "add": torch.add, "radd": torch.add, "mul": torch.mul, "rmul": torch.mul, "sub": torch.sub, "maximum": torch.maximum,
    "minimum": torch.minimum, "truediv": torch.div, "div": torch.div, "iadd": torch.add, "imul": torch.mul,
}  # fmt: skip


def propose(context: Context) -> Iterator[Fix]:
    """The other orders and axes of one operation."""
    operation = context.operation
    if operation is None:
        for by in (-1, 1):
            yield Fix(
                "index shift", f"ids {by:+d}", "them unchanged", value=lambda x, n=by: x + n, integers=True
            )
        return
    yield from _unadded(context, operation)
    kinds = {c.kind for c in (context.call, *context.chain) if c is not None}
    if operation.name in ("cat", "concat", "concatenate"):
        yield from _joined(operation, "Concatenate" in kinds)
    elif operation.name in REDUCTIONS and isinstance(operation.first, torch.Tensor):
        yield from _reduced(operation)
    elif operation.name == "layer_norm":
        yield from _normalised(operation)
    elif operation.name == "embedding":
        for by in (1, -1):
            yield Fix("index shift", f"ids {by:+d}", "them unchanged",
                      lambda op, n=by: op.again(input=(op.get("input") + n).clamp(0, op.get("weight").shape[0] - 1)))  # fmt: skip
    elif operation.name == "arange":
        for by in (1, -1):
            yield Fix("index shift", f"positions {by:+d}", "them unchanged",
                      lambda op, n=by: op.function(*op.args, **op.kwargs) + n)  # fmt: skip
    elif operation.name in ("pixel_shuffle", "pixel_unshuffle"):
        yield Fix("order of pixels", "depth_to_space's order of channels", "torch's", _depth_to_space)
    elif operation.name in BINARY and len(operation.args) == 2:
        yield from _combined(operation, bool(kinds & MERGES))
    elif operation.name in ("permute", "transpose", "swapaxes", "movedim", "t"):
        yield from _moved(operation)


def _unadded(context: Context, operation: Operation) -> Iterator[Fix]:
    """What an Add of the reference adds to the operation's argument: a skip connection that is not there."""
    call, value = context.call, operation.first
    keys = [key for key in call.inputs if key] if call is not None and call.kind == "Add" else []
    if len(keys) != 2 or not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return
    for key, other in (keys, keys[::-1]):
        one, two = (torch.from_numpy(context.reference.array(k).copy()).to(value) for k in (key, other))
        if one.shape != two.shape:
            return
        for reading in readings(tuple(one.shape), tuple(value.shape)):
            if torch.allclose(
                reading.of(one, value.shape), value, rtol=1e-4, atol=1e-4 * float(value.abs().max())
            ):
                maker = context.reference.makers.get(other)
                said = f"the output of {maker.name} added" if maker is not None else f"{other} added"
                added = reading.of(two, value.shape)
                yield Fix(
                    "missing addend", said, "nothing", lambda op, v=added: op.on(op.first + v), told=True
                )
                return


def _joined(operation: Operation, told: bool) -> Iterator[Fix]:
    parts, axis = list(operation.get("tensors")), operation.get("dim", 0)
    if len(parts) <= 4:
        for order in itertools.permutations(range(len(parts))):
            if order != tuple(range(len(parts))):
                yield Fix("order of concatenation", f"order {order}", str(tuple(range(len(parts)))),
                          lambda op, o=order: op.again(tensors=[op.get("tensors")[i] for i in o]), told=told)  # fmt: skip
    for other in range(parts[0].ndim):
        if other != axis % parts[0].ndim:
            yield Fix("axis", f"dim={other}", f"dim={axis}", lambda op, a=other: op.again(dim=a))


def _reduced(operation: Operation) -> Iterator[Fix]:
    value, has = operation.first, operation.get("dim")
    axes = range(value.ndim)
    for count in (1, 2):
        for dim in itertools.combinations(axes, count):
            chosen: Any = dim[0] if count == 1 else dim
            now = (has,) if isinstance(has, int) else tuple(has or ())
            if tuple(d % value.ndim for d in now) != dim and not (
                count > 1 and operation.name in ("max", "min", "argmax")
            ):
                yield Fix("axis", f"dim={chosen}", f"dim={has}", lambda op, d=chosen: op.again(dim=d))
    other: Any = {"mean": torch.amax, "amax": torch.mean, "sum": torch.mean}.get(operation.name)
    if other is not None and has is not None:
        said = {"mean": "the maximum", "amax": "the mean", "sum": "the mean"}[operation.name]
        yield Fix("kind of pooling", said, operation.name,
                  lambda op: other(op.first, op.get("dim"), bool(op.get("keepdim", False))))  # fmt: skip
    if operation.name == "mean" and has is not None:
        yield Fix("kind of pooling", "the sum", "mean",
                  lambda op: torch.sum(op.first, op.get("dim"), bool(op.get("keepdim", False))))  # fmt: skip


def _normalised(operation: Operation) -> Iterator[Fix]:
    value, has = operation.first, list(operation.get("normalized_shape"))
    for axis in range(1, value.ndim):
        weight = operation.get("weight")
        if weight is not None and weight.shape == (value.shape[axis],):
            yield Fix(
                "axis", f"axis {axis} normalised", f"the last {len(has)}", lambda op, a=axis: _along(op, a)
            )


def _along(operation: Operation, axis: int) -> torch.Tensor:
    value = operation.first.movedim(axis, -1)
    made = F.layer_norm(value, value.shape[-1:], operation.get("weight"), operation.get("bias"),
                        operation.get("eps", 1e-5))  # fmt: skip
    return made.movedim(-1, axis)


def _depth_to_space(operation: Operation) -> torch.Tensor:
    value, block = operation.first, operation.args[1]
    batch, channels, height, width = value.shape
    if operation.name == "pixel_shuffle":
        deep = channels // block**2
        made = value.reshape(batch, block, block, deep, height, width).permute(0, 3, 4, 1, 5, 2)
        return made.reshape(batch, deep, height * block, width * block)
    made = value.reshape(batch, channels, height // block, block, width // block, block).permute(
        0, 3, 5, 1, 2, 4
    )
    return made.reshape(batch, channels * block**2, height // block, width // block)


def _combined(operation: Operation, told: bool) -> Iterator[Fix]:
    one, two = operation.args
    if not (isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor)):
        return
    for said, function in (("the sum", torch.add), ("the product", torch.mul), ("the difference", torch.sub),
                           ("the maximum", torch.maximum)):  # fmt: skip
        if BINARY[operation.name] is not function:
            yield Fix("kind of merge", said, operation.name, lambda op, f=function: f(*op.args), told=told)


def _moved(operation: Operation) -> Iterator[Fix]:
    """Every other order of the axes that keeps the shape that the rest needs."""
    value = operation.first
    if not isinstance(value, torch.Tensor) or value.ndim > 4:
        return
    for order in itertools.permutations(range(value.ndim)):
        yield Fix(
            "axis", f"axes in the order {order}", operation.name, lambda op, o=order: op.first.permute(o)
        )
