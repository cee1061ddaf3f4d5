"""A text classifier: an embedding, a bidirectional LSTM, an LSTM, normalised and classified."""

from tensorflow import keras
from tensorflow.keras import layers

WORDS, UNITS = 20, 8


class Text(keras.Model):
    def __init__(self, classes=4):
        super().__init__()
        self.table = layers.Embedding(WORDS, UNITS)
        self.both = layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True))
        self.mix = layers.Dense(UNITS, activation="tanh")
        self.last = layers.LSTM(UNITS)
        self.norm = layers.LayerNormalization()
        self.drop = layers.Dropout(0.5)
        self.square = layers.Dense(UNITS, activation="relu")
        self.head = layers.Dense(classes, activation="softmax")

    def call(self, ids, training=False):
        x = self.mix(self.both(self.table(ids)))
        x = self.drop(self.norm(self.last(x)), training=training)
        return self.head(self.square(x))
