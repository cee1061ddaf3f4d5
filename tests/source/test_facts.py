"""Tests what the converter believes of values (kind, dtype, rank, value): right where it says something, silent elsewhere."""

from __future__ import annotations

import ast

import pytest

import tfport
from tfport.source import rulebook
from tfport.source.names import Names
from tfport.source.rewrite import Rewriter
from tfport.source.text import Source
from tfport.source.values import NOTHING, UNKNOWN, Fact, is_known, join, of_value

HEAD = "import tensorflow as tf\nimport numpy as np\n"


def fact(text: str) -> Fact:
    """What is known of E in ``HERE(E)``."""
    source = Source(HEAD + text)
    rewriter = Rewriter(source, Names(source.tree), rulebook.load(), 2)
    calls = [
        n for n in ast.walk(source.tree) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "HERE"
    ]
    assert len(calls) == 1
    return rewriter.facts.of(calls[0].args[0])


# text -> kind and dtype
KNOWN = {
    "HERE(tf.constant(1))": ("tensor", "int32"),
    "HERE(tf.constant(1.0))": ("tensor", "float32"),
    "HERE(tf.constant([True]))": ("tensor", "bool"),
    "HERE(tf.constant([1, 2.5]))": ("tensor", "float32"),
    "HERE(tf.constant(1, tf.float64))": ("tensor", "float64"),
    "HERE(tf.constant(1, dtype='int64'))": ("tensor", "int64"),
    "HERE(tf.zeros([2]))": ("tensor", "float32"),
    "HERE(tf.zeros([2], tf.int32))": ("tensor", "int32"),
    "HERE(tf.cast(x, tf.float16))": ("tensor", "float16"),
    "HERE(tf.cast(tf.constant(1), 'float64') * 2)": ("tensor", "float64"),
    "HERE(tf.reduce_sum(tf.constant([1])))": ("tensor", "int32"),
    "HERE(tf.constant(1) / 2)": ("tensor", "float64"),
    "HERE(tf.cast(x, tf.uint8) / 2)": ("tensor", "float32"),
    "HERE(tf.constant(1) // 2)": ("tensor", "int32"),
    "HERE(tf.constant(1.0) > 2)": ("tensor", "bool"),
    "HERE(-tf.constant(1.0))": ("tensor", "float32"),
    "HERE(tf.constant([1.0])[0])": ("tensor", "float32"),
    "x = tf.constant(1.0)\nHERE(x)": ("tensor", "float32"),
    "x = tf.constant(1.0)\ny = x\nHERE(y * 2)": ("tensor", "float32"),
    "x = tf.constant(1.0)\nfor i in z:\n    x = x * 2\nHERE(x)": ("tensor", "float32"),
    "x = tf.constant(1.0)\nif c:\n    x = tf.square(x)\nHERE(x)": ("tensor", "float32"),
    "x = tf.constant(1.0)\nx += 1\nHERE(x)": ("tensor", "float32"),
    "def f():\n    x = tf.constant(1)\n    return HERE(x)": ("tensor", "int32"),
    "HERE(tf.shape(x))": ("tensor", "int32"),
    "HERE(tf.argmax(x))": ("tensor", "int64"),
    "HERE(len(x))": ("int", "?"),
    "for i in range(3):\n    HERE(i)": ("int", "?"),
    "for i, v in enumerate(x):\n    HERE(i)": ("int", "?"),
    "y = [HERE(i) for i in range(3)]": ("int", "?"),
    "HERE(1 + 2.5)": ("number", "?"),
    "HERE('a' + x)": ("str", "?"),
    "HERE(f'{x}')": ("str", "?"),
    "HERE([1, x])": ("list", "?"),
    "HERE([i for i in x])": ("list", "?"),
    "HERE(range(3))": ("iterable", "?"),
    "HERE(np.zeros(3))": ("array", "?"),
    "HERE(x.shape)": ("shape", "?"),
    "HERE(None)": ("none", "?"),
    "HERE(tf.float32)": ("dtype", "?"),
    "HERE(x is None)": ("int", "bool"),
    "HERE(tf.constant(1) is None)": ("int", "bool"),
    "HERE(not x)": ("int", "bool"),
}


@pytest.mark.parametrize("text", KNOWN)
def test_what_is_known(text: str) -> None:
    found = fact(text)
    assert (found.kind, found.dtype) == KNOWN[text]


