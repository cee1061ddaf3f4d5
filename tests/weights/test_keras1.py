"""Files of Keras 1: each tensor as Keras 2 reads it, into modules by name; what the file does not tell is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from torch import nn

from tfport.weights import WeightsError, load_weights, read_checkpoint

SCRIPT = Path(__file__).with_name("keras1_writes.py")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("tf_keras", reason="Keras 2 reads the files as the reference")
    folder = tmp_path_factory.mktemp("keras1")
    env = os.environ | {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, str(SCRIPT), str(folder)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", ["images", "up", "text"])
def test_every_tensor_as_keras_2_has_it(written, name):
    wanted = np.load(written / f"{name}.npz")
    checkpoint = read_checkpoint(written / f"{name}.h5")
    got = {f"{e.layers[0]}/{e.variable}": checkpoint[key] for key, e in checkpoint.entries.items()}
    names = {key.removesuffix(":0").replace("forward_inner", "forward_lstm").replace("backward_inner", "backward_lstm"): key
             for key in wanted}  # fmt: skip
    assert got.keys() == names.keys()
    for key, value in got.items():
        np.testing.assert_array_equal(value, wanted[names[key]], err_msg=key)


def images():
    return nn.ModuleDict(
        {"conv": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4), "square": nn.Conv2d(4, 4, 3)}
    )


def test_a_file_of_weights_alone_into_convolutions(written):
    wanted = np.load(written / "images.npz")
    module = images()
    report = load_weights(module, written / "images_weights.h5", strict=False)
    assert set(report.left_over) == {"fc/fc_W", "fc/fc_b"} and not report.missing
    for name in ("conv", "square"):
        kernel = wanted[f"{name}/kernel:0"].transpose(3, 2, 0, 1)
        np.testing.assert_array_equal(module[name].weight.detach().numpy(), kernel)
    np.testing.assert_array_equal(module["norm"].running_var.numpy(), wanted["norm/moving_variance:0"])


def test_recurrent_layers_whose_gates_are_apart(written):
    wanted = np.load(written / "text.npz")
    module = nn.ModuleDict({
        "table": nn.Embedding(11, 6), "conv": nn.Conv1d(6, 6, 3), "both": nn.LSTM(6, 5, bidirectional=True),
        "lstm": nn.LSTM(5, 5), "rnn": nn.RNN(5, 4), "fc": nn.Linear(4, 3),
    })  # fmt: skip
    report = load_weights(module, written / "text.h5", strict=False)
    assert not report.missing and all(key.startswith("model_weights/gru") for key in report.left_over)
    for name, target, key in (
        ("lstm", "weight_ih_l0", "lstm/lstm_cell/kernel:0"), ("lstm", "bias_ih_l0", "lstm/lstm_cell/bias:0"),
        ("both", "weight_hh_l0_reverse", "both/backward_inner/lstm_cell/recurrent_kernel:0"),
        ("rnn", "weight_hh_l0", "rnn/simple_rnn_cell/recurrent_kernel:0"), ("table", "weight", "table/embeddings:0"),
    ):  # fmt: skip
        value = getattr(module[name], target).detach().numpy()
        np.testing.assert_array_equal(value, wanted[key] if name == "table" else wanted[key].T, err_msg=key)
    np.testing.assert_array_equal(
        module["conv"].weight.detach().numpy(), wanted["conv/kernel:0"].transpose(2, 1, 0)
    )


def test_a_transposed_convolution_needs_the_configuration(written):
    wanted = np.load(written / "up.npz")
    module = nn.ModuleDict({"up": nn.ConvTranspose2d(3, 4, 3), "again": nn.ConvTranspose2d(4, 4, 3)})
    load_weights(module, written / "up.h5")
    for name in module:
        kernel = wanted[f"{name}/kernel:0"].transpose(3, 2, 0, 1)
        np.testing.assert_array_equal(module[name].weight.detach().numpy(), kernel)
    with pytest.raises(WeightsError, match="does not tell whether the last two axes") as caught:
        load_weights(module, written / "up_weights.h5")
    assert sum(line.startswith("ambiguous: again/again_W") for line in caught.value.problems) == 1


def test_theanos_order_and_damaged_configurations_are_refused(written, tmp_path):
    for change, says in (
        (lambda c: c["config"][0]["config"].update(dim_ordering="th"), "layer 'conv' has dim_ordering 'th'"),
        (lambda c: c.update(config=3), "its model_config is damaged"),
    ):
        path = tmp_path / "changed.h5"
        path.write_bytes((written / "images.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            told = json.loads(file.attrs["model_config"])
            change(told)
            del file.attrs["model_config"]
            file.attrs["model_config"] = json.dumps(told).encode()
        with pytest.raises(WeightsError, match=says):
            read_checkpoint(path)
