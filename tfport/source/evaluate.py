"""Partial evaluation of a rule's expressions: the value where the arguments decide it, UNKNOWN elsewhere."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from tfport.source.values import (
    COMPLEX,
    FLOATS,
    NOTHING,
    UNKNOWN,
    Fact,
    Symbol,
    Unknown,
    is_dtype,
    is_known,
    literal_dtype,
    of_value,
)

Lookup = Callable[[str, bool], Fact]
COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not, ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip
PURE_CALLS: dict[str, Callable[..., Any]] = {
    "len": len, "tuple": tuple, "list": list, "int": int, "float": float, "bool": bool, "min": min, "max": max,
    "abs": abs, "sorted": sorted, "sum": sum, "any": any, "all": all, "range": range, "str": str, "set": set, "round": round,
}  # fmt: skip
STRING_METHODS = frozenset({"lower", "upper", "startswith", "endswith", "strip"})
TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (float,), "bool": (bool,), "str": (str,), "list": (list,), "tuple": (tuple,),
    "complex": (complex,), "dict": (dict,), "bytes": (bytes,), "set": (set,), "slice": (slice,),
}  # fmt: skip


def fact(node: ast.expr, lookup: Lookup) -> Fact:
    """The fact of an expression; ``lookup(name, tested)`` gives that of a name, tested by isinstance or not."""
    return _Evaluation(lookup).fact(node)


class _Evaluation:
    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup

    def fact(self, node: ast.AST) -> Fact:
        handler = getattr(self, f"_{type(node).__name__}", None)
        return NOTHING if handler is None else handler(node)

    def value(self, node: ast.AST) -> Any:
        return self.fact(node).value

    def _Constant(self, node: ast.Constant) -> Fact:
        return of_value(node.value)

    def _Name(self, node: ast.Name) -> Fact:
        return self.lookup(node.id, False)

    def _sequence(self, node: ast.List | ast.Tuple) -> Fact:
        values: list[Any] = []
        for element in node.elts:
            value = self.value(element.value if isinstance(element, ast.Starred) else element)
            if not isinstance(element, ast.Starred):
                values.append(value)
            elif isinstance(value, list | tuple):
                values += value
            else:
                return Fact("list")
        return Fact("list", value=tuple(values) if isinstance(node, ast.Tuple) else values)

    _List = _Tuple = _sequence

    def _Attribute(self, node: ast.Attribute) -> Fact:
        text = ast.unparse(node)
        if is_dtype(text):
            return of_value(Symbol(text))
        receiver = self.fact(node.value)
        if node.attr == "dtype" and receiver.is_tensor:
            exact = receiver.dtype not in ("?", "float")
            return of_value(Symbol(f"torch.{receiver.dtype}")) if exact else Fact("dtype", receiver.dtype)
        if node.attr == "ndim" and receiver.ndim is not None:
            return of_value(receiver.ndim)
        if node.attr in ("is_floating_point", "is_complex"):
            return of_value(_dtype_is(receiver, node.attr))
        return NOTHING

    def _UnaryOp(self, node: ast.UnaryOp) -> Fact:
        value = self.value(node.operand)
        if not is_known(value):
            return NOTHING
        if isinstance(node.op, ast.Not):
            return of_value(not value)
        if isinstance(value, int | float) and isinstance(node.op, ast.USub):
            return of_value(-value)
        return NOTHING

    def _BinOp(self, node: ast.BinOp) -> Fact:
        left, right = self.value(node.left), self.value(node.right)
        compute = BINARY.get(type(node.op))
        whole = isinstance(left, list | tuple) and isinstance(right, list | tuple)
        if compute is None or not (whole or (is_known(left) and is_known(right))):
            return NOTHING
        try:
            return of_value(compute(left, right))
        except (TypeError, ArithmeticError):
            return NOTHING

    def _BoolOp(self, node: ast.BoolOp) -> Fact:
        stops = isinstance(node.op, ast.Or)
        undecided = False
        value: Any = UNKNOWN
        for part in node.values:
            value = self.value(part)
            if isinstance(value, Unknown):
                undecided = True
            elif bool(value) == stops:
                return of_value(value)
        return NOTHING if undecided else of_value(value)

    def _Compare(self, node: ast.Compare) -> Fact:
        left = node.left
        undecided = False
        for op, right in zip(node.ops, node.comparators, strict=True):
            value = self._compared(op, left, right)
            if isinstance(value, Unknown):
                undecided = True
            elif not value:
                return of_value(False)
            left = right
        return NOTHING if undecided else of_value(True)

    def _compared(self, op: ast.cmpop, left: ast.expr, right: ast.expr) -> Any:
        a, b = self.fact(left), self.fact(right)
        if isinstance(op, ast.Is | ast.IsNot) and b.kind == "none":
            return _is_none(a, isinstance(op, ast.Is))
        if is_known(a.value) and is_known(b.value):
            try:
                return COMPARE[type(op)](a.value, b.value)
            except TypeError:
                return UNKNOWN
        if isinstance(op, ast.Eq | ast.NotEq):
            same = _equal(a, b)
            return same if isinstance(same, Unknown) else same == isinstance(op, ast.Eq)
        return UNKNOWN

    def _IfExp(self, node: ast.IfExp) -> Fact:
        test = self.value(node.test)
        if isinstance(test, Unknown):
            return NOTHING
        return self.fact(node.body if test else node.orelse)

    def _Subscript(self, node: ast.Subscript) -> Fact:
        value, index = self.value(node.value), self.value(node.slice)
        if (
            isinstance(value, list | tuple | str)
            and isinstance(index, int)
            and -len(value) <= index < len(value)
        ):
            return of_value(value[index])
        if isinstance(node.slice, ast.Slice) and isinstance(value, list | tuple):
            parts = [
                None if p is None else self.value(p)
                for p in (node.slice.lower, node.slice.upper, node.slice.step)
            ]
            if all(p is None or isinstance(p, int) for p in parts):
                return of_value(value[slice(*parts)])
        return NOTHING

    def _Call(self, node: ast.Call) -> Fact:
        if isinstance(node.func, ast.Name):
            return self._function(node, node.func.id)
        if isinstance(node.func, ast.Attribute):
            return self._method(node, node.func)
        return NOTHING

    def _function(self, node: ast.Call, name: str) -> Fact:
        if name == "isinstance" and len(node.args) == 2:
            return of_value(self._isinstance(node.args[0], node.args[1]))
        if name == "literal_dtype" and node.args:
            return self._literal_dtype(self.fact(node.args[0]))
        compute = PURE_CALLS.get(name)
        if compute is None or node.keywords:
            return NOTHING
        values = [self.value(a) for a in node.args]
        shape_only = name in ("len", "tuple", "list") and values and isinstance(values[0], list | tuple)
        if not values or not (shape_only or all(is_known(v) for v in values)):
            return NOTHING
        try:
            result = compute(*values)
        except (TypeError, ValueError):
            return NOTHING
        return of_value(list(result) if isinstance(result, range) else result)

    @staticmethod
    def _literal_dtype(argument: Fact) -> Fact:
        """`tfport.compat.arguments.literal_dtype` of a literal in the call."""
        if argument.kind == "int" and argument.dtype != "bool" and not is_known(argument.value):
            return of_value(Symbol("torch.int32"))  # presumed; torch raises for an int beyond it
        if not is_known(argument.value):
            other = argument.kind in ("tensor", "array", "str", "none", "dtype", "shape")
            return of_value(None) if other else NOTHING
        dtype = literal_dtype(argument.value)
        return of_value(None if dtype == "?" else Symbol(f"torch.{dtype}"))

    def _isinstance(self, subject: ast.expr, types: ast.expr) -> Any:
        known = self.fact(subject)
        parts = types.elts if isinstance(types, ast.Tuple) else _union(types)
        answer = _is_instance(known, [ast.unparse(p) for p in parts])
        if answer is True and isinstance(subject, ast.Name):
            self.lookup(subject.id, True)
        return answer

    def _method(self, node: ast.Call, func: ast.Attribute) -> Fact:
        if ast.unparse(func) == "torch.is_tensor" and node.args:
            return of_value(_is_instance(self.fact(node.args[0]), ["torch.Tensor"]))
        receiver = self.fact(func.value)
        if func.attr in ("is_floating_point", "is_complex"):
            return of_value(_dtype_is(receiver, func.attr))
        if isinstance(receiver.value, str) and func.attr in STRING_METHODS:
            arguments = [self.value(a) for a in node.args]
            if all(is_known(a) for a in arguments):
                return of_value(getattr(receiver.value, func.attr)(*arguments))
        return NOTHING


def _union(types: ast.expr) -> list[ast.expr]:
    if isinstance(types, ast.BinOp) and isinstance(types.op, ast.BitOr):
        return [*_union(types.left), *_union(types.right)]
    return [types]


def _dtype_is(receiver: Fact, question: str) -> Any:
    dtype = receiver.dtype
    if receiver.kind == "dtype" and isinstance(receiver.value, Symbol):
        dtype = receiver.value.text.removeprefix("torch.")
    if dtype == "?":
        return UNKNOWN
    return dtype in (FLOATS if question == "is_floating_point" else COMPLEX)


def _is_none(known: Fact, positive: bool) -> Any:
    if known.kind == "none":
        return positive
    if known.kind == "?" and isinstance(known.value, Unknown):
        return UNKNOWN
    return not positive


def _equal(a: Fact, b: Fact) -> Any:
    """Equality of values that are only partly known: lists of unlike length, values of unlike kinds."""
    if isinstance(a.value, list | tuple) and isinstance(b.value, list | tuple):
        if type(a.value) is not type(b.value) or len(a.value) != len(b.value):
            return False
        pairs = list(zip(a.value, b.value, strict=True))
        if any(is_known(x) and is_known(y) and x != y for x, y in pairs):
            return False
        return UNKNOWN
    if "?" in (a.kind, b.kind) or a.kind == "tensor" or b.kind == "tensor":
        return UNKNOWN
    numbers = {"int", "number"}
    if a.kind != b.kind and not {a.kind, b.kind} <= numbers and not {a.kind, b.kind} <= {"shape", "list"}:
        return False
    return UNKNOWN


def _is_instance(known: Fact, types: list[str]) -> Any:
    if is_known(known.value) and not isinstance(known.value, Symbol):
        wanted = tuple(t for name in types for t in TYPES.get(name, ()))
        return isinstance(known.value, wanted)
    if isinstance(known.value, list | tuple):
        return type(known.value).__name__ in types
    told = {"int": {"int"}, "number": {"int", "float"}, "list": {"list", "tuple"}, "str": {"str"}, "array": {"np.ndarray"},
            "tensor": {"torch.Tensor"}, "dtype": {"torch.dtype"}, "none": set(), "shape": {"torch.Size", "tuple"}}  # fmt: skip
    if known.kind not in told:
        return UNKNOWN
    possible, asked = told[known.kind], set(types)
    if asked == {"torch.nn.Parameter"} and known.kind == "tensor":
        return known.variable
    if known.kind == "int" and "bool" in asked and "int" not in asked:
        return UNKNOWN  # a bool is an int too
    if not possible & asked:
        return False
    return True if possible <= asked or known.kind == "shape" else UNKNOWN
