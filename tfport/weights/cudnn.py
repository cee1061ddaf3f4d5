"""CudnnLSTM, CudnnGRU and CudnnRNN* in TensorFlow 1's checkpoints: their canonical form as the tensors of torch's layers.

TensorFlow 1 keeps a cuDNN layer's weights in one buffer, `opaque_kernel`, whose layout is cuDNN's own, and saves them
by cell: `S/rnn/multi_rnn_cell/cell_0/cudnn_compatible_lstm_cell/kernel` (in + units, 4 units; gates i, j, f, o) and
`bias`, or `S/stack_bidirectional_rnn/cell_0/bidirectional_rnn/fw/...`; a GRU has `gates` (r, u) and
`candidate/input_projection`, `candidate/hidden_projection`. One tensor of nn.LSTM or nn.GRU has its rows in several of
these, so that no pattern brings it from one: it is put together here, named `S/weight_ih_l0` as torch names it. The
saved bias is the sum of cuDNN's two: b_hh is zero, but for a GRU's candidate.
Source: tensorflow/contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py, 1.15, CudnnOpaqueParamsSaveable.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.names import describe

__all__ = ["no_twin", "opaque", "torch_layers", "without_buffers"]

_CELL = re.compile(
    r"(?:(?P<scope>.*?)/)?(?:rnn/multi_rnn_cell/cell_(?P<layer>\d+)|rnn"
    r"|stack_bidirectional_rnn/cell_(?P<stacked>\d+)/bidirectional_rnn/(?P<way>fw|bw)|bidirectional_rnn/(?P<single>fw|bw))"
    r"/(?P<cell>cudnn_compatible_lstm_cell|cudnn_compatible_gru_cell|basic_rnn_cell)/(?P<variable>.*)"
)
_CELLS = {
    "LSTM": re.compile(r"(.*/)?(basic_)?lstm_cell(_\d+)?/kernel(:0)?"),
    "GRU": re.compile(r"(.*/)?gru_cell(_\d+)?/gates/kernel(:0)?"),
}
_GRU = {
    f"{place}/{name}"
    for place in ("gates", "candidate/input_projection", "candidate/hidden_projection") for name in ("kernel", "bias")
}  # fmt: skip
_PLAIN = {"kernel", "bias"}
_ORDER = {"cudnn_compatible_lstm_cell": (0, 2, 1, 3), "basic_rnn_cell": (0,)}

Cell = dict[str, str]  # variable -> key
Place = tuple[int, str]  # layer, and "" or "_reverse"


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """One tensor of torch's: its name without the place, its shape, what it is made of, and how."""

    name: str
    shape: tuple[int, ...]
    keys: tuple[str, ...]
    make: Callable[..., np.ndarray]


def without_buffers(entries: Sequence[Entry]) -> list[Entry]:
    """The entries; a cuDNN buffer beside its canonical form is no weight any more."""
    keys = [entry.key for entry in entries]
    found = []
    for entry in entries:
        scope, _, last = entry.key.rpartition("/")
        if last == "opaque_kernel" and any(
            key.startswith(f"{scope}/") and "/cudnn_compatible_" in key for key in keys
        ):
            entry = dataclasses.replace(
                entry, ignored="cuDNN's buffer, whose canonical form stands beside it"
            )
        found.append(entry)
    return found


def opaque(key: str) -> str:
    """What to do about a tensor that is cuDNN's own buffer; empty for any other."""
    if key.rpartition("/")[2] != "opaque_kernel":
        return ""
    return (
        ": it is cuDNN's buffer, whose layout only the cuDNN that wrote it knows. Restore it in TensorFlow 1 on a GPU"
        " with the same layer and save with tf.train.Saver(), which writes the canonical form (kernel and bias of"
        " cudnn_compatible_*_cell), or use that checkpoint"
    )


def no_twin(kind: str, keys: Sequence[str]) -> str:
    """Why an nn.LSTM or nn.GRU takes none of TensorFlow 1's cells by itself; empty where there is none."""
    cells = [key for key in keys if kind in _CELLS and _CELLS[kind].fullmatch(key)]
    if not cells:
        return ""
    if kind == "GRU":
        return f"{cells[0]} resets the state before the product, nn.GRU behind it: use compat.nn.rnn_cell.GRUCell"
    return (
        f"TensorFlow 1 adds the forget bias of {cells[0]} (1.0 by default) at every step and saves it nowhere: give it"
        " with --map, patterns '(i + h) (g o) -> (g o) i' and [[fill]] (docs/weights.md), or use compat.nn.rnn_cell"
    )


