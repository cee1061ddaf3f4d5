"""A subclassed Keras model's ``.weights.h5`` into a hand-written module with the same attributes."""

import numpy as np
import pytest
import torch
from torch import nn

from tfport.weights import WeightsError, load_weights
from tfport.weights.by_attributes import ATTRIBUTES

keras = pytest.importorskip("keras")


class KerasBlock(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.fc1 = keras.layers.Dense(4, activation="relu")
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.fc2 = keras.layers.Dense(4)

    def call(self, x):
        return x + self.fc2(self.norm(self.fc1(x)))


class KerasNet(keras.Model):
    """``layers/`` in the file holds what comes behind "layers" in the alphabet: stem, tail."""

    def __init__(self, tail=3):
        super().__init__()
        self.tail = keras.layers.Dense(tail)
        self.blocks = [KerasBlock() for _ in range(11)]
        self.convs = [
            keras.layers.Dense(4),
            keras.layers.LayerNormalization(epsilon=1e-5),
            keras.layers.Dense(4),
        ]
        self.first = keras.layers.Dense(4)
        self.stem = keras.layers.Dense(4)

    def call(self, x):
        x = self.stem(self.first(x))
        for layer in [*self.blocks, *self.convs]:
            x = layer(x)
        return self.tail(x)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.norm, self.fc2 = nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, x):
        return x + self.fc2(self.norm(torch.relu(self.fc1(x))))


class Net(nn.Module):
    def __init__(self, tail=3):
        super().__init__()
        self.stem, self.first = nn.Linear(4, 4), nn.Linear(4, 4)
        self.blocks = nn.ModuleList([Block() for _ in range(11)])
        self.convs = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4))
        self.tail = nn.Linear(4, tail)

    def forward(self, x):
        x = self.stem(self.first(x))
        for block in self.blocks:
            x = block(x)
        return self.tail(self.convs(x))


def written(model, path):
    x = np.random.default_rng(0).standard_normal((3, 4)).astype("f4")
    model(x)
    source = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(source.normal(0, 0.5, weight.shape))
    model.save_weights(path)
    return x, np.asarray(model(x))


def test_blocks_lists_and_layers_by_their_attributes(tmp_path):
    """Eleven blocks: block_10 comes behind block_9."""
    x, wanted = written(KerasNet(), tmp_path / "m.weights.h5")
    module = Net()
    report = load_weights(module, tmp_path / "m.weights.h5")
    assert report.matched_by == (ATTRIBUTES,) and len(report.loaded) == 2 * (3 + 33 + 3)
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_layers_alike_that_the_model_itself_holds_are_not_placed(tmp_path):
    """tail was made before stem; nothing in the file tells which of the two a Dense is."""
    written(KerasNet(tail=4), tmp_path / "m.weights.h5")
    module = Net(tail=4)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(WeightsError, match=r"missing: stem\.weight"):
        load_weights(module, tmp_path / "m.weights.h5")
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_another_number_of_blocks_is_refused(tmp_path):
    written(KerasNet(), tmp_path / "m.weights.h5")
    module = Net()
    del module.blocks[4]
    with pytest.raises(WeightsError, match="missing: blocks"):
        load_weights(module, tmp_path / "m.weights.h5")


def test_one_layer_is_not_taken_for_two(tmp_path):
    written(KerasNet(), tmp_path / "m.weights.h5")
    with pytest.raises(WeightsError, match=r"missing: stem|wrong shape"):
        load_weights(Net(tail=4), tmp_path / "m.weights.h5")


def test_items_of_a_dict_have_no_names(tmp_path):
    """``items/dense_1`` is the second that the dict got; that the module has a dense_1 says nothing."""

    class Items(keras.Model):
        def __init__(self):
            super().__init__()
            self.items = {"last": keras.layers.Dense(4, name="z"), "first": keras.layers.Dense(4, name="a")}

        def call(self, x):
            return self.items["last"](self.items["first"](x))

    written(Items(), tmp_path / "m.weights.h5")
    module = nn.ModuleDict({"dense": nn.Linear(4, 4), "dense_1": nn.Linear(4, 4)})
    with pytest.raises(WeightsError, match=r"missing: dense\.weight"):
        load_weights(module, tmp_path / "m.weights.h5")
