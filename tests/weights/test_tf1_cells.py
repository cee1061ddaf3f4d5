"""Checkpoints of TensorFlow 1 programs, in both of Saver's formats, without TensorFlow: recurrent cells, cuDNN's layers into
torch's, tf.layers and slim into modules written by hand; every tensor carried, outputs equal.
"""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import nn

from tfport import compat
from tfport.weights import WeightsError, load_weights, read_checkpoint
from tfport.weights.cli_weights import weights
from tfport.weights.patterns import apply, fill, plan, source_shape

CELLS = compat.nn.rnn_cell
UNITS = 5


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("tensorflow", reason="TensorFlow writes the checkpoints")
    pytest.importorskip("tf_slim", reason="slim is one of the writers")
    folder = tmp_path_factory.mktemp("tf1")
    script = pathlib.Path(__file__).with_name("tf1_writes.py")
    env = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, str(script), str(folder)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


class Encoder(nn.Module):
    """What the conversion of the program leaves: cells under TensorFlow's names, loops over them."""

    def __init__(self):
        super().__init__()
        self.rnn = CELLS.MultiRNNCell([
            CELLS.DropoutWrapper(CELLS.LSTMCell(7, use_peepholes=True, num_proj=5)),
            CELLS.ResidualWrapper(CELLS.GRUCell(5)), CELLS.BasicRNNCell(3)])  # fmt: skip
        self.bidirectional_rnn = nn.ModuleDict({"fw": CELLS.BasicLSTMCell(5), "bw": CELLS.BasicLSTMCell(5)})

    def forward(self, x):
        outputs, _ = compat.nn.dynamic_rnn(self.rnn, x, dtype=torch.float32)
        ways = self.bidirectional_rnn
        both, _ = compat.nn.bidirectional_dynamic_rnn(ways.fw, ways.bw, outputs, dtype=torch.float32)
        return torch.cat(both, 2)


class Reader(nn.Module):
    """Two layers of CudnnLSTM both ways, as torch has them."""

    def __init__(self):
        super().__init__()
        self.cudnn_lstm = nn.LSTM(4, UNITS, 2, bidirectional=True, batch_first=True)
        self.dense = nn.Linear(2 * UNITS, 3)

    def forward(self, x):
        return self.dense(self.cudnn_lstm(x)[0])


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, UNITS, 2, batch_first=True)

    def forward(self, x):
        outputs, states = self.gru(x)
        return outputs, *states


class Rnn(nn.RNN):
    def __init__(self):
        super().__init__(4, UNITS, nonlinearity="relu", batch_first=True)

    def forward(self, x):
        return super().forward(x)[0]


class Separable(nn.Module):
    def __init__(self, inputs, outputs, multiplier):
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs * multiplier, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs * multiplier, outputs, 1)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv2d = nn.Conv2d(3, 6, 3, padding=1)
        self.batch_normalization = nn.BatchNorm2d(6, eps=1e-3)
        self.separable_conv2d = Separable(6, 5, 2)
        self.batch_normalization_1 = nn.BatchNorm2d(5, eps=1e-3)
        self.conv2d_transpose = nn.ConvTranspose2d(5, 4, 2, stride=2)
        self.dense = nn.Linear(4, 7)
        self.dense_1 = nn.Linear(7, 3)

    def forward(self, x):
        x = F.relu(self.batch_normalization(self.conv2d(x.permute(0, 3, 1, 2))))
        x = F.relu(self.batch_normalization_1(self.separable_conv2d(x)))
        return self.dense_1(F.relu(self.dense(self.conv2d_transpose(x).mean((2, 3)))))


