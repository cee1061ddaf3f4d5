"""--loss takes what Keras takes: names, classes, calls, functions and classes of the user's, several of them, weights."""

from __future__ import annotations

import json

import pytest

from tests.parity.conftest import capture_many, replays

pytest.importorskip("tensorflow")

REFERENCE = """
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


def kinds():
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="tanh"), layers.Dense(3, activation="softmax")])


def size():
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="tanh"), layers.Dense(1)])


def both():
    x = keras.Input((6,))
    h = layers.Dense(8, activation="tanh")(x)
    return keras.Model(x, [layers.Dense(3, activation="softmax", name="kind")(h), layers.Dense(1, name="size")(h)])


def compiled():
    model = both()
    losses = {"kind": keras.losses.SparseCategoricalCrossentropy(), "size": keras.losses.Huber(0.5)}
    model.compile("sgd", loss=losses, loss_weights={"kind": 2.0, "size": 0.5})
    return model


def own():
    model = size()
    model.compile("sgd", loss=each)
    return model


def steps():
    return keras.Sequential([keras.Input((5,), dtype="int32"), layers.Embedding(7, 4, mask_zero=True),
                             layers.LSTM(6, return_sequences=True), layers.Dense(3, activation="softmax")])


def each(y, x):
    return tf.reduce_mean(tf.abs(y - x), axis=-1)


class Power(keras.losses.Loss):
    def __init__(self, power=2.0):
        super().__init__()
        self.power = power

    def call(self, y, x):
        return tf.reduce_mean(tf.abs(y - x) ** self.power, axis=-1)


def power(power=2.0):
    def loss(y, x):
        return tf.reduce_mean(tf.abs(y - x) ** power)

    return loss


def weighted(count):
    source = np.random.default_rng(0)
    for _ in range(count):
        x = source.standard_normal((8, 6)), source.standard_normal((8, 1)), source.random(8)
        yield [a.astype("float32") for a in x]


def flat(count):
    for x, y, _ in weighted(count):
        yield x, y[:, 0]
"""
TWIN = (
    REFERENCE.replace("import tensorflow as tf\nfrom tensorflow import keras\nfrom tensorflow.keras import layers\n",
                      "import torch\nfrom tfport import compat\nfrom tfport.compat import keras\nlayers = keras.layers\n")
    .replace("tf.reduce_mean(tf.abs(y - x), axis=-1)", "(y - x).abs().mean(-1)")
    .replace("tf.reduce_mean(tf.abs(y - x) ** self.power, axis=-1)", "((y - x).abs() ** self.power).mean(-1)")
    .replace("tf.reduce_mean(tf.abs(y - x) ** power)", "((y - x).abs() ** power).mean()")
    .replace('    losses = {"kind"', '    return model\n    losses = {"kind"').replace('    model.compile("sgd", loss=each)\n', "")
)  # fmt: skip
assert "tf." not in TWIN.replace("tfport", "")
COMMON = ["--steps", "2", "--layers", "none", "--dtype", "float64", "--optimizer", "sgd(0.1)"]
X = ["--input", "8x6"]
NAMES = ("categorical_crossentropy", "CategoricalCrossentropy(label_smoothing=0.1)", "kld", "Poisson", "cosine_similarity",
         "log_cosh", "Huber(delta=0.5)", "keras.losses.Hinge", "MSLE", "SparseCategoricalCrossentropy(ignore_class=1)",
         "dice", "categorical_focal_crossentropy", "MeanSquaredError(reduction='sum')")  # fmt: skip
