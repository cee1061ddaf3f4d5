"""The rules as the converter sees them: parsed source, found by TensorFlow name. Nothing is imported."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tfport.rules import folder
from tfport.source.text import Source

NAME = re.compile(r"""["'](tf(?:\.\w+)+)["']""")
METHOD = re.compile(r"""@method\(\s*["'](\w+)["']""")
KINDS = {"rule": "function", "method": "method", "layer": "layer"}


@dataclasses.dataclass(frozen=True, eq=False)
class RuleText:
    """One rule as text: its names, its signature, its body."""

    names: tuple[str, ...]
    kind: str  # "function", "class", "method" or "layer"
    node: ast.FunctionDef | ast.ClassDef
    source: Source
    file: str
    user: Path | None  # the folder of a rule that does not come with tfport
    imports: Mapping[str, str]  # local name -> module, as imported in the rule file
    renamed: Mapping[str, str]
    version: int | None
    returns: str | None
    pure: bool
    options: Mapping[str, Any]

    @property
    def primary(self) -> str:
        """The name that compat mirrors."""
        return self.names[0]

    @property
    def path(self) -> str:
        """Where converted code finds it below ``compat``."""
        return self.primary.removeprefix("tf.").removeprefix("compat.")

    @functools.cached_property
    def docstring(self) -> str:
        """The rule's page in the documentation."""
        return ast.get_docstring(self.node) or ""

    @functools.cached_property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters in order, without a method's or a constructor's ``self``."""
        function = self.node if isinstance(self.node, ast.FunctionDef) else _constructor(self.node)
        if function is None:
            return {}
        found = _parameters(function.args)
        if self.kind == "class":
            found.pop(next(iter(found)), None)
        return found

    @property
    def steps(self) -> list[ast.stmt]:
        """The statements of the body without the docstring."""
        body = self.node.body
        return body[1:] if ast.get_docstring(self.node, clean=False) is not None else body


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of a rule; ``default`` is None where there is none. ``kind`` as in `inspect`."""

    name: str
    annotation: str
    default: ast.expr | None
    kind: str  # "positional", "keyword", "var_positional", "var_keyword"


@dataclasses.dataclass(frozen=True)
class Constant:
    """A TensorFlow constant or dtype with the expression that replaces it."""

    text: str
    imports: Mapping[str, str]


class Rulebook:
    """All rules of one or more folders. A file is parsed when a name that it mentions is asked for."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._rules: dict[str, list[RuleText]] = {}
        self._constants: dict[str, Constant] = {}
        self._texts = {file: file.read_text(encoding="utf-8") for file in files}
        self._unread: dict[str, list[Path]] = {}  # name -> files that mention it and are not parsed yet
        methods: set[str] = set()
        for file, text in self._texts.items():
            found = {f"tf.Tensor.{m}" for m in METHOD.findall(text)}
            methods |= found
            for name in found | set(NAME.findall(text)):
                self._unread.setdefault(name, []).append(file)
                if name.startswith("tf.compat.v1."):
                    self._unread.setdefault("tf." + name[13:], []).append(file)
        self.methods = frozenset(m.removeprefix("tf.Tensor.") for m in methods)
        self._namespaces = _prefixes(self._unread)

    def find(self, name: str) -> list[RuleText]:
        """The rules of a canonical name: none, one, or one for each TensorFlow version."""
        self._need(name)
        return self._rules.get(name, [])

    def constant(self, name: str) -> Constant | None:
        """The expression that replaces a constant or dtype."""
        self._need(name)
        return self._constants.get(name)

    def knows(self, name: str) -> bool:
        """Whether a name has a rule or is a constant."""
        return bool(self.find(name)) or self.constant(name) is not None

    def is_namespace(self, name: str) -> bool:
        """Whether known names lie below a name."""
        return name in self._namespaces

    def method(self, name: str) -> RuleText | None:
        """The rule of a tensor method."""
        found = self.find(f"tf.Tensor.{name}")
        return found[0] if found else None

    @property
    def rules(self) -> Mapping[str, list[RuleText]]:
        """Every rule by every name; parses all files."""
        self._need_all()
        return self._rules

    @property
    def constants(self) -> Mapping[str, Constant]:
        """Every constant by name; parses all files."""
        self._need_all()
        return self._constants

    def below(self, namespace: str) -> frozenset[str]:
        """The last parts of all known names directly below a namespace, for star imports."""
        prefix = namespace + "."
        known = [*self.rules, *self.constants]
        return frozenset(n[len(prefix) :].partition(".")[0] for n in known if n.startswith(prefix))

    def _need(self, name: str) -> None:
        for file in self._unread.pop(name, ()):
            text = self._texts.pop(file, None)
            if text is not None:
                self._read(file, text)

    def _need_all(self) -> None:
        for file in list(self._texts):
            self._read(file, self._texts.pop(file))
        self._unread.clear()

    def _read(self, file: Path, text: str) -> None:
        source = Source(text)
        constants: dict[str, Any] = {}
        imports: dict[str, str] = {}
        for node in source.tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports.update(_imports(node))
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                if node.targets[0].id == "CONSTANTS" and isinstance(node.value, ast.Dict):
                    self._read_constants(node.value, source, imports)
                else:
                    self._remember(node, constants)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                self._function(node, source, file, imports, constants)

    @staticmethod
    def _remember(node: ast.Assign, constants: dict[str, Any]) -> None:
        try:
            constants[node.targets[0].id] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
        except ValueError:
            return

    def _read_constants(self, table: ast.Dict, source: Source, imports: Mapping[str, str]) -> None:
        for key, value in zip(table.keys, table.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                self._constants[key.value] = Constant(source.segment(value), imports)

    def _function(self, node: ast.FunctionDef | ast.ClassDef, source: Source, file: Path,
                  imports: Mapping[str, str], constants: Mapping[str, Any]) -> None:  # fmt: skip
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Name):
                continue
            kind = KINDS.get(decorator.func.id)
            if kind is None:
                continue
            if kind == "function" and isinstance(node, ast.ClassDef):
                kind = "class"
            options = {k.arg: _literal(k.value, constants) for k in decorator.keywords if k.arg}
            names = tuple(n and str(n) for a in decorator.args for n in _as_names(a, constants))
            if kind == "method":
                names = tuple(f"tf.Tensor.{n}" for n in names)
            rule = RuleText(
                names, kind, node, source, file.name, None if file.parent == folder() else file.parent,
                imports, options.pop("renamed", None) or {}, options.pop("version", None),
                options.pop("returns", None), options.pop("pure", True), options,
            )  # fmt: skip
            if not names or not all(names):  # a name that is computed would be lost in silence
                raise ValueError(f"{file.name}: the names of rule {node.name} must be literals")
            for name in names:
                self._rules.setdefault(name, []).append(rule)
            if names and names[0].startswith("tf.compat.v1."):
                plain = self._rules.setdefault("tf." + names[0][13:], [])
                if rule not in plain:
                    plain.append(rule)


def _as_names(node: ast.expr, constants: Mapping[str, Any]) -> list[Any]:
    value = _literal(node.value if isinstance(node, ast.Starred) else node, constants)
    return list(value) if isinstance(node, ast.Starred) else [value]


def _literal(node: ast.expr, constants: Mapping[str, Any]) -> Any:
    """The value of a decorator's argument: a literal, or a name of the file bound to one."""
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.Dict) and any(k is None for k in node.keys):
        merged: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            merged.update(
                _literal(value, constants)
                if key is None
                else {ast.literal_eval(key): ast.literal_eval(value)}
            )
        return merged
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _imports(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    if isinstance(node, ast.Import):
        return {a.asname or a.name.partition(".")[0]: a.name for a in node.names}
    return {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    return next((s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"), None)


def _parameters(args: ast.arguments) -> dict[str, Parameter]:
    positional = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults))
    defaults += args.defaults
    found = {}
    for argument, default in zip(positional, defaults, strict=True):
        found[argument.arg] = Parameter(argument.arg, _annotation(argument), default, "positional")
    if args.vararg:
        found[args.vararg.arg] = Parameter(args.vararg.arg, "", None, "var_positional")
    for argument, keyword in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        found[argument.arg] = Parameter(argument.arg, _annotation(argument), keyword, "keyword")
    if args.kwarg:
        found[args.kwarg.arg] = Parameter(args.kwarg.arg, "", None, "var_keyword")
    return found


def _annotation(argument: ast.arg) -> str:
    return argument.annotation.id if isinstance(argument.annotation, ast.Name) else ""


def _prefixes(names: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for name in names:
        parts = name.split(".")
        found.update(".".join(parts[:i]) for i in range(1, len(parts)))
    return frozenset(found)


@functools.lru_cache(maxsize=4)
def load(extra: tuple[str, ...] = ()) -> Rulebook:
    """The rules of tfport and of further folders; a later rule for a name replaces an earlier one."""
    files = sorted(folder().glob("*.py"))
    for path in extra:
        files += sorted(Path(path).glob("*.py"))
    return Rulebook(files)
