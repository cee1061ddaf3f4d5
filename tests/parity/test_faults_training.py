"""Faults of training planted in the twins: each is caught, found in its part of a step, and named where it can be."""

import json

import pytest

from tests.parity.conftest import capture_many, replays
from tests.parity.faults_training import FAULTS, GOLDEN, REFERENCE, TWIN
from tests.parity.planted import PROGRAM, PROGRAMS, candidate

STEPS = 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Golden folders with gradients and steps of training: (program, factory) -> folder."""
    root = tmp_path_factory.mktemp("trained")
    jobs = []
    for name, factory in GOLDEN:
        program = PROGRAM[name]
        path = root / f"{program.file}.py"
        path.write_text((PROGRAMS / path.name).read_text("utf-8") + REFERENCE, "utf-8")
        inputs = [word for spec in program.inputs for word in ("--input", "8" + spec[1:])]
        loss = ["--loss", "squares", "--target", "8x5"] if factory == "adam" else []
        steps = ["--gradients", "--steps", STEPS, "--optimizer", factory, *loss]
        jobs.append([f"{path}:{program.target}", "-o", root / f"{name}-{factory}", *inputs, *steps])
    told = capture_many(jobs)
    assert [status for status, _ in told] == [0] * len(jobs), told
    return {key: root / "-".join(key) for key in GOLDEN}


def extended(code, record):
    """Adds optimizers and the loss to a twin."""
    return code + TWIN


@pytest.mark.parametrize("name, factory", GOLDEN)
def test_the_healthy_twins_train_alike(name, factory, trained, tmp_path):
    target = candidate(tmp_path / "twin", PROGRAM[name], extended)
    ((run, part),) = replays(trained[name, factory], target, tmp_path / "out")
    assert part.ok, (part.error, run["training"]["reason"], run["gradients"])
    assert run["training"]["ok"] and run["gradients"]["ok"]
    counts = run["training"]["compared"]
    assert run["training"]["steps"] == STEPS and counts["forward"] and counts["gradient"] and counts["update"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_training_is_caught_localised_and_named(name, trained, tmp_path, record_property):
    fault = FAULTS[name]
    target = candidate(tmp_path / "twin", PROGRAM[fault.program], extended, fault.change)
    ((run, part),) = replays(trained[fault.program, fault.factory], target, tmp_path / "out")
    found = score(run, part, fault)
    record_property("fault", {**found, "device": "cpu"})
    told = json.dumps(run.get("training"), default=str)[:1500]
    assert found["caught"], f"not caught: {told}"
    assert found["localised"], told
    assert found["named"] in (True, None), told


def score(run, part, fault):
    """What was found of a fault; `named` is None where the catalogue has no name for it."""
    training = run.get("training") or {}
    at = training.get("fault") or {}
    localised = at.get("in") == fault.place and str(at.get("parameter")).startswith(fault.parameter)
    told = [cause for cause in training.get("causes") or [] if (fault.cause or "") in cause["cause"]]
    named = any(cause["agrees"] for cause in told) if fault.cause else None
    return {"caught": not part.ok, "localised": localised, "named": named}
