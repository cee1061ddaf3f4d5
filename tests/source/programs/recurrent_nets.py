"""Recurrent models as people write them: functions that build, stacks and subclasses."""

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


def tagger():
    return keras.Sequential(
        [
            layers.Embedding(50, 12, input_shape=(9,)),
            layers.LSTM(10, return_sequences=True),  # all steps
            layers.Bidirectional(layers.LSTM(8)),
            layers.Dense(3, activation="softmax"),
        ]
    )


def masked():
    ids = keras.Input((9,), dtype="int32")
    x = layers.Embedding(50, 12, mask_zero=True)(ids)
    x = layers.Dropout(0.5)(x)
    x = layers.Bidirectional(layers.GRU(8, return_sequences=True))(x)
    x = layers.LSTM(6, dropout=0.2)(x)
    out = layers.Dense(3)(x)
    return keras.Model(ids, out)


def not_torch():
    i = keras.Input((7, 5))
    x = layers.GRU(8, reset_after=False, return_sequences=True)(i)
    x = layers.SimpleRNN(8, activation="relu", return_sequences=True)(x)
    x = layers.LSTM(4, activation="softsign", go_backwards=True, use_bias=False)(x)
    return keras.Model(i, layers.Dense(1)(x))


def merged():
    i = keras.Input((7, 5))
    x = layers.TimeDistributed(layers.Dense(8, activation="relu"))(i)
    x = layers.Bidirectional(layers.GRU(8, return_sequences=True), merge_mode="sum")(x)
    y = layers.Bidirectional(layers.GRU(8), merge_mode="ave")(x)
    z = layers.Bidirectional(layers.SimpleRNN(8), merge_mode="mul")(x)
    return keras.Model(i, layers.Concatenate()([y, z]))


def dropped():
    ids = keras.Input((9,), dtype="int32")
    x = layers.Embedding(50, 12, mask_zero=True)(ids)
    x = layers.Conv1D(6, 3, padding="same", activation="relu")(x)
    x = layers.GRU(5)(x)
    return keras.Model(ids, x)


def padded():
    i = keras.Input((7, 5))
    x = layers.Masking()(i)
    x = layers.LSTM(6, return_sequences=True)(x)
    x = layers.Concatenate()([x, layers.Dense(3)(x)])
    x = layers.LSTM(4)(x)
    return keras.Model(i, x)


def translation():
    source, target = keras.Input((6, 5)), keras.Input((7, 4))
    encoded, h, c = layers.LSTM(8, return_sequences=True, return_state=True)(source)
    x = layers.LSTM(8, return_sequences=True)(target, initial_state=[h, c])
    x = layers.Attention()([x, encoded])
    return keras.Model([source, target], layers.Dense(3)(x))


def transformer():
    x = keras.Input((7, 8))
    y = layers.MultiHeadAttention(num_heads=2, key_dim=4, dropout=0.1)(x, x)
    y = layers.LayerNormalization(epsilon=1e-6)(x + y)
    z = layers.MultiHeadAttention(2, 3)(query=y, value=x, use_causal_mask=True)
    z = layers.GlobalAveragePooling1D()(z)
    return keras.Model(x, layers.Dense(2)(z))


class Classifier(keras.Model):
    def __init__(self, vocab=50, units=7):
        super().__init__()
        self.embedding = layers.Embedding(vocab, 12)
        self.lstm = layers.LSTM(units, return_sequences=True)
        self.both = layers.Bidirectional(layers.LSTM(units))
        self.fc = layers.Dense(2)

    def call(self, x, training=False):
        x = self.embedding(x)
        x = self.lstm(x)
        x = self.both(x, training=training)
        return self.fc(x)


class MaskedClassifier(keras.Model):
    def __init__(self, vocab=50, units=7):
        super().__init__()
        self.embedding = layers.Embedding(vocab, 12, mask_zero=True)
        self.lstm = layers.LSTM(units, return_sequences=True)
        self.drop = layers.Dropout(0.2)
        self.gru = layers.GRU(units, recurrent_initializer="glorot_uniform")
        self.fc = layers.Dense(2)

    def call(self, inputs, training=False):
        inputs = self.embedding(inputs)
        x = self.lstm(inputs)
        x = self.drop(x, training=training)
        x = self.gru(x)
        return self.fc(x)


class Encoder(keras.Model):
    """Kept as Keras has it: states come out."""

    def __init__(self):
        super().__init__()
        self.embedding = layers.Embedding(50, 6, mask_zero=True)
        self.gru = layers.GRU(5, return_sequences=True, return_state=True)
        self.attend = layers.AdditiveAttention()

    def call(self, ids):
        x = self.embedding(ids)
        x, state = self.gru(x)
        return self.attend([x, x]), state


class Block(layers.Layer):
    def __init__(self, dim=8, heads=2):
        super().__init__()
        self.attention = layers.MultiHeadAttention(num_heads=heads, key_dim=dim)
        self.norm = layers.LayerNormalization()
        self.mlp = layers.Dense(dim, activation="gelu")

    def call(self, x, training=False):
        x = self.norm(x + self.attention(x, x, use_causal_mask=True, training=training))
        return x + self.mlp(x)


class Decoder(keras.Model):
    def __init__(self):
        super().__init__()
        self.embedding = layers.Embedding(50, 8)
        self.block1 = Block()
        self.block2 = Block(8, 4)
        self.out = layers.Dense(5)

    def call(self, ids, training=False):
        x = self.embedding(ids)
        x = self.block1(x, training=training)
        x = self.block2(x, training=training)
        return self.out(x)


class Smoothed(keras.Model):
    def __init__(self):
        super().__init__()
        self.lstm = layers.LSTM(6)
        self.scale = 2.0

    def call(self, x):
        if self.scale > 1.0:
            x = self.lstm(x)
        return tf.nn.relu(x)