class Normed(nn.Conv2d):
    """A convolution with slim's normalizer_fn."""

    def __init__(self, inputs, outputs, size, **options):
        super().__init__(inputs, outputs, size, padding=size // 2, bias=False, **options)
        self.BatchNorm = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        return F.relu(self.BatchNorm(super().forward(x)))


class Mobile(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv2d_0 = Normed(3, 6, 3)
        self.conv2d_1_depthwise = Normed(6, 6, 3, groups=6)
        self.conv2d_1_pointwise = Normed(6, 5, 1)
        self.conv2d_2 = Separable(5, 4, 1)
        self.logits = nn.Linear(4, 3)

    def forward(self, x):
        x = self.conv2d_1_pointwise(self.conv2d_1_depthwise(self.conv2d_0(x.permute(0, 3, 1, 2))))
        return self.logits(F.relu(self.conv2d_2(x)).mean((2, 3)))


MODELS = {
    "cells": Encoder, "cudnn_lstm": Reader, "cudnn_gru": Gru, "cudnn_rnn": Rnn, "layers": Layers, "slim_net": Mobile,
}  # fmt: skip


def computes(module, told, bound=2e-6):
    with torch.no_grad():
        made = module.eval()(torch.tensor(told["x"]))
    for n, value in enumerate(made if isinstance(made, tuple) else [made]):
        theirs = told[f"found_{n}"]
        assert np.abs(value.numpy() - theirs).max() <= bound * max(1.0, np.abs(theirs).max())


def told_of(error):
    return "\n".join([str(error.value), *error.value.problems])


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("case", MODELS)
def test_every_tensor_is_carried_and_the_outputs_agree(written, case, version):
    module, checkpoint = MODELS[case](), read_checkpoint(written / case / version)
    assert checkpoint.format.lower().replace("tensorflow ", "").startswith(version), checkpoint.format
    report = load_weights(module, written / case / version)
    assert not report.missing and not report.left_over
    assert {row.target for row in report.loaded} == {
        n for n, _ in module.state_dict().items() if not n.endswith("num_batches_tracked")
    }
    computes(module, np.load(written / f"{case}.npz"))


def test_the_command_line_writes_torchs_tensors(written, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.gru = nn.GRU(4, 5, 2, batch_first=True)\n"
    )
    output, file = tmp_path / "m.safetensors", tmp_path / "map.toml"
    for options in ((), ("--write-map", file), ("--map", file)):
        place = () if options[:1] == ("--write-map",) else ("-o", output)
        args = [written / "cudnn_gru" / "v2", *place, "--module", f"{tmp_path}/net.py:Net", *options]
        done = CliRunner().invoke(weights, [str(a) for a in args])
        assert done.exit_code == 0, done.output
        if place:
            module = Gru()
            module.load_state_dict(load_file(output))
            computes(module, np.load(written / "cudnn_gru.npz"))
            output.unlink()


def test_the_buffer_of_cudnn_is_refused_unless_its_canonical_form_is_there(written):
    told = dict(read_checkpoint(written / "cudnn_lstm" / "v2"))
    report = load_weights(Reader(), told)
    assert (
        "reader/cudnn_lstm/opaque_kernel",
        "cuDNN's buffer, whose canonical form stands beside it",
    ) in report.ignored
    for strict in (True, False):
        alone = {key: value for key, value in told.items() if "cudnn_compatible" not in key}
        module = Reader()
        before = {key: value.clone() for key, value in module.state_dict().items()}
        if strict:
            with pytest.raises(WeightsError) as caught:
                load_weights(module, alone)
            said = told_of(caught)
            assert (
                "opaque_kernel" in said
                and "Restore it in TensorFlow 1 on a GPU" in said
                and "tf.train.Saver()" in said
            )
            assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
        else:
            report = load_weights(module, alone, strict=False)
            assert report.left_over == ("reader/cudnn_lstm/opaque_kernel",)
            assert "cudnn_lstm.weight_ih_l0" in report.missing


@pytest.mark.parametrize(
    "damage",
    [
        lambda told: {k: v for k, v in told.items() if "cell_1" not in k or "/bw/" not in k},
        lambda told: {k: v for k, v in told.items() if not k.endswith("cell_0/bidirectional_rnn/fw/cudnn_compatible_lstm_cell/bias")},
        lambda told: {k: v[:, :-4] if v.ndim == 2 and "cell_0" in k else v for k, v in told.items()},
        lambda told: {k: v.astype("f8") if "cell_0" in k and k.endswith("bias") else v for k, v in told.items()},
        lambda told: {k.replace("cell_1", "cell_2"): v for k, v in told.items()},
    ],
    ids=["a layer's way lacks", "a bias lacks", "columns lack", "two dtypes", "a layer lacks"],
)  # fmt: skip
def test_a_cudnn_layer_that_is_not_whole_is_refused(written, damage):
    told = dict(read_checkpoint(written / "cudnn_lstm" / "v2"))
    with pytest.raises(WeightsError) as caught:
        load_weights(Reader(), damage(told))
    assert "missing: cudnn_lstm.weight_ih_l" in told_of(caught)


def test_a_cudnn_layer_of_another_form_is_refused(written):
    for other in (nn.LSTM(4, UNITS, 1, bidirectional=True), nn.LSTM(4, UNITS, 2), nn.LSTM(4, UNITS, 2, bidirectional=True, bias=False),
                  nn.LSTM(4, 6, 2, bidirectional=True), nn.GRU(4, UNITS, 2, bidirectional=True)):  # fmt: skip
        told = {k: v for k, v in read_checkpoint(written / "cudnn_lstm" / "v2").items() if "dense" not in k}
        with pytest.raises(WeightsError):
            load_weights(nn.ModuleDict({"cudnn_lstm": other}), told)


class Forgetful(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, UNITS, bidirectional=True, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


def map_of(forget):
    rows = []
    for way, end in (("fw", ""), ("bw", "_reverse")):
        scope = f"bidirectional_rnn/{way}/basic_lstm_cell"
        for kind, variable, pattern in (
            ("weight_ih", "kernel", "(i + h) (g o) -> (g o) i"), ("weight_hh", "kernel", "(i + h) (g o) -> (g o) h"),
            ("bias_ih", "bias", "(g o) -> (g o)"),
        ):  # fmt: skip
            rows += ["[[tensor]]", f'source = "{scope}/{variable}"', f'target = "lstm.{kind}_l0{end}"',
                     f'pattern = "{pattern}"', "sizes = { g = [0, 2, 1, 3]" + ", h = 5 }" * (variable == "kernel")
                     + " }" * (variable == "bias")]  # fmt: skip
        rows += ["[[fill]]", f'target = "lstm.bias_hh_l0{end}"', f"values = {forget}"]
    return "\n".join(rows)


def test_a_forget_bias_is_asked_for_and_a_map_tells_it(written, tmp_path):
    """BasicLSTMCell into nn.LSTM: refused by itself, exact with the map's patterns and [[fill]], wrong without the one."""
    file, checkpoint, told = (
        tmp_path / "map.toml",
        written / "forgetful" / "v1",
        np.load(written / "forgetful.npz"),
    )
    with pytest.raises(WeightsError) as caught:
        load_weights(Forgetful(), checkpoint)
    assert "adds the forget bias of bidirectional_rnn/" in told_of(caught) and "[[fill]]" in told_of(caught)
    for forget in ([0, 1, 0, 0], [0.0, 1.0, 0.0, 0.0]):
        file.write_text(map_of(forget))
        module = Forgetful()
        report = load_weights(module, checkpoint, map=file)
        assert not report.missing and not report.left_over
        computes(module, told)
    file.write_text(map_of([0]))
    load_weights(module, checkpoint, map=file)
    assert not module.lstm.bias_hh_l0.any()
    with pytest.raises(AssertionError):
        computes(module, told)
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.lstm = nn.LSTM(4, 5, bidirectional=True, batch_first=True)\n"
    )
    file.write_text(map_of([0, 1, 0, 0]))
    args = [checkpoint, "-o", tmp_path / "m.safetensors", "--module", f"{tmp_path}/net.py:Net", "--map", file]
    done = CliRunner().invoke(weights, [str(a) for a in args])
    assert done.exit_code == 0, done.output
    module.load_state_dict(load_file(tmp_path / "m.safetensors"))
    computes(module, told)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("values = [0, 1, 0]", "has no 3 equal blocks to fill"),
        ("values = []", "its values are a list of numbers"),
        ("values = ['0']", "its values are a list of numbers"),
        ("values = [true]", "its values are a list of numbers"),
        ("pattern = '0'", "lacks values"),
    ],
)
def test_a_fill_that_cannot_be_is_refused(written, tmp_path, row, says):
    file = tmp_path / "map.toml"
    file.write_text(map_of([0, 1, 0, 0]).replace("values = [0, 1, 0, 0]", row))
    with pytest.raises(WeightsError) as caught:
        load_weights(Forgetful(), written / "forgetful" / "v2", map=file)
    assert says in told_of(caught)
    file.write_text(map_of([0, 1, 0, 0]) + "\n[[fill]]\ntarget = 'lstm.bias_ih_l0'\nvalues = [0]")
    with pytest.raises(WeightsError, match=r"more than one tensor for lstm\.bias_ih_l0"):
        load_weights(Forgetful(), written / "forgetful" / "v2", map=file)


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a cuDNN layer"])
def test_a_gru_cell_of_tensorflow_1_is_no_nn_gru(beside):
    shapes = {
        "gates/kernel": (9, 10),
        "gates/bias": (10,),
        "candidate/kernel": (9, 5),
        "candidate/bias": (5,),
    }
    found = {f"rnn/gru_cell/{n}": np.zeros(s, "f4") for n, s in shapes.items()}
    module = {"rnn": nn.GRU(4, 5)}
    if beside:
        cell = "low/rnn/cudnn_compatible_lstm_cell"
        found |= {f"{cell}/kernel": np.ones((5, 8), "f4"), f"{cell}/bias": np.ones(8, "f4")}
        module["low"] = nn.LSTM(3, 2)
    with pytest.raises(WeightsError) as caught:
        load_weights(nn.ModuleDict(module), found)
    assert "rnn/gru_cell/gates/kernel resets the state before the product" in told_of(caught)
    assert "missing: low" not in told_of(caught)


