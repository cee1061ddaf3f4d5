"""Torch modules for the Keras layers that torch.nn has no twin for. Arguments are torch's; images are NCHW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tfport.compat.keras.attention import (
    AdditiveAttention,
    Attention,
    GroupedQueryAttention,
    MultiHeadAttention,
)
from tfport.compat.keras.cells import GRUCell, LSTMCell, SimpleRNNCell
from tfport.compat.keras.conv_lstm import ConvLSTM
from tfport.compat.keras.einsum import EinsumDense, ReversibleEmbedding
from tfport.compat.keras.noise import (
    Discretization,
    GaussianDropout,
    GaussianNoise,
    MaskedMean,
    MaskedSoftmax,
    Masking,
)
from tfport.compat.keras.norms import AxesNorm, GroupNorm, RMSNorm, SpectralNorm, UnitNorm
from tfport.compat.keras.recurrent import GRU, LSTM, RNN, Bidirectional, SimpleRNN
from tfport.compat.keras.windows import (
    CausalConv1d,
    CutConvTranspose1d,
    CutConvTranspose2d,
    CutConvTranspose3d,
    SameAvgPool1d,
    SameAvgPool2d,
    SameAvgPool3d,
    SameConv1d,
    SameConv2d,
    SameConv3d,
    SameMaxPool1d,
    SameMaxPool2d,
    SameMaxPool3d,
)

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Add",
    "AdditiveAttention",
    "Attention",
    "Average",
    "AxesNorm",
    "BatchNorm",
    "Bidirectional",
    "CausalConv1d",
    "Concatenate",
    "ConvLSTM",
    "Crop",
    "CutConvTranspose1d",
    "CutConvTranspose2d",
    "CutConvTranspose3d",
    "Discretization",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Flatten",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalMaxPool",
    "GroupNorm",
    "GroupedQueryAttention",
    "LSTMCell",
    "LayerNorm",
    "MaskedMean",
    "MaskedSoftmax",
    "Masking",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNorm",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "ReversibleEmbedding",
    "SameAvgPool1d",
    "SameAvgPool2d",
    "SameAvgPool3d",
    "SameConv1d",
    "SameConv2d",
    "SameConv3d",
    "SameMaxPool1d",
    "SameMaxPool2d",
    "SameMaxPool3d",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpectralNorm",
    "Subtract",
    "UnitNorm",
]  # fmt: skip


class BatchNorm(nn.Module):
    """BatchNormalization over axis 1 of an input of any rank from 2 up.

    Differs from nn.BatchNorm2d in one thing: the running variance takes the biased variance of the batch, as Keras 3
    does, not n/(n-1) of it. ``momentum`` is torch's (1 - Keras'). ``frozen`` (Keras' trainable=False) keeps it in
    inference mode whatever ``train()`` says.
    """

    def __init__(self, num_features: int, eps: float = 1e-3, momentum: float = 0.01, *, scale: bool = True,
                 center: bool = True) -> None:  # fmt: skip
        super().__init__()
        self.num_features, self.eps, self.momentum, self.frozen = num_features, eps, momentum, False
        self.register_parameter("weight", nn.Parameter(torch.ones(num_features)) if scale else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(num_features)) if center else None)
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.weight: nn.Parameter | None
        self.bias: nn.Parameter | None
        self.running_mean: torch.Tensor
        self.running_var: torch.Tensor

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"

    def train(self, mode: bool = True) -> BatchNorm:
        return super().train(mode and not self.frozen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        mean, unbiased = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        made = F.batch_norm(x, mean, unbiased, self.weight, self.bias, True, 1.0, self.eps)
        count = x.numel() // self.num_features
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased * ((count - 1) / count), self.momentum)
        return made


class LayerNorm(nn.LayerNorm):
    """LayerNormalization over trailing axes where scale or center is off."""

    def __init__(self, shape: Any, eps: float = 1e-3, *, scale: bool = True, center: bool = True) -> None:
        super().__init__(shape, eps=eps)
        if not scale:
            self.register_parameter("weight", None)
        if not center:
            self.register_parameter("bias", None)


class Normalization(nn.Module):
    """Normalization: ``(x - mean) / max(sqrt(variance), 1e-7)`` per index of axis ``dim``; inverted on request."""

    def __init__(self, channels: int | None, mean: Any = None, variance: Any = None, *, dim: int | None = 1,
                 invert: bool = False) -> None:  # fmt: skip
        super().__init__()
        size = () if dim is None or channels is None else (channels,)
        self.dim, self.invert, given = dim, invert, mean is not None
        for name, value, default in (("mean", mean, 0.0), ("variance", variance, 1.0)):
            made = (
                torch.full(size, default)
                if value is None
                else torch.as_tensor(value, dtype=torch.get_default_dtype())
            )
            self.register_buffer(
                name, made.reshape(-1) if made.numel() == (channels or 0) else made, not given
            )
        self.register_buffer("count", torch.zeros((), dtype=torch.int64) if not given else None)
        self.mean: torch.Tensor
        self.variance: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.to(self.mean.dtype)
        mean, root = self.mean, self.variance.sqrt().clamp(min=1e-7)
        if mean.dim() and self.dim is not None:
            shape = [1] * x.dim()
            shape[self.dim] = -1
            mean, root = mean.reshape(shape), root.reshape(shape)
        return mean + x * root if self.invert else (x - mean) / root


class Rescaling(nn.Module):
    """Rescaling: ``x * scale + offset``; a list of numbers is per index of axis ``dim``. Integers become float32."""

    def __init__(self, scale: Any, offset: Any = 0.0, *, dim: int = 1) -> None:
        super().__init__()
        self.scale, self.offset, self.dim = scale, offset, dim

    def extra_repr(self) -> str:
        return f"{self.scale}, {self.offset}"

    def _shaped(self, value: Any, x: torch.Tensor) -> Any:
        if isinstance(value, int | float):
            return float(np.float32(value))  # TensorFlow rounds it, in float64 too
        shape = [1] * x.dim()
        shape[self.dim] = -1
        return torch.as_tensor(value, dtype=x.dtype, device=x.device).reshape(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if x.is_floating_point() else x.float()
        return x * self._shaped(self.scale, x) + self._shaped(self.offset, x)


class GlobalMaxPool(nn.Module):
    """GlobalMaxPooling over all axes after the channels; gradients of ties are shared, as in TensorFlow."""

    def __init__(self, keepdim: bool = False) -> None:
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax(tuple(range(2, x.dim())), self.keepdim)


class ReLU(nn.Module):
    """Keras' ReLU with all its numbers: ``max_value``, slope below the threshold, threshold."""

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0
    ) -> None:
        super().__init__()
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        below = self.negative_slope * (x - self.threshold)
        made = torch.where(x > self.threshold if self.threshold else x > 0, x, below)
        return made if self.max_value is None else made.clamp(max=self.max_value)


