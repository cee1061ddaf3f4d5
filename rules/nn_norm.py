"""Moments and normalisation of tf.nn."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.compat.windows import channels_last as _channels_last
from tfport.rule import Tensor, array, f16, f32, f64, prove, rule


@rule("tf.nn.moments", version=2, renamed={"keep_dims": "keepdims"})
@prove(f32(4, 3), [0])
@prove(f32(2, 3, 4, 5), axes=[0, 1, 2], keepdims=True)
@prove(f32(2, 3, 4), axes=-1)
@prove(f64(2, 3, 4), [1, 2])
@prove(f16(8, 3), [0], grad=False)
@prove(f32(1, 3), axes=[0])
@prove(array([[1.0, float("nan")], [2.0, 3.0]]), [0], grad=False)
def moments(x: Tensor, axes, shift=None, keepdims=False, name=None):
    """Mean and biased variance; float16 is summed in float32."""
    return _moments(x, axes, keepdims)


def _moments(x, axes, keepdims):
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    axes = axes.tolist() if isinstance(axes, torch.Tensor) else axes
    axes = [axes] if isinstance(axes, int) else list(axes)
    if not axes:
        return x, torch.zeros_like(x)
    variance, mean = torch.var_mean(wide, dim=axes, correction=0, keepdim=bool(keepdims))
    return mean.to(x.dtype), variance.to(x.dtype)


@rule("tf.compat.v1.nn.moments", "tf.nn.moments", version=1, renamed={"keepdims": "keep_dims"})
@prove(f32(4, 3), [0])
@prove(f32(2, 3, 4, 5), axes=[0, 1, 2], keep_dims=True)
@prove(f32(2, 3, 4), axes=[1], keepdims=True)
@prove(f32(2, 3, 4), [1], None, "name", True)
def moments_v1(x: Tensor, axes, shift=None, name=None, keep_dims=None):
    """TensorFlow 1 has the name before keep_dims."""
    return _moments(x, axes, keep_dims)


def _weighted(x, axes, weights, keepdims):
    axes = [axes] if isinstance(axes, int) else list(axes)
    weights = weights.to(x.dtype).broadcast_to(torch.broadcast_shapes(x.shape, weights.shape))
    total = weights.sum(dim=axes, keepdim=True)
    mean = (weights * x).sum(dim=axes, keepdim=True) / total
    variance = (weights * (x - mean.detach()) ** 2).sum(dim=axes, keepdim=True) / total
    if keepdims:
        return mean, variance
    return mean.squeeze(axes), variance.squeeze(axes)


@rule("tf.nn.weighted_moments", version=2)
@prove(f32(4, 3), [0], f32(4, 3, low=0.1, high=1.0))
@prove(f32(4, 3, 2), [0, 1], f32(4, 1, 1, low=0.1, high=1.0), keepdims=True)
def weighted_moments(x: Tensor, axes, frequency_weights: Tensor, keepdims=False, name=None):
    """Mean and variance with a weight per element (broadcast)."""
    return _weighted(x, axes, frequency_weights, keepdims)


@rule("tf.nn.batch_normalization", returns="x")
@prove(f32(4, 3), f32(3), f32(3, low=0.1, high=2.0), f32(3), f32(3), 1e-3)
@prove(
    f32(2, 3, 4, 5),
    mean=f32(5),
    variance=f32(5, low=0.1, high=1.0),
    offset=None,
    scale=None,
    variance_epsilon=1e-5,
)
@prove(f32(2, 5), f32(5), f32(5, low=0.1, high=1.0), f32(5), None, 1e-5)
@prove(f32(2, 5), f32(5), f32(5, low=0.1, high=1.0), None, f32(5), 1e-5)
@prove(f64(2, 3, 5), f64(1, 1, 5), f64(1, 1, 5, low=0.1, high=1.0), f64(5), f64(5), 1e-3)
def batch_normalization(x: Tensor, mean: Tensor, variance: Tensor, offset: Tensor, scale: Tensor, variance_epsilon,
                        name=None):  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon) * scale + offset; offset and scale may be None."""
    if offset is None and scale is None:
        return (x - mean) * torch.rsqrt(variance + variance_epsilon)
    if offset is None:
        return (x - mean) * torch.rsqrt(variance + variance_epsilon) * scale
    if scale is None:
        return (x - mean) * torch.rsqrt(variance + variance_epsilon) + offset
    return (x - mean) * torch.rsqrt(variance + variance_epsilon) * scale + offset


