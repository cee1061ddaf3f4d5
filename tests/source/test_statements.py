"""Tests statements as text: imports, removals, augmented assignment, line ends, encodings, comments, indentation."""

from __future__ import annotations

from pathlib import Path

import pytest

import tfport
from tfport.source import files
from tfport.source.batch import convert_job
from tfport.source.files import Job

HEAD = "import tensorflow as tf\n"


def code(text: str) -> str:
    return tfport.convert_source(text).code


# input -> output, whole files
IMPORTS = {
    "replaced in place": ("import os\nimport tensorflow as tf\nimport sys\nx = tf.square(a)\n",
                          "import os\nimport torch\nimport sys\nx = torch.square(a)\n"),
    "several names": ("import os, tensorflow as tf\nx = tf.square(a)\n", "import torch\nimport os\nx = torch.square(a)\n"),
    "nothing left": ("import tensorflow as tf\nx = 1\n", "x = 1\n"),
    "after the docstring": ('"""Doc."""\n\nimport tensorflow as tf\n\nx = tf.square(a)\n',
                            '"""Doc."""\n\nimport torch\n\nx = torch.square(a)\n'),
    "after future": ("from __future__ import annotations\nimport tensorflow as tf\nx = tf.square(a)\n",
                     "from __future__ import annotations\nimport torch\nx = torch.square(a)\n"),
    "inside a function": ('"""Doc."""\nfrom __future__ import division\n\n\ndef f(a):\n    import tensorflow as tf\n    return tf.square(a)\n',
                          '"""Doc."""\nfrom __future__ import division\n\n\nimport torch\ndef f(a):\n    return torch.square(a)\n'),
    "the only statement of a function": ("def f():\n    import tensorflow as tf\n", "def f():\n    pass\n"),
    "the only statement of a branch": ("if x:\n    import tensorflow as tf\nelse:\n    y = 1\n", "if x:\n    pass\nelse:\n    y = 1\n"),
    "semicolon before": ("x = 1; import tensorflow as tf; y = tf.square(a)\n", "x = 1; import torch; y = torch.square(a)\n"),
    "one-line if": ("if x: import tensorflow as tf\ny = 1\n", "if x: pass\ny = 1\n"),
    "try keras": ("try:\n    import keras\nexcept ImportError:\n    from tensorflow import keras\nx = keras.ops.square(a)\n",
                  "import torch\nx = torch.square(a)\n"),
    "torch is there already": ("import torch\nimport tensorflow as tf\nx = tf.square(a)\n", "import torch\nx = torch.square(a)\n"),
    "torch by another name": ("import torch as th\nimport tensorflow as tf\nx = tf.square(a)\n", "import torch as th\nx = th.square(a)\n"),
    "torch is taken": ("import tensorflow as tf\ntorch = 1\nx = tf.square(a)\n",
                       "import torch as tf_torch\ntorch = 1\nx = tf_torch.square(a)\n"),
    "torch is a parameter": ("import tensorflow as tf\ndef f(torch):\n    return tf.square(torch)\n",
                             "import torch as tf_torch\ndef f(torch):\n    return tf_torch.square(torch)\n"),
    "a comment behind stays": ("import tensorflow as tf  # the framework\nx = tf.square(a)\n",
                               "import torch  # the framework\nx = torch.square(a)\n"),
    "in brackets": ("from tensorflow import (\n    square,\n    float32,  # why\n)\nx = square(a)\n", "# why\nimport torch\nx = torch.square(a)\n"),
    "an alias goes": ("import tensorflow as tf\nnn = tf.nn\nx = nn.relu(a)\n", "import torch\nx = torch.relu(a)\n"),
    "del goes": ("import tensorflow as tf\nx = tf.square(a)\ndel tf\n", "import torch\nx = torch.square(a)\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", IMPORTS)
def test_imports(case: str) -> None:
    text, expected = IMPORTS[case]
    assert code(text) == expected


REMOVED = {
    "a call": ("tf.compat.v1.disable_v2_behavior()\nx = 1\n", "x = 1\n"),
    "the only statement": ("if a:\n    tf.compat.v1.disable_v2_behavior()\nx = 1\n", "if a:\n    pass\nx = 1\n"),
    "the last of several": ("if a:\n    b\n    tf.compat.v1.disable_v2_behavior()\nx = 1\n", "if a:\n    b\nx = 1\n"),
    "all of several": ("if a:\n    tf.compat.v1.disable_v2_behavior()\n    tf.compat.v1.reset_default_graph()\nx = 1\n",
                       "if a:\n    pass\nx = 1\n"),
    "in one line": ("if a: tf.compat.v1.disable_v2_behavior()\nx = 1\n", "if a: pass\nx = 1\n"),
    "between semicolons": ("a; tf.compat.v1.disable_v2_behavior(); b\n", "a; pass; b\n"),
    "before a semicolon": ("tf.compat.v1.disable_v2_behavior(); b\n", "pass; b\n"),
    "with a comment": ("tf.compat.v1.disable_v2_behavior()  # why\nx = 1\n", "# why\nx = 1\n"),
    "after else": ("if a:\n    b\nelse:\n    tf.compat.v1.disable_v2_behavior()\n", "if a:\n    b\nelse:\n    pass\n"),
    "in an except": ("try:\n    b\nexcept E:\n    tf.compat.v1.disable_v2_behavior()\n", "try:\n    b\nexcept E:\n    pass\n"),
    "in a case": ("match a:\n    case 1:\n        tf.compat.v1.disable_v2_behavior()\n", "match a:\n    case 1:\n        pass\n"),
    "a decorator": ("@tf.function\ndef f(x):\n    return x\n", "def f(x):\n    return x\n"),
    "a decorator with arguments": ("@tf.function(\n    jit_compile=True,\n)\ndef f(x):\n    return x\n", "def f(x):\n    return x\n"),
    "one of several decorators": ("@a\n@tf.function\n@b\ndef f(x):\n    return x\n", "@a\n@b\ndef f(x):\n    return x\n"),
    "a method's decorator": ("class A:\n    @tf.function\n    def f(self):\n        pass\n", "class A:\n    def f(self):\n        pass\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", REMOVED)
def test_removed_statements(case: str) -> None:
    text, expected = REMOVED[case]
    assert code(HEAD + text) == expected


def run(text: str) -> dict[str, object]:
    """The namespace that a converted program leaves."""
    space: dict[str, object] = {}
    exec(compile(code(text), "converted", "exec"), space)
    return space


@pytest.mark.parametrize(
    "update",
    ["y += 1.0", "y -= 1.0", "y *= 2.0", "y /= 2.0", "y **= 2.0", "y += x", "y *= 1.0 + 1.0", "y = y; y += 1.0", "y //= 2.0",
     "y -= x if True else y", "y += (lambda: 1.0)()", "if True: y += 1.0", "(y) += 1.0", "y += (\n        x\n    .reshape(2))", "y += (1.0 if y is x else\n  2.0)"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["module", "function", "parameter"])
def test_augmented_assignment_rebinds(update: str, where: str) -> None:
    """``y = x; y += 1`` leaves x as it was, as in TensorFlow."""
    if where == "module":
        text = f"x = tf.constant([3.0, 5.0])\ny = x\n{update}\n"
    else:
        start = "tf.identity(x)" if where == "function" else "x"
        text = f"def f(x):\n    x = {start}\n    y = x\n    {update}\n    return x, y\nx, y = f(tf.constant([3.0, 5.0]))\n"
    space = run(HEAD + text)
    assert space["x"].tolist() == [3.0, 5.0], code(HEAD + text)  # type: ignore[attr-defined]
    assert space["y"].tolist() != [3.0, 5.0] or "y -= x" in update  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        ("holder.v += tf.constant([1.0])", [4.0]),
        ("items[0] += tf.constant([1.0])", [4.0]),
        ("table['k'] += tf.constant([1.0])", [4.0]),
    ],
)
def test_augmented_assignment_of_a_part_rebinds(update: str, expected: list[float]) -> None:
    text = (
        "class Holder: pass\nstart = tf.constant([3.0])\nholder = Holder()\nholder.v = start\nitems = [start]\n"
        f"table = {{'k': start}}\n{update}\nchanged = [holder.v, items[0], table['k']]\n"
    )
    space = run(HEAD + text)
    assert space["start"].tolist() == [3.0], code(HEAD + text)  # type: ignore[attr-defined]
    assert expected in [t.tolist() for t in space["changed"]]  # type: ignore[attr-defined]


def test_augmented_assignment_of_lists_and_numbers_stays() -> None:
    text = (
        HEAD
        + "def f(x):\n    n = 0\n    n += 1\n    l = []\n    l += [tf.square(x)]\n    s = 'a'\n    s += 'b'\n    return l\n"
    )
    new = code(text)
    assert "n += 1" in new and "l += [torch.square(x)]" in new and "s += 'b'" in new


# -- text that is kept to the byte ------------------------------------------------------------------------------

KEPT = {
    "crlf": "import tensorflow as tf\r\n\r\n\r\ndef f(a):\r\n    # c\r\n    return tf.square(a)\r\n",
    "tabs": "import tensorflow as tf\n\ndef f(a):\n\tif a:\n\t\treturn tf.square(a)\n\treturn\t1\n",
    "no newline at the end": "import tensorflow as tf\nx = tf.square(a)",
    "form feeds": "import tensorflow as tf\n\f\ndef f(a):\n    return tf.square(a)\n\f\nx = 1\n",
    "trailing blanks": "import tensorflow as tf   \nx = tf.square(a)   \n   \ny = 1\n\n\n\n",
    "not ASCII": "import tensorflow as tf\ns = 'größe 日本 \U0001f600'; x = tf.square(a); t = 'é'  # ü\n",
    "not ASCII names": "import tensorflow as tf\ngröße = tf.square(a); é = tf.square(größe)\n",
    "backslashes": "import tensorflow as tf\nx = 1 + \\\n  tf.square(a) \\\n  + 2\n",
    "docstrings": 'import tensorflow as tf\ndef f():\n    """tf.square\n  odd\n    """\ndef g():\n    "tf"\n    return tf.square(a)\n',
    "unicode line ends": "import tensorflow as tf\ns = 'a\u2028b\x0bc\x85d'; x = tf.square(a)\n",
    "odd layout": "import tensorflow as tf\nx=[ 1,2 ,\n 3 ]; y = { 'a' :tf.square(a) }\nz  =  f( x )\n",
    "nested functions": "import tensorflow as tf\ndef f():\n  def g():\n        def h(): return tf.square(a)\n        return h\n  return g\n",
    "bom": "\ufeffimport tensorflow as tf\nx = tf.square(a)\n",
}


@pytest.mark.parametrize("case", KEPT)
def test_everything_but_the_calls_is_kept(case: str) -> None:
    text = KEPT[case]
    expected = text.replace("import tensorflow as tf", "import torch").replace("tf.square(", "torch.square(")
    assert code(text) == expected


def test_mixed_line_ends_become_those_of_most_lines_at_worst() -> None:
    new = code("import tensorflow as tf\r\nx = tf.square(a)\ny = 1\n")
    assert new.replace("\r\n", "\n") == "import torch\nx = torch.square(a)\ny = 1\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("# -*- coding: latin-1 -*-\nimport tensorflow as tf\nx = tf.square(a)  # größe\n".encode("latin-1"), "größe".encode("latin-1")),
        ("#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nimport tensorflow as tf\nx = tf.square(a)  # €\n".encode("cp1252"), b"\x80"),
        ("import tensorflow as tf\nx = tf.square(a)  # größe\n".encode(), "größe".encode()),
        ("\ufeffimport tensorflow as tf\nx = tf.square(a)  # größe\n".encode(), b"\xef\xbb\xbfimport torch"),
    ],
)  # fmt: skip
def test_a_file_keeps_its_encoding(data: bytes, expected: bytes, tmp_path: Path) -> None:
    source, target = tmp_path / "model.py", tmp_path / "model_torch.py"
    source.write_bytes(data)
    result = convert_job(Job(source, target), "nchw", ())
    assert result.conversion is not None, result.error
    files.write(target, result.conversion.code)
    written = target.read_bytes()
    assert expected in written and b"torch.square(a)" in written
    compile(written, "model_torch.py", "exec")


def test_what_the_declared_encoding_lacks_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(files.InputError, match=r"latin-1|iso-8859-1"):
        files.write(tmp_path / "x.py", "# -*- coding: latin-1 -*-\nx = '日本'\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nx = np.square(a)\n",
        "# tensorflow\nx = 1\n",
        "x = 'import tensorflow as tf'\n",
        "import tensorflow_foo as tf\nx = tf.square(a)\n",
        "from mine import tensorflow as tf\nx = tf.square(a)\n",
        "from .keras import layers\nx = layers.Dense(3)\n",
        "",
        "\n",
        "keras = 1\n",
    ],
)
def test_files_without_tensorflow_are_left_alone(text: str) -> None:
    result = tfport.convert_source(text)
    assert result.code == text and not result.changed and not result.marks


@pytest.mark.parametrize("case", [*IMPORTS, *KEPT])
def test_a_second_run_changes_nothing(case: str) -> None:
    once = code(IMPORTS[case][0] if case in IMPORTS else KEPT[case])
    assert code(once) == once
