"""Tests small random programs: run in TensorFlow and, converted, in torch, they give the same values, shapes and dtypes."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tfport

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")  # after Triton, which tests/conftest.py imports where there is one

INPUTS = {
    "a": np.linspace(-2, 2, 6, dtype="float32").reshape(2, 3),
    "b": np.linspace(0.5, 3, 6, dtype="float32").reshape(2, 3),
    "h": np.linspace(-1, 1, 6, dtype="float64").reshape(2, 3),
}
INTEGERS = ("    i = tf.constant([[-2, -1, 0], [1, 2, 3]])", "    j = tf.constant([[3, 1, 2], [5, 4, 7]], dtype=tf.int32)",
            "    k = tf.constant([[0, 1, 2], [3, 4, 5]], tf.int64)")  # fmt: skip
VARIABLES = (*"abhijk",)
HELPERS = """
def ratio(p, q):
    return p / q
def last(xs):
    xs[-1] += 1
    return xs[-1]
def rows(t):
    return t[::-1]
def kind(t):
    return tf.zeros(t.shape, tf.int32) + (1 if t.dtype.name == "float32" else 2 if t.dtype.is_integer else 3)
def each(ts):
    out = []
    for t in ts:
        t *= 2
        out.append(t)
    return out
class Holder:
    def __init__(self, value):
        self.value, self.seen = value, []
    def add(self, other):
        self.seen.append(self.value)
        self.value += other
