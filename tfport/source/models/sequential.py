"""``keras.Sequential([...])`` as a class."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.models.builder import INPUTS, Builder, Built, write
from tfport.source.models.classes import Line
from tfport.source.models.spec import Bail, LayerSpec, layer_rule, read, shape_of
from tfport.source.models.trace import Trace, Value, traced
from tfport.source.text import Fragment

if TYPE_CHECKING:
    from tfport.source.convert import Walk

SEQUENTIAL = frozenset({"tf.keras.Sequential", "tf.keras.models.Sequential"})


@dataclasses.dataclass
class Stack:
    """A Sequential: its call, its statement, its layers' calls and the statements that only add them."""

    call: ast.Call
    statement: ast.stmt
    layers: list[ast.expr]
    added: list[ast.stmt]


def sequential(walk: Walk, stmts: list[ast.stmt], owner: ast.AST) -> None:
    """Turn the Sequential models of a block into classes where all sizes are known."""
    for stack in _stacks(walk, stmts):
        try:
            specs: dict[ast.AST, LayerSpec] = {}
            current = stack
            built = traced(walk.rewriter, lambda trace: _trace(walk, trace, current, specs))  # noqa: B023  (runs at once)
        except Bail:
            continue
        walk.keep_comments(stack.call)
        layers = list(built.trace.recorded.values())
        write(walk, built, owner, stack.statement, stack.call, "sequential", layers)


def _stacks(walk: Walk, stmts: list[ast.stmt]) -> Iterator[Stack]:
    for index, statement in enumerate(stmts):
        value = statement.value if isinstance(statement, ast.Assign | ast.Return) else None
        if not isinstance(value, ast.Call) or not _is(walk, value, SEQUENTIAL):
            continue
        layers = _listed(value)
        if layers is None:
            continue
        added = _added(statement, stmts[index + 1 :])
        yield Stack(value, statement, [*layers, *(s.value.args[0] for s in added)], list(added))  # type: ignore[attr-defined]


def _is(walk: Walk, node: ast.AST, names: frozenset[str]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    meaning = walk.rewriter.names.resolve(node.func)
    return isinstance(meaning, Canonical) and meaning.name in names


def _listed(call: ast.Call) -> list[ast.expr] | None:
    """The layers in the constructor; None if it is more than a literal list and a name."""
    given = list(call.args) + [k.value for k in call.keywords if k.arg == "layers"]
    if any(k.arg not in ("layers", "name") for k in call.keywords) or len(given) > 1:
        return None
    if not given:
        return []
    return list(given[0].elts) if isinstance(given[0], ast.List | ast.Tuple) else None


def _added(statement: ast.stmt, following: list[ast.stmt]) -> list[ast.stmt]:
    """The unbroken run of ``model.add(layer)`` after the constructor."""
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return []
    name, found = statement.targets[0].id, []
    for later in following:
        call = later.value if isinstance(later, ast.Expr) else None
        func = call.func if isinstance(call, ast.Call) else None
        if not (isinstance(func, ast.Attribute) and func.attr == "add" and isinstance(func.value, ast.Name)):
            break
        if func.value.id != name or not isinstance(call, ast.Call) or len(call.args) != 1 or call.keywords:
            break
        found.append(later)
    return found


def _trace(walk: Walk, trace: Trace, stack: Stack, specs: dict[ast.AST, LayerSpec]) -> Built:
    rewriter = walk.rewriter
    layers = list(stack.layers)
    if not layers or any(isinstance(e, ast.Starred) for e in layers):
        raise Bail("no literal layers")
    shape: tuple[int | None, ...] | None = None
    if _is(walk, layers[0], INPUTS | {"tf.keras.layers.InputLayer"}):
        first = layers.pop(0)
        assert isinstance(first, ast.Call)
        given = [*first.args, *(k.value for k in first.keywords if k.arg in ("shape", "input_shape"))]
        if len(given) != 1:
            raise Bail("an Input without a plain shape")
        shape = shape_of(rewriter, given[0])
    for call in layers:
        rule = layer_rule(rewriter, call)
        if rule is None or not isinstance(call, ast.Call):
            raise Bail("an item that is no layer")
        specs.setdefault(call, read(rewriter, call, rule))
        shape = shape or specs[call].input_shape
    if shape is None or not layers:
        raise Bail("the input's shape is not known")
    value = Value(
        Fragment("x"),
        (None, *shape),
        "first" if len(shape) > 2 and walk.layout == "nchw" else "last",
        node=trace.called(("input", "x", None), ()),
    )
    start, forward = value, []
    for call in layers:
        value = trace.apply(specs[call], [value])
        above, beside = walk.comments_of(call)
        text = "" if value.text.text == "x" else f"x = {value.text.text}"
        forward.append(Line(text, above, beside))
        value = dataclasses.replace(value, text=Fragment("x"))
    result = Builder.result(value, walk.layout)
    if start.layout == "first" and not trace.images:
        raise Bail("an input of rank 4 that no image layer reads")
    if not trace.modules:
        raise Bail("a model without modules")
    forward.append(Line(f"return {result.text.text}"))
    return Built(trace, [("x", start)], [result], forward, list(stack.added), set())
