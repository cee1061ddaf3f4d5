"""How far a gradient, a weight or a loss may lie from the reference's, and the comparison of one tensor.

The limits are those of `tfport.parity.tolerance` with one difference: there is no ceiling. The gradient of a bias
in front of a BatchNormalization is zero but for rounding, and wanders by as much as it is large; what is that
small beside the model's other gradients is called noise, and is compared with its wander all the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfport.parity import tolerance

NOISE = 1e-5
"""A gradient whose largest value is below this fraction of the model's largest, and which wanders by a tenth of
itself, is rounding noise: an optimizer that divides by its size makes a step of full length of it."""

UNITS = tolerance.FLOOR * math.sqrt(64)
"""The floor under the limits, in units of rounding: 64 operations between a loss and a gradient, forward and back."""


GRADIENT = 2.0
"""How much wider gradients are judged than outputs: sums over a batch of terms that cancel. Of 18 healthy runs of an
MLP and a U-Net, in float32 over as many seeds, the largest difference was 0.55 of what is allowed without it; of a
small CNN 0.92, at a scale of eight elements."""


@dataclass(frozen=True)
class Tolerance:
    """What the user asked for: relative to the largest reference value, and absolute. None: calibrated."""

    rtol: float | None = None
    atol: float | None = None


def limit(
    dtype: str,
    scale: float,
    wander: float | None,
    asked: Tolerance,
    around: float = 0.0,
    slack: float = 1.0,
    units: float = UNITS,
) -> float:
    """The largest absolute difference that agrees.

    `scale` is the tensor's largest absolute value, `around` that of the tensors it stands among (without a
    known wander a tenth of it counts as the scale), `slack` widens what is not asked for, `units` times the
    spacing of floats at the scale is allowed in any case.
    """
    if asked.rtol is not None:
        return asked.rtol * scale + (asked.atol or 0.0)
    narrower = tolerance.NARROWER if dtype == "float64" else 1.0
    if wander is None or not math.isfinite(wander):
        found = slack * tolerance.RTOL.get(dtype, 0.0) * max(scale, 0.1 * around)
    else:
        epsilon = tolerance.EPSILON.get(dtype, 2.0**-23)
        floor = units * epsilon * scale
        found = slack * max(floor, tolerance.FACTOR * wander * narrower)
    return found + (asked.atol or 0.0)


def scale_of(array: np.ndarray | None) -> float:
    """The largest finite absolute value; 0 for nothing."""
    if array is None or array.size == 0:
        return 0.0
    values = np.abs(array[np.isfinite(array)])
    return float(values.max()) if values.size else 0.0


def difference(reference: np.ndarray, candidate: np.ndarray) -> tuple[float, tuple[int, ...]]:
    """(largest absolute difference, its place). NaN equals NaN and an infinity itself, else they are infinitely far.

    Arrays of different shape are infinitely far apart.
    """
    if reference.shape != candidate.shape:
        return math.inf, ()
    if reference.size == 0:
        return 0.0, ()
    a, b = np.asarray(reference, np.float64), np.asarray(candidate, np.float64)
    with np.errstate(all="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        gap = np.where(same, 0.0, np.where(np.isfinite(a) & np.isfinite(b), np.abs(a - b), np.inf))
    place = np.unravel_index(int(np.argmax(gap)), gap.shape) if gap.ndim else ()
    return float(gap[place]), tuple(int(i) for i in place)


def compared(
    name: str,
    reference: np.ndarray | None,
    candidate: np.ndarray | None,
    dtype: str,
    wander: float | None,
    asked: Tolerance,
    around: float = 0.0,
    slack: float = 1.0,
    units: float = UNITS,
) -> dict[str, Any]:
    """One tensor as a dict: name, status `agrees`, `differs` or `not compared`, max_abs, max_rel, allowed, reason.

    None stands for "there is none": on both sides it agrees, on one it agrees only with zeros.
    """
    scale = scale_of(reference)
    told: dict[str, Any] = {"name": name, "status": "agrees", "max_abs": 0.0, "max_rel": 0.0, "scale": scale}
    told |= {"allowed": 0.0, "reason": ""}
    if reference is None and candidate is None:
        return told
    allowed = limit(
        dtype, max(scale, 0.0 if reference is not None else around), wander, asked, around, slack, units
    )
    a = reference if reference is not None else np.zeros_like(candidate)  # type: ignore[arg-type]
    b = candidate if candidate is not None else np.zeros_like(a)
    gap, place = difference(a, b)
    told.update(max_abs=gap, allowed=allowed)
    told["max_rel"] = gap / scale if scale else (math.inf if gap else 0.0)
    if gap > allowed:
        told["status"] = "differs"
        if a.size and b.shape == a.shape:
            at_most = np.unravel_index(int(np.argmax(np.abs(a))), a.shape) if a.ndim else ()
            with np.errstate(all="ignore"):
                told["ratio"] = float(np.float64(a[at_most]) / np.float64(b[at_most]))
        if reference is None:
            told["reason"] = "the reference has none"
        elif candidate is None:
            told["reason"] = "the candidate has none"
        elif a.shape != b.shape:
            told["reason"] = f"shape {list(b.shape)} instead of {list(a.shape)}"
        else:
            at = f" at {list(place)}" if place else ""
            told["reason"] = (
                f"{b[place]:.7g} instead of {a[place]:.7g}{at} (off by {gap:.1e}, allowed {allowed:.1e})"
            )
    return told
