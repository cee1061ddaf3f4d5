"""Tests what an expression means, for every way of importing, aliasing and shadowing TensorFlow's names."""

from __future__ import annotations

import ast

import pytest

from tfport.source import api_names, rulebook
from tfport.source.canonical import Canonical, canonical
from tfport.source.names import Ambiguous, Names


def meaning(text: str, package: str = "") -> str | None:
    """The meaning of ``HERE(expression)``: the canonical name, None, or "a|b" where it is ambiguous."""
    tree = ast.parse(text)
    book = rulebook.load()
    names = Names(tree, package, lambda base: api_names.of(base) | book.below(base))
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "HERE"]
    assert len(calls) == 1, "one HERE(...) a case"
    found = names.resolve(calls[0].args[0])
    if isinstance(found, Ambiguous):
        return "|".join(found.names)
    return found.name if isinstance(found, Canonical) else None


def version(text: str) -> int | None:
    """The TensorFlow version that the spelling of ``HERE(expression)`` names."""
    tree = ast.parse(text)
    names = Names(tree)
    call = next(n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "HERE")
    found = names.resolve(call.args[0])
    assert isinstance(found, Canonical)
    return found.version


IMPORTS = {
    "plain": ("import tensorflow as tf\nHERE(tf.nn.relu)", "tf.nn.relu"),
    "another alias": ("import tensorflow as T\nHERE(T.nn.relu)", "tf.nn.relu"),
    "unaliased": ("import tensorflow\nHERE(tensorflow.nn.relu)", "tf.nn.relu"),
    "v1": ("import tensorflow.compat.v1 as tf\nHERE(tf.placeholder)", "tf.placeholder"),
    "v1 from": ("from tensorflow.compat import v1 as tf\nHERE(tf.placeholder)", "tf.placeholder"),
    "v1 by attribute": ("import tensorflow as tf\nHERE(tf.compat.v1.placeholder)", "tf.placeholder"),
    "v2": ("import tensorflow.compat.v2 as tf\nHERE(tf.nn.relu)", "tf.nn.relu"),
    "unaliased submodule": ("import tensorflow.compat.v1\nHERE(tensorflow.compat.v1.nn.relu)", "tf.nn.relu"),
    "unaliased layers": ("import tensorflow.keras.layers\nHERE(tensorflow.keras.layers.Dense)", "tf.keras.layers.Dense"),
    "aliased layers": ("import tensorflow.keras.layers as L\nHERE(L.Dense)", "tf.keras.layers.Dense"),
    "from": ("from tensorflow import keras\nHERE(keras.layers.Dense)", "tf.keras.layers.Dense"),
    "from as": ("from tensorflow import keras as k\nHERE(k.layers.Dense)", "tf.keras.layers.Dense"),
    "from deep": ("from tensorflow.keras import layers\nHERE(layers.Dense)", "tf.keras.layers.Dense"),
    "from deep as": ("from tensorflow.keras import layers as L\nHERE(L.Dense)", "tf.keras.layers.Dense"),
    "from deepest": ("from tensorflow.keras.layers import Dense as D\nHERE(D)", "tf.keras.layers.Dense"),
    "function": ("from tensorflow import reduce_sum\nHERE(reduce_sum)", "tf.reduce_sum"),
    "nested function": ("from tensorflow.nn import relu as r\nHERE(r)", "tf.nn.relu"),
    "star": ("from tensorflow.keras.layers import *\nHERE(Dense)", "tf.keras.layers.Dense"),
    "star of keras": ("from keras.layers import *\nHERE(Conv2D)", "tf.keras.layers.Conv2D"),
    "the later star": ("from tensorflow.keras.layers import *\nfrom tensorflow.keras.losses import *\nHERE(MeanSquaredError)",
                       "tf.keras.losses.MeanSquaredError"),
    "keras": ("import keras\nHERE(keras.layers.Dense)", "tf.keras.layers.Dense"),
    "keras backend": ("from keras import backend as K\nHERE(K.mean)", "tf.keras.backend.mean"),
    "tf_keras": ("import tf_keras as keras\nHERE(keras.Model)", "tf.keras.Model"),
    "keras.src": ("from keras.src import layers\nHERE(layers.Dense)", "tf.keras.layers.Dense"),
    "keras.src file": ("from keras.src.layers.core.dense import Dense\nHERE(Dense)", "tf.keras.layers.Dense"),
    "keras.engine": ("from tensorflow.python.keras.layers import Dense\nHERE(Dense)", "tf.keras.layers.Dense"),
    "contrib": ("import tensorflow as tf\nHERE(tf.contrib.slim.conv2d)", "tf.contrib.slim.conv2d"),
    "contrib module": ("import tensorflow.contrib.slim as slim\nHERE(slim.conv2d)", "tf.contrib.slim.conv2d"),
    "contrib from": ("from tensorflow.contrib import slim\nHERE(slim.conv2d)", "tf.contrib.slim.conv2d"),
    "tf_slim": ("import tf_slim as slim\nHERE(slim.conv2d)", "tf.contrib.slim.conv2d"),
    "tf_slim file": ("from tf_slim.layers import layers\nHERE(layers.conv2d)", "tf.contrib.slim.conv2d"),
    "contrib keras": ("from tensorflow.contrib.keras import layers\nHERE(layers.Dense)", "tf.keras.layers.Dense"),
    "private": ("from tensorflow.python.ops import array_ops\nHERE(array_ops.concat)", "tf.concat"),
    "private nn": ("from tensorflow.python.ops.nn_ops import relu\nHERE(relu)", "tf.nn.relu"),
    "private framework": ("from tensorflow.python.framework import ops\nHERE(ops.name_scope)", "tf.name_scope"),
    "addons": ("import tensorflow_addons as tfa\nHERE(tfa.layers.GroupNormalization)", "tfa.layers.GroupNormalization"),
    "probability": ("import tensorflow_probability as tfp\nHERE(tfp.distributions.Normal)", "tfp.distributions.Normal"),
    "hub": ("import tensorflow_hub as hub\nHERE(hub.KerasLayer)", "tfhub.KerasLayer"),
    "several in one": ("import os, tensorflow as tf, sys\nHERE(tf.nn.relu)", "tf.nn.relu"),
    "in a function": ("def f():\n    import tensorflow as tf\n    HERE(tf.nn.relu)", "tf.nn.relu"),
    "global in a function": ("def f():\n    global tf\n    import tensorflow as tf\nHERE(tf.nn.relu)", "tf.nn.relu"),
    "used before the import": ("def f():\n    HERE(tf.nn.relu)\nimport tensorflow as tf", "tf.nn.relu"),
    "by name": ("import importlib\ntf = importlib.import_module('tensorflow')\nHERE(tf.nn.relu)", "tf.nn.relu"),
    "dunder import": ("tf = __import__('tensorflow')\nHERE(tf.nn.relu)", "tf.nn.relu"),
    "after future": ("from __future__ import division\nimport tensorflow as tf\nHERE(tf.nn.relu)", "tf.nn.relu"),
    "twice the same": ("import tensorflow as tf\nimport tensorflow as tf\nHERE(tf.nn.relu)", "tf.nn.relu"),
    "two spellings of one": ("import tensorflow as tf\nimport tensorflow.compat.v1 as tf\nHERE(tf.nn.relu)", "tf.nn.relu"),
}  # fmt: skip

