"""Tests marks: where they stand, that they stand once, and what the stub does when a marked line runs."""

from __future__ import annotations

import pytest

import tfport
from tfport.compat.unported import UnportedError

HEAD = "import tensorflow as tf\n"
MARK = "# tfport: TODO["


def body(text: str, head: str = HEAD) -> list[str]:
    """The lines of the conversion below its imports and stubs, marks shortened to ``#code name``."""
    code = tfport.convert_source(head + text).code
    lines = []
    for line in code.splitlines():
        if line.startswith(("import ", "from tfport")) or line.startswith("tf = compat.unported"):
            continue
        if line.lstrip().startswith(MARK):
            indent = line[: len(line) - len(line.lstrip())]
            rest = line.strip().removeprefix(MARK)
            line = f"{indent}#{rest[:6]} {rest[8:].split(':')[0]}"
        lines.append(line)
    return lines


M = "#TFP101 tf.foo"
# text -> lines; "M" alone is the mark at that indentation
PLACES = {
    "expression": ("tf.foo(1)", [M, "tf.foo(1)"]),
    "assignment": ("x = tf.foo(1)", [M, "x = tf.foo(1)"]),
    "in a function": ("def f():\n    return tf.foo(1)", ["def f():", "    " + M, "    return tf.foo(1)"]),
    "with tabs": ("def f():\n\treturn tf.foo(1)", ["def f():", "\t" + M, "\treturn tf.foo(1)"]),
    "twice in one statement": ("x = tf.foo(1) + tf.foo(2)", [M, "x = tf.foo(1) + tf.foo(2)"]),
    "two names": ("x = tf.foo(1) + tf.bar(2)", [M, "#TFP101 tf.bar", "x = tf.foo(1) + tf.bar(2)"]),
    "two statements": ("tf.foo(1)\ntf.foo(2)", [M, "tf.foo(1)", M, "tf.foo(2)"]),
    "several lines": ("x = f(\n    1,\n    tf.foo(1),\n)", [M, "x = f(", "    1,", "    tf.foo(1),", ")"]),
    "decorator": ("@tf.foo\ndef f():\n    pass", [M, "@tf.foo", "def f():", "    pass"]),
    "second decorator": ("@a\n@tf.foo(1)\ndef f():\n    pass", [M, "@a", "@tf.foo(1)", "def f():", "    pass"]),
    "default": ("def f(x=tf.foo(1)):\n    pass", [M, "def f(x=tf.foo(1)):", "    pass"]),
    "keyword-only default": ("def f(*, x=tf.foo(1)):\n    pass", [M, "def f(*, x=tf.foo(1)):", "    pass"]),
    "annotation": ("def f(x: tf.foo) -> int:\n    pass", [M, "def f(x: tf.foo) -> int:", "    pass"]),
    "result annotation": ("def f(x) -> tf.foo:\n    pass", [M, "def f(x) -> tf.foo:", "    pass"]),
    "base class": ("class A(tf.foo):\n    pass", [M, "class A(tf.foo):", "    pass"]),
    "metaclass": ("class A(metaclass=tf.foo):\n    pass", [M, "class A(metaclass=tf.foo):", "    pass"]),
    "lambda": ("f = lambda x: tf.foo(x)", [M, "f = lambda x: tf.foo(x)"]),
    "comprehension": ("x = [tf.foo(i) for i in y]", [M, "x = [tf.foo(i) for i in y]"]),
    "f-string": ("x = f'{tf.foo(1)}'", [M, "x = f'{tf.foo(1)}'"]),
    "if": ("if tf.foo(1):\n    pass", [M, "if tf.foo(1):", "    pass"]),
    "elif": ("if a:\n    pass\nelif tf.foo(1):\n    pass", ["if a:", "    pass", M, "elif tf.foo(1):", "    pass"]),
    "else if": ("if a:\n    pass\nelse:\n    if tf.foo(1):\n        pass",
                ["if a:", "    pass", "else:", "    " + M, "    if tf.foo(1):", "        pass"]),
    "while": ("while tf.foo(1):\n    pass", [M, "while tf.foo(1):", "    pass"]),
    "for": ("for x in tf.foo(1):\n    pass", [M, "for x in tf.foo(1):", "    pass"]),
    "for else": ("for x in y:\n    pass\nelse:\n    tf.foo(1)", ["for x in y:", "    pass", "else:", "    " + M, "    tf.foo(1)"]),
    "with": ("with tf.foo(1) as x:\n    pass", [M, "with tf.foo(1) as x:", "    pass"]),
    "except": ("try:\n    pass\nexcept tf.foo:\n    pass", ["try:", "    pass", M, "except tf.foo:", "    pass"]),
    "finally": ("try:\n    pass\nfinally:\n    tf.foo(1)", ["try:", "    pass", "finally:", "    " + M, "    tf.foo(1)"]),
    "assert": ("assert tf.foo(1), 'x'", [M, "assert tf.foo(1), 'x'"]),
    "raise": ("raise tf.foo('x')", [M, "raise tf.foo('x')"]),
    "del": ("del x[tf.foo(1)]", [M, "del x[tf.foo(1)]"]),
    "match": ("match tf.foo(1):\n    case 1:\n        pass", [M, "match tf.foo(1):", "    case 1:", "        pass"]),
    "one-line if": ("if x: tf.foo(1)", [M, "if x: tf.foo(1)"]),
    "one-line if, two": ("if x: a; tf.foo(1)", [M, "if x: a; tf.foo(1)"]),
    "one-line else": ("if x:\n    pass\nelse: tf.foo(1)", ["if x:", "    pass", M, "else: tf.foo(1)"]),
    "one-line finally": ("try: a\nfinally: tf.foo(1)", ["try: a", M, "finally: tf.foo(1)"]),
    "one-line except": ("try: a\nexcept E: tf.foo(1)", ["try: a", M, "except E: tf.foo(1)"]),
    "one-line def": ("def f(): return tf.foo(1)", [M, "def f(): return tf.foo(1)"]),
    "one-line class": ("class A: x = tf.foo(1)", [M, "class A: x = tf.foo(1)"]),
    "one-line case": ("match x:\n    case 1: tf.foo(1)", ["match x:", "    " + M, "    case 1: tf.foo(1)"]),
    "semicolon": ("a = 1; tf.foo(1); b = 2", [M, "a = 1; tf.foo(1); b = 2"]),
    "header of several lines": ("if (a and\n    b): tf.foo(1)", [M, "if (a and", "    b): tf.foo(1)"]),
    "after a string of several lines": ('s = """a\nb"""; tf.foo(1)', [M, 's = """a', 'b"""; tf.foo(1)']),
    "after brackets of several lines": ("s = [1,\n  2]; tf.foo(1)", [M, "s = [1,", "  2]; tf.foo(1)"]),
    "after a backslash": ("a = 1; \\\ntf.foo(1)", [M, "a = 1; \\", "tf.foo(1)"]),
    "if and backslash": ("if a: \\\n    tf.foo(1)", [M, "if a: \\", "    tf.foo(1)"]),
    "else and backslash": ("if a:\n    b\nelse: \\\n    tf.foo(1)", ["if a:", "    b", M, "else: \\", "    tf.foo(1)"]),
    "backslash inside": ("x = 1 + \\\n    tf.foo(1)", [M, "x = 1 + \\", "    tf.foo(1)"]),
    "below a comment": ("# c\ntf.foo(1)", ["# c", M, "tf.foo(1)"]),
    "in a class body": ("class A:\n    x = tf.foo(1)", ["class A:", "    " + M, "    x = tf.foo(1)"]),
    "a class attribute of the same name": ("class A:\n    tf = tf\n    x = tf.foo(1)",
                                           ["class A:", "    #TFP105 tf", "    tf = tf", "    " + M, "    x = tf.foo(1)"]),
    "deep": ("def f():\n    if a:\n        for b in c:\n            tf.foo(1)",
             ["def f():", "    if a:", "        for b in c:", "            " + M, "            tf.foo(1)"]),
    "after text that is not ASCII": ("s = 'größe 日本'; x = {'é': tf.foo(1)}", [M, "s = 'größe 日本'; x = {'é': tf.foo(1)}"]),
    "assigned to": ("tf.foo = 1", ["#TFP106 tf.foo", "tf.foo = 1"]),
    "deleted": ("del tf.foo", ["#TFP106 tf.foo", "del tf.foo"]),
    "passed on": ("f(tf)", ["#TFP105 tf", "f(tf)"]),
}  # fmt: skip


