"""Tests which object a name denotes: references, TensorFlow 1's ==, what changes in place and what does not, tf.function."""

from __future__ import annotations

import contextlib
import io

import pytest

import tfport

V1 = "import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()\nf = tf.constant([1.0, 2.0])\ng = f\nh = tf.constant([1.0, 2.0])\n"
V2 = "import tensorflow as tf\n"


def code(text: str, head: str = V2) -> str:
    return tfport.convert_source(head + text).code


def printed(text: str, head: str = V2) -> list[str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code(text, head), "converted", "exec"), {"__name__": "converted"})
    return out.getvalue().splitlines()


# -- TensorFlow 1 compares by identity ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("print(f == g)", "print(f is g)"),
        ("print(f != h)", "print(f is not h)"),
        ("print(f == 1.0)", "print(False)"),
        ("print(None != f)", "print(True)"),
        ("print(f in [g, h])", "print(compat.operators.holds([g, h], f))"),
        ("print(f not in [h])", "print(not compat.operators.holds([h], f))"),
    ],
)
def test_equality_of_tensorflow_1(text: str, expected: str) -> None:
    assert code(text + "\n", V1).endswith(expected + "\n")


def test_equality_of_tensorflow_1_runs() -> None:
    assert printed("print(f == g, f == h, f != g, f in [h, g], f in [h], f == 'a')\n", V1) == [
        "True False False True False False"
    ]


@pytest.mark.parametrize(
    "head",
    [
        V2 + "f = tf.constant([1.0])\ng = h = f\n",
        "import tensorflow.compat.v1 as tf\nf = tf.constant([1.0])\ng = h = f\n",  # disables nothing
        "import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()\ntf.enable_tensor_equality()\nf = tf.constant([1.0])\ng = h = f\n",
    ],
)
def test_equality_of_tensorflow_2_stays(head: str) -> None:
    assert "print(f == g, f != h)" in code("print(f == g, f != h)\n", head)


def test_numbers_and_strings_of_tensorflow_1_keep_their_equality() -> None:
    text = "def build(mode, n):\n    if mode == 'train' and n == 3 and n in (3, 4):\n        return f\n"
    assert text in code(text, V1)


# -- references ----------------------------------------------------------------------------------------------------


def test_references_are_keys() -> None:
    text = (
        "x = tf.constant([1.0])\nv = tf.Variable(2.0)\nd = {x.ref(): 'x', v.ref(): 'v'}\n"
        "print(d[x.ref()], d[v.ref()], tf.identity(x).ref() in d, v.ref().deref() is v, x.experimental_ref() == x.ref())\n"
    )
    assert printed(text) == ["x v False True True"]


def test_a_ref_of_another_object_is_its_own() -> None:
    assert printed(
        "class A:\n    def ref(self):\n        return tf.size([1]).dtype and 7\nprint(A().ref())\n"
    ) == ["7"]


# -- what changes in place -----------------------------------------------------------------------------------------

KEPT = {
    "a count": "n = 0\nfor x in data:\n    n += 1\n",
    "a sum of floats": "total = 0.0\nfor x in data:\n    total += float(tf.size(x))\n",
    "a local sum": "def f(xs):\n    total = 0\n    for x in xs:\n        total += x * 2\n    return total\n",
    "a list": "out = []\nout += [tf.size(data)]\n",
    "text": "s = ''\ns += 'a'\n",
    "an annotated parameter": "def f(n: int):\n    n += 1\n    return n\n",
    "an array": "import numpy as np\na = np.zeros(3)\na += 1\n",
    "part of an array": "def f(x):\n    x[..., 0] -= 1.0\n    x[:, 1:] *= 2\n    return x\n",
    "a counter": "from collections import Counter, defaultdict\nc = Counter()\nd = defaultdict(int)\nfor w in data:\n    c[w] += 1\n    d[w] += 1\n",
    "a table of numbers": "t = {'a': 0, 'b': 0}\nt['a'] += 1\nrow = [0] * 5\nrow[2] += 1\n",
    "an attribute that is a number": "class A:\n    def __init__(self):\n        self.n = 0\n    def f(self):\n        self.n += 1\n",
}


@pytest.mark.parametrize("case", KEPT)
def test_augmented_assignment_that_stays(case: str) -> None:
    new = code("data = tf.zeros([2, 1])\n" + KEPT[case])
    updates = [
        line.strip() for line in KEPT[case].splitlines() if "= " in line and line.split("= ")[0][-1] in "+-*"
    ]
    assert updates and "compat.i" not in new, new
    assert all(line.split("= ")[0] + "= " in new for line in updates), new


