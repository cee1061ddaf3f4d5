"""``keras.Sequential([...])`` as a class."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.models.builder import INPUTS, Builder, Built, mask_lines, without_unused, write
from tfport.source.models.classes import Line
from tfport.source.models.recurrent import statements
from tfport.source.models.spec import Bail, LayerSpec, layer_rule, read, shape_of
from tfport.source.models.trace import Trace, Value, traced
from tfport.source.text import Fragment

if TYPE_CHECKING:
    from tfport.source.convert import Walk

SEQUENTIAL = frozenset({"tf.keras.Sequential", "tf.keras.models.Sequential"})


@dataclasses.dataclass
class Stack:
    """A Sequential: its call, its statement, its layers' calls, the statements that only add them, and what the
    statements between claim of the output's shape: how many layers there are by then, and the claim."""

    call: ast.Call
    statement: ast.stmt
    layers: list[ast.expr]
    added: list[ast.stmt]
    claims: list[tuple[int, ast.expr]]


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
        if not isinstance(value, ast.Call) or not _is(walk, value, SEQUENTIAL) or value in walk.nested:
            continue
        layers = _listed(value)
        if layers is None:
            continue
        name = _target(statement)
        added, claims = _added(name, stmts[index + 1 :], layers)
        if name is None or not _grows(name, [s for s in stmts[index + 1 :] if s not in added]):
            yield Stack(value, statement, layers, added, claims)


def _target(statement: ast.stmt) -> str | None:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    return target.id if isinstance(target, ast.Name) else None


def _grows(name: str, stmts: list[ast.stmt]) -> bool:
    """Whether layers are added to the model elsewhere: the class would lack them."""
    calls = (
        n for s in stmts for n in ast.walk(s) if isinstance(n, ast.Attribute) and n.attr in ("add", "pop")
    )
    return any(isinstance(c.value, ast.Name) and c.value.id == name for c in calls)


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


def _added(
    name: str | None, following: list[ast.stmt], layers: list[ast.expr]
) -> tuple[list[ast.stmt], list[tuple[int, ast.expr]]]:
    """The run of ``model.add(layer)`` and ``assert model.output_shape == ...`` after the constructor; the added
    layers are appended to ``layers``."""
    found: list[ast.stmt] = []
    claims: list[tuple[int, ast.expr]] = []
    for later in following:
        if (layer := _added_layer(name, later)) is not None:
            layers.append(layer)
        elif (claim := _claimed_shape(name, later)) is not None:
            claims.append((len(layers), claim))
        else:
            break
        found.append(later)
    return found, claims


def _added_layer(name: str | None, statement: ast.stmt) -> ast.expr | None:
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or len(call.args) != 1 or call.keywords:
        return None
    return call.args[0] if name is not None and _is_attribute(call.func, name, "add") else None


def _claimed_shape(name: str | None, statement: ast.stmt) -> ast.expr | None:
    test = statement.test if isinstance(statement, ast.Assert) else None
    if (
        name is None
        or not isinstance(test, ast.Compare)
        or not _is_attribute(test.left, name, "output_shape")
    ):
        return None
    return test.comparators[0] if len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq) else None


def _is_attribute(node: ast.AST, name: str, attribute: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    )


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
    skipped = len(stack.layers) - len(layers)
    for place, call in enumerate(layers, start=skipped + 1):
        value = trace.apply(specs[call], [value])
        for claim in (c for at, c in stack.claims if at == place):
            if rewriter.facts.of(claim).value != value.shape:
                raise Bail("an assertion of another shape")
        above, beside = walk.comments_of(call)
        forward += mask_lines(trace)
        text, *more = [""] if value.text.text == "x" else statements(trace, "x", value.text.text)
        forward += [Line(text, above, beside), *(Line(t) for t in more)]
        value = dataclasses.replace(value, text=Fragment("x"))
    result = Builder.result(value, walk.layout)
    if start.layout == "first" and not trace.images:
        raise Bail("an input of rank 4 that no image layer reads")
    if not trace.modules:
        raise Bail("a model without modules")
    forward.append(Line(f"return {result.text.text}"))
    forward = without_unused(forward)
    return Built(trace, [("x", start)], [result], forward, list(stack.added), set())