UNSAID = [
    "def f(x):\n    HERE(x)",
    "def f(x=1):\n    HERE(x)",
    "def f(*x):\n    HERE(x)",
    "g = lambda x: HERE(x)",
    "HERE(f(1))",
    "HERE(self.x)",
    "for x in y:\n    HERE(x)",
    "for i in tf.range(3):\n    HERE(i)",
    "def f(range):\n    for i in range(3):\n        HERE(i)",
    "for i, j in range(3):\n    HERE(j)",
    "for j, (i, k) in enumerate(x):\n    HERE(i)",
    "x = 1\nx = f(x)\nHERE(x)",
    "x = tf.constant(1)\nx = f(x)\nHERE(x)",
    "x = 1\nwith f() as x:\n    HERE(x)",
    "x = 1\nfor x in y: pass\nHERE(x)",
    "x, y = f()\nHERE(x)",
    "x = 1\ndef f():\n    global x\n    x = g()\nHERE(x)",
    "if c:\n    x = tf.constant(1.0)\nelse:\n    x = 1.0\nHERE(x)",
    "x = y\ny = x\nHERE(x)",
    "x = 1\ntry: pass\nexcept E as x: pass\nHERE(x)",
    "x = 1\nx = (yield)\nHERE(x)",
    "HERE(await_)",
    "HERE(tf.unheard_of(1))",
    "HERE(x == y)",
    "HERE(a or tf.constant(1))",
]


@pytest.mark.parametrize("text", UNSAID)
def test_where_nothing_is_said(text: str) -> None:
    found = fact(text)
    assert found.kind == "?" and not is_known(found.value), found


# the dtype differs from path to path: it must not be said
MIXED = [
    "x = tf.constant(1)\nif c:\n    x = tf.constant(1.0)\nHERE(x)",
    "x = tf.constant(1)\nfor i in z:\n    x = tf.cast(x, tf.float32)\nHERE(x)",
    "x = tf.constant(1)\nfor i in z:\n    x = x / 2\nHERE(x)",
    "x = tf.constant(1)\nfor i in z:\n    y = x\n    x = y / 2\nHERE(x)",
    "x = tf.constant(1)\nfor i in z:\n    y = x\n    x = y / 2\nHERE(y)",
    "x = tf.constant(1) if c else tf.constant(True)\nHERE(x)",
    "HERE(tf.cast(x, dtype))",
    "HERE(tf.zeros([2], dtype))",
    "HERE(tf.constant(v))",
    "HERE(tf.constant(np.zeros(2)))",
    "HERE(tf.constant([1, v]))",
    "HERE(tf.identity(x))",
    "d = tf.float32\nif c:\n    d = tf.float64\nHERE(tf.zeros([2], d))",
    "d = tf.float32\ndef f(d):\n    HERE(tf.zeros([2], d))",
    "HERE(tf.zeros([2], *d))",
    "HERE(tf.reduce_sum(*x))",
    "def b(x):\n    return HERE(x)\ntf.map_fn(b, y)",
]


@pytest.mark.parametrize("text", MIXED)
def test_a_dtype_that_is_not_sure_is_not_said(text: str) -> None:
    assert fact(text).dtype in ("?", "float")


VALUES = {
    "n = 3\nHERE(n)": 3,
    "n = 3\nHERE(n * 2 - 1)": 5,
    "n = 3\nn = 4\nHERE(n)": 4,
    "n = 3\nn += 1\nHERE(n)": 4,
    "n = 3\nif x:\n    n = 4\n    HERE(n)": 4,
    "n = 3\nn = 4\ny = [HERE(n) for i in x]": 4,
    "def f(n):\n    n = 4\n    HERE(n)": 4,
    "n = 3\nn = 4\nif HERE(n):\n    n = 5": 4,
    "n = 3\nn = 4\nfor i in x:\n    HERE(n)": 4,
    "n = (1, 2)\nHERE(n)": (1, 2),
    "n = (1, 2)\nHERE(n[1])": 2,
    "HERE(-1)": -1,
    "HERE([1, 2] + [3])": [1, 2, 3],
    "def f():\n    keep = True\n    HERE(keep)": True,
    "HERE(2 ** 10)": 1024,
}


@pytest.mark.parametrize("text", VALUES)
def test_values(text: str) -> None:
    assert fact(text).value == VALUES[text]


UNKNOWN_VALUES = [
    "n = [1, 2]\nHERE(n)",
    "n = [1, 2]\nn.append(3)\nHERE(n)",
    "n = 3\nfor i in x:\n    n += 1\nHERE(n)",
    "n = 3\nfor i in x:\n    HERE(n)\n    n = 4",
    "n = 3\nwhile HERE(n):\n    n = 4",
    "n = 3\nif x:\n    n = 4\nHERE(n)",
    "n = 3\ntry:\n    n = f()\nexcept E:\n    HERE(n)",
    "n = 3\nn = 4\ndef f():\n    HERE(n)",
    "n = 3\nn = 4\nf = lambda: HERE(n)",
    "n = 3\nn = 4\nwith f() as n:\n    HERE(n)",
    "n = 3\nn, m = f()\nHERE(n)",
    "n = 3\nn = 4\nx = (n := f()) + HERE(n)",
    "n = 3\nn = 4\ndef f():\n    global n\n    n = 5\nf()\nHERE(n)",
    "n = 3\ndef f():\n    global n\n    n = 4\nHERE(n)",
    "def f():\n    n = 3\n    def g():\n        nonlocal n\n        n = 4\n    HERE(n)",
    "n = 3\nfor n in x: pass\nHERE(n)",
    "n = 3\ndel n\nif (n := f()):\n    HERE(n)",
    "HERE(2 ** 1000000)",
    "HERE(1 / 0)",
    "for i in range(3):\n    HERE(i)",
    "def f(n=3):\n    HERE(n)",
]


