"""TensorFlow's functions inside ``call``: those of every element alone, joins, reductions; axes follow the layout."""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING, Any

from tfport.layers.layouts import ELEMENTWISE_OPS, axis_in
from tfport.source.models.class_trace import ClassTrace, Open, alike_ranks
from tfport.source.models.spec import Bail, LayerSpec
from tfport.source.models.trace import NeedsOrder, Value
from tfport.source.text import Fragment, precedence

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

ALIKE = ELEMENTWISE_OPS | {
    "tf.identity", "tf.cast", "tf.clip_by_value", "tf.nn.dropout", "tf.zeros_like", "tf.ones_like", "tf.math.square",
    "tf.math.sqrt", "tf.math.log", "tf.math.maximum", "tf.math.minimum", "tf.math.softplus", "tf.sign", "tf.math.negative",
}  # fmt: skip
REDUCTIONS = frozenset({"tf.reduce_mean", "tf.reduce_sum", "tf.reduce_max", "tf.reduce_min", "tf.math.reduce_mean",
                        "tf.math.reduce_sum", "tf.math.reduce_max", "tf.math.reduce_min"})  # fmt: skip
ALONG = frozenset(
    {"tf.nn.softmax", "tf.nn.log_softmax", "tf.math.softmax", "tf.math.l2_normalize", "tf.nn.l2_normalize"}
)
JOINS = {"concatenate": "Concatenate", "add": "Add", "subtract": "Subtract", "multiply": "Multiply", "average": "Average",
         "maximum": "Maximum", "minimum": "Minimum"}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Several:
    """A tuple of tensors that a block returns."""

    values: tuple[Value, ...]
    text: Fragment


@dataclasses.dataclass(frozen=True)
class Plain:
    """An expression without tensors."""

    text: Fragment


Result = Value | Several | Plain


