"""Nested structures as ``tf.nest`` walks them: dicts in the order of their sorted keys, lists, tuples, namedtuples.

torch.Size is a leaf, as TensorShape is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch


def is_nested(value: Any) -> bool:
    """Whether ``value`` is a list, tuple, namedtuple or mapping."""
    return isinstance(value, list | tuple | Mapping) and not isinstance(value, torch.Size)


def flatten(structure: Any) -> list[Any]:
    """The leaves; a leaf gives a list of itself."""
    if not is_nested(structure):
        return [structure]
    return [leaf for item in _items(structure) for leaf in flatten(item)]


def _items(structure: Any) -> list[Any]:
    return (
        [structure[key] for key in sorted(structure)] if isinstance(structure, Mapping) else list(structure)
    )


def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any]) -> Any:
    """The leaves of ``flat_sequence`` in the form of ``structure``. ValueError if their numbers differ."""
    wanted = len(flatten(structure))
    if wanted != len(flat_sequence):
        raise ValueError(f"the structure has {wanted} leaves, the sequence {len(flat_sequence)}")
    return _pack(structure, iter(flat_sequence))


def _pack(structure: Any, leaves: Iterator[Any]) -> Any:
    if not is_nested(structure):
        return next(leaves)
    return _like(structure, [_pack(item, leaves) for item in _items(structure)])


def _like(structure: Any, items: list[Any]) -> Any:
    if isinstance(structure, Mapping):
        values = dict(zip(sorted(structure), items, strict=True))
        return type(structure)((key, values[key]) for key in structure)  # type: ignore[call-arg]
    if hasattr(structure, "_fields"):
        return type(structure)(*items)
    return type(structure)(items)


def assert_same_structure(first: Any, second: Any, check_types: bool = True) -> None:
    """ValueError if the nesting differs; TypeError if the types of sequences do and ``check_types`` asks."""
    if is_nested(first) != is_nested(second):
        raise ValueError(f"one is nested, the other is not: {first!r} and {second!r}")
    if not is_nested(first):
        return
    if isinstance(first, Mapping) != isinstance(second, Mapping) or len(first) != len(second):
        raise ValueError(f"the structures differ: {first!r} and {second!r}")
    if isinstance(first, Mapping) and set(first) != set(second):
        raise ValueError(f"the keys differ: {sorted(first)} and {sorted(second)}")
    if check_types and type(first) is not type(second) and not isinstance(first, Mapping):
        raise TypeError(f"the types differ: {type(first).__name__} and {type(second).__name__}")
    for one, other in zip(_items(first), _items(second), strict=True):
        assert_same_structure(one, other, check_types)


def map_structure(func: Callable[..., Any], *structure: Any, check_types: bool = True) -> Any:
    """``func`` of the leaves at the same place, in the form of the first structure."""
    for other in structure[1:]:
        assert_same_structure(structure[0], other, check_types)
    results = [func(*leaves) for leaves in zip(*(flatten(s) for s in structure), strict=True)]
    return pack_sequence_as(structure[0], results)
