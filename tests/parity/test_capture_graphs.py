"""Capture of graphs: tensors by name and scope, frozen graphs and SavedModels, the run in float64 of each."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.parity.conftest import PROGRAMS, capture_many
from tfport.parity.golden import read_golden

NETS, TRACED = PROGRAMS / "graph_nets.py", PROGRAMS / "traced.py"

MAKE = """
import sys
import tensorflow as tf
sys.path.insert(0, sys.argv[1])
import traced
v1, root = tf.compat.v1, sys.argv[2]
net = traced.Net()
call = net.__call__.get_concrete_function(tf.TensorSpec([None, 3], tf.float32, name="x"))
tf.saved_model.save(net, root + "/two", signatures={"apply": call, "again": call})
tf.saved_model.save(net, root + "/bare")
keras = tf.keras.Sequential([
    tf.keras.Input((8, 8, 3)), tf.keras.layers.Conv2D(4, 3, activation="relu", padding="same"),
    tf.keras.layers.BatchNormalization(), tf.keras.layers.Flatten(), tf.keras.layers.Dense(3)])
keras.export(root + "/keras", verbose=False)
with tf.Graph().as_default() as graph, v1.Session() as session:
    tf.compat.v1.set_random_seed(3)
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    w = v1.get_variable("w", [3, 2])
    y = tf.nn.softmax(tf.matmul(x, w, name="product"), name="probs")
    session.run(v1.global_variables_initializer())
    v1.saved_model.simple_save(session, root + "/one", {"x": x}, {"probs": y, "product": y.op.inputs[0]})
    frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["probs"])
    with open(root + "/variable.pb", "wb") as file:
        file.write(graph.as_graph_def().SerializeToString())
with open(root + "/frozen.pb", "wb") as file:
    file.write(frozen.SerializeToString())
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Frozen graphs and SavedModels, made by TensorFlow; a file and a folder that are neither."""
    folder = tmp_path_factory.mktemp("graphs")
    command = [sys.executable, "-c", MAKE, str(PROGRAMS), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "text.pb").write_text("no graph at all")
    (folder / "folder").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "saved_model.pb").write_bytes((folder / "one" / "saved_model.pb").read_bytes()[:100])
    return folder


def run_of(folder, dtype="float32"):
    """A run's entry and its tensors."""
    golden = read_golden(folder)
    entry = golden.run(dtype)
    return entry, golden.tensors(entry)


def wander_is_small(entry, tensors):
    """Every floating tensor of the run is calibrated, by less than 1e-5 of its scale."""
    floating = {n for n, v in tensors.items() if v.array.dtype.kind == "f" and not n.startswith("inputs/")}
    assert floating and floating <= set(entry["wander"]), entry
    for name in floating:
        assert entry["wander"][name] <= 1e-5 * np.abs(tensors[name].array).max(), name
    assert any(entry["wander"][name] > 0 for name in floating)


@pytest.fixture(scope="module")
def v1(tmp_path_factory):
    """Captures in TensorFlow 1's graph mode, one process."""
    root, four = tmp_path_factory.mktemp("v1"), ["--input", "4x3"]
    jobs = {
        "net": [f"{NETS}:net", "--input", "2x7x8x3", "--tensor", "block", "--tensor", "resize:0"],
        "op": [f"{NETS}:net", "--input", "2x7x8x3", "--tensor", "block/deep/", "--no-calibrate"],
        "loop": [f"{NETS}:loop", *four],
        "trained": [f"{NETS}:trained", *four, "--tensor", "dense"],
        "trained again": [f"{NETS}:trained", *four, "--seed", "0"],
        "saving": [f"{NETS}:saving", *four, "--call-args", f"folder={str(root)!r}"],
        "near": [f"{NETS}:net", "--input", "2x7x8x3", "--tensor", "blok/conv"],
        "nothing": [f"{NETS}:trained", *four, "--tensor", "sparse"],
        "output": [f"{NETS}:net", "--input", "2x7x8x3", "--tensor", "block/conv:3"],
        "integers": [f"{NETS}:net", "--input", "2x7x8x3", "--tensor", "Shape"],
    }
    told = capture_many([[*job, "-o", root / name] for name, job in jobs.items()])
    return root, dict(zip(jobs, told, strict=True))


