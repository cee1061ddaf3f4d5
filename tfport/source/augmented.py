"""``y += x`` rebinds y in TensorFlow and changes the tensor in place in torch, where another name may see it.

Known tensors are written ``y = y + x``. Where y may be a tensor that something else also names and the source does not
tell, ``y = compat.iadd(y, x)`` decides at run time. Numbers, strings, lists and arrays keep their ``+=``, and so does
a local sum that nothing else can name (`sharing.is_shared`).
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.purity import is_pure
from tfport.source.sharing import Sharing
from tfport.source.text import Fragment, is_bracketed, parenthesised, precedence
from tfport.source.values import PLAIN

if TYPE_CHECKING:
    from tfport.source.convert import Walk
    from tfport.source.rewrite import Rewriter

FUNCTIONS = {
    ast.Add: "iadd", ast.Sub: "isub", ast.Mult: "imul", ast.Div: "itruediv", ast.FloorDiv: "ifloordiv", ast.Mod: "imod",
    ast.Pow: "ipow", ast.MatMult: "imatmul", ast.BitAnd: "iand", ast.BitOr: "ior", ast.BitXor: "ixor",
}  # fmt: skip


def augmented_assignment(walk: Walk, statement: ast.stmt) -> bool:
    """Handle ``name op= value``, ``object.attribute op= value`` and ``items[key] op= value``."""
    if not isinstance(statement, ast.AugAssign) or type(statement.op) not in FUNCTIONS:
        return False
    rewriter = walk.rewriter
    facts, target = rewriter.facts, statement.target
    value = facts.of(statement.value)
    loaded = _load(rewriter, target) if isinstance(target, ast.Name) else target
    fact = facts.of(loaded)
    if fact.kind in PLAIN:
        return False
    tensor = fact.is_tensor or (value.is_tensor and _decided_by(rewriter, loaded))
    if not tensor:
        if rewriter.sharing is None:
            rewriter.sharing = Sharing(rewriter)
        if value.kind in ("str", "list") or not rewriter.sharing.is_shared(loaded, value):
            return False
    _write(rewriter, statement, exact=not tensor or _divides_unknown(rewriter, statement))
    return True


def _decided_by(rewriter: Rewriter, target: ast.expr) -> bool:
    """Whether a known tensor on the right makes the sum a tensor: arrays and lists take it in place."""
    return (
        not isinstance(target, ast.Attribute | ast.Subscript)
        or rewriter.facts.of(target.value).kind != "array"
    )


def _divides_unknown(rewriter: Rewriter, statement: ast.AugAssign) -> bool:
    """``x /= n`` where x may be a tensor of integers, whose quotient is float64 in TensorFlow."""
    if not isinstance(statement.op, ast.Div):
        return False
    loaded = _load(rewriter, statement.target) if isinstance(statement.target, ast.Name) else statement.target
    operation = ast.copy_location(ast.BinOp(loaded, statement.op, statement.value), statement)
    return rewriter.is_exact_operation(operation)


def _load(rewriter: Rewriter, target: ast.Name) -> ast.Name:
    """The name as it is read before it is assigned."""
    load = ast.copy_location(ast.Name(target.id, ast.Load()), target)
    rewriter.names.scope_of[load] = rewriter.names.scope_of[target]
    rewriter.names.parent[load] = rewriter.names.parent[target]
    return load


def _write(rewriter: Rewriter, statement: ast.AugAssign, exact: bool) -> None:
    target = statement.target
    new = rewriter.expr(statement.value)
    function = FUNCTIONS[type(statement.op)]
    if isinstance(target, ast.Attribute | ast.Subscript) and not is_pure(target, rewriter):
        text = _once(rewriter, target, function, parenthesised(new, 2))
    elif exact:
        written = rewriter.expr(target).text
        text = f"{written} = {_compat(rewriter, function)}({written}, {parenthesised(new, 2)})"
    else:
        written = rewriter.expr(target).text
        operation = ast.BinOp(statement.value, statement.op, statement.value)
        right = parenthesised(Fragment(new.text, new.precedence), precedence(operation) + 1)
        right = right if is_bracketed(right) else f"({right})"
        text = f"{written} = {written} {SYMBOLS[type(statement.op)]} {right}"
    start, end = rewriter.source.span(statement)
    rewriter.change(start, end, text)


def _once(rewriter: Rewriter, target: ast.Attribute | ast.Subscript, function: str, value: str) -> str:
    """A target whose object or key may be evaluated once only: ``f()[i] += x``."""
    owner = parenthesised(rewriter.expr(target.value), 2)
    kind = "item" if isinstance(target, ast.Subscript) else "attribute"
    key = (
        parenthesised(rewriter.expr(target.slice), 1)
        if isinstance(target, ast.Subscript)
        else f'"{target.attr}"'
    )
    return f"{_compat(rewriter, function)}.{kind}({owner}, {key}, {value})"


def _compat(rewriter: Rewriter, function: str) -> str:
    rewriter.tiers.compat[f"operator.{function}"] += 1
    return f"{rewriter.imports.use('compat')}.{function}"


SYMBOLS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.MatMult: "@", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
}  # fmt: skip
