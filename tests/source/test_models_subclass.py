"""Subclassed Keras models as nn.Module classes: outputs and training mode against Keras, text, weights, and what stays."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from torch import nn  # noqa: E402

import tfport  # noqa: E402
from tfport import compat  # noqa: E402
from tfport.source.convert import convert_source  # noqa: E402

HERE = Path(__file__).parent
PROGRAM = HERE / "programs" / "subclassed_nets.py"


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def convert(text, folder, name="nets"):
    """The converted program as a module, with its record beside it."""
    made = convert_source(text)
    path = folder / f"{name}_torch.py"
    path.write_text(made.code)
    path.with_suffix(".tfport.json").write_text(json.dumps(made.record))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module, made


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    module, made = convert(PROGRAM.read_text(), tmp_path_factory.mktemp("nets"))
    return load(PROGRAM, "subclassed_nets"), module, made


def randomise(model):
    """Weights that tell axes apart."""
    source = np.random.default_rng(0)
    for weight in model.weights:
        value = weight.numpy()
        if value.dtype.kind == "f":
            positive = "variance" in weight.path
            made = source.normal(1 if positive else 0, 0.2, value.shape)
            weight.assign(np.abs(made) + 0.3 if positive else made)


def agree(reference, made, layout):
    """max|a-b| <= 1e-5 max|b|, the result in TensorFlow's layout."""
    if isinstance(reference, tuple | list):
        assert len(reference) == len(made)
        for pair in zip(reference, made, layout, strict=True):
            agree(pair[0], pair[1], [pair[2]])
        return
    made = made.detach().numpy()
    if layout[0] in ("NCHW", "NCDHW"):
        made = np.moveaxis(made, 1, -1)
    expected = np.asarray(reference)
    assert made.shape == expected.shape
    assert np.abs(made - expected).max() <= 1e-5 * np.abs(expected).max()


def without_chance(reference, model):
    for layer in reference._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def images(*shape):
    return np.random.default_rng(1).standard_normal(shape).astype("float32")


