"""The layers between inputs and outputs of a recorded model: their order, their records, the inputs behind a symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfport.compat.keras.layer import Layer
from tfport.compat.keras.symbol import Node, Symbol, symbols_in
from tfport.layers.order import keras_order


def layer_order(inputs: Sequence[Symbol], outputs: Any) -> list[Any]:
    """The layers between inputs and outputs in Keras' order. Raises ValueError where two have one name."""

    def parents(node: Node) -> list[Node]:
        return [s.node for s in node.inputs if s.node is not None]

    def operation(node: Node) -> Any:
        return node if node.kind == "function" or (id(node) in ends and node.kind != "input") else node.target

    starts = [s.node for s in inputs if s.node is not None]
    ends = {id(node) for node in starts}
    results = [s.node for s in symbols_in(outputs) if s.node is not None]
    found = [op for op in keras_order(results, parents, operation, starts) if isinstance(op, Layer)]
    names = [layer.name for layer in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"layers of one model need names of their own; twice there is {', '.join(twice)}")
    return found


def records(layers: Sequence[Layer], records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers' records in the order of ``layers``; nested models' layers follow their model's place."""
    made: list[dict[str, Any]] = []
    for layer in layers:
        if layer.class_name == "InputLayer":
            made.append(
                {"name": layer.name, "class": "InputLayer", "path": None, "keras_path": None, "weights": {}}
            )
        made += [r for r in records if r["name"] == layer.name or r["name"].startswith(f"{layer.name}/")]
    return made


def change(rank: int, layout: str) -> str | None:
    letters = {4: ("NHWC", "NCHW"), 5: ("NDHWC", "NCDHW")}.get(rank)
    return f"{letters[0]} -> {letters[1]}" if letters and layout == "first" else None


def get_source_inputs(tensor: Symbol) -> list[Symbol]:
    """The inputs that a symbol depends on (``keras.utils.get_source_inputs``)."""
    found: dict[int, Symbol] = {}
    seen: set[int] = set()
    pending = [tensor]
    while pending:
        value = pending.pop(0)
        node = value.node
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if node.kind == "input":
            found[id(value)] = value
        pending.extend(node.inputs)
    return list(found.values())
