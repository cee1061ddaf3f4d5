"""A text classifier: an embedding, a convolution over time, GRUs with the reset gate after and before."""

from tensorflow import keras
from tensorflow.keras import layers

WORDS, UNITS = 20, 8


class Text(keras.Model):
    def __init__(self, classes=4):
        super().__init__()
        self.table = layers.Embedding(WORDS, UNITS)
        self.conv = layers.Conv1D(UNITS, 4, padding="same", activation="relu")
        self.norm = layers.BatchNormalization()
        self.first = layers.GRU(UNITS, return_sequences=True)
        self.backward = layers.GRU(UNITS, return_sequences=True, go_backwards=True)
        self.second = layers.GRU(UNITS, reset_after=False)
        self.drop = layers.Dropout(0.5)
        self.head = layers.Dense(classes)

    def call(self, ids, training=False):
        x = self.norm(self.conv(self.table(ids)), training=training)
        x = self.backward(self.first(x))
        return self.head(self.drop(self.second(x), training=training))
