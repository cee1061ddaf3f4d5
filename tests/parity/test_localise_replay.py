"""Localising from the replay: what `result.json` tells of layers, faults, causes, and of candidates that raise."""

import json

import pytest
import torch

from tests.parity.conftest import replays
from tests.parity.localise_goldens import Golden
from tfport.parity.reference.manifest import MANIFEST_VERSION, digest, sha256
from tfport.parity.reference.store import write_tensors
from tfport.parity.reference.values import as_value

TWIN = """
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        x = torch.relu(self.one(x))
        return self.two(x)
"""


@pytest.fixture
def folder(tmp_path):
    """A golden folder of a two-layer network, in both precisions, and its twin's file."""
    torch.manual_seed(0)
    one, two, x = torch.nn.Linear(4, 5), torch.nn.Linear(5, 3), torch.randn(6, 4)
    root = tmp_path / "golden"
    root.mkdir()
    runs = []
    for dtype in ("float32", "float64"):
        kind = getattr(torch, dtype)
        golden = Golden(dtype)
        with torch.no_grad():
            given = golden.input(x.to(kind))
            before = one.to(kind)(given)
            after = golden.layer("one", "Dense", given, torch.relu(before), before, "relu")
            golden.output(golden.layer("two", "Dense", after, two.to(kind)(after)).clone())
        write_tensors(root / f"{dtype}.safetensors", golden.values)
        weights = {
            f"{n}.{k}": as_value(v) for n, m in (("one", one), ("two", two)) for k, v in m.named_parameters()
        }
        write_tensors(root / f"{dtype}.weights.safetensors", weights)
        runs.append(
            {"dtype": dtype, "kind": "module", "tensors": f"{dtype}.safetensors", "pass_inputs": "arguments", "notes": [],
             "inputs": [{"name": None, "tensor": "inputs/0"}], "outputs": ["output"], "layers": golden.layers,
             "weights": {"kind": "variables", "file": f"{dtype}.weights.safetensors"}, "wander": {}, "depth": {}, "gradients": None,
             "training": None}
        )  # fmt: skip
    manifest = {"format": "tfport golden", "version": MANIFEST_VERSION, "target": "net.py:Net", "seed": 0,
                "source_sha256": "", "call_args": "", "runs": runs, "versions": {}}  # fmt: skip
    manifest["sha256"] = {p.name: sha256(p) for p in root.iterdir()}
    manifest["digest"] = digest(manifest)
    (root / "manifest.json").write_text(json.dumps(manifest))
    return root


def replayed(folder, tmp_path, old="", new="", **options):
    """The entries of `result.json` for the twin with a piece of its source replaced."""
    assert old in TWIN
    path = tmp_path / "net_torch.py"
    path.write_text(TWIN.replace(old, new) if old else TWIN)
    return replays(folder, f"{path}:Net", tmp_path / "out", **options)


def test_layers_of_a_healthy_twin_in_both_precisions(folder, tmp_path):
    for run, part in replayed(folder, tmp_path, dtypes=("float32", "float64")):
        assert part.ok and run["first"] is None and run["causes"] == []
        assert [(layer["name"], layer["status"], layer["how"]) for layer in run["layers"]] == [
            ("one", "agrees", "name"), ("two", "agrees", "name"),
        ]  # fmt: skip
        json.dumps(run)


def test_a_fault_its_layer_and_its_cause(folder, tmp_path):
    ((run, part),) = replayed(folder, tmp_path, "torch.relu(self.one(x))", "F.leaky_relu(self.one(x), 0.1)")
    assert not part.ok
    assert (run["first"]["layer"], run["first"]["kind"], run["first"]["between"]) == ("one", "Dense", ["one"])
    (cause,) = run["causes"]
    assert (cause["layer"], cause["agrees"]) == ("one", True)
    assert cause["cause"] in ("activation", "slope")


def test_layers_may_be_left_out(folder, tmp_path):
    ((run, part),) = replayed(folder, tmp_path, "torch.relu", "torch.tanh", layers="none")
    assert not part.ok and (run["layers"], run["first"], run["causes"]) == ([], None, [])


def test_a_candidate_that_raises_tells_the_layer_before(folder, tmp_path):
    old = "x = torch.relu(self.one(x))\n        return"
    new = "x = self.one(x) * 2\n        x = self.two(x)\n        raise ValueError('no')\n        return"
    ((_, part),) = replayed(folder, tmp_path, old, new)
    assert part.error.startswith("the candidate raised ValueError: no (net_torch.py:15)")
    assert "layer two (Dense) differs before that" in part.error and "\n" not in part.error


def test_a_candidate_that_cannot_be_watched_is_compared_all_the_same(folder, tmp_path):
    old = "x = torch.relu(self.one(x))\n"
    new = "assert not torch.overrides._get_current_function_mode(), 'watched'\n        x = torch.relu(self.one(x))\n"
    ((run, part),) = replayed(folder, tmp_path, old, new)
    assert part.ok and run["layers"] == []
    assert any("layers were not compared" in note and "watched" in note for note in run["notes"])


def test_a_search_that_fails_leaves_the_verdict(folder, tmp_path):
    old = "x = torch.relu(self.one(x))\n        return self.two(x)"
    new = (
        "self.count = getattr(self, 'count', 0) + 1\n        assert self.count < 2, 'once only'\n"
        "        x = torch.tanh(self.one(x))\n        return self.two(x)"
    )
    ((run, part),) = replayed(folder, tmp_path, old, new)
    assert part.error is None and not part.ok and run["first"] is None
    assert any(
        "the search for the fault was stopped by AssertionError: once only" in note for note in run["notes"]
    )
