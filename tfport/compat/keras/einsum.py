"""EinsumDense, a product by an equation, and ReversibleEmbedding, a table that is read both ways."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tfport.compat.dtypes import as_dtype


class EinsumDense(nn.Module):
    """tf.keras.layers.EinsumDense: ``einsum(equation, x, weight) + bias``; the weight has Keras' shape."""

    def __init__(self, equation: str, kernel: Sequence[int], bias: Sequence[int] | None = None) -> None:
        super().__init__()
        self.equation = equation
        self.bias: torch.Tensor | None
        self.weight = nn.Parameter(torch.empty(tuple(kernel)))
        nn.init.uniform_(self.weight, -1 / math.sqrt(max(self.weight[..., 0].numel(), 1)),
                         1 / math.sqrt(max(self.weight[..., 0].numel(), 1)))  # fmt: skip
        self.register_parameter("bias", None if bias is None else nn.Parameter(torch.zeros(tuple(bias))))

    def extra_repr(self) -> str:
        return f"{self.equation!r}, {tuple(self.weight.shape)}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = torch.einsum(self.equation, x, self.weight)
        return made if self.bias is None else made + self.bias


class ReversibleEmbedding(nn.Embedding):
    """tf.keras.layers.ReversibleEmbedding: ids to vectors, and with ``reverse`` vectors to logits over the ids."""

    reverse: torch.Tensor | None

    def __init__(
        self, count: int, features: int, tied: bool = True, dtype: Any = None, soft_cap: float | None = None
    ) -> None:
        super().__init__(count, features)
        self.logits_dtype = None if dtype is None else as_dtype(dtype)
        self.soft_cap = soft_cap
        self.register_parameter(
            "reverse", None if tied else nn.Parameter(torch.empty(features, count).uniform_(-0.05, 0.05))
        )

    def forward(self, inputs: torch.Tensor, reverse: bool = False) -> torch.Tensor:  # type: ignore[override]
        if not reverse:
            return super().forward(inputs if inputs.dtype == torch.int32 else inputs.long())
        kernel = self.weight.T if self.reverse is None else self.reverse
        if self.logits_dtype is not None:
            inputs, kernel = inputs.to(self.logits_dtype), kernel.to(self.logits_dtype)
        logits = inputs @ kernel
        return logits if self.soft_cap is None else torch.tanh(logits / self.soft_cap) * self.soft_cap
