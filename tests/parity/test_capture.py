"""The capture: what it records, in which form, and what it says when it cannot; one TensorFlow process for all."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.parity.conftest import PROGRAMS, capture_many, replayed
from tfport.parity.golden import read_golden
from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.inputs import make_inputs, spec_of_model
from tfport.parity.reference.run import Run
from tfport.parity.reference.store import write_tensors
from tfport.parity.reference.values import flatten

F, C = PROGRAMS / "functions.py", PROGRAMS / "cnn.py"
JOBS = {
    "cnn": [f"{C}:build", "--dtype", "float32,float64", "--call-args", "classes=3"],
    "again": [f"{C}:build", "--dtype", "float32", "--call-args", "classes=3"],
    "seed": [f"{C}:build", "--seed", "7", "--layers", "none"],
    "scaled": [f"{F}:scaled", "--input", "4x3"],
    "pair": [f"{F}:pair", "--input", "4x3", "--input", "b=4x3", "--dtype", "float32,float64"],
    "constants": [f"{F}:constants"],
    "train": [f"{F}:train", "--call-args", "steps=3"],
    "Affine": [f"{F}:Affine", "--input", "4x3"],
    "Mixer": [f"{F}:Mixer", "--input", "4x5:int32<11", "--input", "4x3", "--dtype", "float32,float64"],
    "Traced": [f"{F}:Traced", "--input", "4x3", "--dtype", "float32,float64"],
    "composites": [f"{F}:composites", "--input", "3x4"],
}
WRONG = {
    "no file": (["nowhere.py:f"], "nowhere.py: no such file"),
    "no colon": ([str(F)], "expected FILE.py:NAME"),
    "no name": ([f"{F}:nothing"], "has no nothing; it defines Affine, Mixer, Traced, composites"),
    "not callable": ([f"{F}:np.pi"], "nothing to call"),
    "too few inputs": ([f"{F}:pair", "--input", "4x3"], "pair(a, b) got 1 input(s)"),
    "unknown shape": ([f"{F}:Mixer"], "pass --input"),
    "bad spec": ([f"{F}:scaled", "--input", "4y3"], "--input 4y3: expected"),
    "bad dtype": ([f"{F}:scaled", "--input", "4x3:flot32"], "no dtype flot32"),
    "no array": ([f"{F}:scaled", "--input", "none.npy"], "No such file"),
    "bad arguments": ([f"{F}:train", "--call-args", "a b"], "expected Python literals"),
    "the reference raises": ([f"{F}:failing", "--input", "4x3"], "the reference raised InvalidArgumentError"),
    "where it raises": ([f"{F}:failing", "--input", "4x3"], "(functions.py:35)"),
    "bad weights": ([f"{C}:build", "--weights", str(C)], "the reference raised"),
    "no folder": ([f"{F}:constants"], "no such folder"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every job and every wrong job, captured; folder and the told (status, message) by name."""
    root = tmp_path_factory.mktemp("captures")
    jobs = {name: [*job, "-o", root / name] for name, job in JOBS.items()}
    jobs |= {name: [*job, "-o", root / name.replace(" ", "-")] for name, (job, _) in WRONG.items()}
    jobs["no folder"][-1] = root / "nowhere" / "x"
    jobs["exists"] = [*JOBS["constants"], "-o", root / "constants"]
    jobs["update"] = [*JOBS["constants"], "-o", root / "constants", "--update"]
    jobs["weights"] = [
        *JOBS["again"],
        "-o",
        root / "weights",
        "--weights",
        root / "cnn" / "float32.weights.h5",
    ]
    told = dict(zip(jobs, capture_many(list(jobs.values())), strict=True))
    return root, told


def test_every_job_is_written_and_every_wrong_one_leaves_nothing(made):
    root, told = made
    written = {*JOBS, "update", "weights"}
    assert {name: status for name, (status, _) in told.items()} == {n: 0 if n in written else 2 for n in told}
    assert {p.name for p in root.iterdir()} == {*JOBS, "weights"}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_job_is_told_in_one_line(name, made):
    text = made[1][name][1]
    last = text.splitlines()[-1]
    assert last.startswith("tfport: ") and WRONG[name][1] in last and "Traceback" not in text


def test_an_existing_folder_needs_update(made):
    assert "pass --update" in made[1]["exists"][1]


def test_a_run_repeats_bit_for_bit_and_a_seed_changes_it(made):
    root, _ = made
    one, two = (read_golden(root / n) for n in ("cnn", "again"))
    a, b = one.tensors(one.run("float32")), two.tensors(two.run("float32"))
    assert list(a) == list(b) and all(np.array_equal(a[k].array, b[k].array) for k in a)
    other = read_golden(root / "seed")
    c = other.tensors(other.run("float32"))
    assert not np.allclose(a["inputs/0"].array, c["inputs/0"].array)
    assert not any(name.startswith("layers/") for name in c)


