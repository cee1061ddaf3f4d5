"""Faults that the outputs hide, or that other inputs and weights would hide: the verdict is never "equal" for them."""

import pytest

from tests.parity.conftest import capture_many, replays
from tests.parity.planted import PROGRAMS, Program, candidate, moved, text

INPUTS = {
    "Classes": "4x8",
    "Capped": "2x6x6x3",
    "Padded": "3x6:int32<50",
    "Boxes": "4x8",
    "Shifted": "2x5x6",
    "Silent": "4x8",
}

FAULTS = {
    "epsilon behind an argmax": ("Classes", text("16, eps=1e-3", "16, eps=1e-5")),
    "no cap in a layer": ("Capped", text("nn.ReLU6()", "nn.ReLU()")),
    "no cap in an activation": ("Capped", text("nn.functional.relu6(", "nn.functional.relu(")),
    "padding counts": ("Padded", text("(ids[:, t] != 0)[:, None]", "(ids[:, t] != 50)[:, None]")),
    "an identity transposed": ("Shifted", moved("same", "kernel", "i o -> i o")),
    "a recurrent identity transposed": ("Shifted", moved("walk/cell", "recurrent_kernel", "i g -> i g")),
}
DOUBTS = {
    "scores beside pixels": (
        "Boxes",
        text("torch.sigmoid(self.score(x))", "torch.sigmoid(self.score(x)) * 1.001"),
        "judged by the largest",
    ),
    "a bias behind a dead activation": (
        "Silent",
        text("self.hidden(x).square()", "(self.hidden(x) - self.hidden.bias).square()"),
        "shows little",
    ),
}
SEEDS = range(3)


@pytest.fixture(scope="module")
def hidden(tmp_path_factory):
    """Golden folders: (class, seed) -> folder."""
    root = tmp_path_factory.mktemp("hidden")
    jobs = {
        (name, seed): [
            f"{PROGRAMS / 'hidden.py'}:{name}",
            "--input",
            shape,
            "--seed",
            seed,
            "-o",
            root / f"{name}{seed}",
        ]
        for name, shape in INPUTS.items()
        for seed in SEEDS
    }
    told = capture_many(jobs.values())
    assert [status for status, _ in told] == [0] * len(jobs), told
    return {key: root / f"{key[0]}{key[1]}" for key in jobs}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", [name for name in INPUTS if name != "Silent"])
def test_the_healthy_twins_agree(name, seed, hidden, tmp_path):
    target = candidate(tmp_path / "twin", Program("hidden", name, ()))
    ((run, part),) = replays(hidden[name, seed], target, tmp_path / "out")
    assert part.ok, (part.error or part.comparison.reason, run.get("first"))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", FAULTS)
def test_a_hidden_fault_is_no_agreement(name, seed, hidden, tmp_path):
    target, change = FAULTS[name]
    twin = candidate(tmp_path / "twin", Program("hidden", target, ()), change)
    ((_, part),) = replays(hidden[target, seed], twin, tmp_path / "out")
    assert part.error is None, part.error
    assert not part.ok and part.reasons


@pytest.mark.parametrize("name", DOUBTS)
def test_what_cannot_be_decided_is_said(name, hidden, tmp_path):
    target, change, said = DOUBTS[name]
    twin = candidate(tmp_path / "twin", Program("hidden", target, ()), change)
    ((_, part),) = replays(hidden[target, 0], twin, tmp_path / "out")
    assert not part.ok or any(said in note for note in part.notes)