ALIASES = {
    "module": ("import tensorflow as tf\nL = tf.keras.layers\nHERE(L.Dense)", "tf.keras.layers.Dense"),
    "function": ("import tensorflow as tf\nrelu = tf.nn.relu\nHERE(relu)", "tf.nn.relu"),
    "of an alias": ("import tensorflow as tf\nk = tf.keras\nL = k.layers\nHERE(L.Dense)", "tf.keras.layers.Dense"),
    "tuple": ("import tensorflow as tf\nL, np = tf.keras.layers, 3\nHERE(L.Dense)", "tf.keras.layers.Dense"),
    "list": ("import tensorflow as tf\n[a, b] = [tf.nn, tf.keras]\nHERE(b.Model)", "tf.keras.Model"),
    "chained": ("import tensorflow as tf\na = b = tf.nn\nHERE(a.relu)", "tf.nn.relu"),
    "annotated": ("import tensorflow as tf\nnn: object = tf.nn\nHERE(nn.relu)", "tf.nn.relu"),
    "walrus": ("import tensorflow as tf\nif (nn := tf.nn):\n    HERE(nn.relu)", "tf.nn.relu"),
    "walrus in a comprehension": ("import tensorflow as tf\nx = [(nn := tf.nn) for _ in y]\nHERE(nn.relu)", "tf.nn.relu"),
    "in a function": ("import tensorflow as tf\ndef f():\n    nn = tf.nn\n    HERE(nn.relu)", "tf.nn.relu"),
    "in a class, same body": ("import tensorflow as tf\nclass A:\n    nn = tf.nn\n    HERE(nn.relu)", "tf.nn.relu"),
    "refined": ("import tensorflow as tf\ntf = tf.compat.v1\nHERE(tf.nn.relu)", "tf.nn.relu"),
    "refined in an if": ("import tensorflow as tf\nif tf.__version__ >= '2':\n    tf = tf.compat.v1\nHERE(tf.nn.relu)", "tf.nn.relu"),
    "either of two": ("import tensorflow as tf\nf = tf.nn.relu if 0 else tf.nn.relu\nHERE(f)", "tf.nn.relu"),
    "either of two others": ("import tensorflow as tf\nf = tf.nn.relu if 0 else tf.nn.elu\nHERE(f)", "tf.nn.elu|tf.nn.relu"),
    "from an outer function": ("import tensorflow as tf\ndef f():\n    nn = tf.nn\n    def g():\n        HERE(nn.relu)", "tf.nn.relu"),
    "global": ("import tensorflow as tf\ndef f():\n    global nn\n    nn = tf.nn\ndef g():\n    HERE(nn.relu)", "tf.nn.relu"),
    "nonlocal": ("import tensorflow as tf\ndef f():\n    nn = tf.nn\n    def g():\n        nonlocal nn\n        HERE(nn.relu)", "tf.nn.relu"),
    "try keras": ("try:\n    import keras\nexcept ImportError:\n    from tensorflow import keras\nHERE(keras.Model)", "tf.keras.Model"),
    "try v1": ("try:\n    import tensorflow.compat.v1 as tf\nexcept ImportError:\n    import tensorflow as tf\nHERE(tf.log)", "tf.log"),
    "try or none": ("try:\n    import tensorflow as tf\nexcept ImportError:\n    tf = None\nHERE(tf.log)", "tf.log"),
    "if else": ("import sys\nif sys.x:\n    import keras\nelse:\n    import tensorflow.keras as keras\nHERE(keras.Model)", "tf.keras.Model"),
}  # fmt: skip

