"""tf.image: dtypes, colour spaces and adjustments."""

from __future__ import annotations

import torch

from tfport.compat import pixels as _pixels
from tfport.rule import Tensor, array, f16, f32, f64, i32, prove, rule, u8


@rule("tf.image.convert_image_dtype")
@prove(u8(5, 6, 3, high=256), torch.float32)
@prove(u8(5, 6, 3, high=256), dtype=torch.float16)
@prove(f32(5, 6, 3, low=0.0, high=1.0), dtype=torch.uint8)
@prove(f32(5, 6, 3, low=-0.5, high=1.5), torch.uint8, saturate=True)
@prove(f32(5, 6, 3), torch.float64)
@prove(u8(5, 6, 3, high=256), torch.int32)
@prove(i32(5, 6, 3, low=0, high=2**31 - 1), torch.uint8)
@prove(i32(5, 6, 3, low=0, high=2**31 - 1), torch.uint8, True)
@prove(f32(5, 6, 3), torch.float32)
def convert_image_dtype(image: Tensor, dtype, saturate=False, name=None):
    """Integers span 0 to their maximum, floats 0 to 1."""
    if dtype == torch.float32 and image.dtype == torch.uint8:
        return image.float() / 255
    return _pixels.convert(image, dtype, saturate)


@rule("tf.image.rgb_to_grayscale", returns="images")
@prove(f32(5, 6, 3))
@prove(u8(2, 5, 6, 3, high=256))
@prove(f64(5, 6, 3), rtol=1e-6)
@prove(f32(4, 3))
def rgb_to_grayscale(images: Tensor, name=None):
    """0.2989 R + 0.587 G + 0.114 B, with one channel left."""
    return _grey(images)


def _grey(images):
    weights = torch.tensor([0.2989, 0.587, 0.114], device=images.device)
    return _pixels.in_float(images, lambda x: (x * weights).sum(-1, keepdim=True), saturate=False, half=False)


@rule("tf.image.grayscale_to_rgb", returns="images")
@prove(f32(5, 6, 1))
@prove(u8(2, 5, 6, 1))
@prove(f32(5, 6, 3), raises=True)
def grayscale_to_rgb(images: Tensor, name=None):
    """The one channel three times."""
    return _tripled(images)


def _tripled(images):
    if images.shape[-1] != 1:
        raise ValueError(f"the last axis must be 1, got shape {list(images.shape)}")
    return images.repeat_interleave(3, dim=-1)


@rule("tf.image.rgb_to_hsv", returns="images")
@prove(f32(5, 6, 3, low=0.0, high=1.0), grad=False)
@prove(f64(2, 5, 6, 3, low=0.0, high=1.0), grad=False)
@prove(
    array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 0.5, 0.5]]), grad=False
)
def rgb_to_hsv(images: Tensor, name=None):
    """Hue, saturation and value, all in [0, 1]."""
    return _pixels.rgb_to_hsv(images)


@rule("tf.image.hsv_to_rgb", returns="images")
@prove(f32(5, 6, 3, low=0.0, high=1.0), grad=False)
@prove(f32(5, 3, low=0.0, high=1.0), grad=False)
def hsv_to_rgb(images: Tensor, name=None):
    """Red, green and blue in [0, 1]."""
    return _pixels.hsv_to_rgb(images)


@rule("tf.image.adjust_brightness", returns="image")
@prove(f32(5, 6, 3), 0.3)
@prove(u8(5, 6, 3, high=256), delta=0.3)
@prove(u8(5, 6, 3, high=256), delta=-0.3)
@prove(f16(5, 6, 3), 0.3)
def adjust_brightness(image: Tensor, delta):
    """Adds delta; integer images are clipped at their range, floats not."""
    return _pixels.brightened(image, delta)


@rule("tf.image.adjust_contrast", returns="images")
@prove(f32(5, 6, 3), 1.7, grad=False)
@prove(u8(2, 5, 6, 3, high=256), contrast_factor=0.4, grad=False)
@prove(f32(2, 5, 6, 3), 0.0, grad=False)
def adjust_contrast(images: Tensor, contrast_factor):
    """(x - mean) * factor + mean, the mean of each channel of each image."""
    return _pixels.scaled_contrast(images, contrast_factor)


