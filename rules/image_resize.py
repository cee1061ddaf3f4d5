"""tf.image.resize of both versions, with each method exact, and cropping and resizing of boxes."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.compat import resizing as _resizing
from tfport.rule import Indices, Tensor, array, f16, f32, f64, prove, rule, u8

CONSTANTS = {
    "tf.image.ResizeMethod.BILINEAR": "bilinear",
    "tf.image.ResizeMethod.NEAREST_NEIGHBOR": "nearest",
    "tf.image.ResizeMethod.BICUBIC": "bicubic",
    "tf.image.ResizeMethod.AREA": "area",
    "tf.image.ResizeMethod.LANCZOS3": "lanczos3",
    "tf.image.ResizeMethod.LANCZOS5": "lanczos5",
    "tf.image.ResizeMethod.GAUSSIAN": "gaussian",
    "tf.image.ResizeMethod.MITCHELLCUBIC": "mitchellcubic",
}


@rule("tf.image.resize", version=2)
@prove(f32(2, 5, 6, 3), [10, 9])
@prove(f32(2, 5, 6, 3), (3, 4), "bilinear")
@prove(u8(5, 6, 3), size=[8, 3])
@prove(u8(5, 6, 3), size=[5, 6])
@prove(f32(2, 5, 6, 3), [10, 9], method="nearest")
@prove(u8(2, 7, 6, 3), [3, 4], method="nearest")
@prove(f32(2, 5, 6, 3), [11, 9], method="bicubic", rtol=1e-5)
@prove(f32(2, 9, 8, 3), [4, 3], method="bicubic")
@prove(f32(2, 9, 8, 3), [4, 3], method="area", grad=False)
@prove(f32(2, 4, 3, 3), [9, 7], method="area", grad=False)
@prove(f32(2, 9, 8, 3), [4, 3], method="lanczos3")
@prove(f32(2, 5, 6, 3), [11, 9], method="lanczos5")
@prove(f32(2, 9, 8, 3), [4, 13], method="gaussian")
@prove(f32(2, 9, 8, 3), [4, 13], method="mitchellcubic")
@prove(f32(2, 9, 8, 3), [4, 13], antialias=True)
@prove(f32(2, 9, 8, 3), [4, 5], method="bicubic", antialias=True)
@prove(f32(2, 9, 8, 3), [4, 5], method="nearest", antialias=True)
@prove(f32(2, 9, 8, 3), [6, 6], preserve_aspect_ratio=True)
@prove(f64(2, 5, 6, 3), [10, 9], grad=False)
@prove(f16(2, 5, 6, 3), [10, 9], grad=False)
@prove(f32(5, 6, 3), [1, 1])
@prove(f32(1, 1, 1, 3), [3, 2])
@prove(f32(6, 3), [1, 1], raises=True)
@prove(f32(5, 6, 3), [1, 1], method="wrong", raises=True)
def resize(images: Tensor, size, method="bilinear", preserve_aspect_ratio=False, antialias=False, name=None):
    """Half pixel centres. float32 comes out but for "nearest"."""
    return _resizing.to_size(images, size, preserve_aspect_ratio, method, False, True, antialias)


@rule("tf.compat.v1.image.resize", "tf.compat.v1.image.resize_images", "tf.image.resize_images", "tf.image.resize",
      version=1)  # fmt: skip
@prove(f32(2, 5, 6, 3), [10, 9])
@prove(f32(2, 5, 6, 3), (3, 4), 0, True)
@prove(f32(2, 5, 6, 3), [10, 9], method=1)
@prove(f32(2, 5, 6, 3), [10, 9], method=1, align_corners=True)
@prove(f32(2, 5, 6, 3), [11, 9], method=2)
@prove(f32(2, 5, 6, 3), [11, 9], method=2, align_corners=True)
@prove(f32(2, 9, 8, 3), [4, 3], method=3, grad=False)
@prove(f32(2, 9, 8, 3), [4, 3], method=3, align_corners=True, grad=False)
@prove(f32(2, 9, 8, 3), size=[6, 6], preserve_aspect_ratio=True)
@prove(u8(5, 6, 3), [8, 3])
@prove(u8(5, 6, 3), [5, 6])
def resize_images(
    images: Tensor, size, method=0, align_corners=False, preserve_aspect_ratio=False, name=None
):
    """TensorFlow 1 samples at i * scale, without half pixels: an image shifts by up to half a cell."""
    return _resizing.to_size(images, size, preserve_aspect_ratio, method, align_corners, False, False)


def _plain(images, size, method, corners, half):
    if images.ndim != 4:
        raise ValueError(f"images must have 4 axes, got shape {list(images.shape)}")
    height, width = (int(n) for n in (size.tolist() if isinstance(size, torch.Tensor) else size))
    if corners and half:
        raise ValueError("align_corners and half_pixel_centers exclude each other")
    return _resizing.resize(images, height, width, method, corners, half)


@rule("tf.compat.v1.image.resize_bilinear", "tf.image.resize_bilinear")
@prove(f32(2, 5, 6, 3), [10, 9])
@prove(f32(2, 9, 6, 3), [4, 9], True)
@prove(f32(2, 5, 6, 3), size=[10, 9], half_pixel_centers=True)
@prove(f32(2, 5, 6, 3), [5, 6])
def resize_bilinear(images: Tensor, size, align_corners=False, name=None, half_pixel_centers=False):
    """Linear interpolation, at i * scale unless told otherwise."""
    return _plain(images, size, "bilinear", align_corners, half_pixel_centers)


@rule("tf.compat.v1.image.resize_bicubic", "tf.image.resize_bicubic")
@prove(f32(2, 5, 6, 3), [10, 9])
@prove(f32(2, 9, 6, 3), [4, 9], align_corners=True)
@prove(f32(2, 5, 6, 3), [10, 9], half_pixel_centers=True)
def resize_bicubic(images: Tensor, size, align_corners=False, name=None, half_pixel_centers=False):
    """Cubic convolution with a = -0.75, with half pixels -0.5."""
    return _plain(images, size, "bicubic", align_corners, half_pixel_centers)


@rule("tf.compat.v1.image.resize_nearest_neighbor", "tf.image.resize_nearest_neighbor", returns="images")
@prove(f32(2, 5, 6, 3), [10, 9])
@prove(u8(2, 9, 6, 3), [4, 9], align_corners=True)
@prove(f32(2, 5, 6, 3), [8, 9], half_pixel_centers=True)
def resize_nearest_neighbor(images: Tensor, size, align_corners=False, name=None, half_pixel_centers=False):
    """The cell at floor(i * scale)."""
    return _plain(images, size, "nearest", align_corners, half_pixel_centers)


@rule("tf.compat.v1.image.resize_area", "tf.image.resize_area")
@prove(f32(2, 9, 6, 3), [4, 9], grad=False)
@prove(u8(2, 9, 6, 3), [3, 3], True, grad=False)
def resize_area(images: Tensor, size, align_corners=False, name=None):
    """The mean over what each output cell covers."""
    return _plain(images, size, "area", align_corners, False)


def _with_pad(image, height, width, method, corners, half, antialias):
    now = image.shape[-3], image.shape[-2]
    ratio = max(now[1] / width, now[0] / height)
    new = int(max(now[0] / ratio // 1, 0)), int(max(now[1] / ratio // 1, 0))
    before = max(int((height - now[0] / ratio) / 2), 0), max(int((width - now[1] / ratio) / 2), 0)
    resized = _resizing.to_size(image, new, False, method, corners, half, antialias)
    pads = (0, 0, before[1], width - before[1] - new[1], before[0], height - before[0] - new[0])
    return F.pad(resized, pads)


@rule("tf.image.resize_with_pad", version=2)
@prove(f32(2, 5, 8, 3), 10, 10)
@prove(f32(9, 4, 3), 6, 7)
@prove(f32(9, 4, 3), target_height=6, target_width=7, method="nearest")
def resize_with_pad(image: Tensor, target_height, target_width, method="bilinear", antialias=False):
    """Resized to fit inside, its ratio kept, and padded with zeros."""
    return _with_pad(image, target_height, target_width, method, False, True, antialias)


@rule("tf.compat.v1.image.resize_image_with_pad", "tf.image.resize_image_with_pad", version=1)
@prove(f32(2, 5, 8, 3), 10, 10)
@prove(f32(9, 4, 3), 6, 7, 1)
def resize_image_with_pad(image: Tensor, target_height, target_width, method=0, align_corners=False):
    """Resized to fit inside, its ratio kept, and padded with zeros."""
    return _with_pad(image, target_height, target_width, method, align_corners, False, False)


def _boxes(image, boxes, indices, crop_size, method, outside):
    height, width = (
        int(n) for n in (crop_size.tolist() if isinstance(crop_size, torch.Tensor) else crop_size)
    )
    rows, columns = image.shape[1], image.shape[2]

    def at(low, high, size, wanted):
        steps = torch.arange(wanted, device=boxes.device, dtype=boxes.dtype)
        if wanted > 1:
            return low[:, None] * (size - 1) + steps * ((high - low) * (size - 1) / (wanted - 1))[:, None]
        return (0.5 * (low + high) * (size - 1))[:, None]

    y, x = at(boxes[:, 0], boxes[:, 2], rows, height), at(boxes[:, 1], boxes[:, 3], columns, width)
    inside = ((y >= 0) & (y <= rows - 1))[:, :, None] & ((x >= 0) & (x <= columns - 1))[:, None, :]
    batch = indices.long()[:, None, None]

    def cell(row, column):
        row, column = row.long().clamp(0, rows - 1), column.long().clamp(0, columns - 1)
        return image[batch, row[:, :, None], column[:, None, :]].float()

    if method == "nearest":
        result = cell(torch.floor(y + 0.5), torch.floor(x + 0.5))
    else:
        top, left = torch.floor(y), torch.floor(x)
        down, right = (y - top)[:, :, None, None], (x - left)[:, None, :, None]
        upper = cell(top, left) + (cell(top, torch.ceil(x)) - cell(top, left)) * right
        lower = (
            cell(torch.ceil(y), left)
            + (cell(torch.ceil(y), torch.ceil(x)) - cell(torch.ceil(y), left)) * right
        )
        result = upper + (lower - upper) * down
    return torch.where(inside[..., None], result, torch.full_like(result, outside))


@rule("tf.image.crop_and_resize", renamed={"box_ind": "box_indices"}, returns="float32")
@prove(
    f32(2, 5, 6, 3),
    array([[0.0, 0.0, 1.0, 1.0], [0.1, 0.2, 0.7, 0.9]]),
    array([0, 1], "int32"),
    [4, 3],
    grad=False,
)
@prove(
    f32(2, 5, 6, 3),
    array([[-0.2, 0.0, 1.3, 1.0]]),
    array([1], "int32"),
    [4, 3],
    extrapolation_value=7.0,
    grad=False,
)
@prove(
    f32(2, 5, 6, 3), array([[0.9, 0.0, 0.1, 1.0]]), array([1], "int32"), [4, 1], method="nearest", grad=False
)
@prove(
    image=u8(1, 5, 6, 3),
    boxes=array([[0.2, 0.1, 0.8, 0.9]]),
    box_indices=array([0], "int32"),
    crop_size=[2, 2],
)
def crop_and_resize(image: Tensor, boxes: Tensor, box_indices: Indices = None, crop_size=None, method="bilinear",
                    extrapolation_value=0.0, name=None):  # fmt: skip
    """Boxes [y1, x1, y2, x2] as fractions of size - 1, cut out and resized; float32."""
    return _boxes(image, boxes, box_indices, crop_size, method, extrapolation_value)
