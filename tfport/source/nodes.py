"""All nodes of a file, walked once: the passes of a conversion share one list."""

from __future__ import annotations

import ast


def every(tree: ast.Module) -> list[ast.AST]:
    """The nodes that ``ast.walk(tree)`` gives, in its order; kept on the tree."""
    found: list[ast.AST] | None = tree.__dict__.get("_every")
    if found is None:
        found = tree.__dict__["_every"] = list(ast.walk(tree))
    return found


def of_type(tree: ast.Module, *types: type[ast.AST]) -> list[ast.AST]:
    """The nodes of exactly these types, type by type."""
    found: dict[type[ast.AST], list[ast.AST]] | None = tree.__dict__.get("_by_type")
    if found is None:
        found = tree.__dict__["_by_type"] = {}
        for node in every(tree):
            found.setdefault(type(node), []).append(node)
    return [node for kind in types for node in found.get(kind, ())]
