"""The reference's layer calls, as the manifest tells them, and the tensors behind them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfport.parity.reference.values import Value

RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
"""Layers whose `activation` works inside each step: there is no value before it."""
ACTIVATIONS = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "ThresholdedReLU")
"""Layers that are an activation: the value before it is their input."""
IDENTITIES = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout", "AlphaDropout",
    "GaussianNoise", "ActivityRegularization", "InputLayer", "Identity", "Masking", "RandomFlip", "RandomRotation",
)  # fmt: skip
"""Layers that change nothing at inference."""


@dataclass
class Call:
    """One call of one layer."""

    index: int
    name: str
    kind: str
    """The layer's class, `Conv2D`."""
    attribute: str | None
    number: int
    """0 for the layer's first call."""
    config: Mapping[str, Any]
    activation: str | None
    inputs: Sequence[str | None]
    """Tensor keys; None for one that was not kept."""
    arguments: Mapping[str, Any]
    tensors: Sequence[str]
    before: str | None
    """Key of the value before the activation."""
    behind: Sequence[str] = ()
    """Tensor keys of the nearest recorded calls behind inputs that were not kept (of a graph's tensors)."""
    place: str | None = None
    """Attributes, and below a Sequential the names of its layers: `encoder/block_3/conv`."""

    @property
    def label(self) -> str:
        """`conv1`, and `conv1 (call 2)` for the second call."""
        return f"{self.name} (call {self.number + 1})" if self.number else self.name


@dataclass
class Reference:
    """Layer calls in the order in which they ended, and who made which tensor."""

    calls: list[Call]
    values: Mapping[str, Value]
    makers: dict[str, Call] = field(default_factory=dict)
    """Tensor key -> the first call that returned it (the innermost of nested models)."""
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    behind: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """An output's key -> the recorded tensors nearest behind it, of a graph."""
    flattened: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Tensor key -> the shape of the images that were flattened into it, whose axis order it may follow."""

    def __post_init__(self) -> None:
        for call in self.calls:
            for key in call.tensors:
                self.makers.setdefault(key, call)
        for call in self.calls:
            self._trace(call)

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of a tensor, () where it was not kept."""
        if key not in self.shapes:
            self.shapes[key] = tuple(self.values[key].array.shape) if key in self.values else ()
        return self.shapes[key]

    def array(self, key: str) -> np.ndarray:
        """A tensor in TensorFlow's axis order."""
        return self.values[key].array

    def _trace(self, call: Call) -> None:
        given = [k for k in call.inputs if k and k in self.values]
        if not given:
            return
        source = self.shape(given[0])
        for key in (*call.tensors, *([call.before] if call.before else [])):
            made = self.shape(key)
            if made == source and given[0] in self.flattened:
                self.flattened[key] = self.flattened[given[0]]
            elif 2 <= len(made) < len(source) and math.prod(made) == math.prod(source):
                self.flattened[key] = source

    def ancestors(self, key: str) -> Iterator[Call]:
        """The call that made a tensor, then those that made its inputs, and so on."""
        seen: set[int] = set()
        pending = [key]
        while pending:
            call = self.makers.get(pending.pop(0))
            if call is None or call.index in seen:
                continue
            seen.add(call.index)
            yield call
            pending += [k for k in call.inputs if k]

    def identities(self, key: str) -> list[Call]:
        """Calls that hand this tensor on unchanged (dropout at inference), in order."""
        found: list[Call] = []
        keys = {key}
        for call in self.calls:
            if call.kind in IDENTITIES and keys & {k for k in call.inputs if k}:
                found.append(call)
                keys |= set(call.tensors)
        return found


def read_calls(
    layers: Sequence[Mapping[str, Any]] | None,
    values: Mapping[str, Value],
    behind: Mapping[str, Sequence[str]] | None = None,
) -> Reference:
    """The manifest's `layers` of one run; fields of later captures that are not there count as unknown."""
    calls = []
    counts: dict[str, int] = {}
    home: Callable[[str], str] = getattr(values, "home", lambda key: key)  # tensors of equal bytes are one
    for index, layer in enumerate(layers or ()):
        number = counts.get(layer["name"], 0)
        counts[layer["name"]] = number + 1
        activation = layer.get("activation")
        kind = layer["class"]
        inner = kind in RECURRENT or kind.endswith("Cell")
        before = layer.get("before_activation")
        before = (
            home(before) if before and before in values and not inner and kind not in ACTIVATIONS else None
        )
        calls.append(
            Call(
                index,
                layer["name"],
                kind,
                layer.get("attribute"),
                layer.get("call", number),
                layer.get("config") or {},
                None if inner or activation == "linear" else activation,
                [home(k) if k in values else None for k in layer.get("inputs") or ()],
                layer.get("arguments") or {},
                [home(k) for k in layer["tensors"] if k in values],
                before,
                [home(k) for k in layer.get("behind") or () if k in values],
                layer.get("place"),
            )
        )
    near = {key: [home(k) for k in keys if k in values] for key, keys in (behind or {}).items()}
    return Reference(calls, values, behind=near)
