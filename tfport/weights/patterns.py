"""Patterns in einops notation, applied to shapes and to arrays.

``"h w i o -> o i h w"`` permutes; ``"(h w c) o -> o (c h w)"`` splits and merges axes, with sizes for what cannot
be deduced; ``1`` is an axis of size one, ``...`` stands for all axes not named. Working on shapes alone lets a whole
checkpoint be checked before a value is read.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from tfport.weights.errors import WeightsError

__all__ = ["Plan", "apply", "plan", "source_shape"]

Groups = tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How an array of one shape is moved: split axes, permute, merge axes. ``target`` is the shape that comes
    out.
    """

    split: tuple[int, ...]
    order: tuple[int, ...]
    target: tuple[int, ...]


@functools.lru_cache(maxsize=512)
def parse(pattern: str) -> tuple[Groups, Groups]:
    """Both sides of a pattern as axes, each a group of names; WeightsError for what is no such pattern."""
    left, arrow, right = pattern.partition("->")
    sides = _side(left, pattern), _side(right, pattern)
    names = [sorted(n for group in side for n in group if n != "1") for side in sides]
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


def plan(pattern: str, shape: Sequence[int], sizes: Mapping[str, int]) -> Plan:
    """How an array of ``shape`` goes through ``pattern``; WeightsError says why it cannot."""
    left, right = _joined(parse(_spread(pattern, 0, len(shape))), sizes)
    if len(left) != len(shape):
        raise WeightsError(f"has {len(shape)} axes, the pattern takes {len(left)}")
    length: dict[str, int] = dict(sizes)
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
    order = tuple(source.index(name) for group in right for name in group)
    target = []
    for group in right:
        size = 1
        for name in group:
            size *= length[name]
        target.append(size)
    return Plan(tuple(length[n] for n in source), order, tuple(target))


def source_shape(
    pattern: str, target: Sequence[int | None], sizes: Mapping[str, int]
) -> tuple[int | None, ...] | None:
    """The TensorFlow shape that would give ``target``; None per axis, or altogether, where unknown."""
    left, right = _joined(parse(_spread(pattern, 1, len(target))), sizes)
    if len(right) != len(target):
        return None
    length: dict[str, int] = dict(sizes)
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


def apply(moves: Plan, array: np.ndarray) -> np.ndarray:
    """The array after the plan: a view where NumPy can give one."""
    return array.reshape(moves.split).transpose(moves.order).reshape(moves.target)
