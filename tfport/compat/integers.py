"""Shapes, axes and counts in any form that TensorFlow takes: numbers, lists, arrays, tensors, or a mixture."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def ints(value: Any) -> list[int]:
    """A shape or a list of axes as Python ints; a single number is a list of one."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return [int(v) for v in value.reshape(-1).tolist()]
    if isinstance(value, list | tuple):
        return [i for v in value for i in ints(v)]
    return [int(value)]


def pairs(value: Any) -> list[tuple[int, int]]:
    """Paddings or crops, [n, 2], as pairs of Python ints."""
    flat = ints(value)
    return list(zip(flat[::2], flat[1::2], strict=True))