def test_a_scope_records_its_own_floating_operations(v1):
    root, told = v1
    assert told["net"][0] == 0, told["net"]
    entry, tensors = run_of(root / "net")
    layers = {layer["name"]: layer for layer in entry["layers"]}
    assert list(layers) == ["block/conv", "block/norm", "block/relu", "resize"]
    assert layers["block/norm"]["class"] == "FusedBatchNormV3"
    assert layers["block/norm"]["inputs"] == ["layers/block/conv", None, None, None, None]
    assert layers["block/conv"]["config"]["strides"] == [1, 2, 2, 1]
    assert layers["block/conv"]["config"]["padding"] == "SAME"
    relu = tensors["layers/block/relu"].array
    assert relu.shape == (2, 4, 4, 4) and np.array_equal(
        relu, np.maximum(tensors["layers/block/norm"].array, 0)
    )
    depth = entry["depth"]
    assert (
        depth["layers/block/conv"]
        < depth["layers/block/norm"]
        < depth["layers/resize"]
        < depth["outputs/output/pooled"]
    )
    wander_is_small(entry, tensors)
    assert [layer["name"] for layer in run_of(root / "op")[0]["layers"]] == ["block/deep/more"]
    assert run_of(root / "op")[0]["wander"] == {}


def test_a_loop_in_a_graph_is_run_in_float64_too(v1):
    wander_is_small(*run_of(v1[0] / "loop"))


def test_a_program_with_its_own_session_is_recorded_run_by_run_and_trains_in_float64(v1):
    entry, tensors = run_of(v1[0] / "trained")
    calls = [layer for layer in entry["layers"] if layer["name"] == "dense/product"]
    assert [layer["call"] for layer in calls] == [0, 1, 2]
    losses = tensors["outputs/output/0"].array
    for i, layer in enumerate(calls):
        product = tensors[layer["tensors"][0]].array
        assert np.isclose((product**2).mean(), losses[i], rtol=1e-6)
    assert len(set(losses)) == 3
    wander_is_small(entry, tensors)
    again = run_of(v1[0] / "trained again")[1]  # a graph of the program's own is seeded
    assert np.array_equal(again["outputs/output/1"].array, tensors["outputs/output/1"].array)


def test_a_program_that_saves_files_is_not_run_again(v1):
    entry, _ = run_of(v1[0] / "saving")
    assert entry["wander"] == {} and "saves files" in " ".join(entry["notes"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("near", "--tensor blok/conv: the graph has no such tensor, operation or scope; near: block/conv"),
        ("nothing", "--tensor sparse: the graph has no such"),
        ("output", "--tensor block/conv:3: block/conv has 1 output(s)"),
        ("integers", "--tensor Shape: it has no floating output"),
    ],
)
def test_a_wrong_name_is_told_in_one_line(v1, name, said):
    status, text = v1[1][name]
    assert status == 2 and said in text.splitlines()[-1] and not (v1[0] / name).exists()


