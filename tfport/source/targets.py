"""What a loop or an unpacking binds: the ``i`` of ``for i in range(n)``, sizes of a shape, variables, items of a literal."""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.values import NOTHING, UNKNOWN, Fact, join

if TYPE_CHECKING:
    from tfport.source.facts import Facts

LISTS_OF_VARIABLES = frozenset({"trainable_variables", "trainable_weights", "non_trainable_variables"})
GETTERS_OF_VARIABLES = frozenset({"tf.trainable_variables", "tf.global_variables", "tf.local_variables"})
LOOPS = (ast.For, ast.AsyncFor, ast.comprehension)


class Targets:
    """Facts of the targets of one file."""

    def __init__(self, facts: Facts) -> None:
        self.facts, self.names = facts, facts.names
        self._asked: set[ast.AST] = set()  # names under way that may be lists of variables

    def of(self, target: ast.AST) -> Fact:
        """The fact of a name that stands in a loop's or an assignment's target; `NOTHING` where it is not told."""
        place: int | None = None
        parent = self.names.parent.get(target)
        if isinstance(parent, ast.Tuple | ast.List):
            place = parent.elts.index(target)  # type: ignore[arg-type]
            target, parent = parent, self.names.parent.get(parent)
        if isinstance(parent, LOOPS) and parent.target is target:
            return self._of_loop(parent.iter, place)
        if isinstance(parent, ast.Assign) and place is not None and self._is_shape(parent.value):
            return Fact("int")
        return NOTHING

    def _of_loop(self, iterated: ast.expr, place: int | None) -> Fact:
        if isinstance(iterated, ast.Call) and isinstance(iterated.func, ast.Name):
            builtin = (
                not self.names.bindings(iterated.func) if iterated.func in self.names.scope_of else False
            )
            called = iterated.func.id if builtin else ""
            if (called == "range" and place is None) or (called == "enumerate" and place == 0):
                return Fact("int")
            if called == "zip" and place is not None and place < len(iterated.args):
                iterated, place = iterated.args[place], None
            elif called == "enumerate" and place == 1 and iterated.args:
                iterated, place = iterated.args[0], None
        if place is not None:
            return NOTHING
        if self.are_variables(iterated):
            return Fact("tensor", variable=True)
        if isinstance(iterated, ast.List | ast.Tuple):
            return self._of_items(iterated.elts)
        return Fact("int") if self._is_shape(iterated) else NOTHING

    def _of_items(self, items: list[ast.expr]) -> Fact:
        if any(isinstance(item, ast.Starred) for item in items):
            return NOTHING
        return dataclasses.replace(join([self.facts.of(item) for item in items]), value=UNKNOWN)

    def _is_shape(self, node: ast.expr) -> bool:
        if isinstance(node, ast.Tuple | ast.List):
            return False
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "as_list"
        ):
            return True
        return self.facts.of(node).kind == "shape"

    # -- lists of variables ------------------------------------------------------------------------------

    def are_variables(self, node: ast.expr) -> bool:
        """Whether an expression is a list of variables: ``model.trainable_variables``, ``[w, b]``."""
        if isinstance(node, ast.Attribute):
            return node.attr in LISTS_OF_VARIABLES and self.names.resolve(node) is None
        if isinstance(node, ast.Call):
            meaning = self.names.resolve(node.func)
            return isinstance(meaning, Canonical) and meaning.name in GETTERS_OF_VARIABLES
        if isinstance(node, ast.Name) and node in self.names.scope_of:
            return self._name(node)
        if isinstance(node, ast.List | ast.Tuple):
            return bool(node.elts) and all(self.facts.of(e).variable for e in node.elts)
        return isinstance(node, ast.ListComp) and self.facts.of(node.elt).variable

    def _name(self, node: ast.Name) -> bool:
        if node in self._asked:
            return False
        self._asked.add(node)
        values = [b.value for b in self.names.bindings(node)]
        found = bool(values) and all(v is not None and self.are_variables(v) for v in values)
        self._asked.discard(node)
        return found

    def is_item_of_variables(self, node: ast.AST) -> bool:
        """Whether this is ``variables[i]``."""
        return (
            isinstance(node, ast.Subscript)
            and not isinstance(node.slice, ast.Slice)
            and self.are_variables(node.value)
        )
