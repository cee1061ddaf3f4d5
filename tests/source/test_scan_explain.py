"""Tests `tfport scan` (per name and file, nothing written) and `tfport explain` (codes, names, methods, modules)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tfport.cli import main
from tfport.source.findings import CODES

PROGRAM = "import tensorflow as tf\nx = tf.square(a)\ny = tf.foo.bar(x)\nz = tf.reduce_sum(x, axis)\n"


def run(*arguments: str):
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one.py").write_text(PROGRAM)
    (tmp_path / "two.py").write_text("import tensorflow as tf\nx = tf.square(a)\n")
    (tmp_path / "three.py").write_text("x = 1\n")
    return tmp_path


def test_scan_prints_names_and_files_and_writes_nothing(folder: Path) -> None:
    before = sorted(p.name for p in folder.iterdir())
    done = run("scan", str(folder))
    rows = {line.split()[0]: line.split()[1:] for line in done.output.splitlines() if line.startswith("tf.")}
    assert done.exit_code == 1
    assert rows == {
        "tf.foo.bar": ["0", "0", "1"],
        "tf.square": ["2", "0", "0"],
        "tf.reduce_sum": ["0", "1", "0"],
    }
    lines = {
        Path(line.split(":")[0]).name: line.partition(": ")[2]
        for line in done.output.splitlines()
        if ".py: " in line
    }
    assert lines == {
        "one.py": "marked: 1 inlined, 1 compat, 1 unported (tf.foo.bar)",
        "two.py": "converted: 1 inlined",
        "three.py": "unchanged",
    }
    assert sorted(p.name for p in folder.iterdir()) == before


def test_scan_as_json(folder: Path) -> None:
    found = json.loads(run("scan", str(folder), "--format", "json").output)
    assert found["apis"]["tf.square"] == {"inlined": 2, "compat": 0, "unported": 0}
    files = {Path(f["path"]).name: f for f in found["files"]}
    assert files["two.py"]["apis"] == {"tf.square": {"inlined": 1, "compat": 0, "unported": 0}}
    assert [f["code"] for f in files["one.py"]["findings"]] == ["TFP101"]
    assert files["three.py"]["status"] == "unchanged"


def test_scan_of_what_converts_ends_well(folder: Path) -> None:
    assert run("scan", str(folder / "two.py")).exit_code == 0


@pytest.mark.parametrize("path", ["missing.py", "missing/"])
def test_scan_of_a_missing_file(path: str) -> None:
    assert run("scan", path).exit_code == 2


@pytest.mark.parametrize("code", CODES)
def test_explain_a_code(code: str) -> None:
    done = run("explain", code.lower())
    assert done.exit_code == 0 and done.output == f"{code}: {CODES[code]}\n"


@pytest.mark.parametrize(
    ("what", "expected", "status"),
    [
        ("tf.nn.l2_loss", "Half the sum of squares", 0),
        ("tensorflow.nn.l2_loss", "Half the sum of squares", 0),
        ("tf.compat.v1.nn.l2_loss", "Half the sum of squares", 0),
        ("keras.layers.Dense", "tf.keras.layers.Dense(units", 0),
        ("tf.float32", "is written torch.float32", 0),
        ("assign_add", "Adds to a variable in place", 0),
        ("x.numpy()", "The values as a NumPy array", 0),
        ("tf.nn", "a module. Names with a rule: ", 0),
        ("tf.foo", "no rule. ", 1),
        ("nothing", "no rule. ", 1),
    ],
)
def test_explain_a_name(what: str, expected: str, status: int) -> None:
    done = run("explain", what)
    assert expected in done.output and done.exit_code == status


def test_explain_a_code_that_does_not_exist() -> None:
    done = run("explain", "TFP999")
    assert done.exit_code == 2 and "TFP101" in done.stderr
