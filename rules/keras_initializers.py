"""tf.keras.initializers: called with a shape and a dtype, they give a tensor. Distributions exact, numbers torch's own."""

from __future__ import annotations

import re

import torch

from tfport.compat import initial as _initial
from tfport.compat.initializer import Drawn as _Drawn
from tfport.compat.initializer import Initializer as _Initializer
from tfport.compat.initializer import Scaling as _Scaling
from tfport.rule import prove, rule

_BIG = ((60, 50),)


@rule("tf.keras.initializers.Initializer", "tf.initializers.Initializer")
@prove(then=((2,),), raises=True)
class Initializer(_Initializer):
    """What a program subclasses: __call__(shape, dtype)."""


@rule("tf.keras.initializers.Zeros", "tf.initializers.Zeros", "tf.keras.initializers.zeros")
@prove(then=((2, 3),))
@prove(then=((2, 3), torch.int32))
@prove(then=((), torch.float64))
class Zeros(_Initializer):
    """All zeros."""

    def make(self, shape, dtype):
        return torch.zeros(shape, dtype=dtype)


@rule("tf.keras.initializers.Ones", "tf.initializers.Ones", "tf.keras.initializers.ones")
@prove(then=((2, 3),))
@prove(then=((2, 3), torch.int32))
@prove(then=((), torch.float64))
class Ones(_Initializer):
    """All ones."""

    def make(self, shape, dtype):
        return torch.ones(shape, dtype=dtype)


@rule("tf.keras.initializers.Constant", "tf.initializers.Constant", "tf.keras.initializers.constant")
@prove(then=((2, 3),))
@prove(0.5, then=((2, 3),))
@prove(value=2, then=((3,), torch.int32))
class Constant(_Initializer):
    """One value everywhere; an array is broadcast."""

    def __init__(self, value=0.0):
        self.value = value

    def make(self, shape, dtype):
        return torch.as_tensor(self.value).to(dtype).broadcast_to(shape).clone()


