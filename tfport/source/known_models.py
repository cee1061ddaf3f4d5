"""Which expressions of a file are Keras models, and what the class is that each has become.

Models are: the constructor calls that became classes, calls of the file's own model classes, functions that return
one, names all of whose values are the same model (None apart), parameters that every call of the file passes one,
and attributes of ``self`` that are assigned one. A model that stays described at run time is `RECORDED`.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.names import Binding
from tfport.source.nodes import every

if TYPE_CHECKING:
    from tfport.source.convert import Walk

RECORDED = "(recorded)"
SILENT = "(silent)"  # a value that says nothing, such as a parameter that no call of the file passes
CONSTRUCTORS = frozenset({
    "tf.keras.Model", "tf.keras.models.Model", "tf.keras.Sequential", "tf.keras.models.Sequential",
    "tf.keras.Functional", "tf.keras.models.Functional", "tf.keras.models.load_model", "tf.keras.models.clone_model",
})  # fmt: skip
BASES = frozenset({"tf.keras.Model", "tf.keras.models.Model", "tf.keras.layers.Layer", "tf.keras.Sequential"})
INPUTS = frozenset({"tf.keras.Input", "tf.keras.layers.Input"})
BUDGET = 2000  # steps for one question; names that rebind each other would take exponentially many
MODES = ("training", "is_training", "train")
CALLS = ("call", "forward", "__call__", "build")


@dataclasses.dataclass(frozen=True)
class Boundary:
    """Layouts ("NCHW", "NLC", "" for values without one) of a class' inputs and outputs; ``integers``: it takes ids."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    integers: bool


