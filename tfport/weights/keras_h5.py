"""Legacy Keras ``.h5``: whole models and weights, of Keras 1, 2 and 3.

Layout: group ``model_weights`` (or the root, for weights alone) with attribute ``layer_names`` in the model's
order; each layer a group with attribute ``weight_names``; a nested model is one group that holds all its
weights, trainable ones first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.errors import WeightsError
from tfport.weights.hdf5 import attribute, check_places, datasets, entry, groups, texts
from tfport.weights.keras1 import classes_of, entries_of, is_keras1
from tfport.weights.keras_weights import innermost
from tfport.weights.names import canonical, not_a_weight, suffixes

__all__ = ["is_legacy", "read_legacy_h5"]

_TOP = "top_level_model_weights"


def is_legacy(root: Any) -> bool:
    """Whether an open HDF5 file is of the legacy kind."""
    group = root.get("model_weights", root)
    return attribute(group, "layer_names") is not None


def read_legacy_h5(root: Any, data: memoryview, path: str) -> Checkpoint:
    """Read an open legacy file; keys are paths in the file."""
    base = "model_weights" if "model_weights" in root else ""
    group = root[base] if base else root
    layers = texts(attribute(group, "layer_names"))
    first = _is_keras1(root, group)
    kinds = classes_of(_text(root, "model_config"), path) if first else {}
    entries: list[Entry] = []
    stored: list[Any] = []
    layers += [_TOP] if _TOP in group and _TOP not in layers else []
    for layer in layers:
        if layer not in group:
            raise WeightsError(f"{path}: layer {layer!r} is listed and not in the file: damaged")
        found = [(weight, _dataset(group[layer], layer, weight)) for weight in _weights(group[layer])]
        held = [_entry(data, dataset, layer, weight, base) for weight, dataset in found]
        entries += entries_of(layer, held, kinds.get(layer, "")) if first else held
        stored += [dataset for _, dataset in found]
    _check_listed([group[layer] for layer in layers], stored)
    _check_backend(_text(root, "backend") or _text(group, "backend"), entries, path)
    order = [e.key for e in entries if not e.ignored]
    for name, below in groups(root):
        if name.split("/")[0] == "optimizer_weights":
            for leaf, dataset in datasets(below):
                stored.append(dataset)
                entries.append(entry(data, dataset, key=f"{name}/{leaf}", ignored="optimizer state"))
    check_places(stored)
    checkpoint = Checkpoint(path, "Keras .h5 (legacy)", entries, [order], optimizer=_optimizer(root))
    checkpoint.config = _config(root)
    return checkpoint


def _config(root: Any) -> Any:
    """The model's configuration; None where there is none that can be read."""
    try:
        return json.loads(_text(root, "model_config") or "null")
    except (ValueError, RecursionError):
        return None


def _optimizer(root: Any) -> dict[str, Any] | None:
    """The configuration of the optimizer in the attribute ``training_config``, None where there is none to read."""
    text = _text(root, "training_config")
    try:
        told = json.loads(text) if text else None
    except ValueError:
        return None
    return innermost(told.get("optimizer_config")) if isinstance(told, dict) else None


def _check_backend(backend: str | None, entries: list[Entry], path: str) -> None:
    """Theano flips the kernels of convolutions, other backends of Keras do not."""
    kernels = [e.key for e in entries if len(e.shape) > 2 and not e.ignored]
    if backend == "theano" and kernels:
        raise WeightsError(
            f"{path}: Keras wrote it under Theano, whose convolutions flip their kernels ({kernels[0]}): load and save"
            " it once in Keras 2 with TensorFlow, which turns them"
        )


def _text(item: Any, name: str) -> str | None:
    found = attribute(item, name)
    return None if found is None else next(iter(texts(found)), None)


def _weights(group: Any) -> list[str]:
    names = attribute(group, "weight_names")
    return [] if names is None else texts(names)


def _is_keras1(root: Any, group: Any) -> bool:
    version = _text(root, "keras_version") or _text(group, "keras_version")
    return is_keras1(version, [w for layer in texts(attribute(group, "layer_names")) if layer in group
                               for w in _weights(group[layer])])  # fmt: skip


def _dataset(group: Any, layer: str, weight: str) -> Any:
    *above, leaf = weight.split("/")
    for part in above:
        group = dict(_subgroups(group)).get(part)
        if group is None:
            raise WeightsError(f"{layer}: weight {weight!r} is listed and not in the file: damaged")
    dataset = dict(datasets(group)).get(leaf)
    if dataset is None:
        raise WeightsError(f"{layer}: weight {weight!r} is listed and not in the file: damaged")
    return dataset


def _check_listed(layers: Iterable[Any], stored: Sequence[Any]) -> None:
    """Keras lists each weight that it writes: one that no list has would be lost in silence."""
    listed = {dataset.name for dataset in stored}
    for layer in layers:
        for _, below in groups(layer):
            for _, dataset in datasets(below):
                if dataset.name not in listed:
                    raise WeightsError(
                        f"{dataset.name} is in the file and in no list of its layer's weights: damaged"
                    )


def _entry(data: memoryview, dataset: Any, layer: str, weight: str, base: str) -> Entry:
    leaf = weight.rpartition("/")[2]
    key = "/".join(part for part in (base, layer, weight) if part)
    scope = re.sub(r":\d+$", "", weight).rpartition("/")[0]
    names = suffixes(scope)
    if layer != _TOP:
        if scope.split("/")[-1] == layer or layer in names:
            names = [layer]
        else:  # a nested model: inner/i1 (Keras 3 names it so, Keras 2 leaves the model's name out)
            names = [n if n.split("/")[0] == layer else f"{layer}/{n}" for n in names] or [layer]
            inside = [n for n in suffixes(scope) if n.split("/")[0] == layer and n != layer]
            names = [*inside, *(n for n in names if n not in inside)]
    about: dict[str, Any] = {"variable": canonical(weight), "ignored": not_a_weight(weight)}
    if leaf.split("_param_")[0] != leaf or re.fullmatch(
        r"param_\d+", leaf
    ):  # Keras 1 names weights by number
        about["variable"], about["index"] = None, int(leaf.rsplit("_", 1)[-1])
    if layer == _TOP:
        about["paths"] = ("",)
    return entry(data, dataset, key=key, layers=tuple(dict.fromkeys(names)), **about)


def _subgroups(group: Any) -> list[tuple[str, Any]]:
    import h5py

    return [(n, group[n]) for n in group if isinstance(group.get(n, getlink=True), h5py.HardLink)
            and isinstance(group[n], h5py.Group)]  # fmt: skip