def test_one_part_of_an_axis():
    """``(a + b + c)`` on the left: sizes given or left over, blocks in another order, the shape that is wanted."""
    array = np.arange(24).reshape(6, 4)
    for pattern, sizes, wanted in (
        ("(i + h) o -> o i", {"h": 2}, array[:4].T), ("(i + h) o -> o h", {"i": 4}, array[4:].T), ("(i+h) o -> h o", {"h": 2}, array[4:]),
        ("(a + b + c) o -> b o", {"a": 1, "c": 2}, array[1:4]), ("(i + h) o -> h o", {"h": [1, 0]}, array[[5, 4]]),
        ("o (i + h) -> h o", {"i": 1, "h": 3}, array[:, 1:].T), ("(i + h) (g o) -> (g o) h", {"h": 2, "g": [1, 0]}, array[4:, [2, 3, 0, 1]].T),
    ):  # fmt: skip
        np.testing.assert_array_equal(apply(plan(pattern, array.shape, sizes), array), wanted)
    assert source_shape("(i + h) (g o) -> (g o) i", (20, 4), {"h": 5, "g": [0, 2, 1, 3]}) == (9, 20)
    assert source_shape("(i + h) o -> o i", (20, 4), {}) == (None, 20)
    for pattern, sizes, says in (
        ("(i + h) o -> o i", {}, "sizes of i and h are not known"), ("(i + h) o -> o i", {"h": 7}, "the pattern wants 7"),
        ("(i + h) o -> o i", {"h": 1, "i": 3}, "the pattern wants 4"), ("(i + h) o -> o", {}, "does not take one part"),
        ("(i + h) o -> o i h", {}, "does not take one part"), ("i h -> (i + h)", {}, "is not understood at '+'"),
        ("(i + ) o -> o i", {}, "is not understood"), ("(i h + o) -> i h", {}, "is not understood"), ("i + h -> i", {}, "is not understood"),
    ):  # fmt: skip
        with pytest.raises(WeightsError, match=says.replace("+", r"\+")):
            plan(pattern, array.shape, sizes)
    assert fill("0 1", (4, 2), np.dtype("f4")).tolist() == [[0, 0], [0, 0], [1, 1], [1, 1]]


