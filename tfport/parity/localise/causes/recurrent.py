"""Recurrent layers: reset_after, direction, batch_first, activations of a step, which output is the last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from tfport.parity.localise.causes.activation import FUNCTIONS
from tfport.parity.localise.causes.base import Context, Fix
from tfport.parity.localise.reference import RECURRENT
from tfport.parity.localise.taps import Operation

FUSED = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def propose(context: Context) -> Iterator[Fix]:
    """Runs a fused recurrent operation step by step in another way, or takes another of its outputs."""
    operation = context.operation
    if operation is None:
        yield from _reset(context)
        return
    if operation.name == "getitem":
        yield from _last(context, operation)
    if operation.name == "select" and len(operation.args) == 3:
        for at in (-1, 0):
            if operation.args[2] != at:
                yield Fix("last output", f"step {at}", f"step {operation.args[2]}",
                          lambda op, i=at: op.function(op.args[0], op.args[1], i))  # fmt: skip
    if operation.name in ("unbind", "flip") and context.kind in RECURRENT:
        yield Fix("direction", "the sequence the other way round", "it forwards", _turned)
    if operation.name not in FUSED or not isinstance(operation.get("params"), (list, tuple)):
        return
    yield from _states(context, operation)
    yield Fix("batch_first", f"batch_first={not operation.get('batch_first')}", str(operation.get("batch_first")),
              _other_batch)  # fmt: skip
    yield Fix(
        "direction", "the sequence the other way round", "it forwards", lambda op: _backwards(op, False)
    )
    yield Fix("direction", "the sequence the other way round, returned forwards", "it forwards",
              lambda op: _backwards(op, True))  # fmt: skip
    if operation.get("bidirectional"):
        yield Fix("direction", "both directions exchanged", "them the other way round", _exchanged_ways)
        return
    if operation.get("num_layers") != 1:
        return
    told, inner = context.told("activation", "tanh"), context.told("recurrent_activation", "sigmoid")
    if operation.name == "gru":
        yield Fix("reset_after", "reset_after=False", "reset_after=True", lambda op: _gru(op, after=False),
                  told=context.told("reset_after") is False)  # fmt: skip
    for outer in dict.fromkeys([told, "tanh", "relu"]):
        for gate in dict.fromkeys([inner, "sigmoid", "hard_sigmoid", "hard_sigmoid of Keras 2"]):
            if (outer, gate) != ("tanh", "sigmoid") and outer in FUNCTIONS and gate in FUNCTIONS:
                made = {"lstm": _lstm, "gru": _gru}.get(operation.name, _simple)
                yield Fix("activation", f"activation={outer}, recurrent_activation={gate}", "tanh and sigmoid",
                          lambda op, m=made, o=outer, g=gate: m(op, outer=FUNCTIONS[o], gate=FUNCTIONS[g]),
                          told=(outer, gate) == (told, inner))  # fmt: skip


def _states(context: Context, operation: Operation) -> Iterator[Fix]:
    """The states with which the reference's layer began, where its call had some; those of an LSTM exchanged."""
    hx = operation.get("hx")
    has = list(hx) if isinstance(hx, (list, tuple)) else [hx]
    arguments = context.call.arguments if context.call is not None else {}
    keys = [key for name, key in arguments.items() if name.split("/")[0] == "initial_state"]
    inputs = [key for key in context.call.inputs if key][1:] if context.call is not None else []
    for told in (keys, inputs):
        if len(told) == len(has) and all(
            isinstance(key, str) and key in context.reference.values for key in told
        ):
            given = [
                torch.from_numpy(context.reference.array(key).copy()).to(h)[None]
                for key, h in zip(told, has, strict=True)
            ]
            if all(state.shape == h.shape for state, h in zip(given, has, strict=True)):
                yield Fix("initial state", "the reference's initial state", "another", told=True,
                          run=lambda op, s=given: op.again(hx=tuple(s) if isinstance(hx, (list, tuple)) else s[0]))  # fmt: skip
    if len(has) == 2:
        yield Fix("initial state", "the two states exchanged", "them the other way round",
                  lambda op: op.again(hx=(has[1], has[0])))  # fmt: skip


