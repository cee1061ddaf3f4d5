"""Keras' normalisations where torch.nn has no twin: any axes, one of scale and shift, spectral norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tfport.compat.keras.building import in_tensorflows_order


def _sizes(shape: Sequence[int | None], dims: Sequence[int]) -> list[int]:
    """The shape that a weight over these axes has for broadcasting: 1 elsewhere."""
    return [int(n) if i in dims else 1 for i, n in enumerate(shape)]  # type: ignore[arg-type]


class AxesNorm(nn.Module):
    """LayerNormalization over any axes ``dims`` of an input of ``shape`` (with the batch, whose size may be None)."""

    weight: torch.Tensor | None
    bias: torch.Tensor | None

    def __init__(self, shape: Sequence[int | None], dims: Sequence[int], eps: float = 1e-3, *, scale: bool = True,
                 center: bool = True) -> None:  # fmt: skip
        super().__init__()
        self.dims = tuple(sorted(d % len(shape) for d in dims))
        self.broadcast = _sizes(shape, self.dims)
        self.eps = eps
        sizes = [self.broadcast[d] for d in self.dims]
        self.register_parameter("weight", nn.Parameter(torch.ones(sizes)) if scale else None)
        self.register_parameter("bias", nn.Parameter(torch.zeros(sizes)) if center else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(x, self.dims, correction=0, keepdim=True)
        made = (x - mean) * torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            made = made * self.weight.reshape(self.broadcast)
        return made if self.bias is None else made + self.bias.reshape(self.broadcast)


class RMSNorm(nn.Module):
    """RMSNormalization: ``x * rsqrt(mean(x^2) + eps) * weight`` over the axes ``dim``.

    As in Keras the weight, of those axes' sizes, is broadcast from the right whatever the axes are.
    """

    def __init__(self, features: Any, eps: float = 1e-6, *, dim: Any = -1) -> None:
        super().__init__()
        self.eps, self.dim = eps, dim
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(self.dim, keepdim=True) + self.eps) * self.weight


class UnitNorm(nn.Module):
    """UnitNormalization: length 1 along ``dim``; nothing is longer than 1e12 times itself."""

    def __init__(self, dim: Any = -1) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().sum(self.dim, keepdim=True)).clamp(max=1e12)


class GroupNorm(nn.GroupNorm):
    """GroupNormalization with only one of scale and shift."""

    def __init__(
        self, groups: int, channels: int, eps: float = 1e-3, *, scale: bool = True, center: bool = True
    ) -> None:
        super().__init__(groups, channels, eps=eps)
        if not scale:
            self.register_parameter("weight", None)
        if not center:
            self.register_parameter("bias", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = F.group_norm(x, self.num_groups, None, None, self.eps)
        shape = (-1, *(1,) * (x.dim() - 2))
        made = made if self.weight is None else made * self.weight.reshape(shape)
        return made if self.bias is None else made + self.bias.reshape(shape)


class SpectralNorm(nn.Module):
    """SpectralNormalization: in training the layer's kernel is divided by its largest singular value before each call.

    The kernel itself changes, as Keras' does, and no gradient goes through the division. ``last`` says which axis of the
    torch weight is the last of Keras' kernel.
    """

    vector_u: torch.Tensor

    def __init__(self, layer: nn.Module, path: str, last: int, power_iterations: int = 1) -> None:
        super().__init__()
        if power_iterations <= 0:
            raise ValueError("power_iterations must be greater than zero")
        self.layer, self.path, self.last, self.power_iterations = layer, path, last, power_iterations
        weight = layer.get_parameter(path)
        made = torch.empty(1, weight.shape[last], dtype=weight.dtype)
        self.register_buffer("vector_u", nn.init.trunc_normal_(made, std=0.02, a=-0.04, b=0.04))

    def forward(self, inputs: Any) -> Any:
        if self.training:
            self.normalise()
        with in_tensorflows_order():
            return self.layer(inputs)

    @torch.no_grad()
    def normalise(self) -> None:
        """One update of the kernel and of the vector; a kernel of zeros stays."""
        weight = self.layer.get_parameter(self.path)
        if not weight.any():
            return
        matrix = weight.movedim(self.last, -1).reshape(-1, weight.shape[self.last])
        u = self.vector_u
        for _ in range(self.power_iterations):
            v = _unit(u @ matrix.T)
            u = _unit(v @ matrix)
        self.vector_u.copy_(u)
        weight.div_((v @ matrix @ u.T).reshape(()))


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.square().sum()).clamp(max=1e7)