CASES = {
    "ResNet": images(2, 16, 12, 3), "UNet": images(2, 16, 16, 3), "Generator": images(3, 10),
    "Discriminator": images(2, 28, 28, 1), "MLP": images(4, 5, 5), "SeparableNet": images(2, 16, 16, 3),
    "TextCNN": np.random.default_rng(2).integers(0, 50, (2, 9)), "PreNorm": images(2, 8, 6, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_computes_what_keras_computes(both, tmp_path, name):
    theirs, ours, made = both
    keras.utils.set_random_seed(1)
    reference = getattr(theirs, name)()
    x = CASES[name]
    reference(x)
    randomise(reference)
    path = tmp_path / "m.weights.h5"
    reference.save_weights(path)
    model = getattr(ours, name)()
    assert isinstance(model, nn.Module) and not isinstance(model, compat.keras.layers.Layer)
    tfport.load_weights(model, path)  # before any call: lazy modules take their sizes from the weights
    entry = made.record["models"][name]
    given = torch.as_tensor(x)
    if entry["inputs"] == ["NCHW"]:
        given = given.permute(0, 3, 1, 2)
    with torch.no_grad():
        agree(reference(x), model.eval()(given), entry["outputs"])
        without_chance(reference, model)
        agree(reference(x, training=True), model.train()(given), entry["outputs"])


def decorated(text, name):
    """The program with ``@tf.function`` on one class' call."""
    before, after = text.split(f"class {name}(", 1)
    after = after.replace("    def call(", "    @tf.function\n    def call(", 1)
    return f"{before}class {name}({after}"


def test_a_call_that_is_a_tf_function_computes_what_keras_computes(tmp_path):
    text = decorated(PROGRAM.read_text(), "UNet")
    ours, made = convert(text, tmp_path, "decorated")
    assert "class UNet(nn.Module)" in made.code and "tf.function" not in made.code
    path = tmp_path / "decorated.py"
    path.write_text(text)
    keras.utils.set_random_seed(1)
    reference, x = load(path, "decorated").UNet(), CASES["UNet"]
    # Keras 3 builds a model by a run of call() that stands fresh initial values in for the variables. A tf.function
    # is traced by that run, and its graph, which holds no variable, answers later calls: build it eagerly instead.
    tf.config.run_functions_eagerly(True)
    reference(x)
    tf.config.run_functions_eagerly(False)
    randomise(reference)
    reference.save_weights(tmp_path / "m.weights.h5")
    model = ours.UNet()
    tfport.load_weights(model, tmp_path / "m.weights.h5")
    given = torch.as_tensor(x).permute(0, 3, 1, 2)
    with torch.no_grad():
        agree(reference(x), model.eval()(given), ["NCHW"])
        assert reference.call.experimental_get_tracing_count() == 1  # a graph, not Python, made the reference
        without_chance(reference, model)
        agree(reference(x, training=True), model.train()(given), ["NCHW"])


def test_training_moves_the_running_statistics_as_keras_does(both, tmp_path):
    theirs, ours, _ = both
    reference, x = theirs.ResNet(), CASES["ResNet"]
    reference(x)
    randomise(reference)
    reference.save_weights(tmp_path / "m.weights.h5")
    model = ours.ResNet()
    tfport.load_weights(model, tmp_path / "m.weights.h5")
    without_chance(reference, model)
    reference(x, training=True)
    model.train()(torch.as_tensor(x).permute(0, 3, 1, 2))
    expected = reference.block1.bn1.moving_variance.numpy()
    assert np.abs(model.block1.bn1.running_var.numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


def test_sizes_are_concrete_where_the_source_tells_them(both):
    _, _, made = both
    code = made.code
    assert 'self.conv2 = nn.Conv2d(filters, self.filters, 3, padding="same", bias=False)' in code
    assert 'self.stem = nn.LazyConv2d(8, 3, padding="same")' in code
    assert "compat.keras.lazy.LazySameConv2d(filters, 3, stride=stride, bias=False)  # first" in code
    assert "x = torch.cat([x, skip], dim=1)" not in code and "return torch.cat([x, skip], dim=1)" in code
    assert "def forward(self, inputs):\n        # main path" in code


def test_the_record_reads_a_flattened_image_by_its_channels(both):
    _, _, made = both
    kernels = {r["path"]: r["weights"].get("kernel") for r in made.record["models"]["ResNet"]["layers"]}
    assert kernels["fc"] == ["weight", "(s c) o -> o (c s)", {"c": 48}]
    kernels = {
        r["path"]: r["weights"].get("kernel") for r in made.record["models"]["Discriminator"]["layers"]
    }
    assert kernels["net.6"] == ["weight", "(h w c) o -> o (c h w)", {"h": 7, "w": 7, "c": 16}]


def test_arguments_whose_layout_changed_are_reported(both):
    _, _, made = both
    told = {(a["where"], a["argument"]) for a in made.record["arguments"]}
    assert {("ResNet.forward", "x"), ("Up.forward", "skip")} <= told
    assert not any(where.startswith(("MLP", "TextCNN", "Generator")) for where, _ in told)


def test_initial_values_are_keras(both):
    torch.manual_seed(0)
    model = both[1].UNet()
    model(torch.zeros(1, 3, 16, 16))
    std = model.down1.conv.weight.std().item()
    assert 0.018 < std < 0.022  # random_normal_initializer(0.0, 0.02)
    fans = 16 * 16  # Conv2DTranspose [4, 4, 16, 16]: he_normal counts the third axis
    assert abs(model.up1.up.weight.std().item() - (2 / fans) ** 0.5) < 0.006
    limit = (6 / (3 * 16 + 16 * 16)) ** 0.5
    assert limit * 0.9 < model.last.weight.abs().max().item() <= limit


HELD = """
import tensorflow as tf
class Block(tf.keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.conv = tf.keras.layers.Conv2D(4, 3)
    def call(self, x):
        return self.conv(x)
class Net(tf.keras.Model):
    def __init__(self, n=2):
        super().__init__()
        self.block = Block()
        self.convs = [tf.keras.layers.Conv2D(4, 3) for _ in range(n)]
        self.pool = tf.keras.layers.GlobalAveragePooling2D()
    def call(self, x, training=False):
        x = self.block(x)
        for conv in self.convs:
            x = tf.concat([conv(x), x[:, 1:-1, 1:-1]], axis=-1)
        return self.pool(x) + tf.reduce_mean(tf.reshape(x, (tf.shape(x)[0], -1, 12)), axis=1)
"""


def carried(text, folder, *shape):
    """Keras' Net, the converted one with its weights, an input, and the converted text."""
    ours, made = convert(text, folder, "held")
    path = folder / "held.py"
    path.write_text(text)
    reference, x = load(path, "held").Net(), images(*shape)
    reference(x)
    randomise(reference)
    reference.save_weights(folder / "m.weights.h5")
    model = ours.Net()
    model(torch.as_tensor(x))
    tfport.load_weights(model, folder / "m.weights.h5")
    return reference, model.eval(), x, made.code


def test_a_class_that_cannot_be_followed_stays_keras_with_all_that_it_holds(tmp_path):
    reference, model, x, code = carried(HELD, tmp_path, 2, 9, 8, 3)
    assert "class Net(compat.keras.Model):" in code and "class Block(compat.keras.layers.Layer):" in code
    agree(reference(x), model(torch.as_tensor(x)), [""])
    agree(reference(x), compat.keras.call(model, x), [""])


def test_an_eager_layer_takes_and_gives_tensorflows_layout_and_a_recorded_model_nchw():
    layer = compat.keras.layers.Conv2D(4, 3)
    x = torch.randn(2, 9, 8, 3)
    assert layer(x).shape == layer(x.numpy()).shape == (2, 7, 6, 4)
    symbol = compat.keras.Input((9, 8, 3))
    model = compat.keras.Model(symbol, layer(symbol))
    assert model(x.permute(0, 3, 1, 2)).shape == (2, 4, 7, 6)
    assert model(x.numpy()).shape == compat.keras.call(model, x).shape == (2, 7, 6, 4)
    assert model.predict(x.numpy()).shape == (2, 7, 6, 4)


@pytest.mark.parametrize("call", [
    "self.bn(x, training=False)", "self.conv(x) if x is None else self.other(x)", "[c(x) for c in self.convs][0]",
])  # fmt: skip
def test_leaves_these_alone(call):
    text = f"""
import tensorflow as tf
class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = tf.keras.layers.Conv2D(4, 3)
        self.bn = tf.keras.layers.BatchNormalization()
        self.convs = [tf.keras.layers.Conv2D(4, 3), tf.keras.layers.Conv2D(5, 3)]
    def call(self, x, training=False):
        x = self.conv(x)
        return {call}
"""
    assert "class Net(compat.keras.Model):" in convert_source(text).code


def test_a_layer_that_a_functional_model_uses_stays_a_keras_layer():
    text = HELD.split("class Net")[0] + "i = tf.keras.Input((8, 8, 3))\nm = tf.keras.Model(i, Block()(i))\n"
    assert "class Block(compat.keras.layers.Layer):" in convert_source(text).code


HELD_BY_FUNCTION = """
import tensorflow as tf
def down(filters):
    made = tf.keras.Sequential()
    made.add(tf.keras.layers.Conv2D(filters, 4, strides=2, padding="same", use_bias=False))
    made.add(tf.keras.layers.BatchNormalization())
    return made
def towers():
    return [down(3), down(4)]
class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.first = down(3)
        self.rest = towers()
        self.conv = tf.keras.layers.Conv2D(5, 2)
    def call(self, x, training=False):
        x = self.first(x, training=training)
        for layer in self.rest:
            x = layer(x, training=training)
        return self.conv(x)
"""


def test_a_class_that_holds_what_a_function_made_computes_what_keras_computes(tmp_path):
    """A Sequential takes NCHW, and the conversion cannot know that the attribute is one: the class stays Keras'."""
    reference, model, x, code = carried(HELD_BY_FUNCTION, tmp_path, 2, 16, 19, 3)
    assert "class Net(compat.keras.Model):" in code
    agree(reference(x), model(torch.as_tensor(x)), [""])


@pytest.mark.parametrize(
    "value, base",
    [
        ("tf.nn.relu", "nn.Module"), ("tf.keras.activations.get('relu')", "nn.Module"), ("lambda v: v * 2", "nn.Module"),
        ("given", "compat.keras.Model"), ("make()", "compat.keras.Model"), ("given[0]", "compat.keras.Model"),
    ],
)  # fmt: skip
def test_what_an_attribute_calls_is_a_function_or_the_class_stays_keras(value, base):
    text = f"""
import tensorflow as tf
class Net(tf.keras.Model):
    def __init__(self, given):
        super().__init__()
        self.conv = tf.keras.layers.Conv2D(4, 3)
        self.other = {value}
    def call(self, x):
        return self.other(self.conv(x))
"""
    assert f"class Net({base}):" in convert_source(text).code
