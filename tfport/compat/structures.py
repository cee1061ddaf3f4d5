"""Nested lists, tuples, named tuples and dicts of tensors, as ``tf.nest`` sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def flatten(structure: Any) -> list[Any]:
    """The leaves in order; a dict's by sorted key."""
    if isinstance(structure, Mapping):
        return [leaf for key in sorted(structure) for leaf in flatten(structure[key])]
    if isinstance(structure, list | tuple):
        return [leaf for item in structure for leaf in flatten(item)]
    return [structure]


def pack(structure: Any, leaves: list[Any]) -> Any:
    """The leaves, as ``flatten`` gives them, in the form of ``structure``."""
    remaining = iter(leaves)
    return transform(lambda _: next(remaining), structure)


def transform(function: Callable[[Any], Any], structure: Any) -> Any:
    """``structure`` with ``function`` of each leaf, called in the order of ``flatten``."""
    if isinstance(structure, Mapping):
        made = {key: transform(function, structure[key]) for key in sorted(structure)}
        return type(structure)((key, made[key]) for key in structure)  # type: ignore[call-arg]
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(transform(function, item) for item in structure))
    if isinstance(structure, list | tuple):
        items = [transform(function, item) for item in structure]
        return tuple(items) if isinstance(structure, tuple) else items
    return function(structure)
