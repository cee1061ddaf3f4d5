"""No false alarms: healthy twins over seeds and shapes, in float32 and some in float64; none fails.

`make test` runs as many as fit; the variable TFPORT_HEALTHY_RUNS asks for another number, and `make parity-soak` runs
500. How many agreed and how near the worst came to what is allowed stands in the summary of the test run.
"""

import os

import pytest

from tests.parity import healthy
from tests.parity.conftest import capture_many, replays

RUNS = int(os.environ.get("TFPORT_HEALTHY_RUNS", "40"))
CHUNK = 20 if RUNS <= 80 else 50


@pytest.mark.parametrize("first", range(0, RUNS, CHUNK))
def test_healthy_twins_agree(first, tmp_path, record_property):
    runs = [healthy.made(tmp_path / "programs", n) for n in range(first, min(first + CHUNK, RUNS))]
    told = capture_many([run.job(tmp_path / f"golden-{run.seed}") for run in runs])
    assert [status for status, _ in told] == [0] * len(runs), told
    failed, worst, agreed, count = [], (0.0, ""), 0, 0
    for run in runs:
        golden = tmp_path / f"golden-{run.seed}"
        for entry, part in replays(
            golden, run.candidate, tmp_path / f"out-{run.seed}", run.dtypes, layers="all"
        ):
            count += 1
            if not part.ok:
                failed.append((run, part.error or part.comparison.reason))
            elif entry.get("first") or any(layer["status"] == "differs" for layer in entry.get("layers", [])):
                failed.append((run, entry["first"], entry["layers"]))
            else:
                agreed += 1
            if part.comparison:
                worst = max([worst, *((r, f"{run.name} {n}") for r, n in healthy.ratios(part.comparison))])
    record_property("healthy", {"runs": count, "agreed": agreed, "worst": worst[0], "where": worst[1]})
    assert not failed, failed[:3]


def test_the_runs_cover_batches_and_odd_and_even_sizes(tmp_path):
    runs = [healthy.made(tmp_path, n) for n in range(64)]
    shapes = [[int(n) for n in run.inputs.partition(":")[0].split("x")] for run in runs]
    assert {shape[0] for shape in shapes} == set(range(1, 9))
    images = [shape for run, shape in zip(runs, shapes) if run.name == "cnn"]
    assert {n % 2 for shape in images for n in shape[1:3]} == {0, 1}
    assert {run.name for run in runs} == set(healthy.SIZES) and any("float64" in run.dtypes for run in runs)
