"""Tests whole files: the conversion is the one kept beside the input, and both print the same numbers.

``TFPORT_UPDATE_GOLDEN=1 python -m pytest tests/source/test_golden.py`` writes the kept conversions anew; read the diff.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tfport

FOLDER = Path(__file__).parent / "golden"
CASES = sorted(p.name.removesuffix(".in.py") for p in FOLDER.glob("*.in.py"))
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")
BATCH = """
import contextlib, io, json, sys
import tensorflow as tf
printed = {}
for name, path in json.loads(sys.argv[1]).items():
    tf.compat.v1.reset_default_graph()
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile(open(path, encoding="utf-8").read(), path, "exec"), {"__name__": "__main__"})
    printed[name] = stream.getvalue()
print("PRINTED", json.dumps(printed))
"""


def source(case: str) -> str:
    return (FOLDER / f"{case}.in.py").read_text(encoding="utf-8")


def conversion(case: str) -> tfport.Conversion:
    return tfport.convert_source(source(case), version=1 if case.endswith("_v1") else 2)


def batch(cases: list[str]) -> dict[str, str]:
    """What the inputs print under TensorFlow, all in one process."""
    paths = json.dumps({c: str(FOLDER / f"{c}.in.py") for c in cases})
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", BATCH, paths], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.split("PRINTED ", 1)[1])


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    """The graph programs have a process of their own: they turn eager execution off."""
    pytest.importorskip("numpy")
    old = [c for c in CASES if c.endswith("_v1")]
    return batch([c for c in CASES if c not in old]) | batch(old)


@pytest.mark.parametrize("case", CASES)
def test_the_conversion_is_the_one_that_is_kept(case: str) -> None:
    path = FOLDER / f"{case}.out.py"
    code = conversion(case).code
    if os.environ.get("TFPORT_UPDATE_GOLDEN"):
        path.write_text(code, encoding="utf-8")
    assert code == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES)
def test_both_programs_print_the_same(case: str, expected: dict[str, str]) -> None:
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        exec(compile(conversion(case).code, f"{case}.out.py", "exec"), {"__name__": "__main__"})
    want, have = normal(expected[case]), normal(stream.getvalue())
    assert NUMBER.sub("#", want) == NUMBER.sub("#", have)
    assert [float(n) for n in NUMBER.findall(have)] == pytest.approx(
        [float(n) for n in NUMBER.findall(want)], rel=2e-5, abs=1e-6
    )
    assert NUMBER.search(want)


def normal(text: str) -> str:
    """Shapes are written alike: TensorShape([2]), (2,) and torch.Size([2])."""
    text = re.sub(r"torch\.Size\(\[([^\]]*)\]\)", lambda m: f"({m[1]})", text)
    return re.sub(r"\((\d+),\)", r"(\1)", text)


@pytest.mark.parametrize("case", CASES)
def test_only_the_case_of_marks_has_marks(case: str) -> None:
    marks = conversion(case).marks
    assert bool(marks) == (case == "marks"), [m.mark() for m in marks]


@pytest.mark.parametrize("case", CASES)
def test_a_second_run_changes_nothing(case: str) -> None:
    code = conversion(case).code
    assert tfport.convert_source(code).code == code
