"""Calls of TensorFlow's functions and methods: inlined, written ``compat.f(...)``, or marked."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source import origins, purity
from tfport.source.canonical import Canonical
from tfport.source.choice import Choice, bind, signature
from tfport.source.fresh_cells import note_fresh_cells
from tfport.source.inline import CONVERTED, Argument, Undecided
from tfport.source.rulebook import Parameter, RuleText
from tfport.source.text import Fragment, Source, parenthesised, precedence, splice
from tfport.source.values import Fact, Symbol, of_value

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

TENSORS = frozenset({"Tensor", "Tensors", "Operand", "Float", "Indices"})
MAKERS = frozenset({"tf.constant", "tf.convert_to_tensor", "tf.Variable", "tf.identity", "tf.fill"})
VALUES = frozenset({"value", "initial_value", "input"})


class Calls:
    """Writes the calls of one file."""

    def __init__(self, rewriter: Rewriter, choice: Choice) -> None:
        self.rewriter, self.choice = rewriter, choice

    def call(self, node: ast.Call) -> Fragment:
        """The new text of a call."""
        meaning = self.rewriter.hits.get(node.func)
        if isinstance(meaning, Canonical) and self.rewriter.book.constant(meaning.name) is None:
            rules = self.choice.rules_for(meaning)
            if rules and rules[0].kind != "method":
                return self._rule_call(node, meaning, rules)
        if node in self.rewriter.hits and isinstance(node.func, ast.Attribute):
            return self._method_call(node, node.func)
        return self.rewriter.spliced(node)

    def _rule_call(self, node: ast.Call, meaning: Canonical, rules: list[RuleText]) -> Fragment:
        bound = [(r, a) for r in rules if (a := bind(r, node)) is not None]
        if not bound:
            self.rewriter.mark(node, "TFP104", meaning.name, f"the arguments do not fit {meaning.name}{signature(rules[0])}",
                      "check the call, or port it by hand")  # fmt: skip
            return self._arguments_only(node)
        if len(bound) > 1:
            bound = self.choice.either(meaning, bound, node)
        if len(bound) > 1:
            self.rewriter.mark(node, "TFP103", meaning.name, "TensorFlow 1 and 2 differ here and the file does not say which it is",
                      "use keyword arguments, or tf.compat.v1")  # fmt: skip
            return self._arguments_only(node)
        if self._refuse_strings(node, *bound[0]):
            return self._arguments_only(node)
        return self._apply(node, *bound[0])

    def _method_call(self, node: ast.Call, func: ast.Attribute) -> Fragment:
        rule = self.rewriter.book.method(func.attr)
        if rule is None:
            return self.rewriter.spliced(node)
        arguments = bind(rule, node)
        if arguments is None:
            return self.rewriter.spliced(node)
        known = self.rewriter.facts.of(func.value).is_tensor or func.attr in ("get_shape",)
        return self._apply(node, rule, arguments if known else None)

    def _arguments_only(self, node: ast.Call) -> Fragment:
        arguments = [*node.args, *(k.value for k in node.keywords)]
        return splice(
            self.rewriter.source,
            node,
            {a: self.rewriter.expr(a) for a in arguments if a in self.rewriter.dirty},
        )

    def _refuse_strings(self, node: ast.Call, rule: RuleText, arguments: dict[str, ast.expr]) -> bool:
        """Mark a call that makes a tensor of strings."""
        for name, value in arguments.items():
            takes = rule.parameters[name].annotation in TENSORS or (rule.primary in MAKERS and name in VALUES)
            if takes and _is_text(self.rewriter.facts.of(value)):
                self.rewriter.mark(node, "TFP109", rule.primary, "PyTorch has no tensors of strings",
                                   "keep strings in a list or a NumPy array")  # fmt: skip
                return True
        return False

    def _apply(self, node: ast.Call, rule: RuleText, arguments: dict[str, ast.expr] | None) -> Fragment:
        """The inlined expression, or the compat call where the arguments do not decide."""
        note_fresh_cells(self.rewriter, node, rule.primary, arguments or {})
        if rule.kind in ("function", "method") and arguments:
            try:
                result = self.rewriter.inliner.inline(rule, self._evaluated(rule, arguments))
            except Undecided:
                pass
            else:
                self.rewriter.tiers.inlined[rule.primary] += 1
                return self._laid_out(node, result)
        return self.compat_call(node, rule)

    def compat_call(self, node: ast.Call, rule: RuleText) -> Fragment:
        """The call of the same function in compat, its arguments as they stand."""
        reference = self.compat_reference(rule)
        replaced = {
            c: self.rewriter.expr(c) for c in self.rewriter.dirty_children(node) if c is not node.func
        }
        if rule.kind != "method":
            return splice(self.rewriter.source, node, {**replaced, node.func: reference})
        assert isinstance(node.func, ast.Attribute)
        receiver = parenthesised(self.rewriter.expr(node.func.value), 2)
        rest = [self.rewriter.expr(a).text for a in node.args] + [
            f"{k.arg}={self.rewriter.expr(k.value).text}"
            if k.arg
            else f"**{self.rewriter.expr(k.value).text}"
            for k in node.keywords
        ]
        return Fragment(f"{reference.text}({', '.join([receiver, *rest])})")

    def compat_reference(self, rule: RuleText) -> Fragment:
        """``compat.x`` for a rule used as a value."""
        self.rewriter.tiers.compat[rule.primary] += 1
        if rule.user is not None:
            self.rewriter.user_rules.add(rule.user)
        return Fragment(f"{self.rewriter.imports.use('compat')}.{rule.path}")

    def _laid_out(self, node: ast.Call, result: Fragment) -> Fragment:
        """Break a line that was broken before and would now be too long, one argument a line."""
        start, _ = self.rewriter.source.span(node)
        column = start - self.rewriter.source.starts[node.lineno - 1]
        if node.lineno == node.end_lineno or "\n" in result.text or column + len(result.text) <= 100:
            return result
        tree = Source(result.text)
        statement = tree.tree.body[0]
        call = statement.value if isinstance(statement, ast.Expr) else None
        if not isinstance(call, ast.Call) or not (call.args or call.keywords):
            return result
        indent = self.rewriter.source.indent(node.lineno)
        pieces = [tree.segment(a) for a in call.args]
        pieces += [f"{k.arg}={tree.segment(k.value)}" for k in call.keywords]
        inside = "".join(f"{indent}    {p},\n" for p in pieces)
        return Fragment(f"{tree.segment(call.func)}(\n{inside}{indent})")

    def _evaluated(self, rule: RuleText, bound: dict[str, ast.expr]) -> dict[str, Argument]:
        arguments: dict[str, Argument] = {}
        for name, parameter in rule.parameters.items():
            if parameter.kind in ("var_positional", "var_keyword"):
                raise Undecided
            if name in bound:
                continue
            arguments[name] = self._default(rule, parameter)
        for name, node in sorted(bound.items(), key=lambda item: self.rewriter.source.span(item[1])):
            arguments[name] = self._argument(node, len(arguments))
        return {name: arguments[name] for name in rule.parameters}

    @staticmethod
    def _default(rule: RuleText, parameter: Parameter) -> Argument:
        assert parameter.default is not None
        text = rule.source.segment(parameter.default)
        try:
            fact = of_value(ast.literal_eval(parameter.default))
        except ValueError:
            fact = of_value(Symbol(text))
        return Argument(Fragment(text, precedence(parameter.default)), fact)

    def _argument(self, node: ast.expr, order: int) -> Argument:
        """One argument of a call, rewritten and with what is known of it."""
        fact = self.rewriter.facts.of(node)
        elements, mixes = None, False
        if isinstance(node, ast.List | ast.Tuple) and not any(isinstance(e, ast.Starred) for e in node.elts):
            elements = [self.rewriter.expr(e) for e in node.elts]
            mixes = any(self.rewriter.facts.of(e).kind in CONVERTED for e in node.elts)
        simple = isinstance(node, ast.Name | ast.Constant) or fact.known
        number = fact.kind == "?" and (
            origins.may_be_number(self.rewriter.facts, node) or self._may_be_array(node)
        )
        return Argument(
            self.rewriter.expr(node),
            fact,
            purity.is_pure(node, self.rewriter),
            simple,
            order,
            elements,
            mixes=mixes,
            may_be_number=number,
        )

    def _may_be_array(self, node: ast.expr) -> bool:
        return self.rewriter.arrays is not None and self.rewriter.arrays.may_be(node)


def _is_text(fact: Fact) -> bool:
    """Whether a value is a string or a list that holds one."""
    if isinstance(fact.value, list | tuple):
        return any(
            isinstance(v, str | bytes) or (isinstance(v, list | tuple) and _is_text(of_value(v)))
            for v in fact.value
        )
    return fact.kind == "str"
