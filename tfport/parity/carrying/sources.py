"""The reference's layers that hold weights, as the golden's weights file and its layer calls tell them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfport.parity.localise.reference import Call, Reference

RECURRENT = ("LSTM", "GRU", "SimpleRNN")
KERNELS = ("Dense", "EinsumDense", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose",
           "DepthwiseConv1D", "DepthwiseConv2D")  # fmt: skip
SEPARABLE = ("SeparableConv1D", "SeparableConv2D")
SCALED = ("LayerNormalization", "GroupNormalization", "BatchNormalization")


@dataclass
class Source:
    """One layer with its variables by Keras' names; a layer that holds others (attention, a Bidirectional) has parts."""

    name: str
    kind: str
    config: Mapping[str, Any]
    calls: list[Call]
    """Its calls, of which the first tells what it is given."""
    variables: dict[str, np.ndarray] = field(default_factory=dict)
    parts: list[Source] = field(default_factory=list)
    given: bool = True
    """Whether the calls' inputs are what a module is given; not of the second half of a separable convolution."""

    @property
    def inputs(self) -> list[str]:
        """The keys of the tensors that its first call is given."""
        return [key for key in self.calls[0].inputs if key] if self.given else []


def sources_of(reference: Reference, checkpoint: Any) -> tuple[list[Source], list[np.ndarray]]:
    """The layers in the order of their first calls, and the variables that belong to none of them.

    `checkpoint` is what `tfport.weights` reads of the file: entries with the names of the layers that own them.
    """
    calls: dict[str, list[Call]] = {}
    for call in reference.calls:
        calls.setdefault(call.name, []).append(call)
    arrays: dict[str, list[np.ndarray]] = {}
    own: list[np.ndarray] = []
    for entry in checkpoint.entries.values():
        if entry.ignored:
            continue
        owner = entry.layers[0] if entry.layers else ""
        while owner and owner not in calls:  # a cell is called inside its layer
            owner = owner.rpartition("/")[0]
        (arrays.setdefault(owner, []) if owner else own).append(checkpoint[entry.key])
    made: dict[str, Source] = {}
    for name in sorted(calls, key=lambda name: calls[name][0].index):
        call = calls[name][0]
        outer = calls.get(name.rpartition("/")[0])
        if (
            outer is not None and outer[0].kind == "TimeDistributed"
        ):  # the layer inside is called for each step
            calls[name] = outer
        found = Source(name, call.kind, call.config, calls[name])
        values = arrays.get(name, [])
        found.variables = dict(zip(_roles(call, len(values)), values, strict=True))
        made[name] = found
    found_all: list[Source] = []
    for name, one in made.items():
        inner = [part for other, part in made.items() if other.rpartition("/")[0] == name]
        if one.kind in ("Bidirectional", "MultiHeadAttention"):
            one.parts = inner
        if one.kind in SEPARABLE and {"depthwise_kernel", "pointwise_kernel"} <= one.variables.keys():
            found_all += _halves(one)
        elif one.variables or one.parts:
            found_all.append(one)
    return found_all, own


def _halves(source: Source) -> list[Source]:
    """A separable convolution as the two convolutions that a port has for it."""
    rest = dict(source.variables)
    deep = Source(source.name, source.kind.replace("Separable", "Depthwise"), source.config, source.calls,
                  {"kernel": rest.pop("depthwise_kernel")})  # fmt: skip
    point = Source(source.name, source.kind.replace("Separable", ""), source.config, source.calls,
                   {"kernel": rest.pop("pointwise_kernel"), **rest}, given=False)  # fmt: skip
    return [deep, point]


def _roles(call: Call, count: int) -> Sequence[str]:
    """Keras' names of a layer's variables in its own order; numbers where the class does not tell them."""
    kind, config = call.kind, call.config
    names: list[str] = []
    if kind in KERNELS:
        names = ["kernel", "bias"]
    elif kind in SEPARABLE:
        names = ["depthwise_kernel", "pointwise_kernel", "bias"]
    elif kind in RECURRENT:
        names = ["kernel", "recurrent_kernel", "bias"]
    elif kind in SCALED:
        names = ["gamma"] * bool(config.get("scale", True)) + ["beta"] * bool(config.get("center", True))
        names += ["moving_mean", "moving_variance"] * (kind == "BatchNormalization")
        return names if len(names) == count else [f"variable {i}" for i in range(count)]
    elif kind == "RMSNormalization":
        names = ["gamma"]
    elif kind == "Embedding":
        names = ["embeddings"]
    elif kind == "PReLU":
        names = ["alpha"]
    optional = bool(names) and names[-1] == "bias"
    if count == len(names) or (optional and count == len(names) - 1):
        return names[:count]
    return [f"variable {i}" for i in range(count)]