def test_a_converted_program_without_models_is_matched_by_names(written, tmp_path):
    """Its record beside it tells of none: no error, the cells' names tell all."""
    (tmp_path / "tagger.py").write_text(
        "import tensorflow as tf\nfrom torch import nn\n\n\nclass Tagger(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.fw = tf.nn.rnn_cell.BasicLSTMCell(5)\n"
        "        self.bw = tf.nn.rnn_cell.BasicLSTMCell(5)\n"
    )
    from tfport.cli import main

    done = CliRunner().invoke(main, ["convert", str(tmp_path / "tagger.py")])
    assert done.exit_code == 0 and (tmp_path / "tagger_torch.tfport.json").exists(), done.output
    args = [
        written / "forgetful" / "v1",
        "-o",
        tmp_path / "m.safetensors",
        "--module",
        f"{tmp_path}/tagger_torch.py:Tagger",
    ]
    done = CliRunner().invoke(weights, [str(a) for a in args])
    assert done.exit_code == 0, done.output
    made, told = load_file(tmp_path / "m.safetensors"), read_checkpoint(written / "forgetful" / "v1")
    for way in ("fw", "bw"):
        for name in ("kernel", "bias"):
            source = told[f"bidirectional_rnn/{way}/basic_lstm_cell/{name}"]
            np.testing.assert_array_equal(made[f"{way}.basic_lstm_cell.{name}"].numpy(), source)


def test_a_bias_is_the_pointwise_ones_only_beside_its_kernel():
    def sep():
        return nn.ModuleDict(
            {
                "sep": nn.ModuleDict(
                    {"depthwise": nn.Conv2d(4, 4, 3, groups=4, bias=False), "pointwise": nn.Conv2d(4, 4, 1)}
                )
            }
        )

    kernels = {
        "sep/depthwise_kernel": np.ones((3, 3, 4, 1), "f4"),
        "sep/pointwise_kernel": np.ones((1, 1, 4, 4), "f4"),
    }
    bias, other = {"sep/bias": np.full(4, 2, "f4")}, {"sep/pointwise_bias": np.full(4, 3, "f4")}
    module = sep()
    load_weights(module, kernels | bias)
    assert module["sep"]["pointwise"].bias.tolist() == [2] * 4
    report = load_weights(module, kernels | bias | other, strict=False)
    assert report.left_over == ("sep/bias",) and module["sep"]["pointwise"].bias.tolist() == [3] * 4
    del kernels["sep/pointwise_kernel"]
    assert load_weights(sep(), kernels | bias, strict=False).left_over == ("sep/bias",)