JOBS = {f"kinds {name}": ["kinds", *X, "--loss", name] for name in NAMES} | {
    "logits": ["size", *X, "--loss", "bce"],
    "smooth": ["size", *X, "--loss", "BinaryCrossentropy(from_logits=True, label_smoothing=0.1)"],
    "two": ["both", *X, "--loss", "mae"],
    "compiled": ["compiled", *X],
    "own": ["own", *X, "--target", "8x1"],
    "each": ["size", *X, "--loss", "each", "--target", "8x1"],
    "class": ["size", *X, "--loss", "Power(power=3.0)", "--target", "8x1"],
    "maker": ["size", *X, "--loss", "power(power=1.5)", "--target", "8x1"],
    "masked": ["steps", "--input", "4x5:int32<7", "--loss", "SparseCategoricalCrossentropy"],
    "weighted": ["size", "--batches", "net.py:weighted", "--loss", "mse"],
    "flat": ["size", "--batches", "net.py:flat", "--loss", "mse"],
    "circle": ["kinds", *X, "--loss", "Circle"],
}  # fmt: skip
ERRORS = {
    "nan": (["size", *X, "--loss", "poisson"], "Poisson of the first batch is nan"),
    "typo": (["size", *X, "--loss", "hubber"], "--loss hubber: net.py has no such function, and Keras no such loss"),
    "argument": (["size", *X, "--loss", "Huber(dlta=1)"], "--loss Huber(dlta=1): "),
    "shape": (["size", *X, "--loss", "mse", "--target", "8x2"], "a target has the shape [8, 2], the output [8, 1]"),
    "too many": (["size", *X, "--loss", "mse", *["--target", "8x1"] * 3], "3 arrays beside the inputs for 1 outputs"),
    "class id": (["kinds", *X, "--loss", "sparse_categorical_crossentropy", "--target", "8:int32<9"],
                 "the output has 3 classes"),
    "ctc": (["kinds", *X, "--loss", "CTC"], "pass the labels with --target"),
}  # fmt: skip


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("losses")
    (folder / "net.py").write_text(REFERENCE, "utf-8")
    (folder / "net_torch.py").write_text(TWIN, "utf-8")
    jobs = {**JOBS, **{name: job for name, (job, _) in ERRORS.items()}}
    lines = []
    for i, job in enumerate(jobs.values()):
        name, *options = (w.replace("net.py:", f"{folder}/net.py:") for w in job)
        lines.append([f"{folder}/net.py:{name}", "-o", folder / str(i), *options, *COMMON])
    told = capture_many(lines)
    found = {n: folder / str(i) if not s else e for i, (n, (s, e)) in enumerate(zip(jobs, told, strict=True))}
    return folder, found


def trained(goldens, name, output):
    folder, found = goldens
    golden = found[name]
    assert not isinstance(golden, str), golden
    ((run, part),) = replays(golden, f"{folder}/net_torch.py:{JOBS[name][0]}", output, ("float64",))
    assert run["error"] is None
    return run["training"], part


@pytest.mark.parametrize("name", [name for name in JOBS if name != "circle"])
def test_a_twin_that_is_trained_with_this_loss_agrees_in_float64(goldens, tmp_path, name):
    training, part = trained(goldens, name, tmp_path)
    assert part.ok, training["reason"]
    assert all(loss == loss for loss in training["losses"]["reference"])


def test_a_loss_keeps_the_arguments_that_keras_forgets_in_its_configuration(goldens):
    _, found = goldens
    told = json.loads((found["kinds Huber(delta=0.5)"] / "manifest.json").read_text("utf-8"))
    assert told["runs"][0]["training"]["loss"]["config"]["delta"] == 0.5
    told = json.loads((found["compiled"] / "manifest.json").read_text("utf-8"))["runs"][0]["training"]["loss"]
    assert told["weights"] == [2.0, 0.5] and told["each"][1]["config"]["delta"] == 0.5


def test_whether_outputs_are_logits_is_seen_and_told(goldens, tmp_path):
    assert trained(goldens, "logits", tmp_path / "a")[0]["loss"]["config"]["from_logits"] is True
    loss = trained(goldens, "kinds categorical_crossentropy", tmp_path / "b")[0]["loss"]
    assert loss["config"]["from_logits"] is False


def test_a_loss_that_torch_lacks_is_named(goldens, tmp_path):
    training, part = trained(goldens, "circle", tmp_path)
    assert not part.ok and "tfport has no loss Circle; name a function of both files" in training["reason"]


@pytest.mark.parametrize("name", ERRORS)
def test_a_loss_that_cannot_be_computed_is_told_in_one_line(goldens, name):
    error = goldens[1][name]
    assert isinstance(error, str) and error.startswith("tfport: ") and len(error.splitlines()) == 1
    assert ERRORS[name][1] in error
