"""Model, Functional and Sequential: described by calling layers on symbols, lowered to a torch.fx GraphModule.

A recorded model's submodules are plain torch modules under the Keras layers' names; ``tfport_record`` says which
Keras variable each parameter is, and in which layout inputs and outputs are. Like any nn.Module it starts in
training mode: call ``eval()`` for inference (Keras' layers infer unless told to train).
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from tfport.compat.keras import building, masks, parts, penalties
from tfport.compat.keras.layer import Layer
from tfport.compat.keras.lowering import lower, make_input, ordered
from tfport.compat.keras.summary import summary_text
from tfport.compat.keras.symbol import NAMES, Node, Symbol, attach, replaced, symbols_in
from tfport.layers.masks import TAKES

TRAINING_ADVICE = (
    "write the training loop in torch: for x, y in loader: loss = loss_fn(model(x), y); loss.backward(); "
    "optimizer.step(); optimizer.zero_grad()"
)


class InputLayer(Layer):
    """The layer behind ``Input``; it computes nothing."""

    def __init__(self, shape: Any = None, batch_size: int | None = None, dtype: Any = None, batch_shape: Any = None,
                 name: str | None = None, input_shape: Any = None, **ignored: Any) -> None:  # fmt: skip
        super().__init__(name=name)
        self.built = True
        full = (
            batch_shape
            if batch_shape is not None
            else (batch_size, *_as_shape(shape if shape is not None else input_shape))
        )
        self.symbol = make_input(tuple(full), dtype_name(dtype), self.name, self)

    def call(self, x: Any) -> Any:
        return x


def _as_shape(shape: Any) -> tuple[int | None, ...]:
    if shape is None:
        raise ValueError("an input needs a shape (without the batch), or a tensor")
    return (shape,) if isinstance(shape, int) else tuple(shape)


def dtype_name(dtype: Any) -> str:
    """A dtype's name; None is float32."""
    from tfport.compat.dtypes import as_dtype

    return "float32" if dtype is None else str(as_dtype(dtype)).removeprefix("torch.")


def Input(shape: Any = None, batch_size: int | None = None, dtype: Any = None, sparse: Any = None, ragged: Any = None,
          batch_shape: Any = None, name: str | None = None, tensor: Any = None, optional: bool = False) -> Symbol:  # fmt: skip
    """A symbolic tensor in TensorFlow's order: ``shape`` (224, 224, 3) is an image, fed to the model as NCHW.

    ``tensor`` may be a symbol, which comes back. Raises NotImplementedError for sparse or ragged inputs.
    """
    if isinstance(tensor, Symbol):
        return tensor
    if sparse or ragged:
        raise NotImplementedError("Input(sparse=True or ragged=True): torch models take dense tensors here")
    return InputLayer(shape, batch_size, dtype, batch_shape, name).symbol


class Model(Layer):
    """``Model(inputs, outputs)`` is a recorded model; a subclass defines ``call`` and is an ordinary nn.Module."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        described = len(args) >= 2 or "outputs" in kwargs
        if cls is Model and described:
            return Functional.__new__(Functional, *args, **kwargs)  # Python calls its __init__
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if type(self) is not Model and (args or "outputs" in kwargs):
            raise NotImplementedError(f"{type(self).__name__}: a subclass of Model that passes inputs and outputs to "
                                      "Model.__init__; define call(), or build with Model(inputs, outputs)")  # fmt: skip
        super().__init__(**kwargs)

    @property
    def layers(self) -> list[Layer]:
        """The layers held as attributes, in the order in which they were set."""
        return self._sublayers()

    @property
    def tfport_record(self) -> dict[str, Any]:
        """The model record of a subclassed model; complete once it has been called."""
        first, *rest = building.own_records(self, type(self).__name__, "")
        layers = [{**record, "name": None} for record in rest]
        if first["weights"]:
            layers.insert(0, {**first, "name": None, "path": ""})
        return {
            "version": 1,
            "layout": "nhwc",
            "models": {type(self).__name__: {"kind": "subclass", "layers": layers}},
        }

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by name or position. Raises ValueError if there is none."""
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ValueError(f"no layer {name!r}; there are {', '.join(layer.name for layer in self.layers)}")

    def load_weights(
        self, path: Any, *args: Any, by_name: bool = False, skip_mismatch: bool = False, **kwargs: Any
    ) -> Any:
        """`tfport.load_weights`: raises, the model untouched, unless every tensor fits."""
        import tfport

        return tfport.load_weights(self, path, strict=not skip_mismatch)  # type: ignore[attr-defined]

    def summary(self, *args: Any, print_fn: Any = print, **kwargs: Any) -> None:
        """Print a table of layers, output shapes and parameter counts."""
        print_fn(summary_text(self))

    def predict(self, x: Any, batch_size: int = 32, verbose: Any = 0, **kwargs: Any) -> Any:
        """Outputs in inference mode as a NumPy array, batch by batch; both in TensorFlow's layout."""
        from tfport.compat.keras.calls import call

        was = self.training
        self.eval()
        weight = next(self.parameters(), None)
        data = torch.as_tensor(x)
        if weight is not None:
            data = data.to(weight.device, weight.dtype if data.is_floating_point() else data.dtype)
        with torch.no_grad():
            made = [call(self, part) for part in data.split(batch_size)]
        self.train(was)
        return torch.cat(made).cpu().numpy()

    def compile(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"Model.compile of Keras has no twin here: {TRAINING_ADVICE}")

    def fit(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"Model.fit has no twin here: {TRAINING_ADVICE}")

    def evaluate(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "Model.evaluate has no twin here: run the model over a DataLoader in eval() mode"
        )

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "Model.save of Keras has no twin here: torch.save(model.state_dict(), path)"
        )

    save_weights = save

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "trainable": self.trainable}


