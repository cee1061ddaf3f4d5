"""`tfport weights`: listing, writing under TensorFlow's names, writing a module's state_dict, errors, nothing left behind."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch
from twins import FOLDER, Cnn, error

from tfport.weights import WeightsError, read_checkpoint
from tfport.weights.cli_weights import weights
from tfport.weights.command import run

TWINS = str(pathlib.Path(__file__).with_name("twins.py"))
KERAS_FREE = ("tensorflow", "keras", "tf_keras")


def call(*args):
    return CliRunner().invoke(weights, [str(a) for a in args])


def test_a_list_names_shape_dtype_bytes_and_what_is_no_weight():
    done = call(FOLDER / "cnn.h5", "--list")
    assert done.exit_code == 0
    row = next(line for line in done.output.splitlines() if "head/kernel" in line)
    assert "[120, 4]" in row and "float32" in row and "1920" in row and row.endswith("head")
    assert "40 tensors, 14 of them weights" in done.output and "(optimizer state)" in done.output


def test_a_list_as_json():
    found = json.loads(call(FOLDER / "many_dtypes", "--list", "--format", "json").output)
    rows = {row["name"]: row for row in found["tensors"]}
    assert rows["bfloat16/five"] | {"layer": "", "variable": ""} == {
        "name": "bfloat16/five", "shape": [2, 1, 3, 2, 2], "dtype": "bfloat16", "bytes": 48, "layer": "", "variable": "",
        "ignored": "", "written_as": "bfloat16/five",
    }  # fmt: skip
    assert rows["text"]["bytes"] is None and rows["text"]["written_as"] is None


def test_without_a_module_tensors_keep_tensorflows_names_and_layouts(tmp_path):
    out = tmp_path / "x.safetensors"
    done = call(FOLDER / "cnn_checkpoint", "-o", out)
    assert done.exit_code == 0 and "TensorFlow's names and in TensorFlow's layouts" in done.output
    found, checkpoint = load_file(out), read_checkpoint(FOLDER / "cnn_checkpoint")
    assert found["cnn/head/kernel"].shape == (120, 4) and len(found) == 14
    by_name = {
        f"{e.layers[0]}/{e.variable}": k for k, e in checkpoint.entries.items() if e.layers and not e.ignored
    }
    for name, array in found.items():
        np.testing.assert_array_equal(array, checkpoint[by_name[name]])


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_every_dtype_is_written_bit_for_bit(tmp_path, ending):
    out = tmp_path / f"x{ending}"
    source = FOLDER / "many_dtypes"
    if ending == ".safetensors":
        with pytest.raises(WeightsError, match="safetensors has no complex128"):
            run(str(source), output=str(out))
        assert os.listdir(tmp_path) == []
        return
    run(str(source), output=str(out))
    found, checkpoint = torch.load(out, weights_only=True), read_checkpoint(source)
    assert len(found) == len(checkpoint) - 1
    for name, tensor in found.items():
        key = name if name in checkpoint else None
        assert key is not None and str(tensor.dtype) == f"torch.{checkpoint.entries[key].dtype}"
        assert (
            tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() == checkpoint[key].tobytes()
        )


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_with_a_module_the_file_is_its_state_dict(tmp_path, ending):
    out = tmp_path / f"model{ending}"
    done = call(FOLDER / "cnn.keras", "-o", out, "--module", f"{TWINS}:Cnn")
    assert done.exit_code == 0, done.output
    assert "head.weight [4, 120]" in done.output and "the state_dict of Cnn" in done.output
    module = Cnn()
    module.load_state_dict(
        load_torch(out) if ending == ".safetensors" else torch.load(out, weights_only=True)
    )
    assert error(module, "cnn") < 1e-6
    assert os.listdir(tmp_path) == [out.name]


def test_a_builder_and_its_record_beside_the_file(tmp_path):
    (tmp_path / "net_torch.py").write_text(
        "from torch import nn\n\ndef make():\n    return nn.Sequential(nn.Linear(2, 3))\n\nready = make()\n"
    )
    ways = {"kernel": ["weight", "i o -> o i", {}], "bias": ["bias", "o -> o", {}]}
    layers = [{"name": "only", "class": "Dense", "path": "0", "keras_path": None, "weights": ways}]
    record = {
        "version": 1,
        "models": {"make": {"kind": "sequential", "layers": layers}, "other": {"layers": []}},
    }
    (tmp_path / "net_torch.tfport.json").write_text(json.dumps(record))
    import h5py

    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.arange(6, dtype="f4").reshape(2, 3)
        file["layers/dense/vars/1"] = np.zeros(3, "f4")
    out = tmp_path / "o.safetensors"
    done = call(
        tmp_path / "w.weights.h5", "-o", out, "--module", f"{tmp_path}/net_torch.py:make", "--format", "json"
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["loaded"][0]["matched_by"] == "class and order"
    np.testing.assert_array_equal(load_file(out)["0.weight"], np.arange(6).reshape(2, 3).T)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.py:X", "no such file"), ("net.py", "write FILE.py:NAME"), ("net.py:Absent", "defines no Absent"),
        ("net.py:needs", "TypeError"), ("net.py:number", "gives a int, not a torch module"), ("bad.py:X", "SyntaxError"),
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_made_is_one_line(tmp_path, name, says):
    (tmp_path / "net.py").write_text("def needs(a):\n    pass\n\ndef number():\n    return 3\n")
    (tmp_path / "bad.py").write_text("def (:\n")
    done = call(FOLDER / "cnn.h5", "-o", tmp_path / "x.pt", "--module", tmp_path / name)
    assert done.exit_code == 2 and says in done.output and not (tmp_path / "x.pt").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nothing.h5"], "no such file"), (["{f}/cnn.h5", "-o", "x.onnx"], "must end in .safetensors"),
        (["{f}/cnn.h5", "-o", "no/such/x.pt"], "there is no folder"),
        (["{f}/sub.h5", "-o", "x.pt", "--module", TWINS + ":Cnn"], "does not fit Cnn"),
    ],
)  # fmt: skip
def test_an_error_leaves_nothing_behind(tmp_path, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    done = call(*[a.format(f=FOLDER) for a in args])
    assert done.exit_code == 2 and says in done.output and "Traceback" not in done.output
    assert os.listdir(tmp_path) == []


def test_a_failure_while_writing_leaves_the_old_file(tmp_path):
    for file in FOLDER.glob("parts.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    shard = tmp_path / "parts.data-00001-of-00002"
    shard.write_bytes(bytes(len(shard.read_bytes())))
    out = tmp_path / "x.safetensors"
    out.write_text("old")
    with pytest.raises(WeightsError, match="crc mismatch"):
        run(str(tmp_path / "parts"), output=str(out))
    assert out.read_text() == "old" and not [n for n in os.listdir(tmp_path) if n.endswith(".part")]


def test_the_checkpoint_itself_is_not_overwritten(tmp_path):
    path = tmp_path / "w.pt"
    path.write_bytes((FOLDER / "cnn.h5").read_bytes())
    with pytest.raises(WeightsError, match="the checkpoint itself"):
        run(str(path), output=str(path))


CHECK = """
import sys
import tfport.weights.cli_weights
early = sorted({m.split(".")[0] for m in sys.modules} & {"numpy", "torch", "h5py", "tensorflow", "keras"})
assert not early, early
from tfport.weights import load_weights, read_checkpoint
for path in sys.argv[1:]:
    checkpoint = read_checkpoint(path)
    for key in checkpoint:
        checkpoint[key]
late = sorted({m.split(".")[0] for m in sys.modules} & {"torch", "tensorflow", "keras", "tf_keras", "pickle"} - {"pickle"})
assert not late, late
sys.path.insert(0, sys.argv[0])
"""


def test_reading_needs_neither_tensorflow_nor_torch():
    paths = [
        str(FOLDER / n)
        for n in ("cnn.h5", "cnn.keras", "cnn.weights.h5", "cnn_checkpoint", "cnn_savedmodel", "parts")
    ]
    done = subprocess.run([sys.executable, "-c", CHECK, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_loading_into_a_module_needs_no_tensorflow():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from twins import Cnn, FOLDER; from tfport.weights import load_weights\n"
        "load_weights(Cnn(), FOLDER / 'cnn.keras')\n"
        f"assert not {KERAS_FREE!r} or not [m for m in {KERAS_FREE!r} if m in sys.modules]"
    )
    folder = str(pathlib.Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
