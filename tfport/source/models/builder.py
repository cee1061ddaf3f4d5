"""Straight-line builders, ``x = layers.Dense(10)(x) ... keras.Model(inputs, x)``, as classes."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfport.layers.layouts import ELEMENTWISE_OPS
from tfport.layers.order import keras_order
from tfport.source.canonical import Canonical
from tfport.source.models import activations, attention
from tfport.source.models.classes import Line, class_name, class_text
from tfport.source.models.recurrent import statements
from tfport.source.models.spec import Bail, LayerSpec, layer_rule, read, shape_of
from tfport.source.models.trace import Module, NeedsOrder, Trace, Value, traced
from tfport.source.text import Fragment, parenthesised, precedence

if TYPE_CHECKING:
    from tfport.source.convert import Walk

MODELS = frozenset({"tf.keras.Model", "tf.keras.models.Model", "tf.keras.models.Functional", "tf.keras.Functional",
                    "tf.keras.training.Model"})  # fmt: skip
INPUTS = frozenset({"tf.keras.Input", "tf.keras.layers.Input"})
MERGES = {"add": "Add", "subtract": "Subtract", "multiply": "Multiply", "concatenate": "Concatenate"}
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult)


@dataclasses.dataclass
class Built:
    """A finished trace: what the class needs, and the statements that it takes the place of."""

    trace: Trace
    inputs: list[tuple[str, Value]]
    outputs: list[Value]
    forward: list[Line]
    consumed: list[ast.stmt]
    defined: set[str]


class Builder:
    """Traces the statements of one block up to a model call."""

    def __init__(self, walk: Walk, trace: Trace, specs: dict[ast.AST, LayerSpec]) -> None:
        self.walk, self.rewriter, self.trace = walk, walk.rewriter, trace
        self.specs = specs
        self.values: dict[str, Value] = {}
        self.layers: dict[str, LayerSpec] = {}
        self.inputs: dict[str, Value] = {}
        self.forward: list[Line] = []
        self.consumed: list[ast.stmt] = []

    def block(self, stmts: Sequence[ast.stmt], model: ast.Call, last: ast.stmt) -> Built:
        """Trace ``stmts`` up to ``last``, which holds the model call."""
        self.trace.names = {n.id for s in stmts for n in ast.walk(s) if isinstance(n, ast.Name)}
        for statement in stmts:
            if statement is last:
                break
            self._statement(statement)
        inputs, outputs = self._ends(model)
        results = [self.result(self.evaluate(o), self.walk.layout) for o in outputs]
        returned = ", ".join(v.text.text for v in results)
        self.forward += mask_lines(self.trace)
        self.forward.append(Line(f"return {returned}"))
        self.forward = without_unused(self.forward)
        names = [i.id for i in inputs if isinstance(i, ast.Name)]
        if len(names) != len(inputs) or any(n not in self.inputs for n in names):
            raise Bail("an input that is not a keras.Input of this block")
        if set(names) != set(self.inputs):
            raise Bail("an input that the model does not take")
        ends = [(n, self.inputs[n]) for n in names]
        return Built(self.trace, ends, results, self.forward, self.consumed, {*self.values, *self.layers})

    @staticmethod
    def result(value: Value, layout: str) -> Value:
        """What forward returns: images as they are computed, or in TensorFlow's layout where that is to be kept."""
        if value.flat is not None:
            raise NeedsOrder(value.flatten or ast.Pass())
        return value.moved("last" if len(value.shape) == 3 else "first")  # images leave a class as NCHW

    @staticmethod
    def _ends(model: ast.Call) -> tuple[list[ast.expr], list[ast.expr]]:
        given = dict(zip(("inputs", "outputs"), model.args, strict=False))
        given |= {k.arg: k.value for k in model.keywords if k.arg in ("inputs", "outputs", "input", "output")}
        inputs, outputs = given.get("inputs", given.get("input")), given.get("outputs", given.get("output"))
        if inputs is None or outputs is None or len(model.args) > 2:
            raise Bail("Model without inputs and outputs")
        return _items(inputs), _items(outputs)

    # -- statements --------------------------------------------------------------------------------------

    def _statement(self, statement: ast.stmt) -> None:
        target = (
            statement.targets[0]
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1
            else None
        )
        if not isinstance(statement, ast.Assign) or not isinstance(target, ast.Name):
            if self._concerns(statement):
                raise Bail("a statement that is no plain assignment")
            return
        name, value = target.id, statement.value
        if self._is(value, INPUTS):
            self._input(name, value)
        elif (rule := layer_rule(self.rewriter, value)) is not None:
            assert isinstance(value, ast.Call)
            self.layers[name] = self._spec(value, rule)
            self.values.pop(name, None)
        elif self._concerns(statement):
            self._assign(name, self.evaluate(value), statement)
        else:
            return
        self.consumed.append(statement)

    def _input(self, name: str, call: ast.AST) -> None:
        assert isinstance(call, ast.Call)
        options = {k.arg: k.value for k in call.keywords}
        shape = call.args[0] if call.args else options.pop("shape", None)
        if shape is None or set(options) - {"name", "dtype", "batch_size", "shape"}:
            raise Bail("an Input without a plain shape")
        sizes = shape_of(self.rewriter, shape)
        layout = "first" if len(sizes) > 2 and self.walk.layout == "nchw" else "last"
        key = self.rewriter.facts.of(options["name"]).value if "name" in options else None
        value = Value(
            Fragment(name), (None, *sizes), layout, node=self.trace.called(("input", name, key), ())
        )
        self.inputs[name] = self.values[name] = value

    def _assign(self, name: str, value: Value, statement: ast.stmt) -> None:
        above, beside = self.walk.comments_of(statement)
        self.forward += mask_lines(self.trace)
        text, *more = [""] if value.text.text == name else statements(self.trace, name, value.text.text)
        self.forward += [Line(text, above, beside), *(Line(t) for t in more)]
        self.values[name] = dataclasses.replace(value, text=Fragment(name))
        self.layers.pop(name, None)

    def _concerns(self, node: ast.AST) -> bool:
        """Whether a statement reads a value or layer of the model, or makes one."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and (inner.id in self.values or inner.id in self.layers):
                return True
            if layer_rule(self.rewriter, inner) is not None or self._is(inner, INPUTS | MODELS):
                return True
        return False

    def _is(self, node: ast.AST, names: frozenset[str]) -> bool:
        if not isinstance(node, ast.Call):
            return False
        meaning = self.rewriter.names.resolve(node.func)
        return isinstance(meaning, Canonical) and meaning.name in names

    def _spec(self, node: ast.Call, rule: Any) -> LayerSpec:
        if node not in self.specs:
            self.specs[node] = read(self.rewriter, node, rule)
        return self.specs[node]

    # -- expressions -------------------------------------------------------------------------------------

    def evaluate(self, node: ast.AST) -> Value:
        """The value of an expression of the model. Raises `Bail` for what is no layer call or simple arithmetic."""
        if isinstance(node, ast.Name) and node.id in self.values:
            return self.values[node.id]
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ARITHMETIC):
            return self._arithmetic(node)
        raise Bail("an expression that is no layer call")

    def _call(self, node: ast.Call) -> Value:
        rule = layer_rule(self.rewriter, node.func)
        if rule is not None:
            assert isinstance(node.func, ast.Call)
            return self._applied(self._spec(node.func, rule), node)
        if isinstance(node.func, ast.Name) and node.func.id in self.layers:
            return self._applied(self.layers[node.func.id], node)
        meaning = self.rewriter.names.resolve(node.func)
        if isinstance(meaning, Canonical):
            return self._function(node, meaning.name)
        raise Bail("a call that is no layer's")

    def _applied(self, spec: LayerSpec, node: ast.Call) -> Value:
        if spec.class_name in attention.KINDS:
            return attention.called(self.rewriter, self.trace, spec, node, self.evaluate)
        if len(node.args) != 1 or node.keywords:
            raise Bail("a layer called with more than its input")
        return self.trace.apply(spec, [self.evaluate(a) for a in _items(node.args[0])])

    def _function(self, node: ast.Call, name: str) -> Value:
        last = name.rsplit(".", 1)[1] if "." in name else name
        if name.startswith("tf.keras.layers.") and last in MERGES and node.args:
            return self._merged(node, MERGES[last])
        if name in ELEMENTWISE_OPS and last in activations.TEXT and len(node.args) == 1:
            value = self.evaluate(node.args[0])
            if any(k.arg != "name" for k in node.keywords):
                raise Bail(f"keywords of {name}")
            text = Fragment(activations.text(self.rewriter, last, value.text.text, -1))
            return dataclasses.replace(value, text=text, node=self.trace.called(node, [value]), mask=None)
        raise Bail(f"{name} inside a model")

    def _merged(self, node: ast.Call, kind: str) -> Value:
        rule = self.rewriter.book.find(f"tf.keras.layers.{kind}")[0]
        call = ast.copy_location(ast.Call(node.func, [], node.keywords), node)
        values = {
            p.name: ast.literal_eval(p.default) for p in rule.parameters.values() if p.default is not None
        }
        given = {k.arg: k.value for k in node.keywords if k.arg and k.arg != "name"}
        for name, value in given.items():
            values[name] = self.rewriter.facts.of(value).value
        if set(values) - set(rule.parameters):
            raise Bail(f"keywords of {kind.lower()}")
        spec = LayerSpec(call, rule, given, values, None, None)
        return self.trace.apply(spec, [self.evaluate(a) for a in _items(node.args[0])])

    def _arithmetic(self, node: ast.BinOp) -> Value:
        sides = [self._operand(n) for n in (node.left, node.right)]
        values = [s for s in sides if isinstance(s, Value)]
        if not values or any(v.flat is not None for v in values) or len({v.shape for v in values}) > 1:
            raise Bail("arithmetic of unlike values")
        layout = values[0].layout
        level = precedence(node)
        texts = [s.moved(layout).text if isinstance(s, Value) else s for s in sides]
        sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}[type(node.op)]  # type: ignore[index]
        text = f"{parenthesised(texts[0], level)} {sign} {parenthesised(texts[1], level + 1)}"
        return Value(Fragment(text, level), values[0].shape, layout, node=self.trace.called(node, values))

    def _operand(self, node: ast.expr) -> Value | Fragment:
        if isinstance(self.rewriter.facts.of(node).value, int | float):
            return self.rewriter.expr(node)
        return self.evaluate(node)


def mask_lines(trace: Trace) -> list[Line]:
    """The lines of the masks that the statement at hand makes."""
    made = [Line(f"{name} = {text}", mask=name) for name, text in trace.new_masks]
    trace.new_masks.clear()
    return made


def without_unused(lines: list[Line]) -> list[Line]:
    """The lines but for masks that nothing takes."""
    used = [line for line in lines if not line.mask]
    return [x for x in lines if not x.mask or any(f"mask={x.mask})" in line.text for line in used)]


def _items(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.List | ast.Tuple) else [node]


def functional(walk: Walk, stmts: Sequence[ast.stmt], owner: ast.AST) -> None:
    """Turn every straight-line functional model of a block into a class; leave others to the recorder."""
    for statement in stmts:
        value = statement.value if isinstance(statement, ast.Assign | ast.Return) else None
        if not isinstance(value, ast.Call):
            continue
        meaning = walk.rewriter.names.resolve(value.func)
        if (
            not isinstance(meaning, Canonical)
            or meaning.name not in MODELS
            or not (value.args or value.keywords)
            or value in walk.nested
        ):
            continue
        specs: dict[ast.AST, LayerSpec] = {}
        model, last = value, statement
        try:
            with walk.rewriter.attempt():
                built = traced(
                    walk.rewriter,
                    lambda trace: Builder(walk, trace, specs).block(stmts, model, last),  # noqa: B023  (runs at once)
                )
                _check(walk, built, owner, last, model)
        except Bail:
            continue
        write(walk, built, owner, last, model, "functional", ordered_records(built))


def _check(walk: Walk, built: Built, owner: ast.AST, last: ast.stmt, model: ast.Call) -> None:
    """Raise `Bail` where a name of the model is used outside of it, or an image input meets no image layer."""
    inside = {n for s in [*built.consumed, model] for n in ast.walk(s)}
    names = walk.rewriter.names
    for node in ast.walk(walk.source.tree if isinstance(owner, ast.Module) else owner):
        if (
            isinstance(node, ast.Name)
            and node.id in built.defined
            and isinstance(node.ctx, ast.Load)
            and node not in inside
        ):
            scope = names.owner(node.id, names.scope_of[node]) if node in names.scope_of else None
            if scope is not None and scope.node is owner:
                raise Bail(f"{node.id} is used outside the model")
    if not built.trace.images and any(v.layout == "first" for _, v in built.inputs):
        raise Bail("an input of rank 4 that no image layer reads")
    if not built.trace.modules:
        raise Bail("a model without modules")


def write(walk: Walk, built: Built, owner: ast.AST, statement: ast.stmt, model: ast.Call, kind: str,
          layers: list[dict[str, Any]]) -> None:  # fmt: skip
    """Put the class above the statement, its construction in the place of the model's call, and the model in the record."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    keras_name = next(
        (walk.rewriter.facts.of(k.value).value for k in model.keywords if k.arg == "name"), None
    )
    builder = getattr(owner, "name", None)
    name = class_name(
        walk,
        keras_name if isinstance(keras_name, str) else None,
        builder,
        target.id if isinstance(target, ast.Name) else None,
    )
    modules = list(built.trace.modules.values())
    parameters = outer_names(walk, modules, owner)
    text = class_text(walk, name, parameters, modules, [n for n, _ in built.inputs], built.forward)
    walk.insert_class(statement, text)
    for consumed in built.consumed:
        walk.remove(consumed)
        walk.keep_comments(consumed)
        walk.skip.add(consumed)
    start, end = walk.source.span(model)
    walk.rewriter.change(start, end, f"{name}({', '.join(parameters)})", statement)
    walk.skip.update(ast.walk(model))
    walk.models[name] = [v.layout for _, v in built.inputs]
    walk.constructed[model] = name
    for spec in built.trace.recorded:
        walk.rewriter.tiers.inlined[spec.rule.primary] += 1
    note_model(walk, name, kind, layers, built.inputs, built.outputs, builder, statement)


