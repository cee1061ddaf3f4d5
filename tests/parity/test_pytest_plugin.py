"""The pytest plugin in projects of its own: fixture, marker, options, JUnit, workers; without TensorFlow but for updates."""

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from importlib import metadata

import pytest

from tests.parity.conftest import PROGRAMS, capture_many
from tfport.parity.golden import read_golden
from tfport.parity.recapture import joined, recapture
from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.manifest import digest
from tfport.parity.verification import Plan

EPSILON = ("self.bn2 = nn.BatchNorm2d(8, eps=1e-3", "self.bn2 = nn.BatchNorm2d(8, eps=1e-5")

TESTS = """
import unittest

import pytest

MARKED = dict(reference="../cnn.py:build", golden="golden/cnn")


@pytest.mark.parity(**MARKED, candidate="../cnn_torch.py:build")
def test_marked(): ...


@pytest.mark.parity(**MARKED)
def test_default_candidate(parity):
    (done,) = parity.results  # the marker was first
    assert done.ok and [(p.dtype, p.device) for p in done.parts] == [("float32", "cpu"), ("float64", "cpu")]


@pytest.mark.parity(**MARKED, candidate="../wrong_torch.py:build")
def test_wrong_epsilon():
    raise RuntimeError("the body ran")


@pytest.mark.parametrize("name", ["cnn", pytest.param("wrong", marks=pytest.mark.xfail(strict=True))])
def test_called(parity, name):
    done = parity("golden/cnn", f"../{name}_torch.py:build", dtype="float32")
    assert done.ok and len(done.parts) == 1


def test_raises(parity):
    with pytest.raises(AssertionError, match="bn2") as caught:
        parity("golden/cnn", "../wrong_torch.py:build", dtype="float32")
    assert not caught.value.verification.ok
    assert parity("golden/cnn", "../wrong_torch.py:build", rtol=1.0)


def test_compares(parity):
    assert parity.compare({"a": [1.0, 2.0]}, {"a": [1.0, 2.0]}).elements == 2
    parity.compare([1.0, 2.0], [1.0, float("nan")])


@pytest.mark.parity(golden="golden/none", reference="../cnn.py:build")
def test_no_golden(): ...


def test_no_golden_and_no_reference(parity):
    parity("golden/none", "../cnn_torch.py:build")


@pytest.mark.parity(golden="golden/damaged", candidate="../cnn_torch.py:build")
def test_damaged(): ...


@pytest.mark.parity(golden="golden/cnn", candidate="../cnn_torch.py:build", tolerance=1)
def test_unknown_option(): ...


@pytest.mark.parity(golden="golden/cnn", candidate="../nowhere.py:build")
def test_no_candidate(): ...


class TestOfUnittest(unittest.TestCase):
    @pytest.mark.parity(**MARKED, candidate="../wrong_torch.py:build", dtype="float32")
    def test_in_a_test_case(self):
        raise RuntimeError("the body ran")


def test_plain():
    pass
"""

OUTCOMES = {
    "test_marked": "passed",
    "test_default_candidate": "passed",
    "test_wrong_epsilon": "failed",
    "test_called[cnn]": "passed",
    "test_called[wrong]": "skipped",
    "test_raises": "passed",
    "test_compares": "failed",
    "test_no_golden": "failed",
    "test_no_golden_and_no_reference": "failed",
    "test_damaged": "failed",
    "test_unknown_option": "failed",
    "test_no_candidate": "failed",
    "test_in_a_test_case": "failed",
    "test_plain": "passed",
}


