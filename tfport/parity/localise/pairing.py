"""Which module of the candidate a layer of the reference became: by record, by name, by order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tfport.parity.localise.reference import Call
from tfport.parity.reference.keras_layers import snake_case

KINDS: dict[str, tuple[str, ...]] = {
    "convolution": ("Conv1D", "Conv2D", "Conv3D", "Conv1d", "Conv2d", "Conv3d", "DepthwiseConv1D", "DepthwiseConv2D"),
    "transposed convolution": ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "ConvTranspose1d",
                               "ConvTranspose2d", "ConvTranspose3d"),
    "dense": ("Dense", "EinsumDense", "Linear"),
    "batch normalisation": ("BatchNormalization", "BatchNorm", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d"),
    "layer normalisation": ("LayerNormalization", "LayerNorm"),
    "group normalisation": ("GroupNormalization", "GroupNorm"),
    "embedding": ("Embedding",),
    "LSTM": ("LSTM",),
    "GRU": ("GRU",),
    "RNN": ("SimpleRNN", "RNN"),
    "attention": ("MultiHeadAttention", "MultiheadAttention"),
}  # fmt: skip
KIND = {name: kind for kind, names in KINDS.items() for name in names}
PARTS = {
    "query_dense": "query", "key_dense": "key", "value_dense": "value", "output_dense": "attention_output",
}  # fmt: skip
"""Attributes of Keras' layers and the names of the layers that they hold."""


@dataclass
class Pairing:
    """Layer name of the reference -> (module path, how it was found)."""

    paths: dict[str, tuple[str, str]] = field(default_factory=dict)

    def path(self, call: Call) -> str | None:
        """The module that a call belongs to, or None."""
        return self.paths.get(call.name, (None, ""))[0]

    def how(self, call: Call) -> str | None:
        """`record`, `name` or `order`."""
        return self.paths.get(call.name, (None, None))[1]


def pair(calls: Sequence[Call], module: torch.nn.Module, recorded: Iterable[Mapping[str, Any]]) -> Pairing:
    """Pairs layers with modules; a module belongs to one layer, the outer one where two claim it."""
    modules = {path: part for path, part in module.named_modules() if path}
    layers = {call.name: call for call in calls}
    found = Pairing()
    taken: set[str] = set()

    def claim(name: str, path: str, how: str) -> None:
        if name not in found.paths and path in modules and path not in taken:
            found.paths[name] = (path, how)
            taken.add(path)

    for name, path, how in _by_record(layers, list(recorded)):
        claim(name, path, how)
    free = {n: c for n, c in layers.items() if n not in found.paths and not c.kind.endswith("Cell")}
    for name, path in _by_name(free, {p: m for p, m in modules.items() if p not in taken}):
        claim(name, path, "name")
    free = {n: c for n, c in free.items() if n not in found.paths}
    for name, path in _by_order(free, {p: m for p, m in modules.items() if p not in taken}):
        claim(name, path, "order")
    return found


def kind_of(module: torch.nn.Module) -> str | None:
    """The kind of a torch module, by the first of its classes that is known."""
    return next((KIND[c.__name__] for c in type(module).__mro__ if c.__name__ in KIND), None)


def _fits(call: Call, module: torch.nn.Module) -> bool:
    if getattr(module, "num_layers", 1) != 1 and isinstance(module, torch.nn.RNNBase):
        return False  # it stands for several layers
    wanted, given = KIND.get(call.kind), kind_of(module)
    return wanted is None or given is None or wanted == given


def _by_record(
    layers: Mapping[str, Call], recorded: list[Mapping[str, Any]]
) -> Iterable[tuple[str, str, str]]:
    """What the conversion's record says: `name`, or `keras_path` against the attribute; and how it is known."""
    attributes = attribute_paths(layers)
    spelled = zip(_as_captured(recorded, {}), _as_captured(recorded, PARTS), strict=True)
    for entry, own in zip(recorded, spelled, strict=True):
        path = entry.get("path")
        if not path:
            continue
        for key in (entry.get("keras_path"), *own, entry.get("name")):
            name = attributes.get(key, key) if key else None
            if name is not None and name in layers:
                yield name, path, entry.get("how") or "record"
                break


