"""Random tensors. The streams of the frameworks differ; shapes, dtypes, bounds and moments agree."""

from __future__ import annotations

import torch
from torch import nn

from tfport.compat import seeds
from tfport.compat.arguments import to_tensor
from tfport.compat.integers import ints
from tfport.rule import Tensor, array, f32, i32, prove, rule


@rule("tf.random.uniform", "tf.random_uniform", returns="dtype", pure=False)
@prove([4, 500], random=True)
@prove([2000], -1.0, 3.0, random=True)
@prove((4, 500), minval=2, maxval=4.5, random=True)
@prove([2000], maxval=10, dtype=torch.int32, random=True)
@prove([2000], -5, 5, torch.int64, random=True)
@prove([2000], dtype=torch.float64, seed=3, random=True)
@prove(array([30, 40], "int32"), random=True)
@prove([600, 2], array([0.0, 10.0]), array([1.0, 20.0]), random=True, grad=False)
@prove([], random=True, rtol=9)
@prove([3], maxval=None, dtype=torch.int32, raises=True)
def uniform(shape, minval=0, maxval=None, dtype=torch.float32, seed=None, name=None):
    """Uniform values in [minval, maxval). ``seed`` gives a stream of its own, other numbers than TensorFlow's."""
    if seed is None and isinstance(shape, (list, tuple)) and isinstance(minval, (int, float)):
        if minval == 0 and maxval is None and dtype.is_floating_point:
            return torch.rand(shape, dtype=dtype)
    if (
        seed is None
        and isinstance(shape, (list, tuple))
        and isinstance(minval, (int, float))
        and isinstance(maxval, (int, float))
    ):
        if dtype.is_floating_point and minval == 0 and maxval == 1:
            return torch.rand(shape, dtype=dtype)
        if dtype.is_floating_point:
            return torch.empty(shape, dtype=dtype).uniform_(minval, maxval)
        return torch.randint(minval, maxval, shape, dtype=dtype)  # type: ignore[arg-type]
    return _uniform(shape, minval, maxval, dtype, seeds.stream(seed))


def _uniform(shape, minval, maxval, dtype, generator):
    if not dtype.is_floating_point:
        if maxval is None:
            raise ValueError("integers need maxval")
        return torch.randint(int(minval), int(maxval), ints(shape), dtype=dtype, generator=generator)
    low, high = (
        to_tensor(minval, dtype).to(dtype),
        to_tensor(1 if maxval is None else maxval, dtype).to(dtype),
    )
    return torch.rand(ints(shape), dtype=dtype, generator=generator) * (high - low) + low


@rule("tf.random.normal", "tf.random_normal", returns="dtype", pure=False)
@prove([4, 500], random=True)
@prove([2000], 1.0, 0.5, random=True)
@prove((4, 500), mean=-2.0, random=True)
@prove([2000], stddev=3.0, dtype=torch.float64, random=True)
@prove([2000], seed=3, random=True)
@prove(array([30, 40], "int32"), random=True)
@prove([600, 2], array([0.0, 10.0]), array([1.0, 0.1]), random=True, grad=False)
def normal(shape, mean=0.0, stddev=1.0, dtype=torch.float32, seed=None, name=None):
    """Normal values. ``seed`` gives a stream of its own, other numbers than TensorFlow's."""
    numbers = isinstance(mean, (int, float)) and isinstance(stddev, (int, float))
    if seed is None and isinstance(shape, (list, tuple)) and numbers:
        if mean == 0 and stddev == 1:
            return torch.randn(shape, dtype=dtype)
        if mean == 0:
            return torch.randn(shape, dtype=dtype) * stddev
        if stddev == 1:
            return torch.randn(shape, dtype=dtype) + mean
        return torch.randn(shape, dtype=dtype) * stddev + mean
    return _normal(shape, mean, stddev, dtype, seeds.stream(seed))


def _normal(shape, mean, stddev, dtype, generator):
    drawn = torch.randn(ints(shape), dtype=dtype, generator=generator)
    return drawn * to_tensor(stddev, dtype) + to_tensor(mean, dtype)


@rule("tf.random.truncated_normal", "tf.truncated_normal", returns="dtype", pure=False)
@prove([4, 500], random=True)
@prove([2000], 1.0, 0.5, random=True)
@prove([2000], stddev=0.1, seed=2, random=True)
@prove((2000,), mean=3.0, dtype=torch.float64, random=True)
def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=torch.float32, seed=None, name=None):
    """Normal values no further than two standard deviations from the mean; trunc_normal_'s bounds are absolute."""
    numbers = isinstance(mean, (int, float)) and isinstance(stddev, (int, float))
    if seed is None and isinstance(shape, (list, tuple)) and numbers:
        low = mean - 2 * stddev
        high = mean + 2 * stddev
        return nn.init.trunc_normal_(torch.empty(shape, dtype=dtype), mean, stddev, low, high)
    return _truncated(shape, mean, stddev, dtype, seeds.stream(seed))


def _truncated(shape, mean, stddev, dtype, generator):
    drawn = nn.init.trunc_normal_(
        torch.empty(ints(shape), dtype=dtype), 0.0, 1.0, -2.0, 2.0, generator=generator
    )
    return drawn * to_tensor(stddev, dtype) + to_tensor(mean, dtype)


@rule("tf.random.shuffle", "tf.random_shuffle", returns="value", pure=False)
@prove(f32(2000), random=True, grad=False)
@prove(i32(6, 2), seed=4, random=True)
def shuffle(value: Tensor, seed=None, name=None):
    """The slices along the first axis in random order."""
    return _shuffle(value, seed)