@pytest.fixture(scope="module")
def v2(root, tmp_path_factory):
    """Captures in TensorFlow 2, one process."""
    folder = tmp_path_factory.mktemp("v2")
    four = ["--input", "4x3"]
    jobs = {
        "scaled": [f"{TRACED}:scaled", *four, "--tensor", "part"],
        "Net": [f"{TRACED}:Net", *four],
        "noisy": [f"{TRACED}:noisy", *four],
        "inside": [f"{TRACED}:inside", *four],
        "numbers": [f"{TRACED}:numbers", *four],
        "dict": [f"{TRACED}:added", "--inputs", f"@{TRACED}:arrays", "--dtype", "float32,float64"],
        "one": [f"{TRACED}:scaled", "--input", f"x=@{TRACED}:one"],
        "undetermined": [f"{TRACED}:undetermined", *four],
        "pb": [root / "frozen.pb", "--dtype", "float64,float32", "--tensor", "product"],
        "pb output": [f"{root / 'frozen.pb'}:product", "--input", "x=5x3"],
        "tf1": [root / "one"],
        "tf2": [root / "two", "--signature", "apply", "--input", "4x3", "--tensor", "Identity"],
        "keras": [root / "keras", "--dtype", "float32,float64", "--signature", "serve"],
        # wrong ones
        "no file": ["nowhere.pb"],
        "no graph": [root / "text.pb"],
        "a variable": [root / "variable.pb"],
        "no output": [f"{root / 'frozen.pb'}:prods"],
        "no input": [root / "frozen.pb", "--input", "y=2x3"],
        "two inputs": [root / "frozen.pb", "--input", "2x3", "--input", "2x3"],
        "no model": [root / "folder"],
        "a damaged model": [root / "broken"],
        "which signature": [root / "two"],
        "no signature": [root / "two", "--signature", "serve"],
        "none": [root / "bare"],
        "a layer's name": [f"{PROGRAMS / 'cnn.py'}:build", "--tensor", "conv1"],
        "the inputs raise": [f"{TRACED}:scaled", "--input", f"@{TRACED}:wrong"],
        "no such function": [f"{TRACED}:scaled", "--input", f"@{TRACED}:nothing"],
        "a function of x": [f"{TRACED}:scaled", "--input", f"@{TRACED}:scaled"],
        "texts": [f"{TRACED}:scaled", "--input", f"@{TRACED}:text"],
        "in a loop": [root / "two", "--signature", "apply", "--tensor", "while/body/_5/while/Tanh"],
        "not traceable": [f"{TRACED}:numbers", *four, "--tensor", "part"],
    }
    told = capture_many([[*job, "-o", folder / name] for name, job in jobs.items()])
    return folder, dict(zip(jobs, told, strict=True))


WRONG = {
    "no file": "nowhere.pb: no such file",
    "no graph": "text.pb is no frozen graph",
    "a variable": "variable.pb is not frozen: w is a variable",
    "no output": "prods: the graph has no such tensor, operation or scope; near: prob",
    "no input": "--input y=: the graph's inputs are x",
    "two inputs": "2 inputs given, the graph has 1",
    "no model": "is a folder without saved_model.pb",
    "a damaged model": "broken is no SavedModel",
    "which signature": "two: pass --signature; it has again, apply",
    "no signature": "two: no signature serve; it has again, apply",
    "none": "bare: pass --signature; it has none",
    "a layer's name": "--tensor is for graphs",
    "the inputs raise": "raised ValueError: no data today (traced.py:",
    "no such function": "has no nothing; it defines",
    "a function of x": "expected a function without required arguments",
    "texts": "input 0 is no array of numbers",
    "in a loop": "it lies inside a loop",
    "not traceable": "--tensor: numbers cannot be traced as a graph",
}


def test_every_job_is_written_and_every_wrong_one_leaves_nothing(v2):
    folder, told = v2
    assert {name: status for name, (status, _) in told.items()} == {n: 2 if n in WRONG else 0 for n in told}
    assert {path.name for path in folder.iterdir()} == {n for n in told if n not in WRONG}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_graphs_and_inputs_are_told_in_one_line(v2, name):
    text = v2[1][name][1]
    assert WRONG[name] in text.splitlines()[-1] and "Traceback" not in text


@pytest.mark.parametrize("name", ["scaled", "Net", "pb", "pb output", "tf1", "tf2", "keras"])
def test_what_is_traced_or_frozen_is_calibrated(v2, name):
    wander_is_small(*run_of(v2[0] / name))


def test_a_function_is_recorded_through_its_graph(v2):
    entry, tensors = run_of(v2[0] / "scaled")
    assert [(layer["name"], layer["inputs"]) for layer in entry["layers"]] == [
        ("part/mul", ["inputs/0", None]),
        ("part/act", ["layers/part/mul"]),
    ]
    act = tensors["layers/part/act"].array
    assert np.allclose(
        tensors["outputs/output/y"].array, np.exp(act) / np.exp(act).sum(-1, keepdims=True), rtol=1e-5
    )


def test_what_is_not_rounding_is_not_taken_for_it(v2):
    for name, why in (("noisy", "not rounding"), ("inside", ""), ("numbers", "")):
        entry, _ = run_of(v2[0] / name)
        assert "outputs/output" not in entry["wander"] or entry["wander"]["outputs/output"] < 1e-5
        assert why in " ".join(entry["notes"])
    assert "outputs/output" not in run_of(v2[0] / "noisy")[0]["wander"]


