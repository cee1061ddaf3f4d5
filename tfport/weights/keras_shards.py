"""Keras 3's sharded weights: ``model.weights.json`` and ``model_00000.weights.h5``, ``model_00001.weights.h5``, ...

What ``save_weights("model.weights.json", max_shard_size=...)`` writes. The JSON maps each group of variables to the
file or files that hold it; each file is a ``.weights.h5`` of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.errors import WeightsError
from tfport.weights.files import mapped
from tfport.weights.hdf5 import open_hdf5
from tfport.weights.keras_weights import check_numbers, in_order, layer_names, read_weights_h5

__all__ = ["is_sharded", "read_sharded"]

_LARGEST = 1 << 28


def is_sharded(data: memoryview) -> bool:
    """Whether a JSON file is a map of Keras' weights to HDF5 files."""
    return bool(_files(_map(data)))


def read_sharded(data: memoryview, path: str) -> Checkpoint:
    """Read the mapped JSON file and all shards beside it. Raises WeightsError when one is missing or lacks a group that
    the map says it holds.
    """
    groups = _map(data)
    opened = {name: _open(path, name) for name in _files(groups)}
    names = {holder: name for _, root in opened.values() for holder, name in layer_names(root).items()}
    entries: dict[str, Entry] = {}
    held: dict[str, set[str]] = {}
    for file, (shard, root) in opened.items():
        for entry in read_weights_h5(root, shard, file, names=names).entries.values():
            if entry.key in entries:
                raise WeightsError(f"{path}: two shards hold {entry.key}: files of different saves are mixed")
            entries[entry.key] = entry
            held.setdefault("/" + entry.key.rpartition("/")[0], set()).add(file)
    for group, files in groups.items():
        for name in [files] if isinstance(files, str) else files:
            if name not in held.get(group, set()):
                raise WeightsError(
                    f"{path}: {name} holds nothing of {group}: it is damaged, or of another save"
                )
    check_numbers(path, entries.values())
    return Checkpoint(path, "Keras .weights.json", in_order(entries.values()))


def _open(path: str, name: str) -> tuple[memoryview, Any]:
    """A shard beside the map, mapped and as an h5py.File."""
    if os.path.basename(name) != name:
        raise WeightsError(f"{path}: names a shard outside its folder: {name!r}: refused")
    file = os.path.join(os.path.dirname(path), name)
    if not os.path.isfile(file):
        raise WeightsError(f"{path}: its shard {name} is missing; copy all files together")
    shard = mapped(file)
    return shard, open_hdf5(shard, file)


def _map(data: memoryview) -> Mapping[str, Any]:
    if len(data) > _LARGEST:
        return {}
    try:
        told = json.loads(bytes(data))
    except (ValueError, RecursionError):
        return {}
    groups = told.get("weight_map") if isinstance(told, dict) else None
    return groups if isinstance(groups, dict) else {}


def _files(groups: Mapping[str, Any]) -> list[str]:
    """The names of the shards; empty where the map is none of Keras' weights."""
    found: dict[str, None] = {}
    for names in groups.values():
        for name in names if isinstance(names, list) else [names]:
            if not isinstance(name, str) or not name.endswith(".h5"):
                return []
            found[name] = None
    return sorted(found)
