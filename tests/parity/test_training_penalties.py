"""--steps adds a model's own terms to the loss as fit does: a port without them, or with half of them, is told so."""

from __future__ import annotations

import pytest

from tests.parity.conftest import capture_many, replays

pytest.importorskip("tensorflow")

REFERENCE = """
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers, regularizers


class Spread(layers.Layer):
    def call(self, x):
        self.add_loss(0.1 * tf.reduce_mean(tf.square(x)))
        return x


def decayed():
    return keras.Sequential([
        keras.Input((6,)), layers.Dense(8, activation="tanh", kernel_regularizer=regularizers.L2(0.01), name="first"),
        layers.Dense(3, kernel_regularizer=regularizers.L1L2(0.01, 0.02), bias_regularizer="l1", name="head"),
    ])


def spread():
    return keras.Sequential([keras.Input((6,)), layers.Dense(4, name="first"), Spread(), layers.Dense(3, name="head")])


def image():
    return keras.Sequential([
        keras.Input((6, 6, 2)), layers.DepthwiseConv2D(3, depthwise_regularizer="l2"), layers.Flatten(),
        layers.Dense(3, kernel_regularizer="l1", trainable=False), layers.Dense(2),
    ])


def words():
    return keras.Sequential([
        keras.Input((5,), dtype="int32"), layers.Embedding(9, 4, embeddings_regularizer="l2"),
        layers.Bidirectional(layers.LSTM(3, kernel_regularizer="l2", recurrent_regularizer="l1")), layers.Dense(2),
    ])
"""
TWIN = REFERENCE.replace(
    "import tensorflow as tf\nfrom tensorflow import keras\nfrom tensorflow.keras import layers, regularizers\n",
    "import torch\nfrom torch import nn\nfrom tfport.compat import keras\nlayers, regularizers = keras.layers, keras.regularizers\n",
).replace("tf.reduce_mean(tf.square(x))", "x.square().mean()")
PLAIN = '''
import torch
from torch import nn


class Decayed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.first(x)))

    def losses(self):
        head = self.head.weight
        terms = [0.01 * self.first.weight.square().sum(), 0.01 * head.abs().sum(), 0.02 * head.square().sum()]
        return terms + [0.01 * self.head.bias.abs().sum()]


decayed = spread = Decayed
'''  # fmt: skip
COMMON = ["--steps", "2", "--layers", "none", "--dtype", "float32,float64"]
JOBS = {
    "decayed": ["--input", "8x6", "--optimizer", "adam(0.01)"],
    "spread": ["--input", "8x6"],
    "image": ["--input", "4x6x6x2"],
    "words": ["--input", "4x5:int32<9"],
}


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("penalties")
    (folder / "net.py").write_text(REFERENCE, "utf-8")
    (folder / "net_torch.py").write_text(TWIN, "utf-8")
    (folder / "plain_torch.py").write_text(PLAIN, "utf-8")
    told = capture_many(
        [[f"{folder}/net.py:{n}", "-o", folder / n, *job, *COMMON] for n, job in JOBS.items()]
    )
    assert [error for status, error in told if status] == []
    return folder


@pytest.mark.parametrize("name", JOBS)
def test_a_twin_with_the_same_terms_agrees_in_both_precisions(goldens, tmp_path, name):
    for run, part in replays(
        goldens / name, f"{goldens}/net_torch.py:{name}", tmp_path, COMMON[-1].split(",")
    ):
        assert part.ok, run["training"]["reason"]
        assert run["training"]["compared"]["gradient"] > 0


def test_a_port_of_plain_torch_tells_its_terms_by_a_method_called_losses(goldens, tmp_path):
    for run, part in replays(
        goldens / "decayed", f"{goldens}/plain_torch.py:decayed", tmp_path, COMMON[-1].split(",")
    ):
        assert part.ok, run["training"]["reason"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def losses(self)", "def penalties(self)", "the candidate's none)"),
        ("0.01 * self.first", "0.005 * self.first", "the candidate's 0."),
        (" + [0.01 * self.head.bias.abs().sum()]", "", "the candidate's 0."),
    ],
)
def test_missing_and_halved_regularisers_are_caught_and_named(goldens, tmp_path, old, new, said):
    assert old in PLAIN
    port = tmp_path / "plain_torch.py"
    port.write_text(PLAIN.replace(old, new), "utf-8")
    ((run, part),) = replays(goldens / "decayed", f"{port}:decayed", tmp_path / "out")
    training = run["training"]
    assert not part.ok and (training["fault"]["step"], training["fault"]["in"]) == (0, "forward")
    cause = training["causes"][0]
    assert cause["agrees"] and cause["cause"] == "regularisation"
    assert "with the reference's regularisers it agrees" in training["reason"] and said in training["reason"]


def test_terms_that_only_the_port_has_are_caught_and_named(goldens, tmp_path):
    port = tmp_path / "net_torch.py"
    port.write_text(
        TWIN.replace("embeddings_regularizer", "name='e', embeddings_regularizer")
        .replace('name="first"), Spread()', 'name="first", kernel_regularizer="l2"), Spread()'), "utf-8"
    )  # fmt: skip
    ((run, part),) = replays(goldens / "spread", f"{port}:spread", tmp_path / "out")
    assert not part.ok and run["training"]["fault"]["in"] == "forward"


def test_the_terms_of_a_layer_are_those_of_its_last_call():
    import copy

    import torch

    from tfport.compat import keras

    class Spread(keras.layers.Layer):
        def call(self, x):
            self.add_loss(x.square().mean())
            return x

    layer = Spread()
    symbol = keras.Input((2,))
    model = keras.Model(symbol, layer(2.0 * layer(symbol)))
    x = torch.tensor([[1.0, 2.0]])
    for _ in range(2):  # both calls of one run, and nothing of the run before
        model(x)
        assert [float(term) for term in model.losses] == [2.5, 10.0]
    assert copy.deepcopy(model).losses == []
    with pytest.raises(TypeError, match="takes tensors"):
        layer.add_loss(0.5)
    heavy = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activity_regularizer="l2")])
    with pytest.raises(NotImplementedError, match="activity_regularizer of dense"):
        heavy.losses  # noqa: B018


def test_a_regulariser_sees_the_weight_in_keras_order():
    import torch

    from tfport.compat import keras

    model = keras.Sequential([
        keras.Input((4,)), keras.layers.Dense(3, kernel_regularizer=keras.regularizers.OrthogonalRegularizer(0.5)),
    ])  # fmt: skip
    (kernel,) = (p for name, p in model.named_parameters() if name.endswith("weight"))
    wanted = keras.regularizers.OrthogonalRegularizer(0.5)(kernel.T)
    torch.testing.assert_close(sum(model.losses), wanted)
    model.trainable = False
    assert model.losses == []
