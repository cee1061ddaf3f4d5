"""Regularizers: callables from a weight to its penalty. Keras' l2 is the plain sum of squares, slim's is half of it."""

from __future__ import annotations

import torch

from tfport.rule import f32, f64, prove, rule


class _Regularizer:
    """Called with a weight; ``get_config`` gives what the constructor takes."""

    def __call__(self, x):
        return 0.0

    def get_config(self):
        return dict(vars(self))

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _penalty(value, name, default):
    value = default if value is None else value
    if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be a number from 0 up, got {value!r}")
    return float(value)


@rule("tf.keras.regularizers.Regularizer")
@prove(then=(f32(2, 3),), grad=False)
class Regularizer(_Regularizer):
    """What a program subclasses: __call__(x) gives the penalty."""


@rule("tf.keras.regularizers.L1", "tf.keras.regularizers.l1")
@prove(then=(f32(3, 4),))
@prove(0.1, then=(f64(3, 4),), rtol=1e-7)
@prove(l1=-1.0, raises=True)
class L1(_Regularizer):
    """l1 * sum(|x|)."""

    def __init__(self, l1=0.01):
        self.l1 = _penalty(l1, "l1", 0.01)

    def __call__(self, x):
        return self.l1 * torch.sum(torch.abs(x))


@rule("tf.keras.regularizers.L2", "tf.keras.regularizers.l2")
@prove(then=(f32(3, 4),))
@prove(l2=0.1, then=(f64(3, 4),), rtol=1e-7)
@prove("x", raises=True)
class L2(_Regularizer):
    """l2 * sum(x ** 2): no half."""

    def __init__(self, l2=0.01):
        self.l2 = _penalty(l2, "l2", 0.01)

    def __call__(self, x):
        return self.l2 * torch.sum(torch.square(x))


@rule("tf.keras.regularizers.L1L2")
@prove(then=(f32(3, 4),))
@prove(l1=0.1, l2=0.2, then=(f32(3, 4),))
class L1L2(_Regularizer):
    """l1 * sum(|x|) + l2 * sum(x ** 2)."""

    def __init__(self, l1=0.0, l2=0.0):
        self.l1, self.l2 = _penalty(l1, "l1", 0.0), _penalty(l2, "l2", 0.0)

    def __call__(self, x):
        return self.l1 * torch.sum(torch.abs(x)) + self.l2 * torch.sum(torch.square(x))


@rule("tf.keras.regularizers.l1_l2", returns="python")
@prove(then=(f32(3, 4),))
@prove(0.1, 0.2, then=(f32(3, 4),))
def l1_l2(l1=0.0, l2=0.0):
    """An L1L2; in Keras 2 both default to 0.01, in Keras 3 to 0."""
    return _both(l1, l2)


def _both(l1, l2):
    return L1L2(l1, l2)


@rule("tf.keras.regularizers.OrthogonalRegularizer", "tf.keras.regularizers.orthogonal_regularizer")
@prove(then=(f32(3, 4),))
@prove(0.1, mode="columns", then=(f32(3, 4),))
@prove(mode="diagonal", raises=True)
class OrthogonalRegularizer(_Regularizer):
    """factor * mean |cosine| between the rows, or the columns."""

    def __init__(self, factor=0.01, mode="rows"):
        if mode not in ("rows", "columns"):
            raise ValueError(f"mode must be rows or columns, got {mode!r}")
        self.factor, self.mode = _penalty(factor, "factor", 0.01), mode

    def __call__(self, inputs):
        vectors = inputs if self.mode == "rows" else inputs.T
        vectors = vectors * torch.rsqrt(vectors.square().sum(1, keepdim=True)).clamp(max=1e7)
        size = vectors.shape[0]
        cosines = (vectors @ vectors.T) * (1.0 - torch.eye(size, dtype=inputs.dtype, device=inputs.device))
        return self.factor * 0.5 * cosines.abs().sum() / (size * (size - 1.0) / 2.0)


@rule("tf.keras.regularizers.get", returns="python")
@prove("l2", then=(f32(3, 4),))
@prove("L1", then=(f32(3, 4),))
@prove({"class_name": "L2", "config": {"l2": 0.3}}, then=(f32(3, 4),))
@prove("no_such", raises=True)
def get(identifier):
    """A regularizer from its name, its config or a callable; None stays None."""
    return _get(identifier)


def _get(identifier):
    if identifier is None or callable(identifier):
        return identifier() if isinstance(identifier, type) else identifier
    if isinstance(identifier, dict):
        return _named(identifier["class_name"]).from_config(identifier.get("config") or {})
    return _named(str(identifier))()


def _named(name):
    known = {"l1": L1, "l2": L2, "l1l2": L1L2, "l1_l2": L1L2, "orthogonalregularizer": OrthogonalRegularizer}
    known["orthogonal_regularizer"] = OrthogonalRegularizer
    if name.lower() not in known:
        raise ValueError(f"{name!r} is not a regularizer; known are {', '.join(sorted(known))}")
    return known[name.lower()]


@rule("tf.keras.regularizers.serialize", returns="python")
@prove(raises=True)
def serialize(regularizer):
    """Class name and config; ``get`` reads it back."""
    return _serialize(regularizer)


def _serialize(regularizer):
    if regularizer is None:
        return None
    if not hasattr(regularizer, "get_config"):
        raise TypeError(f"{regularizer!r} has no config to serialize")
    return {"class_name": type(regularizer).__name__, "config": regularizer.get_config()}


def _scale(scale):
    if not isinstance(scale, float):
        raise ValueError(f"scale must be a float, got {scale!r}")
    if scale < 0.0:
        raise ValueError(f"scale must not be negative, got {scale}")
    return scale


@rule("tf.contrib.layers.l2_regularizer", "tf.contrib.slim.l2_regularizer", returns="python")
@prove(0.1, then=(f32(3, 4),))
@prove(scale=0.004, then=(f32(3, 4),))
@prove(-0.1, raises=True)
def l2_regularizer(scale, scope=None):
    """weights -> scale * sum(w ** 2) / 2, the half as in tf.nn.l2_loss; None where the scale is 0."""
    return _slim("l2", _scale(scale))


@rule("tf.contrib.layers.l1_regularizer", "tf.contrib.slim.l1_regularizer", returns="python")
@prove(0.1, then=(f32(3, 4),))
def l1_regularizer(scale, scope=None):
    """weights -> scale * sum(|w|)."""
    return _slim("l1", _scale(scale))


def _slim(kind, scale):
    def nothing(weights, name=None):
        return None

    def squares(weights, name=None):
        return scale * torch.sum(weights**2) / 2

    def sizes(weights, name=None):
        return scale * torch.sum(torch.abs(weights))

    if scale == 0.0:
        return nothing
    return squares if kind == "l2" else sizes
