"""Layers of a subclassed model: sizes may be unknown (lazy modules), named by a parameter, or told by the layer before."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tfport.layers.shapes import Shape
from tfport.source.models.spec import SIZES, Bail, LayerSpec, Spelt
from tfport.source.models.trace import FLATTENED, WINDOW, Module, NeedsOrder, Trace, Value
from tfport.source.text import Fragment
from tfport.source.values import Symbol, is_known

LAZY = {
    "nn.Linear": "nn.LazyLinear", "nn.Conv1d": "nn.LazyConv1d", "nn.Conv2d": "nn.LazyConv2d", "nn.Conv3d": "nn.LazyConv3d",
    "nn.ConvTranspose1d": "nn.LazyConvTranspose1d", "nn.ConvTranspose2d": "nn.LazyConvTranspose2d",
    "nn.ConvTranspose3d": "nn.LazyConvTranspose3d", "nn.LayerNorm": "lazy.LazyLayerNorm",
    "modules.BatchNorm": "lazy.LazyBatchNorm", "modules.SameConv1d": "lazy.LazySameConv1d",
    "modules.SameConv2d": "lazy.LazySameConv2d", "modules.SameConv3d": "lazy.LazySameConv3d",
    "modules.CausalConv1d": "lazy.LazyCausalConv1d", "modules.CutConvTranspose1d": "lazy.LazyCutConvTranspose1d",
    "modules.CutConvTranspose2d": "lazy.LazyCutConvTranspose2d",
    "modules.CutConvTranspose3d": "lazy.LazyCutConvTranspose3d",
}  # fmt: skip
PLACE = "CHANNELS_"
JOINING = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"})
KEEPS_CHANNELS = re.compile(
    r"(Max|Average|GlobalMax|GlobalAverage)Pooling.*|ZeroPadding.*|Cropping.*|UpSampling.*"
)
MERGED = "(s c) o -> o (c s)"  # a flattened image whose sizes are not known: all positions as one axis


class Open(tuple):  # type: ignore[type-arg]
    """The shape of a value of unknown rank in TensorFlow's order: (None, channels).

    ``origins`` are the parameters of ``call`` that have the same rank.
    """

    origins: frozenset[str]

    def __new__(cls, origins: Iterable[str] = (), channels: Any = None) -> Open:
        made = super().__new__(cls, (None, channels))
        made.origins = frozenset(origins)
        return made


class NeedsRank(Exception):
    """A layer told the rank of parameters of ``call``: trace again with it."""

    def __init__(self, origins: frozenset[str], rank: int) -> None:
        super().__init__()
        self.origins, self.rank = origins, rank


class NeedsLazy(Exception):
    """One layer is used on inputs with different numbers of known channels, as the items of a list are."""

    def __init__(self, node: ast.AST) -> None:
        super().__init__()
        self.node = node


def with_rank(value: Value, rank: int) -> Value:
    """The value as one of this rank. Raises `NeedsRank` where a parameter of ``call`` decides it."""
    if not isinstance(value.shape, Open):
        return value
    if value.shape.origins:
        raise NeedsRank(value.shape.origins, rank)
    return dataclasses.replace(value, shape=(*(None,) * (rank - 1), value.shape[-1]))


def alike_ranks(values: Sequence[Value]) -> list[Value]:
    """Values that one operation joins: those of unknown rank get the rank of the others."""
    ranks = {len(v.shape) for v in values if not isinstance(v.shape, Open)}
    if len(ranks) == 1 and (rank := ranks.pop()) > 2:
        return [with_rank(v, rank) for v in values]
    return list(values)


class ClassTrace(Trace):
    """A trace whose modules have the user's attribute names. ``attributes`` maps layers to module paths."""

    def __init__(
        self, rewriter: Any, ordered: frozenset[ast.AST], lazy: frozenset[ast.AST], init: ast.AST | None
    ) -> None:
        super().__init__(rewriter, ordered)
        self.bound = _bound(init)
        self.lazy = lazy
        self.attributes: dict[LayerSpec, str] = {}
        self.spelling: dict[LayerSpec, str] = {}  # how forward reaches it where that is not self.<attribute>
        self.pending: list[tuple[LayerSpec, Open]] = []  # layers over the channels of values of unknown rank

    def apply(self, spec: LayerSpec, values: Sequence[Value]) -> Value:
        """The layer on these inputs."""
        match = re.fullmatch(r"[A-Za-z]+?([123])D(Transpose)?", spec.class_name)
        if match:
            values = [with_rank(v, int(match[1]) + 2) for v in values]
        elif spec.class_name in JOINING:
            values = alike_ranks(values)
        elif spec.rule.options.get("layout") == "call":
            values = [with_rank(v, 3) for v in values]
        opened = [v.shape for v in values if isinstance(v.shape, Open)]
        if opened and spec.rule.options.get("layout") == "first" and not match:
            shape = opened[0]
            if shape[-1] is None:
                self.pending.append((spec, shape))
                return values[0]
        if opened and spec.values.get("axis", -1) != -1:
            raise Bail(f"axis {spec.values['axis']} of {spec.class_name} on a value of unknown rank")
        made = super().apply(spec, values)
        if opened and len(made.shape) == 2 and spec.class_name != "Flatten":
            origins: frozenset[str] = frozenset().union(*(o.origins for o in opened))
            made = dataclasses.replace(made, shape=Open(origins, made.shape[-1]))
        return made

    def _output_shape(self, spec: LayerSpec, shapes: list[Shape]) -> Shape:
        shape: Any = self._shape(spec, shapes)
        if not isinstance(shape[-1], Symbol):
            return shape
        named: Any = self._named(shape[-1])
        return (*shape[:-1], named)

    def named(self, size: Symbol) -> Any:
        return self._named(size)

    def _named(self, size: Symbol) -> Symbol | None:
        """A size by a name that means the same all through ``__init__``; ``self.units`` as the argument that it holds."""
        tree = ast.parse(size.text, mode="eval").body
        names = [ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute) or (
            isinstance(n, ast.Name) and n.id != "self")]  # fmt: skip
        if any(
            len(self.bound.get(n, [])) > 1 or (n.startswith("self.") and n not in self.bound) for n in names
        ):
            return None
        held = self.bound[size.text][0] if size.text.startswith("self.") and size.text in self.bound else None
        if isinstance(held, ast.Name) and len(self.bound.get(held.id, [])) == 1:
            return Symbol(held.id)
        return size

    def _shape(self, spec: LayerSpec, shapes: list[Shape]) -> Shape:
        plain: list[Any] = [tuple(None if isinstance(n, Symbol) else n for n in s) for s in shapes]
        window = [n for n in WINDOW if n in spec.values and not is_known(spec.values[n])]
        if any(isinstance(spec.values.get(n), Symbol) for n in WINDOW) or window:
            filters = spec.values.get("filters", shapes[0][-1])
            return (*(None,) * (len(plain[0]) - 1), filters)
        last: Any = max(shapes, key=len)[-1]
        symbolic = isinstance(last, Symbol)
        try:
            shape = super()._output_shape(spec, plain)
        except Bail:
            if spec.class_name == "DepthwiseConv2D" and symbolic:
                return (*(None,) * (len(plain[0]) - 1), None)
            raise
        keeps = KEEPS_CHANNELS.fullmatch(spec.class_name) or shape == plain[0]
        if keeps and symbolic and spec.class_name not in ("Concatenate", "Flatten"):
            return (*shape[:-1], last)
        return shape

    def _flattened(self, spec: LayerSpec, value: Value, shape: Shape) -> Value:
        sizes: tuple[Any, ...] = value.shape[1:]
        partly = isinstance(sizes[-1], int) and not all(isinstance(n, int) for n in sizes)
        if value.layout == "first" and partly and spec.node not in self.ordered:
            torch = self.rewriter.imports.use("torch")
            return Value(
                Fragment(f"{torch}.flatten({value.text.text}, 1)"), (None, None), "last", sizes, spec.node
            )
        if any(isinstance(n, Symbol) for n in sizes):
            value = dataclasses.replace(
                value, shape=tuple(None if isinstance(n, Symbol) else n for n in value.shape)
            )
        return super()._flattened(spec, value, shape)

    def _weights(self, spec: LayerSpec, shape: Shape, flat: tuple[int, ...] | None) -> dict[str, Any]:
        found = super()._weights(spec, shape, None)
        if flat is not None and spec.class_name == "Dense":
            known = all(isinstance(n, int) for n in flat)
            found["kernel"] = ["weight", FLATTENED, dict(zip("hwc", flat))] if known and len(flat) == 3 else [
                "weight", MERGED, {"c": flat[-1]}]  # fmt: skip
        rows = [r for row in found.values() for r in ([row] if isinstance(row[0], str) else row)]
        if any(not isinstance(size, int | list) for _, _, sizes in rows for size in sizes.values()):
            raise Bail(f"the channels of {spec.class_name} are not known")
        return found

    def _attribute(self, spec: LayerSpec) -> str:
        return self.attributes[spec]

    def _module(self, spec: LayerSpec, inputs: Sequence[Value], shapes: list[Shape], layout: str,
                flat: tuple[int, ...] | None) -> Fragment:  # fmt: skip
        present = self.modules.get(spec)
        if present is None:
            present = self._make(spec, shapes, layout, flat)
        elif spec.rule.options.get("weights"):
            if [len(s) for s in present.shapes] != [len(s) for s in shapes]:
                raise Bail(f"one {spec.class_name} on inputs of different rank")
            if [s[-1] for s in present.shapes] != [s[-1] for s in shapes] and spec.node not in self.lazy:
                raise NeedsLazy(spec.node)
        inside = ", ".join(v.text.text for v in inputs)
        return Fragment(f"{self.spelling.get(spec, 'self.' + present.attribute)}({inside})")

    def _flat(
        self, spec: LayerSpec, values: Sequence[Value], activation: str | None
    ) -> tuple[int, ...] | None:
        if spec.class_name == "Dense" and spec in self.modules and any(v.flat for v in values):
            raise NeedsOrder(values[0].flatten or spec.node)
        return super()._flat(spec, values, activation)

    def _constructor(self, spec: LayerSpec, shape: Shape, layout: str) -> str:
        channels = shape[-1]
        unknown = (channels is None or spec.node in self.lazy) and bool(spec.rule.options.get("weights"))
        if unknown:
            shape = (*shape[:-1], Symbol(PLACE))  # type: ignore[assignment, arg-type]
        values = {n: self._spelt(spec, n, v) for n, v in spec.values.items()}
        text = super()._constructor(dataclasses.replace(spec, values=values), shape, layout)
        return self._lazy(text) if unknown else text

    def _spelt(self, spec: LayerSpec, name: str, value: Any) -> Any:
        """A window size that only run time tells, as its text: the rule then takes its general branch."""
        if name not in (*WINDOW, *SIZES) or is_known(value) or name not in spec.given:
            return value
        text = self.rewriter.expr(spec.given[name]).text
        return Spelt(text) if name in WINDOW else Symbol(text)

    def _lazy(self, text: str) -> str:
        """``nn.Conv2d(channels, 16, 3)`` as ``nn.LazyConv2d(16, 3)``. Raises `Bail` where there is no such module."""
        nn = self.rewriter.imports.use("nn")
        function, _, rest = text.partition("(")
        for concrete, lazy in LAZY.items():
            module, _, name = concrete.partition(".")
            spelt = (
                f"{nn}.{name}"
                if module == "nn"
                else f"{self.rewriter.imports.use('compat')}.keras.{concrete}"
            )
            if function == spelt and rest.startswith(PLACE) and rest.count(PLACE) == 1:
                rest = rest.removeprefix(PLACE).removeprefix(", ")
                if lazy.startswith("nn."):
                    return f"{nn}.{lazy[3:]}({rest}"
                return f"{self.rewriter.imports.use('compat')}.keras.{lazy}({rest}"
        if PLACE in text:
            raise Bail(f"{function} with an unknown number of channels")
        return text

    def _initialisers(self, spec: LayerSpec, weights: dict[str, Any]) -> list[tuple[str, str]] | None:
        found = super()._initialisers(spec, weights)
        return None if found and "Lazy" in self.built_text.get(spec, "") else found

    def _make(
        self, spec: LayerSpec, shapes: list[Shape], layout: str, flat: tuple[int, ...] | None
    ) -> Module:
        self.built_text = {spec: self._constructor(spec, max(shapes, key=len), layout)}
        return super()._make(spec, shapes, layout, flat)


def _bound(init: ast.AST | None) -> dict[str, list[ast.AST]]:
    """What ``__init__`` binds to each name and attribute, arguments included."""
    found: dict[str, list[ast.AST]] = {}
    for node in ast.walk(init) if init is not None else ():
        if isinstance(node, ast.arg):
            found.setdefault(node.arg, []).append(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                found.setdefault(ast.unparse(target), []).append(node.value)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.NamedExpr | ast.comprehension):
            found.setdefault(ast.unparse(node.target), []).extend([node, node])
    return found
