"""Tests inlined calls: order and number of evaluations, parentheses, comments, defaults, spellings of arguments."""

from __future__ import annotations

import ast

import pytest
import torch

import tfport

HEAD = "import tensorflow as tf\n"


def converted(text: str, head: str = HEAD) -> str:
    """The conversion of a snippet without its import lines."""
    code = tfport.convert_source(head + text).code
    imports = ("import torch", "from torch import nn", "from tfport import compat", "import math")
    return "".join(line for line in code.splitlines(True) if not line.startswith(imports))


def line(text: str, head: str = HEAD) -> str:
    """The conversion of one line."""
    return converted(text + "\n", head).strip()


TRACED = """
LOG = []

def t(name, value):
    LOG.append(name)
    return value

x = tf.constant([1.0, 2.0])
y = tf.constant([3.0, 5.0])
m = tf.constant([[1.0, 2.0], [3.0, 4.0]])
c = tf.constant([True, False])
"""

# call -> the order in which Python evaluates its arguments
ORDERS = {
    "tf.subtract(t('a', x), t('b', y))": "ab",
    "tf.subtract(y=t('a', y), x=t('b', x))": "ab",
    "tf.pow(y=t('a', y), x=t('b', x))": "ab",
    "tf.square(t('a', x))": "a",
    "tf.nn.relu(features=t('a', x))": "a",
    "tf.nn.softmax(t('a', m), axis=t('b', 1))": "ab",
    "tf.nn.softmax(axis=t('a', 1), logits=t('b', m))": "ab",
    "tf.matmul(b=t('a', m), a=t('b', m))": "ab",
    "tf.matmul(t('a', m), t('b', m), transpose_b=t('c', True))": "abc",
    "tf.reduce_sum(t('a', m), t('b', 1), t('c', True))": "abc",
    "tf.reduce_sum(keepdims=t('a', True), axis=t('b', 1), input_tensor=t('c', m))": "abc",
    "tf.concat([t('a', x), t('b', y)], t('c', 0))": "abc",
    "tf.concat(axis=t('a', 0), values=[t('b', x), t('c', y)])": "abc",
    "tf.stack([t('a', x), t('b', y)], axis=t('c', 0))": "abc",
    "tf.maximum(t('a', x), t('b', 0.0))": "ab",
    "tf.clip_by_value(t('a', x), t('b', 0.0), t('c', 1.0))": "abc",
    "tf.clip_by_value(clip_value_max=t('a', 1.0), clip_value_min=t('b', 0.0), t=t('c', x))": "abc",
    "tf.transpose(t('a', m), perm=t('b', [1, 0]))": "ab",
    "tf.transpose(perm=t('a', [1, 0]), a=t('b', m))": "ab",
    "tf.reshape(shape=t('a', [4]), tensor=t('b', m))": "ab",
    "tf.expand_dims(t('a', x), t('b', 0))": "ab",
    "tf.squeeze(t('a', tf.expand_dims(t('b', x), 0)), axis=t('c', 0))": "bac",
    "tf.cast(dtype=t('a', tf.int32), x=t('b', x))": "ab",
    "tf.tile(t('a', x), t('b', [2]))": "ab",
    "tf.gather(indices=t('a', tf.constant([0])), params=t('b', x))": "ab",
    "tf.one_hot(t('a', tf.constant([0])), t('b', 3))": "ab",
    "tf.identity(t('a', x))": "a",
    "tf.zeros_like(t('a', x))": "a",
    "tf.ones_like(t('a', x))": "a",
    "tf.add_n([t('a', x), t('b', y)])": "ab",
    "tf.tanh(t('a', x), name=t('b', 'n'))": "ab",
    "tf.stop_gradient(t('a', x))": "a",
    "tf.math.squared_difference(t('a', x), t('b', y))": "ab",
    "tf.nn.leaky_relu(t('a', x), t('b', 0.1))": "ab",
    "tf.nn.leaky_relu(alpha=t('a', 0.1), features=t('b', x))": "ab",
    "tf.add(t('a', x), tf.multiply(t('b', x), t('c', y)))": "abc",
    "tf.add(y=tf.multiply(y=t('a', x), x=t('b', y)), x=t('c', y))": "abc",
    "tf.reduce_sum(tf.stack([t('a', x), *[t('b', y)]]))": "ab",
    "tf.subtract(*[t('a', x), t('b', y)])": "ab",
    "tf.subtract(t('a', x), **{'y': t('b', y)})": "ab",
    "tf.subtract(x if t('a', True) else t('b', y), t('c', y))": "ac",
    "tf.compat.v1.where(t('a', c), t('b', x), t('c', y))": "abc",
    "tf.compat.v2.where(y=t('a', y), x=t('b', x), condition=t('c', c))": "abc",
    "tf.nn.l2_normalize(t('a', x), t('b', 0))": "ab",
    "tf.one_hot(indices=t('a', tf.constant([0])), depth=t('b', 3), dtype=t('c', tf.float32))": "abc",
    "tf.linspace(t('a', 0.0), t('b', 1.0), t('c', 3))": "abc",
    "tf.range(t('a', 0), t('b', 3))": "ab",
    "tf.pad(t('a', x), t('b', [[1, 1]]))": "ab",
    "tf.split(t('a', x), t('b', 2))": "ab",
}


