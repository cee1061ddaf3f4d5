"""Calls and attributes of models in converted programs: layouts, modes, marks, and the calls made at run time."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import tfport
from tfport import compat

HEAD = """import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

"""
IMAGES = """
def build():
    inputs = keras.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs))
    outputs = layers.Conv2D(2, 1)(x)
    return keras.Model(inputs, outputs)


"""
VECTORS = """
def build():
    inputs = keras.Input((4,))
    outputs = layers.Dense(2)(layers.Dropout(0.5)(inputs))
    return keras.Model(inputs, outputs)


"""


def code_of(body: str) -> str:
    made = tfport.convert_source(HEAD + body)
    assert tfport.convert_source(made.code).code == made.code
    return made.code


def run(body: str) -> SimpleNamespace:
    names: dict = {"__name__": "converted"}
    exec(compile(code_of(body), "converted.py", "exec"), names)
    return SimpleNamespace(**names)


def marks(body: str) -> list[tuple[str, str]]:
    return [(m.code, m.api) for m in tfport.convert_source(HEAD + body).marks]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("y = model(x)", ["model.eval()", "y = model(compat.nchw(x)).permute(0, 2, 3, 1)"]),
        ("y = model(x, training=True)", ["model.train()", "y = model(compat.nchw(x)).permute(0, 2, 3, 1)"]),
        ("y = model(x, True)", ["model.train()", "y = model(compat.nchw(x)).permute(0, 2, 3, 1)"]),
        ("y = model(inputs=x, training=None)", ["model.eval()", "y = model(compat.nchw(x)).permute(0, 2, 3, 1)"]),
        ("y = model(x, training=flag)", ["model.train(bool(flag))", "y = model(compat.nchw(x)).permute(0, 2, 3, 1)"]),
        ("y = [model(i) for i in x]", ["y = [model.eval()(compat.nchw(i)).permute(0, 2, 3, 1) for i in x]"]),
        ("if flag: y = model(x)", ["if flag: y = model.eval()(compat.nchw(x)).permute(0, 2, 3, 1)"]),
        ("y = flag and model(x)", ["y = flag and model.eval()(compat.nchw(x)).permute(0, 2, 3, 1)"]),
        ("y = tf.nn.relu(x); y = model(y)", ["y = torch.relu(x); y = model.eval()(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)"]),
        ("y = model(*x)", ["y = compat.keras.call(model, *x)"]),
    ],
)  # fmt: skip
def test_a_call_sets_the_mode_and_moves_the_channels(call, expected):
    body = IMAGES + f"model = build()\ndef use(x, flag):\n    {call}\n    return y\n"
    assert code_of(body).splitlines()[-len(expected) - 1 : -1] == [f"    {line}" for line in expected]


def test_two_modes_in_one_statement():
    program = run(
        VECTORS + "model = build()\ndef both(x):\n    return model(x), model(x, training=True), model(x)\n"
    )
    x = np.ones((50, 4), "float32")
    first, dropped, last = program.both(x)
    assert torch.equal(first, last) and not torch.equal(first, dropped)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize("kind", ["array", "tensor", "list"])
def test_images_of_any_kind_come_and_go_channels_last(dtype, kind):
    program = run(IMAGES + "model = build()\ndef use(x):\n    return model(x)\n")
    x = np.random.default_rng(0).integers(0, 9, (2, 6, 6, 3)).astype(dtype)
    given = {"array": x, "tensor": torch.from_numpy(x), "list": x.tolist()}[kind]
    plain = program.model.eval()(torch.from_numpy(x).float().permute(0, 3, 1, 2))
    made = program.use(given)
    assert made.shape == (2, 4, 4, 2) and made.dtype == torch.float32
    assert torch.equal(made, plain.permute(0, 2, 3, 1))
    assert torch.equal(compat.keras.call(program.model, given), made)


def test_models_are_followed_through_the_file():
    body = (
        VECTORS
        + """
def train(x, model=None):
    model = model or build()
    return model(x)

class Trainer:
    def __init__(self):
        self.net = build()
    def __call__(self, x):
        return self.net(x)

def passed(net, x):
    return net(x, training=True)

def both(x):
    return passed(build(), x), passed(build(), x)
"""
    )
    code = code_of(body)
    for line in (
        "return model(torch",
        "self.net.eval()",
        "return self.net(torch",
        "    net.train()",
        "return net(torch",
    ):
        assert line in code
    assert "keras.call" not in code


def test_a_name_with_two_models_is_called_at_run_time():
    code = code_of(VECTORS + "net = build()\nother = keras.Sequential([keras.Input((4,)), layers.Dense(2)])\n"
                   "def use(x, flag):\n    m = net if flag else other\n    return m(x, training=False)\n")  # fmt: skip
    assert "return compat.keras.call(m, x, training=False)" in code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.trainable_variables", "list(model.parameters())"),
        ("model.trainable_weights", "list(model.parameters())"),
        ("len(model.weights)", "len([*model.parameters(), *model.buffers()])"),
        ("model.summary()", "print(model)"),
        ("model.load_weights('w.h5')", "tfport.load_weights(model, 'w.h5')"),
        ("model.save_weights('w.pt')", "torch.save(model.state_dict(), 'w.pt')"),
    ],
)
def test_attributes_of_a_class(text, expected):
    assert code_of(IMAGES + f"model = build()\nprint({text})\n").endswith(f"print({expected})\n")


def test_counts_and_frozen_parameters():
    program = run(IMAGES + "model = build()\ncount = model.count_params()\nmodel.trainable = False\n"
                  "trained = model.trainable_variables\nmodel.trainable = True\nagain = model.trainable_variables\n"
                  "def use(x):\n    return model(x, training=True)\n")  # fmt: skip
    assert program.count == (27 * 4 + 4) + 16 + (4 * 2 + 2)
    assert program.trained == [] and len(program.again) == 6
    frozen = program.model
    compat.keras.set_trainable(frozen, False)
    before = {k: v.clone() for k, v in frozen.state_dict().items()}
    program.use(np.ones((2, 6, 6, 3)))
    assert all(torch.equal(before[k], v) for k, v in frozen.state_dict().items())
    with pytest.raises(NotImplementedError, match="BatchNorm"):
        compat.keras.set_trainable(nn.Sequential(nn.BatchNorm2d(3)), False)


@pytest.mark.parametrize("text", ["fit(1, 2)", "compile('adam')", "predict(1)", "evaluate(1)", "get_layer('a')", "layers", "get_weights()"])  # fmt: skip
def test_what_a_module_cannot_do_is_marked_and_fails(text):
    body = IMAGES + f"model = build()\ndef use():\n    return model.{text}\n"
    assert marks(body) == [("TFP107", f"tf.keras.Model.{text.partition('(')[0]}")]
    with pytest.raises((AttributeError, TypeError)):
        run(body).use()


RECORDED = """import tensorflow as tf
from tensorflow.keras import layers


