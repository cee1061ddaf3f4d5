"""Capture of TF1 graphs that a builder returns: what feeds them, weights that show faults, ports with names of their own."""

import numpy as np
import pytest

from tests.parity.conftest import PROGRAMS, capture_many, replays
from tfport.parity import verification
from tfport.parity.golden import read_golden, read_tensors

FILE = PROGRAMS / "graph_builders.py"
KEEP = ["--input", "keep_prob=1.0"]

PORT = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, act=torch.relu, eps=1e-3, padding=1, bias=True, mean=True):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=padding)
        self.average, self.spread = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.ones(4))
        self.last = nn.Linear(4, 3, bias=False)
        self.act, self.eps, self.bias, self.mean = act, eps, bias, mean

    def forward(self, pictures):
        x = pictures.permute(0, 3, 1, 2)
        x = self.act(self.first(x) - (0 if self.bias else self.first.bias[:, None, None]))
        x = x - self.average[:, None, None] * self.mean
        x = x * torch.rsqrt(self.spread + self.eps)[:, None, None]
        return torch.tanh(self.last(x.mean((2, 3))))


def build():
    return Net()


def activation():
    return Net(act=nn.functional.silu)


def epsilon():
    return Net(eps=1e-5)


def no_bias():
    return Net(bias=False)


def no_mean():
    return Net(mean=False)
"""

MAP = "".join(
    f'[[tensor]]\nsource = "{a}"\ntarget = "{b}"\npattern = "{c}"\n'
    for a, b, c in (
        ("conv/kernel", "first.weight", "h w i o -> o i h w"),
        ("conv/bias", "first.bias", "o -> o"),
        ("norm/moving_mean", "average", "o -> o"),
        ("norm/moving_variance", "spread", "o -> o"),
        ("head/w", "last.weight", "i o -> o i"),
    )
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Captures of every builder, one process."""
    root = tmp_path_factory.mktemp("built")
    image = ["--input", "image=2x5x5x2"]
    jobs = {
        "build": [f"{FILE}:build", *image, *KEEP, "--dtype", "float32,float64", "--layers", "all"],
        "scopes": [
            f"{FILE}:build",
            "--input",
            "2x5x5x2",
            *KEEP,
            "--tensor",
            "conv",
            "--tensor",
            "head/scores",
        ],
        "arrays": [f"{FILE}:of_arrays", "--input", "2x5x5x2", *KEEP],
        "no inputs": [f"{FILE}:build"],
        "not enough": [f"{FILE}:build", "--input", "2x5x5x2"],
        "no such input": [f"{FILE}:build", "--input", "picture=2x5x5x2", *KEEP],
        "another shape": [f"{FILE}:build", "--input", "2x5x5x3", *KEEP],
        "an object": [f"{FILE}:Model", *image],
        "raising": [f"{FILE}:raising", "--input", "x=3x2"],
        "masked": [f"{FILE}:masked", "--input", "x=3x6", "--layers", "all"],
    }
    told = capture_many([[*job, "-o", root / name] for name, job in jobs.items()])
    (root / "port.py").write_text(PORT)
    (root / "map.toml").write_text(MAP)
    return root, dict(zip(jobs, told, strict=True))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no inputs", "input keep_prob of the graph has no shape: pass --input keep_prob=2x64:float32"),
        ("not enough", "placeholders are image=?x5x5x2:float32, keep_prob=?:float32; a number is given as"),
        ("no such input", "--input picture=: the graph's placeholders are image="),
        ("another shape", "shape 2x5x5x3 for placeholder image=?x5x5x2:float32"),
        ("an object", "a Model is nothing to call: write a function that returns its tensors"),
        ("raising", "InvalidArgumentError: Input to reshape is a tensor with 6 values"),
    ],
)
def test_what_is_missing_is_told_in_one_line(made, name, said):
    status, text = made[1][name]
    assert status == 2 and said in text.splitlines()[-1] and not (made[0] / name).exists()


