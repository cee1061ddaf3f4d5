"""Hand-written nn.LSTM, nn.GRU and nn.RNN, no record: filled by name from every format, or refused with the reason."""

import numpy as np
import pytest
import torch
from torch import nn

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from keras_twins import fresh, randomise  # noqa: E402  # after importorskip

from tfport.weights import WeightsError, load_weights  # noqa: E402  # after importorskip

FORMATS = (".keras", ".h5", ".weights.h5", "_checkpoint", "_saved")


class Twin(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.both = nn.LSTM(4, 5, bidirectional=True, bias=bias)
        self.gru = nn.GRU(10, 6)
        self.lstm = nn.LSTM(6, 6, bias=bias)
        self.rnn = nn.RNN(6, 6, bias=bias)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        for layer in (self.both, self.gru, self.lstm, self.rnn):
            x, _ = layer(x)
        return self.head(x[-1])


def reference(bias):
    sequence = {"return_sequences": True}
    x = keras.Input((7, 4))
    y = keras.layers.Bidirectional(keras.layers.LSTM(5, use_bias=bias, **sequence), name="both")(x)
    y = keras.layers.GRU(6, name="gru", **sequence)(y)
    y = keras.layers.LSTM(6, use_bias=bias, name="lstm", **sequence)(y)
    y = keras.layers.SimpleRNN(6, use_bias=bias, name="rnn")(y)
    return keras.Model(x, keras.layers.Dense(3, name="head")(y))


def save(model, stem, ending):
    path = f"{stem}{ending}"
    if ending == ".weights.h5":
        model.save_weights(path)
    elif ending == "_checkpoint":
        tf.train.Checkpoint(model).write(path)
    elif ending == "_saved":
        model.export(path, verbose=False)
    else:
        model.save(path)
    return path


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("floatx", ["float32", "float64"])
def test_filled_by_name(ending, bias, floatx, tmp_path):
    fresh(floatx)
    try:
        model, twin = reference(bias), Twin(bias)
        randomise(model)
        report = load_weights(twin, save(model, tmp_path / "model", ending))
        x = np.random.default_rng(0).standard_normal((2, 7, 4)).astype(floatx)
        want, got = np.asarray(model(x)), twin(torch.from_numpy(x).transpose(0, 1)).detach().numpy()
    finally:
        fresh("float32")
    assert report.matched_by == ("canonical name",)
    assert np.abs(want - got).max() <= {"float32": 1e-6, "float64": 1e-13}[floatx] * np.abs(want).max()


def recurrent(gates, inputs=3, units=3, bias=(1,)):
    source = np.random.default_rng(0)
    shapes = {
        "kernel": (inputs, gates * units),
        "recurrent_kernel": (units, gates * units),
        "bias": (*bias, gates * units),
    }
    return {f"net/cell/{n}": source.standard_normal(s).astype("f4") for n, s in shapes.items()}


def test_cells_of_one_step():
    for cell, gates, bias in (
        (nn.LSTMCell(3, 3), 4, ()),
        (nn.GRUCell(3, 3), 3, (2,)),
        (nn.RNNCell(3, 3), 1, ()),
    ):
        found = recurrent(gates, bias=bias)
        report = load_weights(nn.ModuleDict({"cell": cell}), found)
        assert len(report.loaded) == 4 - (bias == ()) and report.matched_by == ("canonical name",)
        if gates != 3:
            assert torch.equal(cell.bias_ih, torch.from_numpy(found["net/cell/bias"]))
            assert not cell.bias_hh.any()
            assert torch.equal(cell.weight_hh.T, torch.from_numpy(found["net/cell/recurrent_kernel"]))


def test_the_gates_of_a_gru_stand_in_another_order():
    found, cell = recurrent(3, bias=(2,)), nn.GRUCell(3, 3)
    load_weights(nn.ModuleDict({"cell": cell}), found)
    z, r, h = np.split(found["net/cell/recurrent_kernel"], 3, axis=1)
    assert torch.equal(cell.weight_hh.T, torch.from_numpy(np.concatenate([r, z, h], axis=1)))
    z, r, h = np.split(found["net/cell/bias"][1], 3)
    assert torch.equal(cell.bias_hh, torch.from_numpy(np.concatenate([r, z, h])))


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.LSTM(3, 3, num_layers=2), "LSTM of 2 levels"),
        (nn.LSTM(3, 3, proj_size=2), "LSTM with a projection"),
        (nn.GRU(3, 3, bias=False), "a GRU without bias"),
    ],
)
def test_what_the_class_does_not_tell_is_refused(layer, says):
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(nn.ModuleDict({"cell": layer}), recurrent(3, bias=(2,)))
    assert f"missing: cell.weight_ih_l0: cell: {says}" in str(caught.value)
    assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())


def test_another_reset_form_and_another_cell_do_not_fit():
    with pytest.raises(WeightsError, match=r"wrong shape: net/cell/bias \[9\] -> cell.bias_ih_l0"):
        load_weights(nn.ModuleDict({"cell": nn.GRU(3, 3)}), recurrent(3, bias=()))
    tf1 = {
        "rnn/basic_lstm_cell/kernel": np.zeros((6, 12), "f4"),
        "rnn/basic_lstm_cell/bias": np.zeros(12, "f4"),
    }
    with pytest.raises(WeightsError, match=r"missing: rnn.weight_hh_l0 wants recurrent_kernel"):
        load_weights(nn.ModuleDict({"rnn": nn.LSTM(3, 3)}), tf1)
