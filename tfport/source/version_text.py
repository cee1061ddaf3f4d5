"""``tf.__version__``: torch's where it is printed, a mark where the program decides by it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.text import Fragment

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

NAMES = frozenset(
    {"tf.__version__", "tf.VERSION", "tf.version.VERSION", "tf.keras.__version__", "tf.keras.version"}
)
SHOWING = frozenset({"print", "format", "info", "debug", "warning", "warn", "error", "log", "write"})


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """The torch spelling, None where the node is something else."""
    if isinstance(node, ast.Call) and not node.args and not node.keywords:
        meaning, use = rewriter.hits.get(node.func), node
        if not (isinstance(meaning, Canonical) and meaning.name == "tf.keras.version"):
            return None
    else:
        meaning, use = rewriter.hits.get(node), node  # type: ignore[assignment]
    if not isinstance(meaning, Canonical) or meaning.name not in NAMES:
        return None
    if is_shown(use, rewriter.names.parent):
        rewriter.tiers.inlined[meaning.name] += 1
        return Fragment(f"{rewriter.imports.use('torch')}.__version__")
    rewriter.mark(node, "TFP101", meaning.name, "the program reads TensorFlow's version",
                  "keep the branch that the port needs")  # fmt: skip
    return Fragment(rewriter.source.segment(node))


def is_shown(node: ast.AST, parent: Mapping[ast.AST, ast.AST]) -> bool:
    """Whether an expression is only printed, logged or formatted into text."""
    while True:
        above = parent.get(node)
        if isinstance(above, ast.FormattedValue):
            return True
        if isinstance(above, ast.Call) and node in above.args:
            name = above.func.attr if isinstance(above.func, ast.Attribute) else getattr(above.func, "id", "")
            if name != "str":
                return name in SHOWING
        elif not (
            isinstance(above, ast.BinOp) and isinstance(above.op, ast.Add | ast.Mod)
        ) and not isinstance(above, ast.Tuple):
            return False
        node = above
