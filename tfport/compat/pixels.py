"""Pixel arithmetic of tf.image: dtypes with their ranges, and colour spaces on the last axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def top(dtype: torch.dtype) -> int:
    """The greatest number of an integer dtype: white."""
    return int(torch.iinfo(dtype).max)


def saturated(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Cast with what lies outside clipped to the range."""
    if dtype.is_floating_point:
        return x.to(dtype)
    low, high = int(torch.iinfo(dtype).min), top(dtype)
    if x.is_floating_point():
        wide = x.double().clamp(low, high)
        return wide.to(dtype)
    inside = torch.iinfo(x.dtype)
    return x.clamp(max(low, int(inside.min)), min(high, int(inside.max))).to(dtype)


def convert(image: torch.Tensor, dtype: torch.dtype, saturate: bool = False) -> torch.Tensor:
    """``tf.image.convert_image_dtype``: integers span 0 to their maximum, floats 0 to 1.

    To integers it multiplies by max + 0.5 and truncates; between integers it multiplies or floor-divides.
    """
    if dtype == image.dtype:
        return image
    floats = image.is_floating_point(), dtype.is_floating_point
    if floats == (False, False):
        white_in, white_out = top(image.dtype), top(dtype)
        if white_in > white_out:
            scaled = torch.div(image, (white_in + 1) // (white_out + 1), rounding_mode="floor")
            return saturated(scaled, dtype) if saturate else scaled.to(dtype)
        cast = saturated(image, dtype) if saturate else image.to(dtype)
        return cast * ((white_out + 1) // (white_in + 1))
    if floats == (True, True):
        return image.to(dtype)
    if floats == (False, True):
        return image.to(dtype) * (1.0 / top(image.dtype))
    scaled = image * (top(dtype) + 0.5)
    return saturated(scaled, dtype) if saturate else scaled.to(dtype)


def in_float(image: torch.Tensor, change: Callable[[torch.Tensor], torch.Tensor], *, saturate: bool = True,
             half: bool = True) -> torch.Tensor:  # fmt: skip
    """Apply ``change`` to the image as float32 (float16 stays where ``half``), and come back to its dtype."""
    kept = (torch.float32, torch.float16) if half else (torch.float32,)
    floating = image if image.dtype in kept else convert(image, torch.float32)
    return convert(change(floating), image.dtype, saturate)


def rgb_to_hsv(rgb: torch.Tensor) -> torch.Tensor:
    """Hue in [0, 1), saturation and value; grey has hue 0."""
    red, green, blue = rgb.unbind(-1)
    value, least = torch.amax(rgb, -1), torch.amin(rgb, -1)
    span = value - least
    some, bright = span > 0, value > 0
    divisor = 6.0 * torch.where(some, span, torch.ones_like(span))
    hue = torch.where(
        red == value, (green - blue) / divisor,
        torch.where(green == value, (blue - red) / divisor + 2.0 / 6.0, (red - green) / divisor + 4.0 / 6.0),
    )  # fmt: skip
    hue = torch.where(some, hue, torch.zeros_like(hue))
    hue = torch.where(hue < 0, hue + 1.0, hue)
    saturation = torch.where(
        bright, span / torch.where(bright, value, torch.ones_like(value)), torch.zeros_like(value)
    )
    return torch.stack([hue, saturation, value], -1)


def hsv_to_rgb(hsv: torch.Tensor) -> torch.Tensor:
    """The inverse of rgb_to_hsv."""
    hue, saturation, value = hsv.unbind(-1)
    sixth = hue * 6.0
    red = ((sixth - 3.0).abs() - 1.0).clamp(0.0, 1.0)
    green = (2.0 - (sixth - 2.0).abs()).clamp(0.0, 1.0)
    blue = (2.0 - (sixth - 4.0).abs()).clamp(0.0, 1.0)
    tint = torch.stack([red, green, blue], -1)
    return ((1.0 - saturation).unsqueeze(-1) + saturation.unsqueeze(-1) * tint) * value.unsqueeze(-1)


def shifted_hue(image: torch.Tensor, delta: Any) -> torch.Tensor:
    """Hue turned by a fraction of the circle."""

    def turn(rgb: torch.Tensor) -> torch.Tensor:
        hue, saturation, value = rgb_to_hsv(rgb.float()).unbind(-1)
        return hsv_to_rgb(torch.stack([torch.remainder(hue + delta, 1.0), saturation, value], -1)).to(
            rgb.dtype
        )

    return in_float(image, turn)


def scaled_saturation(image: torch.Tensor, factor: Any) -> torch.Tensor:
    """Saturation times a factor, clipped to [0, 1]."""

    def scale(rgb: torch.Tensor) -> torch.Tensor:
        hue, saturation, value = rgb_to_hsv(rgb.float()).unbind(-1)
        return hsv_to_rgb(torch.stack([hue, (saturation * factor).clamp(0.0, 1.0), value], -1)).to(rgb.dtype)

    return in_float(image, scale)


def scaled_contrast(image: torch.Tensor, factor: Any) -> torch.Tensor:
    """Each channel's distance from its mean times a factor."""

    def scale(x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        mean = wide.mean((-3, -2), keepdim=True)
        return ((wide - mean) * factor + mean).to(x.dtype)

    return in_float(image, scale)


def brightened(image: torch.Tensor, delta: Any) -> torch.Tensor:
    """delta added; for integer images delta is a share of the range."""
    return in_float(image, lambda x: x + delta)