def ordered_records(built: Built) -> list[dict[str, Any]]:
    """The layers' records in Keras' order, inputs included."""
    calls = built.trace.calls
    inputs = [v.node for _, v in built.inputs]
    order = keras_order([v.node for v in built.outputs], lambda n: calls[n][1], lambda n: calls[n][0], inputs)
    found = []
    for operation in order:
        if isinstance(operation, tuple):
            found.append(
                {"name": operation[2], "class": "InputLayer", "path": None, "keras_path": None, "weights": {}}
            )
        elif operation in built.trace.recorded:
            found.append(built.trace.recorded[operation])
    return found


def outer_names(walk: Walk, modules: Sequence[Module], owner: ast.AST) -> list[str]:
    """Names of the builder that constructors use: they become parameters of the class. Raises `Bail` for attributes."""
    names = walk.rewriter.names
    found: dict[str, None] = {}
    for module in modules:
        used = set(ast.walk(ast.parse(module.constructor)))
        spelt = {n.id for n in used if isinstance(n, ast.Name)}
        for value in module.spec.given.values():
            for node in ast.walk(value):
                if isinstance(node, ast.Name) and node.id in spelt and node in names.scope_of:
                    scope = names.owner(node.id, names.scope_of[node])
                    if scope is not None and scope is not names.module:
                        found[node.id] = None
    return list(found)


