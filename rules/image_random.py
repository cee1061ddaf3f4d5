"""tf.image.random_*: torch's own random numbers; a seed gives repeatable draws of one call, not TensorFlow's."""

from __future__ import annotations

import torch

from tfport.compat import pixels as _pixels
from tfport.compat.initial import generator as _generator
from tfport.rule import Tensor, f32, prove, rule, u8


def _between(low, high, seed):
    return float(torch.empty(()).uniform_(low, high, generator=_generator(seed)))


def _bounds(lower, upper):
    if upper <= lower or lower < 0:
        raise ValueError(f"0 <= lower < upper must hold, got {lower}, {upper}")


def _flipped(image, axis, seed):
    shape = (image.shape[0], 1, 1, 1) if image.ndim == 4 else ()
    heads = torch.rand(shape, generator=_generator(seed)).to(image.device) < 0.5
    return torch.where(heads, torch.flip(image, dims=(axis,)), image)


@rule("tf.image.random_flip_left_right", returns="image", pure=False)
@prove(f32(200, 5, 6, 3), random=True)
@prove(f32(5, 6, 3), seed=3, random=True)
def random_flip_left_right(image: Tensor, seed=None):
    """Each image mirrored with probability one half."""
    return _flipped(image, -2, seed)


@rule("tf.image.random_flip_up_down", returns="image", pure=False)
@prove(f32(200, 5, 6, 3), random=True)
@prove(u8(5, 6, 3), seed=3, random=True)
def random_flip_up_down(image: Tensor, seed=None):
    """Each image turned upside down with probability one half."""
    return _flipped(image, -3, seed)


@rule("tf.image.random_brightness", returns="image", pure=False)
@prove(f32(5, 6, 1), max_delta=0.001, random=True)
@prove(f32(5, 6, 3), 0.0)
@prove(f32(5, 6, 3), -0.1, raises=True)
def random_brightness(image: Tensor, max_delta, seed=None):
    """Brightness changed by up to max_delta either way."""
    return _brightness(image, max_delta, seed)


def _brightness(image, most, seed):
    if most < 0:
        raise ValueError(f"max_delta must not be negative, got {most}")
    return _pixels.brightened(image, _between(-most, most, seed))


@rule("tf.image.random_contrast", returns="image", pure=False)
@prove(f32(9, 6, 3), lower=0.999, upper=1.001, random=True)
@prove(f32(5, 6, 3), 1.5, 1.0, raises=True)
def random_contrast(image: Tensor, lower, upper, seed=None):
    """Contrast changed by a factor in [lower, upper)."""
    return _contrast(image, lower, upper, seed)


def _contrast(image, lower, upper, seed):
    _bounds(lower, upper)
    return _pixels.scaled_contrast(image, _between(lower, upper, seed))


@rule("tf.image.random_saturation", returns="image", pure=False)
@prove(f32(9, 6, 3, low=0.0, high=1.0), lower=0.999, upper=1.001, random=True)
@prove(f32(5, 6, 3), -0.5, 1.0, raises=True)
def random_saturation(image: Tensor, lower, upper, seed=None):
    """Saturation changed by a factor in [lower, upper)."""
    return _saturation(image, lower, upper, seed)


def _saturation(image, lower, upper, seed):
    _bounds(lower, upper)
    return _pixels.scaled_saturation(image, _between(lower, upper, seed))


@rule("tf.image.random_hue", returns="image", pure=False)
@prove(f32(9, 6, 3, low=0.0, high=1.0), max_delta=0.001, random=True)
@prove(f32(5, 6, 3), 0.6, raises=True)
def random_hue(image: Tensor, max_delta, seed=None):
    """Hue turned by up to max_delta of the circle either way."""
    return _hue(image, max_delta, seed)


def _hue(image, most, seed):
    if not 0 <= most <= 0.5:
        raise ValueError(f"max_delta must be in [0, 0.5], got {most}")
    return _pixels.shifted_hue(image, _between(-most, most, seed))


@rule("tf.image.random_crop", "tf.random_crop", returns="value", pure=False)
@prove(f32(50, 60, 3), [40, 40, 3], random=True)
@prove(f32(9), size=[4], seed=2, random=True)
@prove(f32(5, 6, 3), [6, 6, 3], raises=True)
def random_crop(value: Tensor, size, seed=None, name=None):
    """A window of this size at a random place; size has an entry for every axis."""
    return _window(value, size, seed)


def _window(value, size, seed):
    size = [int(n) for n in (size.tolist() if isinstance(size, torch.Tensor) else size)]
    if len(size) != value.ndim or any(n > have for n, have in zip(size, value.shape, strict=True)):
        raise ValueError(f"a window of {size} does not fit a value of shape {list(value.shape)}")
    random = _generator(seed)
    for axis, (wanted, have) in enumerate(zip(size, value.shape, strict=True)):
        start = int(torch.randint(have - wanted + 1, (), generator=random))
        value = value.narrow(axis, start, wanted)
    return value
