"""Layers at run time: Keras' constructor, building from the first input, calls on tensors and on symbols.

Convention for real tensors: a layer takes and returns TensorFlow's order (channels last), as all code around it does,
and permutes views on the way in and out where torch wants another. Only inside a recorded model is rank 4 and more
channels first (NCHW, NCDHW). Inside the ``call`` of an own layer everything is in TensorFlow's order unless its class
says ``layout = "first"``.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx, nn

from tfport.compat.dtypes import as_dtype
from tfport.compat.keras import activation as activations
from tfport.compat.keras import building, masks, penalties, signatures, variables
from tfport.compat.keras.symbol import (
    NAMES,
    Node,
    Symbol,
    attach,
    is_symbolic,
    results,
    stand_ins,
    symbols_in,
)
from tfport.layers import masks as layer_masks
from tfport.layers.arguments import normalise
from tfport.layers.layouts import to_last
from tfport.layers.shapes import output_shape

Shapes = list[tuple[int | None, ...]]


KEPT = ("units", "filters", "rate", "epsilon", "momentum", "input_dim", "output_dim", "num_heads", "key_dim", "use_bias",
        "return_sequences", "return_state", "go_backwards", "depth_multiplier")  # fmt: skip
"""Arguments that a layer of Keras has as attributes, as they were given: ``self.gru.units``."""


class Layer(nn.Module):
    """The base of all layers. A subclass defines ``build`` (with ``add_weight``) and ``call``, as in Keras.

    ``name``, ``trainable``, ``dtype`` and ``input_shape`` (without the batch) are Keras'. ``layout`` is the order in
    which ``call`` is written: "last" (TensorFlow's: tensors of rank 4 and more are permuted on the way in and out, and
    layers called inside take TensorFlow's order) or "first" (rank 4 and more is channels first).
    """

    layout = "last"

    def __init__(self, *, name: str | None = None, trainable: bool = True, dtype: Any = None,
                 input_shape: Sequence[int | None] | None = None, input_dim: int | None = None,
                 batch_input_shape: Sequence[int | None] | None = None, activity_regularizer: Any = None,
                 autocast: bool = True, **unknown: Any) -> None:  # fmt: skip
        if unknown:
            raise TypeError(f"{type(self).__name__} has no argument {', '.join(sorted(unknown))}")
        super().__init__()
        self.name = name or ("" if isinstance(self, fx.GraphModule) else NAMES.name(type(self).__name__))
        self.built = False
        self.activity_regularizer = activity_regularizer
        self._trainable = bool(trainable)
        self._dtype = dtype
        self._nodes: list[Node] = []
        if batch_input_shape is not None:
            input_shape = tuple(batch_input_shape)[1:]
        elif input_dim is not None and input_shape is None:
            input_shape = (input_dim,)
        self._given_shape = None if input_shape is None else tuple(input_shape)

    @property
    def class_name(self) -> str:
        """Keras' name of the class."""
        return type(self).__name__

    # ------------------------------------------------------------------ what a subclass defines

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape (TensorFlow's order)."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no call()")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output in TensorFlow's order; the default runs ``call`` on zeros."""
        return None

    def get_config(self) -> dict[str, Any]:
        """Name, trainable and dtype."""
        return {"name": self.name, "trainable": self.trainable, "dtype": str(self._dtype or "float32")}

    def add_weight(self, shape: Any = None, initializer: Any = None, dtype: Any = None, trainable: bool = True,
                   name: str | None = None, regularizer: Any = None, constraint: Any = None,
                   **ignored: Any) -> Any:  # fmt: skip
        """A new parameter (a buffer if not trainable) under ``name``; Glorot uniform unless said otherwise."""
        if isinstance(shape, str):
            shape, name = name, shape  # Keras 2: add_weight(name, shape)
        size = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        kind = torch.get_default_dtype() if dtype is None else as_dtype(dtype)
        if initializer is None:
            initializer = "glorot_uniform" if kind.is_floating_point else "zeros"
        value = torch.as_tensor(variables.initializer(initializer)(size)).to(kind).detach()
        variable = (name or "variable").split("/")[-1].split(":")[0]
        label = building.free_name(self, variable)
        if trainable and kind.is_floating_point:
            self.register_parameter(label, nn.Parameter(value, requires_grad=self._trainable))
        else:
            self.register_buffer(label, value)
        self.__dict__.setdefault("_made_weights", {})[label] = variable
        if regularizer is not None:
            self.__dict__.setdefault("_regularizers", {})[label] = regularizer
        return getattr(self, label)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            # self.kernel = self.add_weight(name="w"): the weight takes the attribute's name
            made = self.__dict__.get("_made_weights", {})
            label = next((old for old in made if getattr(self, old, None) is value), None)
            if label is not None:
                if label != name:
                    building.rename(self, label, name)
                    for kept in ("_made_weights", "_regularizers"):
                        held = self.__dict__.get(kept, {})
                        self.__dict__[kept] = {name if k == label else k: v for k, v in held.items()}
                return
        if isinstance(value, list | tuple) and value and all(isinstance(v, nn.Module) for v in value):
            value = nn.ModuleList(value)
        elif isinstance(value, dict) and value and all(isinstance(v, nn.Module) for v in value.values()):
            value = building.NamedLayers(value)
        elif type(value) is list and not value:
            value = building.GrowingList(self, name)
        super().__setattr__(name, value)

    # ------------------------------------------------------------------ calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        symbolic = is_symbolic(args, kwargs)
        if not symbolic:
            args = building.arrays_as_tensors(args)
        if not (masks.any_in((args, kwargs)) or self._makes_masks() or kwargs.get("mask") is not None):
            return self.record(args, kwargs) if symbolic else super().__call__(*args, **kwargs)
        given = self._named(args, kwargs)
        filled = masks.populated(self._call_names(), given)
        kwargs = {**kwargs, **{name: value for name, value in filled.items() if name not in given}}
        inputs = next(iter(given.values()), None)
        before = kwargs["mask"] if kwargs.get("mask") is not None else masks.of(inputs)
        made = self.record(args, kwargs) if symbolic else super().__call__(*args, **kwargs)
        return masks.put(made, self._mask_of_result(inputs, before))

    def _call_names(self) -> tuple[str, ...]:
        return tuple(inspect.signature(self.call).parameters)

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        return {**dict(zip(self._call_names(), args)), **kwargs}

    def _makes_masks(self) -> bool:
        return type(self).compute_mask is not Layer.compute_mask

    def _mask_of_result(self, inputs: Any, before: Any) -> Any:
        if self.supports_masking or self._makes_masks():
            return self.compute_mask(inputs, before)
        return None

    supports_masking = False

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the output where ``supports_masking`` is True: the one before."""
        return mask

    def input_shapes(self, args: Any, kwargs: Any) -> Shapes:
        """The shapes that ``build`` gets, in TensorFlow's order, of a call on symbols."""
        return [tuple(s.shape) for s in symbols_in(args)]

    def record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record a call on symbols; returns symbols. Own layers are built and run on zeros to learn the shape."""
        node = Node("layer", self, args, dict(kwargs), self.name)
        if not isinstance(self, RuleLayer):
            node.masks = [masks.of(s) for s in symbols_in((args, kwargs)) if masks.any_in(s)]

        def run(batch: int) -> Any:
            real_args, real_kwargs = stand_ins((args, kwargs), batch)
            return self.forward(*real_args, **real_kwargs)

        shapes = self.input_shapes(args, kwargs)
        self._build_once(shapes)
        known = self.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
        if known is not None and not isinstance(known, dict | list):
            made: Any = Symbol(tuple(known))
        else:
            was, order = self.training, building.Order.now
            self.eval()
            building.Order.now = "last"
            made = results(run)
            building.Order.now = order
            self.train(was)
        self._nodes.append(node)
        return attach(made, node)

    def _build_once(self, shapes: Shapes) -> None:
        if self.built:
            return
        self.built = True
        self.build(shapes[0] if len(shapes) == 1 else shapes)
        self.train(self.training)  # what was made just now is in this layer's mode

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        penalties.enter(self)
        try:
            return self._in_order(args, kwargs)
        finally:
            penalties.leave()

    def _in_order(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``call``, with images in the order in which it is written."""
        now, outer, inner = building.Order.now, building.Order.here(), self.layout
        if not self.built:
            self._build_once([building.tf_shape(t, outer) for t in building.tensors_in(args)])
        if "training" not in kwargs and signatures.is_left_out(self.call, "training", len(args)):
            kwargs["training"] = self.training
        if now == inner:
            return self.call(*args, **kwargs)
        args, kwargs = building.images_moved((args, kwargs), outer, inner)
        building.Order.now = inner
        try:
            return building.images_moved(self.call(*args, **kwargs), inner, outer)
        finally:
            building.Order.now = now

    # ------------------------------------------------------------------ what Keras shows

    @property
    def trainable(self) -> bool:
        """False freezes the parameters, and puts batch normalisation into inference mode, as Keras does."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self._sublayers():
            layer.trainable = value
        building.freeze(self, not value)

    def add_loss(self, loss: Any) -> None:
        """A term of this call beside the model's loss: a scalar tensor, or a list of them."""
        penalties.add(self, loss)

    @property
    def losses(self) -> list[torch.Tensor]:
        """The terms of regularisers, and of ``add_loss`` in the last call, to be added to the loss."""
        return penalties.collected(self)

    def _sublayers(self) -> list[Layer]:
        return [child for _, child in building.held(self)]

    @property
    def input(self) -> Any:
        return building.unwrap(self._node().args)

    @property
    def output(self) -> Any:
        """The symbol(s) that the layer's first call returned. Raises AttributeError before it."""
        return self._node().outputs

    def _node(self) -> Node:
        if not self._nodes:
            raise AttributeError(f"layer {self.name} was not called on a symbolic tensor")
        return self._nodes[0]

    @property
    def input_shape(self) -> Any:
        return building.unwrap([tuple(s.shape) for s in self._node().inputs])

    @property
    def output_shape(self) -> Any:
        return building.unwrap([tuple(s.shape) for s in symbols_in(self.output)])

    @property
    def weights(self) -> list[torch.Tensor]:
        """Parameters, then buffers, of the layer and what it holds."""
        return [*self.parameters(), *self.buffers()]

    @property
    def trainable_weights(self) -> list[torch.Tensor]:
        return [p for p in self.parameters() if p.requires_grad]

    @property
    def non_trainable_weights(self) -> list[torch.Tensor]:
        return [*(p for p in self.parameters() if not p.requires_grad), *self.buffers()]

    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    def count_params(self) -> int:
        return sum(w.numel() for w in self.weights)


class RuleLayer(Layer):
    """A layer of ``rules/``: the rule's builder makes ``module``, a plain torch module, from the input's shape."""

    rule: Any
    signature: inspect.Signature

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        own, base = building.split(self.rule, self.signature, args, kwargs)
        super().__init__(**base)
        bound = self.signature.bind(**own)
        bound.apply_defaults()
        self.arguments = normalise(bound.arguments)
        self.activation = self.arguments.get("activation")
        activations.find(self.activation)  # an unknown name fails here, not at the first call
        self.module: nn.Module | None = None
        self.channels: int | None = None  # of the input, once built
        self.flat: tuple[int, ...] | None = (
            None  # sizes (h, w, c) of a flattened NCHW value that a Dense reads
        )

    @property
    def class_name(self) -> str:
        return self.rule.primary.rsplit(".", 1)[1]  # type: ignore[no-any-return]

    @property
    def stateful(self) -> bool:
        return bool(self.rule.weights)

    def __getattr__(self, name: str) -> Any:
        arguments = self.__dict__.get("arguments", {}) if name in KEPT else {}
        return arguments[name] if name in arguments else super().__getattr__(name)

    @property
    def calls(self) -> bool:
        """Whether the module takes all arguments of Keras' call, in TensorFlow's order."""
        return bool(self.rule.layout == "call")

    def _call_names(self) -> tuple[str, ...]:
        return layer_masks.call_names(self.class_name)

    def _makes_masks(self) -> bool:
        return layer_masks.makes(self.class_name, self.arguments)

    def _mask_of_result(self, inputs: Any, before: Any) -> Any:
        return masks.result(self.class_name, self.arguments, inputs, before)

    def input_shapes(self, args: Any, kwargs: Any) -> Shapes:
        if not self.calls:
            return super().input_shapes(args, kwargs)
        named = self._named(args, kwargs)
        return [tuple(s.shape) for name, s in named.items() if not _is_side(name) for s in symbols_in(s)]

    def _named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        names = self._call_names()
        given = {
            names[0] if key in ("inputs", "x", "sequences", "sequence") else key: v
            for key, v in kwargs.items()
        }
        if len(args) > len(names) or set(given) - set(names):
            unknown = ", ".join(sorted(set(given) - set(names))) or f"{len(args)} arguments"
            raise TypeError(f"{self.class_name} is not called with {unknown}")
        return {**dict(zip(names, args)), **given}

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.calls:
            return None  # a run on zeros tells
        shapes = building.shape_list(input_shape)
        return output_shape(self.class_name, self.arguments, shapes)

    def build(self, input_shape: Any) -> None:
        if self.stateful:
            shapes = building.shape_list(input_shape)
            self.channels = max(shapes, key=len)[-1]
            self.module = building.make(self, shapes, building.wish(self, shapes))
            if (
                self.class_name in layer_masks.ATTENTIONS
            ):  # Keras makes a Softmax and a Dropout in it, and names them
                NAMES.name("Softmax"), NAMES.name("Dropout")

    def make_for(self, shapes: Shapes, layout: str, masked: bool = False) -> nn.Module:
        """The module for inputs of these shapes in this layout; one with weights is made once. ``masked`` says that it
        gets a mask.
        """
        if self.stateful:
            self._build_once(shapes)
            assert self.module is not None
            return self.module
        return building.make(self, shapes, layout, masked)

    def _run_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The module on all arguments of the call, each in TensorFlow's order."""
        here = building.Order.here()
        named = building.images_moved(self._named(args, kwargs), here, "last")
        training = named.pop("training", None)
        shapes: Shapes = [
            tuple(t.shape) for name, v in named.items() if not _is_side(name) for t in building.tensors_in(v)
        ]
        module = self.make_for(shapes, "last")
        was = module.training
        if training is not None and bool(training) != was:
            module.train(bool(training))
        try:
            return building.images_moved(module(**named), "last", here)
        finally:
            if module.training != was:
                module.train(was)

    def forward(self, *args: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        if self.calls:
            given = {"training": training, "mask": mask}
            return self._run_call(args, {**kwargs, **{k: v for k, v in given.items() if v is not None}})
        if kwargs:
            raise TypeError(f"{self.class_name} is not called with {', '.join(kwargs)}")
        options = {} if mask is None or self.class_name not in layer_masks.TAKES else {"mask": mask}
        values = list(building.tensors_in(args))
        if len(values) == 1 and self.class_name == "Embedding":
            values = [values[0].long()]
        shapes = [building.tf_shape(v, building.Order.here()) for v in values]
        here = building.Order.here() if max(v.dim() for v in values) > 3 else "last"
        wanted = building.wish(self, shapes, here)
        module = self.make_for(shapes, wanted, bool(options))
        if module is not self.module:
            module.train(self.training)
        if training is not None and module.training != training:
            was = module.training
            module.train(training)
            made = self._run(module, values, here, wanted, options)
            module.train(was)
            return made
        return self._run(module, values, here, wanted, options)

    def _run(
        self, module: nn.Module, values: list[torch.Tensor], here: str, wanted: str, options: dict[str, Any]
    ) -> torch.Tensor:
        made = module(*(building.moved(v, here, wanted) for v in values), **options)
        if self.rule.layout == "reshape":
            wanted = "last"
        found = activations.find(self.activation)
        if found is not None:
            function, keywords = found
            if made.dim() > 2 and wanted == "first" and not activations.is_elementwise(self.activation):
                made, wanted = made.permute(to_last(made.dim())), "last"
            made = function(made, **keywords)
        return building.moved(made, wanted, building.Order.here() if made.dim() > 3 else "last")

    def get_config(self) -> dict[str, Any]:
        """Keras' constructor arguments as given, normalised."""
        return {**super().get_config(), **self.arguments}


def _is_side(name: str) -> bool:
    """Whether an argument of a call says nothing of the sizes of the layer's weights."""
    return name.endswith("mask") or name in ("initial_state", "states")


def layer_class(function: Any) -> type[RuleLayer]:
    """The layer class of a rule: ``compat.keras.layers.Dense`` for ``tf.keras.layers.Dense``."""
    entry = function.rule
    signature = inspect.signature(function)
    kept = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    doc = f"{function.__doc__}\n\n    tf.keras: {', '.join(entry.names)}"
    attributes = {"rule": entry, "signature": signature.replace(parameters=kept), "__doc__": doc,
                  "__module__": "tfport.compat.keras.layers"}  # fmt: skip
    name = entry.primary.rsplit(".", 1)[1]
    return type(name, (RuleLayer,), attributes)
