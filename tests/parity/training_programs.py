"""A small network with normalisation and dropout and its optimizers, in Keras and as twins in torch."""

from __future__ import annotations

import json
from pathlib import Path

from tests.parity.conftest import capture_many

REFERENCE = """
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


def build():
    return keras.Sequential([
        keras.Input((6,)), layers.Dense(8, activation="relu", name="first"), layers.BatchNormalization(name="bn"),
        layers.Dropout(0.25, name="drop"), layers.Dense(8, activation="tanh", name="square"),
        layers.Dense(3, name="head"),
    ])


def compiled():
    model = build()
    model.compile(keras.optimizers.RMSprop(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def frozen():
    model = build()
    model.trainable = False
    return model


def make_optimizer():
    return keras.optimizers.Adam(0.01)


def rising():
    return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5), momentum=0.9)


def absolute(y, x):
    return tf.reduce_mean(tf.abs(x - y))


def vector(y, x):
    return tf.reduce_mean(tf.abs(x - y), axis=-1)


def batches(steps):
    source = np.random.default_rng(1)
    for _ in range(steps):
        yield source.standard_normal((10, 6)).astype("float32"), source.standard_normal((10, 3)).astype("float32")


def train_step(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        loss = absolute(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    gradients, _ = tf.clip_by_global_norm(gradients, 0.25)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


slope = tf.Variable(np.linspace(-1, 1, 3).astype(tf.keras.backend.floatx()))


def affine(x):
    return tf.tanh(x * slope)


def own_step(function, x, y):
    with tf.GradientTape() as tape:
        loss = absolute(y, function(x))
    slope.assign_sub(0.1 * tape.gradient(loss, slope))
    return loss


def words():
    return keras.Sequential([
        keras.Input((5,), dtype="int32"), layers.Embedding(4, 3, name="table"),
        layers.GlobalAveragePooling1D(name="mean"), layers.Dense(2, name="head"),
    ])


def waves(x, y):
    return {"a": tf.sin(x) * y, "b": x * 2, "n": tf.argmax(x, -1)}
"""

TWIN = """
import torch
import torch.nn.functional as F
from torch import nn

from tfport import compat


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.bn = compat.keras.modules.BatchNorm(8, eps=1e-3, momentum=0.01)
        self.drop = nn.Dropout(0.25)
        self.square = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.drop(self.bn(torch.relu(self.first(x))))
        return self.head(torch.tanh(self.square(x)))


def build():
    return Net()


compiled = frozen = build


def make_optimizer(params):
    return compat.keras.optimizers.Adam(0.01)


def rising(params):
    return compat.keras.optimizers.SGD(compat.keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5), momentum=0.9)


def absolute(y, x):
    return (x - y).abs().mean()


def vector(y, x):
    return (x - y).abs().mean(-1)


def train_step(model, optimizer, x, y):
    model.train()
    optimizer.zero_grad()
    loss = absolute(y, model(x))
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()
    return loss


slope = nn.Parameter(torch.zeros(3))


def affine(x):
    return torch.tanh(x * slope)


def own_step(function, x, y):
    loss = absolute(y, function(x))
    (change,) = torch.autograd.grad(loss, [slope])
    with torch.no_grad():
        slope.sub_(0.1 * change)
    return loss


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(4, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.table(x).mean(1))


words = Words


def waves(x, y):
    return {"a": torch.sin(x) * y, "b": x * 2, "n": x.argmax(-1).int()}
"""

DENSE = {"kernel": ["weight", "i o -> o i", {}], "bias": ["bias", "o -> o", {}]}
NORM = {"gamma": ["weight", "c -> c", {}], "beta": ["bias", "c -> c", {}],
        "moving_mean": ["running_mean", "c -> c", {}], "moving_variance": ["running_var", "c -> c", {}]}  # fmt: skip
LAYERS = (("first", "Dense", DENSE), ("bn", "BatchNormalization", NORM), ("drop", "Dropout", {}),
          ("square", "Dense", DENSE), ("head", "Dense", DENSE))  # fmt: skip
TABLE = {"embeddings": ["weight", "n d -> n d", {}]}
MODELS = {"Net": LAYERS, "Words": (("table", "Embedding", TABLE), ("head", "Dense", DENSE))}
RECORD = {"version": 1, "source": "net.py", "layout": "nchw", "arguments": [], "models": {
    model: {"kind": "sequential",
            "layers": [{"name": n, "class": c, "path": n, "keras_path": None, "weights": w} for n, c, w in layers]}
    for model, layers in MODELS.items()
}}  # fmt: skip


def write_reference(folder: Path) -> Path:
    """Writes the Keras program; returns its path."""
    path = folder / "net.py"
    path.write_text(REFERENCE, "utf-8")
    return path


def write_twin(folder: Path, *changes: tuple[str, str]) -> Path:
    """Writes the twin with changes, each of a piece of text that is there; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    code = TWIN
    for old, new in changes:
        assert old in code and old != new, old
        code = code.replace(old, new)
    path = folder / "net_torch.py"
    path.write_text(code, "utf-8")
    path.with_suffix(".tfport.json").write_text(json.dumps(RECORD), "utf-8")
    return path


def captured(folder: Path, jobs: dict[str, list[str]]) -> dict[str, Path | str]:
    """Captures several jobs (NAME and options) in one TensorFlow process: name -> golden folder, or the error."""
    program = write_reference(folder)
    lines = [[f"{program}:{job[0]}", "-o", folder / name, *job[1:]] for name, job in jobs.items()]
    told = capture_many(lines)
    return {n: folder / n if status == 0 else error for n, (status, error) in zip(jobs, told, strict=True)}
