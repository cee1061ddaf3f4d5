"""``==`` of TensorFlow 1, which compares tensors by identity, where torch compares their values.

Only where the file shows that it is TensorFlow 1's: it imports ``tensorflow`` itself and uses what only version 1 has, or
it calls ``disable_v2_behavior``. ``tensorflow.compat.v1`` alone keeps TensorFlow 2's comparison.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.nodes import of_type
from tfport.source.purity import is_pure
from tfport.source.text import PRECEDENCE, Fragment, parenthesised
from tfport.source.values import PLAIN

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

OFF = frozenset({"tf.disable_v2_behavior", "tf.disable_tensor_equality"})
ON = frozenset({"tf.enable_tensor_equality", "tf.enable_v2_behavior"})
COMPARED = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)
OPPOSITE = (ast.NotEq, ast.NotIn)


def _compares_identity(rewriter: Rewriter) -> bool:
    if rewriter.choice.version != 1:
        return False
    names = {m.name for m in rewriter.hits.values() if isinstance(m, Canonical)}
    if names & ON:
        return False
    return bool(names & OFF) or not any(
        isinstance(m, Canonical) and m.version is not None for m in rewriter.hits.values()
    )


def prepare(rewriter: Rewriter) -> None:
    """Find the comparisons of tensors in a file of TensorFlow 1."""
    if not _compares_identity(rewriter):
        return
    rewriter.compares_identity = True
    for node in of_type(rewriter.source.tree, ast.Compare):
        if isinstance(node, ast.Compare) and _concerns(rewriter, node):
            rewriter.touch(node)


def _concerns(rewriter: Rewriter, node: ast.Compare) -> bool:
    if len(node.ops) != 1 or not isinstance(node.ops[0], COMPARED):
        return False
    left, right = rewriter.facts.of(node.left), rewriter.facts.of(node.comparators[0])
    if isinstance(node.ops[0], ast.In | ast.NotIn):
        return left.is_tensor and not right.is_tensor
    return left.is_tensor or right.is_tensor


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """``x is y``; None for anything else."""
    if not rewriter.compares_identity or not isinstance(node, ast.Compare) or not _concerns(rewriter, node):
        return None
    left, right, opposite = node.left, node.comparators[0], isinstance(node.ops[0], OPPOSITE)
    first, second = rewriter.expr(left), rewriter.expr(right)
    if isinstance(node.ops[0], ast.In | ast.NotIn):
        rewriter.tiers.compat["operators.holds"] += 1
        text = f"{rewriter.imports.use('compat')}.operators.holds({second.text}, {first.text})"
        return Fragment(f"not {text}", PRECEDENCE[ast.Not]) if opposite else Fragment(text)
    kinds = {rewriter.facts.of(left).kind, rewriter.facts.of(right).kind}
    if kinds & PLAIN and is_pure(node, rewriter):
        return Fragment(str(opposite))
    word = "is not" if opposite else "is"
    tight = PRECEDENCE[ast.Compare] + 1
    return Fragment(
        f"{parenthesised(first, tight)} {word} {parenthesised(second, tight)}", PRECEDENCE[ast.Compare]
    )
