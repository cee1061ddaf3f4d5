"""An audit of conversions that knows nothing of the converter: ``ast`` and ``tokenize``, no tfport import.

Given the text that went in and the text that came out, it finds

* every name of TensorFlow, Keras or a companion that is neither rewritten nor marked, however imported;
* imports of those packages that are still there, marked or not;
* comments of the input that the output lacks, and prose (docstrings, messages) about TensorFlow that changed.

A mark is a comment line directly above the statement:
``# tfport: TODO[TFP101] tf.foo.bar: why, and what to do``. It covers its statement; of a compound statement only
the header, so every statement of the body needs its own.

What it cannot see: attributes that hold a TensorFlow function (``self.f = tf.nn.relu`` is seen, ``self.f(x)`` is
not), methods of tensors, annotations in quotes, and builtins that a star import hides (``range`` of
``from tensorflow import *``).
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator

FOREIGN = frozenset({
    "tensorflow", "keras", "tf_keras", "tf_slim", "tensorflow_addons", "tensorflow_probability",
    "tensorflow_hub", "tensorflow_datasets",
})  # fmt: skip
MARK = re.compile(r"# tfport: TODO\[TFP\d{3}\] \S+: \S")
PROSE = re.compile(r"\btf\.|tensorflow|keras", re.IGNORECASE)
BUILTINS = frozenset(dir(builtins)) | {"__file__", "__path__"}
IMPORTERS = frozenset({"import_module", "__import__"})
Comprehension = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclasses.dataclass(frozen=True)
class Leak:
    """A TensorFlow name left in the output: where, which, and how it got there."""

    line: int
    name: str
    why: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.name}: {self.why}"


@dataclasses.dataclass
class Binding:
    """One way in which a scope binds a name: an import of ``module``, an expression, or else (``key``)."""

    key: str
    module: str | None = None
    value: ast.expr | None = None


@dataclasses.dataclass
class Use:
    """A name that is read, and the lines above which a mark would cover it."""

    node: ast.Name
    scope: Scope
    anchors: tuple[int, ...]


class Scope:
    """A module, class, function, lambda or comprehension, with what it binds."""

    def __init__(self, name: str, parent: Scope | None, is_class: bool = False) -> None:
        self.path: str = f"{parent.path}.{name}" if parent else ""
        self.parent = parent
        self.is_class = is_class
        self.bindings: dict[str, list[Binding]] = {}
        self.outer: dict[str, Scope] = {}

    def bind(self, name: str, binding: Binding) -> None:
        self.outer.get(name, self).bindings.setdefault(name, []).append(binding)

    def find(self, name: str) -> tuple[Scope, list[Binding]] | None:
        """The scope that binds ``name`` as seen from here, and its bindings there."""
        scope: Scope | None = self.outer.get(name, self)
        first = True
        while scope is not None:
            if name in scope.bindings and (first or not scope.is_class):
                return scope, scope.bindings[name]
            scope, first = scope.parent, False
        return None


class Program:
    """The scopes, bindings, imports and uses of one text."""

    def __init__(self, text: str, package: str = "") -> None:
        self.package = package
        self.module = Scope("", None)
        self._inner: list[Scope] = []
        self.uses: list[Use] = []
        self.imports: list[tuple[int, str]] = []  # foreign ones, with their line
        self.dynamic: list[tuple[int, str, tuple[int, ...]]] = []
        self.stars: list[str] = []
        self._busy: set[int] = set()
        self._body(ast.parse(text).body, self.module)

    # What a name is

    def foreign(self, scope: Scope, name: str) -> bool:
        """Whether any binding of ``name``, as seen from ``scope``, comes from a foreign package."""
        found = scope.find(name)
        return found is not None and any(self._foreign_binding(found[0], b) for b in found[1])

    def is_variable(self, scope: Scope, name: str) -> bool:
        """Whether a name is assigned several times, and foreign in assignments only: a value, not an alias.

        ``f = mine`` in one branch and ``f = tf.foo`` in another: the second must be marked, and raises when it
        runs; what follows may use ``f``.
        """
        found = scope.find(name)
        if found is None or len(found[1]) < 2:
            return False
        foreign = [b for b in found[1] if self._foreign_binding(found[0], b)]
        return all(b.value is not None and not isinstance(b.value, ast.Call) for b in foreign)

    def _foreign_binding(self, scope: Scope, binding: Binding) -> bool:
        if binding.module is not None:
            return is_foreign(binding.module)
        if binding.value is None or id(binding) in self._busy:
            return False
        self._busy.add(id(binding))
        try:
            return self._foreign_value(scope, binding.value)
        finally:
            self._busy.discard(id(binding))

    def _foreign_value(self, scope: Scope, value: ast.expr) -> bool:
        """Whether an expression *is* something of a foreign package: an alias, a choice of two, a stub."""
        if isinstance(value, ast.IfExp | ast.BoolOp):
            # `tf.a if x else None` is an alias; `mine or tf.a` is a value of either origin
            choices = [value.body, value.orelse] if isinstance(value, ast.IfExp) else value.values
            named = [c for c in choices if not isinstance(c, ast.Constant)]
            return bool(named) and all(self._foreign_value(scope, c) for c in named)
        if isinstance(value, ast.Call):
            return last_name(value.func) == "unported" or is_foreign(dynamic_import(value))
        while isinstance(value, ast.Attribute):
            value = value.value
        return isinstance(value, ast.Name) and self.foreign(scope, value.id)

    def foreign_names(self) -> dict[str, set[str]]:
        """Scope path -> the names that are foreign there."""
        names: dict[str, set[str]] = {}
        for scope in self._scopes:
            for name, bindings in scope.bindings.items():
                if any(self._foreign_binding(scope, b) for b in bindings):
                    names.setdefault(scope.path, set()).add(name)
        return names

    def keys(self) -> dict[tuple[str, str], set[str]]:
        """(scope path, name) -> the keys of its bindings."""
        found: dict[tuple[str, str], set[str]] = {}
        for scope in self._scopes:
            for name, bindings in scope.bindings.items():
                found.setdefault((scope.path, name), set()).update(b.key for b in bindings)
        return found

    @property
    def _scopes(self) -> list[Scope]:
        return [self.module, *self._inner]

    # Reading the tree

    def _new(self, name: str, parent: Scope, is_class: bool = False) -> Scope:
        scope = Scope(name, parent, is_class)
        self._inner.append(scope)
        return scope

    def _body(self, body: list[ast.stmt], scope: Scope, outer: tuple[int, ...] = ()) -> None:
        for statement in declared_first(body):
            self._statement(statement, scope, outer)

    def _statement(self, node: ast.stmt, scope: Scope, outer: tuple[int, ...] = ()) -> None:
        """``outer``: further lines that may carry the mark (the ``if`` of an ``elif``)."""
        anchors = (first_line(node), *outer)
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._imported(node, alias.name)
                top = alias.name if alias.asname else alias.name.partition(".")[0]
                scope.bind(alias.asname or top, Binding(f"import {alias.name}", module=top))
        elif isinstance(node, ast.ImportFrom):
            self._import_from(node, scope)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._function(node, scope, anchors)
        elif isinstance(node, ast.ClassDef):
            scope.bind(node.name, Binding(f"class {node.name}"))
            for part in (*node.decorator_list, *node.bases, *(k.value for k in node.keywords)):
                self._expression(part, scope, anchors)
            self._body(node.body, self._new(node.name, scope, is_class=True))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            for name in node.names:
                scope.outer[name] = self._declared(node, name, scope)
        elif isinstance(node, ast.Assign):
            self._expression(node.value, scope, anchors)
            for target in node.targets:
                self._target(target, node.value, scope, anchors)
        elif isinstance(node, ast.AnnAssign):
            self._expression(node.annotation, scope, anchors)
            if node.value is not None:
                self._expression(node.value, scope, anchors)
            self._target(node.target, node.value, scope, anchors)
        else:
            self._other(node, scope, anchors)

    def _other(self, node: ast.AST, scope: Scope, anchors: tuple[int, ...]) -> None:
        """Every other statement: expressions belong to its header, inner statements stand for themselves."""
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.stmt):
                    elif_of = (
                        anchors
                        if field == "orelse" and isinstance(node, ast.If) and is_elif(value, node)
                        else ()
                    )
                    self._statement(child, scope, elif_of)
                elif isinstance(child, ast.ExceptHandler):
                    if child.name:
                        scope.bind(child.name, Binding(f"except {child.name}"))
                    self._other(child, scope, (child.lineno, *anchors))
                elif isinstance(child, ast.match_case):
                    self._other(child, scope, (child.pattern.lineno, *anchors))
                elif isinstance(child, ast.withitem):
                    self._expression(child.context_expr, scope, anchors)
                    if child.optional_vars is not None:
                        self._target(child.optional_vars, None, scope, anchors)
                elif isinstance(child, ast.expr):
                    if field == "target" and not isinstance(node, ast.AugAssign):
                        self._target(child, None, scope, anchors)
                    else:
                        self._expression(child, scope, anchors)
                elif isinstance(child, ast.AST):
                    for name in ("name", "rest"):  # `case Point(x) as name`, `case {**rest}`
                        if isinstance(getattr(child, name, None), str):
                            scope.bind(getattr(child, name), Binding("pattern"))
                    self._other(child, scope, anchors)

    def _imported(self, node: ast.stmt, module: str) -> None:
        if is_foreign(module):
            self.imports.append((node.lineno, module))

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = absolute(node, self.package)
        self._imported(node, module)
        for alias in node.names:
            if alias.name == "*":
                self.stars.append(module)
            else:
                key = f"from {module} import {alias.name}"
                scope.bind(alias.asname or alias.name, Binding(key, module=f"{module}.{alias.name}"))

    def _declared(self, node: ast.Global | ast.Nonlocal, name: str, scope: Scope) -> Scope:
        if isinstance(node, ast.Global):
            return self.module
        outer = scope.parent
        while outer is not None and (outer.is_class or name not in outer.bindings):
            outer = outer.parent
        return outer or self.module

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope, anchors: tuple[int, ...]
    ) -> None:
        scope.bind(node.name, Binding(f"def {node.name}"))
        for part in node.decorator_list:
            self._expression(part, scope, anchors)
        if node.returns is not None:
            self._expression(node.returns, scope, anchors)
        inner = self._new(node.name, scope)
        self._arguments(node.args, scope, inner, anchors)
        self._body(node.body, inner)

    def _arguments(self, args: ast.arguments, outer: Scope, inner: Scope, anchors: tuple[int, ...]) -> None:
        for default in (*args.defaults, *(d for d in args.kw_defaults if d is not None)):
            self._expression(default, outer, anchors)
        star = [a for a in (args.vararg, args.kwarg) if a is not None]
        for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs, *star):
            inner.bind(arg.arg, Binding("parameter"))
            if arg.annotation is not None:
                self._expression(arg.annotation, outer, anchors)

    def _target(
        self, target: ast.expr, value: ast.expr | None, scope: Scope, anchors: tuple[int, ...]
    ) -> None:
        """Bind a target; ``a, b = x, y`` pairs them, other unpacking binds to nothing known."""
        if isinstance(target, ast.Name):
            key = ast.dump(value) if value is not None else "bound"
            scope.bind(target.id, Binding(key, value=value))
        elif isinstance(target, ast.Tuple | ast.List):
            values: list[ast.expr | None] = [None] * len(target.elts)
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                values = list(value.elts)
            for part, one in zip(target.elts, values):
                self._target(part, one, scope, anchors)
        elif isinstance(target, ast.Starred):
            self._target(target.value, None, scope, anchors)
        else:
            self._expression(target, scope, anchors)

    def _expression(self, node: ast.AST, scope: Scope, anchors: tuple[int, ...]) -> None:
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                scope.bind(node.id, Binding("bound"))
            else:
                self.uses.append(Use(node, scope, anchors))
        elif isinstance(node, ast.Lambda):
            inner = self._new("<lambda>", scope)
            self._arguments(node.args, scope, inner, anchors)
            self._expression(node.body, inner, anchors)
        elif isinstance(node, Comprehension):
            self._comprehension(node, scope, anchors)
        elif isinstance(node, ast.NamedExpr):
            self._expression(node.value, scope, anchors)
            function = scope
            while function.path.endswith(("<comprehension>", "<lambda>")) and function.parent is not None:
                function = function.parent
            self._target(node.target, node.value, function, anchors)
        else:
            if isinstance(node, ast.Call) and is_foreign(dynamic_import(node)):
                self.dynamic.append((node.lineno, dynamic_import(node), anchors))
            for child in ast.iter_child_nodes(node):
                self._expression(child, scope, anchors)

    def _comprehension(self, node: ast.expr, scope: Scope, anchors: tuple[int, ...]) -> None:
        inner = self._new("<comprehension>", scope)
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]  # one of Comprehension
        for i, generator in enumerate(generators):
            self._expression(generator.iter, scope if i == 0 else inner, anchors)
            self._target(generator.target, None, inner, anchors)
            for condition in generator.ifs:
                self._expression(condition, inner, anchors)
        parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)  # type: ignore[attr-defined]
        for part in parts:
            self._expression(part, inner, anchors)


def is_foreign(module: str) -> bool:
    return module.partition(".")[0] in FOREIGN


def first_line(node: ast.stmt) -> int:
    """The line on which a statement begins, decorators included."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])