TF = "import tensorflow as tf\n"
OTHERS = {
    "a parameter": (TF + "def f(tf):\n    HERE(tf.nn)", None),
    "a keyword-only parameter": (TF + "def f(*, tf=1):\n    HERE(tf.nn)", None),
    "*args": (TF + "def f(*tf):\n    HERE(tf)", None),
    "**kwargs": (TF + "def f(**tf):\n    HERE(tf)", None),
    "a lambda's argument": (TF + "g = lambda tf: HERE(tf.nn)", None),
    "a default sees the outside": (TF + "def f(tf=HERE(tf.nn)):\n    pass", "tf.nn"),
    "a decorator sees the outside": (TF + "@HERE(tf.function)\ndef tf2():\n    pass", "tf.function"),
    "a base class": (TF + "class A(HERE(tf.Module)):\n    tf = 1", "tf.Module"),
    "a comprehension's variable": (TF + "x = [HERE(tf.nn) for tf in y]", None),
    "a comprehension's first iterable": (TF + "x = [1 for tf in HERE(tf.nn)]", "tf.nn"),
    "a comprehension's second iterable": (TF + "x = [1 for tf in y for z in HERE(tf.nn)]", None),
    "a comprehension's condition": (TF + "x = {1 for tf in y if HERE(tf.nn)}", None),
    "after a comprehension": (TF + "x = [tf for tf in y]\nHERE(tf.nn)", "tf.nn"),
    "a dict comprehension": (TF + "x = {k: HERE(tf.nn) for k, tf in y}", None),
    "a generator": (TF + "x = list(HERE(tf.nn) for tf in y)", None),
    "for target": (TF + "def f():\n    for tf in y:\n        HERE(tf.nn)", None),
    "for target, tuple": (TF + "def f():\n    for i, (tf, k) in y:\n        HERE(tf.nn)", None),
    "with": (TF + "def f():\n    with open(x) as tf:\n        HERE(tf.nn)", None),
    "except": (TF + "def f():\n    try:\n        pass\n    except E as tf:\n        HERE(tf.args)", None),
    "starred target": (TF + "def f():\n    a, *tf = y\n    HERE(tf)", None),
    "a local function": (TF + "def f():\n    def tf(): pass\n    HERE(tf.nn)", None),
    "a local class": (TF + "def f():\n    class tf: pass\n    HERE(tf.nn)", None),
    "match capture": (TF + "def f(x):\n    match x:\n        case tf:\n            HERE(tf.nn)", None),
    "match as": (TF + "def f(x):\n    match x:\n        case [1, 2] as tf:\n            HERE(tf.nn)", None),
    "match star": (TF + "def f(x):\n    match x:\n        case [1, *tf]:\n            HERE(tf)", None),
    "match rest": (TF + "def f(x):\n    match x:\n        case {1: 2, **tf}:\n            HERE(tf)", None),
    "match value": (TF + "def f(x):\n    match x:\n        case HERE(tf=3):\n            pass\nHERE2 = 1", None),
    "an attribute of another object": ("import tensorflow as tf\nHERE(self.tf.nn)", None),
    "a class attribute is not a global": (TF + "class A:\n    tf = 1\n    def f(self):\n        HERE(tf.nn)", "tf.nn"),
    "a class attribute seen from a method": (TF + "class A:\n    nn = tf.nn\n    def f(self):\n        HERE(nn.relu)", None),
    "numpy": ("import numpy as tf\nHERE(tf.sum)", None),
    "a module like it": ("import tensorflowjs as tf\nHERE(tf.sum)", None),
    "tensorflow_foo": ("import tensorflow_foo as tf\nHERE(tf.sum)", None),
    "my.tensorflow": ("import my.tensorflow as tf\nHERE(tf.sum)", None),
    "from my": ("from my import tensorflow as tf\nHERE(tf.sum)", None),
    "from my.keras": ("from my.keras import layers\nHERE(layers.Dense)", None),
    "a builtin with a star": ("from tensorflow import *\nHERE(print)", None),
    "an own name with a star": ("from tensorflow import *\ndef relu6(x): pass\nHERE(relu6)", None),
    "a string": (TF + "HERE('tf.nn')", None),
    "unbound": ("HERE(tf.nn)", None),
    "rebound by a call": (TF + "nn = wrap(tf.nn)\nHERE(nn.relu)", None),
    "one or the other": ("try:\n    import tensorflow as x\nexcept E:\n    import numpy as x\nHERE(x.nn)", "tf"),
    "a parameter of the outer function": (TF + "def f(tf):\n    def g():\n        HERE(tf.nn)", None),
    "global skips the function": (TF + "def f(tf):\n    def g():\n        global tf\n        HERE(tf.nn)", "tf.nn"),
    "nonlocal to a later binding": (TF + "def f():\n    def g():\n        nonlocal tf\n        HERE(tf.nn)\n    tf = 1", None),
    "annotation only": (TF + "tf: object\nHERE(tf.nn)", "tf.nn"),
    "x = x": (TF + "def f(x):\n    x = x\n    HERE(x.nn)", None),
    "two that bind each other": ("a = b\nb = a\nHERE(a.nn)", None),
}  # fmt: skip
del OTHERS["match value"]


