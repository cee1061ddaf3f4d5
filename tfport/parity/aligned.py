"""Outputs of Keras layers beside those of the modules they became: where two models part.

Information for a person, never the verdict: a module may leave out the activation that Keras counts into the
layer, and it gives NCHW. Both are allowed for; a layer agrees when one of these readings does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfport.parity.capture import Value
from tfport.parity.comparison import TensorComparison, compare_values
from tfport.parity.layouts import CHANNELS_LAST, inverse, permutation


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": _softmax,
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "softplus": lambda x: np.logaddexp(x, 0),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


@dataclass
class LayerComparison:
    """One Keras layer; `status` is `agrees`, `differs` or `not compared`."""

    name: str
    kind: str
    status: str
    max_rel: float | None = None
    reason: str = ""


def compare_layers(
    layers: Sequence[Mapping[str, Any]],
    reference: Mapping[str, Value],
    candidate: Mapping[str, Value],
    rtol: float | None = None,
) -> list[LayerComparison]:
    """Compares the layers in the order of their calls; a layer without a module is told as not compared."""
    found = []
    for layer in layers:
        names = [n for n in layer["tensors"] if n in candidate]
        if not names or len(names) < len(layer["tensors"]):
            why = "no module is paired with it"
            found.append(LayerComparison(layer["name"], layer["class"], "not compared", reason=why))
            continue
        results = [_best(n, reference[n], candidate[n], layer.get("activation"), rtol) for n in names]
        worst = max(results, key=lambda r: (not r.ok, r.max_rel))
        status = "agrees" if worst.ok else "differs"
        found.append(LayerComparison(layer["name"], layer["class"], status, worst.max_rel, worst.reason))
    return found


def _best(
    name: str, wanted: Value, given: Value, activation: str | None, rtol: float | None
) -> TensorComparison:
    results = [compare_values(name, wanted, r, rtol) for r in _readings(given, activation)]
    return min(results, key=lambda r: (not r.ok, r.status in ("shape", "dtype"), r.max_rel))


def _readings(value: Value, activation: str | None) -> Iterator[Value]:
    array = value.array
    arrays = [array]
    if array.ndim in CHANNELS_LAST:
        arrays.append(array.transpose(inverse(permutation(CHANNELS_LAST[array.ndim]))))
    for a in arrays:
        yield Value(a, value.dtype)
        if activation in ACTIVATIONS and a.dtype.kind == "f":
            with np.errstate(all="ignore"):
                yield Value(ACTIVATIONS[activation](a).astype(a.dtype), value.dtype)
