"""What every name of a file means: scopes, bindings, and the TensorFlow name behind an expression.

A name stands for TensorFlow when every binding of it in its scope does: imports of any form, aliases by assignment,
both arms of a try/except or if/else import. Where some bindings do and others do not it is `Ambiguous`.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
from collections.abc import Callable

from tfport.source.canonical import ROOTS, Canonical, canonical, extend

BUILTINS = frozenset(dir(builtins)) | {"__file__", "__path__", "__class__", "__module__", "__qualname__"}


@dataclasses.dataclass(frozen=True)
class Binding:
    """One way a name gets its value: an import, an assigned expression, or something else (``node`` only)."""

    node: ast.AST
    imported: Canonical | None = None
    value: ast.expr | None = None


@dataclasses.dataclass(eq=False)
class Scope:
    """A module, class, function, lambda or comprehension and the names that it binds."""

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[Binding]] = dataclasses.field(default_factory=dict)
    elsewhere: dict[str, Scope] = dataclasses.field(default_factory=dict)  # global, nonlocal

    @property
    def is_class(self) -> bool:
        return isinstance(self.node, ast.ClassDef)


@dataclasses.dataclass(frozen=True)
class Ambiguous:
    """A name that is TensorFlow's by some bindings only."""

    names: tuple[str, ...]


