"""Methods, closures, lambdas, comprehensions, decorators, defaults."""
import functools

import tensorflow as tf


class Affine:
    dtype = tf.float32
    activation = staticmethod(tf.nn.relu)

    def __init__(self, scale, shift=tf.constant(1.0), *, rank: int = 2) -> None:
        self.scale, self.shift = tf.cast(scale, self.dtype), shift
        self.rank = rank

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return self.activation(tf.add(x * self.scale, self.shift))


def compose(*functions):
    return lambda x: functools.reduce(lambda value, f: f(value), functions, x)


def deep(x):
    def inner(y, axis=0):
        return tf.reduce_sum(y, axis)

    return inner(x), inner(x, axis=1)


x = tf.constant([[1.0, -3.0], [2.0, 5.0]])
both = compose(tf.abs, lambda v: tf.square(v), Affine(tf.constant(2)))
print(both(x).numpy().tolist(), [v.numpy().tolist() for v in deep(x)])
print([float(tf.reduce_sum(row)) for row in tf.unstack(x)], {k: tf.square(float(k)).numpy().tolist() for k in "12"})
print(sorted((tf.nn.sigmoid(v).numpy().tolist() for v in x[0]), reverse=True), Affine.dtype == tf.float32)
