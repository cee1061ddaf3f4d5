"""Losses of tf.nn: per example, from logits."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tfport.rule import Indices, Operand, Tensor, array, f32, f64, i32, i64, prove, rule


@rule("tf.nn.sparse_softmax_cross_entropy_with_logits", returns="logits")
@prove(labels=i32(4, low=0, high=3), logits=f32(4, 3))
@prove(i64(4, low=0, high=3), f64(4, 3))
@prove(labels=i64(4, 2, low=0, high=3), logits=f32(4, 2, 3))
@prove(labels=i64(2, 3, 4, low=0, high=5), logits=f32(2, 3, 4, 5))
@prove(labels=i64(0, low=0, high=3), logits=f32(0, 3))
@prove(labels=array([0, 1], "int64"), logits=array([[1e4, -1e4], [1e4, -1e4]]))
@prove(labels=array([0, 3], "int64"), logits=f32(2, 3), raises=True)
def sparse_softmax_cross_entropy_with_logits(labels: Indices = None, logits: Tensor = None, name=None):
    """One loss per example from class numbers; torch has the classes on axis 1, TensorFlow on the last."""
    return F.cross_entropy(logits.movedim(-1, 1), labels.long(), reduction="none")


_DISTRIBUTION = array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])


@rule("tf.nn.softmax_cross_entropy_with_logits", "tf.compat.v1.nn.softmax_cross_entropy_with_logits_v2",
      "tf.nn.softmax_cross_entropy_with_logits_v2", version=2, renamed={"dim": "axis"}, returns="logits")  # fmt: skip
@prove(labels=_DISTRIBUTION, logits=f32(2, 3))
@prove(_DISTRIBUTION, f32(2, 3), -1)
@prove(labels=array([[0.2, 1.0], [0.3, 0.0], [0.5, 0.0]]), logits=f32(3, 2), axis=0)
@prove(labels=f32(2, 3, 4), logits=f32(2, 3, 4), grad=False)
@prove(labels=array([[0.2, 0.8]], "float64"), logits=f64(1, 2))
@prove(labels=f32(0, 3), logits=f32(0, 3))
def softmax_cross_entropy_with_logits(labels: Tensor, logits: Tensor, axis=-1, name=None):
    """-sum(labels * log_softmax(logits)); gradients reach the labels too.

    The labels must be distributions: for rows that do not sum to 1 TensorFlow documents its gradient,
    softmax - labels, as incorrect; torch's is the derivative of the loss.
    """
    return -torch.sum(labels * torch.log_softmax(logits, dim=axis), dim=axis)


@rule("tf.compat.v1.nn.softmax_cross_entropy_with_logits", "tf.nn.softmax_cross_entropy_with_logits", version=1,
      renamed={"axis": "dim"}, returns="logits")  # fmt: skip
@prove(labels=_DISTRIBUTION, logits=f32(2, 3))
@prove(labels=array([[0.2, 1.0], [0.3, 0.0], [0.5, 0.0]]), logits=f32(3, 2), dim=0)
def softmax_cross_entropy_with_logits_v1(labels: Tensor = None, logits: Tensor = None, dim=-1, name=None):
    """-sum(labels * log_softmax(logits)); in TensorFlow 1 no gradient reaches the labels."""
    return -torch.sum(labels.detach() * torch.log_softmax(logits, dim=dim), dim=dim)


@rule("tf.nn.sigmoid_cross_entropy_with_logits", renamed={"targets": "labels"}, returns="logits")
@prove(labels=f32(3, 4, low=0.0, high=1.0), logits=f32(3, 4))
@prove(f64(3, low=0.0, high=1.0), f64(3))
@prove(labels=array([0.0, 1.0, 0.0, 1.0]), logits=array([0.0, 0.0, 100.0, -100.0]))
@prove(labels=f32(0, 2), logits=f32(0, 2))
@prove(labels=f32(3, 1), logits=f32(3, 4), raises=True)
def sigmoid_cross_entropy_with_logits(labels: Tensor = None, logits: Tensor = None, name=None):
    """One loss per element; the shapes must be equal in both."""
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


@rule("tf.nn.weighted_cross_entropy_with_logits", renamed={"targets": "labels"}, returns="logits")
@prove(labels=f32(3, 4, low=0.0, high=1.0), logits=f32(3, 4), pos_weight=array(2.0))
@prove(labels=f32(3, 4, low=0.0, high=1.0), logits=f32(3, 4), pos_weight=0.3)
@prove(labels=array([0.0, 1.0, 1.0]), logits=array([0.0, 0.0, 60.0]), pos_weight=3.0)
@prove(labels=f32(3, 4, low=0.0, high=1.0), logits=f32(3, 4), pos_weight=array([1.0, 2.0, 3.0, 0.5]))
@prove(f64(3, 4, low=0.0, high=1.0), f64(3, 4), array([0.5], "float64"))
def weighted_cross_entropy_with_logits(labels: Tensor = None, logits: Tensor = None, pos_weight: Operand = None,
                                       name=None):  # fmt: skip
    """Sigmoid cross entropy with the positive term multiplied by pos_weight.

    Spelled out: torch's has no gradient for pos_weight and, at a logit of 0, another one for the logits.
    """
    return _weighted_cross_entropy(labels, logits, pos_weight)


def _weighted_cross_entropy(labels, logits, pos_weight):
    weight = 1 + (pos_weight - 1) * labels
    return (1 - labels) * logits + weight * (torch.log1p(torch.exp(-torch.abs(logits))) + torch.relu(-logits))


@rule("tf.nn.l2_loss", returns="t")
@prove(f32(3, 4))
@prove(f64(2, 3, 4))
@prove(f32(0, 4))
@prove(array(3.0))
def l2_loss(t: Tensor, name=None):
    """Half the sum of squares; no root, no mean."""
    return torch.sum(t**2) / 2


def _poisson(targets, log_input, full):
    loss = torch.exp(log_input) - log_input * targets
    if not full:
        return loss
    stirling = targets * torch.log(targets) - targets + 0.5 * torch.log(2.0 * math.pi * targets)
    return loss + torch.where((targets >= 0) & (targets <= 1), torch.zeros_like(targets), stirling)


@rule("tf.nn.log_poisson_loss", returns="log_input")
@prove(f32(3, 4, low=0.0, high=9.0), f32(3, 4))
@prove(f32(3, 4, low=2.0, high=9.0), f32(3, 4), compute_full_loss=True)
@prove(array([0.0, 0.5, 1.0, 2.0]), f32(4), True, grad=False)
def log_poisson_loss(targets: Tensor, log_input: Tensor, compute_full_loss=False, name=None):
    """exp(log_input) - log_input * targets, and Stirling's term for targets above 1 where asked."""
    return _poisson(targets, log_input, compute_full_loss)