def test_the_manifest_tells_versions_seed_and_names(made):
    manifest = read_golden(made[0] / "cnn").manifest
    assert set(manifest["versions"]) == {"python", "numpy", "tensorflow", "keras"}
    assert manifest["target"] == "cnn.py:build" and manifest["seed"] == 0 and manifest["layout"] == "NHWC"
    assert [r["dtype"] for r in manifest["runs"]] == ["float32", "float64"]
    assert manifest["runs"][0]["outputs"] == ["output/0", "output/1"]
    names = [layer["name"] for layer in manifest["runs"][1]["layers"]]
    assert names[-9:] == ["conv1", "bn1", "pool1", "conv2", "bn2", "flat", "hidden", "square", "head"]


def test_statistics_are_realistic_and_nothing_trivial_is_left(made):
    import h5py

    golden = read_golden(made[0] / "cnn")
    tensors = golden.tensors(golden.run("float64"))
    for name in ("bn1", "bn2"):
        spread = tensors[f"layers/{name}"].array.std((0, 1, 2))
        assert np.all(spread > 0.1) and np.all(spread < 5)
    assert tensors["outputs/output/0"].array.max() < 0.99
    seen = []

    def look(name, held):
        if isinstance(held, h5py.Dataset):
            values = held[()]
            seen.append(name)
            assert values.size == 1 or np.unique(values).size > 1, name
            if "batch_normalization/vars/3" in name:
                assert values.min() >= 0.01 and values.max() <= 1.0

    with h5py.File(golden.folder / "float64.weights.h5") as file:
        file.visititems(look)
    assert sum("vars/" in name for name in seen) == 16


def test_weights_are_loaded_where_named(made):
    one, two = (read_golden(made[0] / n) for n in ("cnn", "weights"))
    a, b = one.tensors(one.run("float32")), two.tensors(two.run("float32"))
    assert np.array_equal(a["outputs/output/0"].array, b["outputs/output/0"].array)


@pytest.mark.parametrize("name", ["scaled", "pair", "constants", "train", "Affine", "Mixer", "Traced"])
def test_functions_modules_and_models_agree_with_their_twins(name, made, tmp_path):
    golden = read_golden(made[0] / name)
    dtypes = [run["dtype"] for run in golden.runs]
    target = f"{PROGRAMS / 'functions_torch.py'}:{name}"
    parts = replayed(golden.folder, target, tmp_path / "out", dtypes, call_args=golden.manifest["call_args"])
    assert [part.ok for part in parts] == [True] * len(dtypes), parts


def test_the_elements_of_a_function_are_all_compared(made, tmp_path):
    (part,) = replayed(made[0] / "scaled", f"{PROGRAMS / 'functions_torch.py'}:scaled", tmp_path / "out")
    assert [t.name for t in part.comparison] == ["output/y", "output/n", "output/name"]
    (part,) = replayed(made[0] / "train", f"{PROGRAMS / 'functions_torch.py'}:train", tmp_path / "two")
    assert not part.ok and part.comparison.tensors[0].status == "shape"  # 5 losses, 3 in the reference


def test_graph_programs_run_in_their_own_process(tmp_path):
    file = PROGRAMS / "graph.py"
    names = ("built", "weighted", "run")
    jobs = [[f"{file}:{name}", "-o", tmp_path / name, "--input", "4x3"] for name in names]
    assert [status for status, _ in capture_many(jobs)] == [0, 0, 0]
    for name in names:
        (part,) = replayed(tmp_path / name, f"{PROGRAMS / 'graph_torch.py'}:{name}", tmp_path / f"{name}-out")
        assert part.ok, part
    assert read_golden(tmp_path / "weighted").runs[0]["weights"]["kind"] == "graph"


