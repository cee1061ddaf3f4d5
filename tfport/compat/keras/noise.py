"""Keras' masking and noise layers as torch modules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class Masking(nn.Module):
    """Zeros at the steps where all features equal ``mask_value``."""

    def __init__(self, mask_value: float = 0.0) -> None:
        super().__init__()
        self.mask_value = mask_value

    def extra_repr(self) -> str:
        return f"{self.mask_value}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where((x != self.mask_value).any(-1, keepdim=True), x, torch.zeros_like(x))


class MaskedMean(nn.Module):
    """GlobalAveragePooling1D with a mask, on (N, C, T): the mean of the steps that count."""

    def __init__(self, keepdim: bool = False) -> None:
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        kept = mask.bool().unsqueeze(1)
        total = torch.where(kept, x, torch.zeros_like(x)).sum(-1, keepdim=self.keepdim)
        return total / kept.to(x.dtype).sum(-1, keepdim=self.keepdim)


class MaskedSoftmax(nn.Module):
    """Softmax with a mask that is broadcast to the input: masked positions are 0."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        kept = mask if mask.dtype == torch.bool else mask > 0.5
        low = torch.tensor(-3e4 if x.dtype == torch.float16 else -1e9, dtype=x.dtype, device=x.device)
        made = torch.softmax(torch.where(kept, x, low), dim=self.dim)
        return torch.where(kept, made, torch.zeros_like(made))


class Discretization(nn.Module):
    """The number (int64) of the bin between ``boundaries`` that each value lies in."""

    boundaries: torch.Tensor

    def __init__(self, boundaries: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("boundaries", torch.tensor(boundaries, dtype=torch.float32), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.bucketize(x.to(self.boundaries.dtype), self.boundaries, right=True)


class GaussianNoise(nn.Module):
    """Adds normal noise of this deviation in training."""

    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def extra_repr(self) -> str:
        return f"{self.stddev}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x) * self.stddev if self.training and self.stddev > 0 else x


class GaussianDropout(nn.Module):
    """Multiplies with normal noise of mean 1 and deviation sqrt(rate / (1 - rate)) in training."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def extra_repr(self) -> str:
        return f"{self.rate}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate <= 0:
            return x
        return x * (1.0 + torch.randn_like(x) * (self.rate / (1.0 - self.rate)) ** 0.5)
