"""Faults planted in the torch twins of ten programs: each is caught, found in its layer, and named where it can be.

The counts (caught, localised and named of all that were planted) stand in the summary of the test run. The same
faults are planted on a GPU where torch finds one.
"""

import json
import shutil

import pytest

from tests.parity import faults_images, faults_sequences, faults_vectors
from tests.parity.conftest import replays
from tests.parity.planted import PROGRAM, candidate, names_of, text

TABLES = {
    "cnn": faults_images.CNN,
    "unet": faults_images.UNET,
    "blocks": faults_images.RECORDED,
    "generator": faults_images.GENERATOR,
    "lstm": faults_sequences.LSTM,
    "gru": faults_sequences.GRU,
    "lstm2": faults_sequences.LSTM_CONVERTED,
    "gru2": faults_sequences.GRU_CONVERTED,
    "transformer": faults_sequences.TRANSFORMER,
    "mlp": faults_vectors.MLP,
}
FAULTS = TABLES["cnn"]
CASES = [(program, name) for program, table in TABLES.items() for name in table]
CATALOGUE = [
    "epsilon", "padding side", "gate order", "transposed square kernel", "flatten order", "train/eval mode",
    "biased variance", "reset_after", "softmax axis",
]  # fmt: skip


def twin(folder, fault=None):
    """Writes the CNN's twin and its record into a folder, with one fault or (old text, new text) planted."""
    changes = [] if fault is None else [text(*fault)] if isinstance(fault, tuple) else [fault.change]
    return candidate(folder, PROGRAM["cnn"], *changes, name="twin")


@pytest.mark.parametrize("program, name", CASES)
def test_a_planted_fault_is_caught_localised_and_named(program, name, captured, tmp_path, record_property):
    found, told = planted(program, name, captured, tmp_path, "cpu")
    record_property("fault", found)
    assert found["caught"], "not caught"
    assert found["localised"], told
    assert found["named"] in (True, None), told


@pytest.mark.parametrize("program", TABLES)
def test_planted_faults_on_a_gpu(program, captured, tmp_path, record_property):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU on this machine: the faults were planted on the CPU alone")
    failed = []
    for number, name in enumerate(TABLES[program]):
        found, told = planted(program, name, captured, tmp_path / str(number), "cuda")
        record_property("fault", found)
        if not (found["caught"] and found["localised"] and found["named"] in (True, None)):
            failed.append((name, found, told))
    assert not failed, failed[:3]


def planted(program, name, captured, folder, device):
    """Plants one fault: (what was found of it, what was told)."""
    fault = TABLES[program][name]
    target = candidate(folder / "twin", PROGRAM[program], fault.change)
    golden = captured[program, 0]
    ((run, part),) = replays(golden, target, folder / "out", devices=[device])
    assert part.error is None, part.error
    told = (fault.layer, fault.cause, run.get("first"), run.get("causes"))
    return {**score(golden, run, part, fault), "device": device}, told


def score(golden, run, part, fault):
    """What was found of a fault; `named` is None where the catalogue has no name for it."""
    entry = json.loads((golden / "manifest.json").read_text())["runs"][0]
    names = names_of(entry["layers"], fault.layer)
    first = run.get("first")
    localised = bool(first) and bool(names & {first["layer"], *first.get("between", [])})
    if fault.layer.startswith("output"):  # nothing before the outputs is to blame
        localised = first is None or first["layer"].startswith("output")
    told = [cause for cause in run.get("causes") or [] if cause["cause"] == fault.cause]
    named = any(cause["agrees"] for cause in told) if fault.cause else None
    return {"caught": part.error is None and not part.ok, "localised": localised, "named": named}


@pytest.mark.parametrize("program, name", CASES)
def test_a_planted_fault_is_caught_under_another_seed(program, name, captured, tmp_path):
    target = candidate(tmp_path / "twin", PROGRAM[program], TABLES[program][name].change)
    ((_, part),) = replays(captured[program, 1], target, tmp_path / "out", layers="none")
    assert part.error is None, part.error
    assert not part.ok and part.comparison.reason


def test_every_line_of_the_catalogue_is_planted_in_the_architectures_that_can_have_it():
    where = {
        cause: {p for p, table in TABLES.items() for f in table.values() if f.cause == cause}
        for cause in CATALOGUE
    }
    few = {
        "gate order": {"lstm", "gru", "lstm2", "gru2"},
        "reset_after": {"gru", "gru2"},
        "biased variance": {"lstm", "transformer"},
    }
    assert len(CASES) >= 60
    for cause, programs in where.items():
        assert programs == few[cause] if cause in few else len(programs) >= 3, (cause, programs)


def test_an_edited_golden_is_refused(seeds, tmp_path):
    from tfport.parity.golden import read_golden
    from tfport.parity.reference.errors import CaptureError

    for name, damage in (
        ("float32.safetensors", lambda data: data[:-4] + bytes(4)),
        ("float32.weights.h5", lambda data: data[:-10]),
        ("manifest.json", lambda data: data[:-30]),
    ):
        folder = tmp_path / name
        shutil.copytree(seeds[0], folder)
        (folder / name).write_bytes(damage((folder / name).read_bytes()))
        with pytest.raises(CaptureError, match=r"checksum|damaged"):
            read_golden(folder)
        (folder / name).unlink()
        with pytest.raises(CaptureError, match=r"missing|no manifest"):
            read_golden(folder)
