"""Gate order: LSTM i f c o and GRU z r h in Keras, i f g o and r z n in torch; the forget gate's bias."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

from tfport.parity.localise.causes.base import Context, Fix

NAMES = {4: "ifco", 3: "zrh"}
"""The gates of a Keras LSTM and GRU in their order; what the candidate has is told against it."""


def propose(context: Context) -> Iterator[Fix]:
    """All permutations of the gates: of all weights, of groups of them, of single ones; forget bias."""
    if context.operation is not None or not context.weights:
        return
    units = _units(context)
    for count in (4, 3):
        if not units or not _is(context, count):
            continue
        blocks = {}
        for name, weight in context.weights.items():
            axes = [a for a, size in enumerate(weight.shape) if size == count * units]
            if axes:
                blocks[name] = (
                    weight,
                    axes[0] if (weight.ndim > 1 and "ih" in name) or "hh" in name else axes[-1],
                )
        for said, names in _groups(blocks):
            for order in itertools.permutations(range(count)):
                moved = sum(i != gate for i, gate in enumerate(order))
                if moved and (len(names) > 1 or moved == 2):  # of one weight alone: two gates exchanged
                    swaps = {id(blocks[n][0]): _ordered(*blocks[n], order, units) for n in names}
                    letters = "".join(NAMES[count][i] for i in order)
                    yield Fix("gate order", f"the gates of {said} reordered ({NAMES[count]} read as {letters})",
                              "another order of the gates", swaps=swaps)  # fmt: skip
        yield from _biases(blocks, count, units)


def _is(context: Context, count: int) -> bool:
    kinds = {type(m).__name__.upper() for m in context.modules} | {context.kind.upper()}
    named = {4: any("LSTM" in k for k in kinds), 3: any("GRU" in k for k in kinds)}
    return named[count] if any(named.values()) else any("BIDIRECTIONAL" in k or "RNN" in k for k in kinds)


def _units(context: Context) -> int | None:
    told = context.told("units")
    if isinstance(told, int):
        return told
    for name, weight in context.weights.items():
        if weight.ndim == 2 and ("hh" in name or "recurrent" in name):
            return min(weight.shape)
    return None


def _groups(blocks: dict[str, tuple[torch.Tensor, int]]) -> Iterator[tuple[str, list[str]]]:
    """All weights, then kernels, recurrent kernels, biases, then every one alone."""
    names = list(blocks)
    biases = [n for n in names if "bias" in n]
    recurrent = [n for n in names if n not in biases and ("hh" in n or "recurrent" in n)]
    kernels = [n for n in names if n not in biases and n not in recurrent]
    groups = [("all weights", names), ("the kernels", kernels), ("the recurrent kernels", recurrent),
              ("the biases", biases), ("both kernels", kernels + recurrent)]  # fmt: skip
    groups += [(n, [n]) for n in names]
    seen: list[set[str]] = []
    for said, group in groups:
        if group and set(group) not in seen:
            seen.append(set(group))
            yield (group[0] if len(group) == 1 else said), group


def _ordered(weight: torch.Tensor, axis: int, order: tuple[int, ...], units: int) -> torch.Tensor:
    parts = weight.split(units, axis)
    return torch.cat([parts[i] for i in order], axis)


def _biases(blocks: dict[str, tuple[torch.Tensor, int]], count: int, units: int) -> Iterator[Fix]:
    """An LSTM's forget bias that is added at run time, and the two biases of a GRU exchanged."""
    for name, (weight, axis) in blocks.items():
        if "bias" not in name:
            continue
        if count == 4:
            for gate, letter in enumerate(NAMES[4]):
                for sign, told in (
                    (1.0, f"1 added to gate {letter} of {name}"),
                    (-1.0, f"1 less in gate {letter} of {name}"),
                ):
                    made = weight.clone()
                    made.narrow(axis, gate * units, units).add_(sign)
                    yield Fix(
                        "forget bias", told, "none" if sign > 0 else "it twice", swaps={id(weight): made}
                    )
        if weight.ndim == 2 and weight.shape[0] == 2:
            yield Fix("bias order", f"the rows of {name} exchanged", "them the other way round",
                      swaps={id(weight): weight.flip(0)})  # fmt: skip
