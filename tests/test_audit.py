"""Tests that the audit of conversions finds planted leaks of every import style, and accepts clean conversions."""

from __future__ import annotations

import textwrap

import pytest

from tests.audit import audit, comments, leaks, prose

MARK = "# tfport: TODO[TFP101] tf.foo: no rule yet, see the documentation"
STUB = "from tfport import compat\n\ntf = compat.unported('tensorflow')\n"


def names(before: str, after: str, package: str = "") -> list[str]:
    return [leak.name for leak in leaks(textwrap.dedent(before), textwrap.dedent(after), package)]


# (how the program imports, what is left of it in the output, the name that must be found)
LEFT_BEHIND = {
    "unaliased": ("import tensorflow\ntensorflow.foo(1)", "tensorflow.foo(1)", "tensorflow"),
    "submodule": ("import tensorflow.keras.backend\ntensorflow.foo(1)", "tensorflow.foo(1)", "tensorflow"),
    "aliased": ("import tensorflow as tf\ntf.foo(1)", "tf.foo(1)", "tf"),
    "aliased submodule": ("import tensorflow.compat.v1 as tf1\ntf1.foo(1)", "tf1.foo(1)", "tf1"),
    "from": ("from tensorflow import foo\nfoo(1)", "foo(1)", "foo"),
    "from, renamed": ("from tensorflow.nn import relu as r\nr(1)", "r(1)", "r"),
    "from a private module": ("from tensorflow.python.ops import array_ops\narray_ops.foo(1)", "array_ops.foo(1)",
                              "array_ops"),
    "keras": ("import keras\nkeras.foo(1)", "keras.foo(1)", "keras"),
    "keras source": ("from keras.src import ops\nops.foo(1)", "ops.foo(1)", "ops"),
    "slim": ("import tf_slim as slim\nslim.foo(1)", "slim.foo(1)", "slim"),
    "addons": ("import tensorflow_addons as tfa\ntfa.foo(1)", "tfa.foo(1)", "tfa"),
    "star": ("from tensorflow.keras.layers import *\nDense(1)", "Dense(1)", "Dense"),
    "assigned": ("import tensorflow as tf\nL = tf.keras.layers\nL.foo(1)", "import torch\nL = 3 + tf.x\n", "tf"),
    "assigned, its own line marked": ("import tensorflow as tf\nL = tf.keras.layers\nL.foo(1)",
                                      f"{STUB}{MARK}\nL = tf.keras.layers\nL.foo(1)", "L"),
    "assigned twice": ("import tensorflow as tf\nk = tf.keras\nL = k.layers\nL.foo(1)",
                       f"{STUB}{MARK}\nk = tf.keras\n{MARK}\nL = k.layers\nL.foo(1)", "L"),
    "assigned in pairs": ("import tensorflow as tf\na, b = tf.nn, 3\na.foo(b)",
                          f"{STUB}{MARK}\na, b = tf.nn, 3\na.foo(b)", "a"),
    "assigned by choice": ("import tensorflow as tf\nf = tf.a if x else tf.b\nf(1)",
                           f"{STUB}{MARK}\nf = tf.a if x else tf.b\nf(1)", "f"),
    "assigned or nothing": ("import tensorflow as tf\nf = tf.a if x else None\nf(1)",
                            f"{STUB}{MARK}\nf = tf.a if x else None\nf(1)", "f"),
    "one of two origins, unmarked": ("import tensorflow as tf\nf = g or tf.foo\nf(1)", f"{STUB}f = g or tf.foo", "tf"),
    "walrus": ("import tensorflow as tf\nif (n := tf.nn):\n    n.foo(1)",
               f"{STUB}{MARK}\nif (n := tf.nn):\n    n.foo(1)", "n"),
    "stub without a mark": ("import tensorflow as tf\ntf.foo(1)", f"{STUB}tf.foo(1)", "tf"),
    "stub from a from import": ("from tensorflow import foo\nfoo(1)",
                                "from tfport.compat import unported\nfoo = unported('tensorflow.foo')\nfoo(1)", "foo"),
    "try": ("try:\n    import tensorflow as tf\nexcept ImportError:\n    tf = None\ntf.foo(1)",
            "try:\n    pass\nexcept ImportError:\n    tf = None\ntf.foo(1)", "tf"),
    "if": ("if x:\n    import tensorflow.compat.v1 as tf\nelse:\n    import tensorflow as tf\ntf.foo(1)",
           "if x:\n    pass\nelse:\n    pass\ntf.foo(1)", "tf"),
    "in a function": ("def f():\n    import tensorflow as tf\n    return tf.foo(1)",
                      "def f():\n    return tf.foo(1)", "tf"),
    "in a function, all others rewritten": (
        "import tensorflow as tf\ndef f(x):\n    return tf.foo(x)\ndef g(x):\n    return tf.bar(x)",
        "import torch\ndef f(x):\n    return torch.foo(x)\ndef g(x):\n    return tf.bar(x)", "tf"),
    "in a method": ("import tensorflow as tf\nclass A:\n    def f(self):\n        return tf.foo(1)",
                    "class A:\n    def f(self):\n        return tf.foo(1)", "tf"),
    "in a lambda": ("import tensorflow as tf\nf = lambda x: tf.foo(x)", "f = lambda x: tf.foo(x)", "tf"),
    "in a comprehension": ("import tensorflow as tf\ny = [tf.foo(x) for x in z]", "y = [tf.foo(x) for x in z]", "tf"),
    "in an f-string": ("import tensorflow as tf\ny = f'{tf.foo(1)}'", "y = f'{tf.foo(1)}'", "tf"),
    "as a base": ("import tensorflow as tf\nclass A(tf.Module):\n    pass", "class A(tf.Module):\n    pass", "tf"),
    "as a decorator": ("import tensorflow as tf\n@tf.function\ndef f():\n    pass",
                       "@tf.function\ndef f():\n    pass", "tf"),
    "as a default": ("import tensorflow as tf\ndef f(d=tf.float32):\n    pass", "def f(d=tf.float32):\n    pass", "tf"),
    "as an annotation": ("import tensorflow as tf\ndef f(x: tf.Tensor) -> int:\n    pass",
                         "def f(x: tf.Tensor) -> int:\n    pass", "tf"),
    "as a variable's annotation": ("import tensorflow as tf\nx: tf.Tensor = 1", "x: tf.Tensor = 1", "tf"),
    "in an except": ("import tensorflow as tf\ntry:\n    f()\nexcept tf.errors.Foo:\n    pass",
                     "try:\n    f()\nexcept tf.errors.Foo:\n    pass", "tf"),
    "in a match": ("import tensorflow as tf\nmatch x:\n    case tf.float32:\n        pass",
                   "match x:\n    case tf.float32:\n        pass", "tf"),
    "assigned in a branch, unmarked": ("import tensorflow as tf\nf = g\nif x:\n    f = tf.foo\nf(1)",
                                       f"{STUB}f = g\nif x:\n    f = tf.foo\nf(1)", "tf"),
    "bound to a stub in a branch": ("try:\n    from tensorflow import foo\nexcept ImportError:\n    foo = None\nfoo(1)",
                                    "try:\n    foo = compat.unported('tensorflow.foo')\nexcept ImportError:\n"
                                    "    foo = None\nfoo(1)", "foo"),
    "deleted": ("import tensorflow as tf\ndel tf", "del tf", "tf"),
    "global": ("def f():\n    global tf\n    import tensorflow as tf\ndef g():\n    return tf.foo(1)",
               "def f():\n    pass\ndef g():\n    return tf.foo(1)", "tf"),
    "class attribute": ("import tensorflow as tf\nclass A:\n    nn = tf.nn\n    x = nn.foo(1)",
                        f"{STUB}class A:\n    {MARK}\n    nn = tf.nn\n    x = nn.foo(1)", "nn"),
    "imported by a call": ("import importlib\ntf = importlib.import_module('tensorflow')",
                           "import importlib\ntf = importlib.import_module('tensorflow')", "tensorflow"),
    "name beside a shadowed one": ("import tensorflow as tf\ndef f(tf):\n    return tf.x\ntf.foo(1)",
                                   "def f(tf):\n    return tf.x\ntf.foo(1)", "tf"),
}  # fmt: skip


