"""A text classifier: token and position embeddings, transformer blocks, flattened and classified."""

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

LENGTH, WORDS, WIDTH, HEADS, BLOCKS = 6, 20, 8, 2, 2


class Embed(layers.Layer):
    def __init__(self):
        super().__init__()
        self.token = layers.Embedding(WORDS, WIDTH)
        self.position = layers.Embedding(LENGTH, WIDTH)

    def call(self, ids):
        return self.token(ids) + self.position(tf.range(LENGTH))


class Block(layers.Layer):
    def __init__(self):
        super().__init__()
        self.norm1 = layers.LayerNormalization(epsilon=1e-6)
        self.attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
        self.drop = layers.Dropout(0.3)
        self.norm2 = layers.LayerNormalization()
        self.wide = layers.Dense(WIDTH, activation="gelu")
        self.narrow = layers.Dense(WIDTH)

    def call(self, x, training=False):
        y = self.norm1(x)
        x = x + self.drop(self.attention(y, y), training=training)
        return x + self.narrow(self.wide(self.norm2(x)))


class Transformer(keras.Model):
    def __init__(self, classes=4):
        super().__init__()
        self.embed = Embed()
        self.blocks = [Block() for _ in range(BLOCKS)]
        self.norm = layers.LayerNormalization()
        self.flat = layers.Flatten()
        self.head = layers.Dense(classes, activation="softmax")

    def call(self, ids, training=False):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, training=training)
        return self.head(self.flat(self.norm(x)))
