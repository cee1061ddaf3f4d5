"""A layer's constructor call in the source: which rule, which arguments, what is known of them."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tfport.layers.arguments import normalise
from tfport.source.canonical import Canonical
from tfport.source.choice import bind
from tfport.source.inline import Argument
from tfport.source.rulebook import Parameter, RuleText
from tfport.source.text import Fragment, precedence
from tfport.source.values import UNKNOWN, Fact, Symbol, is_known, of_value

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

# Arguments whose text may stand for a size that the source does not tell.
SIZES = frozenset({"units", "filters", "output_dim", "input_dim"})
# Arguments that change training and have no place in a plain module: such a layer stays a compat layer.
KEPT_BY_COMPAT = frozenset(
    [
        "kernel_regularizer",
        "bias_regularizer",
        "activity_regularizer",
        "kernel_constraint",
        "bias_constraint",
        "beta_regularizer",
        "gamma_regularizer",
        "beta_constraint",
        "gamma_constraint",
        "recurrent_regularizer",
        "recurrent_constraint",
        "embeddings_regularizer",
        "embeddings_constraint",
        "depthwise_regularizer",
        "depthwise_constraint",
        "pointwise_regularizer",
        "pointwise_constraint",
    ]
)
OPTIONS = frozenset({"name", "input_shape", "batch_input_shape"})


class Bail(Exception):
    """The model cannot be written as a class; it runs as it stands, recorded by compat.keras."""


@dataclasses.dataclass(eq=False)
class LayerSpec:
    """One layer: its class, its arguments as expressions and as known values."""

    node: ast.Call
    rule: RuleText
    given: dict[str, ast.expr]
    values: dict[str, Any]  # normalised; a size that only has a spelling is a `Symbol`
    name: str | None
    input_shape: tuple[int | None, ...] | None

    @property
    def class_name(self) -> str:
        """Keras' name of the class."""
        return self.rule.primary.rsplit(".", 1)[1]


def layer_rule(rewriter: Rewriter, node: ast.AST) -> RuleText | None:
    """The layer rule behind a call ``layers.X(...)``."""
    if not isinstance(node, ast.Call):
        return None
    meaning = rewriter.names.resolve(node.func)
    if not isinstance(meaning, Canonical):
        return None
    rules = [r for r in rewriter.choice.rules_for(meaning) if r.kind == "layer"]
    return rules[0] if rules else None


def read(rewriter: Rewriter, node: ast.Call, rule: RuleText) -> LayerSpec:
    """The layer that a constructor call makes. Raises `Bail` for what a plain module cannot hold."""
    bound = bind(rule, node)
    if not bound and (node.args or node.keywords) and _hidden(node):
        raise Bail("*args or **kwargs")
    options = {
        k.arg: k.value
        for k in node.keywords
        if k.arg and k.arg not in rule.parameters and k.arg not in rule.renamed
    }
    if bound is None or set(options) - OPTIONS:
        raise Bail(f"an option of {rule.primary} that a plain module does not have")
    given = dict(bound or {})
    values = dict(_values(rewriter, rule, given))
    for name in KEPT_BY_COMPAT & given.keys():
        if values.get(name, UNKNOWN) is not None:
            raise Bail(f"{name} of {rule.primary}")
    try:
        values = normalise(values)
    except NotImplementedError as error:
        raise Bail(str(error)) from error
    given_name = rewriter.facts.of(options["name"]).value if "name" in options else None
    return LayerSpec(
        node,
        rule,
        given,
        values,
        given_name if isinstance(given_name, str) else None,
        _shape(rewriter, options),
    )


def _hidden(node: ast.Call) -> bool:
    return any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords)


def _values(rewriter: Rewriter, rule: RuleText, given: dict[str, ast.expr]) -> Iterator[tuple[str, Any]]:
    for name, parameter in rule.parameters.items():
        if name in given:
            yield name, value_of(rewriter, name, given[name])
        elif parameter.default is not None:
            yield name, ast.literal_eval(parameter.default)


def value_of(rewriter: Rewriter, name: str, node: ast.expr) -> Any:
    """A known value, the spelling of a size, or UNKNOWN."""
    value = rewriter.facts.of(node).value
    if is_known(value) and not isinstance(value, Symbol):
        return value
    if name in SIZES and isinstance(node, ast.Name | ast.BinOp | ast.Attribute):
        return Symbol(rewriter.source.segment(node))
    return UNKNOWN


def _shape(rewriter: Rewriter, options: dict[str, ast.expr]) -> tuple[int | None, ...] | None:
    for option, skip in (("input_shape", 0), ("batch_input_shape", 1)):
        if option in options:
            return shape_of(rewriter, options[option])[skip:]
    return None


def shape_of(rewriter: Rewriter, node: ast.expr) -> tuple[int | None, ...]:
    """A shape that the source tells, without the batch. Raises `Bail`."""
    value = rewriter.facts.of(node).value
    if isinstance(value, int):
        value = (value,)
    if not isinstance(value, list | tuple) or not all(v is None or isinstance(v, int) for v in value):
        raise Bail("the source does not tell the input's shape")
    return tuple(value)


def arguments(rewriter: Rewriter, spec: LayerSpec, facts: dict[str, Any]) -> dict[str, Argument]:
    """Arguments for the rule's body: the user's text where a value was given as a name, normalised values, input facts."""
    found: dict[str, Argument] = {}
    for name, parameter in spec.rule.parameters.items():
        if name in facts:
            found[name] = _argument(facts[name], None)
        elif name in spec.given:
            node = spec.given[name]
            keep = isinstance(node, ast.Name | ast.BinOp) and not isinstance(spec.values.get(name), tuple)
            found[name] = _argument(spec.values[name], rewriter.expr(node) if keep else None)
        else:
            found[name] = _default(spec, name, parameter)
    return found


def _default(spec: LayerSpec, name: str, parameter: Parameter) -> Argument:
    if parameter.default is None:
        raise Bail(f"{spec.class_name} needs {name}")
    return _argument(spec.values[name], None)


class Spelt(Symbol):
    """A value known at run time only; a rule's tests find it equal to no constant and so take the general branch."""


def _argument(value: Any, fragment: Fragment | None) -> Argument:
    if isinstance(value, Spelt):
        return Argument(
            Fragment(value.text, precedence(ast.parse(value.text, mode="eval").body)),
            Fact("dtype", value=value),
        )
    if isinstance(value, Symbol):
        tree = ast.parse(value.text, mode="eval").body
        return Argument(Fragment(value.text, precedence(tree)), Fact("int"))
    if not is_known(value) and not isinstance(value, list | tuple):
        return Argument(fragment or Fragment("..."), Fact())
    return Argument(fragment or _text(value), of_value(value))


def _text(value: Any) -> Fragment:
    from tfport.source.inline import literal

    return literal(value, lambda name: name)
