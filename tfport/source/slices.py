"""Slices with a negative step, ``x[::-1]``: TensorFlow and NumPy have them, torch has not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source.facts import Facts
from tfport.source.nodes import of_type
from tfport.source.text import Fragment, parenthesised

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter


def backwards(tree: ast.Module, facts: Facts) -> Iterator[ast.Subscript]:
    """Subscripts of tensors that step backwards."""
    for node in of_type(tree, ast.Subscript):
        if isinstance(node, ast.Subscript) and _concerns(node, facts):
            yield node


def _concerns(node: ast.Subscript, facts: Facts) -> bool:
    """Whether a subscript of what is or may be a tensor steps backwards, or may do so by a variable."""
    if not isinstance(node.ctx, ast.Load):
        return False
    if _steps_back(node):
        kind = facts.of(node.value).kind
        return kind == "tensor" or (kind == "?" and facts.names.resolve(node.value) is None)
    steps = [item.step for item in _items(node) if isinstance(item, ast.Slice) and item.step is not None]
    values = [facts.of(s).value for s in steps]
    forwards = all(v is None or (isinstance(v, int) and v > 0) for v in values)
    return not forwards and facts.of(node.value).is_tensor


def _steps_back(node: ast.Subscript) -> bool:
    return any(
        isinstance(item, ast.Slice)
        and isinstance(item.step, ast.UnaryOp)
        and isinstance(item.step.op, ast.USub)
        for item in _items(node)
    )


def _items(node: ast.Subscript) -> list[ast.expr]:
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """``x[:, ::-1]`` as ``x.flip(1)`` where nothing else is sliced; other forms by an exact function."""
    if not isinstance(node, ast.Subscript) or not _concerns(node, rewriter.facts):
        return None
    receiver = parenthesised(rewriter.expr(node.value), 20)
    items = _items(node)
    if rewriter.facts.of(node.value).is_tensor and all(
        _is_whole(item) or _is_reversal(item) for item in items
    ):
        dims = [str(i) for i, item in enumerate(items) if _is_reversal(item)]
        return Fragment(f"{receiver}.flip({', '.join(dims)})")
    rewriter.tiers.compat["indexing.take"] += 1
    written = ", ".join(_as_slice(rewriter, item) for item in items)
    return Fragment(f"{rewriter.imports.use('compat')}.indexing.take({receiver}, [{written}])")


def _is_whole(item: ast.expr) -> bool:
    return isinstance(item, ast.Slice) and item.lower is None and item.upper is None and item.step is None


def _is_reversal(item: ast.expr) -> bool:
    if not isinstance(item, ast.Slice) or item.lower is not None or item.upper is not None:
        return False
    step = item.step
    return (
        isinstance(step, ast.UnaryOp) and isinstance(step.operand, ast.Constant) and step.operand.value == 1
    )


def _as_slice(rewriter: Rewriter, item: ast.expr) -> str:
    if not isinstance(item, ast.Slice):
        return rewriter.expr(item).text
    parts = (item.lower, item.upper, item.step)
    return f"slice({', '.join('None' if p is None else rewriter.expr(p).text for p in parts)})"