def is_elif(orelse: list[ast.stmt], head: ast.If) -> bool:
    return len(orelse) == 1 and isinstance(orelse[0], ast.If) and orelse[0].col_offset == head.col_offset


def declared_first(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """``global`` and ``nonlocal`` hold for the whole body, wherever they stand."""
    yield from (s for s in body if isinstance(s, ast.Global | ast.Nonlocal))
    yield from (s for s in body if not isinstance(s, ast.Global | ast.Nonlocal))


def last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def dynamic_import(node: ast.Call) -> str:
    """The module that ``importlib.import_module("x")`` or ``__import__("x")`` names, or nothing."""
    if last_name(node.func) in IMPORTERS and node.args and isinstance(node.args[0], ast.Constant):
        return str(node.args[0].value)
    return ""


def absolute(node: ast.ImportFrom, package: str) -> str:
    """The module of a ``from`` import; a relative one is resolved in ``package`` where that is known."""
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])]) if base else "." * node.level


def comments(text: str) -> Counter[str]:
    """Every comment of a text, with its number of occurrences."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return Counter(t.string.rstrip() for t in tokens if t.type == tokenize.COMMENT)


def mark_lines(text: str) -> set[int]:
    """Lines that hold nothing but a mark."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {
        t.start[0]
        for t in tokens
        if t.type == tokenize.COMMENT and MARK.match(t.string) and not t.line[: t.start[1]].strip()
    }


