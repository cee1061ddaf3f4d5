"""What the parts of a training step are: optimisers that the file makes, losses that are one number."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.known_models import KnownModels
from tfport.source.names import Binding

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

OPTIMIZERS = ("tf.keras.optimizers.", "tf.optimizers.")
NOT_OPTIMIZERS = ("tf.keras.optimizers.schedules.", "tf.optimizers.schedules.")
LOSSES = "tf.keras.losses."
SCALARS = frozenset(
    {"tf.reduce_mean", "tf.reduce_sum", "tf.math.reduce_mean", "tf.math.reduce_sum", "tf.nn.l2_loss"}
)


class TrainingValues:
    """Answers for one file."""

    def __init__(self, models: KnownModels, rewriter: Rewriter) -> None:
        self.models, self.rewriter, self.names = models, rewriter, rewriter.names

    def is_optimizer(self, node: ast.expr, seen: set[ast.AST]) -> bool:
        """Whether every value that an expression may have is an optimiser of Keras that this file makes."""
        if node in seen:
            return True
        seen.add(node)
        if isinstance(node, ast.Call):
            meaning = self.names.resolve(node.func)
            if isinstance(meaning, Canonical):
                return meaning.name.startswith(OPTIMIZERS) and not meaning.name.startswith(NOT_OPTIMIZERS)
            function = self.models.function(node.func)
            returned = [n.value for n in ast.walk(function) if isinstance(n, ast.Return)] if function else []
            return bool(returned) and all(r is not None and self.is_optimizer(r, seen) for r in returned)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            values = self.models.values_of(node)
            return bool(values) and all(self.is_optimizer(v, seen) for v in values)
        if not isinstance(node, ast.Name) or node not in self.names.scope_of:
            return False
        bindings = self.names.bindings(node)
        return bool(bindings) and all(self._binds_optimizer(b, seen) for b in bindings)

    def _binds_optimizer(self, binding: Binding, seen: set[ast.AST]) -> bool:
        if binding.value is not None:
            return self.is_optimizer(binding.value, seen)
        if not isinstance(binding.node, ast.arg):
            return False
        arguments = self.names.parent.get(binding.node)
        function = None if arguments is None else self.names.parent.get(arguments)
        if not isinstance(function, ast.FunctionDef):
            return False
        passed = self.models.passed(function, binding.node)
        return bool(passed) and all(self.is_optimizer(p, seen) for p in passed or [])

    def is_made(self, node: ast.AST | None) -> bool:
        """Whether an expression is the constructor call of one of Keras' optimisers."""
        return isinstance(node, ast.Call) and isinstance(self.names.resolve(node.func), Canonical)

    def is_scalar(self, node: ast.AST | None, seen: set[ast.AST] | None = None) -> bool:
        """Whether a loss is known to be a single number."""
        seen = set() if seen is None else seen
        if node is None or node in seen:
            return node is not None  # loss = loss * 2: the other values tell
        seen.add(node)
        if isinstance(node, ast.Constant):
            return isinstance(node.value, int | float)
        if isinstance(node, ast.Name) and node in self.names.scope_of:
            values = [b.value for b in self.names.bindings(node)]
            return bool(values) and all(v is not None and self.is_scalar(v, seen) for v in values)
        if isinstance(node, ast.BinOp):
            sides = (node.left, node.right)
            known = [
                self.is_scalar(s, seen) or self.rewriter.facts.of(s).kind in ("int", "number") for s in sides
            ]
            return all(known)
        if not isinstance(node, ast.Call):
            return False
        meaning = self.names.resolve(node.func)
        if isinstance(meaning, Canonical):
            return (
                meaning.name in SCALARS
                and len(node.args) == 1
                and all(k.arg == "name" for k in node.keywords)
            )
        function = self.models.function(node.func)
        if function is not None:
            returned = [n.value for n in ast.walk(function) if isinstance(n, ast.Return)]
            return bool(returned) and all(self.is_scalar(r, seen) for r in returned)
        return self.is_loss(node.func)

    def is_loss(self, node: ast.expr) -> bool:
        """Whether an expression is a loss object of Keras with its default reduction."""
        if isinstance(node, ast.Name) and node in self.names.scope_of:
            values = [b.value for b in self.names.bindings(node)]
            return bool(values) and all(
                isinstance(v, ast.Call | ast.Attribute) and self.is_loss(v) for v in values
            )
        if isinstance(node, ast.Attribute):
            values = list(self.models.values_of(node))
            return bool(values) and all(isinstance(v, ast.Call) and self.is_loss(v) for v in values)
        if not isinstance(node, ast.Call) or any(k.arg in ("reduction", None) for k in node.keywords):
            return False
        meaning = self.names.resolve(node.func)
        last = meaning.name.rpartition(".")[2] if isinstance(meaning, Canonical) else ""
        return (
            isinstance(meaning, Canonical)
            and meaning.name.startswith(LOSSES)
            and last[:1].isupper()
            and len(node.args) < 2
        )


def plain_rate(rewriter: Rewriter, call: ast.Call) -> ast.expr | None:
    """The learning rate of an SGD that torch's does alike: a number, and nothing else."""
    meaning = rewriter.names.resolve(call.func)
    if not isinstance(meaning, Canonical) or not meaning.name.endswith("optimizers.SGD"):
        return None
    given = [*call.args, *(k.value for k in call.keywords if k.arg in ("learning_rate", "lr"))]
    if len(given) != 1 or len(call.args) + len(call.keywords) != 1:
        return None
    return given[0] if rewriter.facts.of(given[0]).kind in ("int", "number") else None
