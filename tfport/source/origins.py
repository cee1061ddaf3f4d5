"""Names of unknown origin that must not be presumed tensors, though they stand where TensorFlow takes one.

A parameter whose default is a number is called with a number at least where the default holds, one for which a call
in the file passes a number is called with one there; a name whose items are assigned (``x[:, 0::2] = ...``) is an
array or a list, as TensorFlow's tensors cannot be changed.
"""

from __future__ import annotations

import ast
import functools

from tfport.source.facts import Facts
from tfport.source.names import Names, Scope
from tfport.source.passed import passed
from tfport.source.reaching import reaching

PLAIN = frozenset({"number", "int", "list", "array", "shape"})


def may_be_number(facts: Facts, node: ast.expr) -> bool:
    """Whether an expression may be a number, list or array by what the file shows: a name, an attribute, an item of
    either, or arithmetic with it."""
    return _may_be(facts, node, set())


def _may_be(facts: Facts, node: ast.expr, seen: set[str]) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _may_be(facts, node.operand, seen)
    if isinstance(node, ast.BinOp):
        sides = (node.left, node.right)
        maybe = [_may_be(facts, side, seen) for side in sides]
        return any(maybe) and all(
            m or facts.of(side).kind in PLAIN for m, side in zip(maybe, sides, strict=True)
        )
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute):
        return _attribute_may_be(facts, node, seen)
    names = facts.names
    if not isinstance(node, ast.Name) or node not in names.scope_of:
        return False
    scope = names.owner(node.id, names.scope_of[node])
    if scope is None or not _is_parameter(names, node, scope):
        return scope is not None and node.id in _with_items_assigned(names, scope)
    return (
        _has_number_as_default(names, node.id, scope)
        or _is_passed_a_number(facts, node.id, scope)
        or node.id in _with_items_assigned(names, scope)
    )


def has_number_as_default(names: Names, node: ast.Name) -> bool:
    """Whether a name is a parameter that has a number as its default and is not assigned to."""
    scope = names.owner(node.id, names.scope_of[node])
    return (
        scope is not None
        and _is_parameter(names, node, scope)
        and _has_number_as_default(names, node.id, scope)
    )


def _is_passed_a_number(facts: Facts, name: str, scope: Scope) -> bool:
    """Whether a call in the file passes a number for this parameter."""
    given = passed(facts.names)
    return any(
        facts.of(value).kind in PLAIN for b in scope.bindings.get(name, []) for value in given.get(b.node, [])
    )


def _attribute_may_be(facts: Facts, node: ast.Attribute, seen: set[str]) -> bool:
    """Whether ``self.units`` is set to a number somewhere in the file, or to what the constructor was given."""
    if not isinstance(node.value, ast.Name) or node.value.id != "self" or node.attr in seen:
        return False
    seen.add(node.attr)
    for value in _values_of_attributes(facts.names).get(node.attr, []):
        if facts.of(value).kind in PLAIN or _is_constructor_argument(facts.names, value):
            return True
        if facts.of(value).kind == "?" and _may_be(facts, value, seen):
            return True
    return False


def _is_constructor_argument(names: Names, node: ast.expr) -> bool:
    if not isinstance(node, ast.Name) or node not in names.scope_of:
        return False
    scope = names.owner(node.id, names.scope_of[node])
    made = scope.node if scope is not None else None
    bindings = names.bindings(node)
    return (
        isinstance(made, ast.FunctionDef)
        and made.name == "__init__"
        and all(isinstance(b.node, ast.arg) for b in bindings)
    )


@functools.lru_cache(maxsize=16)
def _values_of_attributes(names: Names) -> dict[str, list[ast.expr]]:
    """Attribute of ``self`` -> everything that the file assigns to it."""
    found: dict[str, list[ast.expr]] = {}
    for node in names.parent:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if (
                    isinstance(target, ast.Attribute)
                    and isinstance(target.value, ast.Name)
                    and target.value.id == "self"
                ):
                    found.setdefault(target.attr, []).append(node.value)
    return found


def _has_number_as_default(names: Names, name: str, scope: Scope) -> bool:
    if not isinstance(scope.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return False
    arguments = scope.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(reversed(positional), reversed(arguments.defaults)),
        *zip(arguments.kwonlyargs, arguments.kw_defaults),
    ]
    return any(argument.arg == name and _is_number(names, default) for argument, default in pairs)


def _is_parameter(names: Names, node: ast.Name, scope: Scope) -> bool:
    """Whether a use sees the parameter itself, not the tensor that the function makes of it."""
    bindings = scope.bindings.get(node.id, [])
    if all(isinstance(b.node, ast.arg) for b in bindings):
        return True
    seen = reaching(names, node, bindings)
    return seen is not None and isinstance(seen.node, ast.arg)


def _is_number(names: Names, default: ast.expr | None) -> bool:
    """A number, or a name that the file binds once, to a number (``channels=CHANNELS``)."""
    if isinstance(default, ast.Name) and default in names.scope_of:
        bindings = names.bindings(default)
        default = bindings[0].value if len(bindings) == 1 else None
    if isinstance(default, ast.UnaryOp):
        default = default.operand
    return isinstance(default, ast.Constant) and isinstance(default.value, int | float)


@functools.lru_cache(maxsize=16)
def _with_items_assigned(names: Names, scope: Scope) -> frozenset[str]:
    """The names of a scope whose items are assigned, in it or in a function inside it."""
    targets = (
        n.value for n in ast.walk(scope.node) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store)
    )
    found = (t for t in targets if isinstance(t, ast.Name) and t in names.scope_of)
    return frozenset(t.id for t in found if names.owner(t.id, names.scope_of[t]) is scope)
