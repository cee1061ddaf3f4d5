"""``x.numpy()`` of a known tensor: plain torch where nothing can need a gradient, detached elsewhere.

A variable is left to the compat call, which copies: its array must not change with the variable.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.nodes import every
from tfport.source.text import Fragment, parenthesised

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

IN_PLACE = frozenset({"fill", "sort", "put", "partition", "resize", "itemset", "setflags", "byteswap"})
STATEFUL = (
    "tf.Variable",
    "tf.GradientTape",
    "tf.get_variable",
    "tf.keras.",
    "tf.layers.",
    "tf.gradients",
    "tf.Module",
)


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """The torch spelling; None for another node, an unknown receiver, a variable, or a file with bfloat16."""
    if not isinstance(node, ast.Call) or node.args or node.keywords or node not in rewriter.hits:
        return None
    if rewriter.hits[node] != Canonical("tf.Tensor.numpy") or not isinstance(node.func, ast.Attribute):
        return None
    receiver = node.func.value
    if (
        not rewriter.facts.of(receiver).is_tensor
        or "bfloat16" in rewriter.source.text
        or _may_be_variable(rewriter, receiver)
        or _is_changed(rewriter, node)
    ):
        return None
    rewriter.tiers.inlined["tf.Tensor.numpy"] += 1
    text = parenthesised(rewriter.expr(receiver), 20)
    return Fragment(f"{text}.detach().cpu().numpy()" if has_gradients(rewriter) else f"{text}.numpy()")


def _is_changed(rewriter: Rewriter, node: ast.Call) -> bool:
    """Whether the array may be changed in place: TensorFlow's is a copy, torch's shares the tensor's memory."""
    parent = rewriter.names.parent.get(node)
    if isinstance(parent, ast.Assign | ast.AnnAssign | ast.NamedExpr):
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        return any(name in changed(rewriter) for t in targets for name in _roots(t))
    return isinstance(parent, ast.Attribute) and parent.attr in IN_PLACE


def changed(rewriter: Rewriter) -> frozenset[str]:
    """The names and attributes of a file to whose items something is assigned, or that change in place."""
    if rewriter.changed is None:
        found: set[str] = set()
        for node in every(rewriter.source.tree):
            if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                found.update(_roots(node.value))
            elif isinstance(node, ast.AugAssign):
                found.update(_roots(node.target))
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in IN_PLACE
            ):
                found.update(_roots(node.func.value))
        rewriter.changed = frozenset(found)
    return rewriter.changed


def _roots(node: ast.expr) -> list[str]:
    """The name or attribute at which an assignment target hangs; of a tuple those of its parts."""
    if isinstance(node, ast.Tuple | ast.List):
        return [name for part in node.elts for name in _roots(part)]
    while isinstance(node, ast.Subscript | ast.Starred):
        node = node.value
    return [node.id] if isinstance(node, ast.Name) else [node.attr] if isinstance(node, ast.Attribute) else []


def has_gradients(rewriter: Rewriter) -> bool:
    """Whether anything in the file makes tensors that require gradients."""
    return any(isinstance(m, Canonical) and m.name.startswith(STATEFUL) for m in rewriter.hits.values())


def _may_be_variable(rewriter: Rewriter, node: ast.expr) -> bool:
    """Whether an expression may be a variable itself rather than the result of an operation."""
    if rewriter.facts.of(node).variable:
        return True
    if isinstance(node, ast.Name):
        return any(
            b.value is None or _may_be_variable(rewriter, b.value) for b in rewriter.names.bindings(node)
        )
    if isinstance(node, ast.Call):
        meaning = rewriter.names.resolve(node.func)
        return isinstance(meaning, Canonical) and meaning.name in (
            "tf.Variable",
            "tf.identity",
            "tf.get_variable",
        )
    return not isinstance(node, ast.BinOp | ast.Compare | ast.UnaryOp)
