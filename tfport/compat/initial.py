"""The distributions behind TensorFlow's initializers.

Fans follow Keras: [..., in, out], the axes before are the receptive field. A truncated normal is cut at two standard
deviations and redrawn; VarianceScaling divides its stddev by .87962566, the standard deviation of that cut normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

CUT_STDDEV = 0.87962566103423978


def sizes(shape: Any) -> list[int]:
    """A shape as a list of numbers, from a list, a torch.Size, a tensor or one number."""
    if isinstance(shape, torch.Tensor):
        shape = shape.tolist()
    return [int(n) for n in shape] if isinstance(shape, Sequence) else [int(shape)]


def fans(shape: Sequence[int], input_axes: Any = None, output_axes: Any = None) -> tuple[float, float]:
    """Units that enter and that leave one unit of a kernel of this shape; Keras lets the axes be named."""
    if input_axes is not None and output_axes is not None:
        return float(math.prod(shape[a] for a in input_axes)), float(math.prod(shape[a] for a in output_axes))
    if len(shape) < 1:
        return 1.0, 1.0
    if len(shape) == 1:
        return float(shape[0]), float(shape[0])
    field = math.prod(shape[:-2])
    return float(shape[-2] * field), float(shape[-1] * field)


def generator(seed: Any) -> torch.Generator | None:
    """A generator of its own for a seed, the global one for None. The numbers are not TensorFlow's."""
    if seed is None:
        return None
    made = torch.Generator()
    made.manual_seed(int(seed) if isinstance(seed, int) else hash(seed) % 2**63)
    return made


def draw(kind: str, shape: Any, dtype: torch.dtype, seed: Any, low: float, high: float) -> torch.Tensor:
    """``uniform`` in [low, high); ``normal`` and ``truncated`` with mean ``low`` and standard deviation ``high``."""
    wanted, random = sizes(shape), generator(seed)
    wide = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    result = torch.empty(wanted, dtype=wide)
    if kind == "uniform" and not dtype.is_floating_point:
        return torch.randint(int(low), int(high), wanted, dtype=dtype, generator=random)
    if kind == "uniform":
        result.uniform_(low, high, generator=random)
    elif kind == "normal":
        result.normal_(low, high, generator=random)
    else:
        torch.nn.init.trunc_normal_(result, low, high, low - 2 * high, low + 2 * high, generator=random)
    return result.to(dtype)


def variance_scaling(shape: Any, dtype: torch.dtype, seed: Any, scale: float, mode: str,
                     distribution: str, input_axes: Any = None, output_axes: Any = None) -> torch.Tensor:  # fmt: skip
    """Variance ``scale / fan``: uniform in +-sqrt(3 * variance), normal, or normal cut at two deviations."""
    into, out = fans(sizes(shape), input_axes, output_axes)
    fan = {"fan_in": into, "fan_out": out, "fan_avg": (into + out) / 2}[mode.lower()]
    variance = scale / max(1.0, fan)
    if distribution == "uniform":
        limit = math.sqrt(3.0 * variance)
        return draw("uniform", shape, dtype, seed, -limit, limit)
    if distribution == "untruncated_normal":
        return draw("normal", shape, dtype, seed, 0.0, math.sqrt(variance))
    return draw("truncated", shape, dtype, seed, 0.0, math.sqrt(variance) / CUT_STDDEV)


def orthogonal(shape: Any, dtype: torch.dtype, seed: Any, gain: float) -> torch.Tensor:
    """Orthonormal rows or columns of the matrix [everything else, last axis], times ``gain``."""
    wanted = sizes(shape)
    if len(wanted) < 2:
        raise ValueError(f"an orthogonal initializer needs at least two axes, got shape {wanted}")
    rows, columns = math.prod(wanted[:-1]), wanted[-1]
    flat = torch.empty(max(rows, columns), min(rows, columns)).normal_(generator=generator(seed))
    q, r = torch.linalg.qr(flat)
    q = q * torch.sign(torch.diagonal(r))
    return (gain * (q if rows >= columns else q.T)).reshape(wanted).to(dtype)
