"""What is written: shards and their index, distributed checkpoints, other dtypes, chosen tensors; nothing half-written."""

import json
import os

import ml_dtypes
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file
from tables import bundle
from twins import FOLDER

from tfport.weights import WeightsError
from tfport.weights.choosing import size_in_bytes
from tfport.weights.cli_weights import weights
from tfport.weights.safetensors_file import read_safetensors
from tfport.weights.writers import Tensor, Writing, cast, write


def call(*args):
    return CliRunner().invoke(weights, [str(a) for a in args])


@pytest.fixture
def values(tmp_path):
    source = np.random.default_rng(0)
    made = {f"layer_{i}/kernel": source.standard_normal((40, 50)).astype(np.float32) for i in range(6)}
    made["count/steps"] = np.arange(5, dtype=np.int32)
    at, places = 0, {}
    for name, array in made.items():
        places[name] = (array, at)
        at += array.nbytes
    bundle(tmp_path / "ck", places)
    return made


def test_shards_and_their_index(tmp_path, values):
    done = call(tmp_path / "ck", "-o", tmp_path / "m.safetensors", "--shard-size", "20KB", "--jobs", 3)
    assert done.exit_code == 0, done.output
    files = sorted(n for n in os.listdir(tmp_path) if n.startswith("m"))
    shards = [f"m-{i:05d}-of-00003.safetensors" for i in (1, 2, 3)]
    assert files == [*shards, "m.safetensors.index.json"]
    index = json.loads((tmp_path / "m.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(a.nbytes for a in values.values())
    assert set(index["weight_map"]) == set(values)
    for name, array in values.items():
        np.testing.assert_array_equal(load_file(tmp_path / index["weight_map"][name])[name], array)
    assert all((tmp_path / shard).stat().st_size < 21_000 for shard in shards)


def test_a_checkpoint_smaller_than_a_shard_is_one_file(tmp_path, values):
    assert call(tmp_path / "ck", "-o", tmp_path / "m.safetensors", "--shard-size", "1GB").exit_code == 0
    assert [n for n in os.listdir(tmp_path) if n.startswith("m")] == ["m.safetensors"]


def test_a_distributed_checkpoint(tmp_path, values):
    import torch.distributed.checkpoint as dcp

    done = call(tmp_path / "ck", "-o", tmp_path / "m.dcp")
    assert done.exit_code == 0, done.output
    state = {
        name: torch.zeros(array.shape, dtype=getattr(torch, array.dtype.name))
        for name, array in values.items()
    }
    dcp.load(state, checkpoint_id=tmp_path / "m.dcp", no_dist=True)
    for name, array in values.items():
        np.testing.assert_array_equal(state[name].numpy(), array)
    again = call(tmp_path / "ck", "-o", tmp_path / "m.dcp")
    assert again.exit_code == 2 and "is a folder" in again.output


@pytest.mark.parametrize(
    ("dtype", "made"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16), ("float64", np.float64)]
)
def test_another_dtype_is_rounded_to_nearest(tmp_path, values, dtype, made):
    done = call(tmp_path / "ck", "-o", tmp_path / "m.safetensors", "--dtype", dtype)
    assert done.exit_code == 0, done.output
    found = read_safetensors(str(tmp_path / "m.safetensors"))
    for name, array in values.items():
        expected = array.astype(made) if array.dtype == np.float32 else array
        assert found[name].dtype == expected.dtype and found[name].tobytes() == expected.tobytes()


def test_a_value_that_the_dtype_cannot_hold_is_named(tmp_path):
    bundle(
        tmp_path / "ck",
        {"a/big": (np.array([1.0, 1e30], np.float32), 0), "a/inf": (np.array([np.inf], np.float32), 8)},
    )
    done = call(tmp_path / "ck", "-o", tmp_path / "m.safetensors", "--dtype", "float16")
    assert done.exit_code == 2 and "a/big: 1" in done.output and "beyond float16" in done.output
    assert not [n for n in os.listdir(tmp_path) if n.startswith((".m", "m"))]
    assert (
        call(
            tmp_path / "ck", "-o", tmp_path / "m.safetensors", "--dtype", "float16", "--exclude", "*big"
        ).exit_code
        == 0
    )
    assert np.isinf(load_file(tmp_path / "m.safetensors")["a/inf"]).all()


def test_chosen_tensors(tmp_path, values):
    out = tmp_path / "m.safetensors"
    assert (
        call(tmp_path / "ck", "-o", out, "--select", "layer_[012]/*", "--exclude", "layer_1/*").exit_code == 0
    )
    assert set(load_file(out)) == {"layer_0/kernel", "layer_2/kernel"}
    listed = call(tmp_path / "ck", "--list", "--select", "count/*").output
    assert "count/steps" in listed and "layer_0" not in listed
    wrong = call(tmp_path / "ck", "-o", out, "--select", "layers/*")
    assert wrong.exit_code == 2 and "matches no tensor; the first are count/steps" in wrong.output


@pytest.mark.parametrize(
    ("text", "size"),
    [("10", 10), ("2GB", 2 * 10**9), ("1GiB", 2**30), ("500 mb", 500 * 10**6), ("1.5KiB", 1536)],
)
def test_sizes(text, size):
    assert size_in_bytes(text, "--shard-size") == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "2TB", "1e9"])