@pytest.mark.parametrize("style", LEFT_BEHIND)
def test_a_name_left_behind_is_found(style: str) -> None:
    before, after, name = LEFT_BEHIND[style]
    assert name in names(before, after)


@pytest.mark.parametrize("style", LEFT_BEHIND)
def test_the_untouched_program_never_passes(style: str) -> None:
    before = LEFT_BEHIND[style][0]
    assert names(before, before)


def test_an_import_that_stays_is_found_even_under_a_mark() -> None:
    assert names("import tensorflow as tf", f"{MARK}\nimport tensorflow as tf") == ["tensorflow"]


def test_relative_imports_belong_to_their_package() -> None:
    before = "from ..ops import relu\nfrom . import base\nrelu(base)"
    assert names(before, "relu(base)", package="keras.src.layers") == ["base", "relu"]
    assert names(before, before, package="mine.layers") == []
    assert names(before, before) == []


@pytest.mark.parametrize(
    "mark",
    [
        "# TODO tf.foo: no rule yet",
        "# tfport: TODO[TFP1] tf.foo: the code has three digits",
        "# tfport: TODO[TFP101] tf.foo",
        f"{MARK}\n",  # an empty line between mark and statement
        f"x = 1  {MARK}",  # behind another statement
        f"'''\n{MARK}\n'''",  # in a string
    ],
)
def test_what_is_not_a_mark_does_not_count(mark: str) -> None:
    assert leaks("import tensorflow as tf\ntf.foo(1)", f"{STUB}{mark}\ntf.foo(1)")


