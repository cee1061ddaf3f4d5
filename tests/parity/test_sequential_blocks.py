"""Blocks in a Sequential that a subclassed model holds: each is paired by the record, and a fault in one is found there."""

import json

import pytest

import tfport
from tests.parity.conftest import capture_many, replays

PROGRAM = """
import tensorflow as tf


class Block(tf.keras.layers.Layer):
    def __init__(self, filters):
        super().__init__()
        self.conv = tf.keras.layers.Conv2D(filters, 3, padding="same")
        self.bn = tf.keras.layers.BatchNormalization()

    def call(self, x, training=None):
        return tf.nn.relu(self.bn(self.conv(x), training=training))


def stage(filters):
    made = tf.keras.Sequential()
    for _ in range(2):
        made.add(Block(filters))
    return made


class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.second = stage(4), stage(4)
        self.head = tf.keras.layers.Dense(3)

    def call(self, x, training=None):
        x = self.second(self.first(x, training=training), training=training)
        return self.head(tf.reduce_mean(x, axis=[1, 2]))
"""


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks")
    (folder / "net.py").write_text(PROGRAM)
    job = [f"{folder / 'net.py'}:Net", "--input", "2x7x6x3", "-o", folder / "g"]
    assert capture_many([job])[0][0] == 0
    return folder / "g"


@pytest.mark.parametrize("epsilon", ["", "epsilon=1e-5"])
def test_blocks_are_paired_by_the_record(golden, tmp_path, epsilon):
    made = tfport.convert_source(PROGRAM)
    old = "BatchNormalization()"
    assert old in made.code
    (tmp_path / "port.py").write_text(made.code.replace(old, f"BatchNormalization({epsilon})"))
    (tmp_path / "port.tfport.json").write_text(json.dumps(made.record))
    ((run, part),) = replays(golden, f"{tmp_path}/port.py:Net", tmp_path / "out", layers="all")
    assert part.error is None, part.error
    assert {layer["how"] for layer in part.layers if layer["status"] != "not compared"} == {"record"}
    assert part.ok == (not epsilon)
    if epsilon:
        assert run["first"]["layer"] == "sequential/block/batch_normalization"
        assert {c["cause"] for c in run["causes"] if c["agrees"]} == {"epsilon"}  # of each block