@pytest.mark.parametrize("case", PLACES)
def test_where_a_mark_stands(case: str) -> None:
    text, expected = PLACES[case]
    assert body(text + "\n") == expected


@pytest.mark.parametrize("case", PLACES)
def test_a_second_run_adds_no_mark(case: str) -> None:
    once = tfport.convert_source(HEAD + PLACES[case][0] + "\n").code
    assert tfport.convert_source(once).code == once


def test_code_around_a_mark_is_rewritten_all_the_same() -> None:
    assert body("x = tf.foo(tf.square(a), k=tf.float32)\n") == [
        M,
        "x = tf.foo(torch.square(a), k=torch.float32)",
    ]


def test_a_mark_names_code_api_reason_and_advice() -> None:
    code = tfport.convert_source(HEAD + "x = tf.data.Dataset.range(3)\n").code
    line = next(line for line in code.splitlines() if MARK in line)
    assert (
        line.startswith("# tfport: TODO[TFP101] tf.data.Dataset") and ": no rule for this name yet; " in line
    )
    assert "torch.utils.data" in line


def test_findings_give_line_and_column_of_the_input() -> None:
    (mark,) = tfport.convert_source("# c\n\nimport tensorflow as tf\nif 1:\n    x = 3 + tf.foo(1)\n").marks
    assert (mark.line, mark.column, mark.code, mark.api) == (5, 13, "TFP101", "tf.foo")