def test_what_is_no_size(text):
    with pytest.raises(WeightsError, match="--shard-size"):
        size_in_bytes(text, "--shard-size")


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt", "x.dcp"])
def test_a_failure_in_the_middle_leaves_nothing(tmp_path, name):
    def fails():
        raise WeightsError("crc mismatch")

    tensors = {
        "good": Tensor((300, 300), "float32", lambda: np.zeros((300, 300), np.float32)),
        "bad": Tensor((2,), "float32", fails),
    }
    for how in (Writing(), Writing(shard_size=1000)) if name.endswith("safetensors") else (Writing(),):
        with pytest.raises(WeightsError, match="crc mismatch"):
            write(str(tmp_path / name), tensors, {}, how)
        assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    from tfport.weights.writers import safetensors

    def full(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors, "put", full)
    with pytest.raises(WeightsError, match=r"x\.safetensors: cannot be written: No space left"):
        write(
            str(tmp_path / "x.safetensors"), {"a": Tensor((1,), "int32", lambda: np.zeros(1, np.int32))}, {}
        )
    assert os.listdir(tmp_path) == []


def test_a_view_in_any_strides_and_a_cast_after_a_cast(tmp_path):
    array = np.random.default_rng(0).standard_normal((3, 3, 70, 130))
    view = array.transpose(3, 2, 0, 1)
    tensor = cast("a", cast("a", Tensor(view.shape, "float64", lambda: view), "float32"), "float16")
    write(str(tmp_path / "x.safetensors"), {"a": tensor}, {})
    expected = view.astype(np.float32).astype(np.float16)
    np.testing.assert_array_equal(load_file(tmp_path / "x.safetensors")["a"], expected)
    np.testing.assert_array_equal(tensor.array(), expected)


# ---------------------------------------------------------------- --diff


def test_float64_is_rounded_to_bfloat16_once():
    """By way of float32 a number just beside a tie would fall on it."""
    source = np.random.default_rng(3)
    bits = source.integers(0, 1 << 16, 4000, np.uint16)
    low = np.sort(bits & 0x7F7F).view(ml_dtypes.bfloat16).astype(np.float64)
    high = (np.sort(bits & 0x7F7F) + np.uint16(1)).view(ml_dtypes.bfloat16).astype(np.float64)
    finite = np.isfinite(high)
    low, high = low[finite], high[finite]
    ties = low + (high - low) / 2
    even = np.where(low.astype(ml_dtypes.bfloat16).view(np.uint16) % 2 == 0, low, high)
    for sign in (1, -1):
        for values, nearest in (
            (ties, even), (np.nextafter(ties, 0), low), (np.nextafter(ties, np.inf), high), (low, low),
        ):  # fmt: skip
            tensor = Tensor(values.shape, "float64", lambda v=sign * values: v)
            found = cast("w", tensor, "bfloat16").array()
            np.testing.assert_array_equal(found.astype(np.float64), sign * nearest)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-320, 5e-41])
    found = cast("w", Tensor(special.shape, "float64", lambda: special), "bfloat16").array()
    wanted = special.astype(ml_dtypes.bfloat16)
    assert found.view(np.uint16).tolist() == wanted.view(np.uint16).tolist()
    with pytest.raises(WeightsError, match="beyond bfloat16"):
        cast("w", Tensor((1,), "float64", lambda: np.array([1e300])), "bfloat16").array()


