"""Variables: their names, and values taken from them before they are assigned to.

    v.name                        ->  compat.variables.name(v)          a parameter has none
    a = tf.reshape(v, [2, 1])     ->  a = torch.reshape(v, [2, 1]).clone()

In TensorFlow ``a`` holds the values of that moment; torch's views would follow the variable. A copy is made where the
file changes variables in place and the value is kept: in an attribute, a list, a name that is read after the change.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.nodes import of_type
from tfport.source.text import Fragment, parenthesised

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

VIEWS = frozenset({
    "tf.reshape", "tf.transpose", "tf.squeeze", "tf.expand_dims", "tf.broadcast_to", "tf.stop_gradient", "tf.ensure_shape",
    "tf.linalg.matrix_transpose", "tf.slice", "tf.strided_slice", "tf.math.real", "tf.real",
})  # fmt: skip
LISTS = frozenset({"tf.unstack", "tf.split"})
CHANGES = frozenset(
    {
        "assign",
        "assign_add",
        "assign_sub",
        "scatter_nd_update",
        "scatter_nd_add",
        "apply_gradients",
        "minimize",
    }
)
FUNCTIONS = frozenset({"tf.assign", "tf.assign_add", "tf.assign_sub"})
KEEPING = (ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.DictComp, ast.Set, ast.keyword, ast.Return)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Variables:
    """The places of a file where variables change."""

    def __init__(self, rewriter: Rewriter) -> None:
        self.rewriter = rewriter
        self.done: set[ast.AST] = set()
        self.changes = [
            n for n in of_type(rewriter.source.tree, ast.Call) if isinstance(n, ast.Call) and self._changes(n)
        ]

    def _changes(self, node: ast.Call) -> bool:
        if isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            return True
        meaning = self.rewriter.names.resolve(node.func)
        return isinstance(meaning, Canonical) and meaning.name in FUNCTIONS

    def kind(self, node: ast.AST) -> str:
        """ "view" or "views" (a list of them) for an expression that shows a variable's memory, "" for others."""
        if isinstance(node, ast.Subscript):
            shown = self._is_variable(node.value) or self.kind(node.value) == "view"
            return "view" if shown and _is_basic(node.slice) else ""
        if not isinstance(node, ast.Call) or not node.args:
            return ""
        meaning = self.rewriter.names.resolve(node.func)
        if not isinstance(meaning, Canonical) or meaning.name not in VIEWS | LISTS:
            return ""
        first = node.args[0]
        if not self._is_variable(first) and self.kind(first) != "view":
            return ""
        return "views" if meaning.name in LISTS else "view"

    def _is_variable(self, node: ast.expr) -> bool:
        return self.rewriter.facts.of(node).variable or self.rewriter.facts.targets.is_item_of_variables(node)

    def is_kept(self, node: ast.AST) -> bool:
        """Whether a value may be read after a variable has changed."""
        parent = self.rewriter.names.parent.get(node)
        if isinstance(parent, KEEPING):
            return not isinstance(self.rewriter.names.parent.get(parent), ast.Call | ast.Subscript)
        if not isinstance(parent, ast.Assign):
            return False
        function = self._function(parent)
        if function is None or not all(isinstance(t, ast.Name) for t in parent.targets):
            return True
        return any(self._function(c) is function and self._follows(c, parent, function) for c in self.changes)

    def _follows(self, change: ast.AST, binding: ast.stmt, function: ast.AST) -> bool:
        """Whether a change may run between a binding and a later use of its name."""
        names = {t.id for t in binding.targets if isinstance(t, ast.Name)}  # type: ignore[attr-defined]
        uses = [
            n
            for n in ast.walk(function)
            if isinstance(n, ast.Name) and n.id in names and isinstance(n.ctx, ast.Load)
        ]
        line = change.lineno  # type: ignore[attr-defined]
        inside = set(ast.walk(change))
        later = any(use.lineno >= line and use not in inside for use in uses)
        return later and line >= binding.lineno

    def _function(self, node: ast.AST) -> ast.AST | None:
        at = self.rewriter.names.parent.get(node)
        while at is not None and not isinstance(at, SCOPES):
            at = self.rewriter.names.parent.get(at)
        return at


def _is_basic(key: ast.expr) -> bool:
    """Whether indexing by a key gives a view: numbers and slices do, tensors and lists do not."""
    parts = key.elts if isinstance(key, ast.Tuple) else [key]
    return not any(isinstance(p, ast.List | ast.Compare) for p in parts)


def prepare(rewriter: Rewriter) -> None:
    """Find what `special` rewrites."""
    tree = rewriter.source.tree
    found = Variables(rewriter)
    rewriter.variables = found
    if "name" in rewriter.source.text:
        for node in of_type(tree, ast.Attribute):
            if isinstance(node, ast.Attribute) and _is_name(rewriter, node):
                rewriter.touch(node)
    if found.changes:
        for node in of_type(tree, ast.Subscript):
            if isinstance(node, ast.Subscript) and found.kind(node) and found.is_kept(node):
                rewriter.touch(node)


def _is_name(rewriter: Rewriter, node: ast.Attribute) -> bool:
    return node.attr == "name" and isinstance(node.ctx, ast.Load) and rewriter.facts.of(node.value).variable


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """The name of a variable, or a copy of a view; None for anything else."""
    if isinstance(node, ast.Attribute):
        if not _is_name(rewriter, node):
            return None
        rewriter.tiers.compat["tf.Variable.name"] += 1
        return Fragment(f"{rewriter.imports.use('compat')}.variables.name({rewriter.expr(node.value).text})")
    found = rewriter.variables
    if (
        found is None
        or not found.changes
        or not isinstance(node, ast.Call | ast.Subscript)
        or node in found.done
    ):
        return None
    kind = found.kind(node)
    if not kind or not found.is_kept(node):
        return None
    found.done.add(node)
    text = parenthesised(rewriter.expr(node), 20)  # without the copy
    found.done.discard(node)
    return Fragment(f"{text}.clone()" if kind == "view" else f"[part.clone() for part in {text}]")
