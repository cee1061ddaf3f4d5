"""Tests graph programs: sessions that only fetch become values, tf.while_loop becomes a while loop, the rest stays marked."""

from __future__ import annotations

import contextlib
import io

import pytest
import torch

import tfport

HEAD = "import tensorflow.compat.v1 as tf\n"


def code(text: str, head: str = HEAD) -> str:
    return tfport.convert_source(head + text).code


def body(text: str) -> str:
    """The conversion without import lines."""
    return "".join(
        s for s in code(text).splitlines(True) if not s.startswith(("import torch", "from tfport"))
    )


def printed(text: str) -> str:
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile(text, "converted", "exec"), {})
    return stream.getvalue()


A = "a = tf.constant([1.0, 2.0])\nb = a + 1.0\n"
TA = "a = torch.tensor([1.0, 2.0])\nb = a + 1.0\n"
FETCHES = {
    "with": ("with tf.Session() as s:\n    print(s.run(a))\n", "print(a.numpy())\n"),
    "with, several": ("with tf.Session() as s:\n    x, y = s.run([a, b])\n    print(x)\n", "x, y = a.numpy(), b.numpy()\nprint(x)\n"),
    "list": ("with tf.Session() as s:\n    x = s.run([a, b])\n", "x = [a.numpy(), b.numpy()]\n"),
    "tuple of one": ("with tf.Session() as s:\n    x = s.run((a,))\n", "x = (a.numpy(),)\n"),
    "nested": ("with tf.Session() as s:\n    x = s.run([a, [b, (a,)]])\n", "x = [a.numpy(), [b.numpy(), (a.numpy(),)]]\n"),
    "expression": ("with tf.Session() as s:\n    x = s.run(a + b)\n", "x = (a + b).numpy()\n"),
    "assigned": ("s = tf.Session()\nprint(s.run(a))\ns.close()\n", "print(a.numpy())\n"),
    "initialiser": ("with tf.Session() as s:\n    s.run(tf.global_variables_initializer())\n    print(s.run(a))\n", "print(a.numpy())\n"),
    "initialiser by name": ("init = tf.global_variables_initializer()\nwith tf.Session() as s:\n    s.run(init)\n    print(s.run(a))\n",
                            "print(a.numpy())\n"),
    "only the initialiser": ("with tf.Session() as s:\n    s.run(tf.global_variables_initializer())\n", "pass\n"),
    "one line": ("with tf.Session() as s: print(s.run(a))\n", "print(a.numpy())\n"),
    "one line, two": ("with tf.Session() as s: x = s.run(a); print(x)\n", "x = a.numpy(); print(x)\n"),
    "in a function": ("def f():\n    with tf.Session() as s:\n        return s.run(a)\n", "def f():\n    return a.numpy()\n"),
    "comments": ("with tf.Session() as s:\n    # one\n    x = s.run(a)  # two\n    # three\n", "# one\nx = a.numpy()  # two\n# three\n"),
    "a comment further left": ("with tf.Session() as s:\n    x = s.run(a)\n# left\n    y = s.run(b)\n", "x = a.numpy()\n# left\ny = b.numpy()\n"),
    "a string of several lines": ("with tf.Session() as s:\n    t = '''x\n    y'''\n    x = s.run(a)\n", "t = '''x\n    y'''\nx = a.numpy()\n"),
    "a line further left": ("with tf.Session() as s:\n    x = f(1,\n  2, s.run(a))\n", "x = f(1,\n  2, a.numpy())\n"),
    "blocks": ("with tf.Session() as s:\n    if c:\n        for i in d:\n            x = s.run(a)\n", "if c:\n    for i in d:\n        x = a.numpy()\n"),
    "blank lines": ("with tf.Session() as s:\n\n    x = s.run(a)\n\n    y = 1\nz = 2\n", "x = a.numpy()\n\ny = 1\nz = 2\n"),
    "tabs": ("with tf.Session() as s:\n\tif c:\n\t\tx = s.run(a)\n", "if c:\n\tx = a.numpy()\n"),
    "twice": ("with tf.Session() as s:\n    x = s.run(a)\nwith tf.Session() as s:\n    y = s.run(b)\n", "x = a.numpy()\ny = b.numpy()\n"),
    "another run": ("with tf.Session() as s:\n    x = s.run(a)\ndef g(s, t):\n    return s.run(t), subprocess.run(t)\n",
                    "x = a.numpy()\ndef g(s, t):\n    return s.run(t), subprocess.run(t)\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", FETCHES)
def test_sessions_that_only_fetch(case: str) -> None:
    text, expected = FETCHES[case]
    assert body(A + text) == TA + expected


MARKED = {
    "fed": "with tf.Session() as s:\n    x = s.run(a, feed_dict={a: 1})\n",
    "a dict": "with tf.Session() as s:\n    x = s.run({'a': a})\n",
    "a string": "with tf.Session() as s:\n    x = s.run('a:0')\n",
    "passed on": "with tf.Session() as s:\n    f(s)\n",
    "its graph": "with tf.Session() as s:\n    x = s.graph\n",
    "configured": "with tf.Session(config=tf.ConfigProto()) as s:\n    x = s.run(a)\n",
    "returned": "def f():\n    s = tf.Session()\n    return s\n",
    "one or another": "s = tf.Session() if c else None\nx = s.run(a)\n",
    "rebound": "s = tf.Session()\nx = s.run(a)\ns = other()\ny = s.run(b)\n",
    "random": "r = tf.random_normal([2])\nwith tf.Session() as s:\n    x = s.run(r)\n    y = s.run(r)\n",
    "a variable": "v = tf.Variable(1.0)\nwith tf.Session() as s:\n    s.run(tf.global_variables_initializer())\n    x = s.run(v)\n",
    "a placeholder": "p = tf.placeholder(tf.float32)\nwith tf.Session() as s:\n    x = s.run(a)\n",
    "assign": "op = tf.assign(a, b)\nwith tf.Session() as s:\n    s.run(op)\n",
    "partial_run": "s = tf.Session()\nh = s.partial_run_setup(a)\nx = s.run(a)\n",
    "an attribute": "class A:\n    def f(self):\n        self.s = tf.Session()\n        return self.s.run(a)\n",
}


@pytest.mark.parametrize("case", MARKED)
def test_other_sessions_stay_under_marks(case: str) -> None:
    result = tfport.convert_source(HEAD + A + MARKED[case])
    assert any(m.api.startswith("tf.Session") for m in result.marks), result.code
    assert "tf.Session(" in result.code


LOOP = "def cond(i, s): return i < 5\ndef body(i, s):\n    i += 1\n    return i, s + i\nk = tf.constant(0)\nn = tf.constant(1)\n"
LOOPS = {
    "two": ("x, y = tf.while_loop(cond, body, [k, n])\n", "x, y = k, n\nwhile cond(x, y):\n    x, y = body(x, y)\n"),
    "keywords": ("x, y = tf.while_loop(body=body, cond=cond, loop_vars=(k, n), back_prop=False)\n",
                 "x, y = k, n\nwhile cond(x, y):\n    x, y = body(x, y)\n"),
    "one name": ("r = tf.while_loop(cond, body, [k, n])\n", "r = [k, n]\nwhile cond(*r):\n    r = body(*r)\n"),
    "in brackets": ("[x, y] = tf.while_loop(cond, body, [k, n])\n", "x, y = k, n\nwhile cond(x, y):\n    x, y = body(x, y)\n"),
    "comments": ("x, y = tf.while_loop(  # one\n    cond, body,  # two\n    [k, n])  # three\n",
                 "# one\n# two\nx, y = k, n\nwhile cond(x, y):\n    x, y = body(x, y)  # three\n"),
    "indented": ("if c:\n    x, y = tf.while_loop(cond, body, [k, n])\n",
                 "if c:\n    x, y = k, n\n    while cond(x, y):\n        x, y = body(x, y)\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", LOOPS)
def test_loops(case: str) -> None:
    text, expected = LOOPS[case]
    assert body(LOOP + text).endswith(expected), body(LOOP + text)


KEPT_LOOPS = {
    "a limit": "x, y = tf.while_loop(cond, body, [k, n], maximum_iterations=3)\n",
    "python numbers": "x, y = tf.while_loop(cond, body, [0, 1])\n",
    "lambdas": "x, y = tf.while_loop(lambda i, s: i < 3, lambda i, s: (i + 1, s), [k, n])\n",
    "a semicolon": "x, y = tf.while_loop(cond, body, [k, n]); z = 1\n",
    "after a semicolon": "z = 1; x, y = tf.while_loop(cond, body, [k, n])\n",
    "one-line if": "if True: x, y = tf.while_loop(cond, body, [k, n])\n",
    "attributes": "class A: pass\no = A()\no.x, y = tf.while_loop(cond, body, [k, n])\n",
    "in an expression": "z = f(tf.while_loop(cond, body, [k, n]))\n",
    "unknown variables": "x, y = tf.while_loop(cond, body, [u, v])\n",
    "unknown functions": "x, y = tf.while_loop(o.cond, o.body, [k, n])\n",
    "captured": "def test(i, s): return i < n\nx, n = tf.while_loop(test, body, [k, n])\n",
    "returns a constant": "def step(i, s): return i + 1, 3\nx, y = tf.while_loop(cond, step, [k, n])\n",
    "defined twice": "def body(i, s): return s, i\nx, y = tf.while_loop(cond, body, [k, n])\n",
}


@pytest.mark.parametrize("case", KEPT_LOOPS)
def test_loops_that_python_might_run_otherwise_stay_calls(case: str) -> None:
    new = code(LOOP + KEPT_LOOPS[case])
    assert "compat.v1.while_loop(" in new or "compat.while_loop(" in new, new
    assert "\nwhile " not in new and "    while " not in new


def test_a_loop_over_its_own_names() -> None:
    new = body(LOOP + "k, n = tf.while_loop(cond, body, [k, n])\n")
    assert new.endswith("while cond(k, n):\n    k, n = body(k, n)\n"), new


@pytest.mark.parametrize("case", LOOPS)
def test_loops_run(case: str) -> None:
    text = LOOP + ("c = True\n" if case == "indented" else "") + LOOPS[case][0]
    out = printed(code(text + f"print([int(v) for v in {'r' if case == 'one name' else '[x, y]'}])\n"))
    assert out == "[5, 16]\n"


def test_the_loop_variables_of_the_caller_do_not_change() -> None:
    space: dict[str, object] = {}
    exec(compile(code(LOOP + "x, y = tf.while_loop(cond, body, [k, n])\n"), "converted", "exec"), space)
    assert (int(space["k"]), int(space["n"]), int(space["x"])) == (0, 1, 5)  # type: ignore[call-overload]
    assert space["k"].dtype == torch.int32 == space["x"].dtype  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        "class Session:\n    def run(self, x): return x\nwith Session() as s:\n    s.run(1)\n",
        "s = requests.Session()\ns.run(a)\n",
        "while_loop(cond, body, [1, 2])\n",
        "x, y = self.while_loop(cond, body, [1, 2])\n",
        "with open(f) as s:\n    # c\n    x = s.run(1)\n",
        "s.run([a, b])\n",
        "init = initializer()\ns.run(init)\n",
    ],
)
def test_what_only_looks_like_a_graph_program_stays(text: str) -> None:
    new = tfport.convert_source("from tensorflow import square\n" + text)
    assert new.code == text and not new.marks
