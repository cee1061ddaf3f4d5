"""tf.keras.activations: functions, and get/serialize by name."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.rule import Tensor, array, f32, f64, prove, rule


@rule("tf.keras.activations.relu", renamed={"alpha": "negative_slope"}, returns="x")
@prove(f32(3, 4))
@prove(f64(3, 4), negative_slope=0.2, rtol=1e-7)
@prove(f32(3, 4, low=-9.0, high=9.0), max_value=6.0)
@prove(f32(3, 4, low=-9.0, high=9.0), 0.1, 4.0)
@prove(f32(3, 4), threshold=0.5)
@prove(f32(3, 4, low=-4.0, high=4.0), negative_slope=0.3, max_value=2.0, threshold=1.0)
@prove(array([0.0, -1.0, float("nan")]), grad=False)
def relu(x: Tensor, negative_slope=0.0, max_value=None, threshold=0.0):
    """With slope and ceiling: negative_slope * (x - threshold) below the threshold, at most max_value."""
    if negative_slope == 0.0 and max_value is None and threshold == 0.0:
        return torch.relu(x)
    if negative_slope == 0.0 and max_value == 6 and threshold == 0.0:
        return F.relu6(x)
    if max_value is None and threshold == 0.0:
        return F.leaky_relu(x, negative_slope)
    return _relu(x, negative_slope, max_value, threshold)


def _relu(x, slope, ceiling, threshold):
    above = torch.where(x > threshold, x, torch.zeros_like(x)) if threshold else torch.relu(x)
    if ceiling is not None:
        above = above.clamp(0.0, ceiling)
    return above - slope * torch.relu(threshold - x) if slope else above


@rule("tf.keras.activations.leaky_relu", renamed={"alpha": "negative_slope"}, returns="x")
@prove(f32(3, 4))
@prove(f32(3, 4), negative_slope=0.3)
def leaky_relu(x: Tensor, negative_slope=0.2):
    """The slope is 0.2 here, 0.3 in the layer and 0.01 in torch."""
    return F.leaky_relu(x, negative_slope)


@rule("tf.keras.activations.relu6", returns="x")
@prove(f32(3, 4, low=-9.0, high=9.0))
def relu6(x: Tensor):
    """min(max(x, 0), 6)."""
    return F.relu6(x)


@rule("tf.keras.activations.softmax", returns="x")
@prove(f32(3, 4))
@prove(f64(2, 3, 4), axis=1)
@prove(f32(2, 3), -2)
def softmax(x: Tensor, axis=-1):
    """Softmax over the axis."""
    return torch.softmax(x, dim=axis)


@rule("tf.keras.activations.log_softmax", returns="x")
@prove(f32(3, 4))
@prove(f64(2, 3, 4), axis=1)
def log_softmax(x: Tensor, axis=-1):
    """log(softmax(x)) over the axis."""
    return torch.log_softmax(x, dim=axis)


@rule("tf.keras.activations.elu", returns="x")
@prove(f32(3, 4))
@prove(f64(3, 4), alpha=0.5)
def elu(x: Tensor, alpha=1.0):
    """x where positive, alpha * (exp(x) - 1) elsewhere."""
    return F.elu(x, alpha)


@rule("tf.keras.activations.selu", returns="x")
@prove(f32(3, 4))
def selu(x: Tensor):
    """Scaled ELU."""
    return F.selu(x)


@rule("tf.keras.activations.celu", returns="x")
@prove(f32(3, 4))
@prove(f32(3, 4), alpha=0.5)
def celu(x: Tensor, alpha=1.0):
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))."""
    return F.celu(x, alpha)


@rule("tf.keras.activations.softplus", returns="x")
@prove(f32(3, 4))
@prove(f32(3, 4, low=-50.0, high=50.0))
def softplus(x: Tensor):
    """log(exp(x) + 1); torch returns x above 20, which only float64 shows."""
    return F.softplus(x)


@rule("tf.keras.activations.softsign", returns="x")
@prove(f32(3, 4))
def softsign(x: Tensor):
    """x / (|x| + 1)."""
    return F.softsign(x)


@rule("tf.keras.activations.silu", "tf.keras.activations.swish", returns="x")
@prove(f32(3, 4))
@prove(f64(3, 4))
def silu(x: Tensor):
    """x * sigmoid(x)."""
    return F.silu(x)


@rule("tf.keras.activations.gelu", returns="x")
@prove(f32(3, 4))
@prove(f32(3, 4), approximate=True)
def gelu(x: Tensor, approximate=False):
    """Exact by default; the approximation is tanh's."""
    if approximate:
        return F.gelu(x, approximate="tanh")
    return F.gelu(x)


