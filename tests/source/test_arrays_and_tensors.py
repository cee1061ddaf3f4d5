"""Tests NumPy arrays beside tensors, NumPy functions of tensors, large ints and attributes of dtypes: programs print
the same in TensorFlow as converted, in torch."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys

import pytest

import tfport

START = """import numpy as np
import tensorflow as tf
xs = np.array([1.0, 2.0, 3.0])
ys = xs * 2 + 1
t = tf.constant([1.0, 2.0, 4.0])
i = tf.constant([1, 2, 3])
h = tf.constant([1.0, 2.0, 3.0], tf.float64)
W = tf.Variable(0.5)
b = tf.Variable([0.1, 0.2, 0.3])
def show(*values):
    for value in values:
        a = value.numpy() if hasattr(value, "numpy") else np.asarray(value)
        print(a.dtype, a.shape, np.round(a.astype("float64"), 4).tolist())
"""
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "<", ">=", "==", "!="]
TRAINING = """
def model(x):
    return W * x + b
def loss(y, p):
    return tf.reduce_mean(tf.square(y - p))
def step(x, y):
    with tf.GradientTape() as tape:
        l = loss(y, model(x))
    gradients = tape.gradient(l, [W, b])
    for g, v in zip(gradients, [W, b]):
        v.assign_sub(0.01 * g)
    return l
for _ in range(3):
    show(step(xs, ys))
show(W, b, model(xs), loss(ys, model(xs)))
"""
PROGRAMS = {
    **{f"array {o}": f"show(t {o} xs, xs {o} t, h {o} xs, i {o} xs, xs {o} i, t {o} xs.astype('int64'))" for o in OPERATORS},
    **{f"variable {o}": f"show(W {o} xs, xs {o} W, b {o} xs)" for o in OPERATORS},
    "training": TRAINING,
    "a default that a constant names": "CHANNELS, LOW = 256, 0\nSTEPS = 8\nSIDE = -2.0\n"
    "def mu_law(x, channels=STEPS, side=SIDE):\n    mu = tf.cast(channels - 1, tf.float32)\n"
    "    return tf.math.log1p(mu * tf.abs(x)) / tf.math.log1p(mu) + tf.cast(side, tf.float32)\n"
    "show(mu_law(t), mu_law(t, 16, 1))\n",
    "lambda": "f = lambda x: W * x + b\nshow(f(xs), f(x=xs), f(2.0))",
    "keyword": "def f(p, *, y):\n    return tf.reduce_sum(p - y)\nshow(f(t, y=ys), f(t, y=t))",
    "through two functions": "def f(x):\n    return x * t\ndef g(z):\n    return f(z) + 1.0\nshow(g(xs), g(t))",
    "object": (
        "class M:\n    def __init__(self):\n        self.w = tf.Variable([1.0, 2.0, 3.0])\n"
        "    def __call__(self, x):\n        return self.w * x\nm = M()\nshow(m(xs), m(t))"
    ),
    "rebound": "z = xs\nz = z * 2\nshow(t * z, z - t * t)",
    "item": "rows = np.arange(6.0).reshape(2, 3)\nshow(t * rows[0], rows[1] - t, t + rows)",
    "backwards": "show(t * xs[::-1], xs[::-1] - t)",
    "numpy()": "show(h * t.numpy(), t * h.numpy())",
    "returned": "def data():\n    x = np.linspace(0.0, 1.0, 3)\n    return x, 2 * x\ndef one():\n    return xs + 1\nx, y = data()\nshow(t * x - y, W * y, W - one(), tf.square(x) * h)",
    "loops": (
        "for k, (x, y) in enumerate(zip(xs.reshape(3, 1), ys.reshape(3, 1))):\n    show(t * x - y, k * W)\n"
        "for row in np.arange(6.0).reshape(2, 3):\n    show(t - row, tf.reduce_sum(row) * h)"
    ),
    "batches": "def f(x, y):\n    return tf.reduce_mean((x - t) ** 2) * np.float64(2.0) + tf.reduce_sum(y * t)\nfor s in range(0, 6, 3):\n    rows = np.arange(6.0)[s:s + 3]\n    show(f(rows, rows))",
    "matmul": "show(tf.eye(3) @ np.eye(3), np.ones((2, 3)) @ tf.eye(3))",
    "bool": "show(t * (xs > 1.5), t - np.array([True, False, True]))",
    "scalars": "show(t * np.sqrt(2.0), np.sqrt(2.0) * t, t / np.float64(3.0), i * np.float64(1.5), np.float64(2.5) * i)",
    "only arrays": "def f(a, c):\n    return a * c\nshow(f(xs, ys), f(xs, 2.0), xs * ys)",
    "reductions": "show(np.mean(t), np.sum(t, axis=0), np.max(t), np.argmax(t), np.min(i), np.std(h), np.prod(i))",
    "of variables": "show(np.mean(W), np.sum(b), np.array(b), np.asarray(b) + 1)",
    "of expressions": "show(np.mean(t * 2 - 1), np.sum(tf.square(t)), np.sqrt(t), np.exp(-t))",
    "lists of tensors": "show(np.concatenate([t, xs]), np.stack([t, t * 2]), np.allclose(t, xs), np.array([t[0], t[1]]))",
    "array is a copy": "a = np.array(b)\nb.assign_add([1.0, 1.0, 1.0])\nshow(a, b)\nc = np.asarray(b)\nb.assign_add([1.0, 1.0, 1.0])\nshow(c)",
    "inside tf": "show(tf.constant(np.mean(t)), tf.reduce_sum(np.square(t)))",
    "large ints": "show(tf.constant(2**40), tf.constant([1, 2**40]), tf.constant(-2**31), tf.constant(-2**31 - 1), tf.constant([[1], [2**31]]))",
    "large ints converted": "n = 2**31\nshow(tf.convert_to_tensor(n), tf.constant([0.5, 2**40]), tf.Variable(2**40), tf.constant(2**31 - 1))",
    "dtype names": "print(t.dtype.name, i.dtype.name, tf.float32.name, h.dtype.name, f'{t.dtype.name}', (t > 1).dtype.name)",
    "dtype kinds": "print(t.dtype.is_floating, i.dtype.is_floating, tf.int32.is_integer, t.dtype.is_integer, (t > 1).dtype.is_bool, t.dtype.is_complex)",
    "dtype sizes": "print(t.dtype.size, tf.float64.size, tf.int32.max, tf.int64.min, tf.uint8.max, t.dtype.as_numpy_dtype, t.dtype.base_dtype == tf.float32)",
    "dtype equality": (
        "print(t.dtype == tf.float32, t.dtype == np.float32, t.dtype == 'float32', np.float64 != h.dtype, xs.dtype == np.float64,"
        " t.dtype in (np.float32, np.float64), i.dtype in ['int64'], xs.dtype.name)"
    ),
}  # fmt: skip
RUNNER = """
import contextlib, io, json, sys
programs = json.load(sys.stdin)
printed = {}
for name, text in programs.items():
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, name, "exec"), {"__name__": "program"})
    printed[name] = out.getvalue()
