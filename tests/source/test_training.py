"""GradientTape loops: which become backward and step, that they compute the same, and which keep the tape."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import tfport

HEAD = """import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

def build():
    inputs = keras.Input((4,))
    outputs = layers.Dense(2)(layers.Dense(5, activation="tanh")(inputs))
    return keras.Model(inputs, outputs)

"""


def code_of(body: str) -> str:
    made = tfport.convert_source(HEAD + body)
    assert tfport.convert_source(made.code).code == made.code
    return made.code


def run(code: str) -> SimpleNamespace:
    names: dict[str, Any] = {"__name__": "converted"}
    exec(compile(code, "converted.py", "exec"), names)
    return SimpleNamespace(**names)


def losses_of(code: str) -> list[float]:
    """What ``train(x, y)`` of a program returns, from weights that are the same for every program."""
    torch.manual_seed(1)
    program = run(code)
    source = np.random.default_rng(0)
    x, y = source.normal(size=(6, 4)).astype("float32"), source.normal(size=(6, 2)).astype("float32")
    losses = program.train(x, torch.from_numpy(y))
    return [float(torch.as_tensor(v).detach()) for v in losses]


def kept(body: str) -> str:
    """The program with its tape as it stands: a second look at the tape's gradients prevents the rewriting."""
    needle = "tape.gradient(" if "tape.gradient(" in body else "opt.minimize("
    line = next(part for part in body.splitlines() if needle in part)
    indent = line[: len(line) - len(line.lstrip())]
    return body.replace(line, f"{indent}assert tape is not None\n{line}", 1)


