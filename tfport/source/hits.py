"""Where a file touches TensorFlow: the expressions that denote its names, and calls of tensor methods that have a rule."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tfport.source import shapes_of_tensors
from tfport.source.canonical import Canonical
from tfport.source.names import Ambiguous, Names, imported_by_name
from tfport.source.nodes import every
from tfport.source.rulebook import Rulebook


def find_hits(
    tree: ast.Module, names: Names, book: Rulebook
) -> Iterator[tuple[ast.AST, Canonical | Ambiguous]]:
    """Every expression that denotes a TensorFlow name, and every call of a tensor method that has a rule."""
    methods = book.methods
    for node in every(tree):
        if isinstance(node, ast.Name) and node in names.scope_of:
            yield from _outermost(node, names, book)
        elif (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods
        ):
            if names.resolve(node.func) is None and not _is_self(node.func.value):
                yield node, Canonical(f"tf.Tensor.{node.func.attr}")
        elif isinstance(node, ast.Call) and (imported := imported_by_name(node)) is not None:
            yield node.args[0], imported
        elif (
            isinstance(node, ast.Attribute)
            and node.attr in shapes_of_tensors.ATTRIBUTES
            and names.resolve(node) is None
            and shapes_of_tensors.matches(node)
        ):
            yield node, Canonical(f"tf.TensorShape.{node.attr}")


def _outermost(
    node: ast.Name, names: Names, book: Rulebook
) -> Iterator[tuple[ast.AST, Canonical | Ambiguous]]:
    """The longest attribute chain from a name that a rule knows, or the whole chain."""
    meaning = names.resolve(node)
    if meaning is None:
        return
    if isinstance(meaning, Ambiguous):
        fails = names.is_imported(node) or any(_is_namespace(n, book) for n in meaning.names)
        if fails and isinstance(node.ctx, ast.Load):
            yield node, meaning
        return
    if not isinstance(node.ctx, ast.Load) or (
        meaning.name == "tf.flags.FLAGS" and not names.is_imported(node)
    ):
        return  # FLAGS = tf.flags.FLAGS: the program's own name is kept
    at: ast.AST = node
    best: tuple[ast.AST, Canonical] | None = None
    while True:
        if isinstance(meaning, Canonical) and book.knows(meaning.name):
            best = (at, meaning)
        parent = names.parent.get(at)
        if not (isinstance(parent, ast.Attribute) and parent.value is at):
            break
        at, meaning = parent, names.resolve(parent)
    if isinstance(meaning, Canonical):
        yield best or (at, meaning)


def _is_namespace(name: str, book: Rulebook) -> bool:
    return book.is_namespace(name) or name in ("tf", "tf.keras") or "." not in name


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id in ("self", "cls")