""".splitlines()
SHARED = {  # what a name shares with another one
    "item": ("    l{n} = [x{n}, {other}]", "    l{n}[1] += 1", "    x{n} = l{n}[1] - l{n}[0]"),
    "dict": ("    d{n} = dict(k=x{n})", "    d{n}['k'] *= 2", "    x{n} = d{n}['k'] - x{n}"),
    "attribute": ("    o{n} = Holder(x{n})", "    o{n}.add(1)", "    o{n}.add({other})", "    x{n} = o{n}.seen[0] - o{n}.value"),
    "loop over": ("    for r{n} in [x{n}, {other}]:", "        r{n} -= 1", "    x{n} = r{n} + x{n}"),
    "function": ("    l{n} = each([x{n}, {other}])", "    x{n} = l{n}[0] + x{n}"),
    "variable": ("    v{n} = tf.Variable(x{n})", "    w{n} = tf.reshape(v{n}, [-1])", "    v{n}.assign(v{n} + 1)", "    x{n} = w{n} + v{n}[0, 0]"),
    "array": ("    n{n} = x{n}.numpy()", "    n{n}[0] = 7", "    x{n} = x{n} + n{n}"),
    "count": ("    c{n} = 0", "    for _ in range(3):", "        c{n} += {other}", "    x{n} = c{n} / 3 + c{n} / x{n}"),
}  # fmt: skip
FLOATS = ["tf.float32", "tf.float64", "'float32'", "tf.int32", "tf.int64", "tf.float16", "tf.uint8"]


@st.composite
def expressions(draw: st.DrawFn, variables: tuple[str, ...], depth: int) -> str:
    """An expression of shape [2, 3], mostly; whatever TensorFlow refuses is not compared."""
    if depth == 0:
        return draw(st.sampled_from(variables))
    inner = expressions(variables, depth - 1)
    x, y = draw(inner), draw(inner)
    number = draw(st.sampled_from(["0.0", "1.5", "-2.0", "2", "0", "-1", "3"]))
    axis = draw(st.sampled_from(["0", "1", "-1", "[0, 1]", "(1,)", "None", "[]", "axis", "[axis]"]))
    keep = draw(st.sampled_from(["True", "False", "keep"]))
    return draw(
        st.sampled_from([
            f"tf.reduce_sum({x}, axis={axis}, keepdims={keep})",
            f"tf.reduce_mean({x}, {axis}, {keep})",
            f"tf.reduce_max(keepdims={keep}, axis={axis}, input_tensor={x})",
            f"tf.cast({x}, {draw(st.sampled_from(FLOATS))})",
            f"tf.maximum({x}, {number})",
            f"tf.minimum({x}, {y})",
            f"tf.concat([{x}, {y}], axis={draw(st.sampled_from(['0', '1', '-1', 'axis']))})[:2, :3]",
            f"tf.reshape({x}, {draw(st.sampled_from(['[3, 2]', '(-1,)', 'tf.shape(a)', '[2, -1]', '[tf.shape(a)[0], 3]']))})",
            f"tf.where({x} > {y}, {x}, {y})",
            f"tf.where({x} > 0, {x}, {number})",
            f"tf.matmul({x}, {y}, transpose_b=True)",
            f"{x} + {y}", f"{x} - {y} * {number}", f"({x} + {number}) / {y}", f"-{x} ** 2", f"2 ** {x}", f"{x} // {y}", f"{x} % 2",
            f"tf.identity({x})[::-1]", f"tf.abs({x})[:, ::-1]", f"{x}[0]", f"{x}[..., 1:]", f"{x}[:, tf.newaxis]", f"{x}[:, 1]", f"tf.square({x})[-1, ::2]",
            f"tf.square({x}) if {number} > 0 else {y}",
            f"tf.add({x}, tf.multiply({y}, {number}))",
            f"tf.stack([{x}, {y}], axis={draw(st.sampled_from(['0', '-1', '1']))})[0]",
            f"tf.transpose({x})", f"tf.transpose({x}, [1, 0])", f"tf.expand_dims({x}, -1)", f"tf.abs({x})",
            f"tf.zeros_like({x}) + {y}", f"tf.one_hot(tf.argmax({x}, 1), 3)", f"tf.cast({x} >= {y}, tf.float32)",
            f"tf.reduce_sum(tf.square({x} - {y})) * {number}", f"tf.clip_by_value({x}, {number}, 2)", f"tf.pow({x}, 2)",
            f"tf.tile({x}, [1, 2])[:, :3]", f"tf.squeeze(tf.expand_dims({x}, 0))", f"tf.constant({number}) * 2",
            f"tf.fill([2, 3], {number})", "tf.range(3) * 2", f"tf.ones([2, 3], {draw(st.sampled_from(FLOATS))})",
            f"{x} / 2", f"{x} / {y}", f"ratio({x}, {y})", f"ratio({x}, {number})", f"last([{x}, {y}])", f"(({x}) > {number}) * ({y})",
            f"(({x}) > {y}) & (({x}) != {number})", f"({x}) == [1.0, 2.0, 3.0]", f"tf.cast({x}, tf.float32)[:, ::step]", f"rows({x})[::-1]",
            f"tf.zeros(tf.square({x}).shape, tf.square({x}).dtype) + {y}", f"{x} / tf.size({x}, out_type=tf.int64)", f"tf.shape({x})[0] * {y}", f"tf.reduce_sum({x}) / tf.reduce_max({y})",
            f"{x} if tf.identity({y}).dtype.is_floating else {y}", f"{x} if tf.identity({y}).shape == [2, 3] else {y}", f"kind(tf.square({x}))", f"tf.constant({number}) / 3", f"-({x}) // 2", f"({x}) % -2",
            f"tf.cumsum({x}, axis=1)", f"tf.sign({x})", f"tf.not_equal({x}, {y})", f"tf.gather({x}, [1, 0])",
            f"tf.gather({x}, [2, 0], axis=1)", f"tf.reduce_all({x} > {number})", f"tf.divide({x}, {y})", f"tf.subtract({x}, 1)",
        ])
    )  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A function of the inputs: assignments, an if, a loop, augmented assignments."""
    variables = VARIABLES
    lines = [*HELPERS, "def f(a, b, h):", *INTEGERS, f"    step = {draw(st.sampled_from(['1', '-1', '2', '-2']))}",
             f"    axis = {draw(st.sampled_from(['0', '1', '-1']))}",
             f"    keep = {draw(st.sampled_from(['True', 'False']))}"]  # fmt: skip
    for n in range(draw(st.integers(1, 3))):
        expression = draw(expressions(variables, draw(st.integers(1, 2))))
        form = draw(st.sampled_from(["plain", "plain", "plain", "if", "loop", "update", "alias", *SHARED]))
        other = draw(st.sampled_from(variables))
        lines.append(f"    x{n} = {expression if form != 'update' else other}")
        if form == "if":
            lines += [
                f"    if {draw(st.sampled_from(['axis > 0', 'keep', 'tf.reduce_sum(a) > 100.0']))}:",
                f"        x{n} = tf.square({other})",
            ]
        elif form == "loop":
            lines += ["    for _ in range(2):", f"        x{n} = x{n} * 2"]
        elif form == "update":
            operator = draw(st.sampled_from(["+", "-", "*"]))
            lines.append(f"    x{n} {operator}= {draw(st.sampled_from(['2', other, expression]))}")
        elif form == "alias":
            lines += [f"    y{n} = x{n}", f"    y{n} += 1"]
        elif form in SHARED:
            lines += [line.format(n=n, other=other) for line in SHARED[form]]
        variables = (*variables, f"x{n}")
    return "\n".join([*lines, f"    return {', '.join(v for v in variables)}", ""])