CHANGED = {
    "an item of a list": "xs = [t]\nxs[0] += 1.0\n",
    "an item of a dict": "d = {'a': t}\nd['a'] += 1.0\n",
    "an item of a parameter": "def f(xs):\n    xs[0] += 1.0\nf([t])\n",
    "a parameter": "def f(x):\n    x += 1.0\nf(t)\n",
    "an attribute": "class A: pass\na = A()\na.x = t\na.x += 1.0\n",
    "a sum that is also listed": "def f(x):\n    y = x + 0\n    seen.append(y)\n    y += 1.0\nseen = []\nf(t)\nassert seen[0].tolist() == [1.0]\n",
    "a loop over a list": "for x in [t, t]:\n    x += 1.0\n",
    "what with binds": "import contextlib\nwith contextlib.nullcontext(t) as x:\n    x += 1.0\n",
    "what a function returns": "def f():\n    return t\nx = f()\nx += 1.0\n",
    "one of two": "x = None or t\nx += 1.0\n",
    "an item by a function": "xs = [t]\nn = []\ndef key():\n    n.append(1)\n    return 0\nxs[key()] += 1.0\nassert len(n) == 1\nassert xs[0].tolist() == [2.0]\n",
    "an attribute by a function": "class A: pass\na = A()\na.x = t\ndef get():\n    return a\nget().x += 1.0\nassert a.x.tolist() == [2.0]\n",
}


@pytest.mark.parametrize("case", CHANGED)
def test_augmented_assignment_changes_nothing_else(case: str) -> None:
    space: dict = {"__name__": "converted"}
    exec(compile(code("t = tf.constant([1.0])\n" + CHANGED[case]), "converted", "exec"), space)
    assert space["t"].tolist() == [1.0], code("t = tf.constant([1.0])\n" + CHANGED[case])


# -- operators that stay as they are -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "def f(x, y):\n    return (x * 0.5) / y",
        "def f(x):\n    return x / 255.0",
        "def f(x, n: int = 2):\n    return x * 1.5 / n",
        "def f(a, b):\n    return a + b, a - b, a * b, a // b, a % b, a ** b, a @ b, a < b, a == b",
        "def f(path, name):\n    return path == 'a' or name in ('b', 'c')",
        "def f(xs):\n    return len(xs) / 2, sum(xs)",
        "def f(mask, x):\n    return mask & x, mask | x",
        "x = [1, 2][::-1]\ny = 'abc'[::-1]",
        "def f(s):\n    return s.shape == (2, 3), s.shape[0] == 2",
    ],
)
def test_operators_that_stay(text: str) -> None:
    new = code(text + "\nz = tf.size(1)\n")
    assert text in new, new


# -- variables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["v = tf.Variable([1.0])\nx = v[0]\n", "v = tf.Variable([1.0])\ndef f():\n    y = tf.reshape(v, [1, 1])\n    z = y * 2\n    v.assign([3.0])\n    return z\n",
     "t = tf.constant([1.0])\nx = t[0]\nv = tf.Variable(0.0)\nv.assign(1.0)\n"],
)  # fmt: skip
def test_views_are_not_copied_where_nothing_changes_them(text: str) -> None:
    assert "clone" not in code(text)


def test_a_variable_knows_its_name() -> None:
    text = "v = tf.Variable(1.0, name='gain')\nfor x in [v]:\n    print(x.name, x.trainable)\nprint(tf.Variable(0).name)\n"
    assert printed(text) == ["gain:0 True", "Variable:0"]


def test_a_parameter_that_is_no_variable_has_no_name() -> None:
    import torch

    from tfport import compat

    with pytest.raises(AttributeError, match="named_parameters"):
        compat.variables.name(torch.nn.Parameter(torch.ones(1)))


@pytest.mark.parametrize(
    "call",
    [
        "tf.constant('a')",
        "tf.constant(['a', 'b'])",
        "tf.Variable('a')",
        "tf.convert_to_tensor(['a'])",
        "tf.equal(x, 'a')",
    ],
)
def test_tensors_of_strings_are_marked(call: str) -> None:
    assert [m.code for m in tfport.convert_source(f"{V2}x = tf.constant(1)\ny = {call}\n").marks] == [
        "TFP109"
    ]


def test_strings_that_make_no_tensor_are_not_marked() -> None:
    text = (
        "x = tf.constant(1.0, name='a')\ny = tf.cast(x, 'float64')\nz = tf.einsum('i,i->i', [1.0], [2.0])\n"
    )
    assert not tfport.convert_source(V2 + text).marks


# -- tf.function ---------------------------------------------------------------------------------------------------


def test_tf_function_as_a_call() -> None:
    text = (
        "def f(x):\n    return x * 2\ng = tf.function(f)\nh = tf.function(lambda x: x + 1, jit_compile=True)\n"
        "k = tf.function(autograph=False)(f)\nprint(g(3), h(3), k(4))\n"
    )
    assert printed(text) == ["6 4 8"]


# -- what compat writes compiles -----------------------------------------------------------------------------------


def test_exact_operators_compile_without_a_graph_break() -> None:
    import torch

    from tfport import compat

    def step(x, y):
        z = compat.operators.truediv(x, y)
        z = compat.iadd(z, 1)
        same = compat.operators.eq(compat.operators.mul(z, 2.0), [1.0, 2.0])
        return compat.indexing.take(z, [slice(None, None, -1)]), same

    x = torch.tensor([1.0, 2.0])
    compiled = torch.compile(step, fullgraph=True, backend="eager")
    for got, wanted in zip(compiled(x, x), step(x, x), strict=True):
        assert torch.equal(got, wanted)
