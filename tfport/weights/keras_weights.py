"""Keras 3 ``.weights.h5``: ``layers/conv2d_1/vars/0``, and the same file inside ``.keras``.

Groups are named by class and counter, not by the layer; newer files carry the layer's name as attribute
``name`` of ``vars``, and ``.keras`` files have config.json, which tells names, classes and order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.errors import WeightsError
from tfport.weights.hdf5 import attribute, check_places, datasets, entry, groups, texts
from tfport.weights.names import snake_case

__all__ = [
    "CONTAINERS",
    "check_numbers",
    "counted",
    "group_names",
    "in_order",
    "innermost",
    "layer_names",
    "read_weights_h5",
]

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""Groups that hold the layers of a model: Keras 3, and the same format as Keras 2.12 to 2.15 wrote it."""


_SPECTRAL = re.compile(r"(^|/)spectral_normalization(_\d+)?$")  # its first variable is its layer's kernel
_NORMALIZATION = re.compile(r"(^|/)normalization(_\d+)?$")  # its third variable counts what it has seen


def read_weights_h5(
    root: Any,
    data: memoryview,
    path: str,
    config: Mapping[str, Any] | None = None,
    names: Mapping[str, str] | None = None,
) -> Checkpoint:
    """Read an open file; keys are paths in it. ``config`` is the model's config.json, if there is one, ``names`` are
    those that other files of the same weights tell, as `layer_names` gives them.
    """
    holders = _holders(root)
    called = {**(names or {}), **_names(holders)}
    told = group_names(config, {holder for holder, group in holders.items() if len(group)}) if config else {}
    optimizers = tuple(h for h, group in holders.items() if _is_optimizer(h, group))
    entries: list[Entry] = []
    stored: list[Any] = []
    for holder, group in holders.items():
        layer = _called(holder, called, told)
        for leaf, dataset in datasets(group):
            stored.append(dataset)
            key = f"{holder}/vars/{leaf}" if holder else f"vars/{leaf}"
            counts = dataset.shape == () and dataset.dtype.kind == "i" and _NORMALIZATION.search(holder)
            entries.append(entry(
                data, dataset, key=key, layers=(layer,) if layer else (), paths=(holder,),
                index=int(leaf) if leaf.isdigit() else None, variable=None if leaf.isdigit() else leaf,
                ignored="counter of an adapting layer" if counts
                else "the kernel of the layer inside, stored twice" if leaf == "0" and _SPECTRAL.search(holder)
                else _ignored(holder, optimizers),
            ))  # fmt: skip
    check_places(stored)
    if names is None:
        check_numbers(path, entries)
    inside = config.get("compile_config") if isinstance(config, Mapping) else None
    optimizer = innermost(inside.get("optimizer")) if isinstance(inside, Mapping) else None
    return Checkpoint(path, "Keras .weights.h5", in_order(entries), layers=list(told), optimizer=optimizer)


def layer_names(root: Any) -> dict[str, str]:
    """The names of layers that an open file tells, by group."""
    return _names(_holders(root))


def _holders(root: Any) -> dict[str, Any]:
    """The groups `vars`, by the place of what they belong to."""
    return {
        name[: -len("/vars")] if name != "vars" else "": group
        for name, group in groups(root)
        if name == "vars" or name.endswith("/vars")
    }


def _names(holders: Mapping[str, Any]) -> dict[str, str]:
    told = {holder: attribute(group, "name") for holder, group in holders.items()}
    return {holder: texts(name)[0] for holder, name in told.items() if name is not None and np.size(name)}


def check_numbers(path: str, entries: Iterable[Entry]) -> None:
    """Raise WeightsError where a group numbers its variables and lacks a number, which would be lost in silence."""
    numbers: dict[tuple[str, ...], list[int | None]] = {}
    for one in entries:
        numbers.setdefault(one.paths, []).append(one.index)
    for (holder,), found in numbers.items():
        if None not in found and sorted(found) != list(range(len(found))):  # type: ignore[type-var]
            absent = next(n for n in range(len(found)) if n not in found)
            raise WeightsError(f"{path}: {holder}/vars/{absent} is missing: damaged, or not all of a save")


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """By place, then by number."""
    return sorted(entries, key=lambda e: (e.paths, e.index if e.index is not None else -1))


