"""What is known of the values of a file: kind, dtype, rank and Python value of an expression.

Facts follow single assignments, literals, TensorFlow calls by their rules' ``returns``, and operators. A name with
several bindings has what all of them have in common; a parameter is unknown.
"""

from __future__ import annotations

import ast
import dataclasses
import operator
from collections.abc import Callable
from typing import Any

from tfport.source.canonical import Canonical
from tfport.source.names import Binding, Names
from tfport.source.reaching import reaching
from tfport.source.rulebook import RuleText
from tfport.source.targets import Targets
from tfport.source.values import (
    FLOATS,
    INTEGERS,
    NOTHING,
    UNKNOWN,
    Fact,
    Symbol,
    is_dtype,
    join,
    literal_dtype,
    of_value,
)

ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip
_INT_CALLS = frozenset({"len", "int", "ord", "hash"})
_NUMBER_CALLS = frozenset({"float"})
_LIST_CALLS = frozenset({"list", "tuple", "sorted"})
_ITERABLE_CALLS = frozenset({"zip", "range", "enumerate", "map", "filter", "set", "dict", "reversed"})
_STR_CALLS = frozenset({"str", "repr", "format"})
ARRAY_METHODS = frozenset(
    {
        "astype",
        "reshape",
        "copy",
        "transpose",
        "mean",
        "sum",
        "min",
        "flatten",
        "ravel",
        "squeeze",
        "std",
        "var",
        "max",
        "cumsum",
        "dot",
        "round",
    }
)
CONSTANTS_OF_MODULES = frozenset({"pi", "e", "inf", "nan", "tau", "Inf", "NaN", "euler_gamma"})
DRAWING = frozenset(
    {"rand", "randn", "random", "normal", "uniform", "randint", "integers", "permutation", "standard_normal"}
)
VARIABLES = frozenset({"tf.Variable"})
TOLD = (ast.Name, ast.Attribute, ast.Call)
BUDGET = 500  # steps for one question; names that rebind each other in a loop would take exponentially many


