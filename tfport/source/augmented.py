"""``y += x`` rebinds y in TensorFlow and changes the tensor in place in torch, where another name may see it.

Known tensors are written ``y = y + x``. Where y may be a tensor that something else also names (a parameter, an
alias, a view) and the source does not tell, ``y = compat.iadd(y, x)`` decides at run time; numbers, strings, lists
and arrays keep their ``+=``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.names import Binding
from tfport.source.purity import is_pure
from tfport.source.text import Fragment, is_bracketed, parenthesised, precedence

if TYPE_CHECKING:
    from tfport.source.convert import Walk
    from tfport.source.rewrite import Rewriter

FUNCTIONS = {
    ast.Add: "iadd", ast.Sub: "isub", ast.Mult: "imul", ast.Div: "itruediv", ast.FloorDiv: "ifloordiv", ast.Mod: "imod",
    ast.Pow: "ipow", ast.MatMult: "imatmul", ast.BitAnd: "iand", ast.BitOr: "ior", ast.BitXor: "ixor",
}  # fmt: skip
SYMBOLS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
}  # fmt: skip
PLAIN = frozenset({"int", "number", "str", "list", "array", "none", "shape", "dtype"})
PLAIN_ANNOTATIONS = frozenset({"int", "float", "bool", "str", "list", "dict", "tuple", "set", "bytes"})


def augmented_assignment(walk: Walk, statement: ast.stmt) -> bool:
    """Handle ``name op= value``, ``object.attribute op= tensor`` and ``items[key] op= tensor``."""
    if not isinstance(statement, ast.AugAssign) or type(statement.op) not in FUNCTIONS:
        return False
    rewriter = walk.rewriter
    target = statement.target
    value = rewriter.facts.of(statement.value)
    if isinstance(target, ast.Attribute | ast.Subscript):
        kept = rewriter.facts.of(target.value).kind == "array" or not is_pure(target, rewriter)
        tensor, shared = value.is_tensor and not kept, False
    elif isinstance(target, ast.Name):
        fact = rewriter.facts.of(_load(rewriter, target))
        tensor = fact.is_tensor or (value.is_tensor and fact.kind not in PLAIN)
        shared = fact.kind == "?" and value.kind not in ("str", "list") and _is_shared(rewriter, target)
    else:
        return False
    if not (tensor or shared):
        return False
    _write(rewriter, statement, tensor)
    return True


def _load(rewriter: Rewriter, target: ast.Name) -> ast.Name:
    load = ast.copy_location(ast.Name(target.id, ast.Load()), target)
    rewriter.names.scope_of[load] = rewriter.names.scope_of[target]
    return load


def _is_shared(rewriter: Rewriter, target: ast.Name) -> bool:
    """Whether some binding of a name takes over an object that may have another name."""
    return any(_is_alias(b) for b in rewriter.names.bindings(_load(rewriter, target)))


def _is_alias(binding: Binding) -> bool:
    if isinstance(binding.node, ast.arg):
        return not _is_plain_argument(binding.node)
    return isinstance(binding.value, ast.Name | ast.Attribute | ast.Subscript)


def _is_plain_argument(argument: ast.arg) -> bool:
    return isinstance(argument.annotation, ast.Name) and argument.annotation.id in PLAIN_ANNOTATIONS


def _write(rewriter: Rewriter, statement: ast.AugAssign, tensor: bool) -> None:
    target = rewriter.expr(statement.target).text
    new = rewriter.expr(statement.value)
    if not tensor:
        function = f"{rewriter.imports.use('compat')}.{FUNCTIONS[type(statement.op)]}"
        rewriter.tiers.compat[f"operator.{FUNCTIONS[type(statement.op)]}"] += 1
        text = f"{target} = {function}({target}, {parenthesised(new, 2)})"
    else:
        operation = ast.BinOp(statement.value, statement.op, statement.value)
        right = parenthesised(Fragment(new.text, new.precedence), precedence(operation) + 1)
        right = right if is_bracketed(right) else f"({right})"
        text = f"{target} = {target} {SYMBOLS[type(statement.op)]} {right}"
    start, end = rewriter.source.span(statement)
    rewriter.change(start, end, text)
