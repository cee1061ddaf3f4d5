"""Inlining: a rule's body with the call's arguments, its decided branches taken and torch's defaults dropped.

A rule that the arguments do not decide raises `Undecided`; the caller then writes the compat call. Arguments keep
their order and number of evaluations: one that is not a plain name or constant may occur once only, and those with
effects must come out in the order in which they stand in the call.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from tfport.rule import DTYPE_PARAMETERS
from tfport.source import evaluate
from tfport.source.rulebook import Parameter, RuleText
from tfport.source.text import Fragment, parenthesised, precedence, required, splice
from tfport.source.torch_defaults import is_default
from tfport.source.values import NOTHING, Fact, Symbol, is_dtype, is_known, of_value

BUILTINS = frozenset(dir(builtins))
MODULES = {"torch": "torch", "F": "torch.nn.functional", "nn": "torch.nn", "np": "numpy", "math": "math"}
CONVERTED = frozenset(
    {"number", "int", "list", "iterable", "array", "str", "shape"}
)  # kinds that a Tensor position converts


class Undecided(Exception):
    """The arguments do not decide the rule's body."""


@dataclasses.dataclass
class Argument:
    """An argument of the call, or a local name of the rule: its text, what is known of it, what using it costs."""

    fragment: Fragment
    fact: Fact = NOTHING
    pure: bool = True
    simple: bool = True  # a name or constant: may be written more than once
    order: int = -1  # place among the call's arguments; -1 for a default
    elements: list[Fragment] | None = None  # of a literal list or tuple
    converts: bool = False  # a Tensor position that holds a number, list or array
    uses: tuple[str, ...] = ()  # arguments that a local name stands for
    mixes: bool = False  # a literal list with items that are known to be no tensors
    may_be_number: bool = False  # a parameter whose default is a number, or a name whose items are assigned


class Inliner:
    """Inlines rules; ``module`` maps a module's short name to its spelling in the converted file."""

    def __init__(self, module: Callable[[str], str]) -> None:
        self._module = module

    def inline(self, rule: RuleText, arguments: Mapping[str, Argument]) -> Fragment:
        """The expression that replaces the call. Raises `Undecided`."""
        if rule.kind not in ("function", "method"):
            raise Undecided
        return self._run(rule, arguments)

    def construct(self, rule: RuleText, arguments: Mapping[str, Argument]) -> Fragment:
        """The module constructor that a layer's rule makes of its arguments. Raises `Undecided`."""
        return self._run(rule, arguments)

    def _run(self, rule: RuleText, arguments: Mapping[str, Argument]) -> Fragment:
        body = _Body(rule, dict(arguments), self._module)
        result = body.run(rule.steps)
        if result is None:
            raise Undecided
        body.check_evaluation(result)
        return result


