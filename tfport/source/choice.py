"""Which rule a call means, and which argument goes to which parameter."""

from __future__ import annotations

import ast

from tfport.source import versions
from tfport.source.canonical import Canonical
from tfport.source.facts import Facts
from tfport.source.names import Names
from tfport.source.rulebook import Parameter, Rulebook, RuleText

Bound = tuple[RuleText, dict[str, ast.expr]]
LAYER_OPTIONS = frozenset(
    [
        "name",
        "trainable",
        "dtype",
        "input_shape",
        "batch_input_shape",
        "input_dim",
        "input_length",
        "weights",
        "autocast",
        "data_format",
        "activity_regularizer",
        "batch_size",
        "dynamic",
    ]
)


class Choice:
    """Chooses the rule of a name or a call; ``version`` is the TensorFlow that the file is written for, if it says.

    What is known of values decides some choices, and rules tell what is known of values: so the facts are made here.
    """

    def __init__(self, names: Names, book: Rulebook, version: int | None) -> None:
        self.book, self.version = book, version
        self.facts = Facts(names, self.rule_of, self._constant)

    def _constant(self, name: str) -> str | None:
        """The expression that replaces a TensorFlow constant."""
        found = self.book.constant(name)
        return None if found is None else found.text

    def rules_for(self, meaning: Canonical) -> list[RuleText]:
        """The rules that apply to a name in this file: one, or several where the version is not decided."""
        rules = self.book.find(meaning.name)
        version = meaning.version or self.version
        if len(rules) > 1 and version is not None:
            exact = [r for r in rules if r.version == version]
            return exact[-1:] or [r for r in rules if r.version is None][-1:] or rules[-1:]
        if len(rules) > 1 and len({r.version for r in rules}) == 1:
            return rules[-1:]
        return rules

    def rule_of(self, node: ast.Call, meaning: Canonical) -> RuleText | None:
        """The one rule of a call, None if there is none or the version leaves two that fit."""
        rules = self.rules_for(meaning)
        if len(rules) == 1:
            return rules[0]
        bound = [(r, a) for r in rules if (a := bind(r, node)) is not None]
        if len(bound) > 1:
            bound = self.either(meaning, bound, node)
        return bound[0][0] if len(bound) == 1 else None

    def either(self, meaning: Canonical, bound: list[Bound], node: ast.Call) -> list[Bound]:
        """Of the rules for both versions, the one that will do when the file does not say which it is."""
        if has_star(node) and len({tuple(rule.parameters) for rule, _ in bound}) > 1:
            return bound
        second = [b for b in bound if b[0].version != 1] or bound
        if all(versions.same_call(meaning.name, second[0][1], arguments) for _, arguments in bound):
            return second[:1]
        if meaning.name == "tf.while_loop" and self._loops_over_several(second[0][1]):
            return second[:1]
        either = versions.EITHER.get(meaning.name)
        return [(rule, second[0][1]) for rule in self.book.find(either)] if either else bound

    def _loops_over_several(self, arguments: dict[str, ast.expr]) -> bool:
        """Whether loop_vars is a literal of two and more: a single one comes back bare in TensorFlow 1."""
        variables = self.facts.of(arguments["loop_vars"]).value if "loop_vars" in arguments else None
        return isinstance(variables, list | tuple) and len(variables) > 1


def bind(rule: RuleText, node: ast.Call) -> dict[str, ast.expr] | None:
    """Arguments by parameter; {} when a star hides them; None when they do not fit."""
    if has_star(node):
        return {}
    parameters = rule.parameters
    positional = [n for n, p in parameters.items() if p.kind == "positional"]
    kinds = {p.kind for p in parameters.values()}
    values = list(node.args)
    if rule.kind == "method" and isinstance(node.func, ast.Attribute):
        values.insert(0, node.func.value)
    if not parameters and rule.kind in ("class", "layer"):
        return {}
    if len(values) > len(positional):
        return {} if "var_positional" in kinds else None
    found: dict[str, ast.expr] = dict(zip(positional, values, strict=False))
    for keyword in node.keywords:
        name = rule.renamed.get(str(keyword.arg), str(keyword.arg))
        if name in found:
            return None
        if name not in parameters:
            if "var_keyword" in kinds or (rule.kind == "layer" and name in LAYER_OPTIONS):
                continue
            return None
        found[name] = keyword.value
    if any(n not in found and p.default is None and p.kind in ("positional", "keyword") and not _given(rule, p)
           for n, p in parameters.items()):  # fmt: skip
        return None
    return found


def _given(rule: RuleText, parameter: Parameter) -> bool:
    """Parameters of a layer's builder that describe its input and are not passed by the user."""
    return rule.kind == "layer" and parameter.kind == "keyword"


def signature(rule: RuleText) -> str:
    """The parameters of a rule, for a message."""
    return f"({', '.join(rule.parameters)})"


def has_star(node: ast.Call) -> bool:
    """Whether ``*args`` or ``**kwargs`` hide some arguments of a call."""
    return any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords)
