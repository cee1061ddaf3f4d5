"""Tests that bad input at the command line gets one clear line, exit status 2, and leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import h5py
import numpy as np
import pytest

Run = Callable[..., "CompletedProcess[str]"]

GOOD = "import tensorflow as tf\n\n\ndef f(x):\n    return tf.nn.relu(x)\n"


def contents(folder: Path) -> dict[str, bytes | str]:
    """Every file of a folder with what is in it, links with where they point."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def the_line(done: CompletedProcess[str]) -> str:
    """The one line that says what is wrong; click's two lines of usage before it do not count."""
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = [s for s in done.stderr.splitlines() if s.strip() and not s.startswith(("Usage:", "Try "))]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


# name -> (what is in the file, what the line must say besides the file's name)
UNREADABLE = {
    "python 2": (b"import tensorflow as tf\nprint 'loss', tf.zeros([1])\n", "Python 2"),
    "python 2, except": (
        b"import tensorflow as tf\ntry:\n    pass\nexcept ValueError, e:\n    pass\n",
        "Python 2",
    ),
    "syntax error": (b"import tensorflow as tf\n\ndef f(:\n    return tf.zeros(1)\n", ":3"),
    "unfinished": (b"import tensorflow as tf\nx = tf.zeros((1, 2)\n", ":2"),
    "bad indentation": (b"import tensorflow as tf\ndef f():\nreturn tf.zeros(1)\n", ":3"),
    "not utf-8": ("import tensorflow as tf\n# größe\n".encode("latin-1"), "UTF-8"),
    "binary": (bytes(range(256)), ""),
    "null byte": (b"import tensorflow as tf\nx = '\0'\n", ""),
}


@pytest.mark.parametrize(
    "mode", [(), ("--diff",), ("--in-place",), ("--check",)], ids=lambda m: "".join(m) or "file"
)
@pytest.mark.parametrize("case", UNREADABLE)
def test_source_that_cannot_be_read(case: str, mode: tuple[str, ...], work: Path, tfport: Run) -> None:
    data, said = UNREADABLE[case]
    (work / "model.py").write_bytes(data)
    line = the_line(tfport("convert", work / "model.py", *mode))
    assert "model.py" in line and said in line
    assert contents(work) == {"model.py": data}


def test_a_declared_encoding_is_read(work: Path, tfport: Run) -> None:
    text = "# -*- coding: latin-1 -*-\nimport tensorflow as tf\nx = tf.zeros([2])  # größe\n"
    (work / "model.py").write_bytes(text.encode("latin-1"))
    assert tfport("convert", work / "model.py").returncode == 0
    assert "größe".encode("latin-1") in (work / "model_torch.py").read_bytes()


def test_no_tensorflow_is_left_as_it_is_and_said_so(work: Path, tfport: Run) -> None:
    (work / "plain.py").write_text("import numpy as np\n\nprint(np.zeros(3))  # tf.zeros\n")
    before = contents(work)
    done = tfport("convert", work / "plain.py")
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert "no TensorFlow" in done.stdout + done.stderr
    assert contents(work) == before


def test_an_empty_file_is_no_error(work: Path, tfport: Run) -> None:
    (work / "empty.py").write_bytes(b"")
    assert tfport("convert", work / "empty.py").returncode == 0


@pytest.mark.parametrize("name", ["missing.py", "missing/model.py", "missing"])
def test_a_missing_path(name: str, work: Path, tfport: Run) -> None:
    assert name in the_line(tfport("convert", work / name))
    assert contents(work) == {}


def test_a_path_that_cannot_be_written(work: Path, tfport: Run) -> None:
    (work / "model.py").write_text(GOOD)
    (work / "file").write_text("a file, not a folder")
    before = contents(work)
    line = the_line(tfport("convert", work / "model.py", "-o", work / "file" / "out.py"))
    assert "file" in line
    assert contents(work) == before


def test_an_output_that_is_a_folder_of_another_kind(work: Path, tfport: Run) -> None:
    (work / "src").mkdir()
    (work / "src" / "model.py").write_text(GOOD)
    (work / "out.py").write_text("a file, where a folder must be written")
    before = contents(work)
    assert "out.py" in the_line(tfport("convert", work / "src", "-o", work / "out.py"))
    assert contents(work) == before


def test_a_link_that_points_to_itself(work: Path, tfport: Run) -> None:
    (work / "a.py").symlink_to(work / "b.py")
    (work / "b.py").symlink_to(work / "a.py")
    before = contents(work)
    assert "a.py" in the_line(tfport("convert", work / "a.py"))
    assert contents(work) == before