def test_conditional_imports_keep_their_stub_in_their_branch() -> None:
    text = "def f(x):\n    if x: from tensorflow import foo, bar\n    else: foo = bar = max\n    return foo(1), bar(2)\n"
    code = tfport.convert_source(text).code
    assert (
        '    if x: foo = compat.unported("tensorflow.foo"); bar = compat.unported("tensorflow.bar")\n' in code
    )


# -- at run time -------------------------------------------------------------------------------------------------

PROGRAM = """import tensorflow as tf

class Base(tf.foo.Base):
    def __init__(self):
        self.x = 1

def good(x):
    return tf.square(x)

def bad(x):
    return tf.foo.bar(x)

def other(x, flag):
    if flag:
        return tf.foo.bar(x)
    return good(x)

def contexts():
    with tf.foo.scope("a"):
        return 1

def loops():
    for x in tf.foo.items:
        return x

def tests():
    return 1 if tf.foo.flag else 2

def items():
    return tf.foo.table[3]

def compares(x):
    return x == tf.foo.kind

def differs(x):
    return tf.foo.kind != x

def catches():
    try:
        return bad(1)
    except ValueError:
        return None
"""


@pytest.fixture(scope="module")
def program() -> dict[str, object]:
    """The namespace of the converted program."""
    space: dict[str, object] = {"__name__": "converted"}
    exec(compile(tfport.convert_source(PROGRAM).code, "converted_file.py", "exec"), space)
    return space


@pytest.mark.parametrize("flag", [False, 0, None])
def test_other_paths_run(program: dict, flag: object) -> None:
    import torch

    assert program["good"](torch.tensor(3.0)) == 9.0
    assert program["other"](torch.tensor(3.0), flag) == 9.0


@pytest.mark.parametrize(
    ("name", "args", "api"),
    [("bad", (1,), "tf.foo.bar"), ("other", (1, True), "tf.foo.bar"), ("contexts", (), "tf.foo.scope"),
     ("loops", (), "tf.foo.items"), ("tests", (), "tf.foo.flag"), ("items", (), "tf.foo.table"),
     ("compares", (3,), "tf.foo.kind"), ("differs", ("x",), "tf.foo.kind"), ("Base", (), "tf.foo.Base")],
)  # fmt: skip
def test_a_marked_line_raises_with_file_line_api_and_code(
    program: dict, name: str, args: tuple, api: str
) -> None:
    with pytest.raises(UnportedError) as caught:
        program[name](*args)
    message = str(caught.value)
    assert api.removeprefix("tf") in message and "[TFP101]" in message
    line = int(message.split("converted_file.py:")[1].split(":")[0])
    lines = tfport.convert_source(PROGRAM).code.splitlines()
    assert "tf.foo" in lines[line - 1] and MARK in lines[line - 2], (line, lines[line - 1])


def test_a_stub_used_inside_a_library_names_the_marked_file() -> None:
    text = "import contextlib\nfrom tensorflow import foo\nstack = contextlib.ExitStack()\nstack.enter_context(foo.bar)\n"
    code = tfport.convert_source(text).code
    with pytest.raises(UnportedError, match=r"^converted_file\.py:\d+: tensorflow\.foo\.bar has") as caught:
        exec(compile(code, "converted_file.py", "exec"), {})
    line = int(str(caught.value).split(":")[1])
    assert code.splitlines()[line - 1] == "stack.enter_context(foo.bar)"


def test_handlers_for_other_errors_do_not_swallow_it(program: dict) -> None:
    with pytest.raises(UnportedError):
        program["catches"]()


@pytest.mark.parametrize(
    "text",
    [
        "def f(tf):\n    return tf.foo(1)\n",
        "x = '# tf.foo(1)'\n",
        "# tf.foo(1)\n",
        "x = self.foo(1)\n",
        "x = mytf.foo(1)\n",
        '"""tf.foo(1)"""\n',
        "for tf in y:\n    tf.foo(1)\n",
    ],
)
def test_no_mark_where_nothing_is_tensorflow(text: str) -> None:
    result = tfport.convert_source("from tensorflow import square\n" + text)
    assert not result.marks and result.code == text
