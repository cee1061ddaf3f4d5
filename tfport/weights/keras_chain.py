"""The layers of a model that is one chain, in the order in which they run, from the configuration in a ``.keras`` or ``.h5``.

A Sequential is one; so is a Functional whose layers read one another in turn, once each. Nested ones count with their
layers. Anything else (branches, a layer used twice, a subclassed model) is no chain, and nothing is told.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["Link", "behind_flatten", "chain_of"]

_MODELS = ("Sequential", "Functional", "Model")
_MOST = 10_000


@dataclasses.dataclass(frozen=True)
class Link:
    """One layer: its name with those of the models it is in (inner/d1), its class, and its configuration."""

    name: str
    kind: str
    config: Mapping[str, Any]


def chain_of(config: Any) -> list[Link]:
    """The layers in their order; empty where the configuration tells of no chain."""
    try:
        return list(_links(config, ""))
    except (_NoChain, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return []


def behind_flatten(links: Iterable[Link]) -> set[str]:
    """Names of the layers whose features are those of an image of several channels that Keras flattened: h w c."""
    found: set[str] = set()
    rank, image, flat = 0, False, False
    for link in links:
        shape = link.config.get("batch_shape") or link.config.get("batch_input_shape")
        if isinstance(shape, list):
            rank, image = len(shape), len(shape) > 3 and shape[-1] != 1
        if link.kind in ("Dense", "BatchNormalization") and flat:
            found.add(link.name)
            flat = link.kind != "Dense"
        elif "Conv" in link.kind:
            image = link.config.get("filters") != 1
        elif link.kind == "BatchNormalization" and rank == 3:  # torch normalises (N, C, L) alone
            image = True
        elif link.kind == "Flatten":
            built = link.config.get("input_shape")
            flat = image and not (isinstance(built, list) and len(built) > 2 and set(built[1:-1]) == {1})
            image = False
        elif link.kind in ("Embedding", "Reshape") or link.kind.startswith("Global"):
            rank, image = 0, False
    return found


class _NoChain(Exception):
    pass


def _links(item: Any, scope: str) -> Iterator[Link]:
    kind, settings = item["class_name"], item["config"]
    kind = kind.rpartition(">")[2]
    if kind not in _MODELS:
        if not isinstance(settings["name"], str):
            raise _NoChain
        yield Link(f"{scope}{settings['name']}", kind, {**(item.get("build_config") or {}), **settings})
        return
    layers = (
        settings if isinstance(settings, list) else settings["layers"]
    )  # Keras before 2.2.3 wrote a list alone
    if len(layers) > _MOST:
        raise _NoChain
    if kind != "Sequential":
        layers = _in_turn(layers)
    for layer in layers:
        inner = layer["class_name"].rpartition(">")[2] in _MODELS
        name = (
            layer["config"].get("name", "") if isinstance(layer["config"], Mapping) else layer.get("name", "")
        )
        if inner and not name:
            raise _NoChain
        yield from _links(layer, f"{scope}{name}/" if inner else scope)


def _in_turn(layers: list[Any]) -> list[Any]:
    """The layers of a Functional, each behind the one it reads."""
    read: dict[str, str] = {}
    by_name = {}
    for layer in layers:
        name, nodes = layer["name"], layer["inbound_nodes"]
        by_name[name] = layer
        names = [n for node in nodes for n in _read(node)]
        if len(nodes) > 1 or len(names) > 1 or bool(names) == (layer["class_name"] == "InputLayer"):
            raise _NoChain
        if names:
            if names[0] in read:
                raise _NoChain
            read[names[0]] = name
    starts = [name for name in by_name if name not in read.values()]
    if len(starts) != 1 or len(by_name) != len(layers):
        raise _NoChain
    ordered = [starts[0]]
    while ordered[-1] in read:
        ordered.append(read[ordered[-1]])
    if len(ordered) != len(layers):
        raise _NoChain
    return [by_name[name] for name in ordered]


def _read(node: Any) -> Iterator[str]:
    """Names of the layers whose results a call takes: Keras 3's keras_history, Keras 2's [name, node, tensor, {}]."""
    if isinstance(node, Mapping):
        if "keras_history" in node:
            yield node["keras_history"][0]
            return
        for value in node.values():
            yield from _read(value)
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and all(type(n) is int for n in node[1:3]):
            yield node[0]
            for value in node[3:]:
                yield from _read(value)
            return
        for value in node:
            yield from _read(value)
