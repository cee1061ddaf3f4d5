"""What all Keras losses share: equal ranks, weights, reduction, as Keras 3 computes them.

A loss object casts both arguments to its dtype: unless given, torch's default dtype, the counterpart of Keras' floatx.
"sum_over_batch_size" divides by the number of losses, whatever the weights; with "ignore_class" by the number of those
not ignored.
"""

from __future__ import annotations

from typing import Any

import torch

from tfport.compat.arguments import to_tensor
from tfport.compat.dtypes import as_dtype

EPSILON = 1e-7  # tf.keras.backend.epsilon()
_REDUCTIONS = {
    "auto": "sum_over_batch_size", "sum_over_batch_size": "sum_over_batch_size", "mean": "sum_over_batch_size", "sum": "sum",
    "none": "none", None: "none", "mean_with_sample_weight": "mean_with_sample_weight",
}  # fmt: skip


def same_rank(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Give both the same rank where one has a last axis of size 1 more: vectors grow, others lose it."""
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b.unsqueeze(-1)) if b.ndim == 1 else (a.squeeze(-1), b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a.unsqueeze(-1), b) if a.ndim == 1 else (a, b.squeeze(-1))
    return a, b


def pair(y_true: Any, y_pred: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as tensors of the prediction's dtype and of equal rank."""
    y_pred = to_tensor(y_pred)
    return same_rank(to_tensor(y_true).to(y_pred.dtype).to(y_pred.device), y_pred)


def alike(y_true: Any, y_pred: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """As ``pair``, without touching the ranks. Raises ValueError where the shapes differ."""
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true).to(y_pred.dtype).to(y_pred.device)
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"y_true and y_pred must have one shape, got {list(y_true.shape)} and {list(y_pred.shape)}"
        )
    return y_true, y_pred


def weigh(
    losses: torch.Tensor, sample_weight: Any, mask: torch.Tensor | None, reduction: str
) -> torch.Tensor:
    """Weighted and reduced. The mask of an ignored class spreads the weight of what it hides over the rest."""
    weight = None if sample_weight is None else to_tensor(sample_weight).to(losses.dtype).to(losses.device)
    if mask is not None:
        shown = mask.to(losses.dtype)
        if reduction == "sum_over_batch_size":
            shown = shown * (mask.numel() / shown.sum()) if bool(mask.any()) else shown
        if weight is not None:
            shown, weight = same_rank(shown, weight)
            shown = weight * shown
        weight = shown
    if weight is not None:
        losses, weight = same_rank(losses, weight)
        losses = losses * weight
    if reduction == "none" or losses.ndim == 0 or tuple(losses.shape) == (0,):
        return losses
    total = losses.sum()
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        divisor = weight.sum()
        return torch.where(divisor == 0, torch.zeros_like(total), total / divisor)
    return total / losses.numel() if losses.numel() else torch.zeros_like(total)


class Loss:
    """``tf.keras.losses.Loss``: subclasses define ``call(y_true, y_pred)``, one loss per example."""

    def __init__(
        self, name: str | None = None, reduction: Any = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        reduction = reduction.lower() if isinstance(reduction, str) else reduction
        if reduction not in _REDUCTIONS:
            raise ValueError(f"reduction {reduction!r} is none of {', '.join(str(r) for r in _REDUCTIONS)}")
        self.name = name or type(self).__name__
        self.reduction = _REDUCTIONS[reduction]
        self.dtype = torch.get_default_dtype() if dtype is None else as_dtype(dtype)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> torch.Tensor:
        """The reduced loss."""
        y_pred = to_tensor(y_pred)
        y_true = to_tensor(y_true).to(y_pred.device)
        losses = self.call(y_true.to(self.dtype), y_pred.to(self.dtype))
        return weigh(losses.to(self.dtype), sample_weight, self.mask(y_true, losses), self.reduction)

    def mask(self, y_true: torch.Tensor, losses: torch.Tensor) -> torch.Tensor | None:
        """Which losses count; None for all."""
        return None

    def call(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
        """One loss per example."""
        raise NotImplementedError(f"{type(self).__name__} defines no call(y_true, y_pred)")

    def get_config(self) -> dict[str, Any]:
        """Name and reduction."""
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The loss that ``get_config`` describes."""
        return cls(**config)


class Wrapped(Loss):
    """A loss whose formula is the function ``formula`` with the keywords of ``options``."""

    formula: Any = None

    def options(self) -> dict[str, Any]:
        """Keywords of the formula."""
        return {}

    def call(self, y_true: torch.Tensor, y_pred: torch.Tensor) -> torch.Tensor:
        """The formula on arguments of one rank."""
        y_true, y_pred = same_rank(y_true, y_pred)
        return type(self).formula(y_true, y_pred, **self.options())

    def get_config(self) -> dict[str, Any]:
        """Name, reduction and what the formula takes."""
        return {**super().get_config(), **self.options()}
