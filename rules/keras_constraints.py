"""Keras' constraints: a weight is moved back into its bounds after each step of the optimizer."""

from __future__ import annotations

import torch

from tfport.rule import array, f32, prove, rule

EPSILON = 1e-7


class _Constraint:
    """Called with a weight, gives the weight that is allowed; ``get_config`` gives what the constructor takes."""

    def __call__(self, w):
        return w

    def get_config(self):
        return dict(vars(self))

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _norms(w, axis):
    return torch.sqrt(torch.sum(torch.square(w), dim=axis, keepdim=True))


@rule("tf.keras.constraints.Constraint")
@prove(then=(f32(2, 3),))
class Constraint(_Constraint):
    """What a program subclasses: __call__(w) gives the weight that is allowed."""


@rule("tf.keras.constraints.MaxNorm", "tf.keras.constraints.max_norm", "tf.keras.constraints.maxnorm")
@prove(then=(f32(4, 3),))
@prove(0.5, axis=[0, 1], then=(f32(2, 3, 4),))
@prove(max_value=1, then=(array([[0.0, 3.0], [0.0, 4.0]]),), grad=False)
class MaxNorm(_Constraint):
    """Norms along ``axis`` above ``max_value`` are scaled down to it."""

    def __init__(self, max_value=2, axis=0):
        self.max_value, self.axis = max_value, axis

    def __call__(self, w):
        norms = _norms(w, self.axis)
        return w * (torch.clamp(norms, 0, self.max_value) / (EPSILON + norms))


@rule("tf.keras.constraints.NonNeg", "tf.keras.constraints.non_neg", "tf.keras.constraints.nonneg")
@prove(then=(f32(4, 3),))
@prove(then=(array([0.0, -1.0, 2.0]),), grad=False)
class NonNeg(_Constraint):
    """Values below 0 become 0."""

    def __call__(self, w):
        return w * (w >= 0.0).to(w.dtype)


@rule("tf.keras.constraints.UnitNorm", "tf.keras.constraints.unit_norm", "tf.keras.constraints.unitnorm")
@prove(then=(f32(4, 3),))
@prove(axis=1, then=(f32(4, 3),))
class UnitNorm(_Constraint):
    """Norms along ``axis`` become 1."""

    def __init__(self, axis=0):
        self.axis = axis

    def __call__(self, w):
        return w / (EPSILON + _norms(w, self.axis))


@rule("tf.keras.constraints.MinMaxNorm", "tf.keras.constraints.min_max_norm")
@prove(then=(f32(4, 3),))
@prove(0.5, 0.8, 0.7, 1, then=(f32(4, 3),))
class MinMaxNorm(_Constraint):
    """Norms along ``axis`` move into [min_value, max_value], by ``rate`` of the way."""

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w):
        norms = _norms(w, self.axis)
        wanted = self.rate * torch.clamp(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (wanted / (EPSILON + norms))


_BY_NAME = {
    name: kind
    for kind, names in (
        (MaxNorm, "MaxNorm max_norm maxnorm"), (NonNeg, "NonNeg non_neg nonneg"), (UnitNorm, "UnitNorm unit_norm unitnorm"),
        (MinMaxNorm, "MinMaxNorm min_max_norm"), (Constraint, "Constraint"),
    )
    for name in names.split()
}  # fmt: skip


@rule("tf.keras.constraints.get")
@prove("max_norm", then=(f32(4, 3),))
@prove("NonNeg", then=(f32(4, 3),))
@prove({"class_name": "UnitNorm", "config": {"axis": 1}}, then=(f32(4, 3),))
@prove("no such constraint", raises=True)
def get(identifier):
    """A constraint by name or configuration; a callable and None as they are."""
    return _found(identifier)


@rule("tf.keras.constraints.deserialize")
@prove({"class_name": "MaxNorm", "config": {"max_value": 0.5}}, then=(f32(4, 3),))
def deserialize(config, custom_objects=None):
    """A constraint by name or configuration."""
    return _found(config, custom_objects or {})


@rule("tf.keras.constraints.serialize", returns="python", proved_by="tests/compat/test_keras_state.py")
def serialize(constraint):
    """A configuration that ``deserialize`` takes."""
    return (
        None
        if constraint is None
        else {"class_name": type(constraint).__name__, "config": constraint.get_config()}
    )


def _found(identifier, known=None):
    if identifier is None or (callable(identifier) and not isinstance(identifier, type)):
        return identifier
    name, config = (
        (identifier["class_name"], identifier["config"]) if isinstance(identifier, dict) else (identifier, {})
    )
    kind = name if isinstance(name, type) else {**_BY_NAME, **(known or {})}.get(name)
    if kind is None:
        raise ValueError(f"{identifier!r} is no constraint; known are {', '.join(sorted(_BY_NAME))}")
    return kind(**config)
