"""tfport verify and tfport capture as commands: exit status, table, JSON, scripts, errors of the candidate."""

import json
import os
import re
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from tests.parity.conftest import PROGRAMS, replayed
from tests.parity.test_faults import FAULTS, twin
from tfport.parity.cli_verify import capture_command, verify_command

commands = click.Group(commands={"capture": capture_command, "verify": verify_command})


def tfport(*words):
    """Runs a command; returns (exit status, stdout, stderr). Without colours, whatever the environment asks for."""
    env = {"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200", "FORCE_COLOR": None}
    done = CliRunner(env=env).invoke(commands, [str(w) for w in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_both_programs_are_run_in_both_precisions():
    status, out, err = tfport(
        "verify", f"{PROGRAMS / 'cnn.py'}:build", "--dtype", "float32,float64", "--format", "json"
    )
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["ok"] and told["candidate"].endswith("cnn_torch.py:build")
    assert [(r["dtype"], r["device"], r["ok"], r["elements"]) for r in told["runs"]] == [
        ("float32", "cpu", True, 154),
        ("float64", "cpu", True, 154),
    ]
    for run, limit in zip(told["runs"], (1e-5, 1e-11), strict=True):
        assert all(t["max_rel"] <= limit and t["rtol"] == limit and t["ulp"] for t in run["tensors"])
    assert (
        set(told["versions"]["reference"]) >= {"tensorflow", "keras"}
        and "torch" in told["versions"]["candidate"]
    )


def test_a_golden_folder_is_verified_without_tensorflow(seeds, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "tensorflow.py").write_text("raise AssertionError('TensorFlow was imported')")
    candidate = twin(tmp_path / "twin", FAULTS["epsilon of bn2"])
    code = "import sys; from tfport.parity.cli_verify import verify_command; verify_command(sys.argv[1:])"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "none"), os.getcwd()])}
    done = subprocess.run(
        [sys.executable, "-c", code, str(seeds[0]), candidate],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert re.search(r"output/1 +3x3x3x8 +float32 .* 1e-05 .* differs", done.stdout)
    assert "first layer that differs: bn2 (BatchNormalization)" in done.stdout
    assert "disagree (159 elements compared)" not in done.stdout and "disagree" in done.stdout


def test_tolerances_override(seeds, tmp_path):
    candidate = twin(tmp_path / "twin", FAULTS["rounded"])
    assert tfport("verify", seeds[0], candidate)[0] == 1
    assert tfport("verify", seeds[0], candidate, "--rtol", "0.1")[0] == 0
    assert tfport("verify", seeds[0], candidate, "--rtol", "0", "--atol", "1")[0] == 0
    assert tfport("verify", seeds[0], candidate, "--rtol", "-1")[0] == 2
    assert tfport("verify", seeds[0], candidate, "--rtol", "nan")[0] == 2


def test_what_a_person_types_wrong_is_told(seeds, tmp_path):
    healthy = twin(tmp_path / "twin")
    for words, why in (
        (["nowhere.py:build"], "nowhere.py: no such file"),
        ([PROGRAMS / "cnn.py"], "expected FILE.py:NAME"),
        ([f"{PROGRAMS / 'cnn_torch.py'}:build"], "cnn_torch_torch.py: no such file"),
        ([seeds[0]], "needs the candidate too"),
        ([seeds[0], healthy, "--dtype", "float64"], "was captured in float32, not in float64"),
        ([tmp_path, healthy], "is no golden folder"),
        ([f"{PROGRAMS / 'cnn.py'}:build", "--python", "no-such-python"], "no such program"),
        ([f"{PROGRAMS / 'cnn.py'}:build", "--weights", "none.h5"], "none.h5: no such file"),
    ):
        status, out, err = tfport("verify", *words)
        assert (status, out) == (2, "") and err.startswith("tfport: ") and why in err and err.count("\n") == 1
    for words, why in (
        (["--dtype", "int8"], "expected a list of float32, float64"),
        (["--device", ","], "expected a list"),
        (["--unknown"], "No such option"),
    ):
        status, out, err = tfport("verify", seeds[0], healthy, *words)
        assert status == 2 and why in err


def broken(folder, old, new):
    """The healthy twin with a change that makes it raise."""
    return twin(folder, (old, new))


def test_a_candidate_that_cannot_be_compared_is_told(seeds, tmp_path):
    forward = "x = self.bn1(F.relu(self.conv1(x)))"
    for i, (old, new, why) in enumerate(
        (
            ("import torch\n", "import nothing_there\n", "No module named 'nothing_there' (twin_torch.py:3)"),
            ("import torch\n", "import torch\nx = (\n", "SyntaxError"),
            (
                forward,
                "raise ValueError('too big')",
                "the candidate raised ValueError: too big (twin_torch.py:21)",
            ),
            ("return CNN(classes)", "return 3", "nothing to call"),
            ("return CNN(classes)", "return lambda x: x", "no place for the reference's weights"),
            ("nn.Linear(16, 16)", "nn.Linear(16, 17)", "the weights do not fit: float32.weights.h5"),
            ("self.head = nn", "self.more = nn.Linear(2, 2)\n        self.head = nn", "more.weight"),
        )
    ):
        (part,) = replayed(seeds[0], broken(tmp_path / str(i), old, new), tmp_path / f"{i}-out")
        assert part.error and why in part.error and "\n" not in part.error and not part.usage
    (part,) = replayed(seeds[0], twin(tmp_path / "twin").replace(":build", ":make"), tmp_path / "out")
    assert part.usage and "has no make; it defines CNN, build" in part.error


def test_exit_status_of_a_candidate_that_fails(seeds, tmp_path):
    raising = broken(tmp_path / "a", "return CNN(classes)", "raise ValueError('no')")
    status, out, _ = tfport("verify", seeds[0], raising)
    assert status == 1 and "not compared: the candidate raised ValueError: no (twin_torch.py:31)" in out
    importing = broken(tmp_path / "b", "import torch\n", "import torch, tensorflow\n")
    status, out, _ = tfport("verify", seeds[0], importing)
    assert status == 1 and "the candidate imports TensorFlow: it is not converted (twin_torch.py:3)" in out
    status, out, _ = tfport("verify", seeds[0], raising.replace(":build", ":make"), "--format", "json")
    assert status == 2 and not json.loads(out)["ok"]


@pytest.mark.parametrize("layout", ["module", "record"])
def test_axis_orders_come_from_the_record(layout, seeds, tmp_path):
    candidate = twin(tmp_path / "twin")
    path = tmp_path / "twin" / "twin_torch.tfport.json"
    record = json.loads(path.read_text())
    told = {"where": "CNN.forward", "result": 1, "layout": "NHWC -> NCHW"}
    record["results"] = [{"where": "CNN.forward", "result": 0, "layout": None}, told]
    if layout == "module":
        code = tmp_path / "twin" / "twin_torch.py"
        code.write_text(code.read_text() + f"\n\nCNN.tfport_record = {record!r}\n")
        path.unlink()
    else:
        path.write_text(json.dumps(record))
    (part,) = replayed(seeds[0], candidate, tmp_path / "out")
    assert part.ok and part.notes == []
    record["results"] = []
    path.write_text(json.dumps(record))
    if layout == "record":
        (part,) = replayed(seeds[0], candidate, tmp_path / "two")
        assert not part.ok and part.comparison.tensors[1].status == "shape"


def test_scripts(tmp_path):
    status, out, err = tfport("verify", PROGRAMS / "script.py", "--script")
    assert (status, err) == (0, "") and "agree (15 numbers on 3 lines" in out


def test_scripts_that_differ_or_fail(tmp_path):
    one, two = tmp_path / "one.py", tmp_path / "one_torch.py"
    one.write_text("print('loss', 0.25)\nprint([1, 2])\n")
    shutil.copy(one, two)
    assert tfport("verify", one, "--script")[0] == 0
    two.write_text("print('loss', 0.26)\nprint([1, 2])\n")
    status, out, _ = tfport("verify", one, "--script")
    assert status == 1 and "line 1: 0.26 instead of 0.25" in out
    assert tfport("verify", one, two, "--script", "--rtol", "0.1", "--format", "json")[0] == 0
    two.write_text("\nraise KeyError('loss')\n")
    status, out, _ = tfport("verify", one, "--script")
    assert status == 1 and "one_torch.py ended with status 1: KeyError: 'loss'" in out and "line 2" in out
    status, _, err = tfport("verify", two, one, "--script")
    assert status == 2 and "one_torch.py ended with status 1" in err
    two.unlink()
    status, _, err = tfport("verify", one, "--script")
    assert status == 2 and "one_torch.py: no such file" in err


def test_a_verdict_is_one_line_however_long_its_paths(tmp_path):
    folder = tmp_path / ("deep" * 40)
    folder.mkdir()
    one, two = folder / "one.py", folder / "one_torch.py"
    one.write_text("print(0.25)\n")
    two.write_text("raise KeyError('loss')\n")
    status, out, _ = tfport("verify", one, "--script")
    ended = f"one_torch.py ended with status 1: KeyError: 'loss' (File \"{two}\", line 1)"
    assert status == 1 and f"disagree: {ended} (0 numbers on 0 lines" in out


def test_capture_command(tmp_path):
    where = tmp_path / "golden"
    status, out, err = tfport("capture", f"{PROGRAMS / 'cnn.py'}:build", "-o", where, "--input", "1x12x12x3")
    assert (status, err) == (0, "") and "float32: 1 inputs, 2 outputs, 9 layers" in out
    assert sorted(p.name for p in where.iterdir()) == [
        "float32.safetensors",
        "float32.weights.h5",
        "manifest.json",
    ]
    assert tfport("verify", where, f"{PROGRAMS / 'cnn_torch.py'}:build")[0] == 0
