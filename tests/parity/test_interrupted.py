"""What is on the disk when a capture is interrupted, fails or replaces an older golden: the old one or the new, whole."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tfport.parity import processes, verification
from tfport.parity.reference.manifest import own_files, replace_golden


def golden(folder, mark="old", **more):
    """Something that passes for a golden folder; `mark` tells one from another."""
    folder.mkdir()
    (folder / "float32.safetensors").write_text(mark)
    told = {"format": "tfport golden", "sha256": {"float32.safetensors": "0"}, **more}
    (folder / "manifest.json").write_text(json.dumps(told))
    return folder


def content(folder):
    """Name -> text of all files of a folder."""
    return {p.name: p.read_text() for p in folder.iterdir() if p.is_file()}


def test_only_a_golden_counts_as_one(tmp_path):
    """A web project has a manifest.json too: it is not cleared away by --update."""
    web = tmp_path / "web"
    web.mkdir()
    (web / "manifest.json").write_text('{"name": "my page"}')
    (web / "index.html").write_text("mine")
    assert own_files(web) is None and own_files(tmp_path) is None and own_files(tmp_path / "none") is None
    folder = golden(tmp_path / "g")
    (folder / "README.md").write_text("mine")
    assert own_files(folder) == {"manifest.json", "float32.safetensors"}
    (folder / "manifest.json").write_text('{"format": ')
    assert own_files(folder) == {
        "manifest.json",
        "float32.safetensors",
    }  # one that was damaged can be replaced


def test_an_update_keeps_what_is_not_its_own(tmp_path):
    old, new = golden(tmp_path / "g"), golden(tmp_path / ".tfport-1-x", "new")
    (old / "README.md").write_text("mine")
    (old / "float64.safetensors").write_text("from a capture before")
    replace_golden(new, old, {"manifest.json", "float32.safetensors", "float64.safetensors"})
    assert {p.name for p in tmp_path.iterdir()} == {"g"}
    assert content(old)["float32.safetensors"] == "new" and content(old)["README.md"] == "mine"
    assert "float64.safetensors" not in content(old)


@pytest.mark.parametrize("error", [OSError("disk"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_update_that_fails_leaves_the_old_golden(error, tmp_path, monkeypatch):
    old, new = golden(tmp_path / "g"), golden(tmp_path / ".tfport-1-x", "new")
    before, rename = content(old), os.rename

    def failing(a, b):
        if str(a) == str(new):
            raise error
        rename(a, b)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(type(error)):
        replace_golden(str(new), str(old), {"manifest.json", "float32.safetensors"})
    assert content(old) == before


def test_what_a_killed_capture_left_is_cleared_away(tmp_path):
    """By its own number, so that a capture that runs beside it is left alone."""
    for name in (".tfport-11-a", ".tfport-11-a-old", ".tfport-12-b"):
        golden(tmp_path / name, name)
    verification._clear(tmp_path / "g", 11)  # killed between two renames: the old one was under another name
    assert {p.name for p in tmp_path.iterdir()} == {"g", ".tfport-12-b"}
    assert content(tmp_path / "g")["float32.safetensors"] == ".tfport-11-a-old"
    golden(tmp_path / ".tfport-11-a-old", "older")
    verification._clear(tmp_path / "g", 11)
    assert content(tmp_path / "g")["float32.safetensors"] == ".tfport-11-a-old"
    assert {p.name for p in tmp_path.iterdir()} == {"g", ".tfport-12-b"}


@pytest.fixture
def hears_interrupts():
    """A shell's background job, as a CI may be, ignores SIGINT, and so would all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_interrupts")
@pytest.mark.parametrize("deaf", [False, True], ids=["ends by itself", "must be killed"])
def test_an_interrupt_ends_the_other_process(deaf, monkeypatch):
    monkeypatch.setattr(processes, "GRACE", 0.3)
    code = "import signal, time; print(1, flush=True); time.sleep(60)"
    if deaf:
        code = code.replace("print", "signal.signal(signal.SIGINT, signal.SIG_IGN); print")
    process = processes.started([sys.executable, "-c", code], {})
    assert process.stdout.readline() == "1\n"

    def interrupted(told=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(process, "communicate", interrupted)
    with process, pytest.raises(KeyboardInterrupt):
        processes.ended(process, "capture")
    assert process.returncode == (-signal.SIGKILL if deaf else -signal.SIGINT)


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    """Also where it is the one of the temporary files; of a page no half is left."""
    from pathlib import Path

    from click.testing import CliRunner

    from tfport.parity.cli_verify import capture_command
    from tfport.parity.html import save

    write = Path.write_text

    def full(path, text, *rest):
        write(path, text[:10], *rest)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    (tmp_path / "model.py").write_text("def f():\n    return 1\n")
    monkeypatch.setattr(Path, "write_text", full)
    done = CliRunner().invoke(capture_command, [f"{tmp_path / 'model.py'}:f", "-o", str(tmp_path / "g")])
    assert done.exit_code == 2 and "No space left on device" in done.output and done.output.count("\n") == 1
    with pytest.raises(OSError, match="No space"):
        save("a page of many words", tmp_path / "page.html")
    assert [p.name for p in tmp_path.iterdir()] == ["model.py"]


@pytest.mark.usefixtures("hears_interrupts")
def test_control_c_is_no_disagreement(tmp_path):
    """Exit status 130 and one line; nothing is left, in the folder or running."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/pid"\nexec sleep 60\n')
    program.chmod(0o755)
    (tmp_path / "model.py").write_text("def f():\n    return 1\n")
    words = ["capture", "model.py:f", "-o", "g", "--python", str(program)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tfport", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for _ in range(600):
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "" and err == "tfport: interrupted: g was not written\n", err
    assert {p.name for p in tmp_path.iterdir()} == {"python", "pid", "model.py"}
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
