"""The generator of a GAN: noise to images, by transposed convolutions."""

from tensorflow import keras
from tensorflow.keras import layers


def build():
    noise = keras.Input((10,), name="noise")
    x = layers.Dense(3 * 2 * 8, use_bias=False, name="project")(noise)
    x = layers.BatchNormalization(name="bn0")(x)
    x = layers.LeakyReLU(name="leaky0")(x)
    x = layers.Reshape((3, 2, 8), name="image")(x)
    x = layers.Conv2DTranspose(8, 5, strides=1, padding="same", use_bias=False, name="up1")(x)
    x = layers.BatchNormalization(name="bn1")(x)
    x = layers.LeakyReLU(name="leaky1")(x)
    x = layers.Conv2DTranspose(6, 5, strides=2, padding="same", use_bias=False, name="up2")(x)
    x = layers.BatchNormalization(name="bn2")(x)
    x = layers.LeakyReLU(0.2, name="leaky2")(x)
    x = layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh", name="paint")(x)
    return keras.Model(noise, x)
