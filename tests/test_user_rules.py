"""Rules of a user's own: `--rules DIR` inlines and calls them, `tfport rules --prove DIR` holds them against TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

RULES = """
import torch
from tfport.rule import Tensor, f32, prove, rule


@rule("tf.math.special.bessel_j0")
@prove(f32(2, 3, low=0.5, high=4.0), grad=False)
def bessel_j0(x: Tensor, name=None):
    \"\"\"Bessel function of the first kind, order 0.\"\"\"
    return torch.special.bessel_j0(x)


@rule("tf.math.special.bessel_k0")
@prove(f32(3, low=0.5, high=4.0), grad=False)
def bessel_k0(x: Tensor, name=None):
    \"\"\"A loop, so that it is called and not inlined.\"\"\"
    for _ in range(1):
        pass
    return torch.special.modified_bessel_k0(x)
"""
PROGRAM = """
import tensorflow as tf

x = tf.constant([1.0, 2.0])
print(tf.math.special.bessel_j0(x).numpy().astype("float64").round(3).tolist(), tf.math.special.bessel_k0(x).numpy().astype("float64").round(3).tolist())
"""


def run(*arguments: str, cwd) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "bits.py").write_text(RULES)
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def test_a_users_rule_is_inlined_or_called_and_runs(project):
    done = run("-m", "tfport", "convert", "program.py", "--rules", "mine", cwd=project)
    assert done.returncode == 0, done.stderr
    code = (project / "program_torch.py").read_text()
    assert "torch.special.bessel_j0(x)" in code and "compat.math.special.bessel_k0(x)" in code
    ran = run("program_torch.py", cwd=project)
    assert ran.stdout == "[0.765, 0.224] [0.421, 0.114]\n", ran.stderr


def test_without_the_folder_the_name_is_marked(project):
    done = run("-m", "tfport", "convert", "program.py", cwd=project)
    assert done.returncode == 1
    assert "TODO[TFP101] tf.math.special.bessel_j0" in (project / "program_torch.py").read_text()


def test_a_moved_folder_is_one_clear_error(project):
    run("-m", "tfport", "convert", "program.py", "--rules", "mine", cwd=project)
    (project / "mine").rename(project / "elsewhere")
    ran = run("program_torch.py", cwd=project)
    assert ran.returncode != 0 and "no such folder of rules" in ran.stderr


def test_proofs_of_users_rules_run(project):
    good = run("-m", "tfport", "rules", "--prove", "mine", cwd=project)
    assert good.returncode == 0, good.stdout + good.stderr
    wrong = RULES.replace("torch.special.bessel_j0(x)", "torch.special.bessel_j1(x)")
    (project / "mine" / "bits.py").write_text(wrong)
    bad = run("-m", "tfport", "rules", "--prove", "mine", cwd=project)
    assert bad.returncode == 1 and "tf.math.special.bessel_j0" in bad.stdout
