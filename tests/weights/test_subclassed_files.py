"""`.weights.h5` of random subclassed models, by Keras 3 and by Keras 2, into the converted program: all equal or refused.

The two visit a model's attributes from opposite ends and count the layers in `layers/` in two ways, so that a file of
one read by the rule of the other would put layers of one shape into each other's places.
"""

import importlib
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tfport.cli import main
from tfport.weights import load_weights

PROGRAMS = 28
HEAD = """
import tensorflow as tf
from tensorflow.keras import layers


class Plain(layers.Layer):
    def __init__(self):
        super().__init__()
        self.zed = layers.Dense(4)
        self.alpha = layers.Dense(4)
        self.mid = layers.LayerNormalization()

    def call(self, x):
        return self.mid(self.alpha(self.zed(x)))


class Listed(layers.Layer):
    def __init__(self):
        super().__init__()
        self.steps = [layers.Dense(4), layers.Dense(4)]
        self.inner = Plain()

    def call(self, x):
        for step in self.steps:
            x = step(x)
        return self.inner(x)


class Inside(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.zed = layers.Dense(4)
        self.alpha = layers.Dense(4)
        self.mid = layers.Dense(4)
        self.box = Plain()

    def call(self, x):
        return self.box(self.mid(self.alpha(self.zed(x))))


class Down(layers.Layer):
    def __init__(self):
        super().__init__()
        self.wide = layers.Dense(4)
        self.short = tf.keras.Sequential()
        self.short.add(layers.Dense(4))
        self.short.add(layers.LayerNormalization())

    def call(self, x):
        return self.short(x) + self.wide(x)


def blocks(count):
    made = tf.keras.Sequential()
    made.add(Down())
    for _ in range(1, count):
        made.add(Plain())
    made.add(Down())
    return made


class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
"""
NAMES = ["a", "b", "hid", "kay", "mid", "out", "q", "zed", "layer1", "enc_1", "_priv", "Wide", "norm", "last"]
KINDS = ["layers.Dense(4)", "layers.LayerNormalization()", "layers.Dense(4)", "Plain()", "Listed()", "Inside()",
         "tf.keras.Sequential([layers.Dense(4), layers.LayerNormalization(), layers.Dense(4)])",
         "tf.keras.Sequential([Plain(), Listed(), Plain()])", "blocks(2)"]  # fmt: skip
WRITE = """
import importlib, sys
import numpy as np
folder, count = sys.argv[1], int(sys.argv[2])
sys.path.insert(0, folder)
for number in range(count):
    net = importlib.import_module(f"random_{number}").Net()
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("f4")
    net(x)
    source = np.random.default_rng(1)
    net.set_weights([source.normal(size=w.shape).astype("f4") / 2 for w in net.get_weights()])
    net.save_weights(f"{folder}/{sys.argv[3]}_{number}.weights.h5")
    np.savez(f"{folder}/{sys.argv[3]}_{number}.npz", x=x, y=np.asarray(net(x)))
"""


def program(number):
    """A model that holds layers, blocks, lists, models and Sequentials under some attributes, called in some order."""
    source = random.Random(number)
    made, called = [], []
    for name in source.sample(NAMES, source.randint(3, 7)):
        count = source.randint(1, 3) if source.random() < 0.25 else 0
        kinds = [source.choice(KINDS) for _ in range(count or 1)]
        made.append(f"        self.{name} = " + (f"[{', '.join(kinds)}]" if count else kinds[0]))
        each = f"        for one in self.{name}:\n            x = one(x)"
        called.append(each if count else f"        x = self.{name}(x)")
    source.shuffle(called)
    return HEAD + "\n".join([*made, "", "    def call(self, x):", *called, "        return x", ""])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("tf_keras", reason="Keras 2 writes half of the files")
    folder = tmp_path_factory.mktemp("subclassed")
    for number in range(PROGRAMS):
        (folder / f"random_{number}.py").write_text(program(number))
    assert CliRunner().invoke(main, ["convert", *map(str, folder.glob("*.py"))]).exit_code == 0
    for kind in ("keras3", "keras2"):
        env = os.environ | {
            "TF_USE_LEGACY_KERAS": str(int(kind == "keras2")),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
        }
        done = subprocess.run(
            [sys.executable, "-c", WRITE, str(folder), str(PROGRAMS), kind],
            env=env,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("number", range(PROGRAMS))
@pytest.mark.parametrize("kind", ["keras3", "keras2"])
def test_every_layer_is_where_its_attribute_is(written, kind, number, monkeypatch):
    monkeypatch.syspath_prepend(written)
    told = np.load(written / f"{kind}_{number}.npz")
    net = importlib.import_module(f"random_{number}_torch").Net()
    net(torch.from_numpy(told["x"]))
    report = load_weights(net, written / f"{kind}_{number}.weights.h5")
    assert not report.missing and not report.left_over
    with torch.no_grad():
        got = net(torch.from_numpy(told["x"])).numpy()
    assert np.abs(got - told["y"]).max() <= 2e-6 * max(1.0, np.abs(told["y"]).max())
