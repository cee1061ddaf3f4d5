"""Imports of the converted file: what the new code needs, under names that the file does not use otherwise."""

from __future__ import annotations

import ast

from tfport.source.names import Names

MODULES = {
    "np": ("numpy", "import numpy as np", "numpy"),
    "math": ("math", "import math", "math"),
    "torch": ("torch", "import torch", "torch"),
    "F": ("torch.nn.functional", "import torch.nn.functional as F", "torch.nn.functional"),
    "nn": ("torch.nn", "from torch import nn", "torch.nn"),
    "compat": ("tfport.compat", "from tfport import compat", "tfport.compat"),
    "tfport": ("tfport", "import tfport", "tfport"),
    "OrderedDict": (
        "collections.OrderedDict",
        "from collections import OrderedDict",
        "collections.OrderedDict",
    ),
}
ORDER = ("math", "OrderedDict", "np", "torch", "F", "nn", "tfport", "compat")


class Imports:
    """Hands out the spelling of a module and remembers that it is needed."""

    def __init__(self, names: Names) -> None:
        self.needed: set[str] = set()
        self._taken = _bound_names(names)
        self._present = _present(names)

    def use(self, short: str) -> str:
        """The spelling of a module by its customary short name; asks for the import where it is missing."""
        module, _, _ = MODULES[short]
        if module in self._present:
            return self._present[module]
        self.needed.add(short)
        return self._spelling(short)

    def _spelling(self, short: str) -> str:
        if short not in self._taken:
            return short
        return f"tf_{short}"

    def lines(self) -> list[str]:
        """The import statements, in the customary order."""
        return [self._line(short) for short in ORDER if short in self.needed]

    def _line(self, short: str) -> str:
        _, plain, dotted = MODULES[short]
        spelling = self._spelling(short)
        if spelling == short:
            return plain
        package, _, last = dotted.rpartition(".")
        return f"from {package} import {last} as {spelling}" if package else f"import {dotted} as {spelling}"


def _bound_names(names: Names) -> frozenset[str]:
    """Every name that the file binds in any scope."""
    scopes = {id(s): s for s in names.scope_of.values()}
    scopes[id(names.module)] = names.module
    return frozenset(name for scope in scopes.values() for name in scope.bindings)


def _present(names: Names) -> dict[str, str]:
    """Modules that the file imports at its top level under one name that nothing else binds."""
    found = {}
    inner = {id(s): s for s in names.scope_of.values() if s is not names.module}
    rebound = {name for scope in inner.values() for name in scope.bindings}
    for name, bindings in names.module.bindings.items():
        if len(bindings) != 1 or name in rebound:
            continue
        node = bindings[0].node
        if names.parent.get(node) is not names.module.node:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    found[alias.name] = name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    found[f"{node.module}.{alias.name}"] = name
    return found