def test_the_same_weights_in_two_formats_are_equal(tmp_path):
    done = call("--diff", FOLDER / "cnn.keras", FOLDER / "cnn.weights.h5")
    assert done.exit_code == 0 and "14 of 14 tensors are equal, bit for bit" in done.output


def test_a_checkpoint_and_its_state_dict(tmp_path):
    kernel, bias = (
        np.random.default_rng(0).standard_normal((3, 3, 4, 4)).astype(np.float32),
        np.ones(4, np.float32),
    )
    bundle(tmp_path / "ck", {"conv/kernel": (kernel, 0), "conv/bias": (bias, kernel.nbytes)})
    state = {"conv.weight": torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()), "conv.bias": torch.ones(4)}
    torch.save(state, tmp_path / "m.pt")
    done = call("--diff", tmp_path / "ck", tmp_path / "m.pt")
    assert (
        done.exit_code == 0
        and "2 of 2 tensors are equal, bit for bit (1 of them after the move" in done.output
    )
    state["conv.weight"] = torch.from_numpy(kernel.transpose(3, 2, 1, 0).copy())  # transposed in space
    torch.save(state, tmp_path / "m.pt")
    done = call("--diff", tmp_path / "ck", tmp_path / "m.pt", "--format", "json")
    found = json.loads(done.output)
    assert done.exit_code == 1 and not found["equal"]
    (row,) = [r for r in found["rows"] if r["status"] == "close"]
    assert row["b"] == "conv.weight" and row["max_abs"] > 0.1 and row["differing"] == 96


def test_differences_are_named(tmp_path):
    a = {"same": np.zeros(3, np.float32), "value": np.zeros(3, np.float32), "shape": np.zeros((2, 3), np.float32),
         "dtype": np.zeros(2, np.float32), "gone": np.zeros(1, np.float32), "nan": np.array([np.nan], np.float32)}  # fmt: skip
    b = {"same": a["same"], "value": np.array([0, 0.5, 0], np.float32), "shape": np.zeros((3, 2), np.float32),
         "dtype": np.zeros(2, np.float64), "new": np.zeros(1, np.float32), "nan": a["nan"]}  # fmt: skip
    for name, tensors in (("a", a), ("b", b)):
        made = {k: Tensor(v.shape, v.dtype.name, lambda v=v: v) for k, v in tensors.items()}
        write(str(tmp_path / f"{name}.safetensors"), made, {})
    done = call("--diff", tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert sum(line.startswith(("close", "shape", "dtype", "only in A", "only in B")) for line in lines) == 5
    assert (
        "1 values differ, at most by 5.000e-01" in done.output and "2 of 7 tensors are equal" in done.output
    )


def test_a_pickle_that_is_no_state_dict_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "made"),))

    torch.save({"a": Evil()}, tmp_path / "evil.pt")
    done = call("--diff", FOLDER / "cnn.keras", tmp_path / "evil.pt")
    assert (
        done.exit_code == 2
        and "no state_dict of tensors alone" in done.output
        and not (tmp_path / "made").exists()
    )


def test_two_checkpoints_are_wanted(tmp_path):
    assert call("--diff", FOLDER / "cnn.keras").exit_code == 2
    assert call(FOLDER / "cnn.keras", FOLDER / "cnn.h5").exit_code == 2


@pytest.mark.parametrize(
    ("name", "size"), [("x.safetensors", None), ("x.safetensors", 200_000), ("x.pt", None), ("x.dcp", None)]
)
def test_every_writer_says_a_full_disk_in_one_line_and_leaves_nothing(tmp_path, name, size):
    resource = pytest.importorskip("resource")
    tensors = {
        str(n): Tensor((50_000,), "float32", lambda n=n: np.full(50_000, n, "f4"), None) for n in range(20)
    }
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(WeightsError, match=r"cannot be written: [^\n]*$"):
            write(str(tmp_path / name), tensors, {}, Writing(size, 4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not os.listdir(tmp_path)


def test_a_file_has_no_name_until_it_is_whole(tmp_path):
    if not hasattr(os, "O_TMPFILE"):
        pytest.skip("the system has no nameless files")
    seen = []

    def read():
        seen.extend(os.listdir(tmp_path))
        return np.zeros(3, "f4")

    for at, path in enumerate((tmp_path / "x.safetensors", tmp_path / "x.safetensors")):
        write(str(path), {"a": Tensor((3,), "float32", read)}, {})
        assert seen == ["x.safetensors"] * at
    assert load_file(path)["a"].tolist() == [0, 0, 0]
