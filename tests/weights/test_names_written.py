"""The names under which tensors are written and compared, and what --diff says of state that is no weight."""

import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file
from tables import bundle
from twins import FOLDER

from tfport.cli import main
from tfport.weights.names import full_name

NAMES = ("conv/kernel", "scale", "net/net/kernel", "a//b", "conv/kernel/Adam", "odd/_v", "step:0")


def call(*arguments):
    return CliRunner().invoke(main, ["weights", *map(str, arguments)])


def put(prefix, **changed):
    values = {name: np.arange(4, dtype=np.float32) + n for n, name in enumerate(NAMES)}
    values.update({name: np.float32(value) + values[name] for name, value in changed.items()})
    bundle(prefix, {name: (value, 16 * n) for n, (name, value) in enumerate(sorted(values.items()))})
    return prefix


@pytest.mark.parametrize(
    ("key", "layers", "variable", "name"),
    [
        ("net/net/kernel", ("net",), "kernel", "net/net/kernel"), ("w:0", (), "w", "w"),
        ("layer_with_weights-0/kernel/.ATTRIBUTES/VARIABLE_VALUE", ("c1",), "kernel", "c1/kernel"),
        ("step/.ATTRIBUTES/VARIABLE_VALUE", (), "step", "step"),
        ("layers/dense/vars/0", ("head",), None, "layers/dense/vars/0"),
    ],
)  # fmt: skip
def test_a_key_that_is_a_name_stays_and_another_gives_way_to_the_name(key, layers, variable, name):
    assert full_name(key, layers, variable) == name


def test_what_is_written_and_its_source_are_equal(tmp_path):
    """Also where a name has a part twice, an empty part or no scope."""
    path, out = put(tmp_path / "ck"), tmp_path / "x.safetensors"
    assert call(path, "-o", out).exit_code == 0
    assert set(load_file(out)) == {"conv/kernel", "scale", "net/net/kernel", "a//b", "odd/_v", "step"}
    done = call("--diff", path, out)
    assert done.exit_code == 0 and "6 of 6 tensors are equal" in done.output
    assert "no weights, and not in both: 1 tensors of A, 0 of B" in done.output
    listed = json.loads(call(path, "--list", "--format", "json").output)["tensors"]
    assert {row["written_as"] for row in listed} == {*load_file(out), None}


def test_two_checkpoints_that_differ_in_state_only_are_not_equal(tmp_path):
    one, other = put(tmp_path / "one"), put(tmp_path / "other", **{"conv/kernel/Adam": 1})
    done = call("--diff", one, other)
    assert done.exit_code == 1 and "close     conv/kernel/Adam [4] float32: 4 values differ" in done.output
    assert "6 of 6 tensors are equal" in done.output and "strings): 0 of 1" in done.output
    assert call("--diff", one, one).exit_code == 0


def test_strings_are_compared(tmp_path):
    for file in FOLDER.glob("many_dtypes.*"):
        shutil.copy(file, tmp_path / file.name)
    done = call("--diff", FOLDER / "many_dtypes", tmp_path / "many_dtypes")
    assert done.exit_code == 0 and "strings): 1 of 1" in done.output


@pytest.mark.parametrize("pattern", ["conv2d/*", "layer_with_weights-2/*"])
def test_a_pattern_matches_the_name_in_the_file_or_the_one_that_is_written(pattern, tmp_path):
    source, out = FOLDER / "keras2_checkpoint", tmp_path / "x.safetensors"
    assert "2 tensors, 2 of them weights" in call(source, "--list", "--select", pattern).output
    assert call(source, "-o", out, "--select", pattern).exit_code == 0
    assert set(load_file(out)) == {"conv2d/kernel", "conv2d/bias"}
    assert call(source, "-o", out, "--exclude", pattern).exit_code == 0 and len(load_file(out)) == 12


def test_damaged_files_of_torch_are_told_as_such(tmp_path):
    """torch's loader raises KeyError, IndexError, TypeError and others on a pickle with a changed byte."""
    path = put(tmp_path / "ck")
    for ending, changed in (("pt", 300), ("safetensors", 120)):
        out = tmp_path / f"x.{ending}"
        assert call(path, "-o", out).exit_code == 0
        data = out.read_bytes()
        statuses = set()
        for at in range(0, min(len(data), changed * 3), 5):
            out.write_bytes(data[:at] + bytes((data[at] ^ 16,)) + data[at + 1 :])
            done = call("--diff", path, out)
            statuses.add(done.exit_code)
            assert done.exit_code != 2 or done.output.startswith("tfport weights: "), done.exception
        assert 2 in statuses
    (tmp_path / "y.safetensors").write_bytes((200_000).to_bytes(8, "little") + b"[" * 200_000)
    assert call("--diff", path, tmp_path / "y.safetensors").exit_code == 2


def test_a_state_dict_beside_an_optimizers_is_compared(tmp_path):
    path, out = put(tmp_path / "ck"), tmp_path / "x.pt"
    assert call(path, "-o", out).exit_code == 0
    torch.save({"model": torch.load(out, weights_only=True), "optimizer": {"state": {}}}, out)
    assert call("--diff", path, out).exit_code == 0
    torch.save({"epoch": 3}, out)
    done = call("--diff", path, out)
    assert done.exit_code == 2 and "holds no tensors" in done.output


def test_a_distributed_checkpoint_is_not_compared(tmp_path):
    path = put(tmp_path / "ck")
    assert call(path, "-o", tmp_path / "x.dcp").exit_code == 0
    done = call("--diff", path, tmp_path / "x.dcp")
    assert done.exit_code == 2 and "is a pickle, which is never loaded" in done.output
