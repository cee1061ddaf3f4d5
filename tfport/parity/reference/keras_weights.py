"""Keras: weights that show faults, and the file that holds them."""

import collections
import re

import numpy as np

from tfport.parity.reference.keras_layers import layer_paths, snake_case


def save_weights(model, path):
    """Saves a Keras model's weights. In a `.weights.h5` file every layer lies under the attribute that holds it.

    Keras 2.13 to 2.15 visit a model's attributes from Z to A, so that most layers of a subclassed model are filed
    by their class under `layers/`, where Keras 3, which visits them from A to Z, has the attribute.
    """
    model.save_weights(path)
    if not path.endswith(".weights.h5") or any(
        kind.__module__.startswith("keras.src.models") for kind in type(model).__mro__
    ):  # Keras 3, which files them so itself and counts under `layers/` in another way
        return
    import h5py  # Keras has it

    paths = layer_paths(model)
    with h5py.File(path, "r+") as file:
        _file_by_attribute(file, model, "", "", paths)
        names = []
        file.visit(names.append)
        for name in names:  # attention's, whose attributes have no underscore in Keras 3
            head, _, tail = name.rpartition("/")
            if re.match("_(query|key|value|output)_dense$", tail):
                file.move(name, head + "/" + tail[1:])


def _file_by_attribute(file, owner, at, attribute, paths):
    counts = collections.Counter()
    for layer in getattr(owner, "layers", ()):
        kind = snake_case(type(layer).__name__)
        place = "%slayers/%s%s" % (at, kind, "_%d" % counts[kind] if counts[kind] else "")
        wanted = paths.get(id(layer), (None, None))[1]
        there = wanted is not None and at + wanted[len(attribute) :] in file
        counts[
            kind
        ] += not there  # what an attribute after `layers` holds was filed there, and is not numbered
        if wanted is None:
            wanted = place
        elif not wanted.startswith(attribute):  # of a layer that is held in two places
            continue
        else:
            wanted = at + wanted[len(attribute) :]
        if place in file and place != wanted and not there:
            file.move(place, wanted)
        _file_by_attribute(file, layer, wanted + "/", paths.get(id(layer), ("", ""))[1] or "", paths)


def assign(variable, array, tf):
    """Sets a variable, in eager mode or in a graph's session."""
    if tf.executing_eagerly():
        variable.assign(array)
    else:
        tf.keras.backend.set_value(variable, array)