STEP = """
    for _ in range(5):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        grads = tape.gradient(loss, model.trainable_variables)
        opt.apply_gradients(zip(grads, model.trainable_variables))
        losses.append(float(loss))
    return losses
"""
START = """def train(x, y):
    model = build()
    opt = keras.optimizers.Adam(0.1)
    loss_fn = keras.losses.MeanSquaredError()
    losses = []
"""
FORMS = {
    "plain": START + STEP,
    "optimiser first": START.replace("    model = build()\n", "").replace("    losses", "    model = build()\n    losses") + STEP,
    "optimiser made elsewhere": "def make():\n    return keras.optimizers.RMSprop(0.01)\n\n"
    + START.replace("keras.optimizers.Adam(0.1)", "make()") + STEP,
    "momentum": START.replace("Adam(0.1)", "SGD(0.1, momentum=0.9)") + STEP,
    "plain SGD": START.replace("Adam(0.1)", "SGD(learning_rate=0.1)") + STEP,
    "clipping by the optimiser": START.replace("Adam(0.1)", "Adam(0.1, clipnorm=0.1)") + STEP,
    "nested": START + STEP.replace("        grads = tape.gradient(loss, model.trainable_variables)\n", "").replace(
        "zip(grads,", "zip(tape.gradient(loss, model.trainable_variables),"),
    "minimize": START + STEP.replace("        grads = tape.gradient(loss, model.trainable_variables)\n", "").replace(
        "opt.apply_gradients(zip(grads, model.trainable_variables))",
        "opt.minimize(loss, model.trainable_variables, tape=tape)"),
    "variables by name": START + STEP.replace("tape.gradient(loss, model.trainable_variables)", "tape.gradient(loss, variables)")
    .replace("zip(grads, model.trainable_variables)", "zip(grads, variables)")
    .replace("        grads =", "        variables = model.trainable_variables\n        grads ="),
    "gradient inside the with": START + STEP.replace("        grads =", "            grads ="),
    "vector loss": START.replace("keras.losses.MeanSquaredError()", "keras.losses.mean_squared_error")
    + STEP.replace("float(loss)", "tf.reduce_sum(loss)"),
    "step in a function": """
def step(net, optimizer, x, y):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(net(x, training=True) - y))
    grads = tape.gradient(loss, net.trainable_weights)
    optimizer.apply_gradients(zip(grads, net.trainable_weights))
    return loss

def train(x, y):
    model = build()
    opt = keras.optimizers.Adam(0.05)
    return [step(model, opt, x, y) for _ in range(5)]
""",
    "a class": """
class Trainer:
    def __init__(self):
        self.net = build()
        self.opt = keras.optimizers.Adagrad(0.1)

    @tf.function
    def step(self, x, y):
        with tf.GradientTape() as tape:  # everything is recorded
            loss = tf.reduce_sum((self.net(x) - y) ** 2) * 0.5
        grads = tape.gradient(loss, self.net.trainable_variables)
        self.opt.apply_gradients(zip(grads, self.net.trainable_variables))
        return loss

def train(x, y):
    trainer = Trainer()
    return [trainer.step(x, y) for _ in range(4)]
""",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_plain_forms_become_backward_and_step_and_compute_the_same(form):
    code, with_tape = code_of(FORMS[form]), code_of(kept(FORMS[form]))
    assert "backward()" in code and "step()" in code and "zero_grad()" in code and "GradientTape" not in code
    assert "compat.GradientTape" in with_tape and "backward" not in with_tape
    ours = losses_of(code)
    assert ours[-1] < ours[0]
    np.testing.assert_allclose(ours, losses_of(with_tape), rtol=2e-6)


def test_the_optimiser_gets_its_parameters_where_it_is_made():
    assert "opt = compat.keras.optimizers.Adam(0.1, params=model.parameters())\n" in code_of(FORMS["plain"])
    assert "opt = torch.optim.SGD(model.parameters(), lr=0.1)\n" in code_of(FORMS["plain SGD"])
    assert "    model = build()\n    opt.build(model.parameters())\n" in code_of(FORMS["optimiser first"])
    assert "    opt = make()\n    opt.build(model.parameters())\n" in code_of(
        FORMS["optimiser made elsewhere"]
    )
    assert "Adagrad(0.1, params=self.net.parameters())" in code_of(FORMS["a class"])


def test_the_step_reads_like_torch():
    code = code_of(FORMS["a class"])
    step = code[code.index("    def step") : code.index("def train")].rstrip()
    assert step.split("\n") == [
        "    def step(self, x, y):",
        "        # everything is recorded",
        "        self.net.eval()",
        "        loss = torch.sum((self.net(torch.as_tensor(x, dtype=torch.float32)) - y) ** 2) * 0.5",
        "        self.opt.zero_grad()",
        "        loss.backward()",
        "        self.opt.step()",
        "        return loss.detach()",
    ]
    assert "loss.sum().backward()" in code_of(FORMS["vector loss"])
    assert "losses.append(loss.item())" in code_of(FORMS["plain"])


def changed(old: str, new: str, form: str = "plain") -> str:
    body = FORMS[form]
    assert old in body
    return body.replace(old, new)


GRADIENT = "        grads = tape.gradient(loss, model.trainable_variables)\n"
LOSS = "            loss = loss_fn(y, model(x, training=True))\n"
TAPE = "with tf.GradientTape() as tape:"
FROM_BEFORE = {
    "a value from before": changed("    for _ in range(5):\n", "    old = model(x)\n    for _ in range(5):\n").replace(
        "loss_fn(y, model", "loss_fn(old, model"),
    "a value carried on": changed("    for _ in range(5):\n", "    state = 0.0\n    for _ in range(5):\n").replace(
        LOSS, "            state = state + model(x, training=True)\n            loss = loss_fn(y, state)\n"),
    "a loss that adds up": changed("    for _ in range(5):\n", "    loss = 0.0\n    for _ in range(5):\n").replace(
        LOSS, "            loss += loss_fn(y, model(x, training=True))\n"),
    "a target from a function": changed("    for _ in range(5):\n", "    for _ in range(5):\n        goal = target(model, x)\n")
    .replace("loss_fn(y, model", "loss_fn(goal, model") + "\ndef target(net, x):\n    return net(x) * 0.5\n",
}  # fmt: skip
KEPT = {
    "persistent": changed(TAPE, "with tf.GradientTape(persistent=True) as tape:"),
    "watch": changed(LOSS, "            tape.watch(tf.constant(x))\n" + LOSS),
    "clipped": changed(GRADIENT, GRADIENT + "        grads = [tf.clip_by_norm(g, 1.0) for g in grads]\n"),
    "clipped together": changed(GRADIENT, GRADIENT + "        grads, _ = tf.clip_by_global_norm(grads, 0.1)\n"),
    "gradients are read": changed("        losses", "        print(len(grads))\n        losses"),
    "other variables": changed("zip(grads, model.trainable_variables)", "zip(grads, model.trainable_variables[:])"),
    "some variables": changed("model.trainable_variables", "model.trainable_variables[:2]"),
    "a penalty of gradients": changed("    for _ in range(5):\n", "    x = tf.constant(x)\n    for _ in range(5):\n").replace(
        LOSS, LOSS + "            loss = loss + penalty(model, x)\n")
    + "\ndef penalty(net, x):\n    with tf.GradientTape() as inner:\n        inner.watch(x)\n        out = net(x)\n"
    "    return tf.reduce_sum(inner.gradient(out, x) ** 2)\n",
    "two steps interleaved": """
def train(x, y):
    model, other = build(), build()
    opt, second = keras.optimizers.Adam(0.1), keras.optimizers.Adam(0.1)
    losses = []
    for _ in range(3):
        with tf.GradientTape() as tape, tf.GradientTape() as tape2:
            out = model(x)
            one = tf.reduce_mean(tf.square(out - y))
            two = tf.reduce_mean(tf.square(other(x) - out))
        grads = tape.gradient(one, model.trainable_variables)
        grads2 = tape2.gradient(two, other.trainable_variables)
        opt.apply_gradients(zip(grads, model.trainable_variables))
        second.apply_gradients(zip(grads2, other.trainable_variables))
        losses.append(one + two)
    return losses
""",
    "a second optimiser for part": changed("        losses", "        opt.apply_gradients([(tf.zeros_like(v), v) for v in "
                                           "model.trainable_variables])\n        losses"),
}  # fmt: skip


@pytest.mark.parametrize("form", KEPT)
def test_anything_else_keeps_the_tape_and_runs(form):
    code = code_of(KEPT[form])
    assert "compat.GradientTape(" in code and "backward()" not in code
    losses = losses_of(code)
    assert len(losses) >= 3 and np.isfinite(losses).all()


@pytest.mark.parametrize(("form", "line"), [
    ("a value from before", "loss = loss_fn(old.detach(), model("),
    ("a value carried on", "        state = compat.detached(state)\n        model.train()\n"),
    ("a loss that adds up", "        loss = compat.detached(loss)\n        model.train()\n"),
    ("a target from a function", "loss = loss_fn(compat.detached(goal), model("),
])  # fmt: skip
def test_values_from_before_the_tape_are_constants(form, line):
    code = code_of(FROM_BEFORE[form])
    assert line in code and "loss.backward()" in code and "+=" not in code
    cut, with_tape = losses_of(code), losses_of(code_of(kept(FROM_BEFORE[form])))
    assert len(cut) == 5
    np.testing.assert_allclose(cut, with_tape, rtol=2e-6)


def test_a_state_that_an_inner_loop_changes_is_cut_on_entry_only():
    body = """
def train(x, y):
    model = build()
    opt = keras.optimizers.SGD(0.05)
    state = tf.zeros([6, 2])
    losses = []
    for _ in range(4):
        with tf.GradientTape() as tape:
            for _ in range(3):
                state = model(tf.concat([state, state * 0.5], axis=1))
            loss = tf.reduce_mean(tf.square(state - y))
        grads = tape.gradient(loss, model.trainable_variables)
        opt.apply_gradients(zip(grads, model.trainable_variables))
        losses.append(loss)
    return losses
"""
    code = code_of(body)
    assert code.count("detach") == 2 and "state = state.detach()" in code
    program = run(code)
    torch.manual_seed(1)
    model = program.build().eval()
    state = torch.zeros(6, 2)
    y = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 6))[:, 4:].astype("float32"))
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.05), []
    for _ in range(4):
        state = state.detach()
        for _ in range(3):
            state = model(torch.cat([state, state * 0.5], 1))
        loss = (state - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    torch.manual_seed(1)
    np.testing.assert_allclose([float(v) for v in program.train(None, y)], losses, rtol=1e-6)


def test_two_steps_one_after_the_other():
    body = """
def train(x, y):
    model, other = build(), build()
    opt, second = keras.optimizers.Adam(0.05), keras.optimizers.Adam(0.05)
    losses = []
    for _ in range(4):
        with tf.GradientTape() as tape:
            one = tf.reduce_mean(tf.square(model(x) - y))
        grads = tape.gradient(one, model.trainable_variables)
        opt.apply_gradients(zip(grads, model.trainable_variables))
        with tf.GradientTape() as tape:
            two = tf.reduce_mean(tf.square(model(x) - other(x)))
        grads = tape.gradient(two, other.trainable_variables)
        second.apply_gradients(zip(grads, other.trainable_variables))
        losses.append(one + two)
    return losses
"""
    code = code_of(body)
    assert code.count("backward()") == 2 and "tape" not in code
    with_tape = code_of(body.replace("        grads =", "        assert tape is not None\n        grads ="))
    assert with_tape.count("compat.GradientTape") == 2
    np.testing.assert_allclose(losses_of(code), losses_of(with_tape), rtol=2e-6)


def test_layers_whose_sizes_come_later_train_too():
    body = """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(5, activation="tanh")
        self.out = layers.Dense(2)

    def call(self, x, training=False):
        return self.out(self.hidden(x))

""" + FORMS["plain"].replace("build()", "Net()")
    losses = losses_of(code_of(body))
    assert losses[-1] < losses[0]