def pytest_run(folder, *words, tensorflow=False):
    """Runs pytest in a folder, in a process; an import of TensorFlow fails there unless it is asked for."""
    blocked = folder / "no_tensorflow"
    paths = [os.getcwd()] if tensorflow else [str(blocked), os.getcwd()]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}
    env = {k: v for k, v in env.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def project(folder):
    """A project with a reference, a sound and a wrong port, and an empty folder for goldens."""
    (folder / "tests" / "golden").mkdir(parents=True)
    (folder / "no_tensorflow").mkdir()
    refuse = "raise ImportError('no TensorFlow here', name='tensorflow')\n"
    (folder / "no_tensorflow" / "tensorflow.py").write_text(refuse)
    for name in ("cnn.py", "cnn_torch.py", "cnn_torch.tfport.json"):
        (folder / name).write_text((PROGRAMS / name).read_text())
    code = (PROGRAMS / "cnn_torch.py").read_text()
    assert EPSILON[0] in code
    (folder / "wrong_torch.py").write_text(code.replace(*EPSILON))
    (folder / "wrong_torch.tfport.json").write_text((PROGRAMS / "cnn_torch.tfport.json").read_text())
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A project with a golden folder and TESTS."""
    folder = project(tmp_path_factory.mktemp("project"))
    golden = folder / "tests" / "golden"
    told = capture_many([[f"{folder / 'cnn.py'}:build", "-o", golden / "cnn", "--dtype", "float32,float64"]])
    assert told[0][0] == 0, told
    (golden / "damaged").mkdir()
    (golden / "damaged" / "manifest.json").write_text('{"format": ')
    (folder / "tests" / "test_port.py").write_text(TESTS)
    return folder


@pytest.fixture(scope="module")
def ran(home):
    """One run of all TESTS: (stdout, the JUnit test cases by name)."""
    done = pytest_run(home, "-rA", "--junitxml=junit.xml", "--parity-html=out.html", "tests")
    assert done.returncode == 1, done.stdout + done.stderr
    cases = ElementTree.parse(home / "junit.xml").getroot().iter("testcase")
    return done.stdout, {case.get("name"): case for case in cases}


def outcome(case):
    """passed, failed or skipped, as JUnit has it."""
    return {"failure": "failed", "error": "error", "skipped": "skipped"}.get(
        next((child.tag for child in case if child.tag != "properties"), ""), "passed"
    )


def told(case):
    """The text of a failure."""
    return case.find("failure").text


def properties(case):
    """Name -> value of the properties of a test case."""
    return {p.get("name"): p.get("value") for p in case.iter("property")}


def test_it_is_found_by_pytest():
    (entry,) = [e for e in metadata.entry_points(group="pytest11") if e.name == "tfport-parity"]
    assert entry.value == "tfport.parity.pytest_plugin"


def test_loading_it_imports_no_framework():
    code = "import sys, tfport.parity.pytest_plugin as p; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "tensorflow", "keras", "numpy", "rich", "jinja2", "h5py"}
    assert "tfport.parity.pytest_plugin" in done.stdout.split() and not heavy & set(done.stdout.split())


def test_outcomes(ran):
    assert {name: outcome(case) for name, case in ran[1].items()} == OUTCOMES


def test_a_failure_is_the_table_of_the_report(ran):
    failure = ran[1]["test_wrong_epsilon"].find("failure")
    assert "output/1" in failure.text and "differs" in failure.text and "disagree" in failure.text
    assert "bn2" in failure.text and "eps=0.001" in failure.text
    assert "pytest_plugin.py" not in failure.text and "\x1b" not in failure.text
    assert "the body ran" not in failure.text
    assert "output/1" in failure.get("message")
    assert "1 of 2 differ, worst at [1]: nan instead of 2" in told(ran[1]["test_compares"])
    assert "eps=0.001" in told(ran[1]["test_in_a_test_case"])  # the marker counts in unittest's classes too


def test_junit_carries_what_a_ci_sorts_by(ran):
    found = properties(ran[1]["test_wrong_epsilon"])
    assert found["parity_result"] == "disagree" and found["parity_worst_tensor"].startswith("output/")
    assert float(found["parity_max_rel_error"]) > 1e-4 and float(found["parity_max_abs_error"]) > 0
    assert found["parity_layer"] == "bn2" and "eps=0.001" in found["parity_cause"]
    found = properties(ran[1]["test_marked"])
    assert found["parity_result"] == "agree" and "parity_layer" not in found and "parity_cause" not in found
    assert (
        found["parity_candidate"] == "cnn_torch.py:build" and found["parity_reference"] == "tests/golden/cnn"
    )
    assert properties(ran[1]["test_damaged"])["parity_result"] == "not compared"
    assert properties(ran[1]["test_plain"]) == {}


def test_what_is_missing_is_said_with_what_to_do(ran):
    text = told(ran[1]["test_no_golden"])
    assert "tests/golden/none is no golden folder" in text
    assert "pytest tests/test_port.py::test_no_golden --parity-update" in text and "--parity-python" in text
    assert "tfport capture cnn.py:build -o tests/golden/none" in text
    assert "tfport capture model.py:NAME" in told(ran[1]["test_no_golden_and_no_reference"])
    assert "manifest.json is damaged" in told(ran[1]["test_damaged"])
    assert "no option tolerance; there are " in told(ran[1]["test_unknown_option"])
    assert "nowhere.py: no such file" in told(ran[1]["test_no_candidate"])


def test_the_summary_and_the_page(ran, home):
    assert "wrote out.html" in ran[0]
    page = (home / "out.html").read_text()
    assert "tests/test_port.py::test_wrong_epsilon" in page and "tests/test_port.py::test_marked" in page


def test_a_device_that_is_not_there_is_skipped_in_words(home):
    asked = "test_marked or test_plain or test_in_a_test_case"
    done = pytest_run(home, "-rs", "--parity-device", "cpu,cuda", "-k", asked, "tests")
    assert "1 failed, 2 passed, 1 skipped" in done.stdout, done.stdout
    done = pytest_run(home, "-rs", "--parity-device", "cuda", "-k", asked, "tests")
    assert "1 passed, 2 skipped" in done.stdout and done.returncode == 0, done.stdout
    told = "--parity-device cuda: torch finds no CUDA devices here: nothing was compared there"
    assert told in done.stdout and "0 of 0 comparisons agree" in done.stdout  # without -rs too
    assert "--parity-device cuda: torch finds no CUDA devices here" in done.stdout
    for wrong in ("gpu", ","):
        done = pytest_run(home, "--parity-device", wrong, "tests")
        assert done.returncode == 4 and "expected a list of cpu, cuda, cuda:N" in done.stderr


def test_workers_hand_their_results_over(home):
    done = pytest_run(home, "-n", "2", "--parity-html=two.html", "-k", "test_marked or test_called", "tests")
    assert "2 of 3 comparisons agree" in done.stdout, done.stdout + done.stderr
    page = (home / "two.html").read_text()
    assert "test_called[wrong]" in page and "test_marked" in page


def test_without_a_comparison_no_page_is_written(home):
    done = pytest_run(home, "--parity-html=none.html", "-k", "test_plain", "tests")
    assert "nothing was compared: none.html was not written" in done.stdout
    assert not (home / "none.html").exists()


def test_a_page_that_cannot_be_written_is_wrong_usage(home):
    """Known before the tests run; a folder that is not there is made, as for --junitxml."""
    done = pytest_run(home, "--parity-html=tests", "-k", "test_plain", "tests")
    assert done.returncode == 4 and "--parity-html tests: Is a directory" in done.stderr
    done = pytest_run(home, "--parity-html=new/folder/page.html", "-k", "test_compares", "tests")
    assert (home / "new" / "folder" / "page.html").stat().st_size > 1000, done.stdout


UPDATED = """
import pytest


@pytest.mark.parity(reference="cnn.py:build", golden="golden/new", inputs="3x12x12x3", call_args="classes=4", seed=3)
def test_new(): ...


@pytest.mark.parity(reference="cnn.py:build", golden="golden/new", candidate="cnn_torch.py:build")
def test_again(): ...


@pytest.mark.parity(golden="golden/new", candidate="cnn_torch.py:build")
def test_shares(): ...


@pytest.mark.parity(reference="cnn.py:build", golden="golden/new", dtype="float64")
def test_wants_more(): ...


@pytest.mark.parity(golden="golden/other", candidate="cnn_torch.py:build")
def test_names_no_reference(): ...
"""


@pytest.fixture(scope="module")
def updated(tmp_path_factory):
    """A project without golden folders, and what pytest said as it made them."""
    folder = project(tmp_path_factory.mktemp("updated"))
    (folder / "test_up.py").write_text(UPDATED)
    done = pytest_run(folder, "--parity-update", tensorflow=True)
    return folder, done


def state(folder):
    """Every file below a folder with its time and content."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return [(p.name, p.stat().st_mtime_ns, p.read_bytes()) for p in files]


def test_the_flag_captures_what_the_tests_name(updated):
    folder, done = updated
    assert "4 passed" in done.stdout and "1 failed" in done.stdout, done.stdout + done.stderr
    assert [run.get("dtype") for run in read_golden(folder / "golden" / "new").runs] == ["float32", "float64"]
    assert (
        "captured golden/new from cnn.py:build" in done.stdout and done.stdout.count("captured golden") == 1
    )
    assert "the test names no reference; add reference='model.py:NAME'" in done.stdout
    manifest = json.loads((folder / "golden" / "new" / "manifest.json").read_text())
    assert manifest["seed"] == 3 and manifest["call_args"] == "classes=4"


def test_without_the_flag_nothing_is_written(updated):
    folder, _ = updated
    before = state(folder / "golden")
    done = pytest_run(folder)
    assert "4 passed" in done.stdout and "golden/other is no golden folder" in done.stdout, done.stdout
    (folder / "cnn.py").write_text((folder / "cnn.py").read_text() + "# another version\n")
    done = pytest_run(folder, "-k", "test_new", "--parity-html=stale.html")
    assert "1 passed" in done.stdout and state(folder / "golden") == before
    remark = "golden/new: the golden was captured from another version of cnn.py: --parity-update"
    assert remark in done.stdout  # though the test passes
    assert "captured from another version of cnn.py" in (folder / "stale.html").read_text()


def test_an_update_keeps_inputs_and_options(updated):
    folder, _ = updated
    before = read_golden(folder / "golden" / "new")
    done = pytest_run(folder, "--parity-update", "-k", "test_again", tensorflow=True)
    assert "1 passed" in done.stdout, done.stdout
    after = read_golden(folder / "golden" / "new")
    inputs = [golden.tensors(golden.runs[0])["inputs/0"].array for golden in (before, after)]
    assert inputs[0].shape == (3, 12, 12, 3) and (inputs[0] == inputs[1]).all()
    assert after.manifest["seed"] == 3 and after.manifest["call_args"] == "classes=4"
    assert after.manifest["source_sha256"] != before.manifest["source_sha256"]


def test_an_update_that_cannot_be_leaves_the_golden(updated):
    folder, _ = updated
    before = state(folder / "golden")
    done = pytest_run(folder, "--parity-update", "-k", "test_new")
    assert "1 failed" in done.stdout and "TensorFlow" in done.stdout and "--python" in done.stdout
    done = pytest_run(folder, "--parity-update", "-n", "2")
    assert done.returncode == 4 and "run it in one process, -n 0" in done.stderr
    done = pytest_run(folder, "--parity-update", "--parity-python", "no-such-python", "-k", "test_new")
    assert "no-such-python: no such program" in done.stdout
    assert state(folder / "golden") == before


def test_an_update_does_not_drop_training_in_silence(updated, tmp_path):
    folder = tmp_path / "golden"
    shutil.copytree(updated[0] / "golden" / "new", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["runs"][0]["training"] = {"steps": 2}
    manifest["digest"] = digest(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CaptureError, match="holds 2 steps of training: name steps, loss and optimizer"):
        recapture(Plan(f"{PROGRAMS / 'cnn.py'}:build"), str(folder))


def test_tests_that_share_a_golden_ask_for_it_together():
    """One capture holds what all of them need; where they contradict each other that is said."""
    first = Plan("a.py:f", dtypes=("float32",), inputs=["4x3"])
    assert joined(first, first) == first
    assert joined(first, Plan("a.py:f", dtypes=(), inputs=(), layers="none")) == first
    more = joined(
        first, Plan("a.py:f", dtypes=("float64",), gradients=True, steps=2, loss="mse", layers="all")
    )
    assert more.dtypes == ("float32", "float64") and more.gradients and more.inputs == ["4x3"]
    assert (more.steps, more.loss, more.layers) == (2, "mse", "all")
    for other, what in (
        (Plan("b.py:f"), "references, a.py:f and b.py:f"),
        (Plan("a.py:f", inputs=["2x3"]), r"inputs, \['4x3'\] and \['2x3'\]"),
    ):
        with pytest.raises(CaptureError, match=f"name different {what}: give each its own folder"):
            joined(first, other)