@pytest.mark.parametrize("call", ORDERS)
def test_every_argument_is_evaluated_once_and_in_order(call: str) -> None:
    result = tfport.convert_source(HEAD + TRACED + f"result = {call}\n")
    assert not result.marks, result.code
    space: dict[str, object] = {}
    exec(compile(result.code, "converted", "exec"), space)
    assert "".join(space["LOG"]) == ORDERS[call], result.code.splitlines()[-1]  # type: ignore[arg-type]


# what a mutable attribute holds must be read before or after an effect, as in the call
STATE = """
class Box:
    value = tf.constant([1.0])

box = Box()

def change():
    box.value = tf.constant([10.0])
    return tf.constant([100.0])

"""


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("tf.subtract(x=box.value, y=change())", -99.0),
        ("tf.subtract(y=change(), x=box.value)", -90.0),
        ("tf.subtract(change(), box.value)", 90.0),
        ("tf.subtract(y=box.value, x=change())", 99.0),
        ("tf.add(tf.square(box.value), change())", 101.0),
        ("tf.subtract(y=(z := change()), x=z)", 0.0),
        ("tf.divide(y=[change()][0], x=box.value)", 0.1),
    ],
)
def test_state_is_read_when_the_call_reads_it(call: str, expected: float) -> None:
    result = tfport.convert_source(HEAD + STATE + f"result = {call}\n")
    space: dict[str, object] = {}
    exec(compile(result.code, "converted", "exec"), space)
    assert torch.allclose(space["result"], torch.tensor([expected])), result.code  # type: ignore[arg-type]


