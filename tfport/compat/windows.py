"""Convolution and pooling windows as TensorFlow slides them, on tensors in TensorFlow's layouts.

Internal order is channels first. A layout string such as "NHWC" or "NCDHW" says where the channels stand; padding is
"SAME", "VALID" or explicit pairs. SAME pads max((ceil(n/s) - 1)*s + (k-1)*d + 1 - n, 0) in all, half of it before,
the odd one after (tf.nn.convolution, "Notes on padding").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def channels_last(data_format: str | None) -> bool:
    """Whether the layout has its channels at the end; None is TensorFlow's default, which has."""
    return data_format is None or not str(data_format).upper().startswith("NC")


def per_axis(value: Any, rank: int, last: bool, what: str) -> list[int]:
    """A stride, dilation or window as one number per spatial axis, from a number, [n], [h, w] or [1, h, w, 1]."""
    if value is None:
        return [1] * rank
    if isinstance(value, torch.Tensor):
        value = value.tolist()
    numbers = [int(v) for v in value] if isinstance(value, Sequence | torch.Size) else [int(value)]
    if len(numbers) == 1:
        return numbers * rank
    if len(numbers) == rank:
        return numbers
    if len(numbers) != rank + 2:
        raise ValueError(f"{what} {value!r} must have 1, {rank} or {rank + 2} entries")
    inner, outer = (numbers[1:-1], (numbers[0], numbers[-1])) if last else (numbers[2:], tuple(numbers[:2]))
    if outer != (1, 1):
        raise ValueError(
            f"{what} {value!r}: torch slides windows over space only, not over batch or channels"
        )
    return inner


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """What SAME pads before and after an axis of this size."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def paddings(padding: Any, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int],
             dilations: Sequence[int], last: bool) -> list[tuple[int, int]]:  # fmt: skip
    """Padding before and after each spatial axis. Raises ValueError for an unknown word."""
    if isinstance(padding, str):
        word = padding.upper()
        if word == "VALID":
            return [(0, 0)] * len(sizes)
        if word == "SAME":
            return [same_padding(*axis) for axis in zip(sizes, kernel, strides, dilations, strict=True)]
        raise ValueError(f"padding {padding!r} is neither SAME nor VALID")
    pairs = [(int(p[0]), int(p[1])) for p in padding]
    if len(pairs) == len(sizes):
        return pairs
    return pairs[1:-1] if last else pairs[2:]


def pad(x: torch.Tensor, pairs: Sequence[tuple[int, int]], value: float = 0.0) -> torch.Tensor:
    """Pad the trailing axes, in the order of the axes (F.pad counts from the last)."""
    if not any(before or after for before, after in pairs):
        return x
    flat = [n for pair in reversed(pairs) for n in pair]
    return F.pad(x, flat, value=value)


def first(x: torch.Tensor, last: bool) -> torch.Tensor:
    """Channels first."""
    return x.movedim(-1, 1) if last else x


def back(x: torch.Tensor, last: bool) -> torch.Tensor:
    """The layout that the caller had."""
    return x.movedim(1, -1) if last else x


def unbatch(x: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Size | None]:
    """Fold several leading batch axes into one; the second result restores them."""
    if x.ndim <= rank + 2:
        return x, None
    lead = x.shape[: x.ndim - rank - 1]
    return x.reshape(-1, *x.shape[x.ndim - rank - 1 :]), lead


def convolve(x: torch.Tensor, filters: torch.Tensor, strides: Any, padding: Any, data_format: str | None,
             dilations: Any = None) -> torch.Tensor:  # fmt: skip
    """``tf.nn.convolution`` in 1, 2 or 3 dimensions; grouped where the filters have fewer input channels."""
    rank, last = filters.ndim - 2, channels_last(data_format)
    stride = per_axis(strides, rank, last, "strides")
    dilation = per_axis(dilations, rank, last, "dilations")
    x, lead = unbatch(x, rank)
    planes = first(x, last)
    pairs = paddings(padding, planes.shape[2:], filters.shape[:rank], stride, dilation, last)
    weight = filters.permute(rank + 1, rank, *range(rank))
    groups = max(planes.shape[1] // max(weight.shape[1], 1), 1)
    symmetric = all(before == after for before, after in pairs)
    inner = tuple(before for before, _ in pairs) if symmetric else 0
    result = _apply(
        CONVOLUTIONS[rank], planes if symmetric else pad(planes, pairs), weight,
        stride=stride, padding=inner, dilation=dilation, groups=groups,
    )  # fmt: skip
    result = back(result, last)
    return result if lead is None else result.reshape(*lead, *result.shape[1:])


def _apply(function: Any, x: torch.Tensor, weight: torch.Tensor, **options: Any) -> torch.Tensor:
    """The convolution; integers go through float64, exact up to 2**53."""
    if x.is_floating_point() or x.is_complex():
        return function(x, weight, **options)
    return function(x.double(), weight.double(), **options).to(x.dtype)


def depthwise(x: torch.Tensor, filters: torch.Tensor, strides: Any, padding: Any, data_format: str | None,
              dilations: Any = None) -> torch.Tensor:  # fmt: skip
    """``tf.nn.depthwise_conv2d``: filters [h, w, channels, multiplier], output channel c * multiplier + m."""
    last = channels_last(data_format)
    stride = per_axis(strides, 2, last, "strides")
    dilation = per_axis(dilations, 2, last, "dilations")
    height, width, channels, multiplier = filters.shape
    planes = first(x, last)
    if planes.shape[1] != channels:
        raise ValueError(f"the input has {planes.shape[1]} channels, the depthwise filters {channels}")
    pairs = paddings(padding, planes.shape[2:], (height, width), stride, dilation, last)
    weight = filters.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    result = F.conv2d(pad(planes, pairs), weight, stride=stride, dilation=dilation, groups=channels)
    return back(result, last)


def convolve_transposed(x: torch.Tensor, filters: torch.Tensor, output_shape: Any, strides: Any, padding: Any,
                        data_format: str | None, dilations: Any = None) -> torch.Tensor:  # fmt: skip
    """The gradient of a convolution with respect to its input, of size ``output_shape``.

    filters [..., out, in]. The full transposed convolution, from which the padding is cut; where a size is not reached by any
    window, zeros.
    """
    rank, last = filters.ndim - 2, channels_last(data_format)
    stride = per_axis(strides, rank, last, "strides")
    dilation = per_axis(dilations, rank, last, "dilations")
    shape = (
        output_shape.tolist() if isinstance(output_shape, torch.Tensor) else [int(n) for n in output_shape]
    )
    sizes = shape if len(shape) == rank else shape[-rank - 1 : -1] if last else shape[-rank:]
    planes = first(x, last)
    pairs = paddings(padding, sizes, filters.shape[:rank], stride, dilation, last)
    for axis, (size, (before, after)) in enumerate(zip(sizes, pairs, strict=True)):
        reach = (filters.shape[axis] - 1) * dilation[axis] + 1
        if planes.shape[2 + axis] != (size + before + after - reach) // stride[axis] + 1:
            raise ValueError(
                f"output size {size} on axis {axis} does not fit an input of {planes.shape[2 + axis]} with stride "
                f"{stride[axis]}, window {reach} and padding {padding!r}"
            )
    weight = filters.permute(rank + 1, rank, *range(rank))
    full = TRANSPOSED[rank](planes, weight, stride=stride, dilation=dilation)
    for axis, (size, (before, _)) in enumerate(zip(sizes, pairs, strict=True), start=2):
        kept = min(size, full.shape[axis] - before)
        full = full.narrow(axis, before, kept)
        if kept < size:
            full = pad(full, [(0, size - kept)] + [(0, 0)] * (full.ndim - axis - 1))
    return back(full, last)


def lowest(dtype: torch.dtype) -> float:
    """The value that never wins a maximum: -inf, or an integer's least."""
    return float("-inf") if dtype.is_floating_point else torch.iinfo(dtype).min


