"""Plain functions, variables of the file, a tf.Module, a subclassed model, a training loop."""

import numpy as np
import tensorflow as tf

gain = tf.Variable([1.5, -2.0, 0.5])


def scaled(x):
    return {"y": tf.nn.relu(x) * gain, "n": tf.shape(x)[0], "name": "scaled"}


def pair(a, b, alpha=1.0):
    return a + alpha * b, [tf.reduce_max(a), tf.argmax(b, axis=1)]


def constants():
    return tf.reshape(tf.range(6), [2, 3]), 2.5


def train(steps=5):
    rng = np.random.RandomState(0)
    x, y = rng.randn(16, 3).astype("float32"), rng.randn(16, 1).astype("float32")
    w = tf.Variable(tf.zeros([3, 1]))
    losses = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((tf.matmul(x, w) - y) ** 2)
        w.assign_sub(0.1 * tape.gradient(loss, w))
        losses.append(float(loss))
    return losses


def failing(x):
    return tf.reshape(x, [7, 7])


class Affine(tf.Module):
    def __init__(self, units=4):
        super().__init__()
        self.w = tf.Variable(tf.random.normal([3, units]))
        self.b = tf.Variable(tf.zeros([units]))

    def __call__(self, x):
        return x @ self.w + self.b


class Mixer(tf.keras.Model):
    """Ids and numbers; two inputs as two arguments."""

    def __init__(self, units=6):
        super().__init__()
        self.table = tf.keras.layers.Embedding(11, 4)
        self.blocks = [tf.keras.layers.Dense(units, activation="relu") for _ in range(2)]
        self.norm = tf.keras.layers.LayerNormalization()

    def call(self, ids, x, training=False):
        y = tf.concat([tf.reduce_mean(self.table(ids), axis=1), x], axis=-1)
        for block in self.blocks:
            y = block(y)
        return {"y": self.norm(y)}


class Traced(tf.keras.Model):
    """A call() that is a tf.function, as TensorFlow's tutorials write it."""

    def __init__(self):
        super().__init__()
        self.first = tf.keras.layers.Dense(8, activation="relu")
        self.last = tf.keras.layers.Dense(2)

    @tf.function
    def call(self, x, training=False):
        return self.last(self.first(x))


def composites(x):
    """A tensor, a ragged and a sparse one, in a list."""
    ragged = tf.RaggedTensor.from_row_splits(tf.reshape(x, [-1]), [0, 2, 12])
    return [x * 2.0, ragged, tf.sparse.from_dense(tf.nn.relu(x))]
