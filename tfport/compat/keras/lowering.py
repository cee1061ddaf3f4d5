"""From recorded nodes to a torch.fx graph: order, layouts, and the order of flattened elements.

Every value of rank 3 and more has a layout, "first" (channels first) or "last" (TensorFlow's order). Inputs of rank
4 and 5 that image layers read are "first"; layers that treat elements alike keep what they get; a permute is put in
only where a value is in one layout and a layer wants the other. A flattened NCHW value keeps its order where nothing
but Dense layers sees it: then the Dense kernel is read as "(h w c) o -> o (c h w)".
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

from tfport.compat.keras import activation as activations
from tfport.compat.keras import building, masks, modules, symbol
from tfport.compat.keras.layer import Layer, RuleLayer
from tfport.compat.keras.symbol import Node, Symbol, replaced, symbols_in
from tfport.compat.keras.variables import of_layer
from tfport.layers.layouts import (
    ELEMENTWISE_LAYERS,
    alike,
    axis_in,
    reordered,
    to_first,
    to_last,
)
from tfport.layers.names import identifier
from tfport.layers.variables import record

FLATTENED_KERNEL = "(h w c) o -> o (c h w)"


def ordered(inputs: Sequence[Symbol], outputs: Sequence[Symbol]) -> list[Node]:
    """The nodes between inputs and outputs, each after what it reads. Raises ValueError for a disconnected graph."""
    done: dict[int, None] = {id(s.node): None for s in inputs}
    order: list[Node] = []
    stack = [(s.node, False) for s in reversed(outputs)]
    while stack:
        node, ready = stack.pop()
        if node is None or id(node) in done:
            continue
        if ready:
            done[id(node)] = None
            order.append(node)
            continue
        if node.kind == "input":
            raise ValueError(
                f"the outputs depend on the input {node.name!r}, which is not among the model's inputs"
            )
        stack.append((node, True))
        stack.extend((s.node, False) for s in reversed(node.inputs))
    return order


def make_input(shape: Sequence[int | None], dtype: str, name: str, layer: Layer) -> Symbol:
    """A symbol that is an input of a model; ``shape`` with the batch."""
    node = Node("input", layer, (), {}, name)
    made = Symbol(shape, dtype, node, name)
    node.outputs = made
    layer._nodes.append(node)
    return made


class Lowering:
    """One model's lowering; `graph`, `modules`, `record` and `layouts` are its results."""

    def __init__(self, inputs: Sequence[Symbol], outputs: Any, reserved: Any, keep: bool = False) -> None:
        self.inputs, self.outputs = list(inputs), outputs
        self.order = ordered(self.inputs, list(symbols_in(outputs)))
        self.graph = fx.Graph()
        self.modules: dict[str, nn.Module] = {}
        self.paths: dict[int, str] = {}  # id of layer (or of a module made for one call) -> path
        self.records: list[dict[str, Any]] = []
        self.values: dict[tuple[int, str], fx.Node] = {}
        self.layout: dict[int, str] = {}
        self.flat: dict[int, tuple[int, ...]] = {}  # symbols in NCHW element order -> (h, w, c)
        self.reserved = reserved
        self.keep = keep  # TensorFlow's layout at the boundary
        self.forced: dict[str, bool] = {}  # path -> training mode fixed by the call
        self.consumers: dict[int, list[Node]] = {}
        for node in self.order:
            for value in node.inputs:
                self.consumers.setdefault(id(value), []).append(node)
        self.results = {id(s) for s in symbols_in(outputs)}

    # ------------------------------------------------------------------ values and layouts

    def put(self, value: Symbol, node: fx.Node, layout: str, flat: tuple[int, ...] | None = None) -> None:
        if layout == "own":  # a real tensor of a layer's own: channels first from rank 4 on
            layout = "first" if len(value.shape) > 3 else "last"
        layout = layout if len(value.shape) > 2 else "last"
        self.layout[id(value)] = layout
        self.values[id(value), layout] = node
        if flat is not None:
            self.flat[id(value)] = flat

    def get(self, value: Symbol, layout: str) -> fx.Node:
        """The value in a layout; permuted once where it is in the other."""
        layout = layout if len(value.shape) > 2 else "last"
        key = (id(value), layout)
        if key not in self.values:
            rank = len(value.shape)
            order = to_first(rank) if layout == "first" else to_last(rank)
            self.values[key] = self.graph.call_method(
                "permute", (self.values[id(value), self.layout[id(value)]], order)
            )
        return self.values[key]

    def images(self) -> set[int]:
        """Values of rank 4 and 5 that layers wanting channels first make or read, and what layout-free layers tie to them."""
        found: set[int] = set()
        ties: list[list[int]] = []
        for node in self.order:
            kind = self.kind(node)
            outs = list(symbols_in(node.outputs))
            if kind in ("first", "own"):
                found.update(id(s) for s in (*node.inputs, *outs) if len(s.shape) > 3)
            elif kind == "model":
                ends = (*zip(node.inputs, node.target.boundary[0]), *zip(outs, node.target.boundary[1]))
                found.update(id(s) for s, layout in ends if layout == "first" and len(s.shape) > 3)
            elif kind == "any":
                ties.append([id(s) for s in (*node.inputs, *outs) if len(s.shape) > 3])
        grown = True
        while grown:
            before = len(found)
            for tie in (*ties, *reversed(ties)):
                if not found.isdisjoint(tie):
                    found.update(tie)
            grown = len(found) > before
        return found

    def kind(self, node: Node) -> str:
        """What a node wants: "first", "last", "any", "flatten", "reshape", "model", "own"."""
        target = node.target
        if node.kind == "function":
            ranks = {len(s.shape) for s in node.inputs}
            plain = not list(building.tensors_in((node.args, node.kwargs)))
            return "any" if symbol.is_elementwise(target) and len(ranks) == 1 and plain else "last"
        if isinstance(target, RuleLayer):
            return str(target.rule.layout)
        if hasattr(target, "boundary"):
            return "model"
        return "own"

    # ------------------------------------------------------------------ the walk

    def run(self) -> None:
        """Fill the graph."""
        names: set[str] = set()
        self.boundary_inputs: list[str] = []
        images = self.images()
        for value in self.inputs:
            name = identifier(value.name or "x", names | {"self", "input"})
            names.add(name)
            layout = "first" if id(value) in images and not self.keep else "last"
            self.boundary_inputs.append(layout)
            self.put(value, self.graph.placeholder(name), layout)
        for node in self.order:
            if node.kind == "function":
                self.function(node)
            elif isinstance(node.target, RuleLayer):
                self.rule_layer(node)
            else:
                self.own(node)
        self.boundary_outputs = [self.output_layout(s) for s in symbols_in(self.outputs)]
        layouts = iter(self.boundary_outputs)
        self.graph.output(building.unpacked(replaced(self.outputs, lambda s: self.get(s, next(layouts)))))

    def output_layout(self, value: Symbol) -> str:
        """Outputs of rank 4 and 5 stay as they are computed (images channels first); rank 3 is (N, steps, C)."""
        return self.layout[id(value)] if len(value.shape) > 3 and not self.keep else "last"

    def add_module(self, key: Any, name: str, module: nn.Module) -> str:
        for path, known in self.modules.items():
            if known is module:
                return path
        path = identifier(name, {*self.modules, *self.reserved})
        self.modules[path] = module
        self.paths[id(key)] = path
        return path

    def function(self, node: Node) -> None:
        kind = self.kind(node)
        layouts = {self.layout[id(s)] for s in node.inputs if len(s.shape) > 2}
        layout = "last" if kind == "last" else ("first" if "first" in layouts else "last")
        args = replaced(node.args, lambda s: self.get(self.tf_order(s), layout))
        kwargs = replaced(node.kwargs, lambda s: self.get(self.tf_order(s), layout))
        made = self.graph.create_node("call_function", node.target, args, kwargs, identifier(node.name))
        self.put_all(node.outputs, made, layout)

    def put_all(self, outputs: Any, made: fx.Node, layout: str) -> None:
        """Values for a nested result: one getitem for each part."""
        if isinstance(outputs, Symbol):
            self.put(outputs, made, layout)
        elif isinstance(outputs, list | tuple):
            for i, item in enumerate(outputs):
                if next(symbols_in(item), None) is not None:
                    self.put_all(item, self.graph.call_function(operator.getitem, (made, i)), layout)
        elif isinstance(outputs, dict):
            for key, item in outputs.items():
                self.put_all(item, self.graph.call_function(operator.getitem, (made, key)), layout)

    def tf_order(self, value: Symbol) -> Symbol:
        """The value; one whose elements are in NCHW order must not come here."""
        assert id(value) not in self.flat, "a flattened value reached a layer that sees its order"
        return value

    def rule_layer(self, node: Node) -> None:
        layer: RuleLayer = node.target
        if layer.calls:
            self.called(node, layer)
            return
        mask = node.kwargs.get("mask")
        values, out = [v for v in node.inputs if v is not mask], node.outputs
        shapes = [tuple(v.shape) for v in values]
        special = {"Flatten": self.flatten, "Reshape": self.reshape}.get(layer.class_name)
        if special is not None:
            special(node, layer, values[0], out)
            return
        flat = self.flat.get(id(values[0]))
        layouts = {self.layout[id(v)] for v in values if len(v.shape) > 2}
        wanted = building.wish(layer, shapes, "first" if "first" in layouts else "last")
        inputs = tuple(self.get(v, wanted) for v in values)
        module = layer.make_for(shapes, wanted, masked=mask is not None)
        weights = self.weights(layer, module, shapes, flat)
        if layer.class_name in ("Activation", "Identity"):
            made, path = inputs[0], None
        else:
            path = self.add_module(layer, layer.name, module)
            options: dict[str, Any] = {"mask": self.get(mask, "last")} if isinstance(mask, Symbol) else {}
            made = self.graph.call_module(path, inputs, options)
            self.force(node, path)
        self.note(layer, path, weights)
        made, wanted = self.activate(layer, made, wanted, out)
        keeps = flat if flat is not None and layer.class_name != "Dense" else None
        self.put(out, made, wanted, keeps)

    def called(self, node: Node, layer: RuleLayer) -> None:
        """A layer whose module takes all arguments of the call, in TensorFlow's order."""
        assert layer.module is not None
        path = self.add_module(layer, layer.name, layer.module)
        named = {
            k: v for k, v in layer._named(node.args, node.kwargs).items() if k != "training" and v is not None
        }
        first, *rest = named.items()
        values = replaced(dict(rest), lambda s: self.get(self.tf_order(s), "last"))
        made = self.graph.call_module(
            path, (replaced(first[1], lambda s: self.get(self.tf_order(s), "last")),), values
        )
        self.force(node, path)
        self.note(layer, path, record(of_layer(layer, layer.module)))
        self.put_all(node.outputs, made, "last")

    def force(self, node: Node, path: str) -> None:
        training = node.kwargs.get("training")
        if isinstance(training, bool):
            self.forced[path] = training

    def weights(
        self, layer: RuleLayer, module: nn.Module, shapes: Any, flat: tuple[int, ...] | None
    ) -> dict[str, Any]:
        """The record's weights: variable -> [parameter, pattern, sizes]."""
        made: dict[str, Any] = record(of_layer(layer, module)) if layer.stateful else {}
        if layer.class_name == "Dense":
            if layer.flat not in (None, flat) or (layer.flat is None and flat and len(layer._nodes) > 1):
                raise NotImplementedError(f"Dense layer {layer.name} reads flattened images in two orders")
            layer.flat = flat
            if flat:
                made["kernel"] = ["weight", FLATTENED_KERNEL, dict(zip("hwc", flat))]
        return made

    def activate(self, layer: RuleLayer, made: fx.Node, layout: str, out: Symbol) -> tuple[fx.Node, str]:
        """The layer's activation as an operation after it."""
        found = activations.find(layer.activation)
        if found is None:
            return made, layout
        function, keywords = found
        rank = len(out.shape)
        if isinstance(function, nn.Module):
            path = self.add_module(function, f"{layer.name}_activation", function)
            return self.graph.call_module(path, (made,)), layout
        if layout == "first" and rank > 2 and not activations.is_elementwise(layer.activation):
            if "dim" not in keywords:  # an unknown function sees TensorFlow's order
                made, layout = self.graph.call_method("permute", (made, to_last(rank))), "last"
            else:
                keywords = {**keywords, "dim": axis_in(layout, keywords["dim"], rank)}
        return self.graph.call_function(function, (made,), keywords), layout

    def note(self, layer: Layer, path: str | None, weights: dict[str, Any]) -> None:
        if not any(r["name"] == layer.name for r in self.records):
            self.records.append({"name": layer.name, "class": layer.class_name, "path": path, "keras_path": None,
                                 "weights": weights})  # fmt: skip

    # ------------------------------------------------------------------ Flatten and Reshape

    def flatten(self, node: Node, layer: RuleLayer, value: Symbol, out: Symbol) -> None:
        layout = self.layout[id(value)]
        flat = None
        if layout == "first" and not alike(value.shape):
            sizes = value.shape[1:]
            if len(sizes) == 3 and None not in sizes and self.only_dense_sees(out):
                flat = tuple(int(n) for n in sizes)
            else:
                layout = "last"
        path = self.add_module(layer, layer.name, layer.make_for([tuple(value.shape)], layout))
        self.note(layer, path, {})
        self.put(out, self.graph.call_module(path, (self.get(value, layout),)), "last", flat)

    def only_dense_sees(self, value: Symbol) -> bool:
        """Whether a flattened value goes, through elementwise layers at most, to Dense layers used once, and no output."""
        if id(value) in self.results:
            return False
        for node in self.consumers.get(id(value), ()):
            layer = node.target
            if not isinstance(layer, RuleLayer):
                return False
            if layer.class_name == "Dense":
                if len(layer._nodes) > 1 or (layer.flat is None and self.was_lowered(layer)):
                    return False
            elif layer.class_name in ELEMENTWISE_LAYERS and activations.is_elementwise(layer.activation):
                if isinstance(layer.arguments.get("scale", 0), list | tuple) or not self.only_dense_sees(
                    node.outputs
                ):
                    return False
            else:
                return False
        return True

    @staticmethod
    def was_lowered(layer: RuleLayer) -> bool:
        return getattr(layer, "lowered", False)

    def reshape(self, node: Node, layer: RuleLayer, value: Symbol, out: Symbol) -> None:
        layout = self.layout[id(value)] if alike(value.shape) else "last"
        target = tuple(out.shape[1:]) if None not in out.shape[1:] else tuple(layer.arguments["target_shape"])
        first = len(out.shape) > 3 and alike(out.shape)
        if first:
            target = reordered(out.shape, "first")[1:]
        module: nn.Module = modules.Reshape(target)
        path = self.add_module(layer, layer.name, module)
        self.note(layer, path, {})
        self.put(out, self.graph.call_module(path, (self.get(value, layout),)), "first" if first else "last")

    # ------------------------------------------------------------------ models and own layers as layers

    def own(self, node: Node) -> None:
        layer = node.target
        boundary = getattr(layer, "boundary", None)
        path = self.add_module(layer, layer.name, layer)
        self.force(node, path)
        kwargs = {k: v for k, v in node.kwargs.items() if not (k == "training" and boundary is not None)}
        if boundary is None:

            def pick(s: Symbol) -> fx.Node:
                made = self.get(self.tf_order(s), "first" if len(s.shape) > 3 else "last")
                mask = masks.of(s)
                return (
                    made
                    if mask is None
                    else self.graph.call_function(masks.with_mask, (made, self.get(mask, "last")))
                )

            made = self.graph.call_module(path, replaced(node.args, pick), replaced(kwargs, pick))
            self.put_all(node.outputs, made, "own")
            self.records += building.own_records(layer, layer.name, path)
            return
        pairs = zip(node.inputs, boundary[0])
        made = self.graph.call_module(path, tuple(self.get(self.tf_order(v), layout) for v, layout in pairs))
        self.put_all(building.unpacked(node.outputs), made, "last")
        for value, layout in zip(symbols_in(node.outputs), boundary[1]):
            if layout == "first" and len(value.shape) > 2:
                self.values[id(value), "first"] = self.values.pop((id(value), "last"))
                self.layout[id(value)] = "first"
        for inner in layer.tfport_layers:  # a nested model
            named = {**inner, "name": f"{layer.name}/{inner['name']}",
                     "path": None if inner["path"] is None else f"{path}.{inner['path']}"}  # fmt: skip
            if not any(r["name"] == named["name"] for r in self.records):
                self.records.append(named)


def lower(inputs: Sequence[Symbol], outputs: Any, reserved: Any, keep: bool = False) -> Lowering:
    """Lower a recorded graph; see the module's docstring."""
    made = Lowering(inputs, outputs, reserved, keep)
    made.run()
    for node in made.order:
        if isinstance(node.target, RuleLayer):
            object.__setattr__(node.target, "lowered", True)
    return made


__all__ = ["FLATTENED_KERNEL", "Lowering", "lower", "make_input", "ordered", "torch"]
