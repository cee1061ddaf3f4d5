"""``y += x`` rebinds y in TensorFlow and changes the tensor in place in torch, where another name may see it.

Known tensors are written ``y = y + x``. Where y may be a tensor that something else also names (a parameter, an
alias, a view) and the source does not tell, ``y = compat.iadd(y, x)`` decides at run time; numbers, strings, lists
and arrays keep their ``+=``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.names import Binding
from tfport.source.text import Fragment, parenthesised, precedence

if TYPE_CHECKING:
    from tfport.source.convert import Walk
    from tfport.source.rewrite import Rewriter

FUNCTIONS = {
    ast.Add: "iadd", ast.Sub: "isub", ast.Mult: "imul", ast.Div: "itruediv", ast.FloorDiv: "ifloordiv", ast.Mod: "imod",
    ast.Pow: "ipow", ast.MatMult: "imatmul", ast.BitAnd: "iand", ast.BitOr: "ior", ast.BitXor: "ixor",
}  # fmt: skip
PLAIN = frozenset({"int", "number", "str", "list", "array", "none", "shape", "dtype"})
PLAIN_ANNOTATIONS = frozenset({"int", "float", "bool", "str", "list", "dict", "tuple", "set", "bytes"})


def augmented_assignment(walk: Walk, statement: ast.stmt) -> bool:
    """Handle ``name op= value`` and ``object.attribute op= tensor``."""
    if not isinstance(statement, ast.AugAssign) or type(statement.op) not in FUNCTIONS:
        return False
    rewriter = walk.rewriter
    target = statement.target
    value = rewriter.facts.of(statement.value)
    if isinstance(target, ast.Attribute):
        tensor, shared = value.is_tensor, False
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
        between = rewriter.source.text[rewriter.source.span(statement.target)[1] : rewriter.source.span(statement.value)[0]]
        text = f"{target} = {target} {between.partition('=')[0].strip()} {right}"
    start, end = rewriter.source.span(statement)
    rewriter.change(start, end, text)
