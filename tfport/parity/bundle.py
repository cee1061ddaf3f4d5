"""The reference run as a single file, which runs by path in any environment: the modules of `reference`, joined."""

from __future__ import annotations

import ast
import contextlib
import functools
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "reference"
ALSO = (Path(__file__).parent.parent / "programs.py",)
"""Modules from elsewhere that the reference imports."""
NUMPY = """
try:
    import numpy as np
except ImportError:
    sys.stderr.write("tfport: NumPy is not installed for %s: pip install tfport[tf]\\n" % sys.executable)
    sys.exit(2)
"""
"""What `import numpy as np` becomes."""
START = """
if __name__ == "__main__":
    sys.exit(main())
"""


class BundleError(Exception):
    """The modules cannot be joined: two define one name, they import in a circle, or a form is not known here."""


@functools.cache
def script() -> str:
    """The source of the single file."""
    return join({path.stem: path.read_text("utf-8") for path in (*FOLDER.glob("*.py"), *ALSO)})


@contextlib.contextmanager
def written() -> Iterator[str]:
    """The path of the single file, `capture.py` in a folder of its own, which is there for as long as this is open."""
    with tempfile.TemporaryDirectory(prefix="tfport-") as folder:
        path = Path(folder) / "capture.py"
        path.write_text(script(), "utf-8")
        yield str(path)


@dataclass
class Module:
    """A module's source, taken apart: its docstring, what it imports, what it defines, and all that is left."""

    name: str
    doc: str
    text: str
    modules: list[str] = field(default_factory=list)
    """Modules of the package that it imports."""
    internal: list[tuple[str, str]] = field(default_factory=list)
    """The names that it imports of them: (module, name)."""
    imports: set[str] = field(default_factory=set)
    """All other import statements, a name each."""
    bound: set[str] = field(default_factory=set)
    """Names that those bind."""
    defined: set[str] = field(default_factory=set)


def join(sources: dict[str, str]) -> str:
    """One source of a package's modules, name -> text: those that `main` needs, each after those it imports."""
    modules: dict[str, Module] = {}
    home: dict[str, str] = {}

    def add(name: str, below: tuple[str, ...]) -> None:
        if name in below:
            raise BundleError(
                f"modules import each other: {' -> '.join([*below[below.index(name) :], name])}"
            )
        if name in modules:
            return
        if name not in sources:
            raise BundleError(f"{below[-1]} imports {name}, which is no module of the package")
        module = take_apart(name, sources[name])
        for other in module.modules:
            add(other, (*below, name))
        for other, what in module.internal:
            if what not in modules[other].defined:
                raise BundleError(f"{name} imports {what} of {other}, which does not define it")
        for what in sorted(module.defined):
            if what in home:
                raise BundleError(f"{what} is defined by {home[what]} and by {name}")
            home[what] = name
        modules[name] = module

    add("main", ())
    imported = set().union(*(module.bound for module in modules.values()))
    clash = sorted(imported & set(home))
    if clash:
        raise BundleError(f"{clash[0]} is imported, and defined by {home[clash[0]]}")
    imports = {"import sys"}.union(*(module.imports for module in modules.values()))
    imports.discard("import numpy as np")
    doc = ast.get_docstring(ast.parse(sources["__init__"])) or ""
    parts = [f'"""{doc}\n"""\n\n' + "\n".join(sorted(imports)) + "\n" + NUMPY]
    for module in modules.values():
        title = "\n".join(f"# {line}".rstrip() for line in module.doc.splitlines())
        parts.append(f"# {'-' * 64} {module.name}\n{title}\n\n\n{module.text}\n")
    return "\n\n".join([*parts, START.lstrip("\n")])


def take_apart(name: str, source: str) -> Module:
    """Raises BundleError for a statement whose meaning could change when modules are joined."""
    tree = ast.parse(source, f"{name}.py", feature_version=(3, 7))
    doc = ast.get_docstring(tree)
    if doc is None:
        raise BundleError(f"{name} has no docstring")
    module, gone = Module(name, doc, ""), [tree.body[0]]
    for node in tree.body[1:]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            _take_import(module, node)
            gone.append(node)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            module.defined.add(node.name)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            if isinstance(node.targets[0], ast.Name):
                module.defined.add(node.targets[0].id)
        else:
            raise BundleError(f"{name}, line {node.lineno}: a module is imports, definitions and assignments")
    for inner in ast.walk(tree):
        if not isinstance(inner, ast.Import | ast.ImportFrom) or inner in gone:
            continue
        if ast.unparse(inner).split()[1].split(".")[0] == "tfport":
            raise BundleError(f"{name}, line {inner.lineno}: modules of tfport are imported at the top")
    lines = source.splitlines()
    for node in reversed(gone):
        assert node.end_lineno is not None
        del lines[node.lineno - 1 : node.end_lineno]
    module.text = "\n".join(lines).strip("\n")
    return module


def _take_import(module: Module, node: ast.Import | ast.ImportFrom) -> None:
    where = f"{module.name}, line {node.lineno}"
    source = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
    if source.startswith("tfport.") and isinstance(node, ast.ImportFrom) and not node.level:
        if any(alias.asname or alias.name == "*" for alias in node.names):
            raise BundleError(f"{where}: names are imported by name, and keep it")
        other = source.rpartition(".")[2]
        module.modules.append(other)
        module.internal += [(other, alias.name) for alias in node.names]
        return
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            raise BundleError(f"{where}: other modules are imported as a whole")
        statement = f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
        known = alias.name.split(".")[0] in sys.stdlib_module_names and not alias.asname
        if not known and statement != "import numpy as np":
            raise BundleError(
                f"{where}: {statement}: the standard library and `numpy as np` are all there is"
            )
        module.imports.add(statement)
        module.bound.add(alias.asname or alias.name.split(".")[0])
