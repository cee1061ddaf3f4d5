"""Which assignment a use of a name sees, where the blocks of the program tell: the last one before it.

x = tf.cast(x, tf.float32)
return x / y                 # the cast, not the parameter
"""

from __future__ import annotations

import ast

from tfport.source.names import COMPREHENSIONS, Binding, Names

BLOCKS = ("body", "orelse", "finalbody")
LOOPS = (ast.For, ast.AsyncFor, ast.While)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def reaching(names: Names, use: ast.Name, bindings: list[Binding]) -> Binding | None:
    """The one binding, of several, that a use sees; None where that depends on what ran before."""
    scope = names.owner(use.id, names.scope_of[use])
    inner = names.scope_of[use]
    while inner is not scope and isinstance(inner.node, COMPREHENSIONS) and inner.parent is not None:
        inner = inner.parent
    if scope is None or inner is not scope or len(bindings) > 30:
        return None
    places: dict[ast.AST, list[Binding]] = {}  # statement or function -> the bindings inside it
    for binding in bindings:
        at: ast.AST | None = binding.node
        while at is not None and at is not scope.node:
            if isinstance(at, ast.stmt | ast.ExceptHandler | ast.match_case):
                places.setdefault(at, []).append(binding)
            at = names.parent.get(at)
            if isinstance(at, FUNCTIONS) and at is not scope.node:
                return None  # nonlocal or global: it may run at any time
    return _before(names, use, scope.node, places, bindings)


def _before(
    names: Names,
    use: ast.Name,
    function: ast.AST,
    places: dict[ast.AST, list[Binding]],
    bindings: list[Binding],
) -> Binding | None:
    at: ast.AST = use
    while not isinstance(at, ast.stmt):
        if isinstance(at, ast.NamedExpr | ast.match_case | ast.ExceptHandler) or at not in names.parent:
            return None
        at = names.parent[at]
    if isinstance(at, ast.While) and at in places:
        return None  # its test sees what its body assigned
    if any(isinstance(b.node, ast.NamedExpr) for b in places.get(at, ())):
        return None
    while True:
        parent = names.parent.get(at)
        block = next((b for f in BLOCKS if at in (b := getattr(parent, f, None) or ())), None)
        if block is None or parent is None:
            return None
        for statement in reversed(block[: block.index(at)]):
            if statement in places:
                found = places[statement]
                simple = isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and len(found) == 1
                return found[0] if simple and found[0].value is not None else None
        if parent is function:
            arguments = [b for b in bindings if isinstance(b.node, ast.arg)]
            return arguments[0] if len(arguments) == 1 and isinstance(function, FUNCTIONS) else None
        if isinstance(parent, LOOPS) and parent in places:
            return None
        if isinstance(parent, ast.Try | ast.Match) and block is not getattr(parent, "body", None):
            return None
        if not isinstance(
            parent, ast.If | ast.With | ast.AsyncWith | ast.Try | ast.For | ast.AsyncFor | ast.While
        ):
            return None
        if any(
            not any(_inside(names, b.node, getattr(parent, f, [])) for f in BLOCKS)
            for b in places.get(parent, ())
        ):
            return None  # with f() as x, if (x := f())
        at = parent


def _inside(names: Names, node: ast.AST, block: list[ast.stmt]) -> bool:
    at: ast.AST | None = node
    while at is not None:
        if at in block:
            return True
        at = names.parent.get(at)
    return False