def _shuffle(value, seed):
    order = torch.randperm(value.shape[0], generator=seeds.stream(seed))
    return value[order.to(value.device)]


@rule("tf.random.categorical", returns="dtype", pure=False)
@prove(array([[0.0, 1.0, -1.0]]), 3000, random=True, grad=False)
@prove(f32(3, 4), 1000, dtype=torch.int32, random=True, grad=False)
@prove(f32(2, 4), num_samples=1000, seed=1, random=True, grad=False)
def categorical(logits: Tensor, num_samples, dtype=torch.int64, seed=None, name=None):
    """Samples [batch, num_samples] of the classes with these logits."""
    if seed is None and dtype == torch.int64:
        return torch.multinomial(torch.softmax(logits, dim=-1), num_samples, replacement=True)
    return _categorical(logits, num_samples, dtype, seed)


def _categorical(logits, num_samples, dtype, seed):
    chances = torch.softmax(logits, dim=-1)
    drawn = torch.multinomial(chances, int(num_samples), True, generator=seeds.stream(seed, chances.device))
    return drawn.to(torch.int64 if dtype is None else dtype)


@rule("tf.multinomial", "tf.random.multinomial", returns="output_dtype", pure=False, version=1)
@prove(array([[0.0, 1.0, -1.0]]), 3000, random=True, grad=False)
@prove(f32(3, 4), 1000, output_dtype=torch.int32, random=True, grad=False)
def multinomial(logits: Tensor, num_samples, seed=None, name=None, output_dtype=None):
    """Samples [batch, num_samples] of the classes with these logits; torch.multinomial takes probabilities."""
    if seed is None and output_dtype is None:
        return torch.multinomial(torch.softmax(logits, dim=-1), num_samples, replacement=True)
    return _categorical(logits, num_samples, output_dtype, seed)


@rule("tf.random.gamma", "tf.random_gamma", returns="dtype", pure=False)
@prove([3000], 2.0, random=True)
@prove([3000], array([2.0, 3.0]), beta=2.0, random=True, grad=False)
@prove([1500], 1.5, 0.5, seed=7, random=True)
def gamma(shape, alpha, beta=None, dtype=torch.float32, seed=None, name=None):
    """Gamma samples of shape ``shape`` for every alpha and beta; the gradient reaches alpha and beta."""
    return _gamma(shape, alpha, beta, dtype)


def _gamma(shape, alpha, beta, dtype):
    rate = to_tensor(1.0 if beta is None else beta, dtype).to(dtype)
    return torch.distributions.Gamma(to_tensor(alpha, dtype).to(dtype), rate).rsample(ints(shape))


@rule("tf.random.stateless_uniform", returns="dtype", pure=False)
@prove([4, 500], [1, 2], random=True)
@prove([2000], seed=[1, 2], minval=0, maxval=9, dtype=torch.int32, random=True)
@prove([2000], (5, 6), -1.0, 1.0, random=True)
def stateless_uniform(shape, seed, minval=0, maxval=None, dtype=torch.float32, name=None, alg="auto_select"):
    """Uniform values that depend on the seed alone (other numbers than TensorFlow's)."""
    return _uniform(shape, minval, maxval, dtype, seeds.fixed(seed))


@rule("tf.random.stateless_normal", returns="dtype", pure=False)
@prove([4, 500], [1, 2], random=True)
@prove([2000], seed=[1, 2], mean=3.0, stddev=0.5, random=True)
def stateless_normal(shape, seed, mean=0.0, stddev=1.0, dtype=torch.float32, name=None, alg="auto_select"):
    """Normal values that depend on the seed alone (other numbers than TensorFlow's)."""
    return _normal(shape, mean, stddev, dtype, seeds.fixed(seed))


@rule("tf.random.stateless_truncated_normal", returns="dtype", pure=False)
@prove([2000], [1, 2], random=True)
def stateless_truncated_normal(
    shape, seed, mean=0.0, stddev=1.0, dtype=torch.float32, name=None, alg="auto_select"
):
    """Truncated normal values that depend on the seed alone (other numbers than TensorFlow's)."""
    return _truncated(shape, mean, stddev, dtype, seeds.fixed(seed))


@rule("tf.image.random_crop", "tf.random_crop", returns="value", pure=False)
@prove(f32(6, 7, 3), [4, 4, 3], random=True, grad=False, rtol=9)
@prove(f32(6, 7), size=[6, 7], seed=1)
@prove(f32(3, 3), [4, 3], raises=True)
def random_crop(value: Tensor, size, seed=None, name=None):
    """A block of shape ``size`` at a random place."""
    return _crop(value, ints(size), seed)


def _crop(value, size, seed):
    for axis, length in enumerate(size):
        free = value.shape[axis] - length
        if free < 0:
            raise ValueError(f"a crop of {size} does not fit in {tuple(value.shape)}")
        first = int(torch.randint(free + 1, (), generator=seeds.stream(seed)))
        value = value.narrow(axis, first, length)
    return value


@rule("tf.random.set_seed", "tf.set_random_seed", "tf.random.set_random_seed", returns="python", pure=False)
@prove(3)
def set_seed(seed):
    """Seeds torch's generators. The numbers drawn are other than TensorFlow's."""
    return _set_seed(seed)


def _set_seed(seed):
    torch.manual_seed(int(seed))
    seeds.reset()