@pytest.mark.parametrize("text", UNKNOWN_VALUES)
def test_values_that_may_change_are_not_said(text: str) -> None:
    assert not is_known(fact(text).value)


def test_join_keeps_what_all_have_in_common() -> None:
    assert join([]) == NOTHING
    assert join([Fact("tensor", "float32"), Fact("tensor", "float64")]) == Fact("tensor", "float")
    assert join([Fact("tensor", "float32"), Fact("tensor", "int32")]) == Fact("tensor")
    assert join([of_value(1), of_value(2.5)]).kind == "number"
    assert join([of_value(1), of_value(2)]).value is UNKNOWN
    assert join([Fact("tensor", "float32"), NOTHING]) == NOTHING


# -- a wrong belief must never reach the text -------------------------------------------------------------------


def converted(text: str) -> str:
    return tfport.convert_source(HEAD + text, version=2).code


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    return tf.reduce_sum(x, 1)",
        "def f(x, c):\n    y = tf.constant([1])\n    if c:\n        y = tf.constant([1.0])\n    return tf.reduce_sum(y, 0)",
        "x = tf.constant([1])\nfor i in z:\n    y = tf.reduce_sum(x, 0)\n    x = tf.cast(x, tf.float32)",
        "def f(x):\n    return x / 2",
        "def f(x, y):\n    return x / y",
        "def f(x, dtype):\n    return tf.reduce_sum(tf.cast(x, dtype), 0)",
        "def f(x, axis):\n    return tf.reduce_sum(tf.cast(x, tf.float32), axis)",
        "def f(x, axis=1):\n    return tf.reduce_mean(x, axis)",
        "axes = [1]\naxes.append(2)\ny = tf.reduce_mean(tf.zeros([2, 2, 2]), axes)",
        "def f(n):\n    return tf.maximum(n, np.sqrt(2.0))",
        "def f(n):\n    return tf.constant(n)",
        "y = tf.square([1.0, 2.0])",
        "y = tf.square(3)",
        "y = tf.reduce_sum(np.ones(3))",
        "for i in range(3):\n    y = tf.cast(i, tf.float32)",
        "for i in range(3):\n    y = tf.square(i)",
        "y = tf.transpose(tf.zeros([2, 3]), range(2))",
    ],
)
def test_what_is_not_decided_becomes_compat(text: str) -> None:
    assert "compat." in converted(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "y = tf.reduce_sum(tf.constant([1, 2]), 0)",
            "torch.sum(torch.tensor([1, 2], dtype=torch.int32), dim=0, dtype=torch.int32)",
        ),
        ("y = tf.reduce_sum(tf.constant([1.0, 2.0]), 0)", "torch.sum(torch.tensor([1.0, 2.0]), dim=0)"),
        ("x = tf.constant(3)\ny = x / 2", "y = x.to(torch.float64) / 2"),
        ("x = tf.constant(3)\ny = 1 + 2 / x", "y = 1 + 2 / x.to(torch.float64)"),
        ("x = tf.constant(3)\ny = (x + 1) / (x - 1)", "y = (x + 1).to(torch.float64) / (x - 1)"),
        ("x = tf.constant(3.0)\ny = x / 2", "y = x / 2"),
        ("def f(x):\n    return x / 2.0", "return x / 2.0"),
        ("def f(x):\n    return 0.5 * x / 2", "return 0.5 * x / 2"),
        ("def f(x, y):\n    return tf.exp(x) / y", "return torch.exp(x) / y"),
        ("def f(x):\n    y = x + 1.5\n    return y / 2", "return y / 2"),
        ("def f(x: int, y: float):\n    return x / y", "return x / y"),
        ("def f(x):\n    return len(x) / 2", "return len(x) / 2"),
        (
            "x = tf.constant([1])\nfor i in z:\n    x = tf.cast(x, tf.float32)\n    y = tf.reduce_sum(x, 0)",
            "torch.sum(x, dim=0)",
        ),
    ],
)
def test_what_is_decided_is_plain_torch(text: str, expected: str) -> None:
    code = converted(text)
    assert expected in code and "compat" not in code
