"""Two chains of layers: the model's, as its configuration in the file tells it, and the module's, as its forward runs.

Where both are of the same classes one by one, the first layer is the first and the last is the last, whatever they are
called and however alike they are. The forward also shows how an image is flattened before a Linear, so that the axes of
its kernel are known. Whatever is not shown beyond doubt makes it no match at all.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfport.weights import keras_chain, tracing
from tfport.weights.checkpoint import Checkpoint
from tfport.weights.derive import Slot, derive, pattern_for
from tfport.weights.errors import WeightsError
from tfport.weights.flattening import Told, spatial_rank
from tfport.weights.keras_chain import Link
from tfport.weights.lazy import is_lazy
from tfport.weights.matching import Match, Matching, match
from tfport.weights.patterns import ZEROS, plan
from tfport.weights.record import Layer, Record, Way
from tfport.weights.tracing import Step
from tfport.weights.wrapped import unwrapped

__all__ = ["CHAIN", "match_chains"]

CHAIN = "both chains of layers"
_NORMS = ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization")
_RECURRENT = ("LSTM", "GRU", "SimpleRNN")
_CONVOLUTIONS = tuple(f"Conv{rank}D{end}" for rank in (1, 2, 3) for end in ("", "Transpose")) + (
    "DepthwiseConv1D", "DepthwiseConv2D",
)  # fmt: skip
_WEIGHTED = frozenset(("Dense", "Embedding", "Bidirectional", *_NORMS, *_RECURRENT, *_CONVOLUTIONS))
_KEEP = re.compile(
    "Activation|ReLU|LeakyReLU|ELU|SELU|Softmax|(Spatial|Alpha|Gaussian)?Dropout([123]D)?|GaussianNoise|Identity"
    "|ActivityRegularization|(Max|Average)Pooling[123]D|ZeroPadding[123]D"
)
"""Layers between an image and a Flatten that leave the order of the axes as it is."""


def match_chains(
    module: Any, targets: Mapping[str, Any], checkpoint: Checkpoint, named: Mapping[str, str]
) -> tuple[Record, Matching] | None:
    """The record that both chains give and its matching: of every tensor, or None. ``named`` are the pairs (target,
    key) that the names tell: one that the chains contradict makes it None.
    """
    links = keras_chain.chain_of(checkpoint.config) if checkpoint.config else []
    weighted = [at for at, link in enumerate(links) if link.kind in _WEIGHTED]
    if not weighted or any(is_lazy(held.tensor) for held in targets.values()):
        return None
    inner, prefix = unwrapped(module)
    owners = {
        target[len(prefix) : -len(held.name)].rstrip("."): held.owner for target, held in targets.items()
    }
    if len({id(owner) for owner in owners.values()}) != len(owners):
        return None
    steps = tracing.chain_of(inner, owners.keys())
    if len(steps) != len(weighted):
        return None
    told = _told(steps, owners, links, weighted)
    slots, refused = derive(targets, told=told) if told is not None else ([], {"": ""})
    if refused:
        return None
    layers = []
    for step, at in zip(steps, weighted, strict=True):
        place = f"{prefix}{step.path}".rstrip(".")
        held = [s for s in slots if s.target.startswith(f"{place}.") or not place]
        if not held or not _alike(held, links[at]):
            return None
        layers.append(Layer(links[at].name, links[at].kind, step.path, None, _ways(held, links[at].kind)))
    record = Record(type(module).__name__, "functional", tuple(layers), "none")
    return _whole(record, slots, targets, checkpoint, named)


def _whole(
    record: Record,
    slots: Sequence[Slot],
    targets: Mapping[str, Any],
    checkpoint: Checkpoint,
    named: Mapping[str, str],
) -> tuple[Record, Matching] | None:
    """The record's matching where it leaves nothing out on either side and all shapes fit."""
    found = match(record, checkpoint)
    told = {m.way.target for m in found.matches} | {way.target for way in found.zeros}
    if found.missing or found.left_over or found.ambiguous or told != targets.keys():
        return None
    by_target = {slot.target: slot for slot in slots}
    for at, m in enumerate(found.matches):
        slot = by_target.get(m.way.target)
        way = dataclasses.replace(m.way, pattern=pattern_for(slot, m.entry)) if slot else m.way
        try:
            fits = plan(way.pattern, m.entry.shape, way.sizes).target == tuple(
                targets[way.target].tensor.shape
            )
        except WeightsError:
            return None
        if not fits or m.level != "name" or named.get(way.target, m.entry.key) != m.entry.key:
            return None
        found.matches[at] = Match(way, m.entry, CHAIN)
    place = {target: at for at, target in enumerate(targets)}
    found.matches.sort(key=lambda m: place[m.way.target])
    return record, found


