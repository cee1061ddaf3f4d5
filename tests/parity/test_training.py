"""Gradients and training: healthy twins agree in both precisions, what differs is placed, errors are one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.parity.conftest import replays
from tests.parity.training_programs import captured, write_twin
from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.training_optimizers import parse_spec

pytest.importorskip("tensorflow")

STEPS = ["--steps", "3", "--input", "16x6", "--layers", "none"]
CROSS = ["--loss", "sparse_categorical_crossentropy"]
BOTH = ["--dtype", "float32,float64"]
JOBS = {
    "adam": ["build", *STEPS, *CROSS, *BOTH, "--gradients", "--optimizer", "make_optimizer()"],
    "sgd": ["build", *STEPS, "--optimizer", "sgd(0.1, momentum=0.9, nesterov=True)"],
    "rising": ["build", *STEPS, "--loss", "absolute", "--target", "16x3", "--optimizer", "rising"],
    "adagrad": ["build", *STEPS, "--loss", "sum", "--optimizer", "adagrad(0.1)"],
    "momentum": ["build", *STEPS, *BOTH, "--optimizer", "MomentumOptimizer(0.1, 0.9)"],
    "rmsprop": ["build", *STEPS, "--optimizer", "RMSPropOptimizer(0.01, momentum=0.5)"],
    "compiled": ["compiled", *STEPS],
    "step": ["build", *STEPS[:2], "--batches", "net.py:batches", "--train-step", "train_step",
             "--optimizer", "make_optimizer()"],
    "uncalibrated": ["build", *STEPS, *CROSS, *BOTH, "--no-calibrate", "--gradients", "--optimizer", "adam"],
    "affine": ["affine", *STEPS[:2], "--gradients", "--input", "8x3", "--optimizer", "adam(0.01)"],
    "own step": ["affine", *STEPS[:2], "--input", "8x3", "--target", "8x3", "--train-step", "own_step"],
    "words": ["words", *STEPS[:2], "--input", "8x5:int32<4", "--optimizer", "adam(0.01)"],
    "unrepeated": ["words", *STEPS[:2], "--input", "8x5:int32<4", "--optimizer", "sgd(0.1)"],
    "waves": ["waves", "--gradients", "--input", "4x3", "--input", "4x3"],
    "frozen": ["frozen", *STEPS],
    "vector": ["build", *STEPS, "--loss", "vector", "--target", "16x3"],
    "no targets": ["build", *STEPS, "--loss", "absolute"],
    "no loss": ["build", *STEPS, "--loss", "nowhere"],
    "no optimizer": ["build", *STEPS, "--optimizer", "adm(0.1)"],
    "bad optimizer": ["build", *STEPS, "--optimizer", "adam(0.1"],
    "no step": ["build", *STEPS, "--train-step", "nowhere"],
    "few batches": ["build", "--steps", "3", "--batches", "net.py:nowhere"],
}  # fmt: skip
HEALTHY = (
    "adam",
    "sgd",
    "rising",
    "vector",
    "adagrad",
    "momentum",
    "rmsprop",
    "compiled",
    "step",
    "uncalibrated",
)
ERRORS = {
    "frozen": "--steps: frozen has no trainable weights",
    "no targets": "--loss absolute needs targets: pass --target SPEC",
    "no loss": "--loss nowhere: net.py has no such function",
    "no optimizer": "--optimizer adm: neither a Keras optimizer nor a name in net.py",
    "bad optimizer": "--optimizer 'adam(0.1': expected a name or a call with literals",
    "no step": "--train-step nowhere: net.py has no such function",
    "few batches": "expected a function that takes nothing, or the number of steps",
}


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors: threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("goldens")
    jobs = {k: [w.replace("net.py:", f"{folder}/net.py:") for w in job] for k, job in JOBS.items()}
    return captured(folder, jobs)


def run_of(golden, twin, output, name="build", dtype="float32", **options):
    assert not isinstance(golden, str), golden
    return replays(golden, f"{twin}:{name}", output, (dtype,), **options)[0][0]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_twin_trains_as_the_reference(goldens, tmp_path, name):
    twin = write_twin(tmp_path / "twin")
    target = "compiled" if name == "compiled" else "build"
    for dtype in ("float32", "float64") if "float32,float64" in JOBS[name] else ("float32",):
        run = run_of(goldens[name], twin, tmp_path / dtype, target, dtype)
        assert run["error"] is None
        training = run["training"]
        assert training["ok"], training["reason"]
        assert [step["in"] for step in training["per_step"]] == [None] * 3
        # 8 trained tensors and 2 running statistics, 3 steps each
        compared = training["compared"]
        assert (compared["forward"], compared["gradient"], compared["statistics"]) == (3, 24, 6)
        assert compared["update"] >= 24 and training["not_compared"] == []
        tight = 1e-4 if dtype == "float32" else 1e-10
        for a, b in zip(training["losses"]["reference"], training["losses"]["candidate"], strict=True):
            assert abs(a - b) <= tight * abs(a)


def test_optimizer_state_is_compared_where_there_is_any(goldens, tmp_path):
    twin = write_twin(tmp_path / "twin")
    wanted = {
        "adam": 8 * 3,
        "sgd": 8 * 2,
        "adagrad": 8 * 2,
        "momentum": 8 * 2,
        "rmsprop": 8 * 3,
        "step": 8 * 3,
    }
    for name, each in wanted.items():
        run = run_of(goldens[name], twin, tmp_path / name)
        assert run["training"]["compared"]["update"] == 3 * each, name


def test_gradients_of_a_healthy_twin_agree(goldens, tmp_path):
    twin = write_twin(tmp_path / "twin")
    for name in ("adam", "uncalibrated"):
        for dtype in ("float32", "float64"):
            gradients = run_of(goldens[name], twin, tmp_path / name / dtype, dtype=dtype)["gradients"]
            assert gradients["ok"], gradients["reason"]
            assert gradients["compared"] == 9 and [r["name"] for r in gradients["inputs"]] == ["inputs/0"]
            assert {r["name"] for r in gradients["parameters"]} == {
                f"{layer}.{kind}"
                for layer in ("first", "bn", "square", "head")
                for kind in ("weight", "bias")
            }
            assert all(
                r["scale"] > 0 and r["max_abs"] <= r["allowed"] < 1e-2 * r["scale"]
                for r in gradients["parameters"]
            )


def test_gradients_by_inputs_are_those_of_calculus(goldens, tmp_path):
    from tfport.parity.golden import read_golden, read_tensors

    golden = read_golden(goldens["waves"])
    entry = golden.run("float32")
    inputs, stored = golden.tensors(entry), read_tensors(golden.folder / entry["training_tensors"])
    x, y = (inputs[f"inputs/{i}"].array.astype(np.float64) for i in (0, 1))
    told = entry["gradients"]
    assert set(told["cotangents"]) == {"output/a", "output/b"}  # indices have no gradient
    a, b = (stored[told["cotangents"][f"output/{k}"]].array for k in "ab")
    for key, wanted in zip(told["inputs"], (np.cos(x) * y * a + 2 * b, np.sin(x) * a), strict=True):
        np.testing.assert_allclose(stored[key].array, wanted, rtol=1e-5, atol=1e-6)
    twin = write_twin(tmp_path / "twin")
    right = run_of(golden.folder, twin, tmp_path / "right", "waves")["gradients"]
    assert right["ok"] and right["compared"] == 3  # the file's variable has no gradient, on either side
    wrong = write_twin(tmp_path / "wrong", ("torch.sin(x) * y", "torch.sin(x).detach() * y"))
    told = run_of(golden.folder, wrong, tmp_path / "out", "waves")["gradients"]
    assert not told["ok"] and told["reason"].startswith("gradient of inputs/0")


def test_the_variables_of_a_file_are_trained_as_those_of_a_model(goldens, tmp_path):
    twin = write_twin(tmp_path / "twin")
    run = run_of(goldens["affine"], twin, tmp_path / "a", "affine")
    assert run["gradients"]["ok"] and [r["name"] for r in run["gradients"]["parameters"]] == ["slope"]
    assert run["training"]["ok"] and run["training"]["compared"]["update"] == 3 * 3  # weight and two averages
    run = run_of(goldens["own step"], twin, tmp_path / "b", "affine")
    assert run["training"]["ok"] and run["training"]["compared"]["update"] == 3
    wrong = write_twin(tmp_path / "wrong", ("slope.sub_(0.1 * change)", "slope.sub_(0.11 * change)"))
    told = run_of(goldens["own step"], wrong, tmp_path / "c", "affine")["training"]
    assert told["fault"]["in"] == "update" and told["fault"]["parameter"] == "slope"


def test_gradients_that_come_in_slices_are_told_apart(goldens, tmp_path):
    """Keras' Adam squares each slice of a repeated id; a dense optimizer squares their sum. SGD does not care."""
    twin = write_twin(tmp_path / "twin")
    assert run_of(goldens["unrepeated"], twin, tmp_path / "a", "words")["training"]["ok"]
    training = run_of(goldens["words"], twin, tmp_path / "b", "words")["training"]
    assert not training["ok"] and training["fault"]["parameter"] == "table.weight"
    (cause,) = training["causes"]
    assert cause["agrees"] and "as a tensor it agrees: it comes in slices" in cause["said"]


