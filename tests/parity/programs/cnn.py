"""A convolutional network with two outputs: class probabilities and a feature map."""

from tensorflow import keras
from tensorflow.keras import layers


def build(classes=5):
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv1")(image)
    x = layers.BatchNormalization(name="bn1")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="pool1")(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv2")(x)
    features = layers.BatchNormalization(scale=False, name="bn2")(x)
    x = layers.Flatten(name="flat")(features)
    x = layers.Dense(16, activation="tanh", name="hidden")(x)
    x = layers.Dense(16, activation="relu", name="square")(x)
    probabilities = layers.Dense(classes, activation="softmax", name="head")(x)
    return keras.Model(image, [probabilities, features])
