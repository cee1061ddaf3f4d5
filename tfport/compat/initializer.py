"""The base of all initializers: called with a shape and a dtype, gives a tensor on the CPU."""

from __future__ import annotations

from typing import Any

import torch

from tfport.compat import initial
from tfport.compat.dtypes import as_dtype


class Initializer:
    """Subclasses say in ``make`` what the tensor of a shape and dtype is; ``dtype`` is the default."""

    dtype: Any = torch.float32

    def __call__(
        self, shape: Any, dtype: Any = None, partition_info: Any = None, **unused: Any
    ) -> torch.Tensor:
        """The tensor. ``partition_info`` and Keras' layout keywords are accepted and have no effect."""
        return self.make(initial.sizes(shape), as_dtype(self.dtype if dtype is None else dtype))

    def make(self, shape: list[int], dtype: torch.dtype) -> torch.Tensor:
        """The tensor of this shape and dtype."""
        raise NotImplementedError(f"{type(self).__name__} defines neither make nor __call__")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: value for name, value in vars(self).items() if name != "dtype"}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer that ``get_config`` describes."""
        return cls(**config)


class Scaling(Initializer):
    """VarianceScaling and its named cases."""

    scale, mode, distribution, seed = 1.0, "fan_in", "truncated_normal", None
    input_axes: Any = None
    output_axes: Any = None

    def make(self, shape: list[int], dtype: torch.dtype) -> torch.Tensor:
        """Variance scale / fan."""
        axes = self.input_axes, self.output_axes
        return initial.variance_scaling(
            shape, dtype, self.seed, self.scale, self.mode, self.distribution, *axes
        )


class Drawn(Initializer):
    """A distribution with two numbers: uniform's bounds, or a normal's mean and standard deviation."""

    kind, seed = "normal", None

    def make(self, shape: list[int], dtype: torch.dtype) -> torch.Tensor:
        """Independent draws."""
        low, high = self.bounds()
        return initial.draw(self.kind, shape, dtype, self.seed, low, high)

    def bounds(self) -> tuple[float, float]:
        """The two numbers of the distribution."""
        raise NotImplementedError(f"{type(self).__name__} has no bounds")
