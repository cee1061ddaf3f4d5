"""Names of unknown origin that must not be presumed tensors, though they stand where TensorFlow takes one.

A parameter whose default is a number is called with a number at least where the default holds; a name whose items
are assigned (``x[:, 0::2] = ...``) is an array or a list, as TensorFlow's tensors cannot be changed.
"""

from __future__ import annotations

import ast
import functools

from tfport.source.names import Names, Scope


def may_be_number(names: Names, node: ast.expr) -> bool:
    """Whether a name, or an item of it, may hold a number, list or array by what the file shows."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if not isinstance(node, ast.Name) or node not in names.scope_of:
        return False
    scope = names.owner(node.id, names.scope_of[node])
    return scope is not None and (
        _has_number_as_default(node.id, scope) or node.id in _with_items_assigned(names, scope)
    )


def _has_number_as_default(name: str, scope: Scope) -> bool:
    if not isinstance(scope.node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _is_rebound(
        name, scope
    ):
        return False
    arguments = scope.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(reversed(positional), reversed(arguments.defaults)),
        *zip(arguments.kwonlyargs, arguments.kw_defaults),
    ]
    return any(argument.arg == name and _is_number(default) for argument, default in pairs)


def _is_rebound(name: str, scope: Scope) -> bool:
    """Whether the function assigns to its parameter, most likely the tensor that it makes of the number."""
    return any(not isinstance(b.node, ast.arg) for b in scope.bindings.get(name, []))


def _is_number(default: ast.expr | None) -> bool:
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