class KnownModels:
    """Answers for one file, once the converter has written its classes."""

    def __init__(self, walk: Walk) -> None:
        self.walk, self.names, self.rewriter = walk, walk.rewriter.names, walk.rewriter
        self._cache: dict[ast.AST, str | None] = {}
        self._busy: set[ast.AST] = set()
        self._steps = 0
        self._calls: dict[ast.AST, list[ast.Call]] = {}
        self._returns: dict[ast.FunctionDef, list[ast.expr | None]] = {}
        self._attributes: dict[tuple[ast.AST, str], list[ast.expr]] = {}
        for node in every(walk.source.tree):
            if isinstance(node, ast.Call) and (function := self.function(node.func)) is not None:
                self._calls.setdefault(function, []).append(node)
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if _is_self(target) and (owner := self.owner_class(node)) is not None:
                        assert isinstance(target, ast.Attribute)
                        self._attributes.setdefault((owner, target.attr), []).append(node.value)

    # -- questions ---------------------------------------------------------------------------------------

    def of(self, node: ast.AST) -> str | None:
        """The class that a model expression is an instance of, `RECORDED`, or None where it may be anything."""
        found = self._ask(node)
        return None if found == SILENT else found

    def _ask(self, node: ast.AST) -> str | None:
        if node in self._cache:
            return self._cache[node]
        self._steps = self._steps + 1 if self._busy else 0
        if self._steps > BUDGET:
            return None
        if node in self._busy:
            return SILENT  # model = model or build(): the other values tell
        self._busy.add(node)
        found = self._of(node)
        self._busy.discard(node)
        if not self._busy or found not in (None, SILENT):
            self._cache[node] = found
        return found

    def boundary(self, name: str) -> Boundary | None:
        """What goes in and out of a class that the converter wrote; None where it is not all known."""
        entry = self.walk.record["models"].get(name, {})
        if "inputs" not in entry or "outputs" not in entry:
            return None
        integers = any(layer.get("class") == "Embedding" for layer in entry["layers"])
        return Boundary(tuple(entry["inputs"]), tuple(entry["outputs"]), integers)

    def signature(self, name: str) -> tuple[list[str], str | None, ast.expr | None]:
        """The parameters of a model's call in Keras, the one of them that is its mode, and that one's default."""
        if self.kind(name) != "subclass":
            inputs = [
                f"inputs[{i}]" for i in range(len(self.walk.record["models"].get(name, {}).get("inputs", ())))
            ]
            return [*inputs, "training"], "training", None
        found = [s for s in every(self.walk.source.tree) if isinstance(s, ast.ClassDef) and s.name == name]
        methods = [m for s in found for m in s.body if isinstance(m, ast.FunctionDef) and m.name == "call"]
        if len(methods) != 1:
            return [], None, None
        arguments = methods[0].args
        names = [a.arg for a in [*arguments.args[1:], *arguments.kwonlyargs]]
        defaults = dict(
            zip(reversed([a.arg for a in arguments.args]), reversed(arguments.defaults), strict=False)
        )
        defaults |= {
            a.arg: d
            for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if d is not None
        }
        mode = next((n for n in names if n in MODES), None)
        return names, mode, defaults.get(mode) if mode else None

    def kind(self, name: str) -> str:
        """ "functional", "sequential" or "subclass"; "" for recorded models."""
        return self.walk.record["models"].get(name, {}).get("kind", "")

    def is_layer(self, node: ast.AST) -> bool:
        """Whether an expression is an instance of one of TensorFlow's layers, by its constructor call."""
        if isinstance(node, ast.Name) and node in self.names.scope_of:
            values = [b.value for b in self.names.bindings(node)]
            return bool(values) and all(isinstance(v, ast.Call) and self.is_layer(v) for v in values)
        if not isinstance(node, ast.Call):
            return False
        meaning = self.names.resolve(node.func)
        return isinstance(meaning, Canonical) and any(
            r.kind == "layer" for r in self.rewriter.choice.rules_for(meaning)
        )

    def is_symbolic(self, node: ast.AST) -> bool:
        """Whether a value is a symbol of a model that is being described: it comes from ``keras.Input``."""
        seen: set[ast.AST] = set()
        waiting = [node]
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            if isinstance(at, ast.Name) and at in self.names.scope_of:
                waiting += [b.value for b in self.names.bindings(at) if b.value is not None]
            elif isinstance(at, ast.List | ast.Tuple):
                waiting += at.elts
            elif isinstance(at, ast.Attribute) and at.attr in ("input", "output", "inputs", "outputs"):
                return True
            elif isinstance(at, ast.Call):
                meaning = self.names.resolve(at.func)
                if isinstance(meaning, Canonical) and meaning.name in INPUTS:
                    return True
                waiting += at.args
        return False

    def owner_class(self, node: ast.AST) -> ast.ClassDef | None:
        """The class whose method a node stands in."""
        at = self.names.parent.get(node)
        while at is not None and not isinstance(at, ast.ClassDef):
            at = self.names.parent.get(at)
        return at

    def is_keras_class(self, node: ast.ClassDef) -> bool:
        """Whether a class of the file derives, through classes of the file, from something of TensorFlow's."""
        return any(True for _ in self._bases(node))

    def _bases(self, node: ast.ClassDef) -> Iterator[str]:
        """The names of TensorFlow's that a class derives from."""
        pending, seen = [node], {node}
        while pending:
            for base in pending.pop().bases:
                meaning, inner = self.names.resolve(base), self.class_of(base)
                if isinstance(meaning, Canonical):
                    yield meaning.name
                elif inner is not None and inner not in seen:
                    seen.add(inner)
                    pending.append(inner)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The class definition of the file behind a name."""
        if not isinstance(node, ast.Name) or node not in self.names.scope_of:
            return None
        bindings = self.names.bindings(node)
        definition = bindings[0].node if len(bindings) == 1 else None
        return definition if isinstance(definition, ast.ClassDef) else None

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function of the file behind a name that has no other binding, or behind ``self.method``."""
        if _is_self(node) and isinstance(node, ast.Attribute):
            owner = self.owner_class(node)
            methods = (
                [m for m in owner.body if isinstance(m, ast.FunctionDef) and m.name == node.attr]
                if owner
                else []
            )
            return methods[0] if len(methods) == 1 else None
        if not isinstance(node, ast.Name) or node not in self.names.scope_of:
            return None
        bindings = self.names.bindings(node)
        definition = bindings[0].node if len(bindings) == 1 else None
        return definition if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef) else None

    def calls_of(self, function: ast.AST) -> list[ast.Call]:
        """The calls of a function in this file."""
        return self._calls.get(function, [])

    def values_of(self, attribute: ast.Attribute) -> list[ast.expr]:
        """What a class assigns to an attribute of ``self``."""
        owner = self.owner_class(attribute)
        return self._attributes.get((owner, attribute.attr), []) if owner is not None else []

    # -- answers -----------------------------------------------------------------------------------------

    def _of(self, node: ast.AST) -> str | None:
        if node in self.walk.constructed:
            return self.walk.constructed[node]
        if isinstance(node, ast.Call):
            return self._of_call(node)
        if isinstance(node, ast.Name) and node in self.names.scope_of:
            if isinstance(self.names.resolve(node), Canonical):
                return None
            return self._joined(
                self._of_binding(b) for b in self.names.bindings(node) if not _is_none(b.value)
            )
        if isinstance(node, ast.Attribute) and _is_self(node):
            return self._joined(self._ask(v) for v in self.values_of(node) if not _is_none(v))
        if isinstance(node, ast.IfExp):
            return self._joined(self._ask(v) for v in (node.body, node.orelse) if not _is_none(v))
        if isinstance(node, ast.BoolOp):
            return self._joined(self._ask(v) for v in node.values if not _is_none(v))
        return None

    @staticmethod
    def _joined(found: Iterable[str | None]) -> str | None:
        """The one class of all values that tell; a value that may be anything settles it at once."""
        told: set[str] = set()
        for each in found:
            if each is None:
                return None
            told.add(each)
        told.discard(SILENT) if len(told) > 1 else None
        return told.pop() if len(told) == 1 else None

    def _of_call(self, node: ast.Call) -> str | None:
        meaning = self.names.resolve(node.func)
        if isinstance(meaning, Canonical):
            recorded = meaning.name in CONSTRUCTORS or meaning.name.startswith("tf.keras.applications.")
            return (
                RECORDED
                if recorded and not meaning.name.endswith(("preprocess_input", "decode_predictions"))
                else None
            )
        made = self.class_of(node.func)
        if made is not None:
            if made.name in self.walk.models:
                return made.name
            return RECORDED if BASES.intersection(self._bases(made)) else None
        function = self.function(node.func)
        if not isinstance(function, ast.FunctionDef):
            return None
        returned = self.returned(function)
        if not returned or any(r is None for r in returned):
            return None
        return self._joined(self._ask(r) for r in returned if r is not None)

    def returned(self, function: ast.FunctionDef) -> list[ast.expr | None]:
        """What the return statements of a function give."""
        if function not in self._returns:
            self._returns[function] = [r.value for r in _own_returns(function)]
        return self._returns[function]

    def _of_binding(self, binding: Binding) -> str | None:
        if binding.value is not None:
            return self._ask(binding.value)
        if isinstance(binding.node, ast.arg):
            return self._of_parameter(binding.node)
        return None

    def _of_parameter(self, argument: ast.arg) -> str | None:
        """The model that every call of the file passes."""
        arguments = self.names.parent[argument]
        function = self.names.parent.get(arguments)
        if argument in self._busy or not isinstance(function, ast.FunctionDef):
            return None
        passed = self.passed(function, argument)
        if passed is None:
            return None
        self._busy.add(argument)
        values = [p for p in passed if not _is_none(p)]
        found = self._joined(self._ask(p) for p in values)
        self._busy.discard(argument)
        return found if values else SILENT

    def passed(self, function: ast.FunctionDef, argument: ast.arg) -> list[ast.expr] | None:
        """What the calls of the file pass for a parameter; None where a star or a default other than None hides it."""
        arguments = function.args
        positional = [*arguments.posonlyargs, *arguments.args]
        method = isinstance(self.names.parent.get(function), ast.ClassDef)
        found: list[ast.expr] = []
        for call in self.calls_of(function):
            if any(isinstance(a, ast.Starred) for a in call.args) or any(
                k.arg is None for k in call.keywords
            ):
                return None
            value = next((k.value for k in call.keywords if k.arg == argument.arg), None)
            if value is None and argument in positional:
                place = positional.index(argument) - method
                value = call.args[place] if 0 <= place < len(call.args) else None
            if value is not None:
                found.append(value)
        return found


def _is_none(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _own_returns(function: ast.FunctionDef) -> list[ast.Return]:
    """The returns of a function, not those of functions inside it."""
    found: list[ast.Return] = []
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Return):
            found.append(node)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(node))
    return found