# an expression in TensorFlow -> what must stand in its place
EXPRESSIONS = {
    "tf.add(a, b) * 2": "(a + b) * 2",
    "2 * tf.add(a, b)": "2 * (a + b)",
    "tf.add(a, b) + c": "a + b + c",
    "c - tf.add(a, b)": "c - (a + b)",
    "tf.multiply(a + b, c)": "(a + b) * c",
    "tf.multiply(a, b + c)": "a * (b + c)",
    "tf.subtract(a, b - c)": "a - (b - c)",
    "tf.subtract(a - b, c)": "a - b - c",
    "-tf.add(a, b)": "-(a + b)",
    "tf.negative(a) ** 2": "(-a) ** 2",
    "tf.add(a, b) ** 2": "(a + b) ** 2",
    "2 ** tf.add(a, b)": "2 ** (a + b)",
    "tf.add(a, b).shape": "(a + b).shape",
    "tf.add(a, b)[0]": "(a + b)[0]",
    "q[tf.add(a, b)]": "q[a + b]",
    "q[tf.add(a, b):]": "q[a + b:]",
    "f(tf.add(a, b))": "f(a + b)",
    "f(k=tf.add(a, b))": "f(k=a + b)",
    "f(*tf.add(a, b))": "f(*a + b)",
    "not tf.add(a, b)": "not a + b",
    "tf.add(a, b) if c else d": "a + b if c else d",
    "c if tf.add(a, b) else d": "c if a + b else d",
    "tf.add(a if b else c, d)": "(a if b else c) + d",
    "tf.add(lambda: 1, d)": "(lambda: 1) + d",
    "lambda: tf.add(a, b)": "lambda: a + b",
    "lambda q=tf.add(a, b): q": "lambda q=a + b: q",
    "[tf.add(a, b)for a in b]": "[a + b for a in b]",
    "[a for a in b if tf.add(a, b)]": "[a for a in b if a + b]",
    "{tf.add(a, b): tf.add(b, a)}": "{a + b: b + a}",
    "1 < tf.add(a, b) < 3": "1 < a + b < 3",
    "tf.equal(a, b) == c": "(a == b) == c",
    "tf.add(a, b) and c or tf.add(b, a)": "a + b and c or b + a",
    "tf.add(tf.add(a, b), tf.add(c, d))": "a + b + (c + d)",
    "tf.square(tf.square(tf.square(a)))": "torch.square(torch.square(torch.square(a)))",
    "(tf.square(a))": "(torch.square(a))",
    "( tf.square( a ) )": "( torch.square(a) )",
    "tf.square((a))": "torch.square(a)",
    "tf.square((a, b)[0])": "torch.square((a, b)[0])",
    "tf.square(q := a)": "torch.square((q := a))",
    "(q := tf.square(a))": "(q := torch.square(a))",
    "tf.square(a,)": "torch.square(a)",
    "tf.square(\n  a\n)": "torch.square(a)",
    "tf.nn.softmax(a)": "torch.softmax(a, dim=-1)",
    "tf.nn.softmax(a, axis=-1)": "torch.softmax(a, dim=-1)",
    "tf.nn.softmax(a, 1)": "torch.softmax(a, dim=1)",
    "tf.nn.softmax(axis=1, logits=a)": "torch.softmax(a, dim=1)",
    "tf.reduce_mean(a)": "torch.mean(a)",
    "tf.reduce_mean(a, None)": "torch.mean(a)",
    "tf.reduce_mean(a, 1, False)": "torch.mean(a, dim=1)",
    "tf.reduce_mean(a, axis=1, keepdims=True)": "torch.mean(a, dim=1, keepdim=True)",
    "tf.reduce_mean(a, reduction_indices=[1])": "torch.mean(a, dim=[1])",
    "tf.reduce_mean(a, axis=1, keep_dims=True)": "torch.mean(a, dim=1, keepdim=True)",
    "tf.reduce_mean(a, [])": "a",
    "tf.reduce_mean(a, 1, name='n')": "torch.mean(a, dim=1)",
    "tf.concat([a, b], 0)": "torch.cat([a, b])",
    "tf.concat(values=[a, b], axis=-1)": "torch.cat([a, b], dim=-1)",
    "tf.cast(a, tf.float32)": "a.to(torch.float32)",
    "tf.cast(a, 'float32')": "a.to(torch.float32)",
    "tf.cast(a + b, tf.float32)": "(a + b).to(torch.float32)",
    "tf.cast(-a, tf.float32)": "(-a).to(torch.float32)",
    "tf.cast(a if b else c, tf.int64)": "(a if b else c).to(torch.int64)",
    "tf.float32": "torch.float32",
    "[tf.float32, tf.int32][0]": "[torch.float32, torch.int32][0]",
    "f(tf.float32, dtype=tf.int64)": "f(torch.float32, dtype=torch.int64)",
    "tf.newaxis": "None",
    "q[:, tf.newaxis]": "q[:, None]",
    "tf.math.reduce_mean(a)": "torch.mean(a)",
    "tf.compat.v1.reduce_mean(a)": "torch.mean(a)",
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_text_of_an_expression(expression: str) -> None:
    assert line(f"z = {expression}") == f"z = {EXPRESSIONS[expression]}"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_text_of_an_expression_parses_to_the_same_tree_in_parentheses(expression: str) -> None:
    """Every place where an expression can stand takes the new text without changing what binds to what."""
    new = EXPRESSIONS[expression]
    for place in ("f({})", "[{}]", "({})", "{{'k': ({})}}", "g[({})]", "lambda: ({})"):
        got = line(f"z = {place.format(expression)}")
        assert ast.dump(ast.parse(got)) == ast.dump(ast.parse(f"z = {place.format(new)}")), got


PLACES = ["{} ** r", "r ** {}", "-{}", "not {}", "{}.T", "{}[0]", "{}(r)", "r @ {}", "{} @ r", "r << {}", "r & {}", "{} | r",
          "r < {}", "{} in r", "{} and r", "r or {}", "{} if r else s", "r if {} else s", "r if s else {}", "*{}, r",
          "r[{}:]", "r[{}, 0]", "await_({})", "{}, r", "lambda: {}", "f'{{{}}}'"]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("inner", ["a", "a + b", "a if b else c", "lambda: a", "a, b", "-a", "a < b", "a and b", "not a",
                                   "a ** b", "(a, b)", "[a]", "1", "1.5", "a.b", "a[0]", "a | b", "q := a"])  # fmt: skip
def test_precedence(place: str, inner: str) -> None:
    """``tf.identity(E)`` and ``tf.add(E, d)`` in every place mean what the same with ``(E)`` and ``((E) + d)`` means."""
    for call, meant in (
        (f"tf.add(({inner}), d)", f"(({inner}) + d)"),
        (f"tf.subtract(d, ({inner}))", f"(d - ({inner}))"),
    ):
        text = f"z = {place.format(call)}"
        if "tf.add" in text and inner.replace(".", "").isdigit():
            continue  # numbers are converted by compat
        got = line(text)
        if "compat." in got:
            continue
        assert ast.dump(ast.parse(got)) == ast.dump(ast.parse(f"z = {place.format(meant)}")), got


def test_comments_inside_a_call_move_above_the_statement() -> None:
    text = "z = tf.reduce_mean(  # one\n    a,  # two\n    # three\n    axis=1,\n)  # four\n"
    assert converted(text) == "# one\n# two\n# three\nz = torch.mean(a, dim=1)  # four\n"


def test_comments_inside_a_kept_list_stay() -> None:
    text = "z = tf.concat([\n    a,  # one\n    b,  # two\n], axis=0)\n"
    assert converted(text) == "z = torch.cat([\n    a,  # one\n    b,  # two\n])\n"


def test_a_long_call_stays_broken_one_argument_a_line() -> None:
    name = "a_rather_long_name_of_an_expression" * 2
    got = converted(f"z = tf.nn.softmax(\n    {name} +\n    {name},\n    axis=1,\n)\n")
    assert ast.dump(ast.parse(got)) == ast.dump(ast.parse(f"z = torch.softmax({name} + {name}, dim=1)"))


def test_an_outer_call_that_stays_keeps_its_layout() -> None:
    assert (
        converted("z = f(\n    tf.square(a),  # c\n    g(  b ),\n)\n")
        == "z = f(\n    torch.square(a),  # c\n    g(  b ),\n)\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("z = f'{tf.square(a)}'", "z = f'{torch.square(a)}'"),
        ("z = f'{tf.square(a)!r:>{tf.add(b, c)}} {d}'", "z = f'{torch.square(a)!r:>{b + c}} {d}'"),
        ("z = f'{{{tf.square(a)}}} é {tf.square(b)}'", "z = f'{{{torch.square(a)}}} é {torch.square(b)}'"),
        ("z = rf'\\d{tf.square(a)}' 'x' f\"{tf.square(b)}\"", "z = rf'\\d{torch.square(a)}' 'x' f\"{torch.square(b)}\""),
        ("z = f'{tf.square(a)=}'", "z = f'{torch.square(a)=}'"),
        ("z = f'tf.square(a)'", "z = f'tf.square(a)'"),
        ("z = f'{a[\"tf\"]} {tf.square(a)}'", "z = f'{a[\"tf\"]} {torch.square(a)}'"),
        ("z = f'''\n{tf.square(a)}\n'''", "z = f'''\n{torch.square(a)}\n'''"),
    ],
)  # fmt: skip
def test_f_strings(text: str, expected: str) -> None:
    assert line(text) == expected


