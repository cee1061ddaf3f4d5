"""A small U-Net built by a helper: the conversion records it as it runs."""

from tensorflow import keras
from tensorflow.keras import layers

HEIGHT, WIDTH = 8, 12


def block(x, filters, name):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name + "_conv")(x)
    x = layers.BatchNormalization(name=name + "_bn")(x)
    return layers.ReLU(name=name + "_relu")(x)


def build():
    image = keras.Input((HEIGHT, WIDTH, 3), name="image")
    skip1 = block(image, 6, "down1")
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="halve1")(skip1)
    skip2 = block(x, 8, "down2")
    x = layers.MaxPooling2D(2, name="halve2")(skip2)
    x = block(x, 8, "bottom")
    x = layers.Conv2DTranspose(8, 2, strides=2, padding="same", name="double2")(x)
    x = layers.Concatenate(name="join2")([x, skip2])
    x = block(x, 6, "up2")
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", name="double1")(x)
    x = layers.Concatenate(name="join1")([x, skip1])
    x = block(x, 6, "up1")
    return keras.Model(image, layers.Conv2D(4, 1, activation="softmax", name="mask")(x))
