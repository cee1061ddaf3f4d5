"""Subclassed models as people write them."""

import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


class ResBlock(layers.Layer):
    """Two convolutions and a way round."""

    def __init__(self, filters, stride=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.conv1 = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)  # first
        self.bn1 = layers.BatchNormalization()
        self.conv2 = layers.Conv2D(
            self.filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal"
        )
        self.bn2 = layers.BatchNormalization()
        self.shortcut = layers.Conv2D(filters, 1, strides=stride)
        self.act = layers.ReLU()

    def call(self, inputs, training=None):
        # main path
        x = self.conv1(inputs)
        x = self.bn1(x, training=training)
        x = tf.nn.relu(x)
        x = self.bn2(self.conv2(x), training=training)
        x += self.shortcut(inputs)
        return self.act(x)

    def get_config(self):
        config = super().get_config()
        config.update({"filters": self.filters})
        return config


class ResNet(keras.Model):
    def __init__(self, classes=5):
        super().__init__(name="net")
        self.stem = layers.Conv2D(8, 3, padding="same", activation="relu")
        self.pool = layers.MaxPooling2D()
        self.block1 = ResBlock(16, stride=2)
        self.blocks = [ResBlock(16), ResBlock(24)]
        self.flatten = layers.Flatten()
        self.drop = layers.Dropout(0.3)
        self.fc = layers.Dense(classes, activation="softmax")

    def call(self, x, training=False):
        x = self.pool(self.stem(x))
        x = self.block1(x, training=training)
        for block in self.blocks:
            x = block(x, training=training)
        y = tf.concat([x, x * 2.0], axis=-1)
        m = tf.reduce_mean(y, axis=[1, 2])
        f = self.flatten(y)
        f = self.drop(f, training=training)
        return self.fc(f) + 0.0 * tf.reduce_sum(m, axis=-1, keepdims=True)


class Down(tf.keras.Model):
    def __init__(self, filters, size, apply_norm=True):
        super().__init__()
        self.conv = tf.keras.layers.Conv2D(
            filters,
            size,
            strides=2,
            padding="same",
            kernel_initializer=tf.random_normal_initializer(0.0, 0.02),
            use_bias=False,
        )
        self.bn = tf.keras.layers.BatchNormalization()

    def call(self, x, training=False):
        return tf.nn.leaky_relu(self.bn(self.conv(x), training=training))


class Up(tf.keras.Model):
    def __init__(self, filters, size):
        super().__init__()
        self.up = tf.keras.layers.Conv2DTranspose(
            filters, size, strides=2, padding="same", kernel_initializer="he_normal", use_bias=False
        )
        self.bn = tf.keras.layers.BatchNormalization()
        self.drop = tf.keras.layers.Dropout(0.5)

    def call(self, x, skip, training=False):
        x = self.up(x)
        x = self.bn(x, training=training)
        x = self.drop(x, training=training)
        x = tf.nn.relu(x)
        return tf.concat([x, skip], axis=-1)


