"""Recurrent and attention models converted: torch's own layers where they are exact, outputs and gradients as Keras', masks."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

import tfport  # noqa: E402
from tfport.source.convert import convert_source  # noqa: E402

PROGRAM = Path(__file__).parent / "programs" / "recurrent_nets.py"


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    made = convert_source(PROGRAM.read_text())
    path = tmp_path_factory.mktemp("recurrent") / "recurrent_nets_torch.py"
    path.write_text(made.code)
    path.with_suffix(".tfport.json").write_text(json.dumps(made.record))
    return load(PROGRAM, "recurrent_nets"), load(path, "recurrent_nets_torch"), made


def randomise(model):
    source = np.random.default_rng(0)
    for weight in model.weights:
        if weight.numpy().dtype.kind == "f":
            weight.assign(source.normal(0, 0.4, weight.shape))


def sequences(*shape):
    made = np.random.default_rng(1).standard_normal(shape).astype("float32")
    made[0, 2] = made[1, -2:] = 0.0
    return made


IDS = np.array(
    [[3, 7, 0, 4, 9, 1, 1, 0, 0], [5, 6, 7, 8, 9, 10, 11, 12, 13], [0, 0, 1, 2, 3, 0, 0, 0, 4]], "int32"
)
STEPS = sequences(3, 7, 5)
CASES = {
    "tagger": [IDS], "masked": [IDS], "not_torch": [STEPS], "merged": [STEPS], "dropped": [IDS], "padded": [STEPS],
    "translation": [sequences(3, 6, 5), sequences(3, 7, 4)], "transformer": [sequences(3, 7, 8)], "Classifier": [IDS],
    "MaskedClassifier": [IDS], "Encoder": [IDS], "Decoder": [IDS], "Smoothed": [STEPS],
}  # fmt: skip


def agree(ours, theirs):
    """max|a-b| <= 1e-5 max|b| for each of nested results."""
    if isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for pair in zip(ours, theirs, strict=True):
            agree(*pair)
        return
    expected = np.asarray(theirs)
    assert tuple(ours.shape) == expected.shape
    assert np.abs(ours.detach().numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", CASES)
def test_computes_what_keras_computes(both, tmp_path, name):
    theirs, ours, _ = both
    keras.utils.clear_session()
    arrays = CASES[name]
    given = arrays if len(arrays) > 1 else arrays[0]
    reference = getattr(theirs, name)()
    reference(given)
    randomise(reference)
    reference.save_weights(tmp_path / "a.weights.h5")
    model = getattr(ours, name)()
    tensors = [torch.as_tensor(a) for a in arrays]
    if not list(model.parameters()):
        model(*tensors)  # a subclass of compat.keras.Model is built by its first call
    report = tfport.load_weights(model, tmp_path / "a.weights.h5")
    assert not report.missing and not report.left_over
    with tf.GradientTape() as tape:
        expected = reference(given)
        loss = tf.add_n([tf.reduce_sum(tf.sin(x)) for x in tf.nest.flatten(expected)])
    made = model.eval()(*tensors)
    agree(made, expected)
    flat = [
        m
        for part in (made if isinstance(made, tuple | list) else [made])
        for m in (part if isinstance(part, tuple | list) else [part])
    ]
    sum(torch.sin(m).sum() for m in flat).backward()
    for weight, slope in zip(
        reference.trainable_weights, tape.gradient(loss, reference.trainable_weights), strict=True
    ):
        weight.assign(tf.convert_to_tensor(slope) if slope is not None else tf.zeros_like(weight))
    reference.save_weights(tmp_path / "b.weights.h5")
    twin = getattr(ours, name)()
    if not list(twin.parameters()):
        twin(*tensors)
    tfport.load_weights(twin, tmp_path / "b.weights.h5")
    slopes = list(twin.parameters())
    scale = max(float(p.detach().abs().max()) for p in slopes)
    for (key, parameter), slope in zip(model.named_parameters(), slopes, strict=True):
        if parameter.requires_grad and parameter.grad is not None:
            assert (parameter.grad - slope).abs().max() <= 1e-5 * scale, key


def test_torchs_own_layers_are_written_where_they_are_exact(both):
    code = both[2].code
    tagger = code[code.index("class Tagger") :].split("\ndef ")[0]
    assert "self.lstm1 = nn.LSTM(12, 10, batch_first=True)" in tagger
    assert "nn.LSTM(10, 8, batch_first=True, bidirectional=True)" in tagger
    assert "x, _ = self.lstm1(x)  # all steps" in tagger
    assert "_, (h, _) = self.rnn1(x)\n        x = torch.cat([h[0], h[1]], dim=1)" in tagger
    assert 'compat.keras.initialise(self.lstm1, self.rnn1, like="LSTM")' in tagger
    assert 'self.rnn1 = nn.RNN(8, 8, nonlinearity="relu", batch_first=True)' in code
    assert "self.fc = nn.Linear(2 * units, 2)" in code


def test_a_mask_reaches_what_takes_it_and_nothing_else(both):
    code = both[2].code
    masked = code[code.index("class Masked(") :].split("\ndef ")[0]
    assert "mask = ids != 0\n" in masked and masked.count("mask=mask)") == 2
    assert "nn.Linear" in masked and "nn.GRU(" not in masked and "nn.LSTM(" not in masked
    dropped = code[code.index("class Dropped(") :].split("\ndef ")[0]
    assert "mask" not in dropped and "nn.GRU(6, 5, batch_first=True)" in dropped
    classifier = code[code.index("class MaskedClassifier(") :].split("\nclass ")[0]
    assert "mask = inputs != 0\n        inputs = self.embedding(inputs)" in classifier


def test_attention_is_written_where_sizes_are_known_and_nothing_is_masked(both):
    code = both[2].code
    transformer = code[code.index("class Transformer(") :].split("\ndef ")[0]
    assert "compat.keras.modules.MultiHeadAttention((8, 8, 8), 2, 4, dropout=0.1)" in transformer
    assert "z = self.attention2(y, x, use_causal_mask=True)" in transformer
    text = """
