"""What a comparison cannot show though all of it agrees: inputs that try nothing, outputs that say nothing.

A mask of ones does not tell a port that uses the mask from one that forgets it, and outputs that are all NaN agree with
any program that breaks. Neither is a disagreement; both are said beside the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfport.parity.reference.values import Value

NEUTRAL = (0, 1)
"""Values of a single number that many programs treat like no argument at all: factors, offsets, flags."""

APART = 300
"""How many times larger one column of an output must be than another, until the smaller counts as hidden by it."""
COLUMNS = 4096
"""Indices of the last axis up to which columns are looked at: boxes beside scores, not images."""


def doubts(entry: Mapping[str, Any], tensors: Mapping[str, Value]) -> list[str]:
    """Notes on a golden's run; `tensors` are the reference's, each is read once and not kept."""
    told = []
    for i, given in enumerate(entry.get("inputs") or []):
        value = tensors[given["tensor"]]
        single = _single(value.array)
        if single is None or (value.array.size == 1 and single not in NEUTRAL):
            continue
        name = f"input {given['name'] or i}"
        told.append(
            f"{name} is {single!r} throughout: nothing here shows that the port uses it as the reference does"
        )
    for leaf in entry.get("outputs") or []:
        array = tensors[f"outputs/{leaf}"].array
        if array.dtype.kind not in "fc" or not array.size:
            continue
        if not np.isfinite(array).any():
            told.append(f"{leaf} of the reference has no finite element: that the port agrees shows little")
        elif array.size > 1 and _single(array) is not None:
            what = f"{leaf} of the reference is {_single(array)!r} throughout"
            told.append(f"{what}: that the port agrees shows little")
        elif (unlike := _unlike(array)) is not None:
            low, high = unlike
            sizes = f"numbers up to {high:.3g}, and an index of its last axis where they end at {low:.3g}"
            told.append(f"{leaf} of the reference has {sizes}: small ones are judged by the largest")
    return told


def _unlike(array: np.ndarray) -> tuple[float, float] | None:
    """The largest values of the smallest and of the largest index of the last axis, where they are far apart."""
    if array.ndim < 2 or not 1 < array.shape[-1] <= COLUMNS:
        return None
    finite = np.where(np.isfinite(array), np.abs(array), 0.0)
    largest = finite.reshape(-1, array.shape[-1]).max(0)
    low, high = float(largest.min()), float(largest.max())
    return (low, high) if 0 < low * APART < high else None


def _single(array: np.ndarray) -> Any:
    """The one number that an array is made of, as Python has it; None where there are several, or no numbers."""
    if array.dtype.kind not in "biufc" or not array.size:
        return None
    first = array.reshape(-1)[0]
    return first.item() if bool((array == first).all()) else None
