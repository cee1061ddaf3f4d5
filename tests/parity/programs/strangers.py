"""Models as people write them, whose ports (`strangers_torch.py`) are written by hand: other names, no record."""

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


def images():
    given = keras.Input((9, 8, 3))
    x = layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False)(given)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    y = layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    x = layers.Add()([x, y])
    x = layers.SeparableConv2D(5, 3, padding="same", activation="relu")(x)
    x = layers.Flatten()(x)
    return keras.Model(given, layers.Dense(4, activation="softmax")(x))


def painter():
    given = keras.Input((7,))
    x = layers.Dense(4 * 4 * 6, use_bias=False)(given)
    x = layers.BatchNormalization()(x)
    x = layers.Reshape((4, 4, 6))(layers.LeakyReLU()(x))
    x = layers.Conv2DTranspose(5, 3, strides=2, padding="same")(x)
    x = layers.BatchNormalization()(x)
    return keras.Model(given, layers.Conv2DTranspose(3, 3, padding="same", activation="tanh")(x))


def words():
    given = keras.Input((6,), dtype="int32")
    x = layers.Embedding(12, 5, mask_zero=True)(given)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(3))(x)
    return keras.Model(given, layers.Dense(1, activation="sigmoid")(x))


def levels():
    given = keras.Input((6, 4))
    x = layers.GRU(5, return_sequences=True)(given)
    x = layers.GRU(5)(x)
    return keras.Model(given, layers.Dense(3)(x))


def translator():
    source, target = keras.Input((5, 4)), keras.Input((6, 3))
    _, *state = layers.LSTM(7, return_state=True)(source)
    x = layers.LSTM(7, return_sequences=True)(target, initial_state=state)
    return keras.Model([source, target], layers.Dense(3)(x))


class Block(layers.Layer):
    def __init__(self):
        super().__init__()
        self.attention = layers.MultiHeadAttention(num_heads=2, key_dim=4)
        self.one, self.two = layers.LayerNormalization(epsilon=1e-6), layers.LayerNormalization(epsilon=1e-6)
        self.wide, self.back = layers.Dense(12, activation="gelu"), layers.Dense(8)

    def build(self, shape):
        self.gain = self.add_weight(name="gain", shape=(shape[-1],), initializer="ones")

    def call(self, x):
        x = self.one(x + self.attention(x, x, use_causal_mask=True))
        return self.two(x + self.gain * self.back(self.wide(x)))


class Reader(keras.Model):
    def __init__(self):
        super().__init__()
        self.table = layers.Embedding(12, 8)
        self.places = layers.Embedding(6, 8)
        self.blocks = [Block(), Block()]
        self.head = layers.Dense(12)

    def call(self, ids):
        x = self.table(ids) + self.places(tf.range(6))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def waves():
    given = keras.Input((12, 3))
    x = layers.Conv1D(4, 1)(given)
    for rate in (1, 2):
        one = layers.Conv1D(4, 2, dilation_rate=rate, padding="causal", activation="tanh")(x)
        two = layers.Conv1D(4, 2, dilation_rate=rate, padding="causal", activation="sigmoid")(x)
        x = layers.Add()([x, layers.Multiply()([one, two])])
    return keras.Model(given, layers.GlobalAveragePooling1D()(x))


def encoder():
    given = keras.Input((8, 8, 1))
    x = layers.Conv2D(3, 3, strides=2, padding="same", activation="relu")(given)
    return keras.Model(given, layers.Dense(2)(layers.Flatten()(x)), name="encoder")


def decoder():
    given = keras.Input((2,))
    return keras.Model(given, layers.Dense(5)(given), name="decoder")


class Holder(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder = encoder()
        self.decoder = decoder()

    def call(self, images):
        return self.decoder(self.encoder(images))


def single():
    """What TensorFlow has in float32 alone."""
    given = keras.Input((5, 7, 6, 2))
    x = layers.MaxPooling3D((2, 3, 2), strides=(1, 2, 2), padding="same")(given)
    x = layers.AveragePooling3D(2, padding="same")(x)
    x = layers.MaxPooling3D((1, 2, 1))(x)
    x = layers.Reshape((6, 2, 1))(x)
    x = layers.Conv2D(6, 1)(x)
    x = layers.Lambda(lambda v: tf.nn.local_response_normalization(v, 2, 1.5, 0.1, 0.75))(x)
    return keras.Model(given, layers.UpSampling2D((3, 2), interpolation="bilinear")(x))