def run(code: str, arguments: dict[str, object]) -> tuple:
    """The values that ``f`` of the program returns."""
    space: dict[str, object] = {}
    exec(compile(code, "program", "exec"), space)
    return space["f"](*arguments.values())  # type: ignore[operator]


def comparable(value: object) -> np.ndarray:
    """A result as an array; Python numbers as they are."""
    if torch.is_tensor(value):
        return value.to(torch.float32).numpy() if value.dtype == torch.bfloat16 else value.detach().numpy()
    return value.numpy() if hasattr(value, "numpy") else np.asarray(value)


def compare(program: str) -> bool:
    """Run both; False where TensorFlow refuses the program."""
    source = f"import tensorflow as tf\n\n{program}"
    result = tfport.convert_source(source, version=2)
    assert not result.marks, result.code
    try:
        expected = run(source, {n: tf.constant(v) for n, v in INPUTS.items()})
    except (tf.errors.OpError, ValueError, TypeError, NotImplementedError):
        return False
    got = run(result.code, {n: torch.tensor(v) for n, v in INPUTS.items()})
    for place, (left, right) in enumerate(zip(expected, got, strict=True)):
        want, have = comparable(left), comparable(right)
        assert want.shape == have.shape and want.dtype == have.dtype, (
            f"result {place}: {want.dtype}{want.shape} against {have.dtype}{have.shape}\n{program}\n{result.code}"
        )
        with np.errstate(all="ignore"):
            close = np.allclose(
                want.astype("float64"),
                have.astype("float64"),
                rtol=1e-3 if want.dtype == "float16" else 1e-5,
                equal_nan=True,
            )
        assert close, f"result {place}: {want} against {have}\n{program}\n{result.code}"
    return True


@settings(max_examples=int(os.environ.get("TFPORT_EXAMPLES", 150)), deadline=None, derandomize=True, database=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(programs())
def test_random_programs(program: str) -> None:
    compare(program)


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize(
    "expression",
    ["tf.reduce_sum({0}, axis=1)", "tf.reduce_mean({0})", "tf.cast({0}, tf.float32) / 2", "tf.maximum({0}, 1)", "{0} / {0}", "{0} // 2",
     "tf.reduce_sum(tf.cast({0}, tf.int64), 0)", "tf.where({0} > 1, {0}, {0} * 2)", "tf.matmul({0}, {0}, transpose_b=True)",
     "tf.concat([{0}, {0}], 1)", "tf.reduce_mean(tf.cast({0}, tf.int32), axis=0, keepdims=True)", "tf.identity({0})[:, ::-1]",
     "tf.cumsum({0})", "{0} / 2", "3 / {0}", "{0} % 2", "{0} ** 2", "tf.cast({0}, tf.uint8) / 2", "-{0} / {0}[0]", "1 + {0} / {0} / 2",
     "ratio({0}, {0})", "ratio({0}, 2)", "last([{0}])", "kind({0})", "rows({0})", "({0} > 1) * {0}", "{0} == [1, 2, 3]"],
)  # fmt: skip
def test_every_dtype(expression: str, name: str) -> None:
    lines = [*HELPERS, "def f(a, b, h):", *INTEGERS, f"    return {expression.format(name)},\n"]
    assert compare("\n".join(lines))