def build(depth):
    x = given = layers.Input((4,))
    for n in range(depth):
        x = layers.Dense(n + 2)(x)
    return tf.keras.Model(given, x)


class Own(tf.keras.Model):
    def call(self, x):
        return self.get_layer("a")(x) if x.shape[0] else x


"""


@pytest.mark.parametrize("made", ["build(2)", "Own()"])
@pytest.mark.parametrize(
    "text",
    [
        "compile('adam')",
        "fit(1, 2)",
        "train_on_batch(1, 2)",
        "evaluate(1)",
        "save('x.keras')",
        "set_weights([])",
    ],
)
def test_what_a_recorded_model_cannot_do_is_marked_and_fails(made, text):
    body = RECORDED + f"def use():\n    model = {made}\n    return model.{text}\n"
    assert marks(body) == [("TFP107", f"tf.keras.Model.{text.partition('(')[0]}")]
    with pytest.raises((AttributeError, NotImplementedError)):
        run(body).use()


def test_what_an_own_class_defines_is_its_own():
    own = RECORDED + "class More(Own):\n    def fit(self, x):\n        return x\nprint(More().fit(3))\n"
    assert marks(own) == []


@pytest.mark.parametrize(
    "body",
    [
        "def use(block, x):\n    return block(x)\n",
        "def use(x):\n    inputs = keras.Input((3,))\n    return backbone(inputs, training=False)\n",
        "def block(x, training):\n    return x\ndef use(x):\n    return block(x, training=True)\n",
        "def use(thing):\n    return thing.fit(1), thing.layers\n",
        "class Own(layers.Layer):\n    def call(self, x, training=None):\n        return self.inner(x, training=training)\n",
    ],
)
def test_what_is_no_known_model_stays(body):
    code = code_of(body)
    assert "keras.call" not in code and "train()" not in code and not marks(body)
    assert code.rstrip().endswith(body.rstrip().splitlines()[-1].strip())


def test_unknown_models_are_called_at_run_time():
    code = code_of("def use(net, x):\n    return net(x, training=True), net.trainable_variables, tf.abs(x)\n")
    assert "compat.keras.call(net, x, training=True), compat.keras.trainable_variables(net)" in code
    code = code_of(
        "from other import Net\nnet = Net()\ndef use(x):\n    return tf.abs(net(x)), net.trainable_variables\n"
    )
    assert "torch.abs(compat.keras.call(net, x)), compat.keras.trainable_variables(net)" in code


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, a, b):
        return self.drop(a), b


def test_calls_at_run_time_of_plain_modules():
    model, a, b = Two(), np.ones((2, 3, 4, 5)), np.arange(3)
    for given in ([[a, b]], [a, b], [{"a": a, "b": b}]):
        one, two = compat.keras.call(model, *given)
        assert torch.equal(one, torch.ones(2, 3, 4, 5)) and two.tolist() == [0, 1, 2] and model.training
    dropped, _ = compat.keras.call(model.eval(), [a, b], training=True)
    assert (dropped == 0).any() and not model.training
    assert compat.keras.call(lambda x, training: (x, training), 3, training=True) == (3, True)


def test_calls_at_run_time_of_recorded_models():
    keras = compat.keras
    x = keras.Input((4, 4, 3))
    y = keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 3)(x))
    model = keras.Model([x], [y, keras.layers.Flatten()(y)])
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 3))
    maps, flat = keras.call(model, images)
    assert maps.shape == (2, 2, 2, 2) and torch.equal(maps.reshape(2, -1), flat)
    assert not torch.equal(keras.call(model, images, training=True)[0], maps)
    assert keras.call(model, keras.Input((4, 4, 3)))[0].shape == (None, 2, 2, 2)
    late = keras.Sequential([keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)])
    torch.testing.assert_close(keras.call(late, images), torch.from_numpy(images).float() / 1.001**0.5)
    assert (
        len(keras.trainable_variables(model))
        == 4
        == len(keras.trainable_variables(nn.Sequential(*[nn.Linear(1, 1)] * 1, nn.Linear(1, 1))))
    )


def test_layouts_refuse_what_is_no_image():
    volume = compat.nchw(np.zeros((1, 2, 3, 4, 5)))
    assert volume.shape == (1, 5, 2, 3, 4) and compat.nhwc(volume).shape == (1, 2, 3, 4, 5)
    assert compat.nchw(np.zeros((1, 4, 4, 3))[:, ::-1]).shape == (1, 3, 4, 4)
    for function in (compat.nchw, compat.nhwc):
        with pytest.raises(ValueError, match="4 axes"):
            function(torch.zeros(2, 3))
