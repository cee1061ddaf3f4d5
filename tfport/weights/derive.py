"""What a module alone tells of its parameters: which layer owns each, its Keras name there, and how its axes move.

The pattern comes from the class of the module that owns the parameter, never from a shape that merely fits. What the
class does not tell is refused: fused projections, recurrent layers of several levels, the order in which Keras
flattened an image before a Linear.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfport.weights.checkpoint import Entry
from tfport.weights.derive_recurrent import Weight, weights_of
from tfport.weights.flattening import Told, flattening
from tfport.weights.patterns import Sizes
from tfport.weights.wrapped import computed

__all__ = ["Slot", "derive", "is_output", "pattern_for", "recurrent_kind"]

_KERNELS = {1: "w i o -> o i w", 2: "h w i o -> o i h w", 3: "d h w i o -> o i d h w"}
_TRANSPOSED = {1: "w o i -> i o w", 2: "h w o i -> i o h w", 3: "d h w o i -> i o d h w"}
_DEPTHWISE = {1: "w c m -> (c m) 1 w", 2: "h w c m -> (c m) 1 h w"}
_DENSE = ("i o -> o i", "i o -> i o")
_AS_IT_IS = "... -> ..."
_VECTORS = ("o -> o", "c -> c")
_KERNEL_WORDS = ("weight", "kernel", "proj")
_MATRIX = re.compile(r"[wuv]([qkvoxhifcgzr0-9]|_\w+)?|.*(filter|matrix).*", re.IGNORECASE)
"""Names of what multiplies: with two axes of one size nothing shows whether such a matrix is transposed."""
_PLAIN_ROLES = {
    "weight": "gamma",
    "bias": "bias",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}

Table = dict[str, tuple[str, str]]  # Keras name -> the parameter's name in its module, and the pattern


@dataclasses.dataclass(frozen=True)
class Slot:
    """One parameter or buffer: its owner's path and Keras class, its Keras name (``role``; empty for a plain variable),
    and its place among the owner's ``count`` weights in Keras' order.
    """

    target: str
    path: str
    kind: str
    role: str
    pattern: str
    sizes: Sizes
    index: int
    count: int
    required: bool
    """Whether it must have a source: all parameters, and the statistics of a norm; other buffers may stay."""
    tensor: int
    """The tensor's identity: a tied parameter has several slots."""
    also: tuple[tuple[str, str, Sizes], ...] = ()
    """Parameters that the same weight fills too, with their patterns: the second bias of a recurrent layer."""


def derive(
    targets: Mapping[str, Any], recurrent: bool = False, told: Mapping[int, Told] | None = None
) -> tuple[list[Slot], dict[str, str]]:
    """The slots of a module's tensors (``fitting.Held`` by name) in the order of definition, and for the parameters
    that no pattern can be told for, why. ``recurrent`` says that the checkpoint has torch's recurrent layers (`cudnn`),
    ``told`` how the axes of layers lie (by ``id``) where that is known.
    """
    slots: list[Slot] = []
    refused: dict[str, str] = {}
    tables: dict[int, tuple[str, Table] | None] = {}
    layers = list({id(held.owner): held.owner for held in targets.values()}.values())
    flattened = flattening(layers) if told is None else dict(told)
    for target, held in targets.items():
        owner, path = held.owner, target[: -len(held.name)].rstrip(".")
        if recurrent and recurrent_kind(owner):
            slots.append(
                Slot(target, path, recurrent_kind(owner), "", _AS_IT_IS, {}, -1, 0, True, id(held.tensor))
            )
            continue
        if (recurrence := weights_of(owner)) is not None:
            kind, weights, reason = recurrence
            if reason:
                refused[target] = f"{path or 'the module'}: {reason}"
            else:
                slots += _recurrent(target, path, held, kind, weights)
            continue
        if held.parameter and (reason := computed(path, held)):
            refused[target] = reason
            continue
        if id(owner) not in tables:
            tables[id(owner)] = _table(owner)
        table = tables[id(owner)]
        if table is None and _is_torch(owner):
            if held.parameter:
                name = type(owner).__name__
                refused[target] = f"{path or 'the module'}: {name} is no layer with known patterns"
            continue
        known = {name: (role, pattern) for role, (name, pattern) in table[1].items()} if table else {}
        if held.name in known:
            role, pattern = known[held.name]
            if reason := flattened[id(owner)].reason(role):
                refused[target] = reason
                continue
            order, way = list(known), flattened[id(owner)]
            pattern = (way.pattern if role == "kernel" else way.vector) or pattern
            sizes = way.sizes if role == "kernel" or way.vector else {}
            slots.append(
                Slot(target, path, table[0] if table else "", role, pattern, sizes, order.index(held.name),
                     len(order), True, id(held.tensor))
            )  # fmt: skip
            continue
        rank = len(held.tensor.shape) if not _is_lazy(held.tensor) else 2
        told_by_class = getattr(owner, "tensorflow_layout", False)
        if rank > 1 and not told_by_class and _is_kernel(held):
            if held.parameter:
                refused[target] = (
                    f"{path or 'the module'}: {type(owner).__name__} is no layer with known patterns:"
                    f" how the axes of {held.name} {list(held.tensor.shape)} lie cannot be told"
                )
            continue
        role = _PLAIN_ROLES.get(held.name, "")
        kind = type(owner).__name__
        slots.append(Slot(target, path, kind, role, _AS_IT_IS, {}, -1, 0, held.parameter, id(held.tensor)))
    return slots, refused