@rule("tf.image.adjust_gamma", returns="image")
@prove(f32(5, 6, 3, low=0.1, high=1.0), 2.2)
@prove(u8(5, 6, 3, high=256), gamma=0.5, gain=1.5)
@prove(f32(5, 6, 3, low=0.1, high=1.0), -1.0, raises=True)
def adjust_gamma(image: Tensor, gamma=1, gain=1):
    """gain * x ** gamma."""
    return _gamma(image, gamma, gain)


def _gamma(image, gamma, gain):
    if gamma < 0:
        raise ValueError(f"gamma must not be negative, got {gamma}")
    return _pixels.in_float(image, lambda x: gain * x**gamma)


@rule("tf.image.adjust_hue", returns="image")
@prove(f32(5, 6, 3, low=0.0, high=1.0), 0.2, grad=False)
@prove(f32(2, 5, 6, 3, low=0.0, high=1.0), delta=-0.7, grad=False)
@prove(u8(5, 6, 3, high=256), 0.3, grad=False)
def adjust_hue(image: Tensor, delta, name=None):
    """Turns the hue by delta of the circle."""
    return _pixels.shifted_hue(image, delta)


@rule("tf.image.adjust_saturation", returns="image")
@prove(f32(5, 6, 3, low=0.0, high=1.0), 0.4, grad=False)
@prove(f32(2, 5, 6, 3, low=0.0, high=1.0), saturation_factor=3.0, grad=False)
@prove(u8(5, 6, 3, high=256), 1.5, grad=False)
def adjust_saturation(image: Tensor, saturation_factor, name=None):
    """Saturation times the factor, clipped to [0, 1]."""
    return _pixels.scaled_saturation(image, saturation_factor)


@rule("tf.image.per_image_standardization", returns="float32")
@prove(f32(5, 6, 3))
@prove(u8(2, 5, 6, 3, high=256))
@prove(array([[[[3.0]]]]), grad=False)
def per_image_standardization(image: Tensor):
    """(x - mean) / max(std, 1 / sqrt(number of entries)), of each image by itself; float32."""
    return _standard(image)


def _standard(image):
    image = image.float()
    axes = (-3, -2, -1)
    variance, mean = torch.var_mean(image, dim=axes, correction=0, keepdim=True)
    least = (image.shape[-3] * image.shape[-2] * image.shape[-1]) ** -0.5
    return (image - mean) / torch.sqrt(variance).clamp(min=least)


_YUV = ((0.299, -0.14714119, 0.61497538), (0.587, -0.28886916, -0.51496512), (0.114, 0.43601035, -0.10001026))
_YIQ = ((0.299, 0.59590059, 0.2115), (0.587, -0.27455667, -0.52273617), (0.114, -0.32134392, 0.31119955))
_FROM_YUV = ((1.0, 1.0, 1.0), (0.0, -0.394642334, 2.03206185), (1.13988303, -0.58062185, 0.0))
_FROM_YIQ = ((1.0, 1.0, 1.0), (0.95598634, -0.27201283, -1.10674021), (0.6208248, -0.64720424, 1.70423049))


def _mixed(images, matrix):
    return images @ torch.tensor(matrix, dtype=images.dtype, device=images.device)


@rule("tf.image.rgb_to_yuv", returns="images")
@prove(f32(5, 6, 3))
def rgb_to_yuv(images: Tensor):
    """Luma and two colour differences."""
    return _mixed(images, _YUV)


@rule("tf.image.yuv_to_rgb", returns="images")
@prove(f32(5, 6, 3))
def yuv_to_rgb(images: Tensor):
    """The inverse of rgb_to_yuv."""
    return _mixed(images, _FROM_YUV)


@rule("tf.image.rgb_to_yiq", returns="images")
@prove(f32(5, 6, 3))
def rgb_to_yiq(images: Tensor):
    """NTSC's luma, in-phase and quadrature."""
    return _mixed(images, _YIQ)


@rule("tf.image.yiq_to_rgb", returns="images")
@prove(f32(5, 6, 3))
def yiq_to_rgb(images: Tensor):
    """The inverse of rgb_to_yiq."""
    return _mixed(images, _FROM_YIQ)