import tensorflow as tf
x = tf.keras.Input((9, 4))
y = tf.keras.layers.Masking()(x)
model = tf.keras.Model(x, tf.keras.layers.MultiHeadAttention(2, 3)(y, y))
"""
    assert "nn.Module" not in convert_source(text).code
    assert "nn.Module" in convert_source(text.replace("Masking()", "Dropout(0.1)")).code


def test_a_masked_output_is_reported():
    text = """
import tensorflow as tf
ids = tf.keras.Input((9,))
x = tf.keras.layers.Embedding(5, 4, mask_zero=True)(ids)
model = tf.keras.Model(ids, tf.keras.layers.Dense(2)(tf.keras.layers.LSTM(3, return_sequences=True)(x)))
"""
    assert [f.code for f in convert_source(text).findings if f.code == "TFP203"]
    assert not [
        f for f in convert_source(text.replace(", return_sequences=True", "")).findings if f.code == "TFP203"
    ]


@pytest.mark.parametrize(
    "change",
    [
        ("mask_zero=True", "mask_zero=flag"),
        ("units", "units, stateful=True"),
        ("units", "units, return_state=flag"),
    ],
)
def test_what_is_not_known_stays_keras(change):
    text = """
import tensorflow as tf
def build(flag, units=3):
    ids = tf.keras.Input((9,))
    x = tf.keras.layers.Embedding(5, 4, mask_zero=True)(ids)
    return tf.keras.Model(ids, tf.keras.layers.LSTM(units)(x))
"""
    assert "nn.Module" in convert_source(text).code
    made = (
        convert_source(text.replace(*change)).code
        if change[0] != "units"
        else convert_source(text.replace("LSTM(units)", f"LSTM({change[1]})")).code
    )
    assert "compat.keras.Model(ids" in made and "nn.Module" not in made


def test_initial_values_are_keras(both):
    torch.manual_seed(0)
    model = both[1].Classifier(units=64)
    lstm = model.lstm
    blocks = lstm.weight_hh_l0.detach().reshape(-1, 64)
    assert torch.allclose(
        blocks.T @ blocks, torch.eye(64), atol=1e-5
    )  # Keras draws one orthogonal [units, 4 units]
    assert lstm.bias_ih_l0[64:128].eq(1).all() and lstm.bias_ih_l0.sum() == 64
    assert lstm.bias_hh_l0.eq(0).all() and not lstm.bias_hh_l0.requires_grad
    limit = (6 / (12 + 4 * 64)) ** 0.5
    assert limit * 0.95 < lstm.weight_ih_l0.abs().max() <= limit
    assert not model.both.bias_hh_l0_reverse.requires_grad


def test_a_second_run_changes_nothing(both):
    assert convert_source(both[2].code).code == both[2].code
