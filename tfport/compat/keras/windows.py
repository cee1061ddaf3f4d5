"""Convolutions and poolings with TensorFlow's SAME padding, for any input size. Channels first.

TensorFlow pads ``max((ceil(n/s) - 1)*s + (k-1)*d + 1 - n, 0)`` per axis, the smaller half before: with strides the
padding depends on the input's size, which torch's fixed ``padding`` cannot say
(https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tfport.layers.arguments import many
from tfport.layers.shapes import transposed


def pad_same(
    x: torch.Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], value: float = 0.0
) -> torch.Tensor:
    """Pad the spatial axes of ``x`` (N, C, spatial...) as SAME does."""
    pads: list[int] = []
    for n, k, s, d in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), reversed(dilation)):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value) if any(pads) else x


class _SameConv:
    kernel_size: Any
    stride: Any
    dilation: Any

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(pad_same(x, self.kernel_size, self.stride, self.dilation))  # type: ignore[misc]


class SameConv1d(_SameConv, nn.Conv1d):
    """nn.Conv1d with TensorFlow's SAME padding: (N, C, L) to (N, O, ceil(L/stride))."""


class SameConv2d(_SameConv, nn.Conv2d):
    """nn.Conv2d with TensorFlow's SAME padding: (N, C, H, W) to (N, O, ceil(H/stride), ceil(W/stride))."""


class SameConv3d(_SameConv, nn.Conv3d):
    """nn.Conv3d with TensorFlow's SAME padding."""


class CausalConv1d(nn.Conv1d):
    """nn.Conv1d padded before only: output t sees inputs up to t."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(F.pad(x, ((self.kernel_size[0] - 1) * self.dilation[0], 0)))


class _Pool(nn.Module):
    """A pooling with SAME padding; ``stride`` None is the kernel's size."""

    rank = 2

    def __init__(self, kernel_size: Any, stride: Any = None) -> None:
        super().__init__()
        self.kernel_size = many(kernel_size, self.rank)
        self.stride = self.kernel_size if stride is None else many(stride, self.rank)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}"

    def padded(self, x: torch.Tensor, value: float) -> torch.Tensor:
        return pad_same(x, self.kernel_size, self.stride, (1,) * self.rank, value)


class SameMaxPool1d(_Pool):
    """MaxPooling1D(padding="same"): the padding never wins."""

    rank = 1
    pool = staticmethod(F.max_pool1d)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pool(self.padded(x, float("-inf")), self.kernel_size, self.stride)


class SameMaxPool2d(SameMaxPool1d):
    """MaxPooling2D(padding="same")."""

    rank = 2
    pool = staticmethod(F.max_pool2d)


class SameMaxPool3d(SameMaxPool1d):
    """MaxPooling3D(padding="same")."""

    rank = 3
    pool = staticmethod(F.max_pool3d)


class SameAvgPool1d(_Pool):
    """AveragePooling1D(padding="same"): the mean leaves the padding out."""

    rank = 1
    pool = staticmethod(F.avg_pool1d)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padded = self.padded(x, 0.0)
        if padded is x:
            return self.pool(x, self.kernel_size, self.stride)
        counts = self.pool(self.padded(torch.ones_like(x[:1, :1]), 0.0), self.kernel_size, self.stride)
        return self.pool(padded, self.kernel_size, self.stride) / counts


class SameAvgPool2d(SameAvgPool1d):
    """AveragePooling2D(padding="same")."""

    rank = 2
    pool = staticmethod(F.avg_pool2d)


class SameAvgPool3d(SameAvgPool1d):
    """AveragePooling3D(padding="same")."""

    rank = 3
    pool = staticmethod(F.avg_pool3d)


class _CutConvTranspose:
    """A full transposed convolution cut (or extended) to the size that Keras states.

    ``same`` says which padding; ``extra`` is Keras' output_padding.
    """

    def __init__(self, *args: Any, same: bool = True, extra: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.same, self.extra = same, extra

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        full = self.transpose(x, self.weight, None, self.stride, 0, 0, self.groups, self.dilation)  # type: ignore
        padding = "same" if self.same else "valid"
        extra = many(self.extra, full.dim() - 2)
        parts = list(zip(x.shape[2:], self.kernel_size, self.stride, extra, self.dilation))  # type: ignore
        for axis, (n, k, s, e, d) in enumerate(parts, start=2):
            wanted = transposed(n, k, s, padding, e, d)
            cut = max(full.shape[axis] - wanted, 0)
            full = full.narrow(axis, cut // 2 if self.same else 0, full.shape[axis] - cut)
            missing = wanted - full.shape[axis]
            if missing:
                full = F.pad(full, (0, 0) * (full.dim() - 1 - axis) + (0, missing))
        if self.bias is None:  # type: ignore[attr-defined]
            return full
        return full + self.bias.reshape(-1, *(1,) * (full.dim() - 2))  # type: ignore[attr-defined]


class CutConvTranspose1d(_CutConvTranspose, nn.ConvTranspose1d):  # type: ignore[misc]
    """Conv1DTranspose with any padding."""

    transpose = staticmethod(F.conv_transpose1d)


class CutConvTranspose2d(_CutConvTranspose, nn.ConvTranspose2d):  # type: ignore[misc]
    """Conv2DTranspose with any padding: SAME gives (N, O, H*stride, W*stride)."""

    transpose = staticmethod(F.conv_transpose2d)


class CutConvTranspose3d(_CutConvTranspose, nn.ConvTranspose3d):  # type: ignore[misc]
    """Conv3DTranspose with any padding."""

    transpose = staticmethod(F.conv_transpose3d)