class Functions:
    """The part of `CallReader` that knows functions by name."""

    rewriter: Rewriter
    trace: ClassTrace
    env: dict[str, Result]

    def evaluate(self, node: ast.expr) -> Result:
        """The value of an expression and its new text."""
        raise NotImplementedError

    def tensor(self, node: ast.expr) -> Value:
        """An expression that must be a tensor."""
        raise NotImplementedError

    def opaque(self, node: ast.expr) -> Value | Plain:
        """An expression in TensorFlow's order."""
        raise NotImplementedError

    def _prepare(self, node: ast.AST) -> bool:
        raise NotImplementedError

    def _override(self, node: ast.AST, text: Fragment) -> None:
        self.rewriter.overrides[node] = text
        self.rewriter.touch(node)

    @staticmethod
    def _single(result: Result) -> Value | Plain:
        if isinstance(result, Several):
            raise Bail("a tuple where a tensor is expected")
        return result

    def alike(self, node: ast.Call) -> Result:
        """A function of every element alone: arguments in one layout."""
        results = [self._single(self.evaluate(a)) for a in node.args]
        values = [r for r in results if isinstance(r, Value)]
        if (
            len(values) != 1
            or not isinstance(results[0], Value)
            or any(_holds_tensor(self, k.value) for k in node.keywords)
        ):
            return self.opaque(node)
        self._override(node.args[0], values[0].text)
        for argument, result in list(zip(node.args, results))[1:]:
            if result.text.text != self.rewriter.source.segment(argument):
                self._override(argument, result.text)
        for keyword in node.keywords:
            self._prepare(keyword)
        return dataclasses.replace(values[0], text=self.rewriter.expr(node), mask=None)

    def _axis(self, node: ast.Call, names: tuple[str, ...] = ("axis",)) -> tuple[ast.expr | None, Any]:
        found = (
            node.args[1]
            if len(node.args) > 1
            else next((k.value for k in node.keywords if k.arg in names), None)
        )
        return found, None if found is None else self.rewriter.facts.of(found).value

    def concatenated(self, node: ast.Call) -> Result:
        axis_node, axis = self._axis(node)
        items = node.args[0] if node.args else None
        if axis_node is None or not isinstance(axis, int) or not isinstance(items, ast.List | ast.Tuple):
            return self.opaque(node)
        values = alike_ranks([self.tensor(e) for e in items.elts])
        if any(v.flat is not None for v in values):
            raise NeedsOrder(next(v.flatten for v in values if v.flat is not None) or node)
        ranks = {len(v.shape) for v in values}
        opened = any(isinstance(v.shape, Open) for v in values)
        if len(ranks) > 1 or opened or ranks == {2}:
            return self._concatenated_last(node, values, items, axis)
        rank = ranks.pop()
        layout = "first" if any(v.layout == "first" for v in values) else "last"
        for element, value in zip(items.elts, values):
            self._override(element, value.moved(layout).text)
        self._override(axis_node, Fragment(str(axis_in(layout, axis, rank))))
        sizes = [v.shape[-1] for v in values]
        joined = sum(sizes) if all(isinstance(n, int) for n in sizes) else None  # type: ignore[arg-type]
        last = joined if axis % rank == rank - 1 else sizes[0]
        return Value(
            self._mapped(node, axis_node, axis_in(layout, axis, rank)), (*(None,) * (rank - 1), last), layout
        )

    def _concatenated_last(
        self, node: ast.Call, values: list[Value], items: ast.List | ast.Tuple, axis: int
    ) -> Value:
        for element, value in zip(items.elts, values):
            self._override(element, value.moved("last").text)
        sizes = [v.shape[-1] for v in values]
        known = axis == -1 and all(isinstance(n, int) for n in sizes)
        return Value(self.rewriter.expr(node), Open((), sum(sizes) if known else None))  # type: ignore[arg-type]

    def _mapped(self, node: ast.Call, axis_node: ast.expr, axis: Any) -> Fragment:
        """The call with another axis."""
        constant = _literal(axis)
        for part in ast.walk(constant):
            if isinstance(part, ast.expr):
                ast.copy_location(part, axis_node)
                self._override(part, Fragment(ast.unparse(part), precedence(part)))
        call = ast.copy_location(ast.Call(
            node.func, [constant if a is axis_node else a for a in node.args],
            [ast.copy_location(ast.keyword(k.arg, constant), k) if k.value is axis_node else k for k in node.keywords],
        ), node)  # fmt: skip
        self.rewriter.dirty.add(call)
        for keyword in call.keywords:
            self.rewriter.dirty.add(keyword)
        return self.rewriter.expr(call)

    def reduced(self, node: ast.Call) -> Result:
        axis_node, axis = self._axis(node)
        value = self.tensor(node.args[0]) if node.args else None
        keeps = next(
            (
                self.rewriter.facts.of(k.value).value
                for k in node.keywords
                if k.arg in ("keepdims", "keep_dims")
            ),
            False,
        )
        axes = [axis] if isinstance(axis, int) else axis
        plain = (
            value is None or isinstance(value.shape, Open) or len(value.shape) < 3 or value.layout != "first"
        )
        if (
            plain
            or axis_node is None
            or not isinstance(axes, list | tuple)
            or not isinstance(keeps, bool)
            or len(node.args) > 2
        ):
            return self.opaque(node)
        assert value is not None
        rank = len(value.shape)
        if not all(isinstance(a, int) for a in axes):
            return self.opaque(node)
        gone = {a % rank for a in axes}
        mapped = [axis_in("first", a, rank) for a in axes]
        self._override(node.args[0], value.text)
        text = self._mapped(node, axis_node, mapped[0] if isinstance(axis, int) else type(axis)(mapped))
        shape = tuple(1 if i in gone else n for i, n in enumerate(value.shape))
        if keeps:
            return Value(text, shape, "first")
        shape = tuple(n for i, n in enumerate(shape) if i not in gone)
        return Value(text, shape, "last" if rank - 1 in gone or len(shape) < 3 else "first")

    def along(self, node: ast.Call) -> Result:
        axis_node, axis = self._axis(node)
        value = self.tensor(node.args[0])
        if (
            value.layout != "first"
            or axis_node is None
            or not isinstance(axis, int)
            or isinstance(value.shape, Open)
        ):
            return self.opaque(node)
        self._override(node.args[0], value.text)
        text = self._mapped(node, axis_node, axis_in("first", axis, len(value.shape)))
        return dataclasses.replace(value, text=text, mask=None)

    def merged(self, node: ast.Call, name: str) -> Result:
        """``layers.concatenate([a, b])`` inside call."""
        last = name.rsplit(".", 1)[1]
        if last not in JOINS or len(node.args) < 1 or not isinstance(node.args[0], ast.List | ast.Tuple):
            raise Bail(f"{name} inside call()")
        rule = self.rewriter.book.find(f"tf.keras.layers.{JOINS[last]}")[0]
        axis_node, axis = self._axis(node)
        if JOINS[last] == "Concatenate" and axis_node is not None and not isinstance(axis, int):
            raise Bail("an axis that is not known")
        values = {"axis": axis if axis_node is not None else -1} if JOINS[last] == "Concatenate" else {}
        if JOINS[last] in ("Average", "Maximum", "Minimum"):
            raise Bail(f"{name} inside call()")
        spec = LayerSpec(node, rule, {}, values, None, None)
        self.trace.attributes[spec] = ""
        made = self.trace.apply(spec, [self.tensor(e) for e in node.args[0].elts])
        self.trace.records = [r for r in self.trace.records if r is not self.trace.recorded.get(spec)]
        self.trace.recorded.pop(spec, None)
        return made


def _holds_tensor(reader: Functions, node: ast.expr) -> bool:
    return any(isinstance(n, ast.Name) and isinstance(reader.env.get(n.id), Value) for n in ast.walk(node))


def _literal(value: Any) -> ast.expr:
    if isinstance(value, list | tuple):
        kind = ast.List if isinstance(value, list) else ast.Tuple
        return kind([_literal(v) for v in value], ast.Load())
    return ast.Constant(value)