def test_without_tensorflow_it_says_what_to_install(script, tmp_path):
    (tmp_path / "tensorflow.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'tensorflow'\", name='tensorflow')"
    )
    command = [sys.executable, script, f"{F}:constants", "-o", tmp_path / "golden"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert (
        done.returncode == 2 and "pip install 'tfport[tf]'" in done.stderr and "Traceback" not in done.stderr
    )
    assert not (tmp_path / "golden").exists()


def test_random_inputs_follow_their_spec(tmp_path):
    specs = [
        "2x3",
        "ids=4x10:int32<100",
        "3x3:float64>=1<2",
        "scalar:bool",
        "5:int64>=-3<4",
        "6:complex64",
        "2:float16",
    ]
    made = make_inputs(specs, 0, "float64")
    assert [(n, a.shape, a.dtype.name) for n, a in made] == [
        (None, (2, 3), "float64"), ("ids", (4, 10), "int32"), (None, (3, 3), "float64"), (None, (), "bool"),
        (None, (5,), "int64"), (None, (6,), "complex64"), (None, (2,), "float16"),
    ]  # fmt: skip
    assert made[1][1].min() >= 0 and 50 < made[1][1].max() < 100
    assert made[2][1].min() >= 1 and made[2][1].max() < 2
    single = make_inputs(specs[:1], 0, "float32")[0][1]
    assert np.array_equal(made[0][1], single.astype("float64"))  # both precisions see the same numbers
    np.savez(tmp_path / "batch.npz", x=np.ones((2, 2)), y=np.arange(3))
    loaded = make_inputs([f"{tmp_path / 'batch.npz'}", f"z={tmp_path / 'batch.npz'}:y"], 0, "float32")
    assert [(n, a.shape) for n, a in loaded] == [(None, (2, 2)), (None, (3,)), ("z", (3,))]


def test_ragged_and_sparse_tensors_are_their_parts(made):
    """Within a list too, and in float64, which the wander comes from."""
    golden = read_golden(made[0] / "composites")
    run, held = golden.runs[0], golden.tensors(golden.runs[0])
    parts = ["1/flat_values", "1/row_splits_0", "2/indices", "2/values", "2/dense_shape"]
    assert run["outputs"] == ["output/0", *(f"output/{part}" for part in parts)]
    assert held["outputs/output/1/row_splits_0"].array.tolist() == [0, 2, 12]
    assert held["outputs/output/2/dense_shape"].array.tolist() == [3, 4]
    assert {"outputs/output/0", "outputs/output/1/flat_values", "outputs/output/2/values"} <= set(
        run["wander"]
    )


def test_stored_values_come_back(tmp_path):
    import torch

    from tfport.parity.golden import read_tensors

    values = flatten(
        {
            "f": np.float32(1.5), "d": np.arange(3.0), "i": np.arange(4, dtype="int16").reshape(2, 2), "b": True,
            "bf": torch.tensor([1.5, -2.0], dtype=torch.bfloat16), "h": np.float16(0.5), "c": np.array([1 + 2j], "complex64"),
            "z": 1 - 1j, "s": ["a", "b"], "n": None, "e": [], "o": np.zeros((0, 2), "uint8"), "p": [1.0, 2.0],
        }
    )  # fmt: skip
    write_tensors(tmp_path / "x.safetensors", values)
    back = read_tensors(tmp_path / "x.safetensors")
    assert list(back) == list(values)
    for name, value in values.items():
        assert back[name].dtype == value.dtype, name
        assert back[name].array.shape == value.array.shape and np.array_equal(
            back[name].array, value.array
        ), name
    from safetensors.torch import load_file

    loaded = load_file(tmp_path / "x.safetensors")
    assert loaded["output/i"].tolist() == [[0, 1], [2, 3]] and loaded["output/bf"].dtype == torch.bfloat16


def test_the_shape_that_keras_knows_is_taken():
    class Known:
        inputs = ()
        input_shape = (None, 8, 8, 3)
        layers = ()

    assert spec_of_model(Known()) == ["2x8x8x3:float32"]
    Known.layers = [type("Embedding", (), {"input_dim": 11})()]
    Known.input_shape = (None, 5)
    assert spec_of_model(Known()) == ["2x5:int32<11"]
    Known.layers, Known.input_shape = (), (None, None, None, 3)
    with pytest.raises(CaptureError, match=r"free sizes: pass --input 2x64x64x3:float32"):
        spec_of_model(Known())


@pytest.mark.parametrize(
    "function, arguments, inputs, takes",
    [
        (lambda x: x, [], ["2x3"], True), (lambda x: x, [], [], False), (lambda x, n: x, [3], ["2x3"], True),
        (lambda scale: scale, [2], ["2x3"], False), (lambda scale, width=8: scale, [2, 4], ["2x3"], False),
        (lambda scale, width=8: scale, [2], ["2x3"], True), (lambda n, ids: n, [2], ["ids=2x3:int32<5"], True),
        (lambda n: n, [2], ["ids=2x3:int32<5"], False),
    ],
)  # fmt: skip
def test_a_function_without_room_for_the_inputs_is_a_builder(function, arguments, inputs, takes):
    run = SimpleNamespace(options=SimpleNamespace(input=inputs))
    assert Run.takes_inputs(run, function, arguments, {}) is takes
