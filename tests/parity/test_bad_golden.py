"""Golden folders that are damaged, edited or of another model, and captures that cannot be: one line each, and what to do."""

import hashlib
import json
import random
import re
import shutil
import sys

import click
import pytest
from click.testing import CliRunner

from tests.parity.conftest import PROGRAMS, capture_many
from tfport.parity.cli_verify import capture_command, verify_command
from tfport.parity.golden import FORM, RUN, read_golden, read_tensors
from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.manifest import digest
from tfport.parity.reference.store import write_tensors

commands = click.Group(commands={"capture": capture_command, "verify": verify_command})
CNN, FUNCTIONS = PROGRAMS / "cnn.py", PROGRAMS / "functions.py"
PORT = f"{PROGRAMS / 'cnn_torch.py'}:build"


def tfport(*words):
    """Runs a command; returns (exit status, stdout, stderr)."""
    env = {"CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200", "FORCE_COLOR": None}
    done = CliRunner(env=env).invoke(commands, [str(w) for w in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    """Golden folders of three unlike programs."""
    root = tmp_path_factory.mktemp("bad")
    jobs = {
        "cnn": [f"{CNN}:build", "--input", "1x12x12x3"],
        "affine": [f"{FUNCTIONS}:Affine", "--input", "4x3"],
        "pair": [f"{FUNCTIONS}:pair", "--input", "4x3", "--input", "b=4x3"],
    }
    told = capture_many([[*job, "-o", root / name] for name, job in jobs.items()])
    assert [status for status, _ in told] == [0, 0, 0], told
    return {name: root / name for name in jobs}


def copy(golden, folder):
    """A copy that a test may damage."""
    return shutil.copytree(golden, folder)


def manifest(folder, change=None, sign=True):
    """Applies `change` to the manifest of a golden folder; with `sign` its checksums are made to fit the files."""
    path = folder / "manifest.json"
    told = json.loads(path.read_text())
    if change:
        change(told)
    if sign:
        for name in told["sha256"] if isinstance(told.get("sha256"), dict) else ():
            if (folder / name).is_file():
                told["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        told["digest"] = digest(told)
    path.write_text(json.dumps(told))


def one_line(folder, candidate=PORT, status=2):
    """The one line that verify gives for a folder; there is no traceback and the status is 2."""
    code, out, err = tfport("verify", folder, candidate)
    text = err if status == 2 else out
    assert code == status, (code, out, err)
    assert "Traceback" not in out + err
    if status == 2:
        assert out == "" and err.startswith("tfport: ") and err.count("\n") == 1
    return text


def test_a_golden_of_another_model(goldens):
    """The weights do not fit, and the line says which."""
    assert "the weights do not fit" in one_line(goldens["affine"], status=1)
    assert "the weights do not fit: variable gain [3]" in one_line(goldens["pair"], status=1)
    wrong = f"{PROGRAMS / 'functions_torch.py'}:Affine"
    assert "the weights do not fit" in one_line(goldens["cnn"], wrong, status=1)


@pytest.mark.parametrize("name", ["float32.safetensors", "float32.weights.h5", "manifest.json"])
def test_a_truncated_file(name, goldens, tmp_path):
    folder = copy(goldens["cnn"], tmp_path / "g")
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: len(data) * 2 // 3])
    text = one_line(folder)
    assert name in text and ("damaged" in text or ("checksum" in text and "capture again" in text))
    (folder / name).write_bytes(b"")
    assert name in one_line(folder)
    (folder / name).unlink()
    assert name in one_line(folder)


@pytest.mark.parametrize("name", ["float32.safetensors", "manifest.json"])
def test_a_file_that_git_lfs_has_not_fetched(name, goldens, tmp_path):
    """A checkout without LFS has small texts in their place; a new capture is not the cure."""
    folder = copy(goldens["cnn"], tmp_path / "g")
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1\n"
    (folder / name).write_text(text)
    assert re.search(f"{name} is not here but in Git LFS: git lfs pull", one_line(folder))


def test_an_edited_number(goldens, tmp_path):
    folder = copy(goldens["cnn"], tmp_path / "g")
    data = bytearray((folder / "float32.safetensors").read_bytes())
    data[-3] ^= 1
    (folder / "float32.safetensors").write_bytes(data)
    assert "float32.safetensors is not what was captured (checksum differs): capture again" in one_line(
        folder
    )


def drop(*keys):
    """A change that deletes a key of the manifest, named by its path."""

    def change(told):
        for key in keys[:-1]:
            told = told[key]
        del told[keys[-1]]

    return change


def put(value, *keys):
    """A change that sets a key of the manifest."""

    def change(told):
        for key in keys[:-1]:
            told = told[key]
        told[keys[-1]] = value

    return change


EDITS = {
    "another format": put("onnx", "format"),
    "a later version": put(99, "version"),
    "no version": drop("version"),
    "no checksums": drop("sha256"),
    "checksums are a list": put([], "sha256"),
    "an empty list of checksums": put({}, "sha256"),
    "a checksum fewer": drop("sha256", "float32.safetensors"),
    "weights without a checksum": drop("sha256", "float32.weights.h5"),
    "no runs": drop("runs"),
    "an empty list of runs": put([], "runs"),
    "runs are a number": put(3, "runs"),
    "a run is a number": put([3], "runs"),
    "a run without a dtype": drop("runs", 0, "dtype"),
    "a run without tensors": drop("runs", 0, "tensors"),
    "a run without inputs": drop("runs", 0, "inputs"),
    "a run without outputs": drop("runs", 0, "outputs"),
    "a run without a kind": drop("runs", 0, "kind"),
    "a file outside the folder": put("../g/float32.safetensors", "runs", 0, "tensors"),
    "an input that is not there": put("inputs/9", "runs", 0, "inputs", 0, "tensor"),
    "an output that is not there": put(["output/0", "output/9"], "runs", 0, "outputs"),
    "a weights file that is not there": put("other.h5", "runs", 0, "weights", "file"),
    "no seed": drop("seed"),
    "a seed of another type": put("many", "seed"),
    "no versions": drop("versions"),
    "no arguments": drop("call_args"),
    "no hash of the source": drop("source_sha256"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_manifest(name, goldens, tmp_path):
    folder = copy(goldens["cnn"], tmp_path / "g")
    manifest(folder, EDITS[name], sign=False)
    text = one_line(folder)
    assert re.search(r"capture again|damaged|not a manifest|is missing|is no golden", text), text


def test_a_manifest_that_is_signed_but_not_as_captures_write_it(goldens, tmp_path):
    """Another program may sign what it likes: the first entry that is not there or of another type is named."""
    folder = copy(goldens["cnn"], tmp_path / "g")
    told = json.loads((folder / "manifest.json").read_text())

    def refused(change, entry):
        (folder / "manifest.json").write_text(json.dumps(told))
        manifest(folder, change)
        with pytest.raises(
            CaptureError, match=f"manifest.json is not as this tfport writes it .*{entry}.*capture again"
        ):
            read_golden(folder)

    for place, form in ((), FORM), (("runs", 0), RUN):
        for name, kind in form.items():
            refused(drop(*place, name), name)
            refused(put(1.5, *place, name), f"{name} is 1.5")
            if kind in (list, dict):
                refused(put(None, *place, name), f"{name} is None")
    for wrong in (3, None, []):
        refused(put([wrong], "runs"), "runs.0. is")
        refused(put([wrong], "runs", 0, "inputs"), "inputs.0. is")
    refused(put("../g/float32.safetensors", "runs", 0, "tensors"), "no checksum")
    refused(put("other.h5", "runs", 0, "weights", "file"), "other.h5.*no checksum")
    refused(drop("sha256", "float32.safetensors"), "float32.safetensors.*no checksum")
    (folder / "manifest.json").write_text(json.dumps(told))
    assert read_golden(folder).runs


def test_files_that_are_signed_but_damaged_are_told(goldens, tmp_path):
    """Whoever edits a file and its checksum still gets one line, never a traceback, whatever byte it was."""
    rng = random.Random(0)
    signed = refused = 0
    for i in range(120):
        folder = copy(goldens["pair"], tmp_path / str(i))
        name = rng.choice(["manifest.json", "float32.safetensors"])
        data = bytearray((folder / name).read_bytes())
        header = len(data) if name == "manifest.json" else 8 + int.from_bytes(data[:8], "little")
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(header)] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        (folder / name).write_bytes(data)
        try:
            manifest(folder)
            signed += 1
        except (ValueError, AttributeError, TypeError, KeyError):
            pass  # damaged so that it cannot be signed again: it must be refused all the same
        try:
            golden = read_golden(folder)
            for entry in golden.runs:
                for value in golden.tensors(entry).values():
                    assert value.array.shape is not None
        except CaptureError as error:
            refused += 1
            assert "\n" not in str(error) and str(folder) in str(error)
    assert signed >= 40 and refused >= 60, (signed, refused)


def test_an_empty_golden(goldens, tmp_path):
    """Outputs that are all taken away are not an agreement of nothing."""
    folder = copy(goldens["cnn"], tmp_path / "g")
    path = folder / "float32.safetensors"
    held = read_tensors(path)
    kept = {name: held[name] for name in held if not name.startswith("outputs/")}
    assert 0 < len(kept) < len(held)
    write_tensors(path, kept)
    manifest(folder, put([], "runs", 0, "outputs"))
    code, out, err = tfport("verify", folder, PORT)
    assert code in (1, 2) and re.search("nothing|extra", out + err), (out, err)


def test_missing_weights(goldens, tmp_path):
    """A golden of a model whose weights entry is gone does not leave the port its own random weights."""
    folder = copy(goldens["cnn"], tmp_path / "g")
    (folder / "float32.weights.h5").unlink()

    def change(told):
        put(None, "runs", 0, "weights")(told)
        drop("sha256", "float32.weights.h5")(told)

    manifest(folder, change)
    assert "parameters, the reference has no weights" in one_line(folder, status=1)


def python(folder, body):
    """A program that takes the place of Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


IN_CAPTURE = 'case "$*" in *capture.py*) {what};; *) exec {{python}} "$@";; esac'
"""A Python that fails only when the capture runs in it."""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('PYTHONPATH="{none}" exec {python} "$@"', "TensorFlow is not installed for .*: pip install 'tfport\\[tf\\]', or name"),
        ("exit 0", "is no Python; name the one that has TensorFlow"),
        ("exit 3", "is no Python; name the one that has TensorFlow"),
        ("echo tfport 2.7", "Python 2.7"),
        (IN_CAPTURE.format(what="exit 3"), "capture ended with status 3"),
        (IN_CAPTURE.format(what="kill -9 $$"), "capture was ended by SIGKILL: the memory ran out, or somebody ended it"),
        (IN_CAPTURE.format(what="exit 0"), "ended well and wrote no golden folder"),
    ],
    ids=["no TensorFlow", "silent", "fails", "too old", "fails later", "is killed", "writes nothing"],
)  # fmt: skip
def test_the_wrong_python_for_capture(body, said, tmp_path):
    none = tmp_path / "none"
    none.mkdir()
    (none / "tensorflow.py").write_text("raise ImportError('none', name='tensorflow')\n")
    program = python(tmp_path, body.format(none=none, python=sys.executable))
    code, out, err = tfport("capture", f"{CNN}:build", "-o", tmp_path / "g", "--python", program)
    assert code == 2 and out == "" and err.startswith("tfport: ") and err.count("\n") == 1
    assert re.search(said, err), err
    assert not (tmp_path / "g").exists()


def test_an_update_that_wrote_nothing_is_no_success(goldens, tmp_path):
    """The old golden is there as before, and is not taken for the new one."""
    folder = copy(goldens["cnn"], tmp_path / "g")
    program = python(tmp_path, IN_CAPTURE.format(what="exit 0").format(python=sys.executable))
    code, out, err = tfport("capture", f"{CNN}:build", "-o", folder, "--update", "--python", program)
    assert code == 2 and out == "" and "ended well and wrote no golden folder" in err
    assert read_golden(folder).manifest == read_golden(goldens["cnn"]).manifest


def test_a_port_that_ends_the_process_is_no_agreement(goldens, tmp_path):
    """Exit status 0 of the process in which the port runs says nothing about the port."""
    for text, said in (
        ("import os\n\n\ndef build():\n    os._exit(0)\n", "ended the process before anything was compared"),
        (
            "import sys\n\n\ndef build():\n    sys.exit(0)\n",
            "the candidate raised SystemExit: 0: the program ended itself",
        ),
    ):
        (tmp_path / "port.py").write_text(text)
        code, out, err = tfport("verify", goldens["cnn"], f"{tmp_path / 'port.py'}:build")
        assert code in (1, 2) and said in out + err and "Traceback" not in out + err


RAISING = """
import sys

import tensorflow as tf


def on_call(x):
    raise ValueError("the first line\\nand the second")


def on_build():
    return {}["kernel"]


def stops():
    sys.exit("no data set")


def empty_message():
    raise RuntimeError


class Builds(tf.keras.Model):
    def call(self, x):
        return self.dense(x)
"""


def test_a_reference_that_raises(tmp_path):
    """One line with the error and the user's own line; nothing is left where the golden would have been."""
    path = tmp_path / "raising.py"
    path.write_text(RAISING)
    (tmp_path / "broken.py").write_text("import tensorflow as tf\nx = tf.nothing_of_the_kind\n")
    (tmp_path / "syntax.py").write_text("def f(:\n")
    cases = {
        f"{path}:on_call": (["--input", "2x2"], "ValueError: the first line (raising.py:8)"),
        f"{path}:on_build": ([], "KeyError: 'kernel' (raising.py:12)"),
        f"{path}:stops": ([], "SystemExit: no data set: the program ended itself"),
        f"{path}:empty_message": ([], "RuntimeError"),
        f"{path}:Builds": (["--input", "2x2"], "(raising.py:25)"),
        f"{tmp_path / 'broken.py'}:f": ([], "broken.py cannot be imported: AttributeError"),
        f"{tmp_path / 'syntax.py'}:f": ([], "syntax.py cannot be imported: SyntaxError"),
    }
    jobs = [
        [target, *words, "-o", tmp_path / f"g{i}"] for i, (target, (words, _)) in enumerate(cases.items())
    ]
    for (status, text), (target, (_, said)) in zip(capture_many(jobs), cases.items()):
        assert status == 2 and said in text and "\n" not in text, (target, text)
    assert not list(tmp_path.glob("g*")) and not list(tmp_path.glob(".tfport-*"))
