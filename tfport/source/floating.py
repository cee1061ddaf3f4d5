"""What shows that a value of unknown dtype is floating: TensorFlow refuses to mix dtypes, so one float beside it does.

def f(x, y):
    z = x * 0.5          # x is no integer tensor
    return z / y         # nor is y
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.choice import bind
from tfport.source.nodes import of_type
from tfport.source.origins import has_number_as_default
from tfport.source.reaching import reaching
from tfport.source.values import FLOATS, Fact

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
PATHS = frozenset({"str", "Path", "PosixPath", "PurePath", "PathLike"})
PYTHON = frozenset({"int", "float", "bool"}) | PATHS
BUDGET = 300
_NAMES = """
    exp expm1 log log1p sqrt rsqrt sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh erf erfc lgamma digamma
    sigmoid log_sigmoid softmax log_softmax softplus softsign elu selu gelu swish silu l2_normalize norm reduce_logsumexp
    reduce_std reduce_variance reduce_euclidean_norm moments dropout leaky_relu ceil floor reciprocal_no_nan
    sigmoid_cross_entropy_with_logits softmax_cross_entropy_with_logits batch_normalization l2_loss cholesky xlogy xdivy
    nextafter is_nan is_inf is_finite
"""
FUNCTIONS = frozenset(
    f"tf.{p}{n}" for n in _NAMES.split() for p in ("", "math.", "nn.", "linalg.")
)  # of floats only


class Floating:
    """Answers for the expressions of one file."""

    def __init__(self, rewriter: Rewriter) -> None:
        self.rewriter, self.names, self.facts = rewriter, rewriter.names, rewriter.facts
        self._cache: dict[ast.AST, bool] = {}
        self._busy: set[ast.AST] = set()
        self._loads: dict[tuple[int, str], list[ast.Name]] | None = None
        self._steps = 0

    def of(self, node: ast.AST) -> bool:
        """Whether an expression cannot be an integer tensor: it is floating, or a Python float."""
        if node in self._cache:
            return self._cache[node]
        if not self._busy:
            self._steps = 0
        self._steps += 1
        if node in self._busy or self._steps > BUDGET:
            return False
        self._busy.add(node)
        found = self._of(node)
        self._busy.discard(node)
        if found or not self._busy:
            self._cache[node] = found
        return found

    def _of(self, node: ast.AST) -> bool:
        if _is_float(self.facts.of(node)):
            return True
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, ast.Div):
                return True
            return isinstance(node.op, ARITHMETIC) and (self.of(node.left) or self.of(node.right))
        if isinstance(node, ast.UnaryOp):
            return self.of(node.operand)
        if isinstance(node, ast.IfExp):
            return self.of(node.body) and self.of(node.orelse)
        if isinstance(node, ast.Subscript):
            return self.of(node.value)
        if isinstance(node, ast.Call):
            return self._call(node)
        return isinstance(node, ast.Name) and self._name(node)

    def _call(self, node: ast.Call) -> bool:
        meaning = self.names.resolve(node.func)
        if not isinstance(meaning, Canonical):
            return False
        rule = self.rewriter.choice.rule_of(node, meaning)
        if rule is None or rule.returns is None:
            return rule is not None and meaning.name in FUNCTIONS
        if rule.returns in FLOATS or (meaning.name in FUNCTIONS and rule.returns != "bool"):
            return True
        bound = bind(rule, node) or {}
        for parameter in rule.returns.split("|"):
            if parameter in bound:
                return self.of(bound[parameter])
        return False

    # -- names -------------------------------------------------------------------------------------------

    def _name(self, node: ast.Name) -> bool:
        if node not in self.names.scope_of:
            return False
        bindings = self.names.bindings(node)
        if len(bindings) > 1:
            one = reaching(self.names, node, bindings)
            if one is None:
                return all(b.value is not None and self.of(b.value) for b in bindings)
            return one.value is not None and self.of(one.value)
        if not bindings:
            return False
        value = bindings[0].value
        return (value is not None and self.of(value)) or any(self._shows(use) for use in self._uses(node))

    def _uses(self, node: ast.Name) -> list[ast.Name]:
        if self._loads is None:
            self._loads = {}
            for other in of_type(self.rewriter.source.tree, ast.Name):
                if (
                    isinstance(other, ast.Name)
                    and isinstance(other.ctx, ast.Load)
                    and other in self.names.scope_of
                ):
                    owner = self.names.owner(other.id, self.names.scope_of[other])
                    self._loads.setdefault((id(owner), other.id), []).append(other)
        owner = self.names.owner(node.id, self.names.scope_of[node])
        return self._loads.get((id(owner), node.id), [])[:20]

    def _shows(self, use: ast.Name) -> bool:
        """Whether a name stands beside a float, or where TensorFlow takes floats only."""
        parent = self.names.parent.get(use)
        if isinstance(parent, ast.BinOp) and isinstance(parent.op, ARITHMETIC):
            return self.of(parent.right if parent.left is use else parent.left)
        if isinstance(parent, ast.Compare) and len(parent.ops) == 1:
            return self.of(parent.comparators[0] if parent.left is use else parent.left)
        if isinstance(parent, ast.keyword):
            parent = self.names.parent.get(parent)
        if not isinstance(parent, ast.Call) or parent.func is use:
            return False
        meaning = self.names.resolve(parent.func)
        return isinstance(meaning, Canonical) and meaning.name in FUNCTIONS and parent.args[:1] == [use]

    def is_path(self, node: ast.AST) -> bool:
        """Whether a name is a parameter annotated as a path or a string: ``folder / name``."""
        if not isinstance(node, ast.Name) or node not in self.names.scope_of:
            return False
        said = [getattr(b.node, "annotation", None) for b in self.names.bindings(node)]
        return any(getattr(s, "id", getattr(s, "attr", "")) in PATHS for s in said)

    def may_be_tensor(self, node: ast.AST) -> bool:
        """Whether something of unknown origin may be a tensor: not a parameter that is said to be something else."""
        if not isinstance(node, ast.Name) or node not in self.names.scope_of:
            return True
        bindings = self.names.bindings(node)
        annotations = [getattr(b.node, "annotation", None) for b in bindings if isinstance(b.node, ast.arg)]
        said = annotations[0] if len(annotations) == len(bindings) == 1 else None
        if getattr(said, "id", getattr(said, "attr", "")) in PYTHON:
            return False
        return not has_number_as_default(self.names, node)


def _is_float(fact: Fact) -> bool:
    if fact.is_tensor:
        return fact.dtype in FLOATS or fact.dtype.startswith("complex")
    return fact.kind == "number" and isinstance(fact.value, float | complex)
