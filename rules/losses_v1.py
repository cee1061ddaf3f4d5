"""tf.losses of TensorFlow 1: weighted sums divided by the number of nonzero weights.

The weights broadcast against the losses: equal sizes or 1 on every axis, or a scalar. Every loss is also added to a
collection in TensorFlow 1; in the port the value is returned, and nothing is collected.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.rule import Indices, Tensor, array, f32, f64, i32, i64, prove, rule

_NONZERO = "weighted_sum_by_nonzero_weights"

CONSTANTS = {
    "tf.losses.Reduction.NONE": "none",
    "tf.losses.Reduction.SUM": "sum",
    "tf.losses.Reduction.MEAN": "weighted_mean",
    "tf.losses.Reduction.SUM_OVER_BATCH_SIZE": "sum_over_batch_size",
    "tf.losses.Reduction.SUM_BY_NONZERO_WEIGHTS": "weighted_sum_by_nonzero_weights",
    "tf.losses.Reduction.SUM_OVER_NONZERO_WEIGHTS": "weighted_sum_by_nonzero_weights",
}


def _fit(weights, losses):
    """The weights as a tensor that broadcasts against the losses. Raises ValueError if it does not."""
    weights = (
        weights.to(losses.dtype) if isinstance(weights, torch.Tensor) else torch.as_tensor(weights).to(losses)
    )
    if weights.ndim and (
        weights.ndim != losses.ndim
        or any(w not in (1, n) for w, n in zip(weights.shape, losses.shape, strict=True))
    ):
        raise ValueError(
            f"weights of shape {list(weights.shape)} do not fit losses of shape {list(losses.shape)}"
        )
    return weights


def _reduce(losses, weights, reduction):
    kept = losses.dtype
    losses = losses if losses.is_floating_point() else losses.float()
    weights = _fit(weights, losses)
    weighted = losses * weights
    if reduction == "none":
        return weighted.to(kept)
    total = weighted.sum()
    if reduction in ("weighted_sum", "sum"):  # TensorFlow 2's words are the same constants
        return total.to(kept)
    spread = torch.broadcast_to(weights, losses.shape)
    if reduction == "weighted_mean":
        divisor = spread.sum()
    elif reduction in ("weighted_sum_over_batch_size", "sum_over_batch_size"):
        divisor = torch.full_like(total, float(losses.numel()))
    elif reduction == "weighted_sum_by_nonzero_weights":
        divisor = (spread != 0).sum().to(losses.dtype)
    else:
        raise ValueError(f"reduction {reduction!r} is not one of tf.losses.Reduction")
    safe = torch.where(divisor == 0, torch.ones_like(divisor), divisor)
    return torch.where(divisor == 0, torch.zeros_like(total), total / safe).to(kept)


def _both(labels, predictions):
    labels = labels.float() if predictions.dtype == torch.float32 else labels.to(predictions.dtype)
    if labels.shape != predictions.shape:
        if (
            labels.ndim == predictions.ndim + 1 and labels.shape[-1] == 1
        ) or predictions.numel() == labels.numel() == 1:
            labels = labels.reshape(predictions.shape)
        else:
            raise ValueError(
                f"labels {list(labels.shape)} and predictions {list(predictions.shape)} differ in shape"
            )
    return labels, predictions


@rule("tf.compat.v1.losses.compute_weighted_loss", "tf.losses.compute_weighted_loss", version=1)
@prove(f32(4, 3))
@prove(f32(4, 3), 2.0)
@prove(f32(4, 3), weights=array([[1.0], [0.0], [2.0], [0.0]]))
@prove(f32(4, 3), weights=f32(4, 3), reduction="none")
@prove(f32(4, 3), weights=f32(1, 3), reduction="weighted_sum")
@prove(f32(4, 3), weights=f32(4, 1), reduction="weighted_mean")
@prove(f32(4, 3), weights=f32(4, 1), reduction="weighted_sum_over_batch_size")
@prove(f64(4, 3), weights=0.0)
@prove(f32(4, 3), weights=f32(4), raises=True)
@prove(f32(4, 3), weights=f32(3), raises=True)
def compute_weighted_loss(
    losses: Tensor, weights=1.0, scope=None, loss_collection="losses", reduction=_NONZERO
):
    """The sum of losses * weights divided by the number of weights that are not 0, broadcast."""
    return _reduce(losses, weights, reduction)


@rule("tf.compat.v1.losses.mean_squared_error", "tf.losses.mean_squared_error", version=1)
@prove(f32(4, 3), f32(4, 3, seed=1))
@prove(labels=f32(4, 3), predictions=f32(4, 3, seed=1), weights=array([[1.0], [0.0], [2.0], [0.0]]))
@prove(labels=i32(4, 3), predictions=f32(4, 3), weights=0.5)
@prove(f32(4, 3), f32(4), raises=True)
def mean_squared_error(labels: Tensor, predictions: Tensor, weights=1.0, scope=None, loss_collection="losses",
                       reduction=_NONZERO):  # fmt: skip
    """(predictions - labels) ** 2."""
    return _squared(labels, predictions, weights, reduction)


def _squared(labels, predictions, weights, reduction):
    labels, predictions = _both(labels, predictions)
    return _reduce(torch.square(predictions - labels), weights, reduction)


@rule("tf.compat.v1.losses.absolute_difference", "tf.losses.absolute_difference", version=1)
@prove(f32(4, 3), f32(4, 3, seed=1))
@prove(f32(4, 3), f32(4, 3, seed=1), f32(4, 3, low=0.0, high=1.0))
def absolute_difference(labels: Tensor, predictions: Tensor, weights=1.0, scope=None, loss_collection="losses",
                        reduction=_NONZERO):  # fmt: skip
    """|predictions - labels|."""
    return _absolute(labels, predictions, weights, reduction)


def _absolute(labels, predictions, weights, reduction):
    labels, predictions = _both(labels, predictions)
    return _reduce(torch.abs(predictions - labels), weights, reduction)


@rule("tf.compat.v1.losses.huber_loss", "tf.losses.huber_loss", version=1)
@prove(f32(4, 3), f32(4, 3, seed=1))
@prove(f32(4, 3), f32(4, 3, seed=1), delta=0.3)
@prove(array([0.0]), array([1.0]))
def huber_loss(labels: Tensor, predictions: Tensor, weights=1.0, delta=1.0, scope=None, loss_collection="losses",
               reduction=_NONZERO):  # fmt: skip
    """Half the square up to delta, linear beyond."""
    return _huber(labels, predictions, weights, delta, reduction)


def _huber(labels, predictions, weights, delta, reduction):
    labels, predictions = _both(labels, predictions)
    size = torch.abs(predictions - labels)
    quadratic = torch.clamp(size, max=delta)
    return _reduce(0.5 * torch.square(quadratic) + delta * (size - quadratic), weights, reduction)


@rule("tf.compat.v1.losses.log_loss", "tf.losses.log_loss", version=1)
@prove(f32(4, 3, low=0.0, high=1.0), f32(4, 3, low=0.0, high=1.0, seed=1))
@prove(array([0.0, 1.0]), array([1.0, 0.0]), epsilon=1e-3)
def log_loss(labels: Tensor, predictions: Tensor, weights=1.0, epsilon=1e-7, scope=None, loss_collection="losses",
             reduction=_NONZERO):  # fmt: skip
    """-t * log(p + epsilon) - (1 - t) * log(1 - p + epsilon): epsilon is added, nothing is clipped."""
    return _log(labels, predictions, weights, epsilon, reduction)


def _log(labels, predictions, weights, epsilon, reduction):
    labels, predictions = _both(labels, predictions)
    losses = -labels * torch.log(predictions + epsilon) - (1 - labels) * torch.log(1 - predictions + epsilon)
    return _reduce(losses, weights, reduction)


@rule("tf.compat.v1.losses.hinge_loss", "tf.losses.hinge_loss", version=1)
@prove(i32(4, 3, low=0, high=2), f32(4, 3))
@prove(array([0.0, 1.0, 1.0]), array([-1.0, 1.0, 0.0]), grad=False)
def hinge_loss(
    labels: Tensor, logits: Tensor, weights=1.0, scope=None, loss_collection="losses", reduction=_NONZERO
):
    """max(0, 1 - (2 * labels - 1) * logits): labels are 0 and 1."""
    return _hinge(labels, logits, weights, reduction)


def _hinge(labels, logits, weights, reduction):
    labels, logits = _both(labels, logits)
    return _reduce(torch.relu(1.0 - (2.0 * labels - 1.0) * logits), weights, reduction)


@rule("tf.compat.v1.losses.cosine_distance", "tf.losses.cosine_distance", version=1)
@prove(f32(4, 3), f32(4, 3, seed=1), 1)
@prove(f32(4, 3), f32(4, 3, seed=1), axis=0, weights=2.0)
@prove(f32(2, 4, 3), f32(2, 4, 3, seed=1), dim=2, weights=f32(2, 4, 1))
@prove(f32(4, 3), f32(4, 3, seed=1), raises=True)
def cosine_distance(labels: Tensor, predictions: Tensor, axis=None, weights=1.0, scope=None,
                    loss_collection="losses", reduction=_NONZERO, dim=None):  # fmt: skip
    """1 - sum(labels * predictions) along the axis, which keeps its place; both are taken as unit vectors."""
    return _cosine(labels, predictions, dim if axis is None else axis, weights, reduction)


def _cosine(labels, predictions, axis, weights, reduction):
    if axis is None:
        raise ValueError("cosine_distance needs an axis")
    labels, predictions = _both(labels, predictions)
    return _reduce(1.0 - (labels * predictions).sum(axis, keepdim=True), weights, reduction)


@rule("tf.compat.v1.losses.sigmoid_cross_entropy", "tf.losses.sigmoid_cross_entropy", version=1)
@prove(i32(4, 3, low=0, high=2), f32(4, 3))
@prove(multi_class_labels=i32(4, 3, low=0, high=2), logits=f32(4, 3), weights=f32(4, 1), label_smoothing=0.1)
def sigmoid_cross_entropy(multi_class_labels: Tensor, logits: Tensor, weights=1.0, label_smoothing=0, scope=None,
                          loss_collection="losses", reduction=_NONZERO):  # fmt: skip
    """Sigmoid cross entropy per element; smoothing pulls the labels to one half."""
    return _sigmoid(multi_class_labels, logits, weights, label_smoothing, reduction)


def _sigmoid(labels, logits, weights, smoothing, reduction):
    labels = labels.to(logits.dtype)
    if smoothing > 0:
        labels = labels * (1 - smoothing) + 0.5 * smoothing
    return _reduce(F.binary_cross_entropy_with_logits(logits, labels, reduction="none"), weights, reduction)


@rule("tf.compat.v1.losses.softmax_cross_entropy", "tf.losses.softmax_cross_entropy", version=1)
@prove(array([[1, 0, 0], [0, 0, 1]], "int32"), f32(2, 3))
@prove(
    onehot_labels=array([[1.0, 0.0], [0.0, 1.0]]),
    logits=f32(2, 2),
    weights=array([0.0, 2.0]),
    label_smoothing=0.1,
)
@prove(array([[1.0, 0.0], [0.0, 1.0]]), f32(2, 2), reduction="none")
def softmax_cross_entropy(onehot_labels: Tensor, logits: Tensor, weights=1.0, label_smoothing=0, scope=None,
                          loss_collection="losses", reduction=_NONZERO):  # fmt: skip
    """Softmax cross entropy per example; smoothing spreads over the classes; no gradient reaches the labels."""
    return _softmax(onehot_labels, logits, weights, label_smoothing, reduction)


def _softmax(labels, logits, weights, smoothing, reduction):
    labels = labels.detach().to(logits.dtype)
    if smoothing > 0:
        labels = labels * (1 - smoothing) + smoothing / labels.shape[1]
    return _reduce(-(labels * torch.log_softmax(logits, -1)).sum(-1), weights, reduction)


@rule("tf.compat.v1.losses.sparse_softmax_cross_entropy", "tf.losses.sparse_softmax_cross_entropy", version=1)
@prove(i32(4, low=0, high=3), f32(4, 3))
@prove(labels=i64(4, 1, low=0, high=3), logits=f32(4, 3), weights=array([1.0, 0.0, 2.0, 0.0]))
@prove(labels=i64(2, 4, low=0, high=3), logits=f32(2, 4, 3), weights=f32(2, 4))
@prove(labels=i64(4, 1, low=0, high=3), logits=f32(4, 3), weights=f32(4, 1))
def sparse_softmax_cross_entropy(labels: Indices, logits: Tensor, weights=1.0, scope=None, loss_collection="losses",
                                 reduction=_NONZERO):  # fmt: skip
    """Softmax cross entropy per example from class numbers."""
    return _sparse(labels, logits, weights, reduction)


def _sparse(labels, logits, weights, reduction):
    labels = labels.squeeze(-1) if labels.ndim == logits.ndim else labels
    if isinstance(weights, torch.Tensor) and weights.ndim == labels.ndim + 1:
        weights = weights.squeeze(-1)
    losses = F.cross_entropy(logits.movedim(-1, 1), labels.long(), reduction="none")
    return _reduce(losses, weights, reduction)
