"""A classifier of vectors, and the optimizers that it is trained with."""

from tensorflow import keras
from tensorflow.keras import layers


def build():
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(16, activation="relu", name="first"),
            layers.BatchNormalization(name="bn"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(16, activation="gelu", name="square"),
            layers.Dense(16, activation="elu", name="square2"),
            layers.Dense(5, activation="softmax", name="head"),
        ]
    )