@pytest.mark.parametrize("call", ["tf.reduce_mean(*args)", "tf.reduce_mean(a, **kwargs)", "tf.reduce_mean(a, *args, keepdims=True)",
                                  "tf.concat(*args, **kwargs)"])  # fmt: skip
def test_stars_at_a_call_go_to_compat(call: str) -> None:
    assert line(f"z = {call}") == f"z = {call.replace('tf.', 'compat.')}"


@pytest.mark.parametrize("call", ["tf.argmax(*args)", "tf.nn.dropout(*args)", "tf.nn.dropout(**kwargs)"])
def test_stars_where_the_versions_differ_are_marked(call: str) -> None:
    result = tfport.convert_source(HEAD + f"z = {call}\n")
    assert [m.code for m in result.marks] == ["TFP103"] and f"z = {call}" in result.code


def test_the_version_decides_the_rule() -> None:
    call = "z = tf.nn.dropout(a, 0.9)"
    old = converted(call + "\n", "import tensorflow.compat.v1 as tf\n")
    new = converted(call + "\n", "import tensorflow.compat.v2 as tf\n")
    assert old != new and "tf.nn" not in old + new
    assert [m.code for m in tfport.convert_source(HEAD + call + "\n").marks] == ["TFP103"]
    for version in (1, 2):
        assert not tfport.convert_source(HEAD + call + "\n", version=version).marks


