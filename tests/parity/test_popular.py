"""Programs as tutorials write them: converted as they stand, they agree in both precisions, and in training."""

import json

import pytest
import torch
from torch import nn

from tests.parity.conftest import capture_many, replays
from tfport.parity.localise.pairing import pair
from tfport.parity.localise.reference import Call
from tfport.source.convert import convert_source

pytest.importorskip("tensorflow")

PROGRAM = """
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.optimizers import SGD


class Block(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.inner = keras.Sequential([layers.Dense(units, activation="gelu"), layers.Dense(units)])
        self.norm = layers.LayerNormalization()
        self.dropout = layers.Dropout(0.5)

    def call(self, x, training=False):
        return self.norm(x + self.dropout(self.inner(x), training=training))


def blocks():
    x = given = layers.Input((6,))
    for _ in range(2):
        x = Block(6)(x)
    return keras.Model(given, layers.Dense(2)(x))


def channels():
    x = given = layers.Input((7, 3))
    for width in (4, 5):
        x = layers.Conv1D(width, 3, padding="causal")(x)
        x = layers.SpatialDropout1D(0.5)(x)
        x = layers.Dropout(0.5)(x)
    return keras.Model(given, layers.GlobalMaxPooling1D()(x))


def named():
    words, tags = layers.Input((4,), dtype="int32", name="words"), layers.Input((3,), name="tags")
    x = layers.concatenate([layers.LSTM(5)(layers.Embedding(9, 4)(words)), tags])
    x = layers.Dense(4, activation=tf.nn.leaky_relu)(x)
    return keras.Model({"words": words, "tags": tags}, {"one": layers.Dense(1)(x), "two": layers.Dense(2)(x)})


class Towers(keras.Model):
    def __init__(self):
        super().__init__()
        self.towers = {"user": layers.Embedding(9, 4), 7: layers.Embedding(9, 4)}
        self.gru = layers.GRU(4)
        self.out = layers.Dense(1)

    def call(self, inputs, training=False):
        ids, numbers = inputs
        both = [self.towers.get(name)(ids[:, i]) for i, name in enumerate(self.towers)]
        x = self.gru(tf.stack(both, axis=1), initial_state=numbers[:, : self.gru.units])
        return self.out(x)


def encoder():
    image = layers.Input((8, 8, 1))
    x = layers.Rescaling(1 / 255.0)(image)
    x = layers.Conv2D(3, 3, strides=2, padding="same")(x)
    x = layers.LeakyReLU()(x)
    return keras.Model(image, layers.Dense(4)(layers.Flatten()(x)))


def twins():
    shared = encoder()
    stack = keras.Sequential([layers.Input((4,)), layers.Dense(3, activation="relu"), layers.LeakyReLU()])
    one, two = layers.Input((8, 8, 1)), layers.Input((8, 8, 1))
    distance = layers.Lambda(lambda v: tf.abs(v[0] - v[1]), output_shape=(4,))([shared(one), shared(two)])
    return keras.Model([one, two], stack(distance))
"""

STEPS = ["--gradients", "--steps", "2", "--optimizer", "SGD(0.05)"]
JOBS = {
    "blocks": ["--input", "4x6", *STEPS],
    "channels": ["--input", "4x7x3", *STEPS],
    "named": ["--input", "words=4x4:int32<9", "--input", "tags=4x3", *STEPS],
    "Towers": ["--input", "4x2:int32<9", "--input", "4x4", *STEPS],
    "twins": ["--input", "4x8x8x1", "--input", "4x8x8x1", *STEPS],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The program, its conversion, and a golden of each model."""
    root = tmp_path_factory.mktemp("popular")
    (root / "net.py").write_text(PROGRAM)
    made = convert_source(PROGRAM)
    assert not [f for f in made.findings if f.code.startswith("TFP1")]
    (root / "net_torch.py").write_text(made.code)
    (root / "net_torch.tfport.json").write_text(json.dumps(made.record))
    told = capture_many(
        [f"{root}/net.py:{name}", *words, "--dtype", "float32,float64", "-o", root / name]
        for name, words in JOBS.items()
    )
    assert [status for status, _ in told] == [0] * len(JOBS), told
    return root


@pytest.mark.parametrize("name", JOBS)
def test_a_conversion_agrees_in_both_precisions(name, folder, tmp_path):
    made = replays(
        folder / name, f"{folder}/net_torch.py:{name}", tmp_path, ("float32", "float64"), layers="all"
    )
    for run, part in made:
        assert part.ok, (run["dtype"], run["error"], run["training"])


def call(name, kind):
    return Call(0, name, kind, None, 0, {}, None, [], {}, [], None)


def test_a_counter_of_keras_is_no_name_of_another_counter():
    """Keras counts leaky_re_lu, leaky_re_lu_1; a port that counts from 1 has leakyrelu1, leakyrelu2."""
    module = nn.Module()
    module.leakyrelu1, module.leakyrelu2 = nn.LeakyReLU(0.3), nn.LeakyReLU(0.3)
    layers = [call("leaky_re_lu", "LeakyReLU"), call("leaky_re_lu_1", "LeakyReLU")]
    assert pair(layers, module, []).paths == {}
    module.leaky_re_lu_1 = nn.LeakyReLU(0.3)
    assert pair(layers, module, []).paths == {"leaky_re_lu_1": ("leaky_re_lu_1", "name")}


def test_models_of_a_dictionary_are_submodules():
    from tfport.compat.keras import building

    held = building.NamedLayers({"a": nn.Linear(2, 3), 5: nn.Linear(3, 1)})
    assert [n for n, _ in held.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert list(held) == held.keys() == ["a", 5]
    assert [(k, v.out_features) for k, v in held.items()] == [("a", 3), (5, 1)]
    assert "a" in held and "b" not in held and held.get("b") is None and len(held) == 2
    assert held[5](held["a"](torch.ones(1, 2))).shape == (1, 1)
    with pytest.raises(KeyError):
        held["b"]
