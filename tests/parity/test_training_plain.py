"""Ports of plain torch, without a record, under torch's own optimizers: right ones agree, also in float64; faults are named."""

from __future__ import annotations

import pytest

from tests.parity.conftest import capture_many, replays

pytest.importorskip("tensorflow")

REFERENCE = """
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers


def net():
    return keras.Sequential([
        keras.Input((6,)), layers.Dense(8, activation="tanh", name="wide"), layers.LayerNormalization(name="norm"),
        layers.Dense(3, name="head"),
    ])


def frozen():
    model = net()
    model.layers[0].trainable = False
    return model


def words():
    return keras.Sequential([
        keras.Input((5,), dtype="int32"), layers.Embedding(7, 4, name="table"), layers.LSTM(3, name="read"),
        layers.Dense(2, name="head"),
    ])


def sgd():
    return keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)


def falling():
    return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.7))


def pairs(count):
    source = np.random.default_rng(0)
    for _ in range(count):
        yield source.standard_normal((8, 6)).astype("float32"), source.standard_normal((8, 3)).astype("float32")


def step(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(y - model(x, training=True)))
    gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, model.trainable_variables), 0.1)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


def halves(model, optimizer, x, y):
    total, losses = None, []
    for part in (slice(0, 4), slice(4, 8)):
        with tf.GradientTape() as tape:
            losses.append(tf.reduce_mean(tf.square(y[part] - model(x[part], training=True))) / 2.0)
        found = tape.gradient(losses[-1], model.trainable_variables)
        total = found if total is None else [a + b for a, b in zip(total, found)]
    optimizer.apply_gradients(zip(total, model.trainable_variables))
    return losses[0] + losses[1]


class Pair(keras.Model):
    def __init__(self):
        super().__init__()
        self.maker, self.judge = layers.Dense(6, activation="tanh", name="maker"), layers.Dense(1, name="judge")

    def call(self, z):
        return self.judge(self.maker(z))


makers = {}


def adversaries(model, z, real):
    if id(model) not in makers:
        makers[id(model)] = keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2)
    first, second = makers[id(model)]
    with tf.GradientTape(persistent=True) as tape:
        fake = model.maker(z)
        made, seen = model.judge(fake), model.judge(real)
        maker_loss = tf.reduce_mean(tf.math.softplus(-made))
        judge_loss = tf.reduce_mean(tf.math.softplus(-seen)) + tf.reduce_mean(tf.math.softplus(made))
    ours, theirs = model.maker.trainable_variables, model.judge.trainable_variables
    steps = tape.gradient(maker_loss, ours), tape.gradient(judge_loss, theirs)
    first.apply_gradients(zip(steps[0], ours))
    second.apply_gradients(zip(steps[1], theirs))
    return maker_loss + judge_loss


def noise(count):
    source = np.random.default_rng(1)
    for _ in range(count):
        yield source.standard_normal((8, 6)).astype("float32"), source.standard_normal((8, 6)).astype("float32")


def whole(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(y - model(x, training=True)))
    optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
    return loss


def own(model, x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(y - model(x)))
    for variable, gradient in zip(model.trainable_variables, tape.gradient(loss, model.trainable_variables)):
        variable.assign_sub(0.5 * gradient)
    return loss
"""
TWIN = """
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.norm, self.head = nn.Linear(6, 8), nn.LayerNorm(8, eps=1e-3), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.norm(torch.tanh(self.wide(x))))


net = Net


def frozen():
    model = Net()
    model.wide.requires_grad_(False)
    return model


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.read, self.head = nn.Embedding(7, 4), nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 2)
        self.read.bias_hh_l0.requires_grad_(False)

    def forward(self, x):
        return self.head(self.read(self.table(x))[0][:, -1])


words = Words


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True)


def falling(parameters):
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.7 ** (step / 2))


def step(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = (y - model(x)).square().mean()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
    return loss


def halves(model, optimizer, x, y):
    optimizer.zero_grad()
    losses = []
    for part in (slice(0, 4), slice(4, 8)):
        losses.append((y[part] - model(x[part])).square().mean() / 2)
        losses[-1].backward()
    optimizer.step()
    return losses[0] + losses[1]


def whole(model, optimizer, x, y):
    optimizer.zero_grad()
    losses = [(y[part] - model(x[part])).square().mean() / 2 for part in (slice(0, 4), slice(4, 8))]
    for loss in losses:
        loss.backward()
    optimizer.step()
    return losses[0] + losses[1]


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.maker, self.judge = nn.Linear(6, 6), nn.Linear(6, 1)

    def forward(self, z):
        return self.judge(torch.tanh(self.maker(z)))


def adversaries(model, z, real):
    first = torch.optim.SGD(model.maker.parameters(), lr=0.1)
    second = torch.optim.SGD(model.judge.parameters(), lr=0.2)
    fake = torch.tanh(model.maker(z))
    judge_loss = F.softplus(-model.judge(real)).mean() + F.softplus(model.judge(fake.detach())).mean()
    maker_loss = F.softplus(-model.judge(fake)).mean()
    first.zero_grad()
    maker_loss.backward()  # reaches the judge too, which is then cleared
    second.zero_grad()
    judge_loss.backward()
    first.step()
    second.step()
    return maker_loss + judge_loss


def own(model, x, y):
    loss = (y - model(x)).square().mean()
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), torch.autograd.grad(loss, list(model.parameters()))):
            parameter.sub_(0.5 * gradient)
    return loss
"""
COMMON = ["--steps", "3", "--layers", "none", "--dtype", "float32,float64"]
X, PAIRS = ["--input", "8x6"], ["--batches", "net.py:pairs"]
JOBS = {
    "net": ["net", *X, "--optimizer", "sgd"],
    "falling": ["net", *X, "--optimizer", "falling"],
    "frozen": ["frozen", *X, "--optimizer", "sgd"],
    "words": ["words", "--input", "8x5:int32<7", "--optimizer", "SGD(0.05)"],
    "step": ["net", *PAIRS, "--optimizer", "sgd", "--train-step", "step"],
    "halves": ["net", *PAIRS, "--optimizer", "SGD(0.1)", "--train-step", "halves"],
    "whole": ["net", *PAIRS, "--optimizer", "SGD(0.1)", "--train-step", "whole"],
    "adversaries": ["Pair", "--input", "8x6", "--batches", "net.py:noise", "--train-step", "adversaries"],
    "own": ["net", *PAIRS, "--train-step", "own"],  # the file has a function called sgd, as the default is
}
FAULTS = {
    "a second bias": ("words", ("        self.read.bias_hh_l0.requires_grad_(False)\n", ""), ("update", "read.bias_hh_l0"),
                      "with read.bias_hh_l0 frozen it agrees (torch's LSTM and GRU have two biases where Keras has one)"),
    "trained": ("frozen", ("    model.wide.requires_grad_(False)\n", ""), ("update", "wide.weight"),
                "with wide.weight, wide.bias frozen it agrees, as in the reference"),
    "frozen": ("net", ("\nnet = Net\n", "\ndef net():\n    made = Net()\n    made.norm.requires_grad_(False)\n    return made\n"),
               ("gradient", "norm.bias"), "with norm.weight, norm.bias trained it agrees, as in the reference"),
    "not clipped": ("step", ("    nn.utils.clip_grad_norm_(model.parameters(), 0.1)\n", ""), ("update", "wide.weight"),
                    "with clipping by the norm of all gradients together at 0.1 it agrees"),
    "clipped elsewhere": ("step", ("(model.parameters(), 0.1)", "(model.parameters(), 0.2)"), ("update", "wide.weight"),
                          "with clipping by the norm of all gradients together at 0.1 it agrees"),
    "one half": ("halves", ("        losses[-1].backward()\n", "    losses[-1].backward()\n"), ("update", "wide.weight"),
                 "the loss agrees and the weight does not, no gradient was compared"),
    "half of the whole": ("whole", ("    for loss in losses:\n        loss.backward()\n", "    losses[0].backward()\n"),
                          ("gradient", "head.bias"), "the loss agrees and the gradient does not"),
    "rate of the judge": ("adversaries", ("lr=0.2", "lr=0.25"), ("update", "judge.weight"), "the gradient agrees"),
    "maker through the judge": ("adversaries", ("model.judge(fake)).mean()", "model.judge(fake.detach() + 0 * fake)).mean()"),
                                ("gradient", "maker.bias"), "the loss agrees and the gradient does not"),
    "epsilon": ("net", ("eps=1e-3", "eps=1e-5"), ("forward", "loss"), "with eps=0.001 it agrees (norm has 1e-05)"),
}  # fmt: skip


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    (folder / "net.py").write_text(REFERENCE, "utf-8")
    lines = []
    for key, job in JOBS.items():
        name, *options = (w.replace("net.py:", f"{folder}/net.py:") for w in job)
        lines.append([f"{folder}/net.py:{name}", "-o", folder / key, *options, *COMMON])
    told = capture_many(lines)
    assert [error for status, error in told if status] == []
    return folder


