"""Checkpoints of step 3 of 6 that several test files resume from."""

import os
import pathlib
import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The folder of what tensorflow_resumes.py leaves: keras3, keras2 and v1 in it."""
    pytest.importorskip("tensorflow", reason="TensorFlow trains the first steps")
    folder = tmp_path_factory.mktemp("resume")
    script = pathlib.Path(__file__).with_name("tensorflow_resumes.py")
    running = []
    for kind in ("keras3", "keras2", "v1"):
        (folder / kind).mkdir()
        env = {**os.environ, **({"TF_USE_LEGACY_KERAS": "1"} if kind == "keras2" else {})}
        command = [sys.executable, str(script), str(folder / kind), kind]
        running.append(
            subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        )
    for process in running:
        told = process.communicate()[1]
        assert process.returncode == 0, told[-3000:]
    return folder
