"""Captures and replays for the parity tests: TensorFlow in one process for many runs, torch in this one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"

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
    """Runs capture.py's main for each argument list, all in one TensorFlow process: [(status, stderr)]."""
    from tfport.parity import capture

    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    command = [sys.executable, "-c", DRIVER, capture.__file__]
    text = json.dumps([[str(word) for word in job] for job in jobs])
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [tuple(pair) for pair in json.loads(done.stdout.splitlines()[-1])]


def replayed(golden, candidate, output, dtypes=("float32",), **options):
    """Replays in this process and compares: the parts of a verification, one for each dtype."""
    import torch

    from tfport.parity import replay, verification
    from tfport.parity.golden import read_golden

    output.mkdir(parents=True, exist_ok=True)
    request = replay.Request(str(golden), str(candidate), str(output), dtypes=tuple(dtypes), **options)
    before = torch.get_default_dtype()
    try:
        result = replay.replay(request)
    finally:
        torch.set_default_dtype(before)
    plan = verification.Plan(str(golden), str(candidate))
    return [verification.part_of(read_golden(golden), run, output, plan) for run in result["runs"]]


@pytest.fixture(scope="session")
def seeds(tmp_path_factory):
    """Golden folders of the CNN under 30 seeds, float32."""
    root = tmp_path_factory.mktemp("seeds")
    sizes = ["--input", "3x12x12x3:float32"]
    jobs = [[f"{PROGRAMS / 'cnn.py'}:build", "-o", root / str(s), "--seed", s, *sizes] for s in range(30)]
    told = capture_many(jobs)
    assert [status for status, _ in told] == [0] * 30, told
    return [root / str(s) for s in range(30)]
