"""When two tensors agree: the tolerance of the whole verification, applied where the tensor is."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tfport.parity.localise.reference import Reference
from tfport.parity.tolerance import allowed

warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


@dataclass
class Measure:
    """The distance of two tensors of one shape."""

    max_abs: float
    scale: float
    """The largest finite |reference|."""
    limit: float
    """The largest distance that agrees."""

    @property
    def ok(self) -> bool:
        """Whether they agree; NaN on one side does not."""
        return self.max_abs <= self.limit

    @property
    def max_rel(self) -> float:
        """`max_abs / scale`; infinite where only the reference is zero."""
        return self.max_abs / self.scale if self.scale else float("inf") if self.max_abs else 0.0


def _largest(x: torch.Tensor) -> float:
    """The largest |value|, NaN where one is NaN, 0 of an empty tensor; in one pass and without a copy."""
    if not x.numel():
        return 0.0
    low, high = torch.aminmax(x)
    return abs(float(torch.maximum(-low, high)))


class Judge:
    """Reference tensors on the candidate's device, and the tolerance for each."""

    def __init__(
        self, reference: Reference, entry: Mapping[str, Any], device: str,
        rtol: float | None = None, atol: float | None = None,
    ) -> None:  # fmt: skip
        self.reference, self.device = reference, device
        self.dtype = entry["dtype"]
        self.rtol, self.atol = rtol, atol
        self.wander: Mapping[str, float] = entry.get("wander") or {}
        self.depth: Mapping[str, int] = entry.get("depth") or {}
        self.scales: dict[str, float] = {}

    def tensor(self, key: str) -> torch.Tensor:
        """A reference tensor in TensorFlow's axis order, on the candidate's device."""
        array = self.reference.array(key)
        return torch.from_numpy(np.asarray(array, order="C")).to(self.device)

    def scale(self, key: str, wanted: torch.Tensor) -> float:
        """The largest finite |value|; computed once for each tensor."""
        if key not in self.scales:
            values = wanted if wanted.is_floating_point() else wanted.double()
            scale = _largest(values)
            if not scale < float("inf"):
                scale = _largest(values[torch.isfinite(values)])
            self.scales[key] = scale
        return self.scales[key]

    def limit(self, key: str, scale: float) -> float:
        """The largest |difference| that counts as rounding in this tensor."""
        wander, depth = self.wander.get(key), self.depth.get(key)
        return allowed(self.dtype, scale, wander, depth, rtol=self.rtol, atol=self.atol).limit(scale)

    def measure(self, key: str, wanted: torch.Tensor, given: torch.Tensor) -> Measure:
        """Compares tensors of one shape elementwise; NaN equals NaN, an infinity its like."""
        if not wanted.is_floating_point():
            gap = float((wanted != given).any()) if wanted.numel() else 0.0
            return Measure(gap, self.scale(key, wanted), 0.0)
        if given.is_complex() or not wanted.numel():
            return Measure(float("inf") if wanted.numel() else 0.0, 0.0, 0.0)
        given = given.to(wanted.dtype)
        scale = self.scale(key, wanted)
        gap = _largest(given - wanted)
        if not gap < float("inf"):
            same = (given == wanted) | (torch.isnan(given) & torch.isnan(wanted))
            finite = torch.isfinite(given) & torch.isfinite(wanted)
            distance = torch.where(finite, (given - wanted).abs(), torch.inf)
            gap = float(torch.where(same, 0.0, distance).max())
        return Measure(gap, scale, self.limit(key, scale))
