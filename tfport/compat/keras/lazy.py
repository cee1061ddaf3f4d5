"""Lazy twins of the modules that Keras' layers become: they learn the number of channels from their first input."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from tfport.compat.keras import modules


class LazySameConv1d(nn.LazyConv1d, modules.SameConv1d):  # type: ignore[misc]
    """`modules.SameConv1d` without its first argument."""

    cls_to_become = modules.SameConv1d  # type: ignore[assignment]


class LazySameConv2d(nn.LazyConv2d, modules.SameConv2d):  # type: ignore[misc]
    """`modules.SameConv2d` without its first argument."""

    cls_to_become = modules.SameConv2d  # type: ignore[assignment]


class LazySameConv3d(nn.LazyConv3d, modules.SameConv3d):  # type: ignore[misc]
    """`modules.SameConv3d` without its first argument."""

    cls_to_become = modules.SameConv3d  # type: ignore[assignment]


class LazyCausalConv1d(nn.LazyConv1d, modules.CausalConv1d):  # type: ignore[misc]
    """`modules.CausalConv1d` without its first argument."""

    cls_to_become = modules.CausalConv1d  # type: ignore[assignment]


class LazyCutConvTranspose1d(nn.LazyConvTranspose1d, modules.CutConvTranspose1d):  # type: ignore[misc]
    """`modules.CutConvTranspose1d` without its first argument."""

    cls_to_become = modules.CutConvTranspose1d  # type: ignore[assignment]

    def __init__(self, *args: Any, same: bool = True, extra: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.same, self.extra = same, extra


class LazyCutConvTranspose2d(nn.LazyConvTranspose2d, modules.CutConvTranspose2d):  # type: ignore[misc]
    """`modules.CutConvTranspose2d` without its first argument."""

    cls_to_become = modules.CutConvTranspose2d  # type: ignore[assignment]

    def __init__(self, *args: Any, same: bool = True, extra: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.same, self.extra = same, extra


class LazyCutConvTranspose3d(nn.LazyConvTranspose3d, modules.CutConvTranspose3d):  # type: ignore[misc]
    """`modules.CutConvTranspose3d` without its first argument."""

    cls_to_become = modules.CutConvTranspose3d  # type: ignore[assignment]

    def __init__(self, *args: Any, same: bool = True, extra: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.same, self.extra = same, extra


class LazyBatchNorm(LazyModuleMixin, modules.BatchNorm):
    """`modules.BatchNorm` without its first argument: over axis 1 of an input of any rank from 2 up."""

    cls_to_become = modules.BatchNorm  # type: ignore[assignment]

    def __init__(
        self, eps: float = 1e-3, momentum: float = 0.01, *, scale: bool = True, center: bool = True
    ) -> None:
        super().__init__(0, eps, momentum, scale=scale, center=center)
        for name in ("weight", "bias"):
            if getattr(self, name) is not None:
                setattr(self, name, UninitializedParameter())
        self.running_mean = UninitializedBuffer()
        self.running_var = UninitializedBuffer()

    def initialize_parameters(self, x: torch.Tensor) -> None:  # type: ignore[override]
        """Sizes from ``x.shape[1]``; scale and variance 1, shift and mean 0."""
        if not self.has_uninitialized_params():  # type: ignore[misc]
            self.num_features = self.num_features or x.shape[1]
            return
        self.num_features = x.shape[1]
        with torch.no_grad():
            for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
                tensor = getattr(self, name)
                if tensor is not None:
                    tensor.materialize((self.num_features,))
                    tensor.fill_(value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Nothing more; `initialise` puts other initial values in its place."""


class LastAxisNorm(nn.LayerNorm):
    """nn.LayerNorm over the last axis, whose size is that of ``weight``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, tuple(self.weight.shape), self.weight, self.bias, self.eps)


class LazyLayerNorm(LazyModuleMixin, LastAxisNorm):
    """`nn.LayerNorm` over the last axis without its first argument."""

    cls_to_become = LastAxisNorm  # type: ignore[assignment]

    def __init__(self, eps: float = 1e-3, bias: bool = True) -> None:
        super().__init__(0, eps=eps, bias=bias)
        self.weight = UninitializedParameter()  # type: ignore[assignment]
        if bias:
            self.bias = UninitializedParameter()  # type: ignore[assignment]

    def initialize_parameters(self, x: torch.Tensor) -> None:  # type: ignore[override]
        """Sizes from ``x.shape[-1]``; scale 1, shift 0."""
        self.normalized_shape = (x.shape[-1],)
        if not self.has_uninitialized_params():  # type: ignore[misc]
            return
        with torch.no_grad():
            for name, value in (("weight", 1.0), ("bias", 0.0)):
                tensor = getattr(self, name)
                if tensor is not None:
                    tensor.materialize(self.normalized_shape)
                    tensor.fill_(value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Nothing more; `initialise` puts other initial values in its place."""