def test_inputs_from_a_function_are_the_same_in_both_precisions(v2):
    one, two = (run_of(v2[0] / "dict", dtype) for dtype in ("float32", "float64"))
    assert [told["name"] for told in one[0]["inputs"]] == ["a", "b"]
    a, b = one[1]["inputs/a"], one[1]["inputs/b"]
    assert a.dtype == "float32" and two[1]["inputs/a"].dtype == "float64" and b.dtype == "float64"
    assert np.array_equal(a.array, two[1]["inputs/a"].array) and b.array.tolist() == [[0, 1, 2], [3, 4, 5]]
    np.random.seed(0)  # the run's seed is set before the function is called
    assert a.array[0, 0] == np.float32(np.random.rand())
    entry, tensors = run_of(v2[0] / "one")
    assert entry["inputs"][0]["name"] == "x" and tensors["inputs/x"].array[0, 0] == -1


def test_operations_without_a_deterministic_form_are_told(v2):
    manifest = read_golden(v2[0] / "undetermined").manifest
    assert manifest["deterministic"] is False
    assert "deterministic operations are off" in " ".join(manifest["runs"][0]["notes"])
    assert read_golden(v2[0] / "scaled").manifest["deterministic"] is True


def test_a_frozen_graph_has_its_constants_and_a_saved_model_its_variables_as_weights(v2):
    entry, tensors = run_of(v2[0] / "pb")
    assert (entry["kind"], entry["weights"]["kind"], entry["outputs"]) == ("graph", "graph", ["output"])
    from tfport.parity.golden import read_tensors

    weights = read_tensors(v2[0] / "pb" / entry["weights"]["file"])
    assert list(weights) == ["w"]
    product = tensors["inputs/0"].array @ weights["w"].array
    assert np.allclose(tensors["layers/product"].array, product, rtol=1e-5)
    exact, _ = run_of(v2[0] / "pb", "float64")
    assert exact["wander"] == {} and read_golden(v2[0] / "pb").runs[0]["dtype"] == "float64"
    entry, tensors = run_of(v2[0] / "tf1")
    assert entry["kind"] == "savedmodel" and entry["outputs"] == ["output/probs", "output/product"]
    assert list(read_tensors(v2[0] / "tf1" / entry["weights"]["file"])) == ["w"]
    assert len(read_tensors(v2[0] / "keras" / "float32.weights.safetensors")) == 8


def test_a_frozen_graph_is_verified_against_a_function_of_torch(v2, tmp_path):
    from tests.parity.conftest import replayed
    from tfport.parity.golden import read_tensors

    weights = read_tensors(v2[0] / "pb" / "float32.weights.safetensors")["w"].array
    (tmp_path / "port.py").write_text(
        "import torch\n"
        f"w = torch.tensor({weights.tolist()!r}, dtype=torch.float64)\n"
        "def probs(x):\n    return torch.softmax(x @ w.to(x.dtype), -1)\n"
        "def wrong(x):\n    return torch.softmax(x @ w.to(x.dtype), 0)\n"
    )
    golden = v2[0] / "pb"
    parts = replayed(golden, f"{tmp_path / 'port.py'}:probs", tmp_path / "out", ("float32", "float64"))
    assert [part.ok for part in parts] == [True, True], parts
    (part,) = replayed(golden, f"{tmp_path / 'port.py'}:wrong", tmp_path / "bad")
    assert not part.ok


def test_the_manifest_tells_what_the_numbers_depend_on(v2):
    manifest = json.loads((v2[0] / "scaled" / "manifest.json").read_text())
    assert manifest["devices"] == ["CPU:0"] and manifest["tf32"] is False
    assert {"intra_op_threads", "inter_op_threads", "onednn", "threads", "machine"} <= set(manifest)


def test_nothing_is_left_beside_the_goldens(v1):
    shutil.rmtree(v1[0] / "checkpoint", ignore_errors=True)
    assert not [path.name for path in v1[0].iterdir() if path.name.startswith(".tfport")]
