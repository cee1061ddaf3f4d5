"""``x / y`` of integer tensors: float64 (of 8 and 16 bits: float32) in TensorFlow, torch's default dtype in torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source.facts import Facts
from tfport.source.nodes import every
from tfport.source.text import PRECEDENCE, Fragment, parenthesised
from tfport.source.values import INTEGERS

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

SMALL = frozenset({"int8", "uint8", "int16", "uint16"})


def of_integers(tree: ast.Module, facts: Facts) -> Iterator[ast.BinOp]:
    """Quotients with a tensor of a known integer dtype on either side."""
    for node in every(tree):
        if (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Div)
            and _integer_side(node, facts) is not None
        ):
            yield node


def _integer_side(node: ast.BinOp, facts: Facts) -> tuple[str, str] | None:
    """The side, "left" or "right", that is a tensor of a known integer dtype, with the dtype of the quotient."""
    for side in ("left", "right"):
        fact = facts.of(getattr(node, side))
        if fact.is_tensor and fact.dtype in INTEGERS:
            return side, "float32" if fact.dtype in SMALL else "float64"
    return None


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """``x / y`` as ``x.to(torch.float64) / y``."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Div):
        return None
    found = _integer_side(node, rewriter.facts)
    if found is None:
        return None
    side, dtype = found
    written = {"left": rewriter.expr(node.left), "right": rewriter.expr(node.right)}
    cast = f"{parenthesised(written[side], 20)}.to({rewriter.imports.use('torch')}.{dtype})"
    texts = {
        "left": parenthesised(written["left"], 13),
        "right": parenthesised(written["right"], 14),
        side: cast,
    }
    return Fragment(f"{texts['left']} / {texts['right']}", PRECEDENCE[ast.Div])