class _Body:
    def __init__(self, rule: RuleText, env: dict[str, Argument], module: Callable[[str], str]) -> None:
        self.rule = rule
        self.env = env
        self.arguments = dict(env)
        self.module = module
        self.used: list[str] = []
        for name, parameter in rule.parameters.items():
            self._presume(env[name], parameter)
            self._name_dtype(env[name], parameter)
        operands = [
            env[n] for n, p in rule.parameters.items() if p.annotation == "Tensor" and env[n].order >= 0
        ]
        if len(operands) > 1 and all(a.fact.kind in CONVERTED for a in operands):
            raise Undecided  # tf.add(2, 3) is a tensor

    @staticmethod
    def _presume(argument: Argument, parameter: Parameter) -> None:
        """An argument of unknown origin in a tensor position is taken for a tensor; a known other is converted."""
        values = argument.fact.value
        if parameter.annotation == "Tensors" and isinstance(values, list | tuple):
            argument.converts = argument.mixes or any(
                is_known(v) or isinstance(v, list | tuple) for v in values
            )
        if parameter.annotation not in ("Tensor", "Float", "Indices"):
            return
        if argument.fact.kind == "?":
            argument.fact = dataclasses.replace(argument.fact, kind="tensor")
        if parameter.annotation == "Float" and argument.fact.is_tensor and argument.fact.dtype == "?":
            argument.fact = dataclasses.replace(argument.fact, dtype="float")
        argument.converts = argument.fact.kind in CONVERTED or argument.may_be_number

    def _name_dtype(self, argument: Argument, parameter: Parameter) -> None:
        """A dtype given by its name ("float32") becomes torch's; one of unknown origin may be a name: converted."""
        if parameter.name not in DTYPE_PARAMETERS:
            return
        value = argument.fact.value
        if isinstance(value, str) and is_dtype(f"torch.{value}"):
            value = Symbol(f"torch.{value}")
        if isinstance(value, Symbol):
            argument.fact = of_value(value)
            argument.fragment = literal(value, self.module)
        elif argument.fact.kind in ("?", "str") and not argument.fragment.text.endswith(".dtype"):
            argument.converts = True

    # -- statements --------------------------------------------------------------------------------------

    def run(self, steps: list[ast.stmt]) -> Fragment | None:
        for step in steps:
            if isinstance(step, ast.If):
                result = self.run(step.body if self.truth(step.test) else step.orelse)
                if result is not None:
                    return result
            elif (
                isinstance(step, ast.Assign)
                and isinstance(step.targets[0], ast.Name)
                and len(step.targets) == 1
            ):
                self._assign(step.targets[0].id, step.value)
            elif isinstance(step, ast.Return) and step.value is not None:
                self.used = []
                return self.emit(step.value)
            else:
                raise Undecided
        return None

    def _assign(self, name: str, value: ast.expr) -> None:
        self.used = []
        fact = self.fact(value)
        fragment = self.emit(value)
        uses = tuple(self.used)
        source = self.env.get(value.id) if isinstance(value, ast.Name) else None
        self.env[name] = Argument(
            fragment, fact, pure=True, simple=fragment.precedence >= 19 and fragment.text.isidentifier(),
            elements=source.elements if source else None, uses=uses,
        )  # fmt: skip
        if is_known(fact.value) and not uses:
            self.env[name].simple = True

    def truth(self, test: ast.expr) -> bool:
        value = self.fact(test).value
        if not is_known(value) and not isinstance(value, list | tuple):
            raise Undecided
        return bool(value)

    def fact(self, node: ast.expr) -> Fact:
        return evaluate.fact(node, self._fact_of_name)

    def _fact_of_name(self, name: str, tested: bool) -> Fact:
        argument = self.env.get(name)
        if argument is None:
            return NOTHING
        if tested:
            argument.converts = False
        return argument.fact

    # -- expressions -------------------------------------------------------------------------------------

    def emit(self, node: ast.expr) -> Fragment:
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Constant):
            return Fragment(self.rule.source.segment(node), precedence(node))
        if isinstance(node, ast.IfExp):
            return self.emit(node.body if self.truth(node.test) else node.orelse)
        value = self.fact(node).value
        if is_known(value) and not isinstance(node, ast.Lambda):
            return literal(value, self.module)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(
            node, ast.Lambda | ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp | ast.NamedExpr
        ):
            raise Undecided
        replaced: dict[ast.AST, Fragment] = {child: self.emit(child) for child in _expressions(node)}
        return splice(self.rule.source, node, replaced)

    def _name(self, node: ast.Name) -> Fragment:
        argument = self.env.get(node.id)
        if argument is None:
            if node.id == "modules" and self.rule.imports.get("modules") == "tfport.compat.keras.modules":
                return Fragment(f"{self.module('compat')}.keras.modules")
            if node.id in MODULES and self.rule.imports.get(node.id) == MODULES[node.id]:
                return Fragment(self.module(node.id))
            if node.id in BUILTINS:
                return Fragment(node.id)
            raise Undecided
        if argument.converts:
            raise Undecided
        self.used.extend(argument.uses if argument.order < 0 else (node.id,))
        return argument.fragment

    def _call(self, node: ast.Call) -> Fragment:
        function = parenthesised(self.emit(node.func), required(node, "func", node.func))
        written = ast.unparse(node.func)
        pieces: list[str] = []
        for argument in node.args:
            pieces += self._positional(argument)
        for keyword in node.keywords:
            if keyword.arg is None:
                raise Undecided
            value = self.fact(keyword.value).value
            if is_known(value) and is_default(written, keyword.arg, value):
                continue
            pieces.append(f"{keyword.arg}={parenthesised(self.emit(keyword.value), 2)}")
        return Fragment(f"{function}({', '.join(pieces)})")

    def _positional(self, node: ast.expr) -> list[str]:
        if not isinstance(node, ast.Starred):
            return [parenthesised(self.emit(node), 2)]
        value = self.fact(node.value).value
        if is_known(value) and isinstance(value, list | tuple):
            return [literal(v, self.module).text for v in value]
        argument = self.env.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if argument is not None and argument.elements is not None:
            self.emit(node.value)
            return [parenthesised(e, 2) for e in argument.elements]
        return [f"*{parenthesised(self.emit(node.value), 8)}"]

    # -- evaluation order --------------------------------------------------------------------------------

    def check_evaluation(self, result: Fragment) -> None:
        """Raise `Undecided` where an argument would be evaluated twice, never, or out of order."""
        passed = {n: a for n, a in self.arguments.items() if a.order >= 0}
        effects = [a for a in passed.values() if not a.pure]
        rebinds = any(":=" in a.fragment.text for a in effects)
        ordered = set()
        for name, argument in passed.items():
            times = self.used.count(name)
            if (times > 1 and not argument.simple) or (times != 1 and not argument.pure):
                raise Undecided
            if effects and not (argument.simple and not (rebinds and argument.fragment.text.isidentifier())):
                ordered.add(name)
        orders = [passed[n].order for n in self.used if n in ordered]
        if orders != sorted(orders):
            raise Undecided


def _expressions(node: ast.AST) -> list[ast.expr]:
    """The outermost expressions below a node, through slices and keywords."""
    found: list[ast.expr] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Slice):
            found += _expressions(child)
        elif isinstance(child, ast.expr):
            found.append(child)
    return found


def literal(value: Any, module: Callable[[str], str]) -> Fragment:
    """A known value as source text."""
    if isinstance(value, Symbol):
        root, dot, rest = value.text.partition(".")
        return Fragment(module(root) + dot + rest if root in MODULES else value.text)
    if isinstance(value, str):
        return Fragment(
            '"' + repr(value + "'")[1:-2].replace('"', '\\"') + '"' if "'" not in value else repr(value)
        )
    if isinstance(value, float) and value != value:
        return Fragment(f"{module('math')}.nan")
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return Fragment(f"{'-' if value < 0 else ''}{module('math')}.inf", 20 if value > 0 else 14)
    if isinstance(value, list | tuple):
        inside = ", ".join(literal(v, module).text for v in value)
        if isinstance(value, list):
            return Fragment(f"[{inside}]")
        return Fragment(f"({inside}{',' if len(value) == 1 else ''})")
    negative = isinstance(value, int | float) and not isinstance(value, bool) and value < 0
    return Fragment(repr(value), 14 if negative else 19 if isinstance(value, int | float) else 20)
