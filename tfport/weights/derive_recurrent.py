"""torch's recurrent layers of one level: which of their parameters are the weights of Keras' LSTM, GRU and SimpleRNN.

Keras keeps a kernel (in, gates x units), a recurrent kernel (units, gates x units) and one bias (of a GRU with
``reset_after`` two, stacked); torch the transposes and always two biases. The gates of an LSTM stand in the same order
(i, f, g, o), a GRU's are z, r, h in Keras and r, z, n in torch.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfport.weights.patterns import ZEROS, Sizes

__all__ = ["Weight", "weights_of"]

_SWAPPED = {"g": (1, 0, 2)}
_KINDS = {"LSTM": "LSTM", "GRU": "GRU", "RNN": "SimpleRNN"}


@dataclasses.dataclass(frozen=True)
class Weight:
    """One Keras weight: its name, the direction that has it ("" for a layer of one), and each parameter it goes to."""

    role: str
    direction: str
    places: tuple[tuple[str, str, Sizes], ...]


def weights_of(owner: Any) -> tuple[str, list[Weight], str] | None:
    """Keras class and weights of a recurrent layer or cell of torch, or the reason why they cannot be told; None for
    any other module.
    """
    from torch import nn

    if not isinstance(owner, nn.RNNBase | nn.RNNCellBase):
        return None
    cell = isinstance(owner, nn.RNNCellBase)
    name = type(owner).__name__.removesuffix("Cell")
    if name not in _KINDS:
        return "", [], f"{type(owner).__name__} is no layer with known patterns"
    levels = getattr(owner, "num_layers", 1)
    if levels > 1:
        return "", [], f"{name} of {levels} levels: which Keras layer is which level cannot be told"
    if getattr(owner, "proj_size", 0):
        return "", [], f"{name} with a projection: Keras has none"
    if name == "GRU" and not owner.bias:
        return "", [], "a GRU without bias: whether Keras' has reset_after, as torch's, cannot be told"
    suffix = "" if cell else "_l0"
    weights = _weights(name, suffix, "", owner.bias)
    if not cell and owner.bidirectional:
        weights = [
            *_weights(name, suffix, "forward", owner.bias),
            *_weights(name, f"{suffix}_reverse", "backward", owner.bias),
        ]
    return _KINDS[name], weights, ""


def _weights(name: str, suffix: str, direction: str, bias: bool) -> list[Weight]:
    inputs, state = (
        ("i (g o) -> (g o) i", "h (g o) -> (g o) h") if name == "GRU" else ("i g -> g i", "h g -> g h")
    )
    sizes: Sizes = _SWAPPED if name == "GRU" else {}
    found = [
        Weight("kernel", direction, ((f"weight_ih{suffix}", inputs, sizes),)),
        Weight("recurrent_kernel", direction, ((f"weight_hh{suffix}", state, sizes),)),
    ]
    if bias:
        rows = ("0:2 (g o) -> (g o)", "1:2 (g o) -> (g o)") if name == "GRU" else ("g -> g", ZEROS)
        places = tuple(
            (f"bias_{of}{suffix}", row, {} if row == ZEROS else sizes)
            for of, row in zip(("ih", "hh"), rows, strict=True)
        )
        found.append(Weight("bias", direction, places))
    return found
