"""The results of both frameworks in one form, and their comparison."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfport.proving.outcome import Failure
from tfport.proving.trees import is_node, leaves

TOLERANCE = {
    "float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-5, "float64": 1e-12, "complex64": 1e-5, "complex128": 1e-12,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Array:
    """A tensor of either framework: NumPy values (bfloat16 as float32) and the dtype's name."""

    values: np.ndarray
    dtype: str


@dataclasses.dataclass(frozen=True)
class Result:
    """What a call gave: a tree of Arrays and Python values, and a gradient per floating input (None: not taken)."""

    value: Any
    gradients: tuple[Array, ...] | None = None


def output_weights(place: int, shape: tuple[int, ...]) -> np.ndarray:
    """Fixed weights, none of them zero, that reduce an output to the number whose gradient is compared."""
    source = np.random.default_rng([77, place, *shape])
    return source.uniform(0.5, 1.5, shape) * source.choice([-1.0, 1.0], shape)


def compare(reference: Any, candidate: Any, *, rtol: float | None = None, atol: float | None = None,
            python: bool = False, random: bool = False, where: str = "",
            factor: float = 1.0) -> list[Failure]:  # fmt: skip
    """What differs between two trees of results.

    Errors are relative to the largest finite value of the reference. ``python`` lets a Python number stand for a
    tensor; ``random`` compares shape, dtype, mean and spread; ``factor`` widens the default tolerances.
    """
    ours, theirs = dict(leaves(candidate)), dict(leaves(reference))
    if isinstance(reference, Array) != isinstance(candidate, Array) and python:
        return _python(reference, candidate, where)
    if ours.keys() != theirs.keys() or is_node(reference) != is_node(candidate):
        detail = f"structure {_outline(candidate)}, TensorFlow's is {_outline(reference)}"
        return [Failure("shape", detail, where)]
    found: list[Failure] = []
    for place, want in theirs.items():
        at = f"{where}{' result' if place else ''}{place}"
        have = ours[place]
        if isinstance(want, Array) and isinstance(have, Array):
            found += _arrays(want, have, rtol, atol, random, at, factor)
        elif isinstance(want, Array) != isinstance(have, Array):
            if python:
                found += _python(want, have, at)
            else:
                found.append(Failure("dtype", f"{_outline(have)}, TensorFlow gives {_outline(want)}", at))
        elif want != have:
            found.append(Failure("value", f"{have!r}, TensorFlow gives {want!r}", at))
    return found


def _arrays(want: Array, have: Array, rtol: float | None, atol: float | None, random: bool, at: str,
            factor: float) -> list[Failure]:  # fmt: skip
    found = []
    if want.values.shape != have.values.shape:
        return [Failure("shape", f"{have.values.shape}, TensorFlow gives {want.values.shape}", at)]
    if want.dtype != have.dtype:
        found.append(Failure("dtype", f"{have.dtype}, TensorFlow gives {want.dtype}", at))
    if random:
        return found + _moments(want, have, at)
    tolerance = TOLERANCE.get(want.dtype, 0.0) * factor if rtol is None else rtol
    error, place, detail = difference(want.values, have.values)
    if error > tolerance and not (atol is not None and _absolute(want.values, have.values) <= atol):
        found.append(Failure("value", f"{detail} at index {list(place)}, tolerance {tolerance:g}", at, error))
    return found


def difference(want: np.ndarray, have: np.ndarray) -> tuple[float, tuple[int, ...], str]:
    """Largest error relative to the largest finite reference, where it is, and both values there.

    NaN equals NaN and infinity itself; any other pairing with them is an infinite error.
    """
    if want.size == 0:
        return 0.0, (), ""
    if want.dtype.kind not in "fciub" or have.dtype.kind not in "fciub":
        errors = np.where(np.asarray(want == have), 0.0, np.inf)
        scale = 1.0
    else:
        kind: Any = np.complex128 if "c" in (want.dtype.kind, have.dtype.kind) else None
        kind = kind or (np.float64 if "f" in (want.dtype.kind, have.dtype.kind) else object)
        a, b = want.astype(kind), have.astype(kind)
        if kind is object:  # integers, exactly
            errors = np.abs(a - b).astype(np.float64)
            scale = max(1.0, float(np.max(np.abs(a))))
        else:
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            finite = np.isfinite(a)
            with np.errstate(invalid="ignore", over="ignore"):
                errors = np.where(same, 0.0, np.where(finite & np.isfinite(b), np.abs(a - b), np.inf))
            scale = float(np.max(np.abs(a[finite]), initial=0.0))
            scale = scale if scale > 1e-300 else 1.0  # uninitialised memory of an empty sum is no scale
    index = np.unravel_index(int(np.argmax(errors)), errors.shape)
    place = tuple(int(i) for i in index)
    return float(errors[index]) / scale, place, f"{have[index]!r}, TensorFlow gives {want[index]!r}"


def _absolute(want: np.ndarray, have: np.ndarray) -> float:
    a, b = want.astype(np.complex128), have.astype(np.complex128)
    with np.errstate(invalid="ignore"):
        errors = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    return float(np.max(np.nan_to_num(errors, nan=np.inf), initial=0.0))


def _moments(want: Array, have: Array, at: str) -> list[Failure]:
    if want.values.size < 500 or want.values.dtype.kind not in "fiub":
        return []
    a, b = want.values.astype(np.float64), have.values.astype(np.float64)
    spread = float(a.std())
    off = max(abs(a.mean() - b.mean()), abs(spread - b.std()) / 2)
    if off <= 6 * spread / a.size**0.5:
        return []
    detail = f"mean {b.mean():.4g}, spread {b.std():.4g}; TensorFlow has {a.mean():.4g}, {spread:.4g}"
    return [Failure("value", detail, at, float(off))]


def _python(want: Any, have: Any, at: str) -> list[Failure]:
    plain = [x.values.tolist() if isinstance(x, Array) else x for x in (want, have)]
    plain = [list(x) if isinstance(x, tuple) else x for x in plain]
    if plain[0] == plain[1]:
        return []
    return [Failure("value", f"{plain[1]!r}, TensorFlow gives {plain[0]!r}", at)]


def _outline(value: Any) -> str:
    if isinstance(value, Array):
        return f"{value.dtype}{list(value.values.shape)}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_outline(item) for item in value) + "]"
    return type(value).__name__ if isinstance(value, dict) else repr(value)