def roughen(model, rng, tf):
    """Adds noise of up to 0.2 to variables that hold few numbers (zero biases, unit scales, an identity).

    The bias of an LSTM is zeros and ones: without noise its two directions, or its gates, could be exchanged unseen.
    """
    trainable = {id(v) for v in model.trainable_weights}
    for variable, array in zip(model.weights, model.get_weights()):
        array = np.asarray(array)
        statistic = any(word in variable.name for word in ("mean", "variance"))
        if array.dtype.kind != "f" or array.size == 0 or not (id(variable) in trainable or statistic):
            continue
        if len(np.unique(array.ravel()[:4096])) <= max(1, min(4, array.size // 2)):
            assign(variable, (array + rng.uniform(-0.2, 0.2, array.shape)).astype(array.dtype), tf)


BORDERS = {"relu6": 6.0, "hard_sigmoid": 3.0, "hard_silu": 3.0, "hard_swish": 3.0, "hard_tanh": 1.0}
# Activations that are flat beyond a value: what reaches them must go beyond it, or a port without it would agree.


DEEP = 30  # layers of BatchNormalization


class Tune:
    """Scales kernels and sets BatchNormalization's statistics from the data that reach each layer.

    A layer that takes each channel's mean off and makes channels equally large lets a deviation grow beside what is left:
    1.2 to 2 times, more where a channel has few values. After more than `DEEP` of them rounding would be all that is left:
    there the statistics are around zero and as large as the layer's values.
    """

    def __init__(self, rng, tf, layers=()):
        self.rng, self.tf, self.done, self.last = rng, tf, set(), (None, None)
        self.deep = sum(hasattr(layer, "moving_variance") for layer in layers) > DEEP

    def __call__(self, layer, call, args, kwargs):
        if id(layer) not in self.done and args and hasattr(args[0], "numpy"):
            self.done.add(id(layer))
            if hasattr(layer, "moving_variance") and hasattr(layer, "epsilon"):
                self.statistics(layer, np.asarray(args[0].numpy(), np.float64))
            elif not type(layer).__name__.endswith("Cell"):
                args = (self.beyond(layer, args[0]),) + tuple(args[1:])
                self.scale(layer, call, args, kwargs)
        result = call(*args, **kwargs)
        self.last = layer, result
        return result

    def beyond(self, layer, x):
        """The input of a layer that ends at a border, made larger by the layer before it where it is linear."""
        border = getattr(layer, "max_value", None)
        if type(layer).__name__ == "Activation":
            border = BORDERS.get(getattr(layer.activation, "__name__", None))
        before, result = self.last
        linear = hasattr(before, "moving_variance") or (
            hasattr(before, "kernel")
            and getattr(getattr(before, "activation", None), "__name__", None) == "linear"
        )
        if not border or result is not x or not linear:
            return x
        deviation = float(np.std(np.asarray(x.numpy(), np.float64)))
        if not 0 < deviation < 0.5 * float(border):
            return x
        factor = 0.7 * float(border) / deviation
        for name in ("gamma", "beta") if hasattr(before, "moving_variance") else ("kernel", "bias"):
            variable = getattr(before, name, None)
            if variable is not None:
                self.set(variable, np.asarray(variable.numpy()) * factor)
            elif name in ("gamma", "kernel"):  # nothing to scale
                return x
        return x * np.asarray(factor, x.dtype.as_numpy_dtype)

    def set(self, variable, array):
        assign(variable, np.asarray(array).astype(np.asarray(variable.numpy()).dtype), self.tf)

    def statistics(self, layer, x):
        axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
        axes = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
        mean, variance = x.mean(axes), x.var(axes)
        if self.deep:
            mean, variance = np.zeros_like(mean), np.full_like(mean, np.square(x).mean())
        # Of a few values the variance may be zero by chance; dividing by that would show rounding alone.
        few = np.square(x).mean() * mean.size / x.size
        variance = np.maximum(variance, 1e-3 * variance.mean() + few + 1e-12)
        stored = 10.0 ** self.rng.uniform(-2, 0, mean.shape)
        if getattr(layer, "gamma", None) is not None:
            gain = self.rng.uniform(0.5, 1.5, mean.shape)
            self.set(layer.gamma, gain * np.sqrt(stored / variance))
        else:
            stored = variance * self.rng.uniform(0.7, 1.4, mean.shape)
        if getattr(layer, "beta", None) is not None:
            self.set(layer.beta, 0.3 * self.rng.standard_normal(mean.shape))
        self.set(layer.moving_mean, mean + 0.1 * np.sqrt(variance) * self.rng.standard_normal(mean.shape))
        self.set(layer.moving_variance, stored)

    def scale(self, layer, call, args, kwargs):
        names = ("pointwise_kernel", "depthwise_kernel", "kernel")
        kernel = next((v for v in (getattr(layer, n, None) for n in names) if hasattr(v, "assign")), None)
        if kernel is None or not hasattr(layer, "activation"):
            return
        activation = layer.activation
        object.__setattr__(layer, "activation", lambda v: v)
        try:
            values = np.asarray(call(*args, **kwargs).numpy(), np.float64)
        finally:
            object.__setattr__(layer, "activation", activation)
        # Values that hardly vary are not pulled apart: that would show rounding alone.
        deviation = max(float(np.std(values)), 0.1 * float(np.sqrt(np.mean(np.square(values)))))
        # The relative error of a softmax is the absolute one of its logits: small ones keep rounding small.
        softmax = getattr(activation, "__name__", None) == "softmax"
        low, aim, high = (0.2, 0.5, 0.5) if softmax else (0.3, 1.0, 3.0)
        border = BORDERS.get(getattr(activation, "__name__", None))
        if border:
            low, aim, high = 0.5 * border, 0.7 * border, border
        if np.isfinite(deviation) and deviation > 0 and not low <= deviation <= high:
            self.set(kernel, np.asarray(kernel.numpy()) * (aim / deviation))
