"""Activations: tf.nn.relu and its kin, softmax and log_softmax."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.rule import Tensor, array, bf16, f16, f32, f64, i32, prove, rule

_NASTY = array(
    [-1e30, -100.0, -20.5, -3.0, -1e-8, 0.0, 1e-8, 3.0, 6.0, 20.5, 50.0, 1e30, float("inf"), float("-inf")]
)


@rule("tf.nn.relu", returns="features")
@prove(f32(2, 3, 4))
@prove(_NASTY, grad=False)
@prove(array([0.0, -0.0, float("nan"), 1.0]), grad=False)
@prove(array([0.0, 1.0, -1.0]))
@prove(i32(3, 4))
@prove(f64(0, 3))
@prove(bf16(3, 4))
def relu(features: Tensor, name=None):
    """max(x, 0); the gradient at 0 is 0 in both."""
    return torch.relu(features)


@rule("tf.nn.relu6", returns="features")
@prove(f32(3, 5, low=-10.0, high=10.0))
@prove(array([0.0, 6.0, 7.0, -1.0]))
@prove(f16(3, 4, low=-9.0, high=9.0))
def relu6(features: Tensor, name=None):
    """min(max(x, 0), 6)."""
    return F.relu6(features)


@rule("tf.nn.crelu", returns="features")
@prove(f32(2, 3))
@prove(f32(2, 3, 4), axis=1)
def crelu(features: Tensor, axis=-1, name=None):
    """The positive and the negative part side by side along ``axis``; TensorFlow 1 has ``name`` before ``axis``."""
    return torch.cat([torch.relu(features), torch.relu(-features)], dim=axis)


@rule("tf.nn.elu", returns="features")
@prove(f32(2, 3))
@prove(_NASTY, grad=False)
@prove(f64(3, 4))
def elu(features: Tensor, name=None):
    """x where positive, exp(x) - 1 elsewhere."""
    return F.elu(features)


@rule("tf.nn.selu", returns="features")
@prove(f32(2, 3))
@prove(f64(3, 4))
def selu(features: Tensor, name=None):
    """Scaled ELU with the same two constants in both."""
    return F.selu(features)


@rule("tf.nn.leaky_relu", returns="features")
@prove(f32(2, 3))
@prove(f32(2, 3), alpha=0.1)
@prove(f32(2, 3), 0.01)
@prove(array([0.0, -1.0, 2.0]))
@prove(f64(2, 3), alpha=0.3, rtol=1e-7)
def leaky_relu(features: Tensor, alpha=0.2, name=None):
    """The slope is 0.2 in TensorFlow's function, 0.3 in Keras' layer and 0.01 in torch.

    TensorFlow holds alpha as float32, which float64 inputs show in the eighth digit.
    """
    return F.leaky_relu(features, alpha)


@rule("tf.nn.gelu", returns="features")
@prove(f32(2, 3))
@prove(f64(2, 3), rtol=1e-8)
@prove(f32(2, 3), approximate=True)
@prove(f64(2, 3), True, rtol=1e-8)
def gelu(features: Tensor, approximate=False, name=None):
    """Exact (erf) by default in both; the approximation is tanh's. TensorFlow's constants are float32."""
    if approximate:
        return F.gelu(features, approximate="tanh")
    return F.gelu(features)


@rule("tf.nn.silu", "tf.nn.swish", returns="features")
@prove(f32(2, 3))
@prove(f32(2, 3), beta=1.5)
@prove(f64(2, 3), 0.5)
def silu(features: Tensor, beta=1.0):
    """x * sigmoid(beta * x)."""
    if beta == 1.0:
        return F.silu(features)
    return features * torch.sigmoid(beta * features)


@rule("tf.nn.softplus", "tf.math.softplus", returns="features")
@prove(f32(2, 3))
@prove(f32(4, 5, low=-60.0, high=60.0))
@prove(f64(4, 5, low=-60.0, high=60.0), rtol=1e-9)
def softplus(features: Tensor, name=None):
    """log(exp(x) + 1). torch returns x above 20, where the rest is below 2.1e-9: seen in float64 only."""
    return F.softplus(features)


@rule("tf.nn.softsign", "tf.math.softsign", returns="features")
@prove(f32(2, 3))
@prove(f64(2, 3))
def softsign(features: Tensor, name=None):
    """x / (|x| + 1)."""
    return F.softsign(features)


@rule("tf.nn.softmax", "tf.math.softmax", renamed={"dim": "axis"}, returns="logits")
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), axis=1)
@prove(f32(2, 3, 4), -2)
@prove(f32(5), axis=0)
@prove(f64(2, 0))
@prove(array([[1e30, 0.0], [float("-inf"), 0.0], [100.0, 100.0]]), grad=False)
@prove(f16(2, 6))
@prove(i32(2, 3), raises=True)
def softmax(logits: Tensor, axis=None, name=None):
    """The axis defaults to the last one; torch wants it named."""
    if axis is None:
        return torch.softmax(logits, dim=-1)
    return torch.softmax(logits, dim=axis)


@rule("tf.nn.log_softmax", "tf.math.log_softmax", renamed={"dim": "axis"}, returns="logits")
@prove(f32(2, 3, 4))
@prove(f32(2, 3, 4), axis=1)
@prove(f64(2, 3), axis=-1)
@prove(array([[1e3, 0.0], [-1e3, 0.0]]))
def log_softmax(logits: Tensor, axis=None, name=None):
    """The axis defaults to the last one; torch wants it named."""
    if axis is None:
        return torch.log_softmax(logits, dim=-1)
    return torch.log_softmax(logits, dim=axis)


@rule("tf.compat.v1.nn.relu_layer", "tf.nn.relu_layer")
@prove(f32(4, 3), f32(3, 2), f32(2))
def relu_layer(x: Tensor, weights: Tensor, biases: Tensor, name=None):
    """relu(x @ weights + biases)."""
    return torch.relu(torch.addmm(biases, x, weights))


@rule("tf.compat.v1.nn.xw_plus_b", "tf.nn.xw_plus_b")
@prove(f32(4, 3), f32(3, 2), f32(2))
@prove(f64(0, 3), f64(3, 2), f64(2))
def xw_plus_b(x: Tensor, weights: Tensor, biases: Tensor, name=None):
    """x @ weights + biases."""
    return torch.addmm(biases, x, weights)