def torch_layers(checkpoint: Checkpoint) -> list[Entry]:
    """torch's tensors of all cuDNN layers that are there in canonical form, with cells whole and of fitting shapes."""
    layers: dict[tuple[str, str], dict[Place, Cell]] = {}
    for key in checkpoint.entries:
        match = _CELL.fullmatch(re.sub(r":\d+$", "", key))
        if match:
            layer = int(match["layer"] or match["stacked"] or 0)
            way = "_reverse" if "bw" in (match["way"], match["single"]) else ""
            held = layers.setdefault((match["scope"] or "", match["cell"]), {})
            cell = held.setdefault((layer, way), {})
            if match["variable"] in cell:  # rnn and bidirectional_rnn under one scope: whose is the name?
                cell[""] = key
            cell[match["variable"]] = key
    scopes = [scope for scope, _ in layers]
    entries = []
    for (scope, kind), places in layers.items():
        made = [(place, _tensors(checkpoint, kind, cell)) for place, cell in places.items()]
        if scopes.count(scope) == 1 and all(tensors for _, tensors in made):
            entries += [_entry(checkpoint, scope, place, t) for place, tensors in made for t in tensors]
    return entries


def _entry(checkpoint: Checkpoint, scope: str, place: Place, tensor: _Tensor) -> Entry:
    key = "/".join([scope] * bool(scope) + [f"{tensor.name}_l{place[0]}{place[1]}"])
    dtype = checkpoint.entries[tensor.keys[0]].dtype
    read = lambda: tensor.make(*(checkpoint[k] for k in tensor.keys))  # noqa: E731  # bound to this tensor
    return Entry(key, tensor.shape, dtype, read, **describe(key), made_of=tensor.keys)


def _tensors(checkpoint: Checkpoint, kind: str, cell: Cell) -> list[_Tensor]:
    """torch's four tensors of one cell; none where a variable lacks or does not fit."""
    shapes = {variable: checkpoint.entries[key].shape for variable, key in cell.items()}
    if len({checkpoint.entries[key].dtype for key in cell.values()}) != 1:
        return []
    if kind == "cudnn_compatible_gru_cell":
        return _gru(cell, shapes) if shapes.keys() == _GRU else []
    return _stacked(cell, shapes, _ORDER[kind]) if shapes.keys() == _PLAIN else []


def _stacked(cell: Cell, shapes: dict[str, tuple[int, ...]], order: tuple[int, ...]) -> list[_Tensor]:
    """Gates side by side in one kernel, the rows of the input above those of the state."""
    kernel, bias = cell["kernel"], cell["bias"]
    gates, columns = len(order), shapes["bias"][-1:]
    if (
        not columns
        or columns[0] % gates
        or shapes != {"kernel": (*shapes["kernel"][:1], *columns), "bias": columns}
    ):
        return []
    rows, units = shapes["kernel"][0], columns[0] // gates
    if rows <= units:
        return []

    def blocks(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array[..., n * units : (n + 1) * units] for n in order], -1).T

    return [
        _Tensor("weight_ih", (*columns, rows - units), (kernel,), lambda k: blocks(k[:-units])),
        _Tensor("weight_hh", (*columns, units), (kernel,), lambda k: blocks(k[-units:])),
        _Tensor("bias_ih", columns, (bias,), blocks),
        _Tensor("bias_hh", columns, (bias,), np.zeros_like),
    ]


def _gru(cell: Cell, shapes: dict[str, tuple[int, ...]]) -> list[_Tensor]:
    """Reset and update in one kernel, the candidate's for input and state apart; torch's order is the same."""
    below, across = "candidate/input_projection", "candidate/hidden_projection"
    units = shapes[f"{across}/bias"][-1] if shapes[f"{across}/bias"] else 0
    rows = shapes["gates/kernel"][0] - units if shapes["gates/kernel"] else 0
    wanted = {
        "gates/kernel": (rows + units, 2 * units), "gates/bias": (2 * units,), f"{below}/kernel": (rows, units),
        f"{below}/bias": (units,), f"{across}/kernel": (units, units), f"{across}/bias": (units,),
    }  # fmt: skip
    if shapes != wanted or units == 0 or rows <= 0:
        return []

    def both(gates: np.ndarray, candidate: np.ndarray) -> np.ndarray:
        return np.concatenate([gates, candidate], -1).T

    gates, bias = cell["gates/kernel"], cell["gates/bias"]
    return [
        _Tensor(
            "weight_ih", (3 * units, rows), (gates, cell[f"{below}/kernel"]), lambda g, c: both(g[:rows], c)
        ),
        _Tensor(
            "weight_hh", (3 * units, units), (gates, cell[f"{across}/kernel"]), lambda g, c: both(g[rows:], c)
        ),
        _Tensor("bias_ih", (3 * units,), (bias, cell[f"{below}/bias"]), both),
        _Tensor(
            "bias_hh", (3 * units,), (bias, cell[f"{across}/bias"]), lambda g, c: both(np.zeros_like(g), c)
        ),
    ]