def test_a_mark_covers_one_statement() -> None:
    before = "import tensorflow as tf\ntf.foo(1)\ntf.bar(2)"
    assert [leak.line for leak in leaks(before, f"{STUB}{MARK}\ntf.foo(1)\ntf.bar(2)")] == [6]


def test_a_mark_above_a_block_covers_its_header_only() -> None:
    before = "import tensorflow as tf\nif tf.foo():\n    tf.bar()\n"
    after = f"{STUB}{MARK}\nif tf.foo():\n    tf.bar()\n"
    assert [leak.line for leak in leaks(before, after)] == [6]


CLEAN = {
    "marked": ("import tensorflow as tf\ntf.foo(1)", f"{STUB}{MARK}\ntf.foo(1)"),
    "two marks": ("import tensorflow as tf\ntf.foo(tf.bar)", f"{STUB}{MARK}\n{MARK}\ntf.foo(tf.bar)"),
    "marked over lines": ("import tensorflow as tf\ny = g(\n    tf.foo(1)\n)", f"{STUB}{MARK}\ny = g(\n    tf.foo(1)\n)"),
    "marked decorator": ("import tensorflow as tf\n@tf.foo\ndef f():\n    pass",
                         f"{STUB}{MARK}\n@tf.foo\ndef f():\n    pass"),
    "marked elif": ("import tensorflow as tf\nif x:\n    pass\nelif tf.foo():\n    pass",
                    f"{STUB}if x:\n    pass\n{MARK}\nelif tf.foo():\n    pass"),
    "marked except": ("import tensorflow as tf\ntry:\n    f()\nexcept tf.errors.Foo:\n    pass",
                      f"{STUB}try:\n    f()\n{MARK}\nexcept tf.errors.Foo:\n    pass"),
    "one line": ("import tensorflow as tf\nif x: tf.foo(1)", f"{STUB}{MARK}\nif x: tf.foo(1)"),
    "rewritten": ("import tensorflow as tf\ny = tf.nn.relu(x)", "import torch\ny = torch.relu(x)"),
    "compat": ("import tensorflow as tf\ny = tf.nn.foo(x)", "from tfport import compat\ny = compat.nn.foo(x)"),
    "alias rewritten": ("from tensorflow import keras\nK = keras.backend\nK.foo(1)",
                        "from tfport import compat\nK = compat.keras.backend\nK.foo(1)"),
    "star rewritten": ("from tensorflow.keras.layers import *\nDense(1)", "from torch import nn\nnn.Linear(1, 1)"),
    "shadowed by a parameter": ("import tensorflow as tf\ndef f(tf):\n    return tf['a']", "def f(tf):\n    return tf['a']"),
    "shadowed by a local": ("import tensorflow as tf\ndef f():\n    tf = {}\n    return tf['a']",
                            "def f():\n    tf = {}\n    return tf['a']"),
    "attribute of that name": ("import tensorflow as tf\nx.tf.foo(1)", "x.tf.foo(1)"),
    "someone else's keras": ("from models import keras\nkeras.foo(1)", "from models import keras\nkeras.foo(1)"),
    "comprehension variable": ("import tensorflow as tf\ny = [tf for tf in z]", "y = [tf for tf in z]"),
    "variable, its foreign assignment marked": (
        "import tensorflow as tf\nf = g\nif x:\n    f = tf.foo\nf(1)",
        f"{STUB}f = g\nif x:\n    {MARK}\n    f = tf.foo\nf(1)"),
    "one of two origins, marked": ("import tensorflow as tf\nf = g or tf.foo\nf(1)",
                                   f"{STUB}{MARK}\nf = g or tf.foo\nf(1)"),
    "value, not alias": ("import tensorflow as tf\ny = tf.zeros(3)\ny.sum()", "import torch\ny = torch.zeros(3)\ny.sum()"),
}  # fmt: skip


@pytest.mark.parametrize("case", CLEAN)
def test_a_clean_conversion_passes(case: str) -> None:
    before, after = CLEAN[case]
    assert audit(before, after) == []


def test_lost_comments_are_counted() -> None:
    before = "x = 1  # why\ny = 2  # why\n# last\n"
    assert audit(before, "x = 1  # why\ny = 2\n# last\n") == ["comment lost: # why"]
    assert comments('s = "# no comment"\n') == {}


def test_changed_prose_is_found() -> None:
    before = '"""Uses tf.nn for speed."""\nx = "channels_last"\n'
    assert audit(before, '"""Uses torch.nn for speed."""\nx = "channels_last"\n')
    assert audit(before, before.replace("channels_last", "channels_first")) == []
    assert prose("x = 'tf.nn'") == {}  # a bare name may be data that a rewrite drops


def test_output_that_does_not_parse_is_said_so() -> None:
    assert audit("x = 1", "x = = 1")[0].startswith("the output does not parse: line 1")
