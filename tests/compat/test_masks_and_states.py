"""Keras' masks and states in compat.keras: against Keras where a mask is made, handed on, taken, dropped; dropout by moments."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from against_keras import compat, fresh, keras, randomise

import tfport

IDS = np.array([[3, 2, 0, 4, 1, 1, 0], [1, 2, 3, 4, 3, 2, 1], [0, 0, 1, 2, 3, 0, 4]], "int32")
STEPS = np.random.default_rng(0).standard_normal((3, 7, 4)).astype("float32")
STEPS[0, 2] = STEPS[2, :2] = STEPS[2, 5] = 0.0


def embedded(make):
    def build(k):
        x = k.Input((7,), dtype="int32")
        return k.Model(x, make(k.layers, k.layers.Embedding(5, 4, mask_zero=True)(x)))

    return build, IDS


def stepped(make):
    def build(k):
        x = k.Input((7, 4))
        return k.Model(x, make(k.layers, k.layers.Masking()(x)))

    return build, STEPS


MASKED = {
    "lstm": embedded(lambda k, y: k.LSTM(3)(y)),
    "gru backwards": embedded(lambda k, y: k.GRU(3, go_backwards=True, return_sequences=True)(y)),
    "gru reset before": stepped(lambda k, y: k.GRU(3, reset_after=False)(y)),
    "simple states": embedded(lambda k, y: k.SimpleRNN(3, return_state=True)(y)),
    "two deep": embedded(lambda k, y: k.LSTM(2)(k.LSTM(3, return_sequences=True)(y))),
    "through dropout and dense": embedded(lambda k, y: k.LSTM(2)(k.Dense(3)(k.Dropout(0.5)(y)))),
    "dropped by a convolution": embedded(lambda k, y: k.LSTM(2)(k.Conv1D(3, 2, padding="same")(y))),
    "dropped by arithmetic": embedded(lambda k, y: k.LSTM(2)(y * 2.0)),
    "dropped by a lambda": embedded(lambda k, y: k.LSTM(2)(k.Lambda(lambda v: v * 2.0)(y))),
    "concatenated": embedded(lambda k, y: k.LSTM(2)(k.Concatenate()([y, k.Dense(2)(y)]))),
    "added": embedded(lambda k, y: k.LSTM(2)(k.Add()([y, k.Dense(4)(y)]))),
    "bidirectional": stepped(lambda k, y: k.Bidirectional(k.LSTM(3, return_sequences=True))(y)),
    "bidirectional last": stepped(lambda k, y: k.Bidirectional(k.GRU(3), merge_mode="sum")(y)),
    "stacked zeros": stepped(lambda k, y: k.RNN([k.LSTMCell(3), k.GRUCell(2)], zero_output_for_mask=True,
                                                return_sequences=True)(y)),
    "initial state takes no mask": embedded(lambda k, y: k.LSTM(4)(y, initial_state=[y[:, 0], y[:, 1]])),
    "attention": stepped(lambda k, y: k.Attention()([y, y])),
    "heads": stepped(lambda k, y: k.MultiHeadAttention(2, 3)(y, y)),
    "heads causal scores": stepped(lambda k, y: k.MultiHeadAttention(2, 3)(
        y, y, use_causal_mask=True, return_attention_scores=True)),
    "heads hand it on": stepped(lambda k, y: k.GRU(2)(k.MultiHeadAttention(2, 3, dropout=0.2)(y, y))),
    "groups": stepped(lambda k, y: k.GroupQueryAttention(3, 2, 1)(y, y)),
    "mean": stepped(lambda k, y: k.GlobalAveragePooling1D()(y)),
    "time distributed": stepped(lambda k, y: k.LSTM(2)(k.TimeDistributed(k.Dense(3))(y))),
    "softmax of masks": stepped(lambda k, y: k.Dense(2)(k.Softmax(axis=1)(k.Conv1D(3, 1)(y)))),
}  # fmt: skip


def flat(value):
    return [x for part in value for x in flat(part)] if isinstance(value, list | tuple) else [value]


@pytest.mark.parametrize("name", MASKED)
def test_masks_are_keras_masks(name, tmp_path):
    build, data = MASKED[name]
    fresh()
    model = build(keras)
    randomise(model)
    fresh()
    twin = build(compat.keras).eval()
    if model.weights:
        model.save_weights(tmp_path / "m.weights.h5")
        tfport.load_weights(twin, tmp_path / "m.weights.h5")
    for ours, theirs in zip(flat(twin(torch.tensor(data))), flat(model(data)), strict=True):
        expected = theirs.numpy()
        assert np.abs(ours.detach().numpy() - expected).max() <= 1e-6 * max(np.abs(expected).max(), 1.0)


def test_a_mask_travels_on_eager_tensors_too():
    layers = compat.keras.layers
    embedding, lstm = layers.Embedding(5, 4, mask_zero=True), layers.LSTM(3)
    ids = torch.tensor(IDS)
    masked = lstm(embedding(ids))
    assert torch.equal(masked, lstm(embedding(ids), mask=ids != 0))
    assert not torch.allclose(masked, lstm(embedding(ids) * 1.0))


class Own(compat.keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.rnn = compat.keras.layers.GRU(4, return_sequences=True)

    def call(self, x, mask=None):
        self.seen = mask
        return self.rnn(x)


def test_an_own_layer_gets_the_mask_and_its_layers_see_it():
    fresh()
    layers = compat.keras.layers
    x = layers.Input((7,), dtype="int32")
    own = Own()
    model = compat.keras.Model(x, layers.LSTM(3)(own(layers.Embedding(5, 4, mask_zero=True)(x)))).eval()
    made = model(torch.tensor(IDS))
    assert torch.equal(own.seen, torch.tensor(IDS) != 0)
    inner = own.rnn(model.embedding(torch.tensor(IDS)), mask=own.seen)
    assert torch.equal(made, model.lstm(inner, mask=own.seen))


def test_a_masked_value_into_a_model_that_would_lose_it_is_refused():
    layers = compat.keras.layers
    inner_input = layers.Input((7, 4))
    inner = compat.keras.Model(inner_input, layers.LSTM(3)(inner_input))
    x = layers.Input((7,), dtype="int32")
    with pytest.raises(NotImplementedError, match="masked value"):
        inner(layers.Embedding(5, 4, mask_zero=True)(x))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_a_stateful_layer_goes_on_where_it_stopped(kind, tmp_path):
    def build(k):
        x = k.Input(batch_shape=(3, 7, 4))
        return k.Model(x, getattr(k.layers, kind)(5, stateful=True, name="rnn")(x))

    fresh()
    model = build(keras)
    weights = model.get_layer("rnn").trainable_weights
    source = np.random.default_rng(0)
    for weight in weights:
        weight.assign(source.normal(0, 0.4, weight.shape))
    fresh()
    twin = build(compat.keras).eval()
    arrays = {f"rnn/cell/{w.name}": w.numpy() for w in weights}
    tfport.load_weights(twin, arrays)
    for _ in range(3):
        assert np.abs(twin(torch.tensor(STEPS)).detach().numpy() - model(STEPS).numpy()).max() < 1e-6
    twin.rnn.reset_states()
    model.get_layer("rnn").reset_states()
    assert np.abs(twin(torch.tensor(STEPS)).detach().numpy() - model(STEPS).numpy()).max() < 1e-6


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize(
    "rates",
    [dict(dropout=0.4), dict(recurrent_dropout=0.4), dict(dropout=0.3, recurrent_dropout=0.3)],
    ids=str,
)
def test_dropout_of_recurrent_layers_has_keras_moments(kind, rates, tmp_path):
    """Means and deviations over many rows of equal input: one mask per row and sequence, one per gate with recurrent_dropout."""

    def build(k):
        x = k.Input((7, 4))
        return k.Model(
            x, getattr(k.layers, kind)(3, activation="linear" if kind == "SimpleRNN" else "tanh", **rates)(x)
        )

    fresh()
    model = build(keras)
    randomise(model)
    model.save_weights(tmp_path / "m.weights.h5")
    fresh()
    twin = build(compat.keras)
    tfport.load_weights(twin, tmp_path / "m.weights.h5")
    rows = np.repeat(STEPS[1:2], 6000, 0)
    theirs = model(rows, training=True).numpy()
    ours = twin.train()(torch.tensor(rows)).detach().numpy()
    assert np.abs(ours.mean(0) - theirs.mean(0)).max() < 6 * theirs.std(0).max() / 6000**0.5
    assert np.abs(ours.std(0) / theirs.std(0) - 1).max() < 0.1
    assert np.abs(twin.eval()(torch.tensor(STEPS)).detach().numpy() - model(STEPS).numpy()).max() < 1e-6


def test_copies_and_state_dicts_keep_the_second_bias():
    layers = compat.keras.layers
    x = layers.Input((7, 4))
    model = compat.keras.Model(x, layers.LSTM(3, name="l")(x))
    twin = copy.deepcopy(model)
    value = torch.randn(2, 7, 4)
    assert torch.equal(model(value), twin(value))
    model.l.bias_ih_l0.data.add_(1.0)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(model(value), twin(value)) and "l.bias_hh_l0" in model.state_dict()
    model.trainable = False
    model.trainable = True
    assert [n for n, _ in model.named_parameters()] == ["l.weight_ih_l0", "l.weight_hh_l0", "l.bias_ih_l0"]
    double = copy.deepcopy(model).double()
    assert torch.allclose(double(value.double()).float(), model(value), atol=1e-6)