def _recurrent(target: str, path: str, held: Any, kind: str, weights: Sequence[Weight]) -> list[Slot]:
    """The slot of a weight whose first parameter this is; the others follow it."""
    for weight in weights:
        (name, pattern, sizes), *rest = weight.places
        if name == held.name:
            order = [w.role for w in weights if w.direction == weight.direction]
            also = tuple((target[: -len(name)] + n, p, s) for n, p, s in rest)
            place = ".".join(part for part in (path, weight.direction) if part)
            return [
                Slot(target, place, kind, weight.role, pattern, sizes, order.index(weight.role), len(order), True,
                     id(held.tensor), also)
            ]  # fmt: skip
    return []


def pattern_for(slot: Slot, entry: Entry) -> str:
    """The slot's pattern for this tensor: TensorFlow has two exact forms of some kernels.

    A dense layer written as a convolution of width 1 has a leading axis of size 1 (GPT-2 of TensorFlow 1), and so may a
    bias (GPT-2 of transformers) or a scale; a kernel of as many groups as channels is (..., 1, out) as Conv2D with
    groups, and (..., channels, multiplier) as DepthwiseConv2D. ``output_weights`` of google-research are (out, in).
    """
    if slot.pattern == _DENSE[0] and is_output(entry):
        return "o i -> o i"
    if slot.pattern in _VECTORS and len(entry.shape) > 1 and set(entry.shape[:-1]) == {1}:
        return "1 " * (len(entry.shape) - 1) + slot.pattern
    if slot.role != "kernel":
        return slot.pattern
    if slot.pattern in _DENSE and len(entry.shape) == 3 and entry.shape[0] == 1:
        return f"1 {slot.pattern}"
    if slot.pattern in _DEPTHWISE.values() and len(entry.shape) > 2 and entry.shape[-2] == 1:
        return _KERNELS[len(entry.shape) - 2]
    return slot.pattern


def is_output(entry: Entry) -> bool:
    """Whether a tensor is the matrix of a head in google-research's code (BERT, ALBERT), which multiplies its transpose."""
    return re.fullmatch(r"(.*/)?output_weights(:0)?", entry.key) is not None


def recurrent_kind(owner: Any) -> str:
    """LSTM, GRU or RNN for torch's recurrent layers and classes made from them; empty for others."""
    from torch import nn

    return next((kind.__name__ for kind in (nn.LSTM, nn.GRU, nn.RNN) if isinstance(owner, kind)), "")


def _is_kernel(held: Any) -> bool:
    """Whether a tensor of a class of which nothing is known may be the transpose of TensorFlow's."""
    if any(word in held.name.lower() for word in _KERNEL_WORDS):
        return True
    sizes = [] if _is_lazy(held.tensor) else list(held.tensor.shape)
    return len(set(sizes)) < len(sizes) and _MATRIX.fullmatch(held.name) is not None


def _is_lazy(tensor: Any) -> bool:
    from tfport.weights.lazy import is_lazy

    return is_lazy(tensor)


def _is_torch(owner: Any) -> bool:
    """Whether a class of torch itself, other than its lists of plain parameters."""
    origin = type(owner).__module__
    return origin.startswith("torch.nn.") and not origin.endswith(".container")


def _table(owner: Any) -> tuple[str, Table] | None:
    """Keras class of a torch layer, and its weights in Keras' order; None where the class tells nothing."""
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase

    if isinstance(owner, nn.modules.conv._ConvNd):
        found = _conv(owner)
    elif isinstance(owner, nn.Linear):
        found = "Dense", {"kernel": ("weight", _DENSE[0]), "bias": ("bias", "o -> o")}
    elif any(
        c.__name__ == "Conv1D" and c.__module__.startswith("transformers.") for c in type(owner).__mro__
    ):
        found = "Dense", {"kernel": ("weight", _DENSE[1]), "bias": ("bias", "o -> o")}
    elif isinstance(owner, _NormBase):
        found = "BatchNormalization", {
            **_scale(), "moving_mean": ("running_mean", "c -> c"), "moving_variance": ("running_var", "c -> c"),
        }  # fmt: skip
    elif isinstance(owner, nn.LayerNorm):
        found = "LayerNormalization", _scale()
    elif isinstance(owner, nn.GroupNorm):
        found = "GroupNormalization", _scale()
    elif type(owner).__name__ == "RMSNorm" and _is_torch(owner):
        found = "RMSNormalization", {"gamma": ("weight", "c -> c")}
    elif isinstance(owner, nn.Embedding | nn.EmbeddingBag):
        found = "Embedding", {"embeddings": ("weight", "n d -> n d")}
    else:
        return None
    kind, table = found
    return kind, {role: way for role, way in table.items() if _has(owner, way[0])}


def _has(owner: Any, name: str) -> bool:
    """Whether a module has a tensor of that name. A parametrization is not asked for its value: that changes it."""
    parametrized = getattr(owner, "parametrizations", {})
    held = (owner._parameters.get(name), owner._buffers.get(name), owner.__dict__.get(name))
    return name in parametrized or any(tensor is not None for tensor in held)


def _scale() -> Table:
    return {"gamma": ("weight", "c -> c"), "beta": ("bias", "c -> c")}


def _conv(owner: Any) -> tuple[str, Table]:
    rank = len(owner.kernel_size)
    bias = {"bias": ("bias", "o -> o")}
    if owner.transposed:
        return f"Conv{rank}DTranspose", {"kernel": ("weight", _TRANSPOSED[rank]), **bias}
    if owner.groups > 1 and owner.groups == owner.in_channels and rank in _DEPTHWISE:
        return f"DepthwiseConv{rank}D", {"kernel": ("weight", _DEPTHWISE[rank]), **bias}
    return f"Conv{rank}D", {"kernel": ("weight", _KERNELS[rank]), **bias}
