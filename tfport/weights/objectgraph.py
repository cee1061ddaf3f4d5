"""The object graph of a TF2 checkpoint: which variable is whose.

Source: tensorflow/core/protobuf/trackable_object_graph.proto. One variable is reachable on several paths and
is stored under one of them only; with ``Checkpoint(model, optimizer)`` of Keras 3 that is
``optimizer/_trainable_variables/3``. So names come from all paths and from ``full_name``, never from the key
alone.
"""

from __future__ import annotations

import dataclasses
import re

from tfport.weights.errors import WeightsError
from tfport.weights.names import canonical, not_a_weight, suffixes
from tfport.weights.wire import fields

__all__ = ["Graph", "facts", "parse"]

_LIST = re.compile(
    r"^(_layers|_operations|layers|_self_tracked_trackables|layer_with_weights-\d+|layer-\d+|\d+)$"
)
_FLAT = frozenset({
    "variables", "_variables", "_all_variables", "trainable_variables", "_trainable_variables",
    "non_trainable_variables", "_non_trainable_variables", "keras_api",
})  # fmt: skip
_THROUGH = {"_functional", "model", "root"}
_MOST_PATHS = 40
_MOST_STEPS = 400_000
_DEEPEST = 24
_STEPS = {"_iterations", "iterations", "iter"}


@dataclasses.dataclass
class Node:
    """One saved object: its children by name, its variable if it is one, its optimizer slots."""

    children: dict[str, int] = dataclasses.field(default_factory=dict)
    full_name: str = ""
    key: str = ""
    slots: list[tuple[int, str, int]] = dataclasses.field(default_factory=list)


Graph = list[Node]


def parse(message: bytes) -> Graph:
    """The nodes of a TrackableObjectGraph; children that point nowhere are an error."""
    nodes = []
    for number, item in fields(message):
        if number == 1 and isinstance(item, bytes):
            nodes.append(_node(item))
    for node in nodes:
        if any(child >= len(nodes) for child in node.children.values()):
            raise WeightsError("the object graph points to an object that is not there: damaged")
    return nodes


def _text(value: int | bytes) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else ""


def _node(message: bytes) -> Node:
    node = Node()
    for number, item in fields(message):
        if not isinstance(item, bytes):
            continue
        if number == 1:
            parts = dict(fields(item))
            child = parts.get(1, 0)
            if isinstance(child, int):
                node.children[_text(parts.get(2, b""))] = child
        elif number == 2:
            parts = dict(fields(item))
            if _text(parts.get(1, b"")) == "VARIABLE_VALUE":
                node.full_name, node.key = _text(parts.get(2, b"")), _text(parts.get(3, b""))
        elif number == 3:
            parts = dict(fields(item))
            slot = parts.get(3, 0)
            if isinstance(slot, int):
                node.slots.append((0, _text(parts.get(2, b"")), slot))
    return node


def facts(graph: Graph, keys: set[str]) -> tuple[dict[str, dict], list[list[str]], dict[str, list[str]]]:
    """What the graph tells of each key, as fields of an Entry; the lists of variables it holds; and what each optimizer
    trains, in its order, by its place."""
    if not graph:
        return {}, [], {}
    optimizers = {n for n, node in enumerate(graph) if node.slots or _STEPS & node.children.keys()}
    paths = _paths(graph, optimizers)
    slots = {slot: name for node in graph for _, name, slot in node.slots}
    trained = _trained(graph, optimizers)
    known: dict[str, dict] = {}
    for number, node in enumerate(graph):
        if not node.key or node.key not in keys:
            continue
        about = _about(node, [path for path in paths.get(number, []) if path])
        if number in slots:
            about["ignored"] = f"optimizer slot {slots[number]}"
        elif number not in paths and number not in trained:
            about["ignored"] = "optimizer state"
        known[node.key] = _merged(known[node.key], about) if node.key in known else about
    _mark_doubles(graph, known)
    return known, _orders(graph, optimizers, known), _lists(graph, optimizers)


def _merged(one: dict, other: dict) -> dict:
    both = dict(one)
    for field in ("layers", "paths"):
        both[field] = tuple(dict.fromkeys((*one[field], *other[field])))
    both["variable"] = one["variable"] or other["variable"]
    return both


