"""tf.keras.backend: elementwise functions and comparisons, losses of probabilities, updates of variables."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.compat.integers import ints, pairs
from tfport.rule import Tensor, array, f32, i32, prove, rule


@rule("tf.keras.backend.square", "tf.keras.ops.square", returns="x")
@prove(f32(2, 3))
@prove(i32(3))
def square(x: Tensor):
    """x * x."""
    return torch.square(x)


@rule("tf.keras.backend.sqrt", returns="x")
@prove(f32(2, 3))
@prove(array([0.0, 4.0, -1.0]), grad=False)
def sqrt(x: Tensor):
    """Square root, 0 for negative values."""
    return torch.sqrt(torch.clamp(x, min=0.0))


@rule("tf.keras.backend.exp", "tf.keras.ops.exp", returns="x")
@prove(f32(2, 3))
def exp(x: Tensor):
    """e to the x."""
    return torch.exp(x)


@rule("tf.keras.backend.log", "tf.keras.ops.log", returns="x")
@prove(f32(2, 3, low=0.1, high=4))
@prove(array([0.0, 1.0]), grad=False)
def log(x: Tensor):
    """Natural logarithm."""
    return torch.log(x)


@rule("tf.keras.backend.abs", "tf.keras.ops.abs", "tf.keras.ops.absolute", returns="x")
@prove(f32(2, 3))
@prove(i32(3))
def abs(x: Tensor):
    """The absolute value."""
    return torch.abs(x)


@rule("tf.keras.backend.sign", "tf.keras.ops.sign", returns="x")
@prove(array([-2.0, 0.0, 3.0]), grad=False)
@prove(i32(4))
def sign(x: Tensor):
    """-1, 0 or 1."""
    return torch.sign(x)


@rule("tf.keras.backend.sin", "tf.keras.ops.sin", returns="x")
@prove(f32(2, 3))
def sin(x: Tensor):
    """Sine."""
    return torch.sin(x)


@rule("tf.keras.backend.cos", "tf.keras.ops.cos", returns="x")
@prove(f32(2, 3))
def cos(x: Tensor):
    """Cosine."""
    return torch.cos(x)


@rule("tf.keras.backend.tanh", "tf.keras.ops.tanh", returns="x")
@prove(f32(2, 3))
def tanh(x: Tensor):
    """Hyperbolic tangent."""
    return torch.tanh(x)


@rule("tf.keras.backend.sigmoid", "tf.keras.ops.sigmoid", returns="x")
@prove(f32(2, 3))
@prove(array([-100.0, 100.0]))
def sigmoid(x: Tensor):
    """1 / (1 + exp(-x))."""
    return torch.sigmoid(x)


@rule("tf.keras.backend.softmax", "tf.keras.ops.softmax", returns="x")
@prove(f32(2, 3))
@prove(f32(2, 3, 4), axis=1)
def softmax(x: Tensor, axis=-1):
    """Softmax, on the last axis unless told."""
    return torch.softmax(x, dim=axis)


@rule("tf.keras.backend.softplus", "tf.keras.ops.softplus", returns="x")
@prove(f32(2, 3))
@prove(array([-40.0, 40.0]))
def softplus(x: Tensor):
    """log(1 + exp(x))."""
    return F.softplus(x)


@rule("tf.keras.backend.softsign", "tf.keras.ops.softsign", returns="x")
@prove(f32(2, 3))
def softsign(x: Tensor):
    """x / (1 + |x|)."""
    return F.softsign(x)


@rule("tf.keras.backend.elu", "tf.keras.ops.elu", returns="x")
@prove(f32(2, 3))
@prove(f32(2, 3), alpha=0.5)
def elu(x: Tensor, alpha=1.0):
    """x, or alpha * (exp(x) - 1) below zero."""
    return F.elu(x, alpha=alpha)


@rule("tf.keras.backend.round", returns="x")
@prove(array([0.5, 1.5, -2.5, 2.4]), grad=False)
def round(x: Tensor):
    """The nearest integer, half to even."""
    return torch.round(x)


@rule("tf.keras.backend.pow", returns="tensor")
@prove(f32(2, 3), 2)
@prove(f32(2, 3), a=3.0)
@prove(f32(2, 3, low=0.1, high=2), f32(2, 3, low=0.1, high=2))
def pow(x: Tensor, a: Tensor):
    """x to the power a."""
    if isinstance(a, (int, float)):
        return torch.pow(x, a)
    return torch.pow(x, a)


@rule("tf.keras.backend.maximum", "tf.keras.ops.maximum", renamed={"x1": "x", "x2": "y"}, returns="tensor")
@prove(f32(2, 3), f32(2, 3, seed=1))
@prove(f32(2, 3), 0.5)
@prove(i32(4), 2)
@prove(array([1.0, 1.0]), array([1.0, 2.0]))
def maximum(x: Tensor, y: Tensor):
    """The larger of two. At a tie TensorFlow's gradient goes to x, as torch.clamp's does."""
    if isinstance(y, (int, float)):
        return torch.clamp(x, min=y)
    return torch.clamp(x, min=y)


@rule("tf.keras.backend.minimum", "tf.keras.ops.minimum", renamed={"x1": "x", "x2": "y"}, returns="tensor")
@prove(f32(2, 3), f32(2, 3, seed=1))
@prove(f32(2, 3), 0.5)
@prove(i32(4), 2)
@prove(array([1.0, 1.0]), array([1.0, 2.0]))
def minimum(x: Tensor, y: Tensor):
    """The smaller of two. At a tie TensorFlow's gradient goes to x, as torch.clamp's does."""
    if isinstance(y, (int, float)):
        return torch.clamp(x, max=y)
    return torch.clamp(x, max=y)


@rule("tf.keras.backend.equal", "tf.keras.ops.equal", renamed={"x1": "x", "x2": "y"}, returns="bool")
@prove(i32(4), i32(4))
@prove(f32(2, 3), f32(3), grad=False)
@prove(i32(4), 3)
def equal(x: Tensor, y: Tensor):
    """x == y, broadcast."""
    if isinstance(y, (int, float)):
        return torch.eq(x, y)
    return torch.eq(x, y)


@rule("tf.keras.backend.not_equal", "tf.keras.ops.not_equal", renamed={"x1": "x", "x2": "y"}, returns="bool")
@prove(i32(4), i32(4))
@prove(i32(4), 3)
def not_equal(x: Tensor, y: Tensor):
    """x != y, broadcast."""
    if isinstance(y, (int, float)):
        return torch.ne(x, y)
    return torch.ne(x, y)


@rule("tf.keras.backend.less", "tf.keras.ops.less", renamed={"x1": "x", "x2": "y"}, returns="bool")
@prove(f32(4), f32(4, seed=1), grad=False)
@prove(i32(4), 3)
def less(x: Tensor, y: Tensor):
    """x < y, broadcast."""
    if isinstance(y, (int, float)):
        return torch.lt(x, y)
    return torch.lt(x, y)


@rule(
    "tf.keras.backend.less_equal", "tf.keras.ops.less_equal", renamed={"x1": "x", "x2": "y"}, returns="bool"
)
@prove(f32(4), f32(4, seed=1), grad=False)
@prove(i32(4), 3)
def less_equal(x: Tensor, y: Tensor):
    """x <= y, broadcast."""
    if isinstance(y, (int, float)):
        return torch.le(x, y)
    return torch.le(x, y)


@rule("tf.keras.backend.greater", "tf.keras.ops.greater", renamed={"x1": "x", "x2": "y"}, returns="bool")
@prove(f32(4), f32(4, seed=1), grad=False)
@prove(i32(4), 3)
def greater(x: Tensor, y: Tensor):
    """x > y, broadcast."""
    if isinstance(y, (int, float)):
        return torch.gt(x, y)
    return torch.gt(x, y)


@rule(
    "tf.keras.backend.greater_equal",
    "tf.keras.ops.greater_equal",
    renamed={"x1": "x", "x2": "y"},
    returns="bool",
)
@prove(f32(4), f32(4, seed=1), grad=False)
@prove(i32(4), 3)
def greater_equal(x: Tensor, y: Tensor):
    """x >= y, broadcast."""
    if isinstance(y, (int, float)):
        return torch.ge(x, y)
    return torch.ge(x, y)


@rule("tf.keras.backend.cumsum", returns="x")
@prove(f32(2, 3))
@prove(i32(2, 3), axis=1)
def cumsum(x: Tensor, axis=0):
    """Running sums; integers keep their dtype."""
    return torch.cumsum(x, dim=axis).to(x.dtype)


@rule("tf.keras.backend.cumprod", returns="x")
@prove(f32(2, 3))
@prove(i32(2, 3), axis=1)
def cumprod(x: Tensor, axis=0):
    """Running products; integers keep their dtype."""
    return torch.cumprod(x, dim=axis).to(x.dtype)


@rule("tf.keras.backend.binary_crossentropy", returns="output")
@prove(array([[0.0, 1.0, 0.5]]), array([[0.0, 0.9, 1.0]]), grad=False)
@prove(f32(2, 3, low=0, high=1), f32(2, 3, low=0.1, high=0.9))
@prove(f32(2, 3, low=0, high=1), f32(2, 3), from_logits=True)
def binary_crossentropy(target: Tensor, output: Tensor, from_logits=False):
    """Element by element; probabilities are clipped to [1e-7, 1 - 1e-7], and 1e-7 is added inside the logarithm."""
    if from_logits:
        return F.binary_cross_entropy_with_logits(output, target, reduction="none")
    return _binary(target, output)


def _binary(target, output):
    p = torch.clamp(output, 1e-7, 1 - 1e-7)
    return -(target * torch.log(p + 1e-7) + (1 - target) * torch.log(1 - p + 1e-7))


@rule("tf.keras.backend.categorical_crossentropy", returns="output")
@prove(f32(2, 3, low=0, high=1), f32(2, 3, low=0.1, high=0.9))
@prove(array([[0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]), f32(2, 3), from_logits=True)
@prove(f32(2, 3, 4, low=0, high=1), f32(2, 3, 4, low=0.1, high=0.9), axis=1)
def categorical_crossentropy(target: Tensor, output: Tensor, from_logits=False, axis=-1):
    """Over the class axis, which is dropped; probabilities are scaled to sum 1 and clipped by 1e-7."""
    if from_logits:
        return -torch.sum(target * torch.log_softmax(output, dim=axis), dim=axis)
    return _categorical(target, output, axis)


def _categorical(target, output, axis):
    p = torch.clamp(output / output.sum(dim=axis, keepdim=True), 1e-7, 1 - 1e-7)
    return -torch.sum(target * torch.log(p), dim=axis)


@rule("tf.keras.backend.sparse_categorical_crossentropy", returns="output")
@prove(array([0, 2], "int32"), f32(2, 3, low=0.1, high=0.9))
@prove(array([0, 2], "int32"), f32(2, 3), from_logits=True)
@prove(array([[0, 2, 1], [1, 1, 0]], "int64"), f32(2, 3, 4, low=0.1, high=0.9))
def sparse_categorical_crossentropy(target, output: Tensor, from_logits=False, axis=-1, ignore_class=None):
    """Over the class axis, which is dropped; the target holds the numbers of the classes."""
    return _sparse(target, output, from_logits, axis, ignore_class)


def _sparse(target, output, from_logits, axis, ignore_class):
    logs = (
        torch.log_softmax(output, dim=axis) if from_logits else torch.log(torch.clamp(output, 1e-7, 1 - 1e-7))
    )
    if not from_logits:
        logs = torch.log_softmax(logs, dim=axis)
    place = target.to(output.device).long()
    kept = place != ignore_class if ignore_class is not None else None
    chosen = torch.gather(logs, axis, (place if kept is None else place * kept).unsqueeze(axis)).squeeze(axis)
    return -chosen if kept is None else torch.where(kept, -chosen, torch.zeros_like(chosen))


@rule("tf.keras.backend.temporal_padding", returns="x")
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), padding=(0, 2))
def temporal_padding(x: Tensor, padding=(1, 1)):
    """Zeros before and after the middle axis of [samples, time, features]."""
    return F.pad(x, (0, 0, padding[0], padding[1]))


@rule("tf.keras.backend.spatial_2d_padding", returns="x")
@prove(f32(2, 3, 4, 1), data_format="channels_last")
@prove(f32(2, 3, 4, 1), padding=((0, 2), (1, 0)), data_format="channels_last")
@prove(f32(2, 1, 3, 4), ((1, 1), (2, 2)), "channels_first")
def spatial_2d_padding(x: Tensor, padding=((1, 1), (1, 1)), data_format=None):
    """Zeros round the rows and columns of a batch of images."""
    return _spatial(x, pairs(padding), data_format)


def _spatial(x, widths, data_format):
    (top, bottom), (left, right) = widths
    if data_format == "channels_first":
        return F.pad(x, (left, right, top, bottom))
    return F.pad(x, (0, 0, left, right, top, bottom))


@rule("tf.keras.backend.random_bernoulli", returns="dtype", pure=False)
@prove([3000], 0.3, random=True)
def random_bernoulli(shape, p=0.0, dtype=None, seed=None):
    """1 with probability p, else 0."""
    return (torch.rand(ints(shape)) < p).to(torch.float32 if dtype is None else dtype)


@rule("tf.keras.backend.count_params", returns="python")
@prove(f32(2, 3))
def count_params(x: Tensor):
    """The number of values."""
    return x.numel()
