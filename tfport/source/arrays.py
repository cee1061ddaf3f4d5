"""``x.numpy()`` of a known tensor: plain torch where nothing can need a gradient, detached elsewhere.

A variable is left to the compat call, which copies: its array must not change with the variable.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.text import Fragment, parenthesised

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

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
    ):
        return None
    rewriter.tiers.inlined["tf.Tensor.numpy"] += 1
    text = parenthesised(rewriter.expr(receiver), 20)
    return Fragment(f"{text}.detach().cpu().numpy()" if has_gradients(rewriter) else f"{text}.numpy()")


def has_gradients(rewriter: Rewriter) -> bool:
    """Whether anything in the file makes tensors that require gradients."""
    return any(isinstance(m, Canonical) and m.name.startswith(STATEFUL) for m in rewriter.hits.values())


def _may_be_variable(rewriter: Rewriter, node: ast.expr) -> bool:
    """Whether an expression may be a variable itself rather than the result of an operation."""
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
