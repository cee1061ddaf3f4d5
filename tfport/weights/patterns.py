"""Patterns in einops notation, applied to shapes and to arrays.

``"h w i o -> o i h w"`` permutes; ``"(h w c) o -> o (c h w)"`` splits and merges axes, with sizes for what cannot
be deduced; ``1`` is an axis of size one, ``...`` stands for all axes not named. Beyond einops: a list for a size puts
the axis into that order (``"i (g o) -> (g o) i"`` with ``{"g": [1, 0, 2]}`` swaps the first two of three blocks);
``0:2`` on the left takes index 0 of an axis of two; the pattern ``0`` alone fills with zeros and reads nothing.
Working on shapes alone lets a whole checkpoint be checked before a value is read.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np

from tfport.weights.errors import WeightsError
from tfport.weights.moving import contiguous

__all__ = ["ZEROS", "Plan", "Sizes", "apply", "plan", "source_shape", "view"]

ZEROS = "0"
Groups = tuple[tuple[str, ...], ...]
Sizes = Mapping[str, int | Sequence[int]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How an array of one shape is moved: split axes, take indices along some, permute, merge. ``target`` is the
    shape that comes out, ``split`` the shape before the permutation.
    """

    split: tuple[int, ...]
    order: tuple[int, ...]
    target: tuple[int, ...]
    takes: tuple[tuple[int, tuple[int, ...]], ...] = ()


@functools.lru_cache(maxsize=512)
def parse(pattern: str) -> tuple[Groups, Groups]:
    """Both sides of a pattern as axes, each a group of names; WeightsError for what is no such pattern."""
    left, arrow, right = pattern.partition("->")
    sides = _side(left, pattern), _side(right, pattern)
    names = [sorted(n for group in side for n in group if n != "1") for side in sides]
    names[0] = [n for n in names[0] if ":" not in n]
    if not arrow or names[0] != names[1] or len(set(names[0])) != len(names[0]):
        raise WeightsError(f"the pattern {pattern!r} does not move every axis once")
    return sides


def _side(text: str, pattern: str) -> Groups:
    groups: list[tuple[str, ...]] = []
    inside: list[str] | None = None
    for word in text.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(" and inside is None:
            inside = []
        elif word == ")" and inside is not None:
            groups.append(tuple(inside))
            inside = None
        elif re.fullmatch(r"\d+:\d+", word) and inside is None:
            groups.append((word,))
        elif word == "1" or word.isidentifier():
            if inside is None:
                groups.append((word,) if word != "1" else ())
            elif word != "1":
                inside.append(word)
        else:
            raise WeightsError(f"the pattern {pattern!r} is not understood at {word!r}")
    if inside is not None:
        raise WeightsError(f"the pattern {pattern!r} has an open parenthesis")
    return tuple(groups)


def _spread(pattern: str, side: int, rank: int) -> str:
    """The pattern with ``...`` written out as the axes that are left on one side of an array of that rank."""
    if "..." not in pattern:
        return pattern
    text = pattern.partition("->")[2 * side].replace("...", " ")
    axes = " ".join(f"axis_{n}" for n in range(max(0, rank - len(_side(text, pattern)))))
    return pattern.replace("...", f" {axes} ")


def _joined(sides: tuple[Groups, Groups], known: Mapping[str, int]) -> tuple[Groups, Groups]:
    """Two unknown axes that stay side by side are one: (h w c) with only c given is ((hw) c)."""
    left, right = sides
    for group in left:
        for first, second in itertools.pairwise(group):
            together = any((first, second) in itertools.pairwise(g) for g in right)
            if first not in known and second not in known and together:
                swap = {first: f"{first}_{second}", second: ""}
                sides = tuple(
                    tuple(tuple(swap.get(n, n) for n in g if swap.get(n, n)) for g in side) for side in sides
                )  # type: ignore[assignment]
                return _joined(sides, known)
    return sides


def _lengths(sizes: Sizes) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """The sizes of axes, and the order of those that get another one."""
    orders = {name: tuple(value) for name, value in sizes.items() if not isinstance(value, int)}
    return {n: v if isinstance(v, int) else len(v) for n, v in sizes.items()}, orders


def _picked(name: str) -> tuple[int, int]:
    index, _, size = name.partition(":")
    return int(index), int(size)


def plan(pattern: str, shape: Sequence[int], sizes: Sizes) -> Plan:
    """How an array of ``shape`` goes through ``pattern``; WeightsError says why it cannot."""
    length, orders = _lengths(sizes)
    left, right = _joined(parse(_spread(pattern, 0, len(shape))), length)
    if len(left) != len(shape):
        raise WeightsError(f"has {len(shape)} axes, the pattern takes {len(left)}")
    length.update((name, _picked(name)[1]) for group in left for name in group if ":" in name)
    for group, size in zip(left, shape, strict=True):
        unknown = [name for name in group if name not in length]
        known = 1
        for name in group:
            known *= length.get(name, 1)
        if len(unknown) > 1:
            raise WeightsError(f"the sizes of {' and '.join(unknown)} are not known")
        if unknown:
            if known == 0 or size % known:
                raise WeightsError(f"an axis of {size} is no multiple of {known}")
            length[unknown[0]] = size // known
        elif known != size:
            raise WeightsError(f"an axis has {size} values, the pattern wants {known}")
    source = [name for group in left for name in group]
    takes = tuple((at, orders[name]) for at, name in enumerate(source) if name in orders)
    takes += tuple((at, (_picked(name)[0],)) for at, name in enumerate(source) if ":" in name)
    picked = tuple(at for at, name in enumerate(source) if ":" in name)
    order = (*picked, *(source.index(name) for group in right for name in group))
    target = []
    for group in right:
        size = 1
        for name in group:
            size *= length[name]
        target.append(size)
    return Plan(tuple(length[n] for n in source), order, tuple(target), takes)


def source_shape(pattern: str, target: Sequence[int | None], sizes: Sizes) -> tuple[int | None, ...] | None:
    """The TensorFlow shape that would give ``target``; None per axis, or altogether, where unknown."""
    if pattern == ZEROS:
        return None
    length, _ = _lengths(sizes)
    left, right = _joined(parse(_spread(pattern, 1, len(target))), length)
    if len(right) != len(target):
        return None
    length.update((name, _picked(name)[1]) for group in left for name in group if ":" in name)
    for group, size in zip(right, target, strict=True):
        unknown = [name for name in group if name not in length]
        known = 1
        for name in group:
            known *= length.get(name, 1)
        if size is not None and len(unknown) == 1 and known and size % known == 0:
            length[unknown[0]] = size // known
    shape: list[int | None] = []
    for group in left:
        total = 1
        for name in group:
            total *= length.get(name, 0)
        shape.append(total if all(name in length for name in group) else None)
    return tuple(shape)


def view(moves: Plan, array: np.ndarray) -> np.ndarray:
    """The array after the plan, before axes are merged: its elements in C order are those of the target. A view,
    unless axes are taken in another order."""
    array = array.reshape(moves.split)
    for axis, indices in moves.takes:
        array = array.take(indices, axis)
    return array.transpose(moves.order)


def apply(moves: Plan, array: np.ndarray) -> np.ndarray:
    """The array after the plan, in C order: a view of the source where nothing moves."""
    return contiguous(view(moves, array)).reshape(moves.target)
