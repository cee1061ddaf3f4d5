"""Functions and modules of TensorFlow 2 that are traced to graphs, and a function that makes inputs."""

import numpy as np
import tensorflow as tf

gain = tf.Variable([1.5, -2.0, 0.5], name="gain")


def scaled(x):
    with tf.name_scope("part"):
        y = tf.nn.relu(x * gain, name="act")
    return {"y": tf.nn.softmax(y), "n": tf.shape(x)[0], "k": 2.5}


class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable(tf.random.normal([3, 4]), name="w")

    @tf.function
    def __call__(self, x):
        for _ in tf.range(3):
            x = tf.tanh(x @ self.w) @ tf.transpose(self.w)
        return x


def noisy(x):
    return x + tf.random.normal(x.shape)


def numbers(x):
    return tf.reduce_sum(x).numpy() * np.ones(2)


def inside(x):
    """Float32 whatever it is given."""
    return tf.cast(tf.sin(tf.cast(x, tf.float32)), tf.float64)


def arrays():
    return {"a": np.full((2, 3), np.random.rand(), "float32"), "b": np.arange(6.0).reshape(2, 3)}


def added(a, b):
    return tf.cast(a, tf.float64) + tf.cast(b, tf.float64)


def one():
    return np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)


def wrong():
    raise ValueError("no data today")


def text():
    return ["a", "b"]


def undetermined(x):
    return x + tf.random.Generator.from_non_deterministic_state().normal([1]) * 0
