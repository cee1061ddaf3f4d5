"""A weight and an output without axes: they agree, in a step of training too."""

import json

import pytest

from tests.parity.conftest import capture_many, replays
from tfport.source.convert import convert_source

pytest.importorskip("tensorflow")

PROGRAM = """
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


class Warm(layers.Layer):
    def build(self, shape):
        self.temperature = self.add_weight(name="temperature", shape=(), initializer="ones")

    def call(self, x):
        return x * self.temperature


class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Dense(4, activation="tanh")
        self.warm = Warm()

    def call(self, x):
        y = self.warm(self.first(x))
        return y, tf.reduce_mean(y)
"""


def test_scalars_stay_scalars(tmp_path):
    (tmp_path / "net.py").write_text(PROGRAM)
    made = convert_source(PROGRAM)
    (tmp_path / "net_torch.py").write_text(made.code)
    (tmp_path / "net_torch.tfport.json").write_text(json.dumps(made.record))
    words = ["--input", "3x5", "--gradients", "--steps", "2", "--loss", "sum", "--optimizer", "SGD(0.01)"]
    ((status, told),) = capture_many([[f"{tmp_path}/net.py:Net", *words, "-o", tmp_path / "golden"]])
    assert status == 0, told
    ((run, part),) = replays(
        tmp_path / "golden", f"{tmp_path}/net_torch.py:Net", tmp_path / "out", layers="all"
    )
    assert part.ok and run["first"] is None, (run["error"], run["first"], run["training"])
