"""Static shapes: ``x.get_shape().as_list()``, ``x.shape[1].value``, ``x.shape.ndims``, ``tf.shape(x)[0]``.

The spellings are TensorFlow's alone, so they are rewritten whatever the receiver; torch shapes are always concrete.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.facts import Facts
from tfport.source.nodes import of_type
from tfport.source.text import Fragment, parenthesised, precedence

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

WRAPPED = frozenset({
    "dims", "is_compatible_with", "assert_is_compatible_with", "assert_has_rank", "with_rank", "with_rank_at_least",
    "merge_with", "concatenate", "assert_is_fully_defined",
})  # fmt: skip  # written as those of compat.TensorShape
ATTRIBUTES = frozenset({"value", "ndims", "rank", "as_list", "num_elements"}) | WRAPPED


def _shape_receiver(node: ast.AST) -> ast.expr | None:
    """``x`` in ``x.shape`` or ``x.get_shape()``."""
    if isinstance(node, ast.Attribute) and node.attr == "shape":
        return node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get_shape":
        return node.func.value if not node.args and not node.keywords else None
    return None


def matches(node: ast.Attribute) -> bool:
    """Whether an attribute is one of these spellings."""
    if node.attr == "value":
        return isinstance(node.value, ast.Subscript) and _shape_receiver(node.value.value) is not None
    return _shape_receiver(node.value) is not None


def values(tree: ast.Module, facts: Facts) -> Iterator[ast.Attribute]:
    """``n.value`` where n is a size that was taken from a shape before: ints have no such attribute."""
    for node in of_type(tree, ast.Attribute):
        if isinstance(node, ast.Attribute) and _is_value(node, facts):
            yield node


def _is_value(node: ast.Attribute, facts: Facts) -> bool:
    if node.attr != "value" or not isinstance(node.ctx, ast.Load) or isinstance(node.value, ast.Constant):
        return False
    return facts.of(node.value).kind == "int"


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """The torch spelling, None where the node is something else."""
    if isinstance(node, ast.Call):
        return _of_call(rewriter, node)
    if isinstance(node, ast.Attribute) and node in rewriter.hits:
        return _of_attribute(rewriter, node)
    if isinstance(node, ast.Attribute) and _is_value(node, rewriter.facts):
        return rewriter.expr(node.value)
    if isinstance(node, ast.Subscript):
        return _of_subscript(rewriter, node)
    return None


def _of_call(rewriter: Rewriter, node: ast.Call) -> Fragment | None:
    func = node.func
    if not isinstance(func, ast.Attribute) or func not in rewriter.hits or node.args or node.keywords:
        return None
    receiver = _shape_receiver(func.value)
    if receiver is None or rewriter.hits[func] != Canonical(f"tf.TensorShape.{func.attr}"):
        return None
    new = parenthesised(rewriter.expr(receiver), 20)
    rewriter.tiers.inlined[f"tf.TensorShape.{func.attr}"] += 1
    if func.attr == "as_list":
        return Fragment(f"list({new}.shape)")
    return Fragment(f"{new}.numel()") if func.attr == "num_elements" else None


def _of_attribute(rewriter: Rewriter, node: ast.Attribute) -> Fragment | None:
    meaning = rewriter.hits[node]
    if not isinstance(meaning, Canonical) or not meaning.name.startswith("tf.TensorShape."):
        return None
    rewriter.tiers.inlined[meaning.name] += 1
    if node.attr == "value":
        assert isinstance(node.value, ast.Subscript)
        receiver = _shape_receiver(node.value.value)
        assert receiver is not None
        index = rewriter.expr(node.value.slice).text
        return Fragment(f"{parenthesised(rewriter.expr(receiver), 20)}.shape[{index}]")
    receiver = _shape_receiver(node.value)
    assert receiver is not None
    new = parenthesised(rewriter.expr(receiver), 20)
    if node.attr in WRAPPED:
        return Fragment(f"{rewriter.imports.use('compat')}.TensorShape({new}.shape).{node.attr}")
    return Fragment(f"{new}.ndim") if node.attr in ("ndims", "rank") else None


def _of_subscript(rewriter: Rewriter, node: ast.Subscript) -> Fragment | None:
    """``tf.shape(x)[i]`` is ``x.shape[i]``: a Python int, where the whole shape would be an int32 tensor."""
    call = node.value
    if not isinstance(call, ast.Call) or len(call.args) != 1 or call.keywords:
        return None
    if rewriter.hits.get(call.func) not in (Canonical("tf.shape"), Canonical("tf.shape", 1)):
        return None
    if isinstance(node.slice, ast.Slice) or rewriter.facts.of(node.slice).kind not in ("int",):
        return None
    if rewriter.facts.of(call.args[0]).kind in ("list", "array", "number", "int"):
        return None
    rewriter.tiers.inlined["tf.shape"] += 1
    receiver = parenthesised(rewriter.expr(call.args[0]), 20)
    index = rewriter.expr(node.slice)
    assert precedence(node.slice) >= 0
    return Fragment(f"{receiver}.shape[{index.text}]")