json.dump(printed, sys.stdout)
"""


@pytest.fixture(scope="module")
def printed_by_tensorflow() -> dict[str, str]:
    """What every program prints in TensorFlow, in one process."""
    pytest.importorskip("tensorflow")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    texts = json.dumps({name: START + body for name, body in PROGRAMS.items()})
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], input=texts, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_prints_the_same(name: str, printed_by_tensorflow: dict[str, str]) -> None:
    result = tfport.convert_source(START + PROGRAMS[name])
    assert not result.marks, result.code
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(result.code, name, "exec"), {"__name__": "program"})
    assert out.getvalue() == printed_by_tensorflow[name], result.code[-1500:]


def test_known_array_is_readable() -> None:
    code = tfport.convert_source(START + "show(t * xs, W * xs, 1.0 * t, xs * 2)\n").code
    assert (
        "show(t * torch.as_tensor(xs, dtype=torch.float32), W * torch.as_tensor(xs, dtype=torch.float32), 1.0 * t, xs * 2)"
        in code
    )


def test_parameters_that_only_see_tensors_keep_their_operators() -> None:
    code = tfport.convert_source(
        START + "def f(a, c):\n    return tf.square(a - c) * W\nf(t, h)\nf(t, 1.0)\n"
    ).code
    assert "return torch.square(a - c) * W" in code


def test_dropout_by_rate_needs_no_version() -> None:
    source = "import tensorflow as tf\n\n\ndef f(x):\n    return tf.nn.dropout(x, {})\n"
    result = tfport.convert_source(source.format("rate=0.1"))
    assert not result.marks and "F.dropout(x, 0.1)" in result.code
    assert [m.code for m in tfport.convert_source(source.format("0.1")).marks] == ["TFP103"]
