"""Padding: SAME pads after where it is uneven, torch on both sides alike; pools are padded with -inf or not at all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from tfport.parity.localise.causes.base import Context, Fix, numbers
from tfport.parity.localise.taps import Operation

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
POOLS = ("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d")


def same(
    sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[int]:
    """TensorFlow's SAME padding as `F.pad` takes it: last axis first, before = total // 2."""
    pads: list[int] = []
    for n, k, s, d in reversed(list(zip(sizes, kernel, stride, dilation, strict=True))):
        total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads += [total // 2, total - total // 2]
    return pads


def propose(context: Context) -> Iterator[Fix]:
    """SAME and VALID padding for convolutions and pools, other sides and values for what is padded apart."""
    operation = context.operation
    if operation is None:
        return
    earlier = {op.index: lambda op: op.first for op in context.before if op.name == "pad"}
    told = context.told("padding")
    if operation.name in CONVOLUTIONS + POOLS:
        yield from _sliding(operation, {}, told)
        if earlier:
            yield from _sliding(operation, earlier, told)
    elif operation.name in TRANSPOSED:
        yield from _transposed(operation, told)
    elif operation.name == "pad":
        yield from _pads(operation)
    elif operation.name == "getitem":
        yield from _cuts(operation)
    elif operation.name in ("narrow", "narrow_copy") and len(operation.args) == 4:
        for by in (-1, 1, -2, 2):
            start = operation.args[2] + by
            if start >= 0:
                yield Fix("padding side", f"a cut that starts at {start}", str(operation.args[2]),
                          lambda op, s=start: op.function(op.args[0], op.args[1], s, op.args[3]))  # fmt: skip


def _sliding(operation: Operation, earlier: dict[int, Any], told: Any) -> Iterator[Fix]:
    has = _has(operation, earlier)
    for kind in ("same", "valid", "causal") if told == "causal" else ("same", "valid"):
        yield Fix("padding side", f"{kind.upper()} padding", has, lambda op, k=kind: slid(op, k), also=earlier,
                  told=told == kind)  # fmt: skip
    if operation.name.startswith("avg"):
        for counted in (True, False):
            if bool(operation.get("count_include_pad", True)) != counted:
                said = f"the padding {'counted' if counted else 'left out of the mean'}"
                yield Fix("average pool counts padding", said, "it otherwise",
                          lambda op, c=counted: op.again(count_include_pad=c))  # fmt: skip
        yield Fix("average pool counts padding", "SAME padding left out of the mean", has, _mean_same, also=earlier,
                  told=told == "same")  # fmt: skip
    if operation.name in POOLS:
        other = (
            operation.name.replace("avg", "max")
            if "avg" in operation.name
            else operation.name.replace("max", "avg")
        )
        said, now = (
            ("the maximum", "the average") if "avg" in operation.name else ("the average", "the maximum")
        )
        yield Fix("kind of pooling", said, now, lambda op, n=other: _other_pool(op, n))
        if "avg" in operation.name:
            yield Fix("kind of pooling", "the maximum under SAME padding", now, _max_same, also=earlier)
        yield Fix("padding side", "ceil_mode the other way", str(bool(operation.get("ceil_mode", False))),
                  lambda op: op.again(ceil_mode=not op.get("ceil_mode", False)))  # fmt: skip


def _has(operation: Operation, earlier: dict[int, Any]) -> str:
    padding = operation.get("padding", 0)
    return f"padding={padding}" + (" and F.pad before it" if earlier else "")


def _geometry(operation: Operation) -> tuple[int, Any, tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    count = int(operation.name[-2])
    weight = operation.get("weight")
    kernel = numbers(
        weight.shape[2:] if isinstance(weight, torch.Tensor) else operation.get("kernel_size"), count
    )
    stride = operation.get("stride")
    stride = (
        kernel
        if stride in (None, [], ()) and weight is None
        else numbers(1 if stride is None else stride, count)
    )
    return count, operation.get("input"), kernel, stride, numbers(operation.get("dilation", 1), count)


def slid(operation: Operation, kind: str) -> Any:
    """A convolution or pool under SAME, VALID or (one axis) causal padding, whatever it has."""
    count, x, kernel, stride, dilation = _geometry(operation)
    if kind == "causal":
        x = F.pad(x, ((kernel[0] - 1) * dilation[0], 0))
    if kind == "same":
        value = float("-inf") if operation.name.startswith("max") else 0.0
        x = F.pad(x, same(x.shape[2:], kernel, stride, dilation), value=value)
    return operation.again(input=x, padding=(0,) * count)


def _mean_same(operation: Operation) -> Any:
    count, x, kernel, stride, dilation = _geometry(operation)
    pads = same(x.shape[2:], kernel, stride, dilation)
    total = operation.again(input=F.pad(x, pads), padding=(0,) * count)
    return total / operation.again(input=F.pad(torch.ones_like(x), pads), padding=(0,) * count)


def _max_same(operation: Operation) -> Any:
    _, x, kernel, stride, dilation = _geometry(operation)
    padded = F.pad(x, same(x.shape[2:], kernel, stride, dilation), value=float("-inf"))
    return getattr(F, operation.name.replace("avg", "max"))(padded, kernel, stride)


def _other_pool(operation: Operation, name: str) -> Any:
    _, x, kernel, stride, _ = _geometry(operation)
    function = getattr(F, name)
    padding = operation.get("padding", 0)
    ceil = bool(operation.get("ceil_mode", False))
    if "avg" in name:
        x = x.clamp_min(torch.finfo(x.dtype).min)
        return function(x, kernel, stride, padding, ceil_mode=ceil, count_include_pad=False)
    return function(x, kernel, stride, padding, ceil_mode=ceil)


def _transposed(operation: Operation, told: Any) -> Iterator[Fix]:
    has = f"padding={operation.get('padding', 0)}, output_padding={operation.get('output_padding', 0)}"
    yield Fix("padding side", "SAME padding", has, _transposed_same, told=told == "same")
    yield Fix("padding side", "VALID padding", has, lambda op: op.again(padding=0, output_padding=0),
              told=told == "valid")  # fmt: skip


def _transposed_same(operation: Operation) -> Any:
    """The whole transposed convolution, cut to n * s from max(k - s, 0) // 2 on."""
    count, x, kernel, stride, dilation = _geometry(operation)
    made = operation.again(padding=(0,) * count, output_padding=(0,) * count)
    sizes = list(zip(x.shape[2:], kernel, stride, dilation, strict=True))
    lacking = [max(n * s - made.shape[a], 0) for a, (n, _, s, _) in enumerate(sizes, 2)]
    if any(lacking):
        made = F.pad(made, [p for n in reversed(lacking) for p in (0, n)])
    for axis, (n, k, s, d) in enumerate(sizes, 2):
        made = made.narrow(axis, max((k - 1) * d + 1 - s, 0) // 2, n * s)
    return made


def _pads(operation: Operation) -> Iterator[Fix]:
    pads = [int(n) for n in operation.get("pad")]
    value, mode = operation.get("value"), operation.get("mode", "constant")
    pairs = list(zip(pads[::2], pads[1::2], strict=True))
    ways = (
        lambda a, b: (min(a, b), max(a, b)), lambda a, b: (b, a), lambda a, b: ((a + b) // 2, a + b - (a + b) // 2),
        lambda a, b: (a + b - (a + b) // 2, (a + b) // 2), lambda a, b: (0, a + b), lambda a, b: (a + b, 0),
    )  # fmt: skip
    options = [[n for pair in pairs for n in way(*pair)] for way in ways]
    options += [[n for pair in order for n in pair] for order in itertools.permutations(pairs)]
    options += [pads[i : i + 1] + pads[:i] + pads[i + 1 :] for i in range(1, len(pads))]
    options += [
        [pads[i] for i in order] for order in itertools.permutations(range(len(pads))) if len(pads) <= 4
    ]
    seen = [pads]
    for option in options:
        if option not in seen:
            seen.append(option)
            yield Fix("padding side", f"padding {tuple(option)}", str(tuple(pads)),
                      lambda op, p=option: op.again(pad=p))  # fmt: skip
    for filled in (float("-inf"), 0.0):
        if mode == "constant" and (value or 0.0) != filled:
            yield Fix("padding value", f"a border of {filled:g}", f"{value or 0.0:g}",
                      lambda op, v=filled: op.again(mode="constant", value=v))  # fmt: skip
    for other in ("constant", "reflect", "replicate", "circular"):
        if other != mode:
            yield Fix(
                "padding value", f"{other} padding", mode, lambda op, m=other: op.again(mode=m, value=None)
            )


def _cuts(operation: Operation) -> Iterator[Fix]:
    """A slice along some axes that begins one or two elements off."""
    index = operation.args[1] if len(operation.args) > 1 else None
    parts: list[Any] = list(index) if isinstance(index, tuple) else [index]
    cut = [
        i for i, p in enumerate(parts) if isinstance(p, slice) and p.step in (None, 1) and (p.start or p.stop)
    ]
    for by in (-1, 1, -2, 2):
        made = list(parts)
        for i in cut:
            start, stop = made[i].start or 0, made[i].stop
            if by < 0 and stop is None and all(isinstance(p, slice) for p in parts):
                stop = operation.args[0].shape[i]  # as many elements, further in front
            moved = slice(start + by, stop + by if stop is not None and stop + by != 0 else None)
            made[i] = moved if start + by >= 0 else made[i]
        if cut and made != parts:
            yield Fix("padding side", f"a cut moved by {by}", "it elsewhere",
                      lambda op, m=tuple(made): op.function(op.args[0], m))  # fmt: skip
