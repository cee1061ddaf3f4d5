"""Initializers of TensorFlow 1, and of tf.*_initializer in TensorFlow 2, which have defaults and a dtype of their own."""

from __future__ import annotations

import torch

from tfport.compat import initial as _initial
from tfport.compat.arguments import to_tensor as _to_tensor
from tfport.compat.dtypes import as_dtype as _as_dtype
from tfport.compat.initializer import Drawn as _Drawn
from tfport.compat.initializer import Initializer as _Initializer
from tfport.compat.initializer import Scaling as _Scaling
from tfport.rule import prove, rule

_BIG = ((60, 50),)


@rule(
    "tf.compat.v1.zeros_initializer",
    "tf.zeros_initializer",
    "tf.compat.v1.initializers.zeros",
    "tf.initializers.zeros",
    version=1,
)  # fmt: skip
@prove(then=((2, 3),))
@prove(dtype=torch.int32, then=((2, 3),))
@prove(then=((), torch.float64))
class Zeros(_Initializer):
    """All zeros."""

    def __init__(self, dtype=torch.float32):
        self.dtype = dtype

    def make(self, shape, dtype):
        return torch.zeros(shape, dtype=dtype)


@rule(
    "tf.compat.v1.ones_initializer",
    "tf.ones_initializer",
    "tf.compat.v1.initializers.ones",
    "tf.initializers.ones",
    version=1,
)  # fmt: skip
@prove(then=((2, 3),))
@prove(dtype=torch.int32, then=((2, 3),))
@prove(then=((), torch.float64))
class Ones(_Initializer):
    """All ones."""

    def __init__(self, dtype=torch.float32):
        self.dtype = dtype

    def make(self, shape, dtype):
        return torch.ones(shape, dtype=dtype)


@rule(
    "tf.compat.v1.constant_initializer",
    "tf.constant_initializer",
    "tf.compat.v1.initializers.constant",
    "tf.initializers.constant",
    version=1,
)  # fmt: skip
@prove(then=((2, 3),))
@prove(0.1, then=((3,),))
@prove(value=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], then=((2, 3),))
@prove([1, 2, 3], then=((2,),), raises=True)
@prove(3, torch.int32, then=((2,),))
class ConstantV1(_Initializer):
    """One value, or a list laid out in order; a short list repeats its last entry, as graphs do."""

    def __init__(self, value=0, dtype=torch.float32, verify_shape=False):
        self.value, self.dtype, self.verify_shape = value, dtype, verify_shape

    def make(self, shape, dtype):
        value = torch.as_tensor(self.value).to(dtype)
        count = int(torch.Size(shape).numel())
        if self.verify_shape and list(value.shape) != shape:
            raise TypeError(f"value has shape {list(value.shape)}, wanted {shape}")
        if value.numel() in (1, count):
            return value.reshape(shape if value.numel() == count else []).broadcast_to(shape).clone()
        if value.numel() > count:
            raise ValueError(f"{value.numel()} values do not fit shape {shape}")
        flat = value.reshape(-1)
        return torch.cat([flat, flat[-1:].expand(count - len(flat))]).reshape(shape)


@rule(
    "tf.compat.v1.random_normal_initializer",
    "tf.random_normal_initializer",
    "tf.compat.v1.initializers.random_normal",
    "tf.initializers.random_normal",
    version=1,
)  # fmt: skip
@prove(then=_BIG, random=True)
@prove(0.5, 0.02, then=((60, 50), torch.float64), random=True)
@prove(stddev=2.0, dtype=torch.float64, then=_BIG, random=True)
class RandomNormalV1(_Drawn):
    """Normal; stddev defaults to 1 in TensorFlow 1 and to 0.05 in 2."""

    def __init__(self, mean=0.0, stddev=1.0, seed=None, dtype=torch.float32):
        self.mean, self.stddev, self.seed = mean, stddev, seed
        self.dtype = dtype

    def bounds(self):
        return self.mean, self.stddev


