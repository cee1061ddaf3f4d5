"""Patterns in einops notation, applied to shapes and to arrays.

``"h w i o -> o i h w"`` permutes; ``"(h w c) o -> o (c h w)"`` splits and merges axes, with sizes for what cannot
be deduced; ``1`` is an axis of size one, ``...`` stands for all axes not named. Beyond einops: a list for a size puts
the axis into that order (``"i (g o) -> (g o) i"`` with ``{"g": [1, 0, 2]}`` swaps the first two of three blocks);
``0:2`` on the left takes index 0 of an axis of two; ``(i + h)`` on the left is an axis of two parts in turn, one of
which is taken (``"(i + h) o -> o h"``). The pattern ``0`` alone fills with zeros and reads nothing; several numbers
(``0 1 0 0``) fill as many equal blocks of the first axis.
Working on shapes alone lets a whole checkpoint be checked before a value is read.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfport.weights.errors import WeightsError
from tfport.weights.moving import contiguous

__all__ = ["ZEROS", "Plan", "Sizes", "apply", "fill", "plan", "source_shape", "view"]

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
    sides = _side(left, pattern), _side(right, pattern, parts=False)
    names = [sorted(n for group in side for n in group if n not in ("1", "+")) for side in sides]
    names[0] = [n for n in names[0] if ":" not in n]
    for parts in (group[::2] for group in sides[0] if "+" in group):
        taken = [n for n in parts if n in names[1]]
        if len(taken) != 1 or len(set(parts)) != len(parts):
            raise WeightsError(f"the pattern {pattern!r} does not take one part of {' + '.join(parts)}")
        names[0] = [n for n in names[0] if n not in parts or n in taken]
    if not arrow or names[0] != names[1] or len(set(names[0])) != len(names[0]):
        raise WeightsError(f"the pattern {pattern!r} does not move every axis once")
    return sides


def _side(text: str, pattern: str, parts: bool = True) -> Groups:
    groups: list[tuple[str, ...]] = []
    inside: list[str] | None = None
    for word in re.sub(r"([()+])", r" \1 ", text).split():
        if word == "(" and inside is None:
            inside = []
        elif word == "+" and inside is not None and parts:
            inside.append(word)
        elif word == ")" and inside is not None:
            if "+" in inside and (
                len(inside) % 2 == 0 or any((n == "+") != at % 2 for at, n in enumerate(inside))
            ):
                raise WeightsError(f"the pattern {pattern!r} is not understood at {' '.join(inside)!r}")
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
    parts: dict[str, tuple[int, int]] = {}  # the part of an axis that is taken -> where it starts, the axis
    kept = {name for group in right for name in group}
    for group, size in zip(left, shape, strict=True):
        if "+" in group:
            parts.update(_part(group[::2], size, length, kept))
            continue
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
    source = [name for group in left for name in group if "+" not in group or name in parts]
    takes = tuple(
        (at, orders[name]) for at, name in enumerate(source) if name in orders and name not in parts
    )
    for name, (start, _) in parts.items():
        picks = orders.get(name, range(length[name]))
        takes += ((source.index(name), tuple(start + n for n in picks)),)
    takes += tuple((at, (_picked(name)[0],)) for at, name in enumerate(source) if ":" in name)
    picked = tuple(at for at, name in enumerate(source) if ":" in name)
    order = (*picked, *(source.index(name) for group in right for name in group))
    target = []
    for group in right:
        size = 1
        for name in group:
            size *= length[name]
        target.append(size)
    return Plan(tuple(parts[n][1] if n in parts else length[n] for n in source), order, tuple(target), takes)


def _part(
    names: tuple[str, ...], size: int, length: dict[str, int], kept: set[str]
) -> dict[str, tuple[int, int]]:
    """Where the part that is kept starts in an axis of that size, and the size; its length goes into ``length``."""
    unknown = [name for name in names if name not in length]
    known = sum(length[name] for name in names if name in length)
    if len(unknown) > 1:
        raise WeightsError(f"the sizes of {' and '.join(unknown)} are not known")
    if known > size or (not unknown and known != size):
        raise WeightsError(f"an axis has {size} values, the pattern wants {known}")
    length.update((name, size - known) for name in unknown)
    at = next(n for n, name in enumerate(names) if name in kept)
    return {names[at]: (sum(length[name] for name in names[:at]), size)}


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
        sizes_of = [length.get(name) for name in group if name != "+"]
        whole = [n for n in sizes_of if n is not None]
        total = sum(whole) if "+" in group else math.prod(whole)
        shape.append(total if len(whole) == len(sizes_of) else None)
    return tuple(shape)


def fill(pattern: str, shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    """The array of a pattern of numbers: each fills one of as many equal blocks of the first axis."""
    numbers = np.array([float(word) for word in pattern.split()]).astype(dtype)
    if len(numbers) == 1:
        return np.full(shape, numbers[0])
    if not shape or shape[0] % len(numbers):
        raise WeightsError(f"{list(shape)} has no {len(numbers)} equal blocks along its first axis")
    column = np.repeat(numbers, shape[0] // len(numbers)).reshape(-1, *[1] * (len(shape) - 1))
    return np.ascontiguousarray(np.broadcast_to(column, shape))


def view(moves: Plan, array: np.ndarray) -> np.ndarray:
    """The array after the plan, before axes are merged: its elements in C order are those of the target. A view,
    unless axes are taken in another order."""
    array = array.reshape(moves.split)
    for axis, indices in moves.takes:
        if indices and indices == tuple(range(indices[0], indices[0] + len(indices))):
            array = array[(slice(None),) * axis + (slice(indices[0], indices[0] + len(indices)),)]
        else:
            array = array.take(indices, axis)
    return array.transpose(moves.order)


def apply(moves: Plan, array: np.ndarray) -> np.ndarray:
    """The array after the plan, in C order: a view of the source where nothing moves."""
    return contiguous(view(moves, array)).reshape(moves.target)