@pytest.mark.parametrize("case", IMPORTS)
def test_imports(case: str) -> None:
    text, expected = IMPORTS[case]
    assert meaning(text) == expected


@pytest.mark.parametrize("case", ALIASES)
def test_aliases(case: str) -> None:
    text, expected = ALIASES[case]
    assert meaning(text) == expected


@pytest.mark.parametrize("case", OTHERS)
def test_shadowing_and_look_alikes(case: str) -> None:
    text, expected = OTHERS[case]
    assert meaning(text) == expected


@pytest.mark.parametrize(
    ("package", "statement", "expected"),
    [
        ("keras.src.layers", "from ..ops import mean\nHERE(mean)", None),
        ("keras.src.layers", "from .. import ops\nHERE(ops.mean)", "tf.keras.ops.mean"),
        ("keras.src.applications", "from ..layers import Dense\nHERE(Dense)", "tf.keras.layers.Dense"),
        ("keras.src", "from . import layers\nHERE(layers.Dense)", "tf.keras.layers.Dense"),
        ("tf_slim.nets", "from .. import layers\nHERE(layers)", "tf.contrib.slim.layers"),
        ("mine.models", "from ..keras import layers\nHERE(layers.Dense)", None),
        ("mine", "from .tensorflow import nn\nHERE(nn.relu)", None),
        ("", "from . import tensorflow\nHERE(tensorflow.nn)", None),
        ("", "from .keras import layers\nHERE(layers.Dense)", None),
        ("keras", "from .... import tensorflow\nHERE(tensorflow.nn)", None),
    ],
)
def test_relative_imports(package: str, statement: str, expected: str | None) -> None:
    found = meaning(statement, package)
    if expected is None and package.startswith("keras.src"):
        assert found is not None and found.startswith("tf.keras.")
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import tensorflow as tf\nHERE(tf.nn)", None),
        ("import tensorflow.compat.v1 as tf\nHERE(tf.nn)", 1),
        ("import tensorflow.compat.v2 as tf\nHERE(tf.nn)", 2),
        ("import tensorflow as tf\nHERE(tf.compat.v1.nn)", 1),
        ("import tensorflow as tf\nHERE(tf.contrib.slim)", 1),
        ("from tensorflow.python.ops import array_ops\nHERE(array_ops.concat)", 1),
        ("import tensorflow as tf\ntf = tf.compat.v1\nHERE(tf.nn)", 1),
        ("try:\n import tensorflow.compat.v1 as tf\nexcept E:\n import tensorflow as tf\nHERE(tf.nn)", 1),
    ],
)
def test_the_version_in_the_spelling(text: str, expected: int | None) -> None:
    assert version(text) == expected


