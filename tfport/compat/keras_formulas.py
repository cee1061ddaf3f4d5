"""The formulas of Keras' losses: one number per example, means over the last axis."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from tfport.compat.arguments import to_tensor
from tfport.compat.keras_loss import EPSILON, alike, pair


def mean_squared_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean((t - p) ** 2)."""
    y_true, y_pred = pair(y_true, y_pred)
    return torch.square(y_true - y_pred).mean(-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean(|t - p|)."""
    y_true, y_pred = pair(y_true, y_pred)
    return torch.abs(y_true - y_pred).mean(-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """100 * mean(|t - p| / max(|t|, 1e-7))."""
    y_true, y_pred = pair(y_true, y_pred)
    return 100.0 * torch.abs((y_true - y_pred) / y_true.abs().clamp(min=EPSILON)).mean(-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean((log(max(p, 1e-7) + 1) - log(max(t, 1e-7) + 1)) ** 2)."""
    y_true, y_pred = pair(y_true, y_pred)
    difference = torch.log(y_pred.clamp(min=EPSILON) + 1.0) - torch.log(y_true.clamp(min=EPSILON) + 1.0)
    return torch.square(difference).mean(-1)


def _normalized(x: torch.Tensor, axis: int) -> torch.Tensor:
    return x * torch.rsqrt(torch.square(x).sum(axis, keepdim=True)).clamp(max=1.0 / EPSILON)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> torch.Tensor:
    """Minus the cosine: -1 where the directions agree."""
    y_true, y_pred = pair(y_true, y_pred)
    return -(_normalized(y_true, axis) * _normalized(y_pred, axis)).sum(axis)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> torch.Tensor:
    """Half the square up to delta, then delta * |e| - delta ** 2 / 2."""
    y_true, y_pred = pair(y_true, y_pred)
    error = y_pred - y_true
    size = error.abs()
    return torch.where(size <= delta, 0.5 * torch.square(error), delta * size - 0.5 * delta**2).mean(-1)


def log_cosh(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean(log(cosh(p - t))), without overflow."""
    y_true, y_pred = pair(y_true, y_pred)
    x = y_pred - y_true
    return (x + F.softplus(-2.0 * x) - math.log(2.0)).mean(-1)


def kl_divergence(y_true: Any, y_pred: Any) -> torch.Tensor:
    """sum(t * log(t / p)), both clipped to [1e-7, 1]."""
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true).to(y_pred.dtype).clamp(EPSILON, 1.0)
    return (y_true * torch.log(y_true / y_pred.clamp(EPSILON, 1.0))).sum(-1)


def poisson(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean(p - t * log(p + 1e-7))."""
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true).to(y_pred.dtype)
    return (y_pred - y_true * torch.log(y_pred + EPSILON)).mean(-1)


def _signs(y_true: torch.Tensor) -> torch.Tensor:
    """Labels 0 and 1 as -1 and 1, if there are no others."""
    binary = ((y_true == 0) | (y_true == 1)).all()
    return torch.where(binary, 2.0 * y_true - 1.0, y_true)


def hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean(max(1 - t * p, 0)); labels 0 and 1 become -1 and 1."""
    y_pred = to_tensor(y_pred)
    y_true = _signs(to_tensor(y_true).to(y_pred.dtype))
    return (1.0 - y_true * y_pred).clamp(min=0.0).mean(-1)


def squared_hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """mean(max(1 - t * p, 0) ** 2)."""
    y_pred = to_tensor(y_pred)
    y_true = _signs(to_tensor(y_true).to(y_pred.dtype))
    return torch.square((1.0 - y_true * y_pred).clamp(min=0.0)).mean(-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> torch.Tensor:
    """max(0, max((1 - t) * p) - sum(t * p) + 1)."""
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true).to(y_pred.dtype)
    positive = (y_true * y_pred).sum(-1)
    return (torch.amax((1.0 - y_true) * y_pred, -1) - positive + 1.0).clamp(min=0.0)


def _binary(y_true: torch.Tensor, y_pred: torch.Tensor, from_logits: bool) -> torch.Tensor:
    if from_logits:
        return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction="none")
    p = y_pred.clamp(EPSILON, 1.0 - EPSILON)
    return -(y_true * torch.log(p) + (1.0 - y_true) * torch.log(1.0 - p))


def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0,
                        axis: int = -1) -> torch.Tensor:  # fmt: skip
    """Mean over the axis; probabilities are clipped to [1e-7, 1 - 1e-7] (torch clips the logarithm at -100)."""
    y_true, y_pred = alike(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    return _binary(y_true, y_pred, from_logits).mean(axis)


def binary_focal_crossentropy(y_true: Any, y_pred: Any, apply_class_balancing: bool = False, alpha: float = 0.25,
                              gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0,
                              axis: int = -1) -> torch.Tensor:  # fmt: skip
    """Binary cross entropy times (1 - p of the label) ** gamma."""
    y_true, y_pred = alike(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    p = torch.sigmoid(y_pred) if from_logits else y_pred
    right = y_true * p + (1 - y_true) * (1 - p)
    loss = (1.0 - right) ** gamma * _binary(y_true, p, False)
    if apply_class_balancing:
        loss = (y_true * alpha + (1 - y_true) * (1 - alpha)) * loss
    return loss.mean(axis)


def _smoothed(y_true: torch.Tensor, amount: float) -> torch.Tensor:
    return y_true * (1.0 - amount) + amount / y_true.shape[-1] if amount else y_true


def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0,
                             axis: int = -1) -> torch.Tensor:  # fmt: skip
    """-sum(t * log p); p is divided by its sum and clipped to [1e-7, 1 - 1e-7]."""
    y_true, y_pred = alike(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing)
    if from_logits:
        return -(y_true * torch.log_softmax(y_pred, axis)).sum(axis)
    p = (y_pred / y_pred.sum(axis, keepdim=True)).clamp(EPSILON, 1.0 - EPSILON)
    return -(y_true * torch.log(p)).sum(axis)


def categorical_focal_crossentropy(y_true: Any, y_pred: Any, alpha: Any = 0.25, gamma: float = 2.0,
                                   from_logits: bool = False, label_smoothing: float = 0.0,
                                   axis: int = -1) -> torch.Tensor:  # fmt: skip
    """Categorical cross entropy with each term times alpha * (1 - p) ** gamma."""
    y_true, y_pred = alike(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing)
    p = torch.softmax(y_pred, axis) if from_logits else y_pred
    p = (p / p.sum(axis, keepdim=True)).clamp(EPSILON, 1.0 - EPSILON)
    weight = alpha if isinstance(alpha, int | float) else to_tensor(alpha).to(p)
    return ((1.0 - p) ** gamma * weight * (-y_true * torch.log(p))).sum(axis)


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False,
                                    ignore_class: int | None = None, axis: int = -1) -> torch.Tensor:  # fmt: skip
    """-log p of the class number; clipped probabilities go through a softmax again, as in Keras on TensorFlow."""
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true).to(y_pred.device)
    if axis not in (-1, y_pred.ndim - 1):
        raise ValueError(f"the classes must be on the last axis, not {axis}")
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true.squeeze(-1)
    labels = y_true.long()
    if ignore_class is not None:
        shown = labels != ignore_class
        labels = torch.where(shown, labels, torch.zeros_like(labels))
    logits = y_pred if from_logits else torch.log(y_pred.clamp(EPSILON, 1.0 - EPSILON))
    if ignore_class is not None:
        logits = torch.where(shown.unsqueeze(-1), logits, torch.zeros_like(logits))
    loss = -torch.log_softmax(logits, -1).gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return loss if ignore_class is None else torch.where(shown, loss, torch.zeros_like(loss))


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> torch.Tensor:
    """1 - 2 * overlap / (both sums + 1e-7), over everything unless an axis is given."""
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true).to(y_pred.dtype)
    overlap = torch.sum(y_true * y_pred, dim=axis)
    return 1 - 2.0 * overlap / (torch.sum(y_true, dim=axis) + torch.sum(y_pred, dim=axis) + EPSILON)


def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> torch.Tensor:
    """Dice with a weight each for what the prediction misses (alpha, as Keras has it) and invents (beta)."""
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true).to(y_pred.dtype)
    overlap = torch.sum(y_true * y_pred, dim=axis)
    missed = torch.sum((1 - y_pred) * y_true, dim=axis)
    invented = torch.sum(y_pred * (1 - y_true), dim=axis)
    return 1 - overlap / (overlap + missed * alpha + invented * beta + EPSILON)
