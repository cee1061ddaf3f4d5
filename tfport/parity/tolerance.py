"""How far two healthy programs may part: the tolerance of one tensor, from how far the reference itself wanders.

The capture runs the reference in float32 and, with the same weights and inputs, in float64. The largest
difference of the two is the tensor's *wander* W: what float32 rounding does to it, in this model, with these
weights. Two correct float32 programs lie within the sum of their wanders, so a port is allowed `FACTOR` * W.
W of a tensor of few elements may be small by luck; `FLOOR` * eps * sqrt(depth) * scale is allowed in any case
(eps the spacing of floats at 1, depth the number of layer calls up to the tensor, scale its largest value).
More than `CEILING` * scale is never allowed: a tensor that wanders further cannot be decided in this
precision, and is told so. In float64 the wander is 2**-29 times as large; the floor is `RTOL`, far below any wrong
formula and far above what constants lose that a program holds in float32.

Measured on TensorFlow 2.21 against PyTorch 2.13 on CPU, with the weights that the capture draws: 2,098 tensors
of 82 healthy runs of a CNN, VGG16, ResNet50, MobileNetV2, DenseNet121 (96x96 images), a U-Net, a GAN generator, an
MLP, LSTMs, GRUs and a transformer; d is the largest difference of the two programs:

    elements of the tensor      1-4    5-16   17-256   257-10^4   more
    tensors                     26      40      30       989      967     (of those where d > 0)
    d / W, half are below      0.55    1.01    0.74      0.86     0.84
    d / W, largest             3.27    3.06    1.80      2.92     2.42

W itself spans three decades, so no single relative tolerance serves: W/scale of the outputs is up to 1.3e-7 in the
LSTMs, 2.5e-7 in the transformer, 1.9e-6 in VGG16, 1.6e-5 in DenseNet121, 1.1e-4 in ResNet50 and 1.6e-4 in
MobileNetV2 with these weights, where healthy twins part by up to 2.7e-4 and 1e-5 would be a false alarm. With the
constants below no tensor of the 2,098 uses more than 0.29 of what it is allowed; among 3,076 layers of 246 small
twins of other seeds and shapes one LayerNormalization came to 6.6 W, hence the factor of 10. The furthest that was met are the
last layers of MobileNetV2 on two images of 64x64: W/scale is 7.2e-3 there and healthy twins part by 5.9e-3, hence
the ceiling.

Faults are larger by far. An epsilon of 1e-5 for 1e-3 in a BatchNormalization of variance 1 moves its output by 5e-4
of itself, 1,000 times what the floor allows there; and where a model magnifies rounding it magnifies faults too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

RTOL = {
    "float64": 1e-11,
    "complex128": 1e-11,
    "float32": 1e-5,
    "complex64": 1e-5,
    "float16": 4e-3,  # four units of 2**-10
    "bfloat16": 3e-2,  # four units of 2**-7
}
"""Tolerance by dtype where no wander is known, relative to the largest value. What is not listed is exact."""

FACTOR = 10.0
FLOOR = 4.0
CEILING = 1e-2
UNKNOWN_DEPTH = 16
"""The depth that is supposed where nothing is known of it: of a plain function, with all it may call."""

NARROWER = 2.0**-29
"""The spacing of float64 in units of that of float32."""

EPSILON = {"float32": 2.0**-23, "complex64": 2.0**-23, "float64": 2.0**-52, "complex128": 2.0**-52}


@dataclass(frozen=True)
class Allowed:
    """What one tensor is allowed: `rtol` is relative to the largest reference value, `atol` is added to it."""

    rtol: float
    atol: float = 0.0
    why: str = ""
    """Where the numbers come from, in words."""
    undecided: bool = False
    """Whether the reference wanders so far that `CEILING` holds: a failure may then be rounding."""

    def limit(self, scale: float) -> float:
        """The largest absolute difference that agrees, for a tensor whose largest finite value is `scale`."""
        return self.atol + self.rtol * scale


def allowed(
    dtype: str,
    scale: float,
    wander: float | None = None,
    depth: int | None = None,
    *,
    rtol: float | None = None,
    atol: float | None = None,
) -> Allowed:
    """The tolerance of a tensor.

    `dtype` is the name of the reference's dtype, `scale` its largest finite absolute value, `wander` the
    largest |float32 - float64| of the reference (absolute, None where the capture has none), `depth` the
    number of layer calls up to it. An explicit `rtol` or `atol` takes the place of the calibration: `atol` alone
    then stands with the rtol that would have held. Dtypes that are not floating are exact.
    """
    if dtype not in RTOL:
        return Allowed(0.0, 0.0, "exact")
    if rtol is not None:
        return Allowed(rtol, atol or 0.0, "as asked")
    found = _calibrated(dtype, scale, wander, depth)
    if atol is not None:
        return Allowed(found.rtol, found.atol + atol, f"{found.why}, and --atol", found.undecided)
    return found


def _calibrated(dtype: str, scale: float, wander: float | None, depth: int | None) -> Allowed:
    if wander is None or not math.isfinite(wander):
        return Allowed(RTOL[dtype], 0.0, "by dtype: the reference's wander is not known")
    if dtype not in EPSILON:  # the halves: their own spacing is far above what float32 does
        coarse = RTOL[dtype] * scale
        return _of(max(coarse, FACTOR * wander), scale, max(CEILING, RTOL[dtype]), "by dtype")
    if dtype in ("float64", "complex128"):
        floor, wandered, why = RTOL[dtype] * scale, FACTOR * wander * NARROWER, "by dtype"
    else:
        floor = FLOOR * EPSILON[dtype] * math.sqrt(max(depth or UNKNOWN_DEPTH, 1)) * scale
        wandered, why = FACTOR * wander, "rounding at this depth"
    if wandered > floor:
        why = f"{FACTOR:g} times the reference's wander"
    return _of(max(floor, wandered), scale, CEILING, why)


def _of(limit: float, scale: float, ceiling: float, why: str) -> Allowed:
    """A limit as a tolerance relative to the scale, where there is one, and no wider than the ceiling."""
    if scale <= 0:
        return Allowed(0.0, limit, why)
    if limit > ceiling * scale:
        told = f"the most that is ever allowed: the reference itself wanders by {limit / FACTOR / scale:.1e}"
        return Allowed(ceiling, 0.0, told, undecided=True)
    return Allowed(limit / scale, 0.0, why)
