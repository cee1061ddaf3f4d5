"""Optimizer tensors that Keras 3 numbers: in the order of its layers, whatever a module's is, averages never as slots."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from tfport.weights import WeightsError, load_optimizer, load_weights

NAMES = ("alpha", "bravo", "charlie")


def value(number, *shape):
    return np.full(shape, number, "f4")


def h5(groups, tensors):
    """A `.weights.h5` with a kernel per group (1, 2, ...; its layer's name as Keras writes it) and the optimizer's."""
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        for at, (group, name) in enumerate(groups.items()):
            held = root.create_group(f"{group}/vars")
            held.attrs["name"] = name
            held["0"] = value(at + 1, 4, 4)
        root["optimizer/vars/0"], root["optimizer/vars/1"] = np.int64(3), np.float32(0.1)
        for at, number in enumerate(tensors):
            root[f"optimizer/vars/{at + 2}"] = value(number, 4, 4)
        root["optimizer/vars"].attrs["name"] = "adam"
    return file.getvalue()


def keras(path, names, classes, groups, tensors, use_ema=False, name="Adam"):
    layers = [{"class_name": c, "config": {"name": n}} for n, c in zip(names, classes, strict=True)]
    config = {"class_name": "Functional", "config": {"layers": layers},
              "compile_config": {"optimizer": {"class_name": name, "config": {"use_ema": use_ema}}}}  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", h5(groups, tensors))
    return path


class Net(nn.Module):
    """Bias-free layers, all alike, defined in a given order."""

    def __init__(self, *names):
        super().__init__()
        for name in names:
            setattr(self, name, nn.Linear(4, 4, bias=False))


def slots(model, optimizer, key="exp_avg"):
    return {n: float(optimizer.state[p][key].flatten()[0]) for n, p in model.named_parameters()}


DENSE = {"layers/dense": "alpha", "layers/dense_1": "bravo", "layers/dense_2": "charlie"}
ADAM = [10, 100, 20, 200, 30, 300]  # momentum and velocity of each


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
@pytest.mark.parametrize("order", [NAMES, NAMES[::-1], ("bravo", "alpha", "charlie")])
def test_slots_follow_their_weights_in_a_module_of_another_order(tmp_path, ending, order):
    path = tmp_path / f"run{ending}"
    if ending == ".keras":
        keras(path, NAMES, ["Dense"] * 3, DENSE, ADAM)
    else:
        path.write_bytes(h5(DENSE, ADAM))
    model = Net(*order)
    load_weights(model, path)
    optimizer = torch.optim.Adam(model.parameters())
    load_optimizer(optimizer, model, path)
    assert slots(model, optimizer) == {f"{n}.weight": 10.0 * (1 + NAMES.index(n)) for n in NAMES}


def test_an_order_that_nothing_tells_is_refused(tmp_path):
    groups = {"layers/dense": "alpha", "layers/einsum_dense": "bravo"}
    path = tmp_path / "run.weights.h5"
    path.write_bytes(h5(groups, ADAM[:4]))
    model = Net("bravo", "alpha")
    found = {"alpha": "Dense", "bravo": "EinsumDense"}
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(WeightsError, match=r"layers/einsum_dense or layers/dense, alike in shape"):
        load_optimizer(optimizer, model, path)
    assert not optimizer.state
    path = keras(tmp_path / "run.keras", found, found.values(), groups, ADAM[:4])
    load_optimizer(optimizer, model, path)
    assert slots(model, optimizer) == {"bravo.weight": 20, "alpha.weight": 10}


def test_averages_follow_their_weights_too(tmp_path):
    path = keras(tmp_path / "run.keras", NAMES, ["Dense"] * 3, DENSE, [7, 8, 9, *ADAM], use_ema=True)
    model = Net(*NAMES[::-1])
    load_weights(model, path, ema=True)
    assert {n: float(p[0, 0].detach()) for n, p in model.named_parameters()} == {
        "charlie.weight": 9, "bravo.weight": 8, "alpha.weight": 7,
    }  # fmt: skip


def test_slots_are_never_taken_for_averages_nor_averages_for_slots(tmp_path):
    """amsgrad's three tensors of each weight are as many as Adam's two and an average."""
    model = Net(*NAMES)
    amsgrad = keras(tmp_path / "a.keras", NAMES, ["Dense"] * 3, DENSE, [*ADAM, 101, 202, 303])
    with pytest.raises(WeightsError, match="use_ema was off"):
        load_weights(model, amsgrad, ema=True)
    averaged = keras(tmp_path / "b.keras", NAMES, ["Dense"] * 3, DENSE, [7, 8, 9, *ADAM], use_ema=True)
    numbered = tmp_path / "c.weights.h5"
    numbered.write_bytes(h5(DENSE, [*ADAM, 101, 202, 303]))
    sgd = keras(tmp_path / "d.keras", NAMES, ["Dense"] * 3, DENSE, [7, 8, 9], use_ema=True, name="SGD")
    load_optimizer(torch.optim.Adam(model.parameters(), amsgrad=True), model, amsgrad)
    for path in (averaged, sgd):
        make = torch.optim.SGD if path == sgd else torch.optim.Adam
        more = {"momentum": 0.9} if path == sgd else {"amsgrad": True}
        optimizer = make(model.parameters(), lr=0.1, **more)
        with pytest.raises(WeightsError):
            load_optimizer(optimizer, model, path)
        assert not optimizer.state
    with pytest.raises(WeightsError, match="cannot be told"):
        load_weights(model, numbered, ema=True)


def test_keras_2_12_counted_layers_with_weights_twice(tmp_path):
    base = "_layer_checkpoint_dependencies"
    groups = {f"{base}/dense": "", f"{base}/dense_2": "", f"{base}/dense_4": ""}
    path = keras(tmp_path / "run.keras", NAMES, ["Dense"] * 3, groups, ADAM)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        file = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(file, "r+") as root:
            for group in groups:
                del root[f"{group}/vars"].attrs["name"]  # it did not write them
        old.writestr("config.json", archive.read("config.json"))
        old.writestr("model.weights.h5", file.getvalue())
    model = Net(*NAMES)
    load_weights(model, tmp_path / "old.keras")
    assert [float(p[0, 0].detach()) for p in model.parameters()] == [1, 2, 3]