@pytest.mark.parametrize(
    ("dotted", "expected"),
    [
        ("tensorflow", "tf"),
        ("tensorflow.compat.v1", "tf"),
        ("tensorflow.compat.v1.compat.v1.nn", "tf.nn"),
        ("tensorflow.compat.as_str", "tf.compat.as_str"),
        ("tensorflow._api.v2.nn.relu", "tf.nn.relu"),
        ("tensorflow_core.nn", "tf.nn"),
        ("keras.src.optimizers.schedules.learning_rate_schedule.CosineDecay", "tf.keras.optimizers.schedules.CosineDecay"),
        ("tensorflow.app.flags.FLAGS", "tf.flags.FLAGS"),
        ("tensorflow2", None),
        ("kerasx.layers", None),
        ("numpy", None),
        ("", None),
    ],
)  # fmt: skip
def test_canonical(dotted: str, expected: str | None) -> None:
    found = canonical(dotted)
    assert (found.name if found else None) == expected


def test_many_names_that_bind_each_other_take_no_time() -> None:
    names = [f"x{i}" for i in range(60)]
    text = "".join(
        f"{a} = {b} if c else {d}\n" for a, b, d in zip(names, names[1:] + names[:1], names[2:] + names[:2])
    )
    assert meaning("import tensorflow as tf\n" + text + "HERE(x0.nn)") is None
