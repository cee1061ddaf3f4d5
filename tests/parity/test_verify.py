"""tfport verify and tfport capture as commands: exit status, table, JSON, scripts, errors of the candidate."""

import io
import json
import os
import re
import shutil
import subprocess
import sys

import click
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from tests.parity.conftest import PROGRAMS, replayed, replays
from tests.parity.test_faults import FAULTS, twin
from tfport.parity.cli_verify import capture_command, verify_command
from tfport.parity.comparison import compare
from tfport.parity.golden import read_golden
from tfport.parity.reference.errors import CaptureError
from tfport.parity.report import as_json, print_table
from tfport.parity.verification import Part, Plan, Verification, holds, names, part_of

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
    for run, least, most in zip(told["runs"], (1e-7, 1e-12), (1e-5, 1e-10), strict=True):
        for t in run["tensors"]:
            assert t["max_abs"] <= t["limit"] and least < t["limit"] / t["scale"] < most and t["why"]
            assert t["cosine"] > 0.999999 and t["snr"] > 100 and t["ulp"]["1"] >= t["ulp"]["0.5"]
            assert sum(t["ulp_histogram"]) == t["elements"]
        assert (
            run["compared"][0] == "2 outputs (154 elements)"
            and "gradients (--gradients)" in run["not_compared"]
        )
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
    assert re.search(r"output/1 +3x3x3x8 +float32 .* differs", done.stdout)
    assert "first layer that differs given equal inputs: bn2 (BatchNormalization" in done.stdout
    assert "disagree (231 elements of outputs compared)" in done.stdout


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
        ([tmp_path / "none", healthy], "no such golden folder"),
        ([f"{PROGRAMS / 'cnn.py'}:build", "--python", "no-such-python"], "no such program"),
        ([f"{PROGRAMS / 'cnn.py'}:build", "--weights", "none.h5"], "none.h5: no such file"),
        (
            [f"{PROGRAMS / 'cnn.py'}:build", "--python", "false"],
            "--python false: it is no Python; name the one",
        ),
        (
            [seeds[0], healthy, "--gradients"],
            "holds no gradients; capture again: tfport capture cnn.py:build",
        ),
        ([seeds[0], healthy, "--steps", "2"], "holds no steps of training; capture again"),
        ([seeds[0], healthy, "--tensor", "conv9"], "holds none of this name; capture again"),
        ([seeds[0], healthy, "--html", tmp_path / "no" / "x.html"], "x.html: No such file or directory"),
        (["nowhere.pb", healthy], "nowhere.pb: no such file"),
        (["nowhere.pb"], "a graph needs the candidate too"),
    ):
        status, out, err = tfport("verify", *words)
        assert (status, out) == (2, "") and err.startswith("tfport: ") and why in err and err.count("\n") == 1
    for words, why in (
        (["--dtype", "int8"], "expected a list of float32, float64"),
        (["--device", ","], "expected a list"),
        (["--device", "gpu"], "--device gpu: expected a list of cpu, cuda, cuda:N"),
        (["--steps", "-1"], "not in the range"),
        (["--loss", "mse"], "--loss is for training: say how many steps with --steps K"),
        (["--target", "2x3"], "--target is for training"),
        (
            ["--steps", "2", "--train-step", "step", "--loss", "mse"],
            "computes its own loss: leave out --loss",
        ),
        (["--seed", "3"], "--seed has no place here"),
        (["--input", "2x3"], "is a captured run, whose inputs and weights are settled"),
        (["--no-calibrate"], "--no-calibrate has no place here"),
        (["--script", "--gradients"], "--gradients has no place here: --script runs both files as they are"),
        (["--map", "none.toml"], "--map none.toml: no such file"),
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


def test_a_missing_device_is_wrong_usage(seeds, tmp_path):
    status, out, _ = tfport("verify", seeds[0], twin(tmp_path / "twin"), "--device", "cpu,cuda:7")
    assert status == 2 and "--device cuda:7" in out and "agree (" in out


def test_every_option_reaches_the_capture(tmp_path):
    """A stand-in for Python that writes down its arguments: what is set is passed on, and nothing else."""
    stub, told = tmp_path / "python", tmp_path / "told"
    stub.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > '{told}'\necho 'tfport: stub' >&2\nexit 2\n")
    stub.chmod(0o755)
    reference = f"{PROGRAMS / 'cnn.py'}:build"

    def passed(command, *words):
        status, _, err = tfport(command, reference, "--python", stub, *words)
        assert (status, err) == (2, "tfport: stub\n")
        given = told.read_text().splitlines()
        assert given[0].endswith("capture.py") and given[1] == reference and given[2] == "--output"
        return given[4:]

    usual = ["--call-args=", "--dtype", "float32", "--layers", "auto", "--seed", "0"]
    assert passed("verify") == usual == passed("capture", "-o", tmp_path / "golden")
    words = [
        "--input",
        "2x3",
        "--input",
        "@data.py:make",
        "--tensor",
        "scope",
        "--target",
        "2x5",
        "--steps",
        "3",
    ]
    words += [
        "--loss",
        "mse",
        "--optimizer",
        "SGD(0.1)",
        "--signature",
        "serve",
        "--gradients",
        "--no-calibrate",
    ]
    assert passed("verify", *words) == [*words, *usual]
    rest = ["--train-step", "step", "--steps", "1", "--dtype", "float64", "--seed", "4", "--layers", "all"]
    rest += ["--call-args", "3, x=None", "--update"]
    given = passed("capture", *rest, "-o", tmp_path / "golden")
    assert given == ["--steps", "1", "--train-step", "step", "--update", "--call-args=3, x=None", "--dtype", "float64",
                     "--layers", "all", "--seed", "4"]  # fmt: skip


OUTPUT = {"output": np.linspace(0, 1, 5, dtype="float32")}


def part(**fields):
    """A part whose outputs agree, with more."""
    return Part("float32", "cpu", compare(OUTPUT, OUTPUT), **fields)


def layer(status, name="conv", reason="off"):
    return {"name": name, "kind": "Conv2D", "status": status, "how": "name", "reason": reason}


def row(status, name="w"):
    return {"name": name, "status": status, "max_abs": 1.0, "allowed": 2.0, "reason": "off by 1"}


def gradients(*statuses):
    ok = all(s == "agrees" for s in statuses)
    rows = [row(s, f"w{i}") for i, s in enumerate(statuses)]
    return {
        "ok": ok,
        "reason": "" if ok else "gradient of w: off",
        "parameters": rows,
        "inputs": [],
        "notes": [],
    }


TRAINING = {
    "ok": False, "reason": "training, step 2: the gradient agrees and the weight does not", "steps": 3, "notes": [],
    "losses": {"reference": [1.0, 0.5, 0.25], "candidate": [1.0, 0.5, 0.3]}, "per_step": [{"status": "agrees"}] * 3,
    "left": {"step": 2, "reference": 0.25, "candidate": 0.3}, "compared": {"forward": 3, "update": 0},
    "first_parameter": {"name": "conv.weight", "step": 1}, "not_compared": ["optimizer state nu"],
    "causes": [{"cause": "epsilon", "agrees": True, "said": "with eps=1e-7 it agrees"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "ok", "said"),
    [
        ({}, True, "compared: 1 output (5 elements)"),
        ({"layers_recorded": 3}, True, "not compared: layers (--layers all); gradients (--gradients)"),
        ({"layers": [layer("agrees"), layer("not compared", "flat", "no module")]}, True, "layer flat: no module"),
        ({"layers": [layer("differs")]}, False, "layer conv differs though the outputs agree"),
        ({"layers": [layer("differs"), layer("agrees", "bn")]}, True, "layers: 1 of 2 agree"),
        ({"layers": [layer("differs"), layer("agrees", "bn")]}, True, "layer conv differs, given what the layers"),
        ({"layers": [layer("differs"), layer("agrees", "bn")], "must_agree": True}, False, "disagree: layer conv: off"),
        ({"gradients": gradients("agrees", "agrees")}, True, "gradients: 2 of 2 agree, nearest to its limit w0"),
        ({"gradients": gradients("agrees", "differs")}, False, "gradient of w1: off by 1"),
        ({"gradients": gradients("agrees", "not compared")}, False, "1 gradient\n"),
        ({"training": TRAINING}, False, "the loss leaves the reference's at step 3: 0.3 instead of 0.25"),
        ({"training": TRAINING}, False, "the first weight to leave: conv.weight at step 2"),
        ({"training": TRAINING}, False, "likely cause: with eps=1e-7 it agrees"),
        ({"training": TRAINING}, False, "optimizer state nu"),
        ({"training": TRAINING | {"error": "no optimizer"}}, False, "training: not compared: no optimizer"),
        ({"missing": ["gradients: recorded and not compared"]}, False, "disagree: gradients: recorded and"),
        ({"error": "the candidate raised", "notes": ["a note"]}, False, "note: a note"),
        ({"first": {"layer": "bn", "kind": "BN", "reason": "off", "between": ["a", "b"]}, "layers": [layer("differs")]},
         False, "first layer that differs given equal inputs: bn (BN, after a, b): off"),
    ],
)  # fmt: skip
def test_agreement_is_of_everything_that_was_named(fields, ok, said):
    done = Verification("a", "b", parts=[part(**fields)])
    assert done.ok is ok and done.exit_status == (0 if ok else 1)
    text = io.StringIO()
    print_table(done, Console(file=text, width=160, highlight=False))
    assert said in text.getvalue(), text.getvalue()
    told = json.loads(as_json(done))
    assert told["ok"] is ok and told["runs"][0]["layers"] == fields.get("layers", [])
    assert bool(told["runs"][0]["reason"]) is not ok


def test_a_result_without_parts_or_outputs_does_not_agree():
    assert not Verification("a", "b").ok
    assert not Verification("a", "b", parts=[part(), Part("float32", "cuda")]).ok
    assert Verification("a", "b", parts=[part(), part(usage=True, error="no")]).exit_status == 2


def test_what_the_golden_holds_and_the_replay_does_not_tell_is_missing(seeds, tmp_path):
    ((run, _),) = replays(seeds[0], twin(tmp_path / "twin"), tmp_path / "out")
    golden = read_golden(seeds[0])
    golden.manifest["runs"][0] |= {"gradients": {"loss": "x"}, "training": {"steps": 2}}
    plan = Plan(str(seeds[0]), layers="all", tensors=["conv1", "flat"])
    told = [layer("agrees", "conv1"), layer("not compared", "flat", "no module")]
    for layers, missing in (
        ([], ["gradients", "training", "layers", "--tensor conv1: it was not", "--tensor flat: it was not"]),
        (told, ["gradients", "training", "--tensor flat: no module"]),
    ):
        made = part_of(golden, {**run, "layers": layers}, tmp_path / "out", plan)
        assert made.comparison.ok and not made.ok and len(made.missing) == len(missing), made.missing
        assert all(line.startswith(start) for line, start in zip(made.missing, missing, strict=True))


def test_what_a_capture_could_not_record_is_told(seeds):
    golden = read_golden(seeds[0])
    entry = golden.runs[0]
    program = Plan(f"{PROGRAMS / 'cnn.py'}:build", gradients=True)
    with pytest.raises(
        CaptureError, match=r"--gradients: the run of .*cnn.py:build holds no gradients; .*leave out"
    ):
        holds(golden, entry, program)
    for plan, why in (
        (Plan(str(seeds[0]), steps=3), "holds 2 steps of training; capture again: .* --update --steps 3"),
        (Plan(str(seeds[0]), layers="all"), "--layers all: .* holds no layers"),
    ):
        with pytest.raises(CaptureError, match=why):
            holds(golden, {**entry, "training": {"steps": 2}, "layers": []}, plan)
    holds(
        golden,
        {**entry, "training": {"steps": 2}},
        Plan(str(seeds[0]), steps=2, layers="all", tensors=["conv1"]),
    )


@pytest.mark.parametrize(
    ("tensor", "meant"),
    [("a", ["a", "a/b", "a:1"]), ("a/b", ["a/b"]), ("a:0", ["a", "a/b", "a:1"]), ("b", [])],
)
def test_a_tensor_is_named_by_itself_or_by_its_scope(tensor, meant):
    assert [n for n in ("a", "a/b", "ab", "a:1") if names(tensor, {"name": n})] == meant


def test_gradients_and_training_are_verified(tmp_path):
    mlp = f"{PROGRAMS / 'mlp.py'}:build"
    words = [
        "--gradients",
        "--steps",
        "2",
        "--layers",
        "all",
        "--html",
        tmp_path / "page.html",
        "--format",
        "json",
    ]
    status, out, err = tfport("verify", mlp, *words)
    assert (status, err) == (0, ""), out + err
    (run,) = json.loads(out)["runs"]
    assert run["ok"] and run["gradients"]["ok"] and run["training"]["steps"] == 2
    assert all(layer["status"] == "agrees" for layer in run["layers"]) and run["layers"]
    assert run["compared"][1:] == ["6 of 6 layers", "11 gradients", "2 steps of training"]
    assert "<svg" in (tmp_path / "page.html").read_text()


def test_scripts(tmp_path):
    status, out, err = tfport("verify", PROGRAMS / "script.py", "--script")
    assert (status, err) == (0, "") and "agree (15 numbers on 3 lines" in out


def test_a_terminal_that_lacks_a_letter(tmp_path):
    """Names and texts are shown with an escape, and the exit status is that of the comparison."""
    for name, number in (("a", 0.5), ("b", 0.6)):
        (tmp_path / f"{name}.py").write_text(
            f"import sys\nsys.stdout.buffer.write('pr\xe9cision {number}\\n'.encode())\n", "utf-8"
        )
    words = ["verify", str(tmp_path / "a.py"), str(tmp_path / "b.py"), "--script"]
    done = CliRunner(charset="ascii").invoke(commands, words)
    assert done.exit_code == 1 and isinstance(done.exception, SystemExit), done.exception
    assert r"reference: pr\xe9cision 0.5" in done.stdout


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