def _reset(context: Context) -> Iterator[Fix]:
    """A GRU that is written out: computed anew from its own weights, the reset gate before or after the product."""
    if context.kind != "GRU":
        return
    kernels = [w for n, w in context.weights.items() if w.ndim == 2 and "bias" not in n and 3 in _ratios(w)]
    biases = [w for n, w in context.weights.items() if "bias" in n]
    if len(kernels) != 2:
        return
    told = context.told("reset_after")
    for one, two in (kernels, kernels[::-1]):
        units = min(two.shape)
        for after in dict.fromkeys([told, False, True]):
            for order in ("zrh", "rzh"):
                for back in (False, True):
                    form = (one, two, biases, units, order, back)
                    yield Fix(
                        "reset_after", f"reset_after={after}", f"reset_after={not after}", told=after == told,
                        whole=lambda x, a=bool(after), f=form: _written(x, a, *f),
                        premise=lambda x, a=not after, f=form: _written(x, a, *f),
                    )  # fmt: skip


def _ratios(weight: torch.Tensor) -> tuple[float, ...]:
    return (weight.shape[0] / weight.shape[1], weight.shape[1] / weight.shape[0]) if min(weight.shape) else ()


def _written(
    x: torch.Tensor, after: bool, kernel: torch.Tensor, recurrent: torch.Tensor, biases: list[torch.Tensor],
    units: int, order: str, back: bool,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """The sequence (batch, time, units) and the last output (batch, units) of a GRU on (batch, time, channels)."""
    kernel = kernel if kernel.shape[0] == 3 * units else kernel.t()
    recurrent = recurrent if recurrent.shape[0] == 3 * units else recurrent.t()
    rows = [row for bias in biases for row in (bias if bias.ndim == 2 else bias[None])]
    rows += [kernel.new_zeros(3 * units)] * (2 - len(rows))
    at = {letter: slice(i * units, (i + 1) * units) for i, letter in enumerate(order)}
    h = x.new_zeros(x.shape[0], units)
    outputs = []
    for step in x.flip(1).unbind(1) if back else x.unbind(1):
        given, held = step @ kernel.t() + rows[0], h @ recurrent.t() + rows[1]
        z = torch.sigmoid(given[:, at["z"]] + held[:, at["z"]])
        r = torch.sigmoid(given[:, at["r"]] + held[:, at["r"]])
        if after:
            made = torch.tanh(given[:, at["h"]] + r * held[:, at["h"]])
        else:
            made = torch.tanh(given[:, at["h"]] + (r * h) @ recurrent[at["h"]].t() + rows[1][at["h"]])
        h = z * h + (1 - z) * made
        outputs.append(h)
    return torch.stack(outputs, 1), h


def _last(context: Context, operation: Operation) -> Iterator[Fix]:
    """`out[:, -1]` for another step, or the last outputs of both directions."""
    index = operation.args[1] if len(operation.args) > 1 else None
    parts = index if isinstance(index, tuple) else (index,)
    value = operation.args[0]
    if not isinstance(value, torch.Tensor) or value.ndim != 3:
        return
    forms: list[tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = [
        ("the last step", lambda x: x[:, -1]), ("the first step", lambda x: x[:, 0]),
        ("the last of axis 0", lambda x: x[-1]), ("the first of axis 0", lambda x: x[0]),
    ]  # fmt: skip
    if value.shape[-1] % 2 == 0:
        half = value.shape[-1] // 2
        forms.append(("the last output of each direction",
                      lambda x: torch.cat([x[:, -1, :half], x[:, 0, half:]], 1)))  # fmt: skip
    if context.kind.startswith("Global"):
        made = {
            "A": ("the mean over time", lambda x: x.mean(1)),
            "M": ("the maximum over time", lambda x: x.amax(1)),
        }
        forms.insert(0, made[context.kind.removeprefix("Global")[0]])
    if any(isinstance(p, int) for p in parts):
        has = ", ".join("..." if p is ... else ":" if isinstance(p, slice) else str(p) for p in parts)
        for said, take in forms:
            yield Fix("last output", said, f"[{has}]", lambda op, t=take: t(op.args[0]))


def _turned(operation: Operation) -> Any:
    if operation.name == "unbind":
        return tuple(reversed(operation.function(*operation.args, **operation.kwargs)))
    return operation.first


def _other_batch(operation: Operation) -> Any:
    x, hx = operation.get("input"), operation.get("hx")
    first = not operation.get("batch_first")
    batch = x.shape[0 if first else 1]
    states = [
        h.new_zeros(h.shape[0], batch, h.shape[2]) for h in (hx if isinstance(hx, (list, tuple)) else [hx])
    ]
    return operation.again(hx=states if isinstance(hx, (list, tuple)) else states[0], batch_first=first)


def _backwards(operation: Operation, back: bool) -> Any:
    axis = 1 if operation.get("batch_first") else 0
    made = operation.again(input=operation.get("input").flip(axis))
    return (made[0].flip(axis), *made[1:]) if back else made


def _exchanged_ways(operation: Operation) -> Any:
    params = list(operation.get("params"))
    half = len(params) // 2
    return operation.again(params=params[half:] + params[:half])


def _steps(
    operation: Operation,
) -> tuple[list[torch.Tensor], list[torch.Tensor], tuple[torch.Tensor, ...], int]:
    """The steps, the states without the layer axis, the four weights (zero biases where there are none), the axis."""
    axis = 1 if operation.get("batch_first") else 0
    hx = operation.get("hx")
    states = [h[0] for h in (hx if isinstance(hx, (list, tuple)) else [hx])]
    params = list(operation.get("params"))
    while len(params) < 4:
        params.append(params[0].new_zeros(params[0].shape[0]))
    return list(operation.get("input").unbind(axis)), states, tuple(params[:4]), axis


def _lstm(operation: Operation, outer: Any = torch.tanh, gate: Any = torch.sigmoid) -> Any:
    steps, (h, c), (kernel, recurrent, bias, more), axis = _steps(operation)
    outputs = []
    for x in steps:
        i, f, g, o = (x @ kernel.t() + bias + h @ recurrent.t() + more).chunk(4, 1)
        c = gate(f) * c + gate(i) * outer(g)
        h = gate(o) * outer(c)
        outputs.append(h)
    return torch.stack(outputs, axis), h[None], c[None]


def _gru(operation: Operation, after: bool = True, outer: Any = torch.tanh, gate: Any = torch.sigmoid) -> Any:
    steps, (h,), (kernel, recurrent, bias, more), axis = _steps(operation)
    units = h.shape[1]
    outputs = []
    for x in steps:
        given = x @ kernel.t() + bias
        r, z, n = given.chunk(3, 1)
        if after:
            hr, hz, hn = (h @ recurrent.t() + more).chunk(3, 1)
            r, z = gate(r + hr), gate(z + hz)
            n = outer(n + r * hn)
        else:
            hr, hz = (h @ recurrent[: 2 * units].t() + more[: 2 * units]).chunk(2, 1)
            r, z = gate(r + hr), gate(z + hz)
            n = outer(n + (r * h) @ recurrent[2 * units :].t() + more[2 * units :])
        h = z * h + (1 - z) * n
        outputs.append(h)
    return torch.stack(outputs, axis), h[None]


def _simple(operation: Operation, outer: Any = torch.tanh, gate: Any = None) -> Any:
    steps, (h,), (kernel, recurrent, bias, more), axis = _steps(operation)
    outputs = []
    for x in steps:
        h = outer(x @ kernel.t() + bias + h @ recurrent.t() + more)
        outputs.append(h)
    return torch.stack(outputs, axis), h[None]
