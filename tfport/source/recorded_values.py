"""Which values a tape would not have recorded: torch records always, TensorFlow only inside ``with``.

A value that a model computed outside of the tape is a constant to TensorFlow's gradient (a target, a state carried from
one step to the next); in torch gradients would flow on through it. Such a value is cut off where the ``with`` reads it.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical

if TYPE_CHECKING:
    from tfport.source.known_models import KnownModels

TAPES = frozenset(
    {"tf.GradientTape", "tf.autodiff.GradientTape", "tf.gradients", "tf.autodiff.ForwardAccumulator"}
)
CUTS = frozenset(
    {"tf.stop_gradient", "tf.argmax", "tf.one_hot", "tf.shape", "tf.convert_to_tensor", "tf.constant"}
)
NUMBERS = frozenset({"float", "int", "len", "bool", "str", "range"})
LISTS = frozenset({"trainable_variables", "trainable_weights", "variables", "weights"})


@dataclasses.dataclass
class Captured:
    """Values from before a tape: the expressions to cut where they are read, the names to cut on entry."""

    uses: list[ast.expr]
    names: list[ast.Name]


class Computed:
    """Answers whether an expression may hold what a model computed."""

    def __init__(self, models: KnownModels) -> None:
        self.models, self.names = models, models.names
        self._seen: set[ast.AST] = set()

    def of(self, node: ast.AST | None) -> bool:
        """Whether gradients might flow through a value."""
        if node is None or node in self._seen:
            return False  # it has been asked in this question already
        outermost = not self._seen
        self._seen.add(node)
        try:
            return self._of(node)
        finally:
            if outermost:
                self._seen.clear()

    def _of(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Attribute):
            if node.attr in LISTS:
                return True
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                return any(self.of(v) for v in self.models.values_of(node))
            return node.attr not in ("shape", "dtype", "ndim") and self.of(node.value)
        if isinstance(node, ast.Constant | ast.Compare | ast.Lambda | ast.JoinedStr):
            return False
        inside = ast.expr | ast.comprehension | ast.keyword
        return any(self.of(child) for child in ast.iter_child_nodes(node) if isinstance(child, inside))

    def _name(self, node: ast.Name) -> bool:
        if node not in self.names.scope_of or isinstance(self.names.resolve(node), Canonical):
            return False
        for binding in self.names.bindings(node):
            if binding.value is not None:
                found = self.of(binding.value)
            elif isinstance(binding.node, ast.arg):
                found = self._parameter(binding.node)
            else:
                found = self._target(binding.node)
            if found:
                return True
        return False

    def _parameter(self, argument: ast.arg) -> bool:
        function = self.names.parent.get(self.names.parent[argument])
        if argument in self._seen or not isinstance(function, ast.FunctionDef):
            return False
        self._seen.add(argument)
        return any(self.of(p) for p in self.models.passed(function, argument) or [])

    def _target(self, node: ast.AST) -> bool:
        """A name bound by a loop, a with or an unpacking: what it comes from."""
        at: ast.AST | None = node
        while at is not None and not isinstance(at, ast.stmt | ast.comprehension):
            at = self.names.parent.get(at)
        if isinstance(at, ast.For | ast.AsyncFor | ast.comprehension):
            return self.of(at.iter)
        return self.of(at.value) if isinstance(at, ast.Assign) else False

    def _call(self, node: ast.Call) -> bool:
        meaning = self.names.resolve(node.func)
        arguments = [*node.args, *(k.value for k in node.keywords)]
        if isinstance(meaning, Canonical):
            return meaning.name not in CUTS and any(self.of(a) for a in arguments)
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("numpy", "item", "detach", "predict"):
            return False
        if isinstance(node.func, ast.Name) and node.func.id in NUMBERS and not self.names.bindings(node.func):
            return False
        function = self.models.function(node.func)
        if function is not None:
            return any(self.of(value) for value in _results(function))
        if self.models.of(node.func) is not None or self._is_value(node.func):
            return not self._makes_data(node.func)
        inside = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        return any(self.of(a) for a in [*arguments, *inside])

    def _is_value(self, func: ast.expr) -> bool:
        """A parameter, an attribute of self or a name bound to an object: calling it may run a model."""
        if isinstance(func, ast.Attribute):
            return isinstance(func.value, ast.Name) and func.value.id == "self"
        if not isinstance(func, ast.Name) or func not in self.names.scope_of:
            return isinstance(func, ast.Call)
        nodes = [b.node for b in self.names.bindings(func)]
        return bool(nodes) and not any(
            isinstance(n, ast.Import | ast.ImportFrom | ast.ClassDef) for n in nodes
        )

    def _makes_data(self, func: ast.expr) -> bool:
        """Random generators and the like, by what the name is bound to: a call of a module's function."""
        values = (
            [b.value for b in self.names.bindings(func)]
            if isinstance(func, ast.Name) and func in self.names.scope_of
            else []
        )
        return bool(values) and all(isinstance(v, ast.Attribute) for v in values)

    # -- tapes -------------------------------------------------------------------------------------------

    def captured(self, block: ast.With, before: list[ast.stmt]) -> Captured | None:
        """What the body of a tape reads of values that a model computed before it.

        ``before`` are the statements above it in its block. None where such a value cannot be cut off.
        """
        names: dict[str, list[ast.Name]] = {}
        stored: set[str] = set()
        firsts: dict[str, ast.Name] = {}
        for statement in block.body:
            for node in _loads_first(statement):
                if node not in self.names.scope_of:
                    continue
                reads = isinstance(node.ctx, ast.Load) or _is_augmented(node, self.names.parent)
                if reads and node.id not in stored:
                    firsts.setdefault(node.id, node)
                    names.setdefault(node.id, []).append(node)
                if isinstance(node.ctx, ast.Store) and isinstance(
                    statement, ast.Assign | ast.AnnAssign | ast.AugAssign
                ):
                    stored.add(node.id)
        changed = {n.id for n in ast.walk(block) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        found = Captured([], [])
        for name, uses in names.items():
            if not self._is_captured(firsts[name], before):
                continue
            if name not in changed:
                found.uses.extend(uses)
            elif self.names.owner(name, self.names.scope_of[uses[0]]) is self.names.scope_of[uses[0]]:
                found.names.append(uses[0])
            else:
                return None
        for inner in ast.walk(block):
            if (
                isinstance(inner, ast.Attribute)
                and isinstance(inner.value, ast.Name)
                and inner.value.id == "self"
            ):
                parent = self.names.parent.get(inner)
                called = isinstance(parent, ast.Call) and parent.func is inner
                if not called and self.models.of(inner) is None and self.of(inner):
                    if not isinstance(inner.ctx, ast.Load):
                        return None
                    found.uses.append(inner)
        return found

    def _is_captured(self, node: ast.Name, before: list[ast.stmt]) -> bool:
        """Whether a name's value on entry may be a model's."""
        parent = self.names.parent.get(node)
        if self.models.of(node) is not None or (isinstance(parent, ast.Call) and parent.func is node):
            return False
        for statement in reversed(before):
            if any(
                isinstance(n, ast.Name) and n.id == node.id and isinstance(n.ctx, ast.Store)
                for n in ast.walk(statement)
            ):
                plain = isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
                if plain and len(statement.targets) == 1:  # type: ignore[attr-defined]
                    return self.of(statement.value)  # type: ignore[attr-defined]
                break
        if isinstance(node.ctx, ast.Load):
            return self.of(node)
        return any(self.of(b.value) for b in self.names.bindings(node))

    def reaches_tape(self, body: list[ast.stmt]) -> bool:
        """Whether a block, or a function of the file that it calls, holds a tape."""
        return self._reaches(body, set())

    def _reaches(self, nodes: list[ast.stmt], seen: set[ast.AST]) -> bool:
        for statement in nodes:
            for node in ast.walk(statement):
                meaning = self.names.resolve(node) if isinstance(node, ast.Attribute | ast.Name) else None
                if isinstance(meaning, Canonical) and meaning.name in TAPES:
                    return True
                function = self.models.function(node.func) if isinstance(node, ast.Call) else None
                if function is not None and function not in seen:
                    seen.add(function)
                    if self._reaches(function.body, seen):
                        return True
        return False


def _results(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    """What a function returns or yields."""
    for node in ast.walk(function):
        if isinstance(node, ast.Return | ast.Yield | ast.YieldFrom) and node.value is not None:
            yield node.value


def _loads_first(statement: ast.stmt) -> Iterator[ast.Name]:
    """The names of a statement in the order in which they run: an assignment's value before its targets."""
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) and statement.value is not None:
        yield from (n for n in ast.walk(statement.value) if isinstance(n, ast.Name))
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (n for n in ast.walk(target) if isinstance(n, ast.Name))
        return
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.stmt):
            yield from _loads_first(child)
        else:
            yield from (n for n in ast.walk(child) if isinstance(n, ast.Name))


def _is_augmented(node: ast.Name, parent: dict[ast.AST, ast.AST]) -> bool:
    at = parent.get(node)
    return isinstance(at, ast.AugAssign) and at.target is node