@pytest.mark.parametrize(
    ("old", "new", "first"),
    [
        ("self.square(x)", "self.square(x.detach())", "bn.bias"),  # the last before the break
        ("self.first(x)", "(2 * self.first(x) - self.first(x).detach())", "first.bias"),
        ("self.square(x)", "F.linear(x, self.square.weight, self.square.bias.detach())", "square.bias"),
        ("self.square(x)", "F.linear(x, self.square.weight, self.square.bias)", None),
    ],
)
def test_a_wrong_gradient_is_caught_though_all_outputs_agree(goldens, tmp_path, old, new, first):
    twin = write_twin(tmp_path / "twin", (old, new))
    ((run, part),) = replays(goldens["adam"], f"{twin}:build", tmp_path / "out")
    assert part.comparison.ok and not run["error"]
    assert run["gradients"]["ok"] == run["training"]["ok"] == (first is None)
    if first:
        assert run["gradients"]["reason"].startswith(f"gradient of {first}:")
        fault = run["training"]["fault"]
        assert (fault["step"], fault["in"], fault["parameter"]) == (0, "gradient", first)


def test_one_early_fault_does_not_hide_that_later_steps_are_right(goldens, tmp_path):
    change = ("return compat.keras.optimizers.Adam(0.01)", "return First(0.01)")
    late = "class First(compat.keras.optimizers.Adam):\n    def _update(self, grads, variables, rate, dtype):\n" \
           "        super()._update(grads, variables, rate * (1.5 if not self.iterations else 1.0), dtype)\n\n\n"  # fmt: skip
    twin = write_twin(tmp_path / "twin", change, ("def build()", late + "def build()"))
    training = run_of(goldens["adam"], twin, tmp_path / "out")["training"]
    assert [step["in"] for step in training["per_step"]] == ["update", None, None]
    assert training["fault"]["step"] == 0 and training["fault"]["in"] == "update"
    assert training["left"]["step"] == 1 and training["first_parameter"]["step"] == 0
    losses = training["losses"]
    assert abs(losses["candidate"][2] - losses["reference"][2]) > 1e-4  # running free it stays wrong
    assert abs(losses["equal"][2] - losses["reference"][2]) < 1e-5