def _alike(held: Sequence[Slot], link: Link) -> bool:
    """Whether torch's layer is of the class that Keras' is."""
    kinds, directions = {slot.kind for slot in held}, {slot.path.rpartition(".")[2] for slot in held}
    if len(kinds) != 1:
        return False
    kind = kinds.pop()
    if link.kind == "Bidirectional":
        halves = [(link.config.get("layer"), False), (link.config.get("backward_layer"), True)]
        same = all(
            isinstance(half, Mapping) and half.get("class_name") == kind and _backwards(half) == backwards
            for half, backwards in halves if half is not None
        )  # fmt: skip
        return same and directions == {"forward", "backward"}
    if kind in _RECURRENT and (directions == {"forward", "backward"} or link.config.get("go_backwards")):
        return False
    return link.kind == kind or (
        kind.startswith("DepthwiseConv") and link.kind == kind.removeprefix("Depthwise")
    )


def _backwards(half: Mapping[str, Any]) -> bool:
    settings = half.get("config")
    return isinstance(settings, Mapping) and bool(settings.get("go_backwards"))


def _ways(held: Sequence[Slot], kind: str) -> tuple[Way, ...]:
    """The ways of a layer, with the variables' paths in Keras' layer."""
    ways = []
    for slot in held:
        direction = slot.path.rpartition(".")[2]
        inside = (
            f"{direction}_layer/cell/" if kind == "Bidirectional" else "cell/" if kind in _RECURRENT else ""
        )
        role = "scale" if kind == "RMSNormalization" else slot.role
        places = ((slot.target, slot.pattern, slot.sizes), *slot.also)
        ways += [Way(f"{inside}{role}", target, pattern, sizes) for target, pattern, sizes in places]
    return tuple(sorted(ways, key=lambda way: way.pattern == ZEROS))


def _told(
    steps: Sequence[Step], owners: Mapping[str, Any], links: Sequence[Link], weighted: Sequence[int]
) -> dict[int, Told] | None:
    """How the axes of each layer's tensors lie; None where the chains do not show it."""
    told: dict[int, Told] = {}
    image, width, rows = 0, 0, False
    flat = 0  # channels of an image that is flattened c h w, until a Linear takes it
    since: list[Any] = []  # the last Linear, and the norms behind it
    for number, (step, at) in enumerate(zip(steps, weighted, strict=True)):
        owner, kind = owners[step.path], links[at].kind
        inputs, outputs = _widths(owner)
        between = links[weighted[number - 1] + 1 : at] if number else links[:at]
        told[id(owner)] = Told()
        if any(link.config.get("data_format") == "channels_first" for link in (*between, links[at])):
            return None
        flattened = any(link.kind == "Flatten" for link in between)
        if step.order == "view":
            if not since or not _reshapes(between, step.shape) or told[id(since[0])].pattern:
                return None
            made = Told({"c": step.shape[0]}, pattern="i (h w c) -> (c h w) i", vector="(h w c) -> (c h w)")
            told.update((id(part), made) for part in since)
        elif flattened or (inputs and width and inputs != width):
            order = (
                step.order if _only(between, "Flatten") and kind in ("Dense", "BatchNormalization") else "?"
            )
            if order == "?" or not (image or (rows and order == "c h w")):
                return None
            flat = image if image and order == "c h w" else 0
        if flat and kind == "BatchNormalization":
            told[id(owner)] = Told({"c": flat}, vector="(h w c) -> (c h w)")
        elif flat and kind == "Dense":
            told[id(owner)] = Told({"c": flat}, pattern="(h w c) o -> o (c h w)")
        elif flat:
            return None
        width = outputs or width
        if kind not in _NORMS:
            flat, since = 0, [owner] if kind == "Dense" else []
            image, rows = (outputs, False) if spatial_rank(owner) else (0, kind in ("Dense", "Embedding"))
        elif spatial_rank(owner):
            image, rows, since = outputs, False, []
        else:
            since = [*since, owner] if since else []
            image = 0 if flattened else image
    return told


def _only(between: Sequence[Link], kind: str) -> bool:
    """Whether Keras has one layer of that class between two others, and nothing else that moves axes."""
    others = [link for link in between if link.kind != kind]
    return len(between) - len(others) == 1 and all(_KEEP.fullmatch(link.kind) for link in others)


def _reshapes(between: Sequence[Link], shape: Sequence[int]) -> bool:
    """Whether Keras makes of a row the image h w c that torch views as c h w."""
    wanted = [link.config.get("target_shape") for link in between if link.kind == "Reshape"]
    return _only(between, "Reshape") and wanted[0] in ([*shape[1:], shape[0]], (*shape[1:], shape[0]))


def _widths(owner: Any) -> tuple[int, int]:
    """How many features or channels a layer of torch takes and gives; 0 where any."""
    from torch import nn

    if isinstance(owner, nn.RNNBase):
        return owner.input_size, owner.hidden_size * (2 if owner.bidirectional else 1)
    if isinstance(owner, nn.Embedding):
        return 0, owner.embedding_dim
    norm = getattr(owner, "num_features", 0) or getattr(owner, "num_channels", 0)
    norm = norm or (getattr(owner, "normalized_shape", None) or (0,))[-1]
    inputs = getattr(owner, "in_features", 0) or getattr(owner, "in_channels", 0) or norm
    return int(inputs), int(getattr(owner, "out_features", 0) or getattr(owner, "out_channels", 0) or norm)
