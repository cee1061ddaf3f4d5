"""Models inside models: what is called on the symbols of another model stays recorded, as that one does."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.known_models import CONSTRUCTORS, KnownModels
from tfport.source.nodes import every

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfport.source.convert import Walk


def called_on_symbols(walk: Walk) -> frozenset[ast.AST]:
    """The constructor calls of models that are called on what comes from ``keras.Input``.

    A class of torch's would run there on symbols: its weights would be no part of the model around it.
    """
    models = KnownModels(walk)
    found: set[ast.AST] = set()
    for node in every(walk.source.tree):
        if isinstance(node, ast.Call):
            made = set(_constructors(models, node.func))
            values = [*node.args, *(k.value for k in node.keywords)]
            if made - found and any(models.is_symbolic(v) for v in values):
                found |= made
    return frozenset(found)


def _constructors(models: KnownModels, node: ast.AST) -> Iterator[ast.Call]:
    """The calls of ``Model`` and ``Sequential`` that an expression may have its value from."""
    waiting, seen = [node], set[ast.AST]()
    while waiting:
        at = waiting.pop()
        if at in seen:
            continue
        seen.add(at)
        if isinstance(at, ast.Name) and at in models.names.scope_of:
            waiting += [b.value for b in models.names.bindings(at) if b.value is not None]
        elif isinstance(at, ast.Attribute):
            waiting += models.values_of(at)
        elif isinstance(at, ast.Call):
            meaning, function = models.names.resolve(at.func), models.function(at.func)
            if isinstance(meaning, Canonical) and meaning.name in CONSTRUCTORS:
                yield at
            elif isinstance(function, ast.FunctionDef):
                waiting += [r for r in models.returned(function) if r is not None]
