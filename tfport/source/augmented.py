"""``y += x`` rebinds y in TensorFlow and changes the tensor in place in torch, where another name may see it.

Known tensors are written ``y = y + x``. Where y may be a tensor that something else also names (a parameter, an alias, a view, an
attribute, an item, what an unknown function returns) and the source does not tell, ``y = compat.iadd(y, x)`` decides
at run time; numbers, strings, lists and arrays keep their ``+=``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.names import Binding
from tfport.source.nodes import every
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
        tensor = not kept and (value.is_tensor or rewriter.facts.of(target).is_tensor)
        shared = (
            not kept
            and value.kind not in ("str", "list")
            and _may_hold_a_tensor(rewriter, target, value.kind)
        )
    else:
        fact = rewriter.facts.of(_load(rewriter, target))
        tensor = fact.is_tensor or (value.is_tensor and fact.kind not in PLAIN)
        shared = (
            fact.kind == "?"
            and value.kind not in ("str", "list")
            and _is_shared(rewriter, target, value.kind)
        )
    if not (tensor or shared):
        return False
    _write(rewriter, statement, tensor)
    return True


def _load(rewriter: Rewriter, target: ast.Name) -> ast.Name:
    load = ast.copy_location(ast.Name(target.id, ast.Load()), target)
    rewriter.names.scope_of[load] = rewriter.names.scope_of[target]
    return load


def _is_shared(rewriter: Rewriter, target: ast.Name, value: str) -> bool:
    """Whether some binding of a name takes over an object that may have another name."""
    bindings = rewriter.names.bindings(_load(rewriter, target))
    return any(_is_alias(b, rewriter) or (isinstance(b.node, ast.Name) and value != "int") for b in bindings)


def _is_alias(binding: Binding, rewriter: Rewriter) -> bool:
    if isinstance(binding.node, ast.arg):
        return not _is_plain_argument(binding.node)
    if isinstance(binding.value, ast.Call):  # an identity layer returns its argument
        return _is_unknown(binding.value, rewriter)
    return isinstance(binding.value, ast.Name | ast.Attribute | ast.Subscript)


def _is_unknown(call: ast.Call, rewriter: Rewriter) -> bool:
    """Whether a call with arguments is of a function that is neither TensorFlow's nor a builtin."""
    builtin = isinstance(call.func, ast.Name) and not rewriter.names.bindings(call.func)
    return bool(call.args) and not builtin and not isinstance(rewriter.names.resolve(call.func), Canonical)


def _may_hold_a_tensor(rewriter: Rewriter, target: ast.Attribute | ast.Subscript, value: str) -> bool:
    """Whether an attribute or item may be a tensor: not one that is only ever a number, a string or a list, nor an
    item that an integer is added to, which is a count."""
    if isinstance(target, ast.Subscript):
        return value != "int"
    given = _values_of_attribute(rewriter.source.tree, target.attr)
    return not given or any(rewriter.facts.of(v).kind not in PLAIN for v in given)


def _values_of_attribute(tree: ast.Module, name: str) -> list[ast.expr]:
    """Everything that a file assigns to attributes of this name."""
    found = []
    for node in every(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [node.value for t in targets if isinstance(t, ast.Attribute) and t.attr == name]
    return found


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