@rule("tf.nn.ctc_loss", version=2, returns="logits")
@prove(
    i32(3, 4, low=1, high=6),
    f32(10, 3, 6),
    array([4, 2, 3], "int32"),
    array([10, 9, 7], "int32"),
    blank_index=0,
)
@prove(i32(2, 3, low=0, high=5), f32(2, 8, 6), array([3, 1], "int32"), array([8, 6], "int32"),
       logits_time_major=False, blank_index=-1)  # fmt: skip
def ctc_loss(labels: Indices, logits: Tensor, label_length: Indices, logit_length: Indices, logits_time_major=True,
             unique=None, blank_index=None, name=None):  # fmt: skip
    """One loss per example from dense labels; the softmax is inside. An impossible alignment is inf in both."""
    return _ctc(labels, logits, label_length, logit_length, logits_time_major, blank_index)


def _ctc(labels, logits, label_length, logit_length, time_major, blank_index):
    frames = torch.log_softmax(logits if time_major else logits.transpose(0, 1), dim=-1)
    blank = 0 if blank_index is None else blank_index
    blank = blank + frames.shape[-1] if blank < 0 else blank
    return F.ctc_loss(
        frames, labels.long(), logit_length.long(), label_length.long(), blank=blank, reduction="none",
    )  # fmt: skip


@rule("tf.nn.compute_average_loss")
@prove(f32(4))
@prove(f32(4), sample_weight=f32(4, low=0.0, high=1.0))
@prove(f32(4), global_batch_size=16)
@prove(f32(4, 3), global_batch_size=4, grad=False)
def compute_average_loss(per_example_loss: Tensor, sample_weight: Tensor = None, global_batch_size=None):
    """The sum divided by the global batch size, by default the size of the first axis, on one replica."""
    if sample_weight is None and global_batch_size is None:
        return torch.sum(per_example_loss) / per_example_loss.shape[0]
    if sample_weight is None:
        return torch.sum(per_example_loss) / global_batch_size
    return _average(per_example_loss, sample_weight, global_batch_size)


def _average(loss, weight, size):
    weighted = loss * weight.to(loss.dtype)
    return weighted.sum() / (loss.shape[0] if size is None else size)


@rule("tf.nn.scale_regularization_loss")
@prove(f32(3))
@prove(array(2.5))
def scale_regularization_loss(regularization_loss: Tensor):
    """The sum divided by the number of replicas: one here."""
    return torch.sum(regularization_loss)