@rule("tf.random_normal_initializer", version=2)
@prove(then=_BIG, random=True)
@prove(0.5, 0.02, then=((60, 50), torch.float64), random=True)
class RandomNormal(_Drawn):
    """Normal; stddev defaults to 1 in TensorFlow 1 and to 0.05 in 2."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def bounds(self):
        return self.mean, self.stddev


@rule(
    "tf.compat.v1.truncated_normal_initializer",
    "tf.truncated_normal_initializer",
    "tf.compat.v1.initializers.truncated_normal",
    "tf.initializers.truncated_normal",
    version=1,
)  # fmt: skip
@prove(then=_BIG, random=True)
@prove(0.0, 0.02, then=_BIG, random=True)
class TruncatedNormalV1(_Drawn):
    """Normal, redrawn beyond two standard deviations."""

    kind = "truncated"

    def __init__(self, mean=0.0, stddev=1.0, seed=None, dtype=torch.float32):
        self.mean, self.stddev, self.seed, self.dtype = mean, stddev, seed, dtype

    def bounds(self):
        return self.mean, self.stddev


@rule(
    "tf.compat.v1.random_uniform_initializer",
    "tf.random_uniform_initializer",
    "tf.compat.v1.initializers.random_uniform",
    "tf.initializers.random_uniform",
    version=1,
)  # fmt: skip
@prove(then=_BIG, random=True)
@prove(-1.0, 2.0, then=((60, 50), torch.float64), random=True)
@prove(minval=0, maxval=9, then=((60, 50), torch.int32), random=True)
class RandomUniformV1(_Drawn):
    """Uniform; [0, 1) by default in TensorFlow 1, +-0.05 in 2."""

    kind = "uniform"

    def __init__(self, minval=0.0, maxval=None, seed=None, dtype=torch.float32):
        self.minval, self.maxval = minval, 1.0 if maxval is None else maxval
        self.seed, self.dtype = seed, dtype

    def bounds(self):
        return self.minval, self.maxval


@rule("tf.random_uniform_initializer", version=2)
@prove(then=_BIG, random=True)
@prove(-1.0, 2.0, then=((60, 50), torch.float64), random=True)
class RandomUniform(_Drawn):
    """Uniform; [0, 1) by default in TensorFlow 1, +-0.05 in 2."""

    kind = "uniform"

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def bounds(self):
        return self.minval, self.maxval


@rule(
    "tf.compat.v1.variance_scaling_initializer",
    "tf.variance_scaling_initializer",
    "tf.compat.v1.initializers.variance_scaling",
    "tf.initializers.variance_scaling",
    version=1,
)  # fmt: skip
@prove(then=_BIG, random=True)
@prove(scale=2.0, mode="fan_out", distribution="normal", then=((3, 3, 20, 30),), random=True)
@prove(1.0, "fan_avg", "uniform", then=((3, 3, 20, 30),), random=True)
class VarianceScalingV1(_Scaling):
    """Variance scale / fan, fans of the shape [..., in, out]."""

    def __init__(
        self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None, dtype=torch.float32
    ):
        if scale <= 0:
            raise ValueError(f"scale must be positive, got {scale}")
        self.scale, self.mode, self.seed, self.dtype = scale, mode, seed, dtype
        self.distribution = "truncated_normal" if distribution == "normal" else distribution


@rule(
    "tf.compat.v1.glorot_uniform_initializer",
    "tf.glorot_uniform_initializer",
    "tf.compat.v1.initializers.glorot_uniform",
    "tf.initializers.glorot_uniform",
    version=1,
)  # fmt: skip
@prove(then=_BIG, random=True)
@prove(dtype=torch.float64, then=((3, 3, 20, 30),), random=True)
class GlorotUniformV1(_Scaling):
    """Variance 2 / (in + out), get_variable's default is the uniform one. TensorFlow ignores this dtype; the call's counts."""

    scale, mode, distribution = 1.0, "fan_avg", "uniform"

    def __init__(self, seed=None, dtype=torch.float32):
        self.seed = seed


@rule(
    "tf.compat.v1.glorot_normal_initializer",
    "tf.glorot_normal_initializer",
    "tf.compat.v1.initializers.glorot_normal",
    "tf.initializers.glorot_normal",
    version=1,
)  # fmt: skip
@prove(then=_BIG, random=True)
@prove(dtype=torch.float64, then=((3, 3, 20, 30),), random=True)
class GlorotNormalV1(_Scaling):
    """Variance 2 / (in + out), get_variable's default is the uniform one. TensorFlow ignores this dtype; the call's counts."""

    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"

    def __init__(self, seed=None, dtype=torch.float32):
        self.seed = seed


@rule("tf.compat.v1.initializers.he_normal", "tf.initializers.he_normal", version=1)
@prove(then=_BIG, random=True)
class HeNormalV1(_Scaling):
    """Variance 2 / in."""

    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"

    def __init__(self, seed=None, dtype=torch.float32):
        self.seed, self.dtype = seed, dtype


@rule("tf.compat.v1.initializers.he_uniform", "tf.initializers.he_uniform", version=1)
@prove(then=_BIG, random=True)
class HeUniformV1(_Scaling):
    """Variance 2 / in."""

    scale, mode, distribution = 2.0, "fan_in", "uniform"

    def __init__(self, seed=None, dtype=torch.float32):
        self.seed, self.dtype = seed, dtype


@rule("tf.compat.v1.initializers.lecun_normal", "tf.initializers.lecun_normal", version=1)
@prove(then=_BIG, random=True)
class LecunNormalV1(_Scaling):
    """Variance 1 / in."""

    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"

    def __init__(self, seed=None, dtype=torch.float32):
        self.seed, self.dtype = seed, dtype


@rule("tf.compat.v1.initializers.lecun_uniform", "tf.initializers.lecun_uniform", version=1)
@prove(then=_BIG, random=True)
class LecunUniformV1(_Scaling):
    """Variance 1 / in."""

    scale, mode, distribution = 1.0, "fan_in", "uniform"

    def __init__(self, seed=None, dtype=torch.float32):
        self.seed, self.dtype = seed, dtype


@rule(
    "tf.compat.v1.orthogonal_initializer",
    "tf.orthogonal_initializer",
    "tf.compat.v1.initializers.orthogonal",
    "tf.initializers.orthogonal",
    version=1,
)  # fmt: skip
@prove(then=((30, 20),), random=True)
@prove(gain=2.0, then=((3, 3, 4, 30),), random=True)
class OrthogonalV1(_Initializer):
    """Orthonormal columns, or rows where there are fewer, times gain."""

    def __init__(self, gain=1.0, seed=None, dtype=torch.float32):
        self.gain, self.seed, self.dtype = gain, seed, dtype

    def make(self, shape, dtype):
        return _initial.orthogonal(shape, dtype, self.seed, self.gain)


@rule("tf.compat.v1.initializers.identity", "tf.initializers.identity", version=1)
@prove(then=((3, 3),))
@prove(2.0, then=((2, 4),))
class IdentityV1(_Initializer):
    """gain on the diagonal of a matrix."""

    def __init__(self, gain=1.0, dtype=torch.float32):
        self.gain, self.dtype = gain, dtype

    def make(self, shape, dtype):
        return self.gain * torch.eye(*shape, dtype=dtype)


@rule(
    "tf.compat.v1.uniform_unit_scaling_initializer",
    "tf.uniform_unit_scaling_initializer",
    "tf.initializers.uniform_unit_scaling",
    version=1,
)  # fmt: skip
@prove(then=_BIG, random=True)
@prove(1.43, then=((3, 3, 20, 30),), random=True)
class UniformUnitScaling(_Initializer):
    """Uniform in +-sqrt(3 / in) * factor, where in is everything but the last axis."""

    def __init__(self, factor=1.0, seed=None, dtype=torch.float32):
        self.factor, self.seed, self.dtype = factor, seed, dtype

    def make(self, shape, dtype):
        into = 1.0
        for size in shape[:-1]:
            into *= size
        limit = (3.0 / max(into, 1.0)) ** 0.5 * self.factor
        return _initial.draw("uniform", shape, dtype, self.seed, -limit, limit)


@rule("tf.zeros_initializer", version=2)
@prove(then=((2, 3),))
@prove(then=((2, 3), torch.int32))
class ZerosV2(Zeros):
    """All zeros."""

    def __init__(self):
        super().__init__()


@rule("tf.ones_initializer", version=2)
@prove(then=((2, 3),))
@prove(then=((), torch.float64))
class OnesV2(Ones):
    """All ones."""

    def __init__(self):
        super().__init__()


@rule("tf.constant_initializer", version=2)
@prove(then=((2, 3),))
@prove(0.5, then=((2, 3), torch.float64))
@prove(value=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], then=((2, 3),))
@prove([1, 2, 3], then=((2,),), raises=True)
class ConstantV2(_Initializer):
    """One value, or a list laid out in order; without a dtype the value's own counts: int32 for an int."""

    def __init__(self, value=0, support_partition=False):
        self.value, self.support_partition = value, support_partition

    def __call__(self, shape, dtype=None, **unused):  # type: ignore[override]
        value, wanted = _to_tensor(self.value), _initial.sizes(shape)
        value = value if dtype is None else value.to(_as_dtype(dtype))
        return value.expand(wanted).clone() if value.numel() == 1 else value.reshape(wanted)