def note_model(walk: Walk, name: str, kind: str, layers: list[dict[str, Any]], inputs: Sequence[tuple[str, Value]],
               outputs: Sequence[Value], builder: str | None, statement: ast.stmt) -> None:  # fmt: skip
    """The model's entry in the record, and a note for each argument whose layout changed."""
    walk.record["models"][name] = {
        "kind": kind,
        "layers": layers,
        "inputs": [_layout_name(v) for _, v in inputs],
        "outputs": [_layout_name(v) for v in outputs],
        **({"builder": builder} if builder else {}),
    }
    for place, value in enumerate(outputs):
        if value.mask is not None:
            note_mask(walk, statement, name)
        change = (
            f"{_layout_name(value, True)} -> {_layout_name(value)}"
            if value.layout == "first" and len(value.shape) > 2
            else None
        )
        walk.record["results"].append({"where": f"{name}.forward", "result": place, "layout": change})
    for argument, value in inputs:
        if value.layout == "first" and len(value.shape) > 2:
            change = f"{_layout_name(value, True)} -> {_layout_name(value)}"
            walk.record["arguments"].append(
                {"where": f"{name}.forward", "argument": argument, "layout": change}
            )
            walk.rewriter.note(statement, "TFP201", f"{name}.forward", f"argument {argument} is {change}")


def note_mask(walk: Walk, node: ast.AST, name: str) -> None:
    """Say that a model's output has a mask: `fit` of Keras leaves masked steps out of the loss."""
    walk.rewriter.note_once(
        node, "TFP203", f"{name}.forward", "its output has Keras' mask; leave masked steps out of the loss"
    )


def _layout_name(value: Value, tensorflow: bool = False) -> str:
    """NHWC, NCHW, NDHWC ... or "" for values without a layout."""
    spatial = {3: "L", 4: "HW", 5: "DHW"}.get(len(value.shape), "")
    if not spatial:
        return ""
    return f"NC{spatial}" if value.layout == "first" and not tensorflow else f"N{spatial}C"