def _fused(x, scale, offset, mean, variance, epsilon, data_format, training, factor):
    last = _channels_last(data_format)
    planes = (x.movedim(-1, 1) if last else x).float()
    axes = [0, *range(2, planes.ndim)]
    if training:
        now_variance, now_mean = torch.var_mean(planes, dim=axes, correction=0)
        count = planes.numel() // max(planes.shape[1], 1)
        unbiased = now_variance * (count / max(count - 1, 1))
        new_mean, new_variance = now_mean, unbiased
        if factor != 1.0:
            new_mean = mean * (1.0 - factor) + now_mean * factor
            new_variance = variance * (1.0 - factor) + unbiased * factor
        result = F.batch_norm(planes, None, None, scale, offset, training=True, eps=epsilon)
    else:
        new_mean, new_variance = mean, variance
        wide = (-1, *[1] * (planes.ndim - 2))
        result = (planes - mean.reshape(wide)) * (torch.rsqrt(variance + epsilon) * scale).reshape(wide)
        result = result + offset.reshape(wide)
    result = result.to(x.dtype)
    return (result.movedim(1, -1) if last else result), new_mean.detach(), new_variance.detach()


@rule("tf.compat.v1.nn.fused_batch_norm", "tf.nn.fused_batch_norm")
@prove(f32(2, 4, 5, 3), f32(3), f32(3))
@prove(f32(2, 4, 5, 3), f32(3), f32(3), epsilon=1e-2)
@prove(f32(2, 4, 5, 3), scale=f32(3), offset=f32(3), mean=f32(3), variance=f32(3, low=0.1, high=1.0),
       is_training=False, grad=False)  # fmt: skip
@prove(f32(2, 4, 5, 3), f32(3), f32(3), f32(3), f32(3, low=0.1, high=1.0), exponential_avg_factor=0.25)
@prove(f16(2, 4, 5, 3), f32(3), f32(3), grad=False)
def fused_batch_norm(x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor = None, variance: Tensor = None,
                     epsilon=0.001, data_format="NHWC", is_training=True, name=None, exponential_avg_factor=1.0):  # fmt: skip
    """The normalised batch, its mean and its unbiased variance (n / (n - 1)), or their running means."""
    epsilon = max(epsilon, 1.001e-5)
    return _fused(x, scale, offset, mean, variance, epsilon, data_format, is_training, exponential_avg_factor)


def _lrn(x, radius, bias, alpha, beta):
    squares = F.pad(x.square(), (radius, radius))
    sums = squares.unfold(-1, 2 * radius + 1, 1).sum(-1)
    return x * (bias + alpha * sums) ** -beta


@rule("tf.nn.local_response_normalization", "tf.nn.lrn", returns="input")
@prove(f32(2, 3, 4, 7))
@prove(f32(2, 3, 4, 7), depth_radius=2, bias=2.0, alpha=1e-4, beta=0.75)
@prove(f32(2, 3, 4, 3), 4, 1.0, 0.01, 0.75)
@prove(f16(2, 3, 4, 3), grad=False)
def local_response_normalization(input: Tensor, depth_radius=5, bias=1, alpha=1, beta=0.5, name=None):
    """x / (bias + alpha * sum of squares over 2 * depth_radius + 1 channels) ** beta; torch's alpha is a mean's."""
    return _lrn(input, int(depth_radius), bias, alpha, beta)


def _statistics(x, axes, shift, keepdims):
    axes = [axes] if isinstance(axes, int) else list(axes)
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    about = x if shift is None else x - shift
    sums = (
        torch.sum(about, dim=axes, keepdim=bool(keepdims)),
        torch.sum(about**2, dim=axes, keepdim=bool(keepdims)),
    )
    return torch.tensor(float(count), dtype=x.dtype, device=x.device), *sums, shift


@rule("tf.nn.sufficient_statistics", version=2)
@prove(f32(4, 3), [0], shift=array([0.5, 1.0, 2.0]))
@prove(f32(4, 3, 2), [0, 1], array(0.5), True)
def sufficient_statistics(x: Tensor, axes, shift: Tensor = None, keepdims=False, name=None):
    """Count, sum and sum of squares about the shift, and the shift."""
    return _statistics(x, axes, shift, keepdims)


@rule("tf.nn.normalize_moments")
@prove(array(4.0), f32(3), f32(3, low=5.0, high=9.0), None)
@prove(array(4.0), f32(3), f32(3, low=5.0, high=9.0), array([1.0, 2.0, 3.0]))
def normalize_moments(counts: Tensor, mean_ss: Tensor, variance_ss: Tensor, shift: Tensor, name=None):
    """Mean and variance from sufficient statistics."""
    return _normalize(counts, mean_ss, variance_ss, shift)


def _normalize(counts, mean_ss, variance_ss, shift):
    about = mean_ss / counts
    return about if shift is None else about + shift, variance_ss / counts - about.square()