class Functional(fx.GraphModule, Model):
    """A recorded model: a GraphModule whose submodules carry the Keras layers' names.

    Called with tensors one by one, as a list, or as a dictionary by input name.
    """

    boundary: tuple[list[str], list[str]]
    layer_order: list[Any]

    @property
    def class_name(self) -> str:
        """Keras' name of the class; fx gives every instance a class of its own."""
        return "Sequential" if isinstance(self, Sequential) else "Functional"

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, trainable: bool = True,
                 boundary_layout: str = "nchw", **ignored: Any) -> None:  # fmt: skip
        super().__init__({}, _empty_graph(), class_name=type(self).__name__)
        self.name = name or NAMES.name("Functional")
        self.boundary_layout = boundary_layout
        self.describe(inputs, outputs)
        if not trainable:
            self.trainable = False

    def describe(self, inputs: Any, outputs: Any) -> None:
        """Lower the graph between ``inputs`` and ``outputs`` into this module."""
        flat = list(symbols_in(inputs))
        if not flat or any(s is None for s in flat):
            raise ValueError("a model needs symbolic inputs: layers called on Input(...)")
        taken = {*dir(nn.Module), *dir(type(self)), *vars(self), "training"}  # a layer may be called "first"
        made = lower(flat, outputs, taken, self.boundary_layout == "nhwc")
        for path in [p for p in self._modules if p not in made.modules]:
            del self._modules[path]
        for path, module in made.modules.items():
            self._modules[path] = module
        self.inputs_structure, self.outputs_structure = inputs, outputs
        self.boundary = (made.boundary_inputs, made.boundary_outputs)
        self.forced = made.forced
        self.nodes_in_order = made.order
        layers = parts.layer_order(flat, outputs)
        if isinstance(self, Sequential):  # Keras' Sequential.layers leaves the input out
            layers = [layer for layer in layers if not isinstance(layer, InputLayer)]
        self.__dict__["layer_order"] = layers  # no submodules: a state_dict would have each tensor twice
        self.tfport_layers = parts.records(layers, made.records)
        self.graph = made.graph
        self.built = True
        self.train(self.training)

    @property
    def tfport_record(self) -> dict[str, Any]:
        """The model record: layers, weights with patterns, layouts of inputs and outputs."""
        kind = "sequential" if isinstance(self, Sequential) else "functional"
        symbols = list(symbols_in(self.inputs_structure))
        called = inspect.signature(
            self.forward
        ).parameters  # fx calls an input `input` or `my-image` otherwise
        arguments = [
            {"where": f"{self.name}.forward", "argument": name, "layout": parts.change(len(s.shape), layout)}
            for s, layout, own in zip(symbols, self.boundary[0], called, strict=True)
            for name in dict.fromkeys((s.name, own))
        ]
        results = [
            {"where": f"{self.name}.forward", "result": i, "layout": parts.change(len(s.shape), layout)}
            for i, (s, layout) in enumerate(zip(symbols_in(self.outputs_structure), self.boundary[1]))
        ]
        return {"version": 1, "layout": self.boundary_layout, "models": {self.name: {"kind": kind, "layers": self.tfport_layers}},
                "arguments": arguments, "results": results}  # fmt: skip

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        values = list(args)
        if len(args) == 1 and isinstance(args[0], list | tuple):
            values = list(args[0])
        elif len(args) == 1 and isinstance(args[0], dict):
            values = [args[0][s.name] for s in symbols_in(self.inputs_structure)]
        elif not args:  # one by one, by the names of forward's parameters
            values = [kwargs.pop(s.name) for s in symbols_in(self.inputs_structure) if s.name in kwargs]
        if next(symbols_in(values), None) is not None:
            return self.record_call(values, kwargs)
        now = outer = building.Order.now
        if any(isinstance(v, np.ndarray) for v in values):
            values, outer = list(building.arrays_as_tensors(values)), "last"
        if (
            outer == "last"
        ):  # arrays are; and so are tensors inside an own layer that is written in TensorFlow's order
            values = [
                building.images_moved(v, outer, layout)
                for v, layout in zip(values, self.boundary[0], strict=True)
            ]
        training, was = kwargs.get("training"), self.training
        building.Order.now = "first"
        penalties.enter(self)
        try:
            if training is not None and bool(training) != was:
                self.train(bool(training))
            made = nn.Module.__call__(self, *values)
        finally:
            penalties.leave()
            building.Order.now = now
            if self.training != was:
                self.train(was)
        if outer == "last":
            layouts = iter(self.boundary[1])
            made = building.mapped(made, lambda v: building.images_moved(v, next(layouts), outer))
        return made

    def record_call(self, values: list[Any], kwargs: dict[str, Any]) -> Any:
        """The model as a layer of another one."""
        if masks.any_in(values) and any(layer.class_name in TAKES for layer in self._flat_layers()):
            raise NotImplementedError(
                f"model {self.name} gets a masked value: call its layers directly, so that its recurrent and attention "
                "layers see the mask"
            )
        node = Node("layer", self, tuple(values), dict(kwargs), self.name)
        inner = list(symbols_in(self.inputs_structure))
        if len(inner) != len(node.inputs):
            raise ValueError(f"model {self.name} takes {len(inner)} inputs, {len(node.inputs)} were given")
        batch = node.inputs[0].shape[0]
        same = all(tuple(a.shape) == tuple(b.shape) for a, b in zip(inner, node.inputs))
        if same:
            shapes: Any = replaced(self.outputs_structure, lambda s: Symbol(s.shape, s.dtype))
        else:
            shapes = self.shapes_for(node.inputs)
        for value in symbols_in(shapes):
            if value.shape:
                value.shape = type(value.shape)((batch, *value.shape[1:]))
        self._nodes.append(node)
        return attach(shapes, node)

    def _flat_layers(self) -> list[Any]:
        """All layers, those of models inside too."""
        found: list[Any] = []
        for layer in self.layers:
            found += layer._flat_layers() if isinstance(layer, Functional) else [layer]
        return found

    def shapes_for(self, values: Sequence[Symbol]) -> Any:
        """Output symbols for other input sizes than the model was described with."""
        known = {id(a): tuple(b.shape) for a, b in zip(symbols_in(self.inputs_structure), values)}
        for node in self.nodes_in_order:
            layer = node.target
            shapes = [known[id(s)] for s in node.inputs]
            outs = list(symbols_in(node.outputs))
            if (
                node.kind == "layer"
                and len(outs) == 1
                and (made := layer.compute_output_shape(shapes)) is not None
            ):
                known[id(outs[0])] = tuple(made)
            else:
                known.update({id(s): tuple(s.shape) for s in outs})
        return replaced(self.outputs_structure, lambda s: Symbol(known[id(s)], s.dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = building.shape_list(input_shape)
        made = self.shapes_for([Symbol(s) for s in shapes])
        return building.unwrap([tuple(s.shape) for s in symbols_in(made)])

    def train(self, mode: bool = True) -> Functional:
        """Training mode; calls recorded with ``training=True`` or ``False`` keep theirs, as in Keras."""
        super().train(mode)
        for path, training in self.__dict__.get("forced", {}).items():
            self.get_submodule(path).train(training)
        return self

    @property
    def layers(self) -> list[Any]:
        """Input layers and layers in Keras' order: by depth from the outputs."""
        return list(self.layer_order)

    @property
    def input(self) -> Any:
        return building.unwrap(self.inputs_structure)

    @property
    def output(self) -> Any:
        return self.outputs_structure

    @property
    def inputs(self) -> list[Symbol]:
        return list(symbols_in(self.inputs_structure))

    @property
    def outputs(self) -> list[Symbol]:
        return list(symbols_in(self.outputs_structure))

    @property
    def input_shape(self) -> Any:
        return building.unwrap([tuple(s.shape) for s in self.inputs])

    @property
    def output_shape(self) -> Any:
        return building.unwrap([tuple(s.shape) for s in self.outputs])

    def _sublayers(self) -> list[Layer]:
        return [layer for layer in self.layers if not isinstance(layer, InputLayer)]

    def __deepcopy__(self, memo: dict[int, Any]) -> Functional:
        """A copy with modules, graph and description of its own."""
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        fx.GraphModule.__init__(made, {}, _empty_graph(), class_name=type(self).__name__)
        for key, value in self.__dict__.items():
            if key not in ("_graph", "_code", "_lineno_map", "_prologue_start"):
                made.__dict__[key] = copy.deepcopy(value, memo)
        graph = fx.Graph()
        values: dict[fx.Node, fx.Node] = {}
        result = graph.graph_copy(self.graph, values)
        graph.output(result)
        made.graph = graph
        return made


def _empty_graph() -> fx.Graph:
    graph = fx.Graph()
    graph.output(graph.placeholder("x"))
    return graph


class Sequential(Functional):
    """Layers one after the other; built at once if it starts with an Input, otherwise by the first call."""

    def __init__(self, layers: Sequence[Any] | None = None, trainable: bool = True, name: str | None = None,
                 boundary_layout: str = "nchw") -> None:  # fmt: skip
        fx.GraphModule.__init__(self, {}, _empty_graph(), class_name="Sequential")
        self.name = name or NAMES.name("Sequential")
        self.boundary_layout = boundary_layout
        self.stack: list[Any] = []
        self.first: Symbol | None = None
        self.__dict__["layer_order"] = []
        self.boundary, self.nodes_in_order, self.tfport_layers = (["last"], ["last"]), [], []
        self.inputs_structure = self.outputs_structure = ()
        for layer in layers or ():
            self.add(layer, describe=False)
        self._describe()
        if not trainable:
            self.trainable = False

    def add(self, layer: Any, describe: bool = True) -> None:
        """Append a layer (or an Input)."""
        if isinstance(layer, Symbol):
            self.first = layer
        elif isinstance(layer, InputLayer):
            self.first = layer.symbol
        else:
            self.stack.append(layer)
            shape = getattr(layer, "_given_shape", None)
            if self.first is None and len(self.stack) == 1 and shape is not None:
                self.first = Input(shape)
            elif (
                self.first is None and len(self.stack) == 1 and isinstance(layer, Functional) and layer.built
            ):
                self.first = Input(batch_shape=layer.inputs[0].shape)
        if describe:
            self._describe()

    def pop(self) -> Any:
        """Remove and return the last layer."""
        layer = self.stack.pop()
        self._describe()
        return layer

    def _describe(self) -> None:
        if self.first is None or not self.stack:
            return
        value: Any = self.first
        for layer in self.stack:
            known = [n for n in getattr(layer, "_nodes", ()) if n.inputs and n.inputs[0] is value]
            value = known[0].outputs if known else layer(value)
        self.describe(self.first, value)

    def build(self, input_shape: Any) -> None:
        """Describe the model for inputs of this shape (TensorFlow's order, with the batch)."""
        if self.first is None:
            self.first = Input(batch_shape=(None, *tuple(input_shape)[1:]))
            self._describe()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.first is None and self.stack:
            value = next(symbols_in(args), None)
            if value is not None:
                self.build(tuple(value.shape))
            else:
                tensor = next(iter(building.tensors_in(args)))
                self.build(building.tf_shape(tensor, building.Order.now or "first"))
                self.to(tensor.device)
        return super().__call__(*args, **kwargs)

    @property
    def layers(self) -> list[Any]:
        return list(self.stack)


get_source_inputs = parts.get_source_inputs

__all__ = ["Functional", "Input", "InputLayer", "Model", "Sequential", "get_source_inputs", "ordered"]
