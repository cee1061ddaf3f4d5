"""Applying layers to values whose shapes are known: module constructors, forward expressions, layouts, the record."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfport.layers import masks, variables
from tfport.layers.layouts import ELEMENTWISE_LAYERS, alike, axis_in, map_axes, reordered, to_first, to_last
from tfport.layers.names import identifier
from tfport.layers.shapes import Shape, UnknownShape, output_shape
from tfport.source.inline import Undecided
from tfport.source.models import activations, recurrent
from tfport.source.models.spec import Bail, LayerSpec, arguments
from tfport.source.text import Fragment, parenthesised
from tfport.source.values import Symbol, is_known

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

FLATTENED = "(h w c) o -> o (c h w)"
ATTRIBUTES = {
    "Dense": "fc", "BatchNormalization": "bn", "LayerNormalization": "norm", "GroupNormalization": "norm",
    "MaxPooling1D": "pool", "MaxPooling2D": "pool", "MaxPooling3D": "pool", "AveragePooling1D": "pool",
    "AveragePooling2D": "pool", "AveragePooling3D": "pool", "Conv1D": "conv", "Conv2D": "conv", "Conv3D": "conv",
    "Conv2DTranspose": "deconv", "Conv1DTranspose": "deconv", "DepthwiseConv2D": "depthwise", "Dropout": "dropout",
    "LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn", "Bidirectional": "rnn", "MultiHeadAttention": "attention",
    "SeparableConv2D": "separable", "Embedding": "embedding", "ZeroPadding2D": "pad", "UpSampling2D": "upsample",
}  # fmt: skip
EXPRESSIONS = frozenset({"Activation", "Flatten", "Add", "Subtract", "Multiply", "Concatenate", "Rescaling", "Identity", "ReLU",
                         "Reshape"})  # fmt: skip
WINDOW = ("kernel_size", "strides", "pool_size", "dilation_rate")
OPERATORS = {"Add": (" + ", 12), "Subtract": (" - ", 12), "Multiply": (" * ", 13)}
# variable -> (argument, {Keras' initialiser: torch's, None where torch's default is the same})
INITIALISERS: dict[str, tuple[str, dict[str, str | None]]] = {
    "kernel": ("kernel_initializer", {"glorot_uniform": "xavier_uniform_", "he_uniform": "kaiming_uniform_",
                                      "zeros": "zeros_", "ones": "ones_"}),
    "bias": ("bias_initializer", {"zeros": "zeros_", "ones": "ones_"}),
    "gamma": ("gamma_initializer", {"ones": None, "zeros": "zeros_"}),
    "beta": ("beta_initializer", {"zeros": None, "ones": "ones_"}),
    "moving_mean": ("moving_mean_initializer", {"zeros": None}),
    "moving_variance": ("moving_variance_initializer", {"ones": None}),
    "embeddings": ("embeddings_initializer", {"uniform": "uniform_", "random_uniform": "uniform_", "zeros": "zeros_"}),
}  # fmt: skip
PLAIN_FANS = frozenset({"Dense", "Conv1D", "Conv2D", "Conv3D"})


class NeedsOrder(Exception):
    """A flattened image reached a layer that sees the order of its elements; ``node`` is the Flatten."""

    def __init__(self, node: ast.AST) -> None:
        super().__init__()
        self.node = node


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor in forward: its text, its shape in TensorFlow's order, its layout, and the Flatten it came through."""

    text: Fragment
    shape: Shape
    layout: str = "last"
    flat: tuple[int, ...] | None = None
    flatten: ast.AST | None = None
    node: int = -1  # the call in `Trace.calls` that made it
    mask: Fragment | None = None  # Keras' mask of the value

    def moved(self, layout: str) -> Value:
        """The value in another layout, by a permute where it is not there already."""
        rank = len(self.shape)
        if layout == self.layout or rank < 3:
            return self
        order = to_first(rank) if layout == "first" else to_last(rank)
        text = f"{parenthesised(self.text, 20)}.permute({', '.join(map(str, order))})"
        return dataclasses.replace(self, text=Fragment(text), layout=layout)


