"""Whether an augmented assignment may change a tensor in place that something else names as well.

A name is safe when everything assigned to it is new (a number, the result of an operator) and no use lets another name
have it (a list, another variable, a function). A container is safe when all that the file puts into it are numbers,
strings, lists or arrays. What is not shown to be safe is shared.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.names import Binding
from tfport.source.nodes import every
from tfport.source.values import PLAIN, Fact

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

PLAIN_ANNOTATIONS = frozenset({"int", "float", "bool", "str", "list", "dict", "tuple", "set", "bytes"})
OPERATORS = (ast.BinOp, ast.UnaryOp, ast.Compare)
READING = (
    *OPERATORS,
    ast.FormattedValue,
    ast.AugAssign,
    ast.If,
    ast.While,
    ast.IfExp,
    ast.Return,
    ast.Assert,
)
READING_CALLS = frozenset(
    {"print", "float", "int", "str", "bool", "len", "round", "repr", "format", "range", "isinstance"}
)
READING_METHODS = frozenset({"numpy", "item", "format", "get_shape"})
COUNTERS = frozenset({"Counter"})
EMPTY = frozenset({"dict", "list", "OrderedDict", "Counter"})
ADDING = {
    "append": 0,
    "insert": 1,
    "add": 0,
    "setdefault": 1,
    "extend": None,
    "update": None,
    "appendleft": 0,
}


class Sharing:
    """Answers for one file; the uses of names and containers are gathered once."""

    def __init__(self, rewriter: Rewriter) -> None:
        self.names, self.facts = rewriter.names, rewriter.facts
        self._loads: dict[tuple[int, str], list[ast.Name]] = {}
        self._attributes: dict[str, list[ast.expr]] = {}  # attribute -> what the file assigns to it
        self._stored: dict[
            str, list[ast.expr | None]
        ] = {}  # container as text -> what is put in; None: not known what
        for node in every(rewriter.source.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node in self.names.scope_of:
                owner = self.names.owner(node.id, self.names.scope_of[node])
                self._loads.setdefault((id(owner), node.id), []).append(node)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    self._store(target, node.value)
            elif isinstance(node, ast.AugAssign):
                self._store(node.target, node.value)
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ADDING
            ):
                place = ADDING[node.func.attr]
                given = node.args[place] if place is not None and place < len(node.args) else None
                self._stored.setdefault(ast.dump(node.func.value), []).append(given)

    def _store(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Attribute):
            self._attributes.setdefault(target.attr, []).append(value)
        elif isinstance(target, ast.Subscript):
            key = ast.dump(target.value)
            self._stored.setdefault(key, []).append(None if isinstance(target.slice, ast.Slice) else value)
        elif isinstance(target, ast.Tuple | ast.List):
            for item in target.elts:
                if isinstance(item, ast.Attribute):
                    self._attributes.setdefault(item.attr, []).append(
                        target
                    )  # a tuple says nothing of its parts

    def is_shared(self, target: ast.expr, value: Fact) -> bool:
        """Whether ``target op= value`` may change what another name sees; ``target`` is not known to be plain."""
        if isinstance(target, ast.Name):
            return self._name(target)
        if isinstance(target, ast.Attribute):
            given = self._attributes.get(target.attr, [])
            known = value.kind in PLAIN and bool(given)
            return not known or any(not self._is_plain(v) for v in given)
        assert isinstance(target, ast.Subscript)
        if self.facts.of(target.value).kind == "array" or _is_slice(target.slice):
            return False
        return value.kind not in PLAIN or not self._holds_plain(target.value)

    # -- names -------------------------------------------------------------------------------------------

    def _name(self, target: ast.Name) -> bool:
        bindings = self.names.bindings(target)
        if not bindings or not all(self._is_new(b) for b in bindings):
            return True
        owner = self.names.owner(target.id, self.names.scope_of[target])
        return any(self._escapes(load) for load in self._loads.get((id(owner), target.id), ()))

    def _is_new(self, binding: Binding) -> bool:
        """Whether a binding makes an object that nothing else names."""
        if isinstance(binding.node, ast.arg):
            return (
                isinstance(binding.node.annotation, ast.Name)
                and binding.node.annotation.id in PLAIN_ANNOTATIONS
            )
        value = binding.value
        if isinstance(binding.node, ast.AugAssign):
            return True
        return value is not None and (isinstance(value, OPERATORS) or self._is_plain(value))

    def _escapes(self, load: ast.Name) -> bool:
        """Whether a use may give the object another name."""
        parent = self.names.parent.get(load)
        if isinstance(parent, ast.Return):
            return self.names.scope_of[load] is not self.names.owner(load.id, self.names.scope_of[load])
        if isinstance(parent, ast.IfExp):
            return parent.test is not load
        if isinstance(parent, ast.Call) and load in parent.args:
            function = parent.func
            return not (isinstance(function, ast.Name) and function.id in READING_CALLS) and not (
                isinstance(function, ast.Attribute) and function.attr == "format"
            )
        if isinstance(parent, ast.Attribute):
            called = isinstance(self.names.parent.get(parent), ast.Call)
            return not (called and parent.attr in READING_METHODS)
        if isinstance(parent, ast.Subscript):
            return parent.value is load
        return not isinstance(parent, READING)

    # -- containers --------------------------------------------------------------------------------------

    def _is_plain(self, node: ast.expr) -> bool:
        return self.facts.of(node).kind in PLAIN

    def _holds_plain(self, container: ast.expr) -> bool:
        """Whether all that a container is made of, and all that is put into it, is plain."""
        stored = self._stored.get(ast.dump(container), [])
        if any(v is None or not self._is_plain(v) for v in stored):
            return False
        if isinstance(container, ast.Name) and container in self.names.scope_of:
            made = [b.value for b in self.names.bindings(container)]
        elif isinstance(container, ast.Attribute):
            made = list(self._attributes.get(container.attr, []))
        else:
            return False
        return bool(made) and all(v is not None and self._made_plain(v) for v in made)

    def _made_plain(self, node: ast.expr) -> bool:
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return all(self._is_plain(e) and not isinstance(e, ast.List | ast.Tuple) for e in node.elts)
        if isinstance(node, ast.Dict):
            return all(self._is_plain(v) for v in node.values)
        if isinstance(node, ast.ListComp):
            return self._is_plain(node.elt)
        if isinstance(node, ast.DictComp):
            return self._is_plain(node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return any(
                self._made_plain(side) for side in (node.left, node.right) if isinstance(side, ast.List)
            )
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name == "defaultdict":
                return len(node.args) == 1 and getattr(node.args[0], "id", "") in (
                    "int",
                    "float",
                    "list",
                    "str",
                )
            return name in COUNTERS or (name in EMPTY and not node.args and not node.keywords)
        return self.facts.of(node).kind == "array"


def _is_slice(key: ast.expr) -> bool:
    """Whether a key is one of arrays only: TensorFlow's tensors have no items to assign."""
    parts = key.elts if isinstance(key, ast.Tuple) else [key]
    return any(isinstance(p, ast.Slice) or (isinstance(p, ast.Constant) and p.value is ...) for p in parts)