class Facts:
    """Facts of one file's expressions. ``lookup`` gives the rule of a TensorFlow call."""

    def __init__(
        self,
        names: Names,
        lookup: Callable[[ast.Call, Canonical], RuleText | None],
        constant: Callable[[str], str | None],
    ) -> None:
        self.names = names
        self.lookup = lookup
        self.constant = constant
        self.targets = Targets(self)
        self._cache: dict[ast.AST, Fact] = {}
        self.tensors: set[ast.AST] = set()  # parameters and targets that are known to be tensors
        self._busy: set[ast.AST] = set()
        self._cut = False  # whether the evaluation under way met itself
        self._steps = 0
        self.told: Callable[[ast.AST], Fact | None] | None = None  # what is known of models and their calls

    def forget(self) -> None:
        """Drop what was found so far; it was found with less known."""
        self._cache.clear()

    def of(self, node: ast.AST) -> Fact:
        """The fact of an expression."""
        if node in self._cache:
            return self._cache[node]
        if not self._busy:
            self._steps = 0
        self._steps += 1
        if node in self._busy or self._steps > BUDGET:
            self._cut = True
            return NOTHING
        if self.told is not None and isinstance(node, TOLD) and (told := self.told(node)) is not None:
            self._cache[node] = told
            return told
        outer, self._cut = self._cut, False
        self._busy.add(node)
        handler = getattr(self, f"_{type(node).__name__}", None)
        fact = NOTHING if handler is None else handler(node)
        self._busy.discard(node)
        if not self._busy:
            self._cache[node] = fact if self._steps <= BUDGET else NOTHING
        elif not self._cut:
            self._cache[node] = fact
        self._cut = self._cut or outer
        return fact

    def _Constant(self, node: ast.Constant) -> Fact:
        return of_value(node.value)

    def _JoinedStr(self, node: ast.JoinedStr) -> Fact:
        return Fact("str")

    def _sequence(self, node: ast.List | ast.Tuple) -> Fact:
        if any(isinstance(e, ast.Starred) for e in node.elts):
            return Fact("list")
        values = [self.of(e).value for e in node.elts]
        return Fact("list", value=tuple(values) if isinstance(node, ast.Tuple) else values)

    _List = _Tuple = _sequence

    def _plain_list(self, node: ast.AST) -> Fact:
        return Fact("list")

    _ListComp = _plain_list

    def _Name(self, node: ast.Name) -> Fact:
        meaning = self.names.resolve(node)
        if isinstance(meaning, Canonical):
            return self._of_constant(meaning)
        return self._of_bindings(node)

    def _of_bindings(self, node: ast.Name) -> Fact:
        bindings = self.names.bindings(node)
        if len(bindings) > 1 and (seen := reaching(self.names, node, bindings)) is not None:
            bindings = [seen]
        if not bindings:
            return NOTHING
        found = []
        for binding in bindings:
            known = self._of_binding(binding)
            if known == NOTHING:
                return NOTHING  # whatever the others are
            if known is not None:
                found.append(known)
        fact = join(found)
        stable = len(bindings) == 1 and not isinstance(fact.value, list)
        return fact if stable else dataclasses.replace(fact, value=UNKNOWN)

    def _of_binding(self, binding: Binding) -> Fact | None:
        if binding.node in self.tensors:
            return Fact("tensor")
        if binding.value is None:
            return NOTHING if isinstance(binding.node, ast.arg) else self.targets.of(binding.node)
        value = binding.value
        if value in self._busy:
            self._cut = True  # x = f(x): the other bindings tell
            return None
        return self.of(value)

    def _Attribute(self, node: ast.Attribute) -> Fact:
        meaning = self.names.resolve(node)
        if isinstance(meaning, Canonical):
            return self._of_constant(meaning)
        if (
            node.attr in CONSTANTS_OF_MODULES
            and isinstance(node.value, ast.Name)
            and self.module_of(node.value) in ("numpy", "math")
        ):
            return Fact("number")
        receiver = self.of(node.value)
        if receiver.is_tensor:
            if node.attr == "shape":
                return Fact("shape")
            if node.attr == "dtype" and receiver.dtype not in ("?", "float"):
                return of_value(Symbol(f"torch.{receiver.dtype}"))
            if node.attr in ("T", "mT", "real"):
                return receiver
            if node.attr == "ndim":
                return Fact("int", value=UNKNOWN if receiver.ndim is None else receiver.ndim)
        if node.attr == "shape" or (node.attr == "dims" and receiver.kind == "shape"):
            return Fact("shape")
        if node.attr == "value" and receiver.kind == "int":  # x.shape[1].value
            return Fact("int")
        return NOTHING

    def _of_constant(self, meaning: Canonical) -> Fact:
        text = self.constant(meaning.name)
        if text is None:
            return NOTHING
        if is_dtype(text):
            return of_value(Symbol(text))
        try:
            return of_value(ast.literal_eval(text))
        except (ValueError, SyntaxError):
            return NOTHING

    def _Subscript(self, node: ast.Subscript) -> Fact:
        if self._is_size(node):
            return Fact("int")
        receiver = self.of(node.value)
        if receiver.is_tensor:
            return Fact("tensor", receiver.dtype)
        if receiver.kind == "shape":
            return Fact("shape") if isinstance(node.slice, ast.Slice) else Fact("int")
        if receiver.kind == "array":
            return Fact("array")
        if receiver.kind == "list" and isinstance(receiver.value, list | tuple):
            index = self.of(node.slice).value
            if isinstance(index, int) and -len(receiver.value) <= index < len(receiver.value):
                return of_value(receiver.value[index])
        return NOTHING

    def _is_size(self, node: ast.Subscript) -> bool:
        """Whether this is ``tf.shape(x)[i]``, which is written ``x.shape[i]``."""
        call = node.value
        if (
            not isinstance(call, ast.Call)
            or len(call.args) != 1
            or call.keywords
            or isinstance(node.slice, ast.Slice)
        ):
            return False
        meaning = self.names.resolve(call.func)
        if (
            not isinstance(meaning, Canonical)
            or meaning.name != "tf.shape"
            or self.of(node.slice).kind != "int"
        ):
            return False
        return self.of(call.args[0]).kind not in ("list", "array", "number", "int")

    def _UnaryOp(self, node: ast.UnaryOp) -> Fact:
        operand = self.of(node.operand)
        if operand.known and isinstance(operand.value, int | float) and isinstance(node.op, ast.USub):
            return of_value(-operand.value)
        if isinstance(node.op, ast.Not):
            return Fact("int", "bool")
        return Fact(operand.kind, operand.dtype, operand.ndim)

    def _BinOp(self, node: ast.BinOp) -> Fact:
        left, right = self.of(node.left), self.of(node.right)
        if left.is_tensor or right.is_tensor:
            return self._tensor_operator(node, left, right)
        if "str" in (left.kind, right.kind):
            return Fact("str")
        numbers = {"int", "number"}
        if left.kind in numbers and right.kind in numbers:
            compute = ARITHMETIC.get(type(node.op))
            if compute is not None and left.known and right.known and _small(node.op, right.value):
                try:
                    return of_value(compute(left.value, right.value))
                except ArithmeticError:
                    return Fact("number")
            both = left.kind == right.kind == "int" and not isinstance(node.op, ast.Div)
            return Fact("int" if both else "number")
        if "array" in (left.kind, right.kind):
            return Fact("array")
        if left.kind == right.kind == "list" and isinstance(node.op, ast.Add):
            if isinstance(left.value, list | tuple) and type(left.value) is type(right.value):
                return Fact("list", value=operator.add(left.value, right.value))
            return Fact("list")
        return NOTHING

    @staticmethod
    def _tensor_operator(node: ast.BinOp, left: Fact, right: Fact) -> Fact:
        dtypes = {f.dtype for f in (left, right) if f.is_tensor and f.dtype != "?"}
        dtype = dtypes.pop() if len(dtypes) == 1 else "?"
        if isinstance(node.op, ast.Div) and dtype in INTEGERS:
            dtype = "float32" if dtype in ("int8", "uint8", "int16", "uint16") else "float64"
        return Fact("tensor", dtype)

    def _Compare(self, node: ast.Compare) -> Fact:
        sides = [self.of(n) for n in (node.left, *node.comparators)]
        if isinstance(node.ops[0], ast.Is | ast.IsNot | ast.In | ast.NotIn):
            return Fact("int", "bool") if len(node.ops) == 1 else NOTHING
        if len(node.ops) == 1 and any(f.is_tensor for f in sides):
            return Fact("tensor", "bool")
        if any(f.kind == "array" for f in sides):
            return Fact("array")
        unknown = len(node.ops) == 1 and any(f.kind == "?" for f in sides)
        return Fact(dtype="bool") if unknown else NOTHING  # a bool, or a tensor or array of bools

    def _IfExp(self, node: ast.IfExp) -> Fact:
        return join([self.of(node.body), self.of(node.orelse)])

    def _Call(self, node: ast.Call) -> Fact:
        meaning = self.names.resolve(node.func)
        if isinstance(meaning, Canonical):
            return self._tensorflow_call(node, meaning)
        if isinstance(node.func, ast.Name) and not self.names.bindings(node.func):
            return self._builtin(node)
        if isinstance(node.func, ast.Attribute):
            return self._method(node, node.func)
        return NOTHING

    def _builtin(self, node: ast.Call) -> Fact:
        name = node.func.id  # type: ignore[attr-defined]
        if name in _INT_CALLS:
            return Fact("int")
        if name in _NUMBER_CALLS:
            return Fact("number")
        if name in _LIST_CALLS:
            return Fact("list")
        if name in _ITERABLE_CALLS:
            return Fact("iterable")
        if name in _STR_CALLS:
            return Fact("str")
        return NOTHING

    def _method(self, node: ast.Call, func: ast.Attribute) -> Fact:
        root = func.value
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and (module := self.module_of(root)) in ("numpy", "math"):
            return Fact("array" if module == "numpy" else "number")
        if func.attr == "get_shape":
            return Fact("shape")
        if func.attr == "as_list":
            return Fact("list")
        receiver = self.of(func.value)
        if func.attr == "astype" or (receiver.kind == "array" and func.attr in DRAWING):
            return Fact("array")
        if func.attr == "numpy" and receiver.is_tensor:
            return Fact("array")
        if receiver.kind == "array" and func.attr in ARRAY_METHODS:
            return Fact("array")
        if receiver.kind == "str":
            return Fact("str") if func.attr in ("format", "join", "lower", "upper", "strip") else NOTHING
        return NOTHING

    def module_of(self, node: ast.Name) -> str:
        """The module that a name is imported as, ``""`` if it is anything else."""
        for binding in self.names.bindings(node):
            if isinstance(binding.node, ast.Import):
                for alias in binding.node.names:
                    if (alias.asname or alias.name.partition(".")[0]) == node.id:
                        return alias.name
        return ""

    def _tensorflow_call(self, node: ast.Call, meaning: Canonical) -> Fact:
        if meaning.name == "tf.shape":
            return Fact("tensor", "int32", 1)
        rule = self.lookup(node, meaning)
        if rule is None or rule.kind in ("class", "layer"):
            return NOTHING
        if rule.primary in VARIABLES:
            return Fact("tensor", self._dtype_by(node, rule, "dtype") or self._dtype_by(node, rule, "initial_value") or "?",
                        variable=True)  # fmt: skip
        return self._returned(node, rule)

    def _returned(self, node: ast.Call, rule: RuleText) -> Fact:
        """What a rule's ``returns`` says of this call: a dtype, "tensor", or parameters to look at in turn."""
        told = rule.returns
        if told is None or told == "python":
            return NOTHING
        if told == "tensor" and "tensor" not in rule.parameters:
            return Fact("tensor")
        if told in FLOATS or told in INTEGERS or told in ("bool", "complex64", "complex128"):
            return Fact("tensor", told)
        for parameter in told.split("|"):
            dtype = self._dtype_by(node, rule, parameter)
            if dtype is not None:
                return Fact("tensor", dtype)
        return Fact("tensor")

    def _dtype_by(self, node: ast.Call, rule: RuleText, parameter: str) -> str | None:
        """The dtype that an argument gives the result; None when it is not passed and has no dtype as default."""
        argument = bound_argument(node, rule, parameter)
        if argument is None:
            if any(isinstance(a, ast.Starred) for a in node.args) or any(
                k.arg is None for k in node.keywords
            ):
                return "?"  # a star may pass it
            default = rule.parameters[parameter].default if parameter in rule.parameters else None
            name = "?" if default is None else _dtype_name(default)
            return None if name == "?" else name
        fact = self.of(argument)
        if fact.kind == "none":
            return None
        if fact.kind == "dtype" and isinstance(fact.value, Symbol):
            return fact.value.text.removeprefix("torch.")
        if fact.kind == "str" and isinstance(fact.value, str) and fact.value in FLOATS | INTEGERS | {"bool"}:
            return fact.value
        if fact.is_tensor:
            return fact.dtype
        return literal_dtype(fact.value)


def _dtype_name(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text.removeprefix("torch.") if is_dtype(text) else "?"


def _small(op: ast.operator, right: Any) -> bool:
    return not isinstance(op, ast.Pow) or abs(right) <= 64


def bound_argument(node: ast.Call, rule: RuleText, parameter: str) -> ast.expr | None:
    """The expression that a call passes for a parameter, None if it passes none or a star hides it."""
    if any(isinstance(a, ast.Starred) for a in node.args):
        return None
    positional = [n for n, p in rule.parameters.items() if p.kind == "positional"]
    if rule.kind == "method" and isinstance(node.func, ast.Attribute):
        if parameter == positional[0]:
            return node.func.value
        positional = positional[1:]
    for name, argument in zip(positional, node.args, strict=False):
        if name == parameter:
            return argument
    for keyword in node.keywords:
        if keyword.arg is not None and rule.renamed.get(keyword.arg, keyword.arg) == parameter:
            return keyword.value
    return None
