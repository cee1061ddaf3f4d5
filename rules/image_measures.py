"""tf.image: measures of images and pairs of images, gradients, and suppression of overlapping boxes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tfport.compat import pixels as _pixels
from tfport.compat import windows as _windows
from tfport.rule import Tensor, array, f32, prove, rule, u8


@rule("tf.image.total_variation", returns="images")
@prove(f32(5, 6, 3))
@prove(f32(2, 5, 6, 3))
@prove(f32(6, 3), raises=True)
def total_variation(images: Tensor, name=None):
    """The sum of absolute differences of neighbours, one number per image."""
    return _variation(images)


def _variation(images):
    if images.ndim not in (3, 4):
        raise ValueError(f"images must have 3 or 4 axes, got shape {list(images.shape)}")
    axes = (-3, -2, -1)
    return images.diff(dim=-3).abs().sum(axes) + images.diff(dim=-2).abs().sum(axes)


@rule("tf.image.psnr", returns="float32")
@prove(f32(5, 6, 3, low=0.0, high=1.0), f32(5, 6, 3, low=0.0, high=1.0, seed=1), max_val=1.0)
@prove(u8(2, 5, 6, 3, high=256), u8(2, 5, 6, 3, high=256, seed=1), 255)
@prove(array([[[1.0]]]), array([[[1.0]]]), 1.0, grad=False)
def psnr(a: Tensor, b: Tensor, max_val, name=None):
    """20 * log10(max_val) - 10 * log10(mean squared error), one number per image."""
    return _psnr(a, b, max_val)


def _as_float(a, b, most):
    white = _pixels.convert(torch.as_tensor(most, device=a.device).to(a.dtype), torch.float32)
    return _pixels.convert(a, torch.float32), _pixels.convert(b, torch.float32), white


def _psnr(a, b, most):
    a, b, white = _as_float(a, b, most)
    error = torch.square(a - b).mean((-3, -2, -1))
    return 20 * torch.log(white) / math.log(10.0) - 10 / math.log(10.0) * torch.log(error)


def _gauss(size, sigma, like):
    cells = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    weights = torch.softmax(-0.5 * torch.square(cells) / sigma**2, 0)
    return weights[:, None] * weights[None, :]


def _parts(a, b, white, size, sigma, k1, k2):
    if min(*a.shape[-3:-1], *b.shape[-3:-1]) < size:
        raise ValueError(f"images of {list(a.shape)} are smaller than the filter, {size}")
    channels = a.shape[-1]
    kernel = _gauss(size, sigma, a).expand(channels, 1, size, size)

    def blurred(x):
        planes = x.reshape(-1, *x.shape[-3:]).permute(0, 3, 1, 2)
        smooth = F.conv2d(planes, kernel, groups=channels).permute(0, 2, 3, 1)
        return smooth.reshape(*x.shape[:-3], *smooth.shape[1:])

    c1, c2 = (k1 * white) ** 2, (k2 * white) ** 2
    mean_a, mean_b = blurred(a), blurred(b)
    product, squares = 2.0 * mean_a * mean_b, mean_a**2 + mean_b**2
    contrast = (2.0 * blurred(a * b) - product + c2) / (blurred(a**2 + b**2) - squares + c2)
    return (product + c1) / (squares + c1), contrast


@rule("tf.image.ssim", returns="float32")
@prove(f32(2, 15, 16, 3, low=0.0, high=1.0), f32(2, 15, 16, 3, low=0.0, high=1.0, seed=1), 1.0)
@prove(u8(12, 13, 1, high=256), u8(12, 13, 1, high=256, seed=1), max_val=255, filter_size=5, filter_sigma=1.0)
@prove(
    f32(2, 15, 16, 3, low=0.0, high=1.0),
    f32(2, 15, 16, 3, low=0.0, high=1.0, seed=1),
    1.0,
    return_index_map=True,
)
@prove(f32(2, 8, 16, 3), f32(2, 8, 16, 3), 1.0, raises=True)
def ssim(img1: Tensor, img2: Tensor, max_val, filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03,
         return_index_map=False):  # fmt: skip
    """Structural similarity under a Gaussian window, one number per image."""
    return _ssim(img1, img2, max_val, filter_size, filter_sigma, k1, k2, return_index_map)


def _ssim(a, b, most, size, sigma, k1, k2, as_map):
    a, b, white = _as_float(a, b, most)
    light, contrast = _parts(a, b, white, size, sigma, k1, k2)
    both = light * contrast
    return both.mean(-1) if as_map else both.mean((-3, -2)).mean(-1)


@rule("tf.image.sobel_edges", returns="image")
@prove(f32(2, 5, 6, 3))
def sobel_edges(image: Tensor):
    """Vertical and horizontal Sobel responses on a new last axis, borders reflected."""
    return _sobel(image)


def _sobel(image):
    down = torch.tensor(
        [[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]], dtype=image.dtype, device=image.device
    )
    kernels = torch.stack([down, down.T]).unsqueeze(1).repeat(image.shape[-1], 1, 1, 1)
    planes = F.pad(image.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="reflect")
    edges = F.conv2d(planes, kernels, groups=image.shape[-1])
    return edges.permute(0, 2, 3, 1).reshape(*image.shape, 2)


@rule("tf.image.image_gradients")
@prove(f32(2, 5, 6, 3))
@prove(f32(5, 6, 3), raises=True)
def image_gradients(image: Tensor):
    """Differences to the next row and to the next column; the last ones are 0."""
    return _gradients(image)


def _gradients(image):
    if image.ndim != 4:
        raise ValueError(f"the image must have 4 axes, got shape {list(image.shape)}")
    return _windows.pad(image.diff(dim=1), [(0, 1), (0, 0), (0, 0)]), _windows.pad(
        image.diff(dim=2), [(0, 1), (0, 0)]
    )


def _suppressed(boxes, scores, most, overlap, least):
    y1, x1 = torch.minimum(boxes[:, 0], boxes[:, 2]), torch.minimum(boxes[:, 1], boxes[:, 3])
    y2, x2 = torch.maximum(boxes[:, 0], boxes[:, 2]), torch.maximum(boxes[:, 1], boxes[:, 3])
    areas = (y2 - y1) * (x2 - x1)
    kept: list[int] = []
    for at in torch.sort(scores, descending=True, stable=True).indices.tolist():
        if len(kept) >= most or not scores[at] > least:
            break
        if kept and areas[at] > 0:
            others = torch.tensor(kept, device=boxes.device)
            height = (torch.minimum(y2[at], y2[others]) - torch.maximum(y1[at], y1[others])).clamp(min=0)
            width = (torch.minimum(x2[at], x2[others]) - torch.maximum(x1[at], x1[others])).clamp(min=0)
            shared = height * width
            union = areas[at] + areas[others] - shared
            if bool(((shared / union > overlap) & (areas[others] > 0)).any()):
                continue
        kept.append(at)
    return torch.tensor(kept, dtype=torch.int32, device=boxes.device)


_BOXES = array(
    [
        [0.0, 0.0, 1.0, 1.0],
        [0.1, 0.1, 1.1, 1.1],
        [0.0, 0.0, 0.2, 0.2],
        [1.0, 1.0, 0.0, 0.0],
        [2.0, 2.0, 3.0, 3.0],
    ]
)
_SCORES = array([0.9, 0.8, 0.7, 0.95, 0.7])


@rule("tf.image.non_max_suppression", returns="int32")
@prove(_BOXES, _SCORES, 10)
@prove(_BOXES, _SCORES, max_output_size=2, iou_threshold=0.9)
@prove(_BOXES, _SCORES, 10, 0.5, score_threshold=0.75)
@prove(f32(40, 4), f32(40), 20, 0.1)
def non_max_suppression(boxes: Tensor, scores: Tensor, max_output_size, iou_threshold=0.5,
                        score_threshold=float("-inf"), name=None):  # fmt: skip
    """Numbers of the boxes kept, best first: one is dropped if it overlaps a better one by more than the threshold."""
    return _suppressed(boxes, scores, int(max_output_size), iou_threshold, score_threshold)
