"""torch's own formats hold every dtype bit for bit, and are written with one tensor in memory at a time."""

import weakref
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp

from tfport.weights.writers import Tensor, Writing, distributed, write

DTYPES = [
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64",
    "complex64", "complex128", "bfloat16", "float8_e4m3fn", "float8_e5m2",
]  # fmt: skip
SHAPES = [(), (0, 3), (7,), (3, 4, 5)]


def dtype_of(name):
    return np.dtype(getattr(ml_dtypes, name) if hasattr(ml_dtypes, name) else name)


def values():
    source = np.random.default_rng(0)
    made = {}
    for name in DTYPES:
        for shape in SHAPES:
            made[f"{name}/{len(shape)}"] = np.asarray(source.standard_normal(shape) * 3).astype(
                dtype_of(name)
            )
    made["turned"] = source.standard_normal((50, 60, 7)).transpose(2, 0, 1)
    return made


def tensors(made):
    return {k: Tensor(v.shape, v.dtype.name, lambda v=v: v) for k, v in made.items()}


def read_distributed(path, made):
    state = {k: torch.ones(v.shape, dtype=getattr(torch, v.dtype.name)) for k, v in made.items()}
    dcp.load(state, checkpoint_id=path, no_dist=True)
    return state


def same(found, made):
    assert list(found) == list(made)
    for name, value in made.items():
        tensor = found[name]
        assert tuple(tensor.shape) == value.shape and str(tensor.dtype) == f"torch.{value.dtype.name}", name
        bits = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        assert bits == np.ascontiguousarray(value).tobytes(), name


@pytest.fixture(params=["together", "apart"])
def held(request, monkeypatch):
    """A folder with one file, and one with a file for each tensor."""
    if request.param == "apart":
        monkeypatch.setattr(distributed, "HELD", 1)
    return request.param


@pytest.mark.parametrize("mmap", [False, True])
def test_a_state_dict_holds_every_dtype(tmp_path, mmap):
    told = []
    path = tmp_path / "x.pt"
    write(str(path), tensors(values()), {}, Writing(told=told.append))
    same(torch.load(path, weights_only=True, mmap=mmap), values())
    assert sum(told) == sum(v.nbytes for v in values().values())
    with zipfile.ZipFile(path) as made:
        assert made.testzip() is None


def test_a_state_dict_is_laid_out_as_torch_lays_it_out(tmp_path):
    made = {k: v for k, v in values().items() if k.startswith("float32")}
    write(str(tmp_path / "ours.pt"), tensors(made), {})
    torch.save({k: torch.from_numpy(v) for k, v in made.items()}, tmp_path / "ours_by_torch.pt")

    def records(name):
        with zipfile.ZipFile(tmp_path / name) as file:
            return [
                (i.filename.split("/", 1)[1], i.file_size, i.CRC)
                for i in file.infolist()
                if "/data/" in i.filename
            ]

    assert records("ours.pt") == records("ours_by_torch.pt") and len(records("ours.pt")) == len(SHAPES)


def test_a_distributed_checkpoint_holds_every_dtype(tmp_path, held):
    told = []
    files = write(str(tmp_path / "x.dcp"), tensors(values()), {}, Writing(told=told.append))
    same(read_distributed(tmp_path / "x.dcp", values()), values())
    assert sum(told) == sum(v.nbytes for v in values().values())
    assert len(files) == (2 if held == "together" else len(values()) + 1)


@pytest.mark.parametrize("name", ["x.pt", "x.dcp"])
def test_one_tensor_is_in_memory_at_a_time(tmp_path, monkeypatch, name):
    monkeypatch.setattr(distributed, "HELD", 1)
    alive, most = [], []

    def read(n):
        most.append(sum(made() is not None for made in alive))
        made = np.full((30, 40), n, "f4")
        alive.append(weakref.ref(made))
        return made

    write(
        str(tmp_path / name),
        {str(n): Tensor((30, 40), "float32", lambda n=n: read(n)) for n in range(20)},
        {},
    )
    assert len(most) == 20 and max(most) <= 1