def test_dropout_is_fed_from_the_reference_and_its_rate_compared(goldens, tmp_path):
    with open(goldens["adam"] / "manifest.json", encoding="utf-8") as file:
        entry = json.load(file)["runs"][0]
    masks = [mask for step in entry["training"]["masks"] for mask in step]
    assert [(mask["layer"], mask["rate"]) for mask in masks] == [("drop", 0.25)] * 3
    inside = "self.bn(torch.relu(self.first(x)))"
    for i, (old, new, said) in enumerate(
        (
            ("nn.Dropout(0.25)", "nn.Dropout(0.2)", "the rate at drop is 0.2 instead of 0.25"),
            (f"self.drop({inside})", inside, "the candidate drops 0 times in a step, the reference 1"),
            (inside, f"self.drop({inside})", "drops 2 times in a step, the reference 1"),
        )
    ):
        twin = write_twin(tmp_path / str(i), (old, new))
        training = run_of(goldens["adam"], twin, tmp_path / "out")["training"]
        assert not training["ok"] and said in training["reason"]


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_trained_is_told_in_one_line(goldens, name):
    error = goldens[name]
    assert isinstance(error, str) and error.startswith("tfport: ") and len(error.splitlines()) == 1
    assert ERRORS[name] in error


def test_a_candidate_that_lacks_a_name_is_told_in_one_line(goldens, tmp_path):
    for name, change, said in (
        ("adam", ("def make_optimizer(", "def make("), "the candidate's file has no make_optimizer"),
        ("rising", ("def absolute(", "def relative("), "the candidate's file has no function absolute"),
        ("step", ("def train_step(", "def step("), "the candidate's file has no function train_step"),
    ):
        twin = write_twin(tmp_path / name, change)
        run = run_of(goldens[name], twin, tmp_path / "out")
        assert run["usage"] and said in run["error"] and "\n" not in run["error"]


def test_a_candidate_that_cannot_train_fails_and_says_why(goldens, tmp_path):
    for name, change, said in (
        ("rising", (".abs().mean()", ".abs().mean(-1)"), "the candidate's loss is not a scalar: [16]"),
        ("step", ("    return loss\n", "    return None\n"), "the candidate's train_step returns no loss"),
        (
            "adam",
            ("return compat.keras.optimizers.Adam(0.01)", "return 0.01"),
            "is a float, no torch.optim.Optimizer",
        ),
        ("adam", ("return compat.keras.optimizers.Adam(0.01)", "raise ValueError('no')"), "ValueError: no"),
    ):
        twin = write_twin(tmp_path / str(len(said)), change)
        ((run, part),) = replays(goldens[name], f"{twin}:build", tmp_path / "out")
        assert run["error"] is None and not run["training"]["ok"] and not part.ok
        assert said in run["training"]["reason"]


def test_specs_of_optimizers_are_calls_with_literals():
    assert parse_spec("adam", "--optimizer") == ("adam", [], {})
    assert parse_spec("SGD(0.1, momentum=.9)", "--optimizer") == ("SGD", [0.1], {"momentum": 0.9})
    nested = parse_spec("sgd(schedules.ExponentialDecay(0.1, 1, decay_rate=0.5))", "--optimizer")
    assert nested == ("sgd", [("ExponentialDecay", [0.1, 1], {"decay_rate": 0.5})], {})
    for text in ("adam(lr=x)", "adam(", "1 + 2", "__import__('os').system('true')(open)"):
        with pytest.raises(CaptureError, match="expected a name or a call with literals"):
            parse_spec(text, "--optimizer")
