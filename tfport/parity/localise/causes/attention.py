"""Attention: another scale, an inverted or missing mask."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from tfport.parity.localise.causes.base import Context, Fix, shown
from tfport.parity.localise.taps import Operation

SCALINGS = ("div", "truediv", "mul", "rmul", "rtruediv", "divide", "multiply")


def propose(context: Context) -> Iterator[Fix]:
    """Other scales of the scores, masks inverted, left out or causal."""
    operation = context.operation
    if operation is None:
        return
    sizes = _sizes(context)
    if (
        operation.name in SCALINGS
        and len(operation.args) == 2
        and isinstance(operation.args[1], (int, float))
    ):
        has = float(operation.args[1])
        for size, told in sizes:
            factor = math.sqrt(size) if "div" in operation.name else 1 / math.sqrt(size)
            if abs(factor - has) > 1e-9:
                yield Fix("scale of attention", f"1/sqrt({size})", f"{operation.name} {shown(has)}",
                          lambda op, f=factor: op.function(op.args[0], f), told=told)  # fmt: skip
        yield Fix("scale", "no scale", f"{operation.name} {shown(has)}", lambda op: op.args[0])
        yield Fix("scale", f"the inverse of {shown(has)}", shown(has),
                  lambda op: op.function(op.args[0], 1 / has) if has else op.args[0])  # fmt: skip
    if operation.name == "softmax":
        for size, told in sizes:
            yield Fix("scale of attention", f"1/sqrt({size}) on the scores", "none",
                      lambda op, n=size: op.on(op.first / math.sqrt(n)), told=told)  # fmt: skip
        yield Fix("attention mask", "a causal mask", "none", _causal)
    if operation.name == "scaled_dot_product_attention":
        yield from _fused(operation, sizes)
    if operation.name == "multi_head_attention_forward":
        yield from _packed(operation, context.told("num_heads"))
    yield from _masks(operation)


def _sizes(context: Context) -> list[tuple[int, bool]]:
    key, heads = context.told("key_dim"), context.told("num_heads")
    found = [(key, True)] if isinstance(key, int) else []
    if isinstance(key, int) and isinstance(heads, int):
        found.append((key * heads, False))
    if isinstance(context.operation, Operation) and isinstance(context.operation.first, torch.Tensor):
        found += [(int(n), False) for n in context.operation.first.shape[1:]]
    return list({size: told for size, told in reversed(found) if size > 1}.items())[::-1]


def _causal(operation: Operation) -> Any:
    scores = operation.first
    if scores.ndim < 2 or scores.shape[-1] != scores.shape[-2]:
        return operation.on(scores)
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    return operation.on(scores.masked_fill(hidden, float("-inf")))


def _fused(operation: Operation, sizes: list[tuple[int, bool]]) -> Iterator[Fix]:
    has = operation.get("scale")
    for size, told in sizes:
        yield Fix("scale of attention", f"scale=1/sqrt({size})", "torch's own" if has is None else shown(has),
                  lambda op, n=size: op.again(scale=1 / math.sqrt(n)), told=told)  # fmt: skip
    if operation.get("attn_mask") is None:
        other = not operation.get("is_causal", False)
        yield Fix(
            "attention mask", f"is_causal={other}", str(not other), lambda op: op.again(is_causal=other)
        )


def _packed(operation: Operation, heads: Any) -> Iterator[Fix]:
    """torch.nn.MultiheadAttention: its arguments (time, batch, channels), a mask that is True where nothing is seen."""
    query, key, has = operation.get("query"), operation.get("key"), operation.get("num_heads")
    mask = operation.get("attn_mask")
    if mask is not None or operation.get("key_padding_mask") is not None:
        yield Fix("attention mask", "no mask", "one",
                  lambda op: op.again(attn_mask=None, key_padding_mask=None, is_causal=False))  # fmt: skip
    if query.shape[0] == key.shape[0]:
        causal = torch.ones(query.shape[0], key.shape[0], dtype=torch.bool, device=query.device).triu(1)
        yield Fix("attention mask", "a causal mask", "none" if mask is None else "another",
                  lambda op: op.again(attn_mask=causal, is_causal=False))  # fmt: skip
    if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
        yield Fix(
            "attention mask",
            "the mask inverted",
            "it the other way round",
            lambda op: op.again(attn_mask=~mask),
        )
    told = [heads] if isinstance(heads, int) else []
    for count in dict.fromkeys([*told, 1, 2, 4, 8, 16]):
        if count != has and query.shape[-1] % count == 0:
            yield Fix("number of heads", f"num_heads={count}", str(has), lambda op, n=count: op.again(num_heads=n),
                      told=count == heads)  # fmt: skip


def _masks(operation: Operation) -> Iterator[Fix]:
    """Every boolean argument negated, and left out where that can be said."""
    for i, value in enumerate(operation.args):
        if (
            isinstance(value, torch.Tensor)
            and value.dtype == torch.bool
            and operation.name not in ("invert", "logical_not")
        ):
            yield Fix("attention mask", "the mask inverted", "it the other way round",
                      lambda op, i=i: op.function(*op.args[:i], ~op.args[i], *op.args[i + 1 :], **op.kwargs))  # fmt: skip
    for name, value in operation.kwargs.items():
        if isinstance(value, torch.Tensor) and value.dtype == torch.bool:
            yield Fix("attention mask", f"{name} inverted", "it the other way round",
                      lambda op, n=name, v=value: op.again(**{n: ~v}))  # fmt: skip
            yield Fix("attention mask", f"no {name}", name, lambda op, n=name: op.again(**{n: None}))
    if operation.name == "masked_fill":
        yield Fix("attention mask", "no mask", "one", lambda op: op.args[0])
    if operation.name in ("triu", "tril"):
        by = operation.args[1] if len(operation.args) > 1 else operation.kwargs.get("diagonal", 0)
        for other in (0, 1, -1):
            if other != by:
                yield Fix(
                    "attention mask",
                    f"diagonal={other}",
                    str(by),
                    lambda op, d=other: op.function(op.args[0], d),
                )
        yield Fix("attention mask", "the other triangle", operation.name,
                  lambda op: (torch.tril if op.name == "triu" else torch.triu)(op.args[0]))  # fmt: skip
