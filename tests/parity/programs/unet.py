"""A small U-Net: two levels down, two up, skip connections."""

from tensorflow import keras
from tensorflow.keras import layers

HEIGHT, WIDTH = 8, 12


def build():
    image = keras.Input((HEIGHT, WIDTH, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="down1_conv")(image)
    x = layers.BatchNormalization(name="down1_bn")(x)
    skip1 = layers.ReLU(name="down1_relu")(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="halve1")(skip1)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="down2_conv")(x)
    x = layers.BatchNormalization(name="down2_bn")(x)
    skip2 = layers.ReLU(name="down2_relu")(x)
    x = layers.MaxPooling2D(2, name="halve2")(skip2)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="bottom_conv")(x)
    x = layers.BatchNormalization(name="bottom_bn")(x)
    x = layers.ReLU(name="bottom_relu")(x)
    x = layers.Conv2DTranspose(8, 2, strides=2, padding="same", name="double2")(x)
    x = layers.Concatenate(name="join2")([x, skip2])
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="up2_conv")(x)
    x = layers.BatchNormalization(name="up2_bn")(x)
    x = layers.ReLU(name="up2_relu")(x)
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", name="double1")(x)
    x = layers.Concatenate(name="join1")([x, skip1])
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, name="up1_conv")(x)
    x = layers.BatchNormalization(name="up1_bn")(x)
    x = layers.ReLU(name="up1_relu")(x)
    return keras.Model(image, layers.Conv2D(4, 1, activation="softmax", name="mask")(x))
