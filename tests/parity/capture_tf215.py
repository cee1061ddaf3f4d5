"""Goldens of TensorFlow 2.15.1 with Keras 2, made in an environment of its own: `make test-tf215`, not `make test`.

Every program is captured there and verified here against its twin in torch. `TFPORT_TF215` names that Python.
"""

import json
import os
import subprocess
import sys

import pytest

import tfport
from tests.parity.conftest import DRIVER, PROGRAMS, replayed
from tfport.parity import bundle
from tfport.parity.golden import read_golden

PYTHON = os.environ.get("TFPORT_TF215", "")

KERAS_1 = """
import tensorflow as tf

tf.compat.v1.disable_v2_behavior()
L = tf.keras.layers


def build():
    inner = tf.keras.Sequential([L.Dense(4, activation="relu", name="a"), L.Dense(4, name="b")], name="inner")
    x = tf.keras.Input((8, 8, 3), name="image")
    y = L.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv")(x)
    y = L.BatchNormalization(name="bn")(y)
    y = inner(L.GlobalAveragePooling2D(name="pool")(y))
    return tf.keras.Model(x, L.Dense(3, activation="softmax", name="head")(inner(y)))
"""

OPERATIONS = """
import tensorflow as tf


def build():
    h = image = tf.keras.Input((8, 8, 3))
    h = tf.pad(h, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT")
    h = tf.nn.leaky_relu(tf.keras.layers.Conv2D(4, 3, name="conv")(h), alpha=0.3)
    return tf.keras.Model(image, tf.reduce_mean(h, axis=[1, 2]) * 2.0)
"""

EAGER = {
    "cnn": ("cnn.py:build", ["--dtype", "float32,float64"]),
    "unet": ("unet.py:build", []),
    "generator": ("generator.py:build", []),
    "mixer": ("functions.py:Mixer", ["--input", "4x5:int32<11", "--input", "4x3"]),
    "traced": ("functions.py:Traced", ["--input", "4x3"]),
    "lstm": ("text_lstm.py:Text", ["--input", "3x7:int32<20"]),
    "gru": ("text_gru.py:Text", ["--input", "3x7:int32<20"]),
    "transformer": ("transformer.py:Transformer", ["--input", "3x6:int32<20"]),
    "affine": ("functions.py:Affine", ["--input", "4x3"]),
    "scaled": ("functions.py:scaled", ["--input", "4x3"]),
}


def capture_there(jobs):
    """Runs the main of the single file in TensorFlow 2.15's Python for each argument list: [(status, stderr)]."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    text = json.dumps([[str(word) for word in job] for job in jobs])
    with bundle.written() as script:
        command = [PYTHON, "-c", DRIVER, script]
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [tuple(pair) for pair in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Goldens of the eager programs, one process, and of the graph programs, another."""
    assert PYTHON, f"set TFPORT_TF215 to a Python with TensorFlow 2.15.1, not {sys.executable}"
    folder = tmp_path_factory.mktemp("tf215")
    (folder / "keras_1.py").write_text(KERAS_1)
    eager = [[PROGRAMS / t, *words, "-o", folder / name] for name, (t, words) in EAGER.items()]
    nets = PROGRAMS / "graph_nets.py"
    graphs = [
        [f"{folder / 'keras_1.py'}:build", "--tensor", "conv/Relu", "-o", folder / "keras 1"],
        [f"{nets}:net", "--input", "2x7x8x3", "--tensor", "block", "-o", folder / "net"],
        [f"{nets}:trained", "--input", "4x3", "--tensor", "dense", "-o", folder / "trained"],
    ]
    for jobs in (eager, graphs):
        told = capture_there(jobs)
        assert [status for status, _ in told] == [0] * len(jobs), told
    return folder


def test_the_environment_is_the_one_meant(root):
    versions = read_golden(root / "cnn").manifest["versions"]
    assert versions["tensorflow"] == "2.15.1" and versions["keras"].startswith("2.15")


@pytest.mark.parametrize("name", EAGER)
def test_goldens_of_keras_2_agree_with_their_twins(root, name, tmp_path):
    golden = read_golden(root / name)
    file, _, target = EAGER[name][0].partition(":")
    twin = f"{PROGRAMS / file.replace('.py', '_torch.py')}:{target}"
    dtypes = [run["dtype"] for run in golden.runs]
    parts = replayed(golden.folder, twin, tmp_path / "out", dtypes)
    assert [part.ok for part in parts] == [True] * len(dtypes), parts


@pytest.mark.parametrize("name", [*EAGER, "keras 1", "net", "trained"])
def test_every_floating_tensor_is_calibrated(root, name):
    golden = read_golden(root / name)
    entry = golden.run("float32")
    floating = {n for n, v in golden.tensors(entry).items() if v.array.dtype.kind == "f"}
    assert floating <= set(entry["wander"]) and len(floating) > 1 and entry["notes"] == []


def test_layers_are_recorded_eagerly_and_in_graphs(root):
    entry = read_golden(root / "transformer").run("float32")
    assert len(entry["layers"]) > 20 and entry["layers_left_out"] == 0
    entry = read_golden(root / "keras 1").run("float32")
    calls = [(layer["name"], layer["call"]) for layer in entry["layers"]]
    assert ("inner/a", 0) in calls and ("inner/a", 1) in calls and ("conv/Relu", 0) in calls
    head = next(layer for layer in entry["layers"] if layer["name"] == "head")
    assert head["inputs"] == ["layers/inner#1"] and head["before_activation"] == "layers/head:before"
    assert entry["weights"]["file"].endswith(".h5")


def test_functions_of_tensorflow_between_layers_keep_what_they_do(tmp_path):
    """Keras 2 makes layers of them that hold a `call` of their own, which is watched more than once."""
    (tmp_path / "ops.py").write_text(OPERATIONS)
    (tmp_path / "ops_torch.py").write_text(tfport.convert_source(OPERATIONS).code)
    assert capture_there([[f"{tmp_path}/ops.py:build", "--input", "2x8x8x3", "-o", tmp_path / "g"]]) == [
        (0, "")
    ]
    (part,) = replayed(tmp_path / "g", f"{tmp_path}/ops_torch.py:build", tmp_path / "out", ["float32"])
    assert part.ok and len(part.layers) == 5 and not part.comparison.reason, part
