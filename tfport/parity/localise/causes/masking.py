"""Masks of sequences: an Embedding's `mask_zero` or a Masking layer, which torch's layers do not hand on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from tfport.parity.localise.causes.base import Context, Fix, takes
from tfport.parity.localise.reference import RECURRENT
from tfport.parity.localise.taps import Operation


def propose(context: Context) -> Iterator[Fix]:
    """The mask that the reference's layer was given, for a module that takes one and for torch's LSTM and GRU."""
    call = context.call
    key = call.arguments.get("mask") if call is not None and call.kind in RECURRENT else None
    if not isinstance(key, str) or key not in context.reference.values:
        return
    mask = torch.from_numpy(context.reference.array(key).copy()).bool()
    operation = context.operation
    if operation is None:
        if context.modules and takes(context.modules[0], "mask"):
            device = next((p.device for p in context.modules[0].parameters()), mask.device)
            yield Fix(
                "mask",
                "the reference's mask",
                "none, or another",
                keywords={"mask": mask.to(device)},
                told=True,
            )
    elif operation.name in ("lstm", "gru") and operation.get("num_layers") == 1:
        for zeros in (False, True):
            said = "the reference's mask (padding is skipped)" + ", masked outputs zero" * zeros
            yield Fix("mask", said, "none", lambda op, z=zeros: _masked(op, mask, z), told=True)


def _masked(operation: Operation, mask: torch.Tensor, zeros: bool) -> Any:
    """One level of an LSTM or GRU whose states stay as they are where the mask (batch, time) is False."""
    x = operation.get("input")
    first = bool(operation.get("batch_first"))
    x = x if first else x.transpose(0, 1)
    hx, lstm = operation.get("hx"), operation.name == "lstm"
    states = list(hx) if isinstance(hx, (list, tuple)) else [hx]
    ways = 2 if operation.get("bidirectional") else 1
    params = list(operation.get("params"))
    each = len(params) // ways
    outputs, last = [], []
    for way in range(ways):
        own = params[way * each : (way + 1) * each]
        state = [s[way] for s in states]
        kept = torch.zeros_like(state[0])
        made: list[torch.Tensor] = []
        times = range(x.shape[1])
        for t in times if way == 0 else reversed(times):
            new = _lstm(x[:, t], state, own) if lstm else _gru(x[:, t], state, own)
            here = mask[:, t, None].to(x.device)
            state = [torch.where(here, n, s) for n, s in zip(new, state, strict=True)]
            kept = torch.where(here, new[0], torch.zeros_like(kept) if zeros else kept)
            made.append(kept)
        outputs.append(torch.stack(made if way == 0 else made[::-1], 1))
        last.append(state)
    sequence = torch.cat(outputs, -1)
    ends = [torch.stack([state[i] for state in last]) for i in range(len(states))]
    return (sequence if first else sequence.transpose(0, 1), *ends)


def _gates(x: torch.Tensor, h: torch.Tensor, params: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    kernel, recurrent, *biases = params
    one, two = biases if len(biases) == 2 else (0, 0)
    return x @ kernel.t() + one, h @ recurrent.t() + two


def _lstm(x: torch.Tensor, state: list[torch.Tensor], params: list[torch.Tensor]) -> list[torch.Tensor]:
    h, c = state
    given, held = _gates(x, h, params)
    i, f, g, o = (given + held).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return [torch.sigmoid(o) * torch.tanh(c), c]


def _gru(x: torch.Tensor, state: list[torch.Tensor], params: list[torch.Tensor]) -> list[torch.Tensor]:
    (h,) = state
    given, held = (part.chunk(3, 1) for part in _gates(x, h, params))
    r, z = torch.sigmoid(given[0] + held[0]), torch.sigmoid(given[1] + held[1])
    n = torch.tanh(given[2] + r * held[2])
    return [z * h + (1 - z) * n]