@rule("tf.keras.activations.tanh", returns="x")
@prove(f32(3, 4))
def tanh(x: Tensor):
    """Hyperbolic tangent."""
    return torch.tanh(x)


@rule("tf.keras.activations.sigmoid", returns="x")
@prove(f32(3, 4))
@prove(array([-1e4, 0.0, 1e4]))
def sigmoid(x: Tensor):
    """1 / (1 + exp(-x))."""
    return torch.sigmoid(x)


@rule("tf.keras.activations.log_sigmoid", returns="x")
@prove(f32(3, 4))
@prove(f32(3, 4, low=-50.0, high=50.0))
def log_sigmoid(x: Tensor):
    """log(sigmoid(x))."""
    return F.logsigmoid(x)


@rule("tf.keras.activations.exponential", returns="x")
@prove(f32(3, 4))
def exponential(x: Tensor):
    """exp(x)."""
    return torch.exp(x)


@rule("tf.keras.activations.hard_sigmoid", returns="x")
@prove(f32(3, 4, low=-5.0, high=5.0))
@prove(array([-3.0, 3.0, 0.0]), grad=False)
def hard_sigmoid(x: Tensor):
    """relu6(x + 3) / 6, as in Keras 3 and torch; Keras 2 had clip(0.2 * x + 0.5, 0, 1)."""
    return F.hardsigmoid(x)


@rule("tf.keras.activations.hard_silu", "tf.keras.activations.hard_swish", returns="x")
@prove(f32(3, 4, low=-5.0, high=5.0))
def hard_silu(x: Tensor):
    """x * hard_sigmoid(x)."""
    return F.hardswish(x)


@rule("tf.keras.activations.hard_tanh", returns="x")
@prove(f32(3, 4, low=-2.0, high=2.0))
def hard_tanh(x: Tensor):
    """x clipped to [-1, 1]."""
    return F.hardtanh(x)


@rule("tf.keras.activations.tanh_shrink", returns="x")
@prove(f32(3, 4))
def tanh_shrink(x: Tensor):
    """x - tanh(x)."""
    return F.tanhshrink(x)


@rule("tf.keras.activations.soft_shrink", returns="x")
@prove(f32(3, 4))
@prove(f32(3, 4), threshold=0.2)
def soft_shrink(x: Tensor, threshold=0.5):
    """x moved towards 0 by the threshold."""
    return F.softshrink(x, threshold)


@rule("tf.keras.activations.hard_shrink", returns="x")
@prove(f32(3, 4))
@prove(f32(3, 4), threshold=0.2)
def hard_shrink(x: Tensor, threshold=0.5):
    """x where |x| is above the threshold, else 0."""
    return F.hardshrink(x, threshold)


@rule("tf.keras.activations.mish", returns="x")
@prove(f32(3, 4))
def mish(x: Tensor):
    """x * tanh(softplus(x))."""
    return F.mish(x)


@rule("tf.keras.activations.glu", returns="x")
@prove(f32(3, 4))
@prove(f32(4, 3), axis=0)
def glu(x: Tensor, axis=-1):
    """One half times the sigmoid of the other."""
    return F.glu(x, axis)


@rule("tf.keras.activations.linear", returns="x")
@prove(f32(3, 4))
def linear(x: Tensor):
    """x itself."""
    return x


@rule("tf.keras.activations.get", returns="python")
@prove("relu", then=(f32(3, 4),))
@prove("gelu", then=(f32(3, 4),))
@prove("swish", then=(f32(3, 4),))
@prove(None, then=(f32(3, 4),))
@prove("no_such", raises=True)
def get(identifier):
    """The function of a name; None is linear; a callable is itself."""
    return _get(identifier)


def _get(identifier):
    if identifier is None:
        return linear
    if isinstance(identifier, dict):
        identifier = identifier.get("config", identifier.get("class_name"))
    if callable(identifier):
        return identifier
    found = _named().get(str(identifier).removeprefix("keras.activations."))
    if found is None:
        raise ValueError(f"{identifier!r} is not an activation; known are {', '.join(sorted(_named()))}")
    return found


def _named():
    """Every function of this file by each of its names."""
    entries = [value for value in globals().values() if hasattr(value, "rule")]
    return {name.rsplit(".", 1)[1]: value for value in entries for name in value.rule.names}


@rule("tf.keras.activations.serialize", returns="python")
@prove("relu", raises=True)
def serialize(activation):
    """The name of an activation function; ``get`` reads it back. Raises ValueError for what is none."""
    return _serialize(activation)


def _serialize(activation):
    if activation is None:
        return "linear"
    name = getattr(activation, "__name__", None)
    if name is None or name not in _named():
        raise ValueError(f"{activation!r} is not an activation function of tf.keras.activations")
    return name
