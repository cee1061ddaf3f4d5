"""Captures and replays for the parity tests: TensorFlow in one process for many runs, torch in this one."""

import fcntl
import json
import os
import subprocess
import sys

import pytest

from tests.parity.planted import PROGRAM, PROGRAMS

__all__ = ["PROGRAMS", "capture_many", "golden_jobs", "replayed", "replays"]

DRIVER = """
import contextlib, importlib.util, io, json, sys
spec = importlib.util.spec_from_file_location("capture", sys.argv[1])
capture = importlib.util.module_from_spec(spec)
sys.modules["capture"] = capture
spec.loader.exec_module(capture)
told = []
for job in json.loads(sys.stdin.read()):
    text = io.StringIO()
    with contextlib.redirect_stderr(text):
        status = capture.main(job)
    told.append([status, text.getvalue().strip()])
assert "torch" not in sys.modules and not any(name.split(".")[0] == "tfport" for name in sys.modules)
print("\\n" + json.dumps(told))
"""


def capture_many(jobs, **environment):
    """Runs the main of the single file for each argument list, all in one TensorFlow process: [(status, stderr)]."""
    from tfport.parity import bundle

    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    text = json.dumps([[str(word) for word in job] for job in jobs])
    with bundle.written() as capture:
        command = [sys.executable, "-c", DRIVER, capture]
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [tuple(pair) for pair in json.loads(done.stdout.splitlines()[-1])]


def replays(golden, candidate, output, dtypes=("float32",), **options):
    """Replays in this process and compares: a list of (entry of `result.json`, part of a verification)."""
    import torch

    from tfport.parity import replay, verification
    from tfport.parity.golden import read_golden

    torch.set_num_threads(1)  # the programs are small, and other tests run beside this one
    output.mkdir(parents=True, exist_ok=True)
    request = replay.Request(str(golden), str(candidate), str(output), dtypes=tuple(dtypes), **options)
    before = torch.get_default_dtype()
    try:
        result = replay.replay(request)
    finally:
        torch.set_default_dtype(before)
    plan = verification.Plan(str(golden), str(candidate))
    reference = read_golden(golden)
    return [(run, verification.part_of(reference, run, output, plan)) for run in result["runs"]]


def replayed(golden, candidate, output, dtypes=("float32",), **options):
    """The parts of a verification alone, one for each dtype and device."""
    return [part for _, part in replays(golden, candidate, output, dtypes, **options)]


def golden_jobs(root):
    """What the fixture `captured` captures: every program under two seeds, in float32."""
    return {
        (name, seed): [
            program.reference,
            *(word for spec in program.inputs for word in ("--input", spec)),
            *("--seed", seed, "-o", root / f"{name}-{seed}"),
        ]
        for name, program in PROGRAM.items()
        for seed in (0, 1)
    }


@pytest.fixture(scope="session")
def script():
    """The path of the reference run as a single file."""
    from tfport.parity import bundle

    with bundle.written() as path:
        yield path


@pytest.fixture(scope="session")
def captured(tmp_path_factory):
    """Golden folders of the programs: (program, seed) -> folder. One TensorFlow process for all test workers."""
    root = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        root = root.parent
    root = root / "captured"
    root.mkdir(exist_ok=True)
    jobs = golden_jobs(root)
    with open(root / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "done").exists():
            told = capture_many(jobs.values())
            assert [status for status, _ in told] == [0] * len(jobs), told
            (root / "done").touch()
    return {key: root / f"{key[0]}-{key[1]}" for key in jobs}


@pytest.fixture(scope="session")
def seeds(captured):
    """Golden folders of the CNN, float32."""
    return [captured["cnn", 0], captured["cnn", 1]]