def test_placeholders_are_fed_and_are_no_outputs(made):
    root, told = made
    assert [told[name][0] for name in ("build", "scopes", "arrays")] == [0, 0, 0], told
    (run, _) = read_golden(root / "build").runs
    assert run["outputs"] == ["output"] and [i["name"] for i in run["inputs"]] == ["image", "keep_prob"]
    assert "image, keep_prob, Adam" in run["notes"][0]
    one, two = (read_golden(root / n) for n in ("build", "arrays"))
    outputs = [g.tensors(g.run("float32"))["outputs/output"].array for g in (one, two)]
    assert np.array_equal(*outputs)


def test_weights_show_faults_and_optimizer_slots_are_none_of_them(made):
    golden = read_golden(made[0] / "build")
    weights = read_tensors(golden.folder / golden.run("float32")["weights"]["file"])
    assert set(weights) == {"conv/kernel", "conv/bias", "norm/moving_mean", "norm/moving_variance", "head/w"}
    assert all(len(np.unique(value.array)) > 2 for value in weights.values())
    assert weights["conv/kernel"].array.std() > 0.2 and weights["norm/moving_variance"].array.min() > 0.5
    exact = read_tensors(golden.folder / golden.run("float64")["weights"]["file"])
    assert all(np.array_equal(exact[n].array, weights[n].array) for n in weights)
    assert exact["head/w"].dtype == "float64"


def verified(root, name, port, dtypes=("float32",)):
    """(entry of the result, part) of each dtype."""
    return replays(
        root / name,
        f"{root / 'port.py'}:{port}",
        root / f"out-{name}-{port}",
        dtypes,
        map=str(root / "map.toml"),
    )


def test_a_port_with_names_of_its_own_agrees_in_both_precisions(made):
    for _, part in verified(made[0], "build", "build", ("float32", "float64")):
        assert part.ok, part.reasons
        assert "input image is passed as pictures" in part.notes
        assert "keep_prob=1 is not passed: the candidate has no such argument" in part.notes


@pytest.mark.parametrize(
    ("port", "scope"),
    [("activation", "conv/Relu"), ("epsilon", "norm/"), ("no_bias", "conv/"), ("no_mean", "norm/sub")],
)
def test_a_fault_is_named_by_its_scope(made, port, scope):
    ((run, part),) = verified(made[0], "build", port)
    assert not part.ok and run["first"]["layer"].startswith(scope), run["first"]


def test_a_scope_is_compared_but_for_a_product_before_its_bias(made):
    for port, ok in (("build", True), ("activation", False)):
        ((run, _),) = verified(made[0], "scopes", port)
        plan = verification.Plan(str(made[0] / "scopes"), tensors=("conv", "head/scores"))
        part = verification.part_of(
            read_golden(made[0] / "scopes"), run, made[0] / f"out-scopes-{port}", plan
        )
        assert part.ok is ok, part.reasons
        product = next(layer for layer in part.layers if layer["name"] == "conv/Conv2D")
        assert product["status"] == "not compared"


def test_a_map_to_fill_in_is_written(made):
    root = made[0]
    target = f"{root / 'port.py'}:build"
    ((run, _),) = replays(root / "build", target, root / "map", write_map=str(root / "new.toml"))
    assert run["usage"] and "weights matched" in run["error"] and "verify with --map" in run["error"]
    assert "first.weight" in (root / "new.toml").read_text()


def test_steps_whose_values_a_mask_hides_are_told(made):
    """Beside -1e9 the other scores are lost in its rounding: the step is left out, and a note says so."""
    entry = read_golden(made[0] / "masked").run("float32")
    assert "chances" in [layer["name"] for layer in entry["layers"]]
    assert "scores" not in [layer["name"] for layer in entry["layers"]]
    assert any("a mask hides" in note and "1 (scores:0)" in note for note in entry["notes"]), entry["notes"]