def trained(goldens, name, folder, code=TWIN, dtypes=("float32",)):
    port = folder / "net_torch.py"
    port.write_text(code, "utf-8")
    return replays(goldens / name, f"{port}:{JOBS[name][0]}", folder / "out", dtypes)


@pytest.mark.parametrize("name", [name for name in JOBS if name != "step"])
def test_a_right_port_agrees_in_both_precisions(goldens, tmp_path, name):
    for run, part in trained(goldens, name, tmp_path, dtypes=("float32", "float64")):
        assert run["error"] is None and part.ok, run["training"]["reason"]


def test_what_torch_adds_to_a_norm_is_told_in_float64(goldens, tmp_path):
    (_, single), (run, double) = trained(goldens, "step", tmp_path, dtypes=("float32", "float64"))
    assert single.ok and not double.ok
    assert "as TensorFlow clips it agrees: torch adds 1e-6 to the norm" in run["training"]["reason"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_placed_and_named(goldens, tmp_path, name):
    golden, (old, new), (place, parameter), said = FAULTS[name]
    assert old in TWIN
    ((run, part),) = trained(goldens, golden, tmp_path, TWIN.replace(old, new))
    training = run["training"]
    assert not part.ok and training["fault"]["step"] == 0, training["reason"]
    assert (training["fault"]["in"], training["fault"]["parameter"]) == (place, parameter), training["reason"]
    assert said in training["reason"], (training["reason"], training["causes"])
