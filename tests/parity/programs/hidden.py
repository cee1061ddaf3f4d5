"""Programs whose outputs hide what goes on inside: ids, borders, saturation, numbers of unlike size."""

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


class Classes(keras.Model):
    """The winning class alone: a small fault does not move it."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(16, activation="relu")
        self.norm = layers.BatchNormalization()
        self.head = layers.Dense(3)

    def call(self, x):
        return tf.argmax(self.head(self.norm(self.hidden(x))), axis=-1)


class Capped(keras.Model):
    """An activation that ends at 6."""

    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(4, 3, use_bias=False)
        self.norm = layers.BatchNormalization()
        self.cap = layers.ReLU(max_value=6.0)
        self.head = layers.Dense(4, activation="relu6")

    def call(self, x):
        return self.head(self.cap(self.norm(self.conv(x))))


class Padded(keras.Model):
    """Steps whose id is 0 do not count."""

    def __init__(self):
        super().__init__()
        self.table = layers.Embedding(50, 6, mask_zero=True)
        self.last = layers.LSTM(5)

    def call(self, ids):
        return self.last(self.table(ids))


class Boxes(keras.Model):
    """Places in pixels and scores up to 1, in one tensor."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(16, activation="tanh")
        self.place = layers.Dense(4)
        self.score = layers.Dense(2, activation="sigmoid")

    def call(self, x):
        x = self.hidden(x)
        return tf.concat([self.place(x) * 1000.0, self.score(x)], axis=-1)


class Shifted(keras.Model):
    """Weights that start as an identity."""

    def __init__(self):
        super().__init__()
        self.same = layers.Dense(6, kernel_initializer="identity")
        self.walk = layers.SimpleRNN(6, recurrent_initializer="identity", return_sequences=True)

    def call(self, x):
        return self.walk(self.same(x))


class Silent(keras.Model):
    """Gives zeros, whatever is inside."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(4)

    def call(self, x):
        return tf.nn.relu(-tf.square(self.hidden(x)))
