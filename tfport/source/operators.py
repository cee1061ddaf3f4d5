"""Operators whose result differs between TensorFlow and torch although both compute: written exactly.

    i / n       with integer tensors      ->  i.to(torch.float64) / n            float32 in torch
    x / y       of unknown dtype          ->  compat.operators.truediv(x, y)     may be integers
    mask * 2    with a bool tensor        ->  compat.operators.mul(mask, 2)      a bool in TensorFlow
    t == [1, 2]                           ->  compat.operators.eq(t, [1, 2])     False in torch
    i + f       of two dtypes             ->  compat.operators.add(i, f)         refused by TensorFlow

Nothing is written for a quotient that has a floating operand: TensorFlow refuses to mix, so the other floats as well.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.floating import Floating
from tfport.source.nodes import of_type
from tfport.source.text import PRECEDENCE, Fragment, parenthesised
from tfport.source.values import FLOATS, INTEGERS, Fact

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

NAMES = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.Pow: "pow", ast.MatMult: "matmul", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge", ast.Eq: "eq",
    ast.NotEq: "ne", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor",
}  # fmt: skip
LOGIC = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Eq, ast.NotEq)
SMALL = frozenset({"int8", "uint8", "int16", "uint16"})
RANGES = {
    f"{u}int{n}": ((0, 2**n) if u else (-(2 ** (n - 1)), 2 ** (n - 1)))
    for u in ("", "u")
    for n in (8, 16, 32)
}
OPAQUE = frozenset({"?", "array", "dtype", "none"})  # beside a tensor: not told, or left to other passes


def parts(node: ast.AST) -> tuple[ast.expr, type[ast.AST], ast.expr] | None:
    """Left operand, operator and right operand of one of `NAMES`; None for anything else."""
    found: tuple[ast.expr, type[ast.AST], ast.expr]
    if isinstance(node, ast.BinOp):
        found = (node.left, type(node.op), node.right)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        found = (node.left, type(node.ops[0]), node.comparators[0])
    else:
        return None
    return found if found[1] in NAMES else None


class Operators:
    """Decides for every operator of a file how it is written."""

    def __init__(self, rewriter: Rewriter) -> None:
        self.facts = rewriter.facts
        self.floating = Floating(rewriter)

    def decision(self, node: ast.AST) -> str:
        """ "" as it stands, "exact" by `compat.operators`, or the dtype to which an integer operand is cast."""
        found = parts(node)
        if found is None:
            return ""
        left, operation, right = found
        first, second = self.facts.of(left), self.facts.of(right)
        if "shape" in (first.kind, second.kind):
            return self._of_shapes(operation, left, right, first, second)
        if not first.is_tensor and not second.is_tensor:
            if self._multiplies_bools(operation, first, second) or self._compares_list(
                operation, left, right, first, second
            ):
                return "exact"
            return (
                "exact"
                if operation is ast.Div and self._divides_integers(node, left, right, first, second)
                else ""
            )
        if first.is_tensor and second.is_tensor:
            return self._of_tensors(node, operation, first, second)
        tensor, other = (first, second) if first.is_tensor else (second, first)
        return self._beside(node, operation, tensor, other, right if first.is_tensor else left)

    @staticmethod
    def _multiplies_bools(operation: type[ast.AST], first: Fact, second: Fact) -> bool:
        """``(x > 0) * y`` of unknown x."""
        return operation is ast.Mult and any(f.kind == "?" and f.dtype == "bool" for f in (first, second))

    def _compares_list(
        self, operation: type[ast.AST], left: ast.expr, right: ast.expr, first: Fact, second: Fact
    ) -> bool:
        """``x == [1, 2]`` of unknown x: elementwise where x is a tensor."""
        if operation not in (ast.Eq, ast.NotEq):
            return False
        for unknown, fact, items in ((left, first, right), (right, second, left)):
            numbers = (
                isinstance(items, ast.List) and bool(items.elts) and all(_is_number(e) for e in items.elts)
            )
            if numbers and fact.kind == "?" and self.floating.may_be_tensor(unknown):
                return True
        return False

    def _of_shapes(
        self, operation: type[ast.AST], left: ast.expr, right: ast.expr, first: Fact, second: Fact
    ) -> str:
        """A shape equals a list of its sizes and is added to one; torch.Size does that with tuples only."""
        other = second if first.kind == "shape" else first
        unknown = other.kind == "?" and operation in (ast.Eq, ast.NotEq)
        if operation not in (ast.Eq, ast.NotEq, ast.Add) or not (unknown or other.kind == "list"):
            return self._of_tensors_and_shapes(first, second)
        plain = isinstance(other.value, tuple) or any(self._is_of_array(side) for side in (left, right))
        return "" if plain else "exact"

    @staticmethod
    def _of_tensors_and_shapes(first: Fact, second: Fact) -> str:
        return "exact" if first.is_tensor or second.is_tensor else ""

    def _is_of_array(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and self.facts.of(node.value).kind == "array"

    def _of_tensors(self, node: ast.AST, operation: type[ast.AST], first: Fact, second: Fact) -> str:
        if _differ(first.dtype, second.dtype):
            return "exact"
        if "bool" in (first.dtype, second.dtype):
            return "" if operation in LOGIC else "exact"
        return self._quotient(node, first, second) if operation is ast.Div else ""

    def _beside(
        self, node: ast.AST, operation: type[ast.AST], tensor: Fact, other: Fact, value: ast.expr
    ) -> str:
        if other.kind in OPAQUE:
            if tensor.dtype == "bool" and operation is ast.Mult:
                return "exact"
            return self._quotient(node, tensor, other) if operation is ast.Div and other.kind == "?" else ""
        if other.kind == "str":
            return "exact" if operation in (ast.Eq, ast.NotEq) else ""  # "%d" % t is the string's
        if other.kind in ("list", "shape"):
            return "exact"
        whole = tensor.dtype in INTEGERS
        fraction = other.kind == "number"
        if tensor.dtype == "bool":
            return "" if other.dtype == "bool" and operation in LOGIC else "exact"
        if (whole and fraction) or (operation is ast.Sub and other.dtype == "bool"):
            return "exact"
        if whole and isinstance(other.value, int) and not _within(other.value, tensor.dtype):
            return "exact"
        return self._quotient(node, tensor, other) if operation is ast.Div else ""

    def _quotient(self, node: ast.AST, first: Fact, second: Fact) -> str:
        """A quotient of tensors, or of a tensor and a number or something unknown."""
        for fact in (first, second):
            if fact.is_tensor and fact.dtype in INTEGERS:
                return "float32" if fact.dtype in SMALL else "float64"
        if any(f.dtype in FLOATS or f.dtype.startswith("complex") for f in (first, second) if f.is_tensor):
            return ""
        found = parts(node)
        assert found is not None
        return "" if self.floating.of(found[0]) or self.floating.of(found[2]) else "exact"

    def _divides_integers(
        self, node: ast.AST, left: ast.expr, right: ast.expr, first: Fact, second: Fact
    ) -> bool:
        """Whether operands of unknown origin may be integer tensors."""
        kinds = {first.kind, second.kind}
        if "?" not in kinds or not kinds <= {"?", "int"}:
            return False
        unknown = [n for n, f in ((left, first), (right, second)) if f.kind == "?"]
        if not any(self.floating.may_be_tensor(n) for n in unknown):
            return False
        if any(self.floating.is_path(n) for n in unknown):
            return False
        return not self.floating.of(left) and not self.floating.of(right)


def _differ(first: str, second: str) -> bool:
    if "?" in (first, second) or first == second:
        return False
    if "float" in (first, second):
        return not {first, second} <= FLOATS
    return True


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.List):
        return all(_is_number(e) for e in node.elts)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _within(value: int, dtype: str) -> bool:
    low, end = RANGES.get(dtype, (-(2**63), 2**64))
    return low <= value < end


def prepare(rewriter: Rewriter) -> None:
    """Find the operators of a file that are not written as they stand."""
    rewriter.operators = found = Operators(rewriter)
    for node in of_type(rewriter.source.tree, ast.BinOp, ast.Compare):
        if found.decision(node):
            rewriter.touch(node)


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """The exact spelling of an operator; None where it is written as it stands."""
    if not isinstance(node, ast.BinOp | ast.Compare) or rewriter.operators is None:
        return None
    decision = rewriter.operators.decision(node)
    found = parts(node)
    if not decision or found is None:
        return None
    left, operation, right = found
    if decision == "exact":
        name = f"operators.{NAMES[operation]}"
        rewriter.tiers.compat[name] += 1
        passed = ", ".join(parenthesised(rewriter.expr(side), 2) for side in (left, right))
        return Fragment(f"{rewriter.imports.use('compat')}.{name}({passed})")
    first = rewriter.facts.of(left)
    side = "left" if first.is_tensor and first.dtype in INTEGERS else "right"
    written = {"left": rewriter.expr(left), "right": rewriter.expr(right)}
    cast = f"{parenthesised(written[side], 20)}.to({rewriter.imports.use('torch')}.{decision})"
    texts = {
        "left": parenthesised(written["left"], 13),
        "right": parenthesised(written["right"], 14),
        side: cast,
    }
    return Fragment(f"{texts['left']} / {texts['right']}", PRECEDENCE[ast.Div])