Meaning = Canonical | Ambiguous | None
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Names:
    """Resolves the expressions of one file. ``package`` is the dotted package of the file, for relative imports."""

    def __init__(
        self, tree: ast.Module, package: str = "", exported: Callable[[str], frozenset[str]] | None = None
    ) -> None:
        self.scope_of: dict[ast.AST, Scope] = {}
        self.parent: dict[ast.AST, ast.AST] = {}
        self.stars: list[Canonical] = []
        self.star_nodes: list[ast.ImportFrom] = []
        self.package = package
        self._exported = exported or (lambda _: frozenset())
        self._cache: dict[tuple[int, str], Meaning] = {}
        self._busy: set[tuple[int, str]] = set()
        self._assumed: dict[tuple[int, str], Meaning] = {}  # of names under way that refine themselves
        self.module = Scope(tree, None)
        self._visit_all(tree.body, tree, self.module)

    # -- scopes ------------------------------------------------------------------------------------------

    def _bind(self, scope: Scope, name: str, binding: Binding) -> None:
        target = scope.elsewhere.get(name, scope)
        target.bindings.setdefault(name, []).append(binding)

    def _visit_all(self, nodes: list, parent: ast.AST, scope: Scope) -> None:
        for node in nodes:
            self._visit(node, parent, scope)

    def _visit(self, node: ast.AST, parent: ast.AST, scope: Scope) -> None:
        self.parent[node] = parent
        handler = getattr(self, f"_on_{type(node).__name__}", None)
        if handler is not None and handler(node, scope):
            return
        for field in node._fields:
            value = getattr(node, field, None)
            if isinstance(value, list):
                for item in value:
                    if isinstance(item, ast.AST):
                        self._visit(item, node, scope)
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                self._visit(value, node, scope)

    def _on_Name(self, node: ast.Name, scope: Scope) -> bool:
        self.scope_of[node] = scope
        if isinstance(node.ctx, ast.Store) and not self._assigned_by_value(node):
            self._bind(scope, node.id, Binding(node))
        return True

    def _assigned_by_value(self, node: ast.Name) -> bool:
        """Whether an Assign, AnnAssign or walrus has bound this target with its value already."""
        parent = self.parent[node]
        if isinstance(parent, ast.Tuple | ast.List):
            parent = self.parent[parent]
            return isinstance(parent, ast.Assign) and self._pairs(parent) is not None
        return isinstance(parent, ast.Assign | ast.AnnAssign | ast.NamedExpr | ast.AugAssign)

    @staticmethod
    def _pairs(node: ast.Assign) -> list[tuple[ast.expr, ast.expr]] | None:
        """Targets with their values in ``a, b = x, y``; None when they cannot be paired."""
        target, value = node.targets[0], node.value
        if len(node.targets) != 1 or not isinstance(target, ast.Tuple | ast.List):
            return None
        if not isinstance(value, ast.Tuple | ast.List) or len(value.elts) != len(target.elts):
            return None
        if any(isinstance(e, ast.Starred) for e in [*target.elts, *value.elts]):
            return None
        return list(zip(target.elts, value.elts, strict=True))

    def _on_Assign(self, node: ast.Assign, scope: Scope) -> bool:
        pairs = self._pairs(node) or [(target, node.value) for target in node.targets]
        for target, value in pairs:
            if isinstance(target, ast.Name):
                self._bind(scope, target.id, Binding(node, imported_by_name(value), value))
        return False

    def _on_AugAssign(self, node: ast.AugAssign, scope: Scope) -> bool:
        """``x += y`` binds x to ``x + y``."""
        if isinstance(node.target, ast.Name):
            load = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
            self.scope_of[load] = scope
            value = ast.copy_location(ast.BinOp(load, node.op, node.value), node)
            self.parent[load], self.parent[value] = value, node
            self._bind(scope, node.target.id, Binding(node, value=value))
        return False

    def _on_AnnAssign(self, node: ast.AnnAssign, scope: Scope) -> bool:
        if isinstance(node.target, ast.Name) and node.value is not None:
            self._bind(scope, node.target.id, Binding(node, value=node.value))
        return False

    def _on_NamedExpr(self, node: ast.NamedExpr, scope: Scope) -> bool:
        where = scope
        while isinstance(where.node, COMPREHENSIONS) and where.parent is not None:
            where = where.parent
        if isinstance(node.target, ast.Name):
            self._bind(where, node.target.id, Binding(node, value=node.value))
        return False

    def _on_Import(self, node: ast.Import, scope: Scope) -> bool:
        for alias in node.names:
            if alias.asname:
                self._bind(scope, alias.asname, Binding(node, canonical(alias.name)))
            else:
                root = alias.name.partition(".")[0]
                self._bind(scope, root, Binding(node, canonical(root)))
        return True

    def _on_ImportFrom(self, node: ast.ImportFrom, scope: Scope) -> bool:
        base = canonical(self.absolute(node))
        for alias in node.names:
            if alias.name == "*":
                if base is not None:
                    self.stars.append(base)
                    self.star_nodes.append(node)
                continue
            meaning = None if base is None else extend(base, alias.name)
            self._bind(scope, alias.asname or alias.name, Binding(node, meaning))
        return True

    def absolute(self, node: ast.ImportFrom) -> str:
        """The absolute module of a from-import; relative ones count from the file's package."""
        module = node.module or ""
        if not node.level:
            return module
        parts = self.package.split(".") if self.package else []
        kept = parts[: len(parts) - node.level + 1]
        return ".".join([*kept, *([module] if module else [])]) if kept else ""

    def _on_Global(self, node: ast.Global, scope: Scope) -> bool:
        scope.elsewhere.update(dict.fromkeys(node.names, self.module))
        return True

    def _on_Nonlocal(self, node: ast.Nonlocal, scope: Scope) -> bool:
        for name in node.names:
            where = scope.parent
            while where is not None and not _may_bind(where, name) and where.parent is not None:
                where = where.parent
            if where is not None:
                scope.elsewhere[name] = where
        return True

    def _on_FunctionDef(self, node: ast.FunctionDef, scope: Scope) -> bool:
        self._bind(scope, node.name, Binding(node))
        return self._function(node, scope)

    def _on_AsyncFunctionDef(self, node: ast.AsyncFunctionDef, scope: Scope) -> bool:
        self._bind(scope, node.name, Binding(node))
        return self._function(node, scope)

    def _on_Lambda(self, node: ast.Lambda, scope: Scope) -> bool:
        return self._function(node, scope)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope) -> bool:
        inner = Scope(node, scope)
        self.scope_of[node] = inner
        arguments = node.args
        self.parent[arguments] = node
        outside = [*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]
        everyone = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        everyone += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
        self._visit_all(outside, arguments, scope)
        for argument in everyone:
            self.parent[argument] = arguments
            self._bind(inner, argument.arg, Binding(argument))
            if argument.annotation is not None:
                self._visit(argument.annotation, argument, scope)
        if isinstance(node, ast.Lambda):
            self._visit(node.body, node, inner)
            return True
        self._visit_all(node.decorator_list, node, scope)
        if node.returns is not None:
            self._visit(node.returns, node, scope)
        self._visit_all(node.body, node, inner)
        return True

    def _on_ClassDef(self, node: ast.ClassDef, scope: Scope) -> bool:
        self._bind(scope, node.name, Binding(node))
        self._visit_all([*node.decorator_list, *node.bases, *node.keywords], node, scope)
        inner = Scope(node, scope)
        self.scope_of[node] = inner
        self._visit_all(node.body, node, inner)
        return True

    def _comprehension(self, node: ast.AST, scope: Scope) -> bool:
        inner = Scope(node, scope)
        for position, generator in enumerate(node.generators):  # type: ignore[attr-defined]
            self.parent[generator] = node
            self._visit(generator.iter, generator, scope if position == 0 else inner)
            self._visit(generator.target, generator, inner)
            self._visit_all(generator.ifs, generator, inner)
        for field in ("key", "value", "elt"):
            if hasattr(node, field):
                self._visit(getattr(node, field), node, inner)
        return True

    _on_ListComp = _on_SetComp = _on_DictComp = _on_GeneratorExp = _comprehension

    def _on_ExceptHandler(self, node: ast.ExceptHandler, scope: Scope) -> bool:
        if node.name:
            self._bind(scope, node.name, Binding(node))
        return False

    def _capture(self, node: ast.AST, scope: Scope) -> bool:
        name = getattr(node, "name", None) or getattr(node, "rest", None)
        if name:
            self._bind(scope, name, Binding(node))
        return False

    _on_MatchAs = _on_MatchStar = _on_MatchMapping = _capture

    # -- meaning -----------------------------------------------------------------------------------------

    def owner(self, name: str, scope: Scope) -> Scope | None:
        """The scope whose binding a use of ``name`` in ``scope`` sees."""
        where: Scope | None = scope
        first = True
        while where is not None:
            if name in where.elsewhere:
                return where.elsewhere[name]
            if name in where.bindings and (first or not where.is_class):
                return where
            first = False
            where = where.parent
        return None

    def is_imported(self, node: ast.Name) -> bool:
        """Whether some binding of a name is an import from TensorFlow, or a star import may bring it."""
        bindings = self.bindings(node)
        return not bindings or any(b.imported is not None for b in bindings)

    def bindings(self, node: ast.Name) -> list[Binding]:
        """All bindings that a use of a name may see, empty for builtins and star imports."""
        where = self.owner(node.id, self.scope_of[node])
        return [] if where is None else where.bindings.get(node.id, [])

    def meaning(self, name: str, scope: Scope) -> Meaning:
        """What ``name`` means in ``scope``."""
        where = self.owner(name, scope)
        if where is None:
            return self._from_star(name)
        key = (id(where), name)
        if key in self._cache:
            return self._cache[key]
        if key in self._busy:
            return self._assumed.get(key)
        self._busy.add(key)
        bindings = where.bindings.get(name, [])
        others = [b for b in bindings if not self._refines(b, name, where)]
        if len(others) < len(bindings):  # `tf = tf.compat.v1`: what the other bindings say, refined
            outer = [self.meaning(name, where.parent)] if where.is_class and where.parent is not None else []
            self._assumed[key] = outer[0] if outer and not others else self._joined(others)
        meaning = self._joined(bindings)
        self._busy.discard(key)
        self._cache[key] = meaning
        return meaning

    def _refines(self, binding: Binding, name: str, owner: Scope) -> bool:
        """Whether a binding is ``name = name.attribute`` in its own scope."""
        root: ast.AST | None = binding.value
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name) or root.id != name or root not in self.scope_of:
            return False
        return self.owner(name, self.scope_of[root]) is owner

    def _joined(self, bindings: list[Binding]) -> Meaning:
        found: list[Meaning] = []
        for binding in bindings:
            if binding.imported is not None:
                found.append(binding.imported)
            elif binding.value is not None:
                if isinstance(binding.value, ast.Constant) and binding.value.value is None:
                    continue
                found.append(self.resolve(binding.value))
            elif isinstance(binding.node, ast.ImportFrom | ast.Import):
                found.append(None)
            else:
                found.append(None)
        known = [m for m in found if m is not None]
        if not known:
            return None
        flat = {n for m in known for n in (m.names if isinstance(m, Ambiguous) else (m.name,))}
        if len(known) == len(found) and len(flat) == 1:
            versions = {m.version for m in known if isinstance(m, Canonical)}
            return Canonical(flat.pop(), 1 if 1 in versions else 2 if 2 in versions else None)
        return Ambiguous(tuple(sorted(flat)))

    def _from_star(self, name: str) -> Meaning:
        if name in BUILTINS or not self.stars:
            return None
        for base in reversed(self.stars):
            if name in self._exported(base.name):
                return extend(base, name)
        hidden = [base.name for base in self.stars if not self._exported(base.name)]
        return Ambiguous(tuple(f"{base}.{name}" for base in hidden)) if hidden else None

    def resolve(self, node: ast.AST) -> Meaning:
        """The TensorFlow name that an expression denotes; None for anything else."""
        if isinstance(node, ast.Name):
            scope = self.scope_of.get(node)
            return None if scope is None else self.meaning(node.id, scope)
        if isinstance(node, ast.Attribute):
            base = self.resolve(node.value)
            if isinstance(base, Canonical):
                return extend(base, node.attr)
            return base
        if isinstance(node, ast.IfExp):
            return self._joined([Binding(node, value=node.body), Binding(node, value=node.orelse)])
        return None


def _may_bind(scope: Scope, name: str) -> bool:
    """Whether a function binds a name, perhaps further down than the walk has come."""
    if not isinstance(scope.node, FUNCTIONS):
        return False
    stored = (n for n in ast.walk(scope.node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    return name in scope.bindings or any(n.id == name for n in stored)


def imported_by_name(node: ast.AST) -> Canonical | None:
    """What ``importlib.import_module("tensorflow.x")`` or ``__import__("tensorflow")`` brings, None for anything else."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    module: ast.expr = node.args[0]
    if isinstance(module, ast.JoinedStr) and module.values:
        module = module.values[0]
    if function not in ("import_module", "__import__") or not isinstance(module, ast.Constant):
        return None
    return canonical(module.value.rstrip(".")) if isinstance(module.value, str) else None


def mentions_tensorflow(text: str) -> bool:
    """A quick look, without parsing: whether any root of TensorFlow, Keras or a companion occurs in the text."""
    return any(root in text for root in ROOTS)
