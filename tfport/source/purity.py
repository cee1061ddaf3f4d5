"""Whether evaluating an expression again, earlier or never would change what a program does."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

PLAIN = (
    ast.Name, ast.Constant, ast.Attribute, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Subscript,
    ast.Slice, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.Starred, ast.JoinedStr, ast.FormattedValue, ast.keyword,
    ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.Lambda,
)  # fmt: skip
BUILTINS = frozenset(
    {"len", "int", "float", "str", "bool", "tuple", "list", "range", "min", "max", "abs", "sum", "round"}
)
METHODS = frozenset({"get_shape", "as_list", "format"})


def is_pure(node: ast.AST, rewriter: Rewriter) -> bool:
    """Names, literals, operators, and calls of rules that are pure; anything else may have effects."""
    if isinstance(node, ast.Lambda):
        return True
    if isinstance(node, ast.Call):
        inside = [*node.args, *node.keywords]
        if not _pure_function(node, rewriter):
            return False
        if isinstance(node.func, ast.Attribute) and rewriter.names.resolve(node.func) is None:
            inside.append(node.func.value)
        return all(is_pure(i, rewriter) for i in inside)
    return isinstance(node, PLAIN) and all(is_pure(c, rewriter) for c in ast.iter_child_nodes(node))


def _pure_function(node: ast.Call, rewriter: Rewriter) -> bool:
    meaning = rewriter.names.resolve(node.func)
    if isinstance(meaning, Canonical):
        rules = rewriter.book.find(meaning.name)
        return bool(rules) and all(r.pure and r.kind == "function" for r in rules)
    if isinstance(node.func, ast.Name):
        return node.func.id in BUILTINS and not rewriter.names.bindings(node.func)
    return isinstance(node.func, ast.Attribute) and node.func.attr in METHODS
