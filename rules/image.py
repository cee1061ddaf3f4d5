"""tf.image: flips, turns, crops, padding and patches. Images are [..., height, width, channels]."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.compat import windows as _windows
from tfport.rule import Tensor, f32, i32, prove, rule, u8


@rule("tf.image.flip_left_right", returns="image")
@prove(f32(5, 6, 3))
@prove(u8(2, 5, 6, 3))
@prove(f32(0, 5, 6, 3))
def flip_left_right(image: Tensor):
    """Mirrors the width axis."""
    return torch.flip(image, dims=(-2,))


@rule("tf.image.flip_up_down", returns="image")
@prove(f32(5, 6, 3))
@prove(u8(2, 5, 6, 3))
def flip_up_down(image: Tensor):
    """Mirrors the height axis."""
    return torch.flip(image, dims=(-3,))


@rule("tf.image.transpose", "tf.image.transpose_image", returns="image")
@prove(f32(5, 6, 3))
@prove(u8(2, 5, 6, 3))
def transpose(image: Tensor, name=None):
    """Swaps height and width."""
    return image.transpose(-3, -2)


@rule("tf.image.rot90", returns="image")
@prove(f32(5, 6, 3))
@prove(u8(2, 5, 6, 3), k=2)
@prove(f32(5, 6, 3), 3)
@prove(f32(5, 6, 3), k=-1)
@prove(f32(5, 6, 3), k=4)
def rot90(image: Tensor, k=1, name=None):
    """Turns k times by 90 degrees, counter-clockwise."""
    return torch.rot90(image, k, dims=(-3, -2))


@rule("tf.image.crop_to_bounding_box", returns="image")
@prove(f32(5, 6, 3), 1, 2, 3, 3)
@prove(u8(2, 5, 6, 3), offset_height=0, offset_width=0, target_height=5, target_width=6)
@prove(f32(5, 6, 3), 3, 2, 3, 3, raises=True)
@prove(f32(5, 6, 3), -1, 2, 3, 3, raises=True)
def crop_to_bounding_box(image: Tensor, offset_height, offset_width, target_height, target_width):
    """The window of this size at this place; it must lie inside."""
    if (
        isinstance(offset_height, int)
        and offset_height >= 0
        and isinstance(offset_width, int)
        and offset_width >= 0
    ):
        return image.narrow(-3, offset_height, target_height).narrow(-2, offset_width, target_width)
    return _crop(image, offset_height, offset_width, target_height, target_width)


def _crop(image, top, left, height, width):
    top, left, height, width = (int(n) for n in (top, left, height, width))
    if top < 0 or left < 0:
        raise ValueError(f"offsets must not be negative, got {top}, {left}")
    return image.narrow(-3, top, height).narrow(-2, left, width)


@rule("tf.image.pad_to_bounding_box", returns="image")
@prove(f32(5, 6, 3), 1, 2, 8, 9)
@prove(u8(2, 5, 6, 3), offset_height=0, offset_width=0, target_height=5, target_width=6)
@prove(f32(5, 6, 3), 1, 2, 5, 9, raises=True)
@prove(f32(5, 6, 3), -1, 2, 9, 9, raises=True)
def pad_to_bounding_box(image: Tensor, offset_height, offset_width, target_height, target_width):
    """Zeros around the image, which stands at this place of the new size."""
    return _pad(image, offset_height, offset_width, target_height, target_width)


def _pad(image, top, left, height, width):
    top, left, height, width = (int(n) for n in (top, left, height, width))
    below, right = height - top - image.shape[-3], width - left - image.shape[-2]
    if min(top, left, below, right) < 0:
        raise ValueError(
            f"an image of {list(image.shape)} at ({top}, {left}) does not fit into {height} by {width}"
        )
    return F.pad(image, (0, 0, left, right, top, below))


@rule("tf.image.resize_with_crop_or_pad", "tf.image.resize_image_with_crop_or_pad", returns="image")
@prove(f32(5, 6, 3), 8, 4)
@prove(f32(5, 6, 3), 4, 9)
@prove(u8(2, 5, 6, 3), target_height=2, target_width=3)
@prove(f32(5, 6, 3), 5, 6)
@prove(f32(5, 6, 3), 0, 6, raises=True)
def resize_with_crop_or_pad(image: Tensor, target_height, target_width):
    """Cut or padded evenly about the centre, the odd cell after."""
    return _crop_or_pad(image, int(target_height), int(target_width))


def _crop_or_pad(image, height, width):
    if height <= 0 or width <= 0:
        raise ValueError(f"the size must be positive, got {height} by {width}")
    rows, columns = image.shape[-3], image.shape[-2]
    cut = _crop(
        image,
        max((rows - height) // 2, 0),
        max((columns - width) // 2, 0),
        min(height, rows),
        min(width, columns),
    )
    return _pad(cut, max((height - rows) // 2, 0), max((width - columns) // 2, 0), height, width)


@rule("tf.image.central_crop", returns="image")
@prove(f32(5, 6, 3), 0.5)
@prove(f32(2, 9, 10, 3), central_fraction=0.875)
@prove(u8(7, 7, 1), 0.3)
@prove(f32(5, 6, 3), 1.0)
@prove(f32(5, 6, 3), 0.0, raises=True)
def central_crop(image: Tensor, central_fraction):
    """The middle of the image, this share of each side."""
    return _central(image, float(central_fraction))


def _central(image, share):
    if not 0.0 < share <= 1.0:
        raise ValueError(f"central_fraction must be in (0, 1], got {share}")
    rows, columns = image.shape[-3], image.shape[-2]
    top, left = int((rows - rows * share) / 2), int((columns - columns * share) / 2)
    return _crop(image, top, left, rows - 2 * top, columns - 2 * left)


def _patches(images, sizes, strides, rates, padding):
    height, width = _windows.per_axis(sizes, 2, True, "sizes")
    step = _windows.per_axis(strides, 2, True, "strides")
    rate = _windows.per_axis(rates, 2, True, "rates")
    planes = images.permute(0, 3, 1, 2)
    planes = _windows.pad(
        planes, _windows.paddings(padding, planes.shape[2:], (height, width), step, rate, True)
    )
    reach = [planes.shape[2] - (height - 1) * rate[0], planes.shape[3] - (width - 1) * rate[1]]
    cells = [
        planes[
            :,
            :,
            y * rate[0] : y * rate[0] + reach[0] : step[0],
            x * rate[1] : x * rate[1] + reach[1] : step[1],
        ]
        for y in range(height)
        for x in range(width)
    ]
    return torch.cat([cell.permute(0, 2, 3, 1) for cell in cells], dim=-1)


@rule("tf.image.extract_patches", returns="images")
@prove(f32(2, 7, 8, 3), [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID")
@prove(f32(2, 7, 8, 3), sizes=[1, 3, 2, 1], strides=[1, 2, 3, 1], rates=[1, 2, 1, 1], padding="SAME")
@prove(i32(1, 6, 6, 1), sizes=[1, 2, 2, 1], strides=[1, 4, 4, 1], rates=[1, 1, 1, 1], padding="SAME")
def extract_patches(images: Tensor, sizes, strides, rates, padding, name=None):
    """Each window laid out as (row, column, channel) on the last axis; torch's unfold has the channel first."""
    return _patches(images, sizes, strides, rates, padding)


@rule("tf.compat.v1.image.extract_image_patches", "tf.extract_image_patches", "tf.image.extract_image_patches",
      renamed={"sizes": "ksizes"}, returns="images")  # fmt: skip
@prove(f32(2, 7, 8, 3), [1, 3, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID")
@prove(images=f32(2, 7, 8, 3), ksizes=[1, 3, 2, 1], strides=[1, 2, 3, 1], rates=[1, 2, 1, 1], padding="SAME")
def extract_image_patches(images: Tensor, ksizes=None, strides=None, rates=None, padding=None, name=None):
    """TensorFlow 1's name of extract_patches."""
    return _patches(images, ksizes, strides, rates, padding)