@rule(
    "tf.keras.initializers.RandomNormal",
    "tf.initializers.RandomNormal",
    "tf.keras.initializers.random_normal",
)
@prove(then=_BIG, random=True)
@prove(mean=1.0, stddev=0.5, seed=3, then=_BIG, random=True)
class RandomNormal(_Drawn):
    """Normal."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def bounds(self):
        return self.mean, self.stddev


@rule(
    "tf.keras.initializers.TruncatedNormal",
    "tf.initializers.TruncatedNormal",
    "tf.keras.initializers.truncated_normal",
)
@prove(then=_BIG, random=True)
@prove(mean=1.0, stddev=0.5, seed=3, then=((60, 50), torch.float64), random=True)
class TruncatedNormal(_Drawn):
    """Normal, redrawn beyond two standard deviations; the stddev is of the uncut one."""

    kind = "truncated"

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def bounds(self):
        return self.mean, self.stddev


@rule(
    "tf.keras.initializers.RandomUniform",
    "tf.initializers.RandomUniform",
    "tf.keras.initializers.random_uniform",
)
@prove(then=_BIG, random=True)
@prove(minval=0.0, maxval=2.0, then=_BIG, random=True)
class RandomUniform(_Drawn):
    """Uniform in [minval, maxval)."""

    kind = "uniform"

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def bounds(self):
        return self.minval, self.maxval


@rule(
    "tf.keras.initializers.VarianceScaling",
    "tf.initializers.VarianceScaling",
    "tf.keras.initializers.variance_scaling",
)
@prove(then=_BIG, random=True)
@prove(scale=2.0, mode="fan_out", distribution="untruncated_normal", then=((3, 3, 20, 30),), random=True)
@prove(2.0, "fan_avg", "uniform", 7, then=((3, 3, 20, 30),), random=True)
@prove(then=((400,),), random=True)
@prove(scale=-1.0, raises=True)
class VarianceScaling(_Scaling):
    """Variance scale / fan, fans of the shape [..., in, out]."""

    def __init__(self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None, input_axes=None,
                 output_axes=None):  # fmt: skip
        if scale <= 0:
            raise ValueError(f"scale must be positive, got {scale}")
        self.scale, self.mode, self.seed = scale, mode, seed
        self.input_axes, self.output_axes = input_axes, output_axes
        self.distribution = "truncated_normal" if distribution == "normal" else distribution


@rule(
    "tf.keras.initializers.GlorotUniform",
    "tf.initializers.GlorotUniform",
    "tf.keras.initializers.glorot_uniform",
)
@prove(then=_BIG, random=True)
@prove(input_axes=[0, 1], output_axes=[2], then=((6, 8, 40),), random=True)
@prove(seed=1, then=((3, 3, 20, 30), torch.float64), random=True)
class GlorotUniform(_Scaling):
    """Keras default for kernels: uniform in +-sqrt(6 / (in + out))."""

    scale, mode, distribution = 1.0, "fan_avg", "uniform"

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        self.seed, self.input_axes, self.output_axes = seed, input_axes, output_axes


@rule(
    "tf.keras.initializers.GlorotNormal",
    "tf.initializers.GlorotNormal",
    "tf.keras.initializers.glorot_normal",
)
@prove(then=_BIG, random=True)
@prove(seed=1, then=((3, 3, 20, 30), torch.float64), random=True)
class GlorotNormal(_Scaling):
    """Truncated normal of variance 2 / (in + out)."""

    scale, mode, distribution = 1.0, "fan_avg", "truncated_normal"

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        self.seed, self.input_axes, self.output_axes = seed, input_axes, output_axes


@rule("tf.keras.initializers.HeNormal", "tf.initializers.HeNormal", "tf.keras.initializers.he_normal")
@prove(then=_BIG, random=True)
@prove(seed=1, then=((3, 3, 20, 30), torch.float64), random=True)
class HeNormal(_Scaling):
    """Truncated normal of variance 2 / in; torch kaiming_normal_ is not truncated."""

    scale, mode, distribution = 2.0, "fan_in", "truncated_normal"

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        self.seed, self.input_axes, self.output_axes = seed, input_axes, output_axes


@rule("tf.keras.initializers.HeUniform", "tf.initializers.HeUniform", "tf.keras.initializers.he_uniform")
@prove(then=_BIG, random=True)
@prove(seed=1, then=((3, 3, 20, 30), torch.float64), random=True)
class HeUniform(_Scaling):
    """Uniform in +-sqrt(6 / in)."""

    scale, mode, distribution = 2.0, "fan_in", "uniform"

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        self.seed, self.input_axes, self.output_axes = seed, input_axes, output_axes


@rule(
    "tf.keras.initializers.LecunNormal", "tf.initializers.LecunNormal", "tf.keras.initializers.lecun_normal"
)
@prove(then=_BIG, random=True)
@prove(seed=1, then=((3, 3, 20, 30), torch.float64), random=True)
class LecunNormal(_Scaling):
    """Truncated normal of variance 1 / in."""

    scale, mode, distribution = 1.0, "fan_in", "truncated_normal"

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        self.seed, self.input_axes, self.output_axes = seed, input_axes, output_axes


@rule(
    "tf.keras.initializers.LecunUniform",
    "tf.initializers.LecunUniform",
    "tf.keras.initializers.lecun_uniform",
)
@prove(then=_BIG, random=True)
@prove(seed=1, then=((3, 3, 20, 30), torch.float64), random=True)
class LecunUniform(_Scaling):
    """Uniform in +-sqrt(3 / in)."""

    scale, mode, distribution = 1.0, "fan_in", "uniform"

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        self.seed, self.input_axes, self.output_axes = seed, input_axes, output_axes


@rule(
    "tf.keras.initializers.Orthogonal", "tf.initializers.Orthogonal",
    "tf.keras.initializers.OrthogonalInitializer",
    "tf.keras.initializers.orthogonal",
)  # fmt: skip
@prove(then=((30, 20),), random=True)
@prove(gain=2.0, then=((3, 3, 4, 30),), random=True)
@prove(then=((3,),), raises=True)
class Orthogonal(_Initializer):
    """Orthonormal columns, or rows where there are fewer, times gain."""

    def __init__(self, gain=1.0, seed=None):
        self.gain, self.seed = gain, seed

    def make(self, shape, dtype):
        return _initial.orthogonal(shape, dtype, self.seed, self.gain)


@rule(
    "tf.keras.initializers.Identity", "tf.initializers.Identity",
    "tf.keras.initializers.IdentityInitializer",
    "tf.keras.initializers.identity",
)  # fmt: skip
@prove(then=((3, 3),))
@prove(gain=2.0, then=((2, 4), torch.float64))
@prove(then=((3,),), raises=True)
class Identity(_Initializer):
    """gain on the diagonal of a matrix."""

    def __init__(self, gain=1.0):
        self.gain = gain

    def make(self, shape, dtype):
        if len(shape) != 2:
            raise ValueError(f"an identity needs two axes, got shape {shape}")
        return self.gain * torch.eye(*shape, dtype=dtype)


def _known():
    return {
        name: made
        for name, made in globals().items()
        if isinstance(made, type) and issubclass(made, _Initializer)
    }


@rule("tf.keras.initializers.get")
@prove("glorot_uniform", then=_BIG, random=True)
@prove("zeros", then=((2, 3),))
@prove("Ones", then=((2, 3),))
@prove({"class_name": "Constant", "config": {"value": 2.0}}, then=((2,),))
@prove("no_such", raises=True)
def get(identifier):
    """An initializer from its name, its config, a class, or any callable; None stays None."""
    return _get(identifier)


def _get(identifier):
    if isinstance(identifier, dict):
        return _named(identifier["class_name"]).from_config(identifier.get("config") or {})
    if isinstance(identifier, str):
        return _named(identifier)()
    if isinstance(identifier, type):
        return identifier()
    if isinstance(identifier, torch.Tensor):
        return Constant(identifier)
    if identifier is None or callable(identifier):
        return identifier
    raise ValueError(f"{identifier!r} names no initializer")


def _named(name):
    wanted = re.sub("[^a-z]", "", name.lower()).removesuffix("initializer")
    for known, made in _known().items():
        if known.lower() == wanted and not known.startswith("_"):
            return made
    raise ValueError(f"{name!r} is not an initializer; known are {', '.join(sorted(_known()))}")


@rule("tf.keras.initializers.serialize", returns="python")
@prove(raises=True)
def serialize(initializer):
    """Class name and config; ``get`` reads it back."""
    return _serialize(initializer)


def _serialize(initializer):
    if initializer is None:
        return None
    if not hasattr(initializer, "get_config"):
        raise TypeError(f"{initializer!r} has no config to serialize")
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}