def test_a_folder_that_contains_itself_is_converted_once(work: Path, tfport: Run) -> None:
    source = work / "src"
    source.mkdir()
    (source / "model.py").write_text(GOOD)
    (source / "again").symlink_to(source, target_is_directory=True)
    done = tfport("convert", source)
    assert done.returncode == 0, done.stderr
    assert [p for p in contents(work) if p.startswith("src_torch/") and p.endswith(".py")] == [
        "src_torch/model.py"
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert", "model.py", "--no-such-option"),
        ("convert", "model.py", "--layout", "chwn"),
        ("convert", "model.py", "--diff", "--in-place"),
        ("convert",),
        ("no-such-command",),
        ("weights", "x.h5", "--no-such-option"),
        ("verify", "--no-such-option"),
    ],
    ids=" ".join,
)
def test_wrong_usage(arguments: tuple[str, ...], work: Path, tfport: Run) -> None:
    (work / "model.py").write_text(GOOD)
    before = contents(work)
    the_line(tfport(*arguments, cwd=work))
    assert contents(work) == before


@pytest.mark.parametrize("what", ["NO_SUCH_CODE", "tf.no.such.api"])
def test_explaining_what_does_not_exist(what: str, tfport: Run) -> None:
    done = tfport("explain", what)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert len((done.stdout + done.stderr).strip().splitlines()) == 1 and what in done.stdout + done.stderr


# Checkpoints


def save_dense(path: Path, inputs: int, units: int) -> None:
    """A `.weights.h5` as Keras writes it for one Dense layer."""
    source = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        variables = file.create_group("layers/dense/vars")
        variables["0"] = source.standard_normal((inputs, units)).astype("float32")
        variables["1"] = np.zeros(units, "float32")


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.9])
def test_a_truncated_checkpoint(keep: float, work: Path, tfport: Run) -> None:
    path = work / "model.weights.h5"
    save_dense(path, 64, 32)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 1 or keep == 0 else keep * len(data))])
    before = contents(work)
    assert "model.weights.h5" in the_line(tfport("weights", path, "-o", work / "out.safetensors"))
    assert contents(work) == before


def bundles(root: Path) -> list[Path]:
    return sorted(root.glob("fixtures/checkpoints/**/*.index"))


@pytest.mark.parametrize("part", ["index", "data"])
def test_a_truncated_bundle(part: str, root: Path, work: Path, tfport: Run) -> None:
    index = bundles(root)[0]
    for path in index.parent.glob(index.stem + ".*"):
        data = path.read_bytes()
        cut = len(data) // 2 if (path.suffix == ".index") == (part == "index") else len(data)
        (work / path.name).write_bytes(data[:cut])
    before = contents(work)
    assert index.stem in the_line(tfport("weights", work / index.stem, "-o", work / "out.safetensors"))
    assert contents(work) == before


@pytest.mark.parametrize("name", ["missing.weights.h5", "missing.keras", "missing"])
def test_a_missing_checkpoint(name: str, work: Path, tfport: Run) -> None:
    assert name in the_line(tfport("weights", work / name, "-o", work / "out.safetensors"))
    assert contents(work) == {}


def test_a_file_that_is_no_checkpoint(work: Path, tfport: Run) -> None:
    (work / "notes.txt").write_text("not a checkpoint")
    before = contents(work)
    assert "notes.txt" in the_line(tfport("weights", work / "notes.txt", "-o", work / "out.safetensors"))
    assert contents(work) == before


def test_a_checkpoint_of_another_model(work: Path, tfport: Run) -> None:
    (work / "model.py").write_text(
        "from tensorflow import keras\n\n\n"
        "def build():\n"
        "    inputs = keras.Input(shape=(4,))\n"
        "    return keras.Model(inputs, keras.layers.Dense(3)(inputs))\n"
    )
    assert tfport("convert", work / "model.py").returncode == 0
    save_dense(work / "other.weights.h5", 5, 3)
    before = contents(work)
    module = f"{work / 'model_torch.py'}:build"
    done = tfport("weights", work / "other.weights.h5", "-o", work / "out.safetensors", "--module", module)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    first, *tensors = done.stderr.splitlines()
    assert "other.weights.h5" in first
    assert len(tensors) == 1 and "dense" in tensors[0] and "5" in tensors[0] and "4" in tensors[0], (
        done.stderr
    )
    after = {name: data for name, data in contents(work).items() if "__pycache__" not in name}
    assert after == before


def test_a_module_that_is_not_there(work: Path, tfport: Run) -> None:
    save_dense(work / "x.weights.h5", 4, 3)
    before = contents(work)
    for module, said in (("nothing.py:Net", "nothing.py"), ("nothing.py", "nothing.py")):
        line = the_line(
            tfport("weights", work / "x.weights.h5", "-o", work / "o.safetensors", "--module", work / module)
        )
        assert said in line
    assert contents(work) == before
