"""Weights of layers inside layers from every format that Keras writes: recurrent, wrapped, attention; names given or not."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from keras_twins import compat, distance, fresh, keras, randomise, tf

import tfport
from tfport.weights import WeightsError

FORMATS = (".weights.h5", ".h5", ".keras", "checkpoint")
X = np.random.default_rng(0).standard_normal((2, 5, 4)).astype("float32")


def named(k, stacked=True):
    lay = k.layers
    x = k.Input((5, 4))
    y = lay.LSTM(4, return_sequences=True, name="l")(x)
    y = lay.Bidirectional(lay.GRU(4, return_sequences=True), name="bi")(y)
    if stacked:  # tf.train.Checkpoint leaves out what Keras 3 holds in lists
        y = lay.RNN([lay.LSTMCell(3), lay.GRUCell(2), lay.LSTMCell(4)], return_sequences=True, name="st")(y)
    y = lay.MultiHeadAttention(2, 3, name="mha")(y, y)
    y = lay.TimeDistributed(lay.Dense(2), name="td")(y)
    y = lay.SpectralNormalization(lay.Dense(3), name="sn")(y)
    y = lay.GroupQueryAttention(3, 4, 2, name="gqa")(y, y)
    return k.Model(x, lay.SimpleRNN(2, name="last")(y))


def inside(k):
    """Objects inside objects, whose names Keras does not derive from the layer's."""
    lay = k.layers
    x = k.Input((3, 5, 4))
    y = lay.TimeDistributed(lay.LSTM(4, return_sequences=True), name="td")(x)
    y = lay.TimeDistributed(lay.Bidirectional(lay.GRU(3)), name="both")(y)
    return k.Model(
        x, lay.Bidirectional(lay.LSTM(5), backward_layer=lay.GRU(3, go_backwards=True), name="own")(y)
    )


def automatic(k):
    lay = k.layers
    x = k.Input((5, 4))
    y = lay.GRU(3, return_sequences=True, reset_after=False)(x)
    y = lay.GRU(4, return_sequences=True)(y)
    y = lay.Bidirectional(lay.LSTM(2, return_sequences=True))(y)
    y = lay.Bidirectional(lay.LSTM(2, return_sequences=True))(y)
    y = lay.MultiHeadAttention(2, 3)(y, y)
    y = lay.Dropout(0.5)(lay.MultiHeadAttention(2, 3)(y, y))
    return k.Model(x, lay.Dense(2)(lay.LSTM(3)(y)))


def save(model, folder, format):
    path = folder / f"model{format}"
    if format == "checkpoint":
        return tf.train.Checkpoint(model=model).save(str(folder / "ck"))
    (model.save_weights if format == ".weights.h5" else model.save)(path)
    return path


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("build", [named, automatic, inside])
def test_every_format_loads(tmp_path, build, format):
    fresh("float32")
    x = X if build is not inside else np.stack([X, X + 1, X - 1], 1)
    options = {"stacked": False} if build is named and format == "checkpoint" else {}
    model = build(keras, **options)
    randomise(model)
    path = save(model, tmp_path, format)
    fresh("float32")
    twin = build(compat.keras, **options)
    report = tfport.load_weights(twin, path)
    assert not report.missing and not report.left_over
    with torch.no_grad():
        assert distance([twin.eval()(torch.tensor(x))], [model(x)]) < 1e-6


def test_a_file_without_names_is_matched_by_class_and_order(tmp_path):
    fresh("float32")
    model = automatic(keras)
    randomise(model)
    path = save(model, tmp_path, ".weights.h5")
    with h5py.File(path, "r+") as file:
        groups = []
        file.visititems(lambda _, item: groups.append(item))
        for group in groups:
            group.attrs.pop("name", None)
    fresh("float32")
    twin = automatic(compat.keras)
    tfport.load_weights(twin, path)
    with torch.no_grad():
        assert distance([twin.eval()(torch.tensor(X))], [model(X)]) < 1e-6


class Subclassed:
    """The same class over both Keras and compat."""

    @staticmethod
    def make(k, stacked):
        class Net(k.Model):
            def __init__(self):
                super().__init__()
                self.both = k.layers.Bidirectional(k.layers.GRU(4, return_sequences=True))
                self.attend = k.layers.MultiHeadAttention(2, 3)
                self.cells = k.layers.RNN(
                    [k.layers.LSTMCell(3), k.layers.LSTMCell(2)] if stacked else k.layers.LSTMCell(2)
                )

            def call(self, x):
                x = self.both(x)
                return self.cells(self.attend(x, x))

        return Net()


@pytest.mark.parametrize("format", [".weights.h5", "checkpoint"])
def test_a_subclassed_model_loads(tmp_path, format):
    fresh("float32")
    stacked = format != "checkpoint"
    model = Subclassed.make(keras, stacked)
    model(X)
    randomise(model)
    path = save(model, tmp_path, format)
    fresh("float32")
    twin = Subclassed.make(compat.keras, stacked)
    twin(torch.tensor(X))
    tfport.load_weights(twin, path)
    with torch.no_grad():
        assert distance([twin.eval()(torch.tensor(X))], [model(X)]) < 1e-6


def test_a_gru_of_the_other_form_is_refused(tmp_path):
    fresh("float32")
    x = keras.Input((5, 4))
    model = keras.Model(x, keras.layers.GRU(3, reset_after=False)(x))
    path = save(model, tmp_path, ".weights.h5")
    fresh("float32")
    x = compat.keras.Input((5, 4))
    twin = compat.keras.Model(x, compat.keras.layers.GRU(3)(x))
    before = {k: v.clone() for k, v in twin.state_dict().items()}
    with pytest.raises(WeightsError, match=r"wrong shape: .*\[9\] -> gru.bias_ih_l0"):
        tfport.load_weights(twin, path)
    assert all(torch.equal(v, before[k]) for k, v in twin.state_dict().items())
