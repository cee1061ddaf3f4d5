"""What the calls in a file pass for the parameters of its functions and methods."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from tfport.source.names import Names

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@functools.lru_cache(maxsize=16)
def passed(names: Names) -> dict[ast.AST, list[ast.expr]]:
    """Parameter -> the arguments that calls in the file give it.

    A call by name counts where the name is bound once, to a function; a call of an attribute counts for every method
    of that name in the file. What stands behind a star is not known and left out.
    """
    methods: dict[str, list[Definition]] = {}
    calls = []
    for node in names.parent:
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, Definition):
                    methods.setdefault(statement.name, []).append(statement)
        elif isinstance(node, ast.Call) and (node.args or node.keywords):
            calls.append(node)
    found: dict[ast.AST, list[ast.expr]] = {}
    for call in calls:
        for definition, skipped in _definitions(names, methods, call.func):
            for parameter, value in _pairs(definition, skipped, call):
                found.setdefault(parameter, []).append(value)
    return found


def _definitions(
    names: Names, methods: dict[str, list[Definition]], function: ast.expr
) -> Iterator[tuple[Definition, int]]:
    """What a call may run, with the number of parameters that the call does not pass (``self``)."""
    if isinstance(function, ast.Attribute):
        for method in methods.get(function.attr, []):
            static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in method.decorator_list)
            yield method, 0 if static else 1
    elif isinstance(function, ast.Name) and function in names.scope_of:
        bindings = names.bindings(function)
        if len(bindings) != 1:
            return
        if isinstance(bindings[0].node, Definition):
            yield bindings[0].node, 0
        elif isinstance(bindings[0].node, ast.ClassDef):
            yield from ((m, 1) for m in _own(bindings[0].node, ("__init__",)))
        elif isinstance(made := bindings[0].value, ast.Call) and isinstance(made.func, ast.Name):
            classes = names.bindings(made.func) if made.func in names.scope_of else []
            if len(classes) == 1 and isinstance(classes[0].node, ast.ClassDef):  # an instance is called
                yield from ((m, 1) for m in _own(classes[0].node, ("__call__", "call")))


def _own(node: ast.ClassDef, wanted: tuple[str, ...]) -> list[Definition]:
    """The methods of a class that have one of these names."""
    return [s for s in node.body if isinstance(s, Definition) and s.name in wanted]


def _pairs(definition: Definition, skipped: int, call: ast.Call) -> Iterator[tuple[ast.arg, ast.expr]]:
    arguments = definition.args
    positional = [*arguments.posonlyargs, *arguments.args][skipped:]
    for parameter, value in zip(positional, call.args, strict=False):
        if isinstance(value, ast.Starred):
            break
        yield parameter, value
    named = {a.arg: a for a in [*arguments.args, *arguments.kwonlyargs]}
    for keyword in call.keywords:
        if keyword.arg in named:
            yield named[keyword.arg], keyword.value