class PReLU(nn.Module):
    """PReLU with one slope per element of ``shape`` (the input's shape without the batch, 1 for shared axes)."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(tuple(shape)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x) - self.weight * F.relu(-x)


class Softmax(nn.Module):
    """Softmax over several axes at once."""

    def __init__(self, dim: Sequence[int]) -> None:
        super().__init__()
        self.dim = tuple(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.exp(x - torch.logsumexp(x, self.dim, keepdim=True))


class Flatten(nn.Module):
    """Flatten of a channels-first value in TensorFlow's order of elements (channels vary fastest)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.movedim(1, -1).flatten(1) if x.dim() > 2 else x.flatten(1)


class Reshape(nn.Module):
    """All but the batch axis to ``shape``; one size may be -1."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def extra_repr(self) -> str:
        return f"{self.shape}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0], *self.shape)


class Permute(nn.Module):
    """Axes after the batch in another order; ``dims`` count from 1, as Keras'."""

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        self.dims = tuple(dims)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, *self.dims)


class RepeatVector(nn.Module):
    """(N, C) to (N, n, C)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unsqueeze(1).expand(-1, self.n, -1)


class Crop(nn.Module):
    """Cut (before, after) from each spatial axis of (N, C, spatial...)."""

    def __init__(self, cropping: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.cropping = tuple((a, b) for a, b in cropping)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cuts = tuple(slice(a, n - b) for (a, b), n in zip(self.cropping, x.shape[2:]))
        return x.__getitem__((slice(None), slice(None), *cuts))


class Dropout(nn.Dropout):
    """Dropout whose mask has ``shape`` (None: the input's size; 1: one decision along that axis)."""

    def __init__(self, p: float, shape: Sequence[int | None]) -> None:
        super().__init__(p)
        self.shape = tuple(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        return x * F.dropout(x.new_ones([n if s is None else s for s, n in zip(self.shape, x.shape)]), self.p)


class _Merge(nn.Module):
    """Several values to one: called with a list or with the values themselves.

    Inputs of a smaller rank get axes of size 1 after the batch axis, as Keras' merging layers do.
    """

    def forward(self, *values: Any) -> torch.Tensor:
        listed = list(values[0]) if len(values) == 1 and isinstance(values[0], list | tuple) else list(values)
        rank = max(v.dim() for v in listed)
        return self.merge([v.reshape(v.shape[0], *(1,) * (rank - v.dim()), *v.shape[1:]) if v.dim() < rank else v
                           for v in listed])  # fmt: skip

    def merge(self, values: list[torch.Tensor]) -> torch.Tensor:
        raise NotImplementedError


class Add(_Merge):
    """Sum of the inputs."""

    def merge(self, values: list[torch.Tensor]) -> torch.Tensor:
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


class Multiply(_Merge):
    """Product of the inputs."""

    def merge(self, values: list[torch.Tensor]) -> torch.Tensor:
        product = values[0]
        for value in values[1:]:
            product = product * value
        return product


class Subtract(_Merge):
    """The first input minus the second."""

    def merge(self, values: list[torch.Tensor]) -> torch.Tensor:
        return values[0] - values[1]


class Average(Add):
    """Mean of the inputs."""

    def merge(self, values: list[torch.Tensor]) -> torch.Tensor:
        return super().merge(values) / len(values)


class Maximum(_Merge):
    """Largest of the inputs, element by element; at a tie the gradient goes to the first, as in TensorFlow."""

    def merge(self, values: list[torch.Tensor]) -> torch.Tensor:
        best = values[0]
        for value in values[1:]:
            best = torch.where(best >= value, best, value)
        return best


class Minimum(_Merge):
    """Smallest of the inputs, element by element."""

    def merge(self, values: list[torch.Tensor]) -> torch.Tensor:
        best = values[0]
        for value in values[1:]:
            best = torch.where(best <= value, best, value)
        return best


class Concatenate(nn.Module):
    """Inputs joined along ``dim``; called with a list or with the values themselves."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *values: Any) -> torch.Tensor:
        listed = list(values[0]) if len(values) == 1 and isinstance(values[0], list | tuple) else list(values)
        return torch.cat(listed, self.dim)


class Dot(nn.Module):
    """Keras' Dot: a batched product over axis ``dims[0]`` of the first and ``dims[1]`` of the second input."""

    def __init__(self, dims: Sequence[int], normalize: bool = False) -> None:
        super().__init__()
        self.dims, self.normalize = tuple(dims), normalize

    def forward(self, *values: Any) -> torch.Tensor:
        left, right = values[0] if len(values) == 1 else values
        i, j = self.dims[0] % left.dim(), self.dims[1] % right.dim()
        if self.normalize:
            left, right = (
                v / v.square().sum(d, keepdim=True).clamp(min=1e-12).sqrt()
                for v, d in ((left, i), (right, j))
            )
        letters = "abcdefgh"
        first = ["n", *letters[: left.dim() - 1]]
        second = ["n", *letters[left.dim() - 1 : left.dim() + right.dim() - 2]]
        second[j] = first[i]
        kept = (
            "n"
            + "".join(c for c in first[1:] if c != first[i])
            + "".join(c for c in second[1:] if c != first[i])
        )
        made = torch.einsum(f"{''.join(first)},{''.join(second)}->{kept}", left, right)
        return made if made.dim() > 1 else made.unsqueeze(1)