def prose(text: str) -> Counter[str]:
    """Strings that are sentences about TensorFlow or Keras: docstrings, messages."""
    strings = (
        n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    )
    return Counter(s for s in strings if " " in s and PROSE.search(s))


def leaks(before: str, after: str, package: str = "") -> list[Leak]:
    """The foreign names of ``after``, made from ``before``, that are neither rewritten nor marked."""
    source, result = Program(before, package), Program(after, package)
    marks = mark_lines(after)
    lost = source.foreign_names()
    everywhere = set().union(*lost.values()) if lost else set()
    old_keys = source.keys()
    starred = any(is_foreign(m) for m in source.stars)
    unresolved = {u.node.id for u in source.uses if u.scope.find(u.node.id) is None} - BUILTINS

    found = [Leak(line, module, "the import is still there") for line, module in result.imports]
    for line, module, anchors in result.dynamic:
        if not any(a - 1 in marks for a in anchors):
            found.append(Leak(line, module, "imported by a call, no mark"))
    for use in result.uses:
        name = use.node.id
        if any(a - 1 in marks for a in use.anchors):
            continue
        where = use.scope.find(name)
        why = ""
        if where is None:
            if name in everywhere:
                why = "its import is gone, the name is left"
            elif starred and name in unresolved:
                why = "came by a star import that is gone"
        elif result.foreign(use.scope, name):
            if not result.is_variable(use.scope, name):
                why = "bound to TensorFlow or a stub, no mark"
        else:
            scope, bindings = where
            unchanged = {b.key for b in bindings} <= old_keys.get((scope.path, name), set())
            if name in lost.get(scope.path, ()) and unchanged:
                why = "was TensorFlow's, and only its other bindings are left"
        if why:
            found.append(Leak(use.node.lineno, name, why))
    return sorted(found, key=lambda leak: (leak.line, leak.name))


def audit(before: str, after: str, package: str = "") -> list[str]:
    """Everything wrong with a conversion, one line each; empty when nothing is."""
    try:
        ast.parse(after)
    except SyntaxError as error:
        return [f"the output does not parse: line {error.lineno}: {error.msg}"]
    found = [str(leak) for leak in leaks(before, after, package)]
    found += [f"comment lost: {text}" for text in (comments(before) - comments(after)).elements()]
    found += [f"prose changed: {text[:60]!r}" for text in (prose(before) - prose(after)).elements()]
    return found
