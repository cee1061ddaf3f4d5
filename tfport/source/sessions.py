"""Sessions that only fetch: ``with tf.Session() as sess: x, y = sess.run([a, b])`` becomes plain values.

Sound when nothing that the file builds has state or is fed: every TensorFlow name is a pure rule, every use of the
session is ``run`` of one fetch or of an initialiser. Then eager evaluation at the place of definition gives what the
run gives. Anything else is left to the marks.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.names import Binding
from tfport.source.nodes import every
from tfport.source.text import Fragment, parenthesised, required

if TYPE_CHECKING:
    from tfport.source.convert import Walk
    from tfport.source.rewrite import Rewriter

SESSIONS = frozenset({"tf.Session", "tf.InteractiveSession"})
INITIALISERS = frozenset({
    "tf.global_variables_initializer", "tf.local_variables_initializer", "tf.initialize_all_variables",
    "tf.tables_initializer", "tf.variables_initializer",
})  # fmt: skip
STATELESS = frozenset({"tf.disable_v2_behavior", "tf.disable_eager_execution", "tf.reset_default_graph"})


class FetchOnly:
    """The sessions of a file whose program only fetches; empty where the program has state, feeds or randomness."""

    def __init__(self, rewriter: Rewriter) -> None:
        self.rewriter = rewriter
        self.names: set[str] = set()
        self.initialisers: set[str] = set()
        creations = [n for n, m in rewriter.hits.items() if isinstance(m, Canonical) and m.name in SESSIONS]
        if creations and self._is_stateless():
            self.initialisers = self._named(INITIALISERS)
            candidates = self._sessions()
            self.names = {n for n in candidates if all(self._is_fetch(u) for u in self._uses(n))}
            if self.names != candidates or len(candidates) == 0:
                self.names = set()

    def _is_stateless(self) -> bool:
        for node, meaning in self.rewriter.hits.items():
            if not isinstance(meaning, Canonical):
                return False
            if meaning.name in SESSIONS | INITIALISERS | STATELESS or self.rewriter.book.constant(
                meaning.name
            ):
                continue
            rules = self.rewriter.choice.rules_for(meaning)
            if not rules or not all(r.pure and r.kind == "function" for r in rules):
                return False
            if isinstance(node, ast.Call):  # a method such as x.assign(...)
                return False
        return True

    def _named(self, functions: frozenset[str]) -> set[str]:
        """Names bound to a call of one of these: ``init = tf.global_variables_initializer()``."""
        found = set()
        for node in every(self.rewriter.source.tree):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and self._calls(node.value, functions)
            ):
                found.add(node.targets[0].id)
        return found

    def _calls(self, node: ast.AST, functions: frozenset[str]) -> bool:
        if not isinstance(node, ast.Call):
            return False
        meaning = self.rewriter.names.resolve(node.func)
        return isinstance(meaning, Canonical) and meaning.name in functions

    def _sessions(self) -> set[str]:
        found = self._named(SESSIONS)
        for node in every(self.rewriter.source.tree):
            if isinstance(node, ast.withitem) and self._calls(node.context_expr, SESSIONS):
                found.add(node.optional_vars.id if isinstance(node.optional_vars, ast.Name) else "")
        return found

    def _uses(self, name: str) -> list[ast.Name]:
        nodes = every(self.rewriter.source.tree)
        loads = [n for n in nodes if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)]
        return [n for n in loads if any(self._made_by(b, SESSIONS) for b in self.rewriter.names.bindings(n))]

    def _made_by(self, binding: Binding, functions: frozenset[str]) -> bool:
        """Whether a binding is ``name = f(...)`` or ``with f(...) as name`` with one of these functions."""
        if binding.value is not None:
            return self._calls(binding.value, functions)
        item = self.rewriter.names.parent.get(binding.node)
        return isinstance(item, ast.withitem) and self._calls(item.context_expr, functions)

    def _is_made_by(self, node: ast.AST, functions: frozenset[str]) -> bool:
        """Whether a name is bound so, and never otherwise."""
        bindings = self.rewriter.names.bindings(node) if isinstance(node, ast.Name) else []
        return bool(bindings) and all(self._made_by(b, functions) for b in bindings)

    def _is_fetch(self, use: ast.Name) -> bool:
        parents = self.rewriter.names.parent
        if not self._is_made_by(use, SESSIONS):
            return False
        attribute = parents[use]
        call = parents.get(attribute)
        if (
            not isinstance(attribute, ast.Attribute)
            or not isinstance(call, ast.Call)
            or call.func is not attribute
        ):
            return False
        if attribute.attr == "close":
            return True
        return (
            attribute.attr == "run"
            and len(call.args) == 1
            and not call.keywords
            and self._is_fetched(call.args[0])
        )

    def _is_fetched(self, node: ast.expr) -> bool:
        if self.is_initialiser(node):
            return True
        if isinstance(node, ast.List | ast.Tuple):
            return all(self._is_fetched(e) for e in node.elts)
        return isinstance(node, ast.Name | ast.Call | ast.BinOp | ast.Subscript)

    def is_initialiser(self, node: ast.AST) -> bool:
        """Whether an expression is an initialiser or a name bound to one."""
        return self._calls(node, INITIALISERS) or self._is_made_by(node, INITIALISERS)

    def is_run(self, node: ast.AST) -> bool:
        """Whether a node is a run of one of these sessions."""
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("run", "close")
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in self.names
            and self._is_made_by(node.func.value, SESSIONS)
        )


def prepare(walk: Walk) -> FetchOnly:
    """Look at the whole file once; the runs become part of what is rewritten."""
    sessions = FetchOnly(walk.rewriter)
    for node in every(walk.source.tree) if sessions.names else ():
        if sessions.is_run(node):
            walk.rewriter.touch(node)
    return sessions


def statement(walk: Walk, node: ast.stmt) -> bool:
    """``with tf.Session() as sess:``, ``sess = tf.Session()``, ``sess.run(init)``, ``init = tf...initializer()``."""
    sessions = walk.sessions
    if not sessions.names:
        return False
    if (
        isinstance(node, ast.With)
        and len(node.items) == 1
        and sessions._calls(node.items[0].context_expr, SESSIONS)
    ):
        walk.rewriter.tiers.inlined["tf.Session"] += 1
        walk.dedent(node)
        return True
    value = node.value if isinstance(node, ast.Assign | ast.Expr) else None
    if value is None:
        return False
    ends = isinstance(node, ast.Expr) and sessions.is_run(value) and _has_no_value(sessions, value)
    if sessions._calls(value, SESSIONS | INITIALISERS) or ends:
        walk.rewriter.tiers.inlined["tf.Session"] += 1
        walk.remove(node)
        return True
    return False


def _has_no_value(sessions: FetchOnly, call: ast.AST) -> bool:
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
    return call.func.attr == "close" or sessions.is_initialiser(call.args[0])


def fetch(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """``sess.run(x)`` as ``x.numpy()``, lists and tuples item by item."""
    sessions = rewriter.sessions
    if sessions is None or not sessions.is_run(node):
        return None
    assert isinstance(node, ast.Call)
    parent = rewriter.names.parent[node]
    unpacked = isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Tuple)
    fetched = node.args[0]
    if isinstance(fetched, ast.List | ast.Tuple) and unpacked:
        return Fragment(", ".join(_value(rewriter, e) for e in fetched.elts), 1)
    return Fragment(_value(rewriter, fetched))


def _value(rewriter: Rewriter, node: ast.expr) -> str:
    if isinstance(node, ast.List | ast.Tuple):
        inside = ", ".join(_value(rewriter, e) for e in node.elts)
        comma = "," if isinstance(node, ast.Tuple) and len(node.elts) == 1 else ""
        return f"[{inside}]" if isinstance(node, ast.List) else f"({inside}{comma})"
    if rewriter.sessions is not None and rewriter.sessions.is_initialiser(node):
        return "None"
    if not rewriter.facts.of(node).is_tensor:
        return f"{rewriter.imports.use('compat')}.Tensor.numpy({rewriter.expr(node).text})"
    attribute = ast.Attribute(node, "numpy", ast.Load())
    return f"{parenthesised(rewriter.expr(node), required(attribute, 'value', node))}.numpy()"
