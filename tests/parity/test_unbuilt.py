"""Models that make their layers at the first call: their record is read when they are built."""

import tfport
from tests.parity.conftest import capture_many, replayed

PROGRAM = """
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


class Block(keras.Model):
    def __init__(self, filters, downsample=False):
        super().__init__()
        self.conv = layers.Conv2D(filters, 3, strides=2 if downsample else 1, padding="same")
        self.norm = layers.BatchNormalization()
        self.downsample = downsample
        if downsample:
            self.short = keras.Sequential([layers.Conv2D(filters, 1, strides=2), layers.BatchNormalization()])

    def call(self, x, training=False):
        h = self.norm(self.conv(x), training=training)
        if self.downsample:
            x = self.short(x, training=training)
        return tf.nn.relu(h + x)


class Net(keras.Model):
    def __init__(self, classes=5):
        super().__init__()
        self.stem = layers.Conv2D(4, 3, padding="same", activation="relu")
        self.blocks = [Block(4), Block(8, True)]
        self.pool = layers.GlobalAveragePooling2D()
        self.fc = layers.Dense(classes)

    def call(self, x, training=False):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.fc(self.pool(x))
"""


def test_a_model_of_own_blocks_is_built_before_its_weights_are_carried(tmp_path):
    (tmp_path / "net.py").write_text(PROGRAM)
    (tmp_path / "net_torch.py").write_text(tfport.convert_source(PROGRAM).code)
    job = [f"{tmp_path / 'net.py'}:Net", "-o", tmp_path / "golden", "--input", "2x9x9x3:float32"]
    assert [status for status, _ in capture_many([job])] == [0]
    (part,) = replayed(tmp_path / "golden", f"{tmp_path / 'net_torch.py'}:Net", tmp_path / "out")
    assert part.ok, (part.error, part.comparison and part.comparison.reason)
    assert part.comparison.elements == 2 * 5
    agreed = [layer["name"] for layer in part.layers if layer["status"] == "agrees"]
    assert len(agreed) >= 8, part.layers