@dataclasses.dataclass
class Module:
    """One attribute of the class: the layer, its constructor's text, its initialisers, its line in the record."""

    spec: LayerSpec
    attribute: str
    constructor: str
    initialisers: list[tuple[str, str]] | None  # (parameter, torch.nn.init function)
    record: dict[str, Any]
    shapes: tuple[Shape, ...]
    parts: tuple[str, ...] = ()  # what is initialised inside it
    helper: str | None = None  # arguments of compat.keras.initialise where `initialisers` is None
    repeated: bool = False  # ``attribute`` is a list of such modules


class Trace:
    """The layers of one model as they are applied. ``ordered`` are Flattens that must keep TensorFlow's order."""

    def __init__(self, rewriter: Rewriter, ordered: frozenset[ast.AST] = frozenset()) -> None:
        self.rewriter = rewriter
        self.ordered = ordered
        self.modules: dict[LayerSpec, Module] = {}
        self.records: list[dict[str, Any]] = []
        self.recorded: dict[LayerSpec, dict[str, Any]] = {}
        self.images = False
        self.plans: dict[ast.AST, recurrent.Plan] = {}
        self.inner: dict[LayerSpec, LayerSpec] = {}  # the layer inside a wrapper
        self.masked: set[LayerSpec] = set()
        self.sizes: dict[ast.AST, tuple[Any, ...]] = {}  # of query, value and key
        self.alone = False  # modules are called by nn.Sequential, which passes nothing but a value on
        self.names: set[str] = set()  # names that are taken in forward
        self.new_masks: list[tuple[str, str]] = []  # name and text of masks that a statement makes
        self.calls: list[
            tuple[Any, tuple[int, ...]]
        ] = []  # operation (layer or other) and the calls that it reads

    def called(self, operation: Any, values: Sequence[Value]) -> int:
        """Note a call for the order of Keras' layers; returns its number."""
        self.calls.append((operation, tuple(v.node for v in values)))
        return len(self.calls) - 1

    def apply(self, spec: LayerSpec, values: Sequence[Value]) -> Value:
        """The layer on these inputs. Raises `Bail` where it cannot be written, `NeedsOrder` to try again."""
        if spec.rule.options.get("layout") == "call":
            return self._call_layer(spec, values)
        made = self._apply(spec, values)
        return dataclasses.replace(made, mask=self._mask(spec, values))

    def _mask(self, spec: LayerSpec, values: Sequence[Value]) -> Fragment | None:
        """The mask of what a layer makes of these values. Raises `Bail` where it is a mask of its own."""
        if not is_known(spec.values.get("mask_zero", False)):
            raise Bail("mask_zero is not known")
        if masks.makes(spec.class_name, spec.values):
            return self._new_mask(spec, values[0])
        found = [v.mask for v in values]
        if all(m is None for m in found):
            return None
        if spec.class_name in masks.TAKES:
            raise Bail(f"{spec.class_name} on a masked value")
        if spec.class_name in masks.MERGES or spec.class_name == "Concatenate":
            if len({m and m.text for m in found}) > 1:
                raise Bail(f"{spec.class_name} of values with different masks")
            last = spec.values.get("axis", -1) in (-1, len(values[0].shape) - 1)
            if spec.class_name == "Concatenate" and not last:
                raise Bail("Concatenate of masked values along the steps")
            return found[0]
        return found[0] if masks.hands_on(spec.class_name, spec.values) else None

    def _new_mask(self, spec: LayerSpec, value: Value) -> Fragment:
        """A name for the mask that a layer makes of its input; the reader writes its line before the statement."""
        inside = value.text.text
        if not inside.isidentifier() or self.alone:
            raise Bail(f"{spec.class_name} makes a mask of an expression")
        text = f"{inside} != 0"
        if spec.class_name == "Masking":
            if not isinstance(spec.values["mask_value"], int | float):
                raise Bail("a mask_value that is not known")
            text = f"({inside} != {spec.values['mask_value']!r}).any(-1)"
        count, name = 1, "mask"
        while name in self.names:
            count += 1
            name = f"mask{count}"
        self.names.add(name)
        self.new_masks.append((name, text))
        return Fragment(name)

    def _call_layer(self, spec: LayerSpec, values: Sequence[Value]) -> Value:
        """A recurrent, bidirectional or time-distributed layer on one value."""
        if len(values) != 1 or values[0].flat is not None or len(values[0].shape) < 3:
            raise Bail(f"{spec.class_name} called with more than a sequence")
        value = values[0].moved("last")
        if spec.class_name == "TimeDistributed":
            return recurrent.distributed(self, spec, value)
        if spec.class_name not in {*recurrent.KINDS, "Bidirectional"} or len(value.shape) != 3:
            raise Bail(f"{spec.class_name} inside a model")
        plan = recurrent.planned(self, spec, value.mask, self.alone)
        if self.plans.setdefault(spec.node, plan) != plan:
            raise Bail(f"one {spec.class_name} on values with and without a mask")
        call = self._module(spec, [value], [value.shape], "last", None).text
        if value.mask is not None:
            call = f"{call[:-1]}, mask={value.mask.text})"
        number = self.called(spec, values)
        mask = value.mask if plan.sequences else None
        return Value(
            recurrent.selected(plan, call), recurrent.output(self, plan, value.shape), node=number, mask=mask
        )

    def module_call(self, spec: LayerSpec, values: Sequence[Value]) -> str:
        """The call of a layer's module on values in TensorFlow's order."""
        return self._module(spec, values, [v.shape for v in values], "last", None).text

    def named(self, size: Symbol) -> Any:
        """A size by a name that means the same wherever a constructor stands."""
        return size

    def distributed(self, spec: LayerSpec, core: LayerSpec, value: Value) -> Value:
        """TimeDistributed(Dense): the Dense under the wrapper's name."""
        core = self.inner.setdefault(core, dataclasses.replace(core, name=spec.name))
        made = self._apply(core, [value])
        if core in self.recorded:
            entry = self.recorded.pop(core)
            entry["class"], entry["weights"] = (
                "TimeDistributed",
                {f"layer/{v}": r for v, r in entry["weights"].items()},
            )
            self.recorded[spec] = entry
        return dataclasses.replace(made, node=self.called(spec, [value]), mask=value.mask)

    def _apply(self, spec: LayerSpec, values: Sequence[Value]) -> Value:
        """A layer on plain values."""
        shapes = [v.shape for v in values]
        shape = self._output_shape(spec, shapes)
        activation = activations.name_of(self.rewriter, spec.given.get("activation"))
        flat = self._flat(spec, values, activation)
        wanted = self._wish(spec, values)
        inputs = [v.moved(wanted) for v in values]
        if wanted == "first" and max(map(len, shapes)) > 3:
            self.images = True
        made = self._expression(spec, inputs, shape)
        if made is None:
            made = self._module(spec, inputs, shapes, wanted, flat)
        elif spec not in self.recorded:
            self._record(spec, None, {})
        if activation is not None and spec.class_name != "Activation":
            made = Fragment(
                activations.text(self.rewriter, activation, made.text, self._channel(wanted, shape))
            )
        keeps = flat if flat is not None and spec.class_name != "Dense" else None
        layout = wanted if len(shape) > 2 and spec.class_name != "Reshape" else "last"
        number = self.called(spec, values)
        if spec.class_name == "Flatten":
            return dataclasses.replace(self._flattened(spec, values[0], shape), node=number)
        return Value(made, shape, layout, keeps, values[0].flatten if keeps else None, number)

    @staticmethod
    def _channel(layout: str, shape: Shape) -> int:
        return 1 if layout == "first" and len(shape) > 2 else -1

    def _output_shape(self, spec: LayerSpec, shapes: list[Shape]) -> Shape:
        values = spec.values
        for name in (*WINDOW, "padding", "size", "cropping", "axis", "target_shape"):
            if name in values and not is_known(values[name]):
                raise Bail(f"{name} of {spec.class_name} is not known")
        try:
            return output_shape(spec.class_name, values, shapes)
        except (UnknownShape, TypeError, ValueError, KeyError) as error:
            raise Bail(str(error)) from error

    # -- layouts -----------------------------------------------------------------------------------------

    def _flat(
        self, spec: LayerSpec, values: Sequence[Value], activation: str | None
    ) -> tuple[int, ...] | None:
        """The image sizes behind a flattened input, for layers to which its order does not matter or that absorb it."""
        flats = [v for v in values if v.flat is not None]
        if not flats:
            return None
        fits = spec.class_name in ELEMENTWISE_LAYERS and activations.is_elementwise(activation)
        if spec.class_name == "Activation":
            name = activations.name_of(self.rewriter, spec.given.get("activation"))
            fits = activations.is_elementwise(name)
        if len(values) > 1 or not (fits or spec.class_name == "Dense") or spec in self.modules:
            raise NeedsOrder(flats[0].flatten or spec.node)
        return flats[0].flat

    def _wish(self, spec: LayerSpec, values: Sequence[Value]) -> str:
        rank = max(len(v.shape) for v in values)
        layout = spec.rule.options.get("layout", "any")
        if rank < 3 or layout in ("last", "reshape"):
            return "last"
        if layout == "first":
            axis = spec.values.get("axis", -1)
            if isinstance(axis, int) and axis % rank != rank - 1:
                raise Bail(f"axis {axis} of {spec.class_name}")
            return "first"
        here = "first" if any(v.layout == "first" for v in values if len(v.shape) > 2) else "last"
        return here if len({len(v.shape) for v in values}) == 1 else "last"

    def _flattened(self, spec: LayerSpec, value: Value, shape: Shape) -> Value:
        torch = self.rewriter.imports.use("torch")
        sizes = value.shape[1:]
        plain = value.layout == "last" or alike(value.shape)
        known = len(sizes) == 3 and all(isinstance(n, int) for n in sizes)
        if plain or not known or spec.node in self.ordered:
            moved = value if plain else value.moved("last")
            return Value(Fragment(f"{torch}.flatten({moved.text.text}, 1)"), shape)
        text = Fragment(f"{torch}.flatten({value.text.text}, 1)")
        return Value(text, shape, "last", tuple(sizes), spec.node)  # type: ignore[arg-type]

    # -- expressions -------------------------------------------------------------------------------------

    def _expression(self, spec: LayerSpec, inputs: Sequence[Value], shape: Shape) -> Fragment | None:
        """Layers without state as plain expressions."""
        name = spec.class_name
        if name not in EXPRESSIONS:
            return None
        texts = [v.text for v in inputs]
        if name in OPERATORS:
            if len({len(v.shape) for v in inputs}) > 1:
                raise Bail(f"{name} of inputs of different rank")
            sign, level = OPERATORS[name]
            return Fragment(sign.join(parenthesised(t, level + (i > 0)) for i, t in enumerate(texts)), level)
        if name == "Concatenate":
            dim = axis_in(inputs[0].layout, spec.values["axis"], len(shape))
            inside = ", ".join(t.text for t in texts)
            return Fragment(f"{self.rewriter.imports.use('torch')}.cat([{inside}], dim={dim})")
        if name == "Activation":
            found = activations.name_of(self.rewriter, spec.given.get("activation"))
            dim = self._channel(inputs[0].layout, shape)
            return (
                texts[0]
                if found is None
                else Fragment(activations.text(self.rewriter, found, texts[0].text, dim))
            )
        if name == "ReLU":
            plain = spec.values == {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
            return Fragment(activations.text(self.rewriter, "relu", texts[0].text, -1)) if plain else None
        if name == "Rescaling":
            return self._rescaled(spec, texts[0])
        if name == "Reshape":
            return _reshaped(texts[0], spec.values["target_shape"])
        return texts[0]

    def _rescaled(self, spec: LayerSpec, text: Fragment) -> Fragment | None:
        scale, offset = spec.values["scale"], spec.values["offset"]
        if not isinstance(scale, int | float) or not isinstance(offset, int | float):
            return None
        written = self.rewriter.expr(spec.given["scale"])
        product = Fragment(f"{parenthesised(text, 13)} * {parenthesised(written, 14)}", 13)
        if not offset:
            return product
        sign = "-" if offset < 0 else "+"
        return Fragment(f"{product.text} {sign} {abs(offset)!r}", 12)

    # -- modules -----------------------------------------------------------------------------------------

    def _module(self, spec: LayerSpec, inputs: Sequence[Value], shapes: list[Shape], layout: str,
                flat: tuple[int, ...] | None) -> Fragment:  # fmt: skip
        present = self.modules.get(spec)
        if present is None:
            present = self._make(spec, shapes, layout, flat)
        elif [s[1:] for s in present.shapes] != [s[1:] for s in shapes]:
            raise Bail(f"one {spec.class_name} on inputs of different shape")
        inside = ", ".join(v.text.text for v in inputs)
        return Fragment(f"self.{present.attribute}({inside})")

    def _make(
        self, spec: LayerSpec, shapes: list[Shape], layout: str, flat: tuple[int, ...] | None
    ) -> Module:
        shape = max(shapes, key=len)
        constructor = self._constructor(spec, shape, layout)
        record = self._record(spec, self._attribute(spec), self._weights(spec, shape, flat))
        initialisers = self._initialisers(spec, record["weights"])
        made = Module(
            spec,
            record["path"],
            constructor,
            initialisers,
            record,
            tuple(shapes),
            helper=self._helper(spec, initialisers),
        )
        plan = self.plans.get(spec.node)
        if plan is not None and plan.bidirectional and not plan.plain:
            made.parts = ("forward_layer", "backward_layer")
        self.modules[spec] = made
        return made

    def constructed(self, spec: LayerSpec, shape: Shape, plain: bool) -> str:
        """The constructor of a recurrent layer, torch's own where ``plain``."""
        return self._built(spec, shape, "last", {"plain": plain})

    def _constructor(self, spec: LayerSpec, shape: Shape, layout: str) -> str:
        """The module's constructor for inputs of this shape in this layout."""
        if spec.node in self.plans:
            return recurrent.constructor(self, self.plans[spec.node], shape)
        return self._built(spec, shape, layout, {})

    def _built(self, spec: LayerSpec, shape: Shape, layout: str, more: dict[str, Any]) -> str:
        values = dict(spec.values)
        if "axis" in values:
            values["axis"] = map_axes(layout, values["axis"], len(shape))
        facts = {"channels": shape[-1], "size": reordered(shape, layout)[1:], "dim": 1 if layout == "first" else -1,
                 "rank": len(shape), "shape": shape, "sizes": self.sizes.get(spec.node),
                 "plain": False, "masked": spec in self.masked, **more}  # fmt: skip
        facts = {
            n: v
            for n, v in facts.items()
            if n in spec.rule.parameters and spec.rule.parameters[n].kind == "keyword"
        }
        if facts.get("channels", 0) is None or (spec.rule.options.get("weights") and "axis" in spec.given and layout == "last"
                                                and values["axis"] not in (-1, len(shape) - 1)):  # fmt: skip
            raise Bail("the number of channels is not known")
        adjusted = dataclasses.replace(spec, values=values)
        try:
            return self.rewriter.inliner.construct(spec.rule, arguments(self.rewriter, adjusted, facts)).text
        except Undecided as error:
            raise Bail(f"{spec.class_name} is not decided by its arguments") from error

    def _attribute(self, spec: LayerSpec) -> str:
        taken = {m.attribute for m in self.modules.values()} | {"training", "forward", "children", "modules"}
        if spec.name:
            return identifier(spec.name, taken)
        stem = ATTRIBUTES.get(spec.class_name, identifier(spec.class_name.lower()))
        number = 1
        while f"{stem}{number}" in taken:
            number += 1
        return f"{stem}{number}"

    def _record(self, spec: LayerSpec, path: str | None, weights: dict[str, Any]) -> dict[str, Any]:
        entry = {
            "name": spec.name,
            "class": spec.class_name,
            "path": path,
            "keras_path": None,
            "weights": weights,
        }
        self.records.append(entry)
        self.recorded[spec] = entry
        return entry

    def _weights(self, spec: LayerSpec, shape: Shape, flat: tuple[int, ...] | None) -> dict[str, Any]:
        """Variable -> [parameter, einops pattern, sizes] for the variables that these arguments make."""
        for flag in ("use_bias", "scale", "center"):
            if flag in spec.values and not is_known(spec.values[flag]):
                raise Bail(f"{flag} of {spec.class_name} is not known")
        if spec.node in self.plans:
            return variables.record(recurrent.weights(self.plans[spec.node]))
        options = spec.rule.options
        made = variables.table(options.get("weights"), options.get("unless"), spec.values)
        found = variables.record(variables.channels_in(made, shape[-1]))
        if flat is not None and spec.class_name == "Dense":
            found["kernel"] = ["weight", FLATTENED, dict(zip("hwc", flat, strict=True))]
        return found

    def _initialisers(self, spec: LayerSpec, weights: dict[str, Any]) -> list[tuple[str, str]] | None:
        """torch.nn.init calls where Keras' initial values are not torch's; None where torch has no such call."""
        found = []
        if spec.node in self.plans:
            return None
        for variable, (parameter, _, _) in weights.items():
            if variable not in INITIALISERS or (variable == "kernel" and spec.class_name not in PLAIN_FANS):
                return None
            argument, known = INITIALISERS[variable]
            value = spec.values.get(argument)
            if not isinstance(value, str) or value not in known:
                return None
            if known[value] is not None:
                found.append((parameter, str(known[value])))
        return None if found and spec.values.get("groups", 1) != 1 else found

    def _helper(self, spec: LayerSpec, initialisers: list[tuple[str, str]] | None) -> str | None:
        """The arguments of ``compat.keras.initialise`` for what torch.nn.init does not have."""
        if initialisers is not None:
            return None
        if spec.node in self.plans:
            return recurrent.helper(self, self.plans[spec.node])
        given = [
            f"{n}={self.rewriter.expr(v).text}" for n, v in spec.given.items() if n.endswith("_initializer")
        ]
        return ", ".join([f'like="{spec.class_name}"', *given])


def _reshaped(text: Fragment, target: Any) -> Fragment:
    """All axes after the batch to ``target``, in the order of the elements."""
    sizes = tuple(target) if isinstance(target, list | tuple) else (target,)
    inside = parenthesised(text, 20)
    if -1 in sizes:
        return Fragment(f"{inside}.flatten(1).unflatten(1, {sizes!r})")
    return Fragment(f"{inside}.reshape({', '.join(map(str, (-1, *sizes)))})")


Retry = Callable[[Trace], Any]


def traced(rewriter: Rewriter, build: Retry) -> Any:
    """Run ``build`` on a fresh trace, again with one more ordered Flatten for each `NeedsOrder`."""
    ordered: frozenset[ast.AST] = frozenset()
    while True:
        try:
            with rewriter.attempt():
                return build(Trace(rewriter, ordered))
        except NeedsOrder as need:
            if need.node in ordered:
                raise Bail("the order of flattened elements") from need
            ordered |= {need.node}


def size_names(modules: Sequence[Module]) -> set[str]:
    """Names that the constructors use besides modules: sizes that come from outside."""
    found: set[str] = set()
    for module in modules:
        for value in module.spec.values.values():
            if isinstance(value, Symbol):
                found.update(n.id for n in ast.walk(ast.parse(value.text)) if isinstance(n, ast.Name))
    return found