def _paths(graph: Graph, closed: set[int]) -> dict[int, list[tuple[str, ...]]]:
    """Paths from the root to nodes, breadth first, without loops, a limited number each, none through
    ``closed``.
    """
    found: dict[int, list[tuple[str, ...]]] = {0: [()]}
    queue: list[tuple[int, tuple[str, ...], frozenset[int]]] = [(0, (), frozenset((0,)))]
    for number, path, seen in queue:
        if len(path) > _DEEPEST or len(queue) > _MOST_STEPS:
            break
        for name, child in graph[number].children.items():
            if child in seen or child in closed or len(found.setdefault(child, [])) >= _MOST_PATHS:
                continue
            found[child].append((*path, name))
            queue.append((child, (*path, name), seen | {child}))
    return found


def _trained(graph: Graph, optimizers: set[int]) -> set[int]:
    """The model's variables that Keras 3's optimizers list."""
    lists = (graph[o].children.get("_trainable_variables") for o in optimizers)
    return {child for number in lists if number is not None for child in graph[number].children.values()}


def _lists(graph: Graph, optimizers: set[int]) -> dict[str, list[str]]:
    """By the place of each of Keras 3's optimizers (``model/optimizer``) the keys of the variables that it trains."""
    found = {}
    for optimizer in optimizers:
        children = graph[optimizer].children
        if "_trainable_variables" in children and "_iterations" in children:
            listed = graph[children["_trainable_variables"]].children.items()
            place = graph[children["_iterations"]].key.rpartition("/_iterations/")[0]
            found[place] = [graph[c].key for _, c in sorted((int(n), c) for n, c in listed if n.isdigit())]
    return found


def _about(node: Node, places: list[tuple[str, ...]]) -> dict:
    name = node.full_name.rsplit(":", 1)[0] if re.search(r":\d+$", node.full_name) else node.full_name
    scope, _, last = name.rpartition("/")
    attributes = []
    local = ""
    for path in places:
        if any(part in _FLAT for part in path):
            continue
        local = local or canonical(path[-1])
        attributes.append("/".join(part for part in path[:-1] if part not in _THROUGH))
    named = canonical(last)  # Keras' own name; a tf.Variable without one is called Variable
    variable = named if named and named != "Variable" else local if not local.isdigit() else ""
    reason = not_a_weight(name) or (not_a_weight(places[0][-1]) if places else "")
    if not reason and places and all(any("metrics" in part for part in path) for path in places):
        reason = "state of a metric"
    if not reason and any("seed_generator" in part for path in places for part in path):
        reason = "state of a random seed generator"
    return {
        "layers": tuple(suffixes(scope)),
        "paths": tuple(dict.fromkeys(attributes)),
        "variable": variable or None,
        "ignored": reason,
    }


def _mark_doubles(graph: Graph, known: dict[str, dict]) -> None:
    """Keras 3 ``export`` stores each variable twice: `_all_variables/N` doubles `variables/N`."""
    root = graph[0].children
    if "variables" not in root or "_all_variables" not in root:
        return
    for child in graph[root["_all_variables"]].children.values():
        key = graph[child].key
        if key.startswith("_all_variables/") and key in known:
            known[key]["ignored"] = "stored a second time under variables/"


def _orders(graph: Graph, optimizers: set[int], known: dict[str, dict]) -> list[list[str]]:
    """The lists of weights in the model's own order: `variables`, the optimizers' lists, and the layers one
    by one.
    """
    lists = [
        graph[0].children.get("variables"),
        *(graph[o].children.get("_trainable_variables") for o in sorted(optimizers)),
    ]
    orders = []
    for number in lists:
        if number is not None:
            children = sorted((int(n), c) for n, c in graph[number].children.items() if n.isdigit())
            orders.append([graph[child].key for _, child in children])
    walked: list[str] = []
    _walk(graph, 0, walked, set(optimizers))
    orders.append(walked)
    kept = [[key for key in order if key in known and not known[key]["ignored"]] for order in orders]
    return [list(order) for order in dict.fromkeys(tuple(order) for order in kept) if order]


def _walk(graph: Graph, number: int, found: list[str], seen: set[int]) -> None:
    """Weights layer by layer, along lists of layers only: other attributes have no order that the model
    shares.
    """
    if number in seen:
        return
    seen.add(number)
    children = graph[number].children
    for name in ("model", "_functional", "_operations", "_layers", "layers"):
        if name in children:
            return _walk(graph, children[name], found, seen)
    numbered = [(int(m.group()), n) for n in children if _LIST.match(n) and (m := re.search(r"\d+$", n))]
    for _, name in sorted(numbered):
        _walk(graph, children[name], found, seen)
    if not numbered:
        keys = (graph[child].key for child in children.values())
        found.extend(key for key in keys if key and key not in found)
