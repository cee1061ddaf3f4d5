"""Resizing images as TensorFlow does, one axis at a time: which inputs make an output, and with what weights.

Coordinates are computed in float32, as the kernels do. Three ways to place output cell i: half pixel centres
((i + .5) * scale - .5, TensorFlow 2), aligned corners (i * (n - 1) / (m - 1)) and legacy (i * scale, TensorFlow 1's
default). Bicubic takes its weights from a table of 1024 steps, with a = -0.5 for half pixels and -0.75 else.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

TABLE = 1024
METHODS = {0: "bilinear", 1: "nearest", 2: "bicubic", 3: "area"}


def scale_of(size: int, wanted: int, corners: bool) -> np.float32:
    """Input cells per output cell."""
    if corners and wanted > 1:
        return np.float32(size - 1) / np.float32(wanted - 1)
    return np.float32(size) / np.float32(wanted)


def places(size: int, wanted: int, corners: bool, half: bool) -> np.ndarray:
    """Where each output cell falls among the input cells."""
    scale, cells = scale_of(size, wanted, corners), np.arange(wanted, dtype=np.float32)
    if half:
        return (cells + np.float32(0.5)) * scale - np.float32(0.5)
    return cells * scale


def nearest(size: int, wanted: int, corners: bool, half: bool) -> np.ndarray:
    """The one input cell of each output cell."""
    scale, cells = scale_of(size, wanted, corners), np.arange(wanted, dtype=np.float32)
    at = (cells + np.float32(0.5)) * scale if half else cells * scale
    at = np.floor(at + np.float32(0.5)) if corners else np.floor(at)  # C's roundf on numbers from 0 up
    return np.clip(at.astype(np.int64), 0, size - 1)


def _blank(size: int, wanted: int) -> np.ndarray:
    return np.zeros((wanted, size), np.float32)


def bilinear(size: int, wanted: int, corners: bool, half: bool) -> np.ndarray:
    """Weights [wanted, size] of linear interpolation, edge cells repeated."""
    at = places(size, wanted, corners, half)
    low = np.floor(at)
    part = at - low
    below = np.maximum(low.astype(np.int64), 0)
    above = np.minimum(np.ceil(at).astype(np.int64), size - 1).clip(0)
    weights, rows = _blank(size, wanted), np.arange(wanted)
    np.add.at(weights, (rows, below.clip(0, size - 1)), 1 - part)
    np.add.at(weights, (rows, above), part)
    return weights


@functools.cache
def _cubic_table(a: float) -> np.ndarray:
    x = (np.arange(TABLE + 1) / TABLE).astype(np.float32).astype(np.float64)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    y = x + 1
    outer = ((a * y - 5 * a) * y + 8 * a) * y - 4 * a
    return np.stack([inner, outer]).astype(np.float32)


def bicubic(size: int, wanted: int, corners: bool, half: bool) -> np.ndarray:
    """Weights of cubic convolution. Half pixels: cells outside get none and the rest is normalised; else edges repeat."""
    table = _cubic_table(-0.5 if half else -0.75)
    at = places(size, wanted, corners, half)
    low = np.floor(at).astype(np.int64)
    step = np.rint((at - low.astype(np.float32)) * np.float32(TABLE)).astype(np.int64)
    taps = np.stack([low - 1, low, low + 1, low + 2])
    parts = np.stack([table[1][step], table[0][step], table[0][TABLE - step], table[1][TABLE - step]])
    inside = (taps >= 0) & (taps < size)
    if half:
        parts = parts * inside
        total = parts.sum(0)
        parts = np.where(np.abs(total) > 1e-30, parts / np.where(total == 0, 1, total), parts)
    weights = _blank(size, wanted)
    for tap, part in zip(taps, parts, strict=True):
        np.add.at(weights, (np.arange(wanted), tap.clip(0, size - 1)), part)
    return weights


def area(size: int, wanted: int, corners: bool, half: bool) -> np.ndarray:
    """Weights by how much of each input cell an output cell covers."""
    scale = scale_of(size, wanted, corners)
    weights = _blank(size, wanted)
    for row in range(wanted):
        start, stop = np.float32(row) * scale, np.float32(row + 1) * scale
        for cell in range(math.floor(start), math.ceil(stop)):
            covered = min(cell + 1, stop) - max(cell, start)
            weights[row, min(cell, size - 1)] += np.float32(covered / scale)
    return weights


def _lanczos(radius: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(x <= radius, np.sinc(x) * np.sinc(x / radius), 0.0)


def _gaussian(x: np.ndarray) -> np.ndarray:
    return np.where(x < 1.5, np.exp(-(x**2) / (2 * 0.5**2)), 0.0)


def _cubic(x: np.ndarray) -> np.ndarray:
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x >= 2, 0.0, np.where(x >= 1, far, ((1.5 * x - 2.5) * x) * x + 1.0))


def _mitchell(x: np.ndarray) -> np.ndarray:
    far = ((-7.0 / 18.0 * x + 2.0) * x - 10.0 / 3.0) * x + 16.0 / 9.0
    return np.where(x >= 2, 0.0, np.where(x >= 1, far, ((7.0 / 6.0 * x - 2.0) * x) * x + 8.0 / 9.0))


KERNELS: dict[str, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    "bilinear": (1.0, lambda x: np.maximum(1.0 - x, 0.0)), "bicubic": (2.0, _cubic),
    "lanczos3": (3.0, _lanczos(3.0)), "lanczos5": (5.0, _lanczos(5.0)), "gaussian": (1.5, _gaussian),
    "mitchellcubic": (2.0, _mitchell),
}  # fmt: skip


def spread(size: int, wanted: int, method: str, antialias: bool) -> np.ndarray:
    """Weights of a kernel, widened by the scale where ``antialias`` and the image shrinks, normalised."""
    radius, kernel = KERNELS[method]
    scale = size / wanted
    width = max(scale, 1.0) if antialias else 1.0
    centres = (np.arange(wanted) + 0.5) * scale
    distance = np.abs(np.arange(size)[None] + 0.5 - centres[:, None]) / width
    weights = np.where(distance <= radius, kernel(distance), 0.0)
    total = weights.sum(1, keepdims=True)
    return (weights / np.where(np.abs(total) < 1e-30, 1.0, total)).astype(np.float32)


EXACT = {"bilinear": bilinear, "bicubic": bicubic, "area": area}


def along(x: torch.Tensor, axis: int, weights: np.ndarray) -> torch.Tensor:
    """Apply weights [wanted, size] along an axis: by few taps where each row has few, else as a matrix."""
    taps = int((weights != 0).sum(1).max()) if weights.size else 0
    if 0 < taps <= 4:
        order = np.argsort(weights == 0, axis=1, kind="stable")[:, :taps]
        parts = np.take_along_axis(weights, order, 1)
        shape = [-1 if a == axis % x.ndim else 1 for a in range(x.ndim)]
        total: torch.Tensor | None = None
        for tap in range(taps):
            picked = x.index_select(axis, torch.as_tensor(order[:, tap].copy(), device=x.device))
            part = picked * torch.as_tensor(parts[:, tap].copy(), device=x.device).reshape(shape)
            total = part if total is None else total + part
        assert total is not None  # there is a tap
        return total
    matrix = torch.as_tensor(weights, device=x.device)
    return (x.movedim(axis, -1) @ matrix.T).movedim(-1, axis)


def resize(images: torch.Tensor, height: int, width: int, method: str, corners: bool = False, half: bool = True,
           antialias: bool = False) -> torch.Tensor:  # fmt: skip
    """Images [..., height, width, channels] at another size; float32 but for "nearest", which keeps the dtype."""
    if method == "nearest":
        for axis, wanted in ((-3, height), (-2, width)):
            cells = nearest(images.shape[axis], wanted, corners, half)
            images = images.index_select(images.ndim + axis, torch.as_tensor(cells, device=images.device))
        return images
    result = images.float()
    for axis, wanted in ((-3, height), (-2, width)):
        size = images.shape[axis]
        smooth = method not in EXACT or (antialias and method != "area")
        weights = (
            spread(size, wanted, method, antialias) if smooth else EXACT[method](size, wanted, corners, half)
        )
        result = along(result, result.ndim + axis, weights)
    return result


def method_name(method: Any) -> str:
    """A resize method by TensorFlow 2's word or TensorFlow 1's number."""
    name = METHODS.get(method, str(getattr(method, "value", method)).lower())
    if name != "nearest" and name not in EXACT and name not in KERNELS:
        raise ValueError(f"resize method {method!r} is none of nearest, area, {', '.join(KERNELS)}")
    return name


def to_size(images: torch.Tensor, size: Any, keep_ratio: bool, method: Any, corners: bool, half: bool,
            antialias: bool) -> torch.Tensor:  # fmt: skip
    """``tf.image.resize`` after its arguments: images of rank 3 or 4.

    An unchanged size returns them as they are: TensorFlow 1 with their dtype, TensorFlow 2 as float32.
    """
    if images.ndim not in (3, 4):
        raise ValueError(f"images must have 3 or 4 axes, got shape {list(images.shape)}")
    numbers = [int(n) for n in (size.tolist() if isinstance(size, torch.Tensor | np.ndarray) else size)]
    if len(numbers) != 2:
        raise ValueError(f"size must be (height, width), got {size!r}")
    height, width = numbers
    now = images.shape[-3], images.shape[-2]
    if keep_ratio:
        ratio = min(np.float32(height / now[0]), np.float32(width / now[1]))
        height, width = (max(int(np.rint(np.float32(ratio) * np.float32(n))), 1) for n in now)
    if (height, width) == now:
        return images if not half or method_name(method) == "nearest" else images.float()
    return resize(images, height, width, method_name(method), corners, half, antialias)
