"""Nested lists, tuples and dicts: mapping them, and their leaves with a name for each place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def is_node(value: Any) -> bool:
    """Whether ``value`` has children: a list, a tuple (named ones too) or a dict."""
    return isinstance(value, list | tuple | Mapping)


def tree_map(function: Callable[[Any], Any], value: Any) -> Any:
    """``function`` applied to every leaf; containers keep their kind."""
    if isinstance(value, Mapping):
        return {key: tree_map(function, item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(tree_map(function, item) for item in value))
    if isinstance(value, list | tuple):
        made = [tree_map(function, item) for item in value]
        return made if isinstance(value, list) else tuple(made)
    return function(value)


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its place, such as ``[0].key``; dicts in the order of their keys."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from leaves(value[key], f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from leaves(item, f"{place}[{index}]")
    else:
        yield place, value