def innermost(found: Any) -> dict[str, Any] | None:
    """Class and settings of a configured optimizer, of the one inside where it only scales the loss; None for none."""
    told = None
    while isinstance(found, Mapping) and isinstance(found.get("config"), Mapping):
        told = {"class_name": str(found.get("class_name")), "config": dict(found["config"])}
        found = found["config"].get("inner_optimizer")
    return told


def counted(group: str) -> tuple[str, int]:
    """A group's name as class and number: ``dense_2`` is the third dense, ``dense`` the first."""
    kind, _, number = group.rpartition("_")
    return (kind, int(number)) if kind and number.isdigit() else (group, 0)


def _is_optimizer(holder: str, group: Any) -> bool:
    """Whether a group holds an optimizer's tensors: a model may keep several, under any name, each with its count of
    steps first."""
    if not holder.rpartition("/")[2].endswith("optimizer"):
        return False
    first = dict(datasets(group)).get("0")
    return first is not None and first.shape == () and first.dtype.kind == "i"


def _ignored(holder: str, optimizers: tuple[str, ...]) -> str:
    parts = holder.split("/")
    if parts[0] == "optimizer" or holder in optimizers:
        return "optimizer state"
    if any(part.startswith("seed_generator") for part in parts):
        return "state of a random seed generator"
    if parts[0] in ("metrics", "_metrics", "_compile_metrics", "_compile_loss", "_loss_tracker"):
        return "state of a metric"
    return ""


def _called(holder: str, names: Mapping[str, str], told: Mapping[str, str]) -> str:
    """The name of the layer of a group with those of the models it is nested in: inner/i1. Empty when not
    known.
    """
    if holder in told:
        return told[holder]
    parts, at, found = holder.split("/"), 0, []
    while at < len(parts):
        step = 2 if parts[at] in CONTAINERS and at + 1 < len(parts) else 1
        at += step
        name = names.get("/".join(parts[:at]))
        if name is None:
            if at < len(parts):
                continue
            return ""
        found.append(name)
    return "/".join(found) if holder else ""


def group_names(config: Mapping[str, Any], holders: set[str]) -> dict[str, str]:
    """The layer's name of each group, in the model's order, from a Functional or Sequential config; nested models as
    inner/i1. Layers without variables have theirs too; ``holders`` are the groups that hold variables.
    """
    found: dict[str, str] = {}
    _tell(config.get("config", {}), "", "", holders, found)
    return found


def _tell(config: Any, prefix: str, scope: str, holders: set[str], found: dict[str, str]) -> None:
    layers = config.get("layers") if isinstance(config, Mapping) else None
    if not isinstance(layers, list):
        return
    container = next(
        (c for c in CONTAINERS if any(h.startswith(f"{prefix}{c}/") for h in holders)), CONTAINERS[0]
    )
    counters: dict[str, int] = {}
    for layer in layers:
        if not isinstance(layer, Mapping) or not isinstance(layer.get("config"), Mapping):
            return
        snake = snake_case(str(layer.get("class_name", "")).rsplit(">", 1)[-1])
        count = counters.get(snake, 0)
        counters[snake] = count + 1
        group = f"{prefix}{container}/{snake}" + (f"_{count}" if count else "")
        if container != CONTAINERS[0] and any(h == group or h.startswith(f"{group}/") for h in holders):
            counters[snake] += 1  # a layer with weights is listed under two keys, and written at the first
        name = f"{scope}{layer['config'].get('name', '')}"
        found[group] = name
        _tell(layer["config"], f"{group}/", f"{name}/", holders, found)