class UNet(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.down1 = Down(8, 4)
        self.down2 = Down(16, 4)
        self.down3 = Down(16, 4)
        self.up1 = Up(16, 4)
        self.up2 = Up(8, 3)
        self.last = tf.keras.layers.Conv2DTranspose(
            3, (4, 4), strides=(2, 2), padding="same", activation="tanh"
        )

    def call(self, x, training=False):
        x1 = self.down1(x, training=training)
        x2 = self.down2(x1, training=training)
        x3 = self.down3(x2, training=training)
        x4 = self.up1(x3, x2, training=training)
        x5 = self.up2(x4, x1, training=training)
        return self.last(x5)


class Generator(tf.keras.Model):
    def __init__(self, channels=1):
        super().__init__()
        self.fc = tf.keras.layers.Dense(4 * 4 * 32, use_bias=False)
        self.bn0 = tf.keras.layers.BatchNormalization()
        self.reshape = tf.keras.layers.Reshape((4, 4, 32))
        self.deconv1 = tf.keras.layers.Conv2DTranspose(16, 5, strides=2, padding="same", use_bias=False)
        self.bn1 = tf.keras.layers.BatchNormalization()
        self.deconv2 = tf.keras.layers.Conv2DTranspose(
            channels, 5, strides=1, padding="same", activation="tanh"
        )

    def call(self, z, training=None):
        x = tf.nn.leaky_relu(self.bn0(self.fc(z), training=training))
        x = self.reshape(x)
        x = tf.nn.leaky_relu(self.bn1(self.deconv1(x), training=training))
        return self.deconv2(x)


class Discriminator(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.net = tf.keras.Sequential(
            [
                tf.keras.layers.Conv2D(8, 5, strides=2, padding="same", input_shape=(28, 28, 1)),  # halves
                tf.keras.layers.LeakyReLU(0.2),
                tf.keras.layers.Dropout(0.3),
                tf.keras.layers.Conv2D(16, 5, strides=2, padding="same", activation="relu"),
                tf.keras.layers.Flatten(),
                tf.keras.layers.Dense(1),
            ]
        )

    def call(self, x, training=False):
        return self.net(x, training=training)


class TextCNN(tf.keras.Model):
    """Kim's text CNN."""

    def __init__(self, vocab=50, dim=12, classes=3, **kwargs):
        super().__init__(**kwargs)
        self.embedding = tf.keras.layers.Embedding(vocab, dim)
        self.conv3 = tf.keras.layers.Conv1D(8, 3, activation="relu")
        self.conv4 = tf.keras.layers.Conv1D(8, 4, activation="relu", padding="same")
        self.pool = tf.keras.layers.GlobalMaxPooling1D()
        self.concat = tf.keras.layers.Concatenate()
        self.drop = tf.keras.layers.Dropout(0.5)
        self.out = tf.keras.layers.Dense(classes)

    def call(self, inputs, training=False):
        x = self.embedding(inputs)
        x = self.concat([self.pool(self.conv3(x)), self.pool(self.conv4(x))])
        if training:
            x = self.drop(x, training=training)
        return self.out(x)


class MLP(tf.keras.Model):
    def __init__(self, units=(16, 16), classes=4):
        super().__init__()
        self.flatten = tf.keras.layers.Flatten()
        self.hidden = [tf.keras.layers.Dense(16, activation="relu") for _ in range(3)]
        self.norm = tf.keras.layers.LayerNormalization()
        self.out = tf.keras.layers.Dense(classes)

    def call(self, x):
        x = self.flatten(x)
        for i, layer in enumerate(self.hidden):
            x = layer(x)
        return self.out(self.norm(x))


class SeparableNet(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.stem = tf.keras.layers.Conv2D(6, 3, strides=2, padding="same", input_shape=(32, 32, 3))
        self.dw = tf.keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False)
        self.pw = tf.keras.layers.Conv2D(8, 1, bias_initializer="ones")
        self.sep = tf.keras.layers.SeparableConv2D(10, 3, strides=2, padding="same", activation="relu")
        self.gap = tf.keras.layers.GlobalAveragePooling2D()
        self.fc1 = tf.keras.layers.Dense(10, activation="sigmoid")
        self.flat = tf.keras.layers.Flatten()
        self.fc = tf.keras.layers.Dense(3)

    def call(self, x):
        x = self.pw(self.dw(self.stem(x)))
        x = self.sep(x)
        s = tf.reshape(self.fc1(self.gap(x)), (-1, 1, 1, 10))
        x = x * s
        h = 2.0
        x = tf.image.resize(x, (4, 4)) + h
        return self.fc(self.flat(x)), x


class PreNorm(tf.keras.Model):
    """A normalisation that comes before the layer that tells its rank, a branch, two results, a pair taken apart."""

    def __init__(self, deep=True):
        super().__init__()
        self.deep = deep
        self.conv = layers.Conv2D(6, 3, padding="same")
        self.bn = layers.BatchNormalization(axis=-1)
        self.extra = layers.Conv2D(6, 3, padding="same", activation=tf.nn.elu)
        self.split = Split()
        self.gap = layers.GlobalMaxPooling2D(keepdims=True)

    def call(self, x, training=None):
        if training is None:
            training = False
        x = tf.nn.relu(self.bn(self.conv(x), training=training))
        if self.deep:
            x = self.extra(x)
        else:
            x = x * 2.0
        a, b = self.split(x)
        total = tf.reduce_sum(a, axis=-1)
        return self.gap(a - b), tf.nn.softmax(b, axis=-1), total


class Split(layers.Layer):
    def __init__(self):
        super().__init__()
        self.left = layers.Conv2D(4, 1)
        self.right = layers.Conv2D(4, 1)

    def call(self, inputs):
        return self.left(inputs), tf.sigmoid(self.right(inputs))