def attribute_paths(layers: Mapping[str, Call]) -> dict[str, str]:
    """Attribute path -> layer name; inside a layer whose own attribute is not told, the parent's path and name."""
    found: dict[str, str] = {}
    for name, call in layers.items():
        told = call.attribute or call.place
        if told is None:
            outer, _, last = name.rpartition("/")
            above = layers.get(outer)
            told = f"{above.attribute}/{last}" if above is not None and above.attribute else None
        if told:
            found.setdefault(told, name)
    return found


def _as_captured(recorded: list[Mapping[str, Any]], parts_of: Mapping[str, str]) -> list[str | None]:
    """The record's `blocks/1/attention/query_dense` as capture spells it: `blocks/block_1/attention/query`."""
    kinds = {e["keras_path"]: e.get("class") or "" for e in recorded if e.get("keras_path")}
    spelled: list[str | None] = []
    for entry in recorded:
        told = entry.get("keras_path")
        if not told:
            spelled.append(None)
            continue
        parts = told.split("/")
        made = []
        for at, part in enumerate(parts):
            own = "/".join(parts[: at + 1])
            if part.isdigit() and kinds.get(own):
                above = "/".join(parts[:at])
                same = sum(kinds.get(f"{above}/{i}") == kinds[own] for i in range(int(part)))
                made.append(snake_case(kinds[own]) + (f"_{same}" if same else ""))
            else:
                made.append(parts_of.get(part, part))
        spelled.append("/".join(made))
    return spelled


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def is_automatic(call: Call) -> bool:
    """Whether Keras has counted the layer's name itself (`leaky_re_lu_1`), and nothing else names it."""
    last = call.name.rpartition("/")[2]
    return not call.attribute and re.fullmatch(rf"{snake_case(call.kind)}_\d+", last) is not None


def _by_name(layers: Mapping[str, Call], modules: Mapping[str, torch.nn.Module]) -> Iterable[tuple[str, str]]:
    """Whole paths first, then last components, where only one layer and one module have them."""
    ways = (
        lambda call: {_plain(call.name), _plain(call.attribute or "")},
        lambda call: {
            _plain(call.name.rpartition("/")[2]),
            _plain((call.attribute or "").rpartition("/")[2]),
        },
    )
    for whole, way in zip((True, False), ways, strict=True):
        spelled: dict[str, list[str]] = {}
        for path in modules:
            spelled.setdefault(_plain(path if whole else path.rpartition(".")[2]), []).append(path)
        counts: dict[str, int] = {}
        for call in layers.values():
            for key in way(call) - {""}:
                counts[key] = counts.get(key, 0) + 1
        for name, call in layers.items():
            for key in sorted(way(call) - {""}):
                paths = [p for p in spelled.get(key, ()) if _fits(call, modules[p])]
                if is_automatic(call):  # the counter of another naming may start elsewhere
                    paths = [p for p in paths if p.rpartition(".")[2] == call.name.rpartition("/")[2]]
                if len(paths) == 1 and counts[key] == 1:
                    yield name, paths[0]


def _by_order(
    layers: Mapping[str, Call], modules: Mapping[str, torch.nn.Module]
) -> Iterable[tuple[str, str]]:
    """Layers and modules of one kind, one after the other, where there are as many of both."""
    for kind in KINDS:
        wanted = [name for name, call in layers.items() if KIND.get(call.kind) == kind]
        given = [path for path, part in modules.items() if kind_of(part) == kind]
        if any(not _fits(layers[name], modules[path]) for name, path in zip(wanted, given, strict=False)):
            continue
        given = [p for p in given if not any(p.startswith(f"{outer}.") for outer in given)]
        if wanted and len(wanted) == len(given):
            yield from zip(wanted, given, strict=True)
