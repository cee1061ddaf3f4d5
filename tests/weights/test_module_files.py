"""Modules that ``--module`` imports from files of one name."""

import json

import h5py
import numpy as np
from click.testing import CliRunner
from safetensors.numpy import load_file

from tfport.cli import main
from tfport.weights.module_file import build
from tfport.weights.record import find_record

NET = "from torch import nn\n\n\nclass Net(nn.Module):\n    pass\n"


def test_a_file_of_the_same_name_elsewhere_has_a_record_of_its_own(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "samename.py").write_text(NET)
    told = {"version": 1, "models": {"Net": {"kind": "functional", "layers": []}}}
    (tmp_path / "one" / "samename.tfport.json").write_text(json.dumps(told))
    one, two = (build(f"{tmp_path}/{name}/samename.py:Net")[0] for name in ("one", "two"))
    assert find_record(one) is not None and find_record(two) is None


def test_a_file_may_be_called_as_a_module_that_is_imported(tmp_path):
    (tmp_path / "numpy.py").write_text(NET)
    assert type(build(f"{tmp_path}/numpy.py:Net")[0]).__name__ == "Net"
    assert np.zeros(1).shape == (1,)


UNBUILT = """
from tfport import compat


class Net(compat.keras.Model):
    def __init__(self):
        super().__init__()
        self.embed = compat.keras.layers.Embedding(5, 3)
        self.dense = compat.keras.layers.Dense(2)

    def call(self, x):
        return self.dense(self.embed(x))
"""


def test_a_module_without_weights_before_its_first_call_is_called_on_an_input(tmp_path):
    """Without the input the error says which option to pass; with a wrong one what the module said."""
    (tmp_path / "unbuilt.py").write_text(UNBUILT)
    weights = {
        "embed/vars/0": np.ones((5, 3), "f4"),
        "dense/vars/0": np.ones((3, 2), "f4"),
        "dense/vars/1": np.ones(2, "f4"),
    }
    with h5py.File(tmp_path / "net.weights.h5", "w") as file:
        for key, value in weights.items():
            file[key] = value
    command = ["weights", f"{tmp_path}/net.weights.h5", "--module", f"{tmp_path}/unbuilt.py:Net"]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 2 and "--input 1x224x224x3" in refused.output
    for given, told in (
        ("3x4:int64", ""),
        ("3by4", "expected a shape"),
        ("3x4 3x4", "called on --input 3x4 3x4: TypeError"),
    ):
        inputs = [word for one in given.split() for word in ("--input", one)]
        done = CliRunner().invoke(main, [*command, *inputs, "-o", f"{tmp_path}/net.safetensors"])
        assert done.exit_code == (2 if told else 0) and told in done.output, done.output
    assert {k: v.shape for k, v in load_file(tmp_path / "net.safetensors").items()} == {
        "embed.module.weight": (5, 3), "dense.module.weight": (2, 3), "dense.module.bias": (2,)}  # fmt: skip