def max_pool(x: torch.Tensor, window: Sequence[int], strides: Sequence[int], padding: Any, last: bool,
             dilations: Sequence[int] | None = None) -> torch.Tensor:  # fmt: skip
    """The greatest of each window; padding never wins."""
    rank = len(window)
    dilation = list(dilations or [1] * rank)
    planes = first(x, last)
    pairs = paddings(padding, planes.shape[2:], window, strides, dilation, last)
    planes = pad(planes, pairs, lowest(x.dtype))
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[rank]
    if x.is_floating_point():
        result = pool(planes, tuple(window), tuple(strides), dilation=tuple(dilation))
    else:
        result = pool(planes.double(), tuple(window), tuple(strides), dilation=tuple(dilation)).to(x.dtype)
    return back(result, last)


def avg_pool(x: torch.Tensor, window: Sequence[int], strides: Sequence[int], padding: Any, last: bool,
             dilations: Sequence[int] | None = None) -> torch.Tensor:  # fmt: skip
    """The mean of what lies inside the input: padding counts neither in the sum nor in the number."""
    rank = len(window)
    dilation = list(dilations or [1] * rank)
    planes = first(x, last)
    pairs = paddings(padding, planes.shape[2:], window, strides, dilation, last)
    if all(d == 1 for d in dilation):
        if all(before == after for before, after in pairs):
            pool = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[rank]
            inside = tuple(before for before, _ in pairs)
            return back(
                pool(planes, tuple(window), tuple(strides), padding=inside, count_include_pad=False), last
            )
        total = _sums(pad(planes, pairs), window, strides)
    else:
        kernel = planes.new_ones(1, 1, *window)
        single = pad(planes, pairs)
        single = single.reshape(-1, 1, *single.shape[2:])
        total = CONVOLUTIONS[rank](single, kernel, stride=tuple(strides), dilation=tuple(dilation))
        total = total.reshape(*planes.shape[:2], *total.shape[2:])
    for axis, (before, _) in enumerate(pairs):
        size, count = planes.shape[2 + axis], total.shape[2 + axis]
        starts = torch.arange(count, device=x.device) * strides[axis] - before
        taps = starts[:, None] + torch.arange(window[axis], device=x.device) * dilation[axis]
        inside_taps = ((taps >= 0) & (taps < size)).sum(1).to(total.dtype)
        total = total / inside_taps.reshape(-1, *[1] * (rank - 1 - axis))
    return back(total, last)


def _sums(planes: torch.Tensor, window: Sequence[int], strides: Sequence[int]) -> torch.Tensor:
    """The sum of each window."""
    if len(window) == 1:
        sums = F.avg_pool2d(planes.unsqueeze(2), (1, *window), (1, *strides), divisor_override=1)
        return sums.squeeze(2)
    pool = F.avg_pool2d if len(window) == 2 else F.avg_pool3d
    return pool(planes, tuple(window), tuple(strides), divisor_override=1)