@pytest.mark.parametrize("call", ["tf.square()", "tf.square(a, b, c, d)", "tf.square(a, nonsense=1)", "tf.square(a, x=b)",
                                  "tf.concat([a, b])"])  # fmt: skip
def test_arguments_that_do_not_fit_are_marked(call: str) -> None:
    result = tfport.convert_source(HEAD + f"z = {call}\n")
    assert [m.code for m in result.marks] == ["TFP104"] and f"z = {call}" in result.code


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("f = tf.square", "f = compat.square"),
        ("map(tf.square, a)", "map(compat.square, a)"),
        ("f(activation=tf.nn.relu)", "f(activation=compat.nn.relu)"),
        ("d = {'relu': tf.nn.relu}", "d = {'relu': compat.nn.relu}"),
        ("partial(tf.reduce_mean, axis=1)", "partial(compat.reduce_mean, axis=1)"),
    ],
)
def test_a_function_as_a_value_is_its_compat_twin(call: str, expected: str) -> None:
    assert line(call) == expected


@pytest.mark.parametrize(
    "text",
    [
        "z = a.reduce_sum(b)",
        "z = self.tf.square(a)",
        "z = 'tf.square(a)'",
        "z = 1  # tf.square(a)",
        "z = np.square(a)",
        "z = other.nn.relu(a)",
        "z = layers.Dense(3)(a)",
        "z = relu(a)",
        "z = a.shape[1]",
        "z = a.value",
        "z = {'tf': 1}['tf']",
        "def square(tf):\n    return tf.square(tf)",
        "z = [tf.square for tf in a]",
        "z = lambda tf: tf.nn.relu(1)",
        "class A:\n    def square(self):\n        return self.square()",
        "z = f'{a!r:>10}' '''\ntf.square'''",
        "z = a.run(b)",
        "z = s.close()",
        "x += 1",
    ],
)
def test_code_that_only_looks_like_tensorflow_stays(text: str) -> None:
    assert converted("tf.square(1.0)\n" + text + "\n").split("\n", 1)[1] == text + "\n"
