"""Keras' models, inputs and layers that are classes of their own, and the merging functions."""

from __future__ import annotations

from tfport.compat.keras import lambda_layer as _lambda
from tfport.compat.keras import layer as _layer
from tfport.compat.keras import model as _model
from tfport.rule import f32, prove, rule


@rule("tf.keras.layers.Layer", "tf.keras.Layer", "tf.keras.engine.base_layer.Layer", "tf.layers.Layer", returns="python",
      proved_by="tests/compat/test_recorded_models.py")  # fmt: skip
class Layer(_layer.Layer):
    """The base class of layers; a subclass defines build (add_weight) and call, and is an nn.Module."""

    published = _layer.Layer


@rule("tf.keras.layers.InputLayer", returns="python", proved_by="tests/compat/test_keras_state.py")
class InputLayer(_model.InputLayer):
    """The layer behind Input."""

    published = _model.InputLayer


@rule("tf.keras.layers.Lambda", returns="python", proved_by="tests/compat/test_recorded_models.py")
class Lambda(_lambda.Lambda):
    """A function as a layer; in a recorded model it sees values in TensorFlow's order."""

    published = _lambda.Lambda


@rule("tf.keras.Model", "tf.keras.models.Model", "tf.keras.training.Model", returns="python",
      proved_by="tests/compat/test_recorded_models.py")  # fmt: skip
class Model(_model.Model):
    """Model(inputs, outputs) records a torch.fx module; a subclass is an ordinary nn.Module with call()."""

    published = _model.Model


@rule("tf.keras.models.Functional", "tf.keras.Functional", "tf.keras.engine.functional.Functional", returns="python",
      proved_by="tests/compat/test_keras_state.py")  # fmt: skip
class Functional(_model.Functional):
    """A recorded model, as Keras' own applications make it."""

    published = _model.Functional


@rule("tf.keras.Sequential", "tf.keras.models.Sequential", returns="python",
      proved_by="tests/compat/test_recorded_models.py")  # fmt: skip
class Sequential(_model.Sequential):
    """Layers one after the other."""

    published = _model.Sequential


@rule(
    "tf.keras.Input",
    "tf.keras.layers.Input",
    returns="python",
    proved_by="tests/compat/test_recorded_models.py",
)
def Input(shape=None, batch_size=None, dtype=None, sparse=None, ragged=None, batch_shape=None, name=None, tensor=None,
          optional=False):  # fmt: skip
    """A symbolic tensor; ``shape`` is in TensorFlow's order, the model's image inputs are NCHW."""
    return _model.Input(shape, batch_size, dtype, sparse, ragged, batch_shape, name, tensor, optional)


def _merged(name, inputs, arguments):
    from tfport import compat

    return getattr(compat.keras.layers, name)(**arguments)(inputs)


@rule("tf.keras.layers.add")
@prove([f32(2, 3), f32(2, 3, seed=1)])
def add(inputs, **kwargs):
    """Add()(inputs)."""
    return _merged("Add", inputs, kwargs)


@rule("tf.keras.layers.subtract")
@prove([f32(2, 3), f32(2, 3, seed=1)])
def subtract(inputs, **kwargs):
    """Subtract()(inputs)."""
    return _merged("Subtract", inputs, kwargs)


@rule("tf.keras.layers.multiply")
@prove([f32(2, 3), f32(2, 3, seed=1)])
def multiply(inputs, **kwargs):
    """Multiply()(inputs)."""
    return _merged("Multiply", inputs, kwargs)


@rule("tf.keras.layers.average")
@prove([f32(2, 3), f32(2, 3, seed=1)])
def average(inputs, **kwargs):
    """Average()(inputs)."""
    return _merged("Average", inputs, kwargs)


@rule("tf.keras.layers.maximum")
@prove([f32(2, 3), f32(2, 3, seed=1)])
def maximum(inputs, **kwargs):
    """Maximum()(inputs)."""
    return _merged("Maximum", inputs, kwargs)


@rule("tf.keras.layers.minimum")
@prove([f32(2, 3), f32(2, 3, seed=1)])
def minimum(inputs, **kwargs):
    """Minimum()(inputs)."""
    return _merged("Minimum", inputs, kwargs)


@rule("tf.keras.layers.concatenate")
@prove([f32(2, 3), f32(2, 3, seed=1)])
def concatenate(inputs, axis=-1, **kwargs):
    """Concatenate(axis)(inputs)."""
    return _merged("Concatenate", inputs, {"axis": axis, **kwargs})


@rule("tf.keras.layers.dot")
@prove([f32(2, 3), f32(2, 3, seed=1)], axes=1)
def dot(inputs, axes=-1, **kwargs):
    """Dot(axes)(inputs)."""
    return _merged("Dot", inputs, {"axes": axes, **kwargs})
