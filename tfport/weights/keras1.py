"""Legacy ``.h5`` files that Keras 1 wrote: other names, separate gates, kernels with other axes.

Weights are named ``dense_1_W``; their places in the layer are Keras 2's but for LSTM, GRU and ConvLSTM2D, whose gates
are apart (i, c, f, o and z, r, h). Convolution1D's kernel is (length, 1, in, out), a transposed convolution's last
axes are exchanged. Source: ``preprocess_weights_for_loading`` in Keras 2's saving/legacy/hdf5_format.py, which the
tests ask.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfport.weights.checkpoint import Entry
from tfport.weights.errors import WeightsError

__all__ = ["classes_of", "entries_of", "is_keras1"]

_GATES = {12: ("lstm", (0, 2, 1, 3)), 9: ("gru", (0, 1, 2))}
"""Number of weights: the layer's name in Keras 2, and where each of Keras 2's gates stands among Keras 1's."""
_GATE_NAMES = {12: "icfo", 9: "zrh"}
_NAMES = {
    "W": "kernel", "U": "recurrent_kernel", "b": "bias", "gamma": "gamma", "beta": "beta", "running_mean": "moving_mean",
    "running_std": "moving_variance", "alphas": "alpha", "depthwise_kernel": "depthwise_kernel",
    "pointwise_kernel": "pointwise_kernel",
}  # fmt: skip
"""Keras 1's name of a weight -> Keras 2's; its ``running_std`` holds the variance."""
_WRAPPERS = ("Bidirectional", "TimeDistributed")


def is_keras1(version: str | None, weights: Sequence[str]) -> bool:
    """Whether a file with this attribute ``keras_version`` and these weight names is of Keras 1, whose names have no
    scope."""
    if version is not None:
        return version.startswith("1.")
    return bool(weights) and not any("/" in name for name in weights)


def classes_of(config: str | None, path: str) -> dict[str, str]:
    """Layer name -> class from the attribute ``model_config``; a wrapper's as ``Bidirectional/LSTM``.

    Raises WeightsError for kernels in Theano's order, which also may be flipped: the file does not tell.
    """
    if config is None:
        return {}
    found: dict[str, str] = {}
    try:
        open_ = [json.loads(config)]
        while open_:
            item = open_.pop()
            inside = item["config"]
            layers = inside if isinstance(inside, list) else inside.get("layers")
            if layers is not None:
                open_ += layers
                continue
            if inside.get("dim_ordering") == "th":
                raise WeightsError(
                    f"{path}: layer {inside['name']!r} has dim_ordering 'th': whether Theano wrote its kernel, and so"
                    " flipped it, is not in the file; load and save it once in Keras 2"
                )
            kind = item["class_name"]
            if kind in _WRAPPERS:
                kind += "/" + inside["layer"]["class_name"]
            found[inside["name"]] = kind
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path}: its model_config is damaged ({type(error).__name__}: {error})") from None
    return found


def entries_of(layer: str, held: Sequence[Entry], kind: str) -> list[Entry]:
    """A layer's weights (one Entry each, in Keras 1's order) in Keras 2's form; ``kind`` is its class, "" if unknown."""
    wrapper, _, inner = kind.rpartition("/")
    if wrapper == "Bidirectional":
        half = len(held) // 2
        return [
            entry
            for side, part in (("forward", held[:half]), ("backward", held[half:]))
            for entry in _plain(f"{layer}/{side}_{inner.lower()}", part, inner)
        ]
    return _plain(layer, held, inner)


def _plain(layer: str, held: Sequence[Entry], kind: str) -> list[Entry]:
    if len(held) in _GATES and _are_gates(held):
        return _merged(layer, held)
    kept = []
    variables = _variables(held, kind)
    for index, (entry, variable) in enumerate(zip(held, variables, strict=True)):
        whole = dataclasses.replace(entry, layers=_recurrent(layer, kind), index=index, variable=variable)
        kept.append(_moved(whole, kind) if index == 0 else whole)
    return kept


def _variables(held: Sequence[Entry], kind: str) -> Sequence[str | None]:
    """Keras 2's names of a layer's weights; None for all where one of them is not known: their order tells then."""
    words = [
        re.search(r"_([A-Za-z]+|running_(?:mean|std)|(?:depth|point)wise_kernel)(_\d+)?(:\d+)?$", e.key)
        for e in held
    ]
    names = [_NAMES.get(found[1]) if found else None for found in words]
    if kind == "Embedding" or (not kind and names == ["kernel"] and len(held[0].shape) == 2):
        names = (
            ["embeddings"] if kind else [None]
        )  # an Embedding's table, or the kernel of a layer without bias
    return names if all(names) else [None] * len(held)


def _recurrent(layer: str, kind: str) -> tuple[str, ...]:
    cell = {"LSTM": "lstm_cell", "GRU": "gru_cell", "SimpleRNN": "simple_rnn_cell"}.get(kind)
    return (f"{layer}/{cell}",) if cell else (layer,)


def _are_gates(held: Sequence[Entry]) -> bool:
    gates = _GATE_NAMES[len(held)]
    names = [f"{what}_{gate}" for gate in gates for what in "WUb"]
    return all(
        re.search(rf"_{name}(_\d+)?(:\d+)?$", entry.key) for name, entry in zip(names, held, strict=True)
    )


def _merged(layer: str, held: Sequence[Entry]) -> list[Entry]:
    """Kernel, recurrent kernel and bias, each of the gates side by side."""
    name, order = _GATES[len(held)]
    made = []
    for index, variable in enumerate(("kernel", "recurrent_kernel", "bias")):
        parts = [held[3 * gate + index] for gate in order]
        if len({(p.shape, p.dtype) for p in parts}) > 1 or not parts[0].shape:
            raise WeightsError(f"layer {layer!r}: its gates differ in shape or dtype: damaged")
        shape = (*parts[0].shape[:-1], sum(p.shape[-1] for p in parts))
        key = re.sub(r"_\w_\w(_\d+)?(:\d+)?$", f"_{variable}", parts[0].key)
        made.append(
            Entry(key, shape, parts[0].dtype, _side_by_side([p.read for p in parts]),
                  layers=(f"{layer}/{name}_cell",), variable=variable, index=index)
        )  # fmt: skip
    return made


def _side_by_side(reads: Sequence[Callable[[], np.ndarray]]) -> Callable[[], np.ndarray]:
    return lambda: np.concatenate([read() for read in reads], axis=-1)


_MOVES: Mapping[str, tuple[int, Any]] = {
    "Convolution1D": (4, lambda a: a[:, 0]), "AtrousConvolution1D": (4, lambda a: a[:, 0]),
    "Deconvolution2D": (4, lambda a: a.transpose(0, 1, 3, 2)),
}  # fmt: skip
"""Class -> rank of Keras 1's kernel, and how it becomes Keras 2's."""


def _moved(entry: Entry, kind: str) -> Entry:
    """The kernel in Keras 2's axes. Where no class is known, one of rank 4 may be no transposed convolution's."""
    if not kind:
        return dataclasses.replace(entry, not_for="Transpose") if len(entry.shape) == 4 else entry
    rank, move = _MOVES.get(kind, (0, None))
    if move is None or len(entry.shape) != rank:
        return entry
    shape = move(np.broadcast_to(np.zeros((), np.bool_), entry.shape)).shape
    return dataclasses.replace(entry, shape=shape, read=lambda: move(entry.read()), unchecked=None)
