"""Which optimizer, which count, which hyperparameters: files of several optimizers, parts of them, wrong use, notes."""

import pathlib

import numpy as np
import pytest
import torch
from test_numbered_optimizers import DENSE, NAMES, Net, h5, keras, slots, value
from test_resume import V1, Plain, record
from test_resume import Net as Whole
from torch import nn, optim

from tfport import compat, read_checkpoint
from tfport.weights import WeightsError, load_optimizer, load_weights
from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.matching import match
from tfport.weights.record import parse_record

KERAS = compat.keras.optimizers
ADAM = [10, 100, 20, 200, 30, 300]


class Half(nn.Module):
    """One of the models of a file."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(5, 5)


LAYER = record("a")["models"]["Net"]["layers"][0] | {"name": None, "path": "dense"}
RECORD = {"version": 1, "models": {"Half": {"kind": "sequential", "layers": [LAYER]}}}


@pytest.mark.parametrize("kind", ["keras3", "keras2"])
def test_each_optimizer_of_a_checkpoint_keeps_its_own_count(saved, kind):
    told = np.load(saved / kind / "several.npz")
    for part, steps in (("generator", 2), ("discriminator", 5)):
        model, checkpoint = Half(), read_checkpoint(saved / kind / "several_ck").part(part)
        load_weights(model, checkpoint, record=RECORD, name="Half")
        np.testing.assert_array_equal(model.dense.weight.detach().numpy().T, told[part])
        optimizer = optim.Adam(model.parameters(), 0.01, eps=1e-7)
        report = load_optimizer(optimizer, model, checkpoint, record=RECORD, name="Half")
        assert report.iterations == steps and len(report.loaded) == 4
        assert all(part in source for source, *_ in report.loaded)


def test_a_part_that_is_not_there_is_named(saved):
    with pytest.raises(
        WeightsError, match=r"no weights of 'encoder'; its parts are discriminator, generator"
    ):
        read_checkpoint(saved / "keras2" / "several_ck").part("encoder")


def test_slots_of_optimizers_that_the_program_named_and_a_count_that_must_be_told(saved):
    checkpoint = read_checkpoint(saved / "v1" / "several_v1").part("discriminator")
    model = Half()
    load_weights(model, checkpoint)
    optimizer = V1.AdamOptimizer(0.01, params=model.parameters())
    with pytest.raises(WeightsError, match=r"several counts of steps.*pass steps="):
        load_optimizer(optimizer, model, checkpoint)
    assert not optimizer.state
    report = load_optimizer(optimizer, model, checkpoint, steps=5)
    assert report.iterations == 5 and len(report.loaded) == 4
    assert "the slots are called d_opt: they were taken for those of adam" in str(report)


def test_a_loss_scale_goes_into_the_scaler_and_an_error_of_it_changes_nothing(saved):
    kept = {"record": record("a", "bn", "b"), "name": "Net"}
    for ending in (".keras", ".h5", ".weights.h5", "_ck"):
        path, model = saved / "keras3" / f"scaled_adam{ending}", Whole()
        optimizer, scaler = optim.Adam(model.parameters(), 0.01), torch.amp.GradScaler("cpu")
        with pytest.raises(WeightsError, match="disabled"):
            load_optimizer(optimizer, model, path, scaler=torch.amp.GradScaler("cpu", enabled=False), **kept)
        assert not optimizer.state
        report = load_optimizer(optimizer, model, path, scaler=scaler, **kept)
        assert report.iterations == 3 and report.rate == pytest.approx(0.01)
        assert scaler.state_dict()["scale"] == 16 and scaler.state_dict()["_growth_tracker"] == 1


def test_the_hyperparameters_that_a_file_tells_are_compared(saved):
    def notes(make, name):
        model = Whole()
        optimizer = make(model.parameters())
        kept = {"record": record("a", "bn", "b"), "name": "Net"}
        return str(load_optimizer(optimizer, model, saved / "keras3" / name, **kept))

    assert "epsilon is 0.1, the optimizer's 1e-08" in notes(
        lambda p: optim.Adam(p, 0.01), "adam_epsilon.keras"
    )
    assert "weight_decay is None, the optimizer's 0.01" in notes(
        lambda p: optim.AdamW(p, 0.01, eps=1e-7), "adam.h5"
    )
    assert "this is adamw: mind weight_decay" in notes(lambda p: optim.AdamW(p, 0.01, eps=1e-7), "adam_ck")
    assert "has weight_decay=0.004: Keras takes it from the weights" in notes(
        lambda p: optim.Adam(p, 0.01), "adamw.keras"
    )
    assert "hyperparameters" not in notes(lambda p: KERAS.AdamW(0.01, params=p), "adamw.keras")
    assert "(ExponentialDecay at step 3) is 0.0176777, the optimizer's 0.05" in notes(
        lambda p: optim.SGD(p, 0.05, momentum=0.9), "sgd_schedule.keras"
    )
    assert "the averages of the weights (use_ema)" in notes(lambda p: optim.Adam(p, 0.01), "adam_ema_ck")
    with pytest.raises(WeightsError, match="in the middle of an accumulation"):
        notes(lambda p: optim.Adam(p, 0.01), "adam_sums.keras")
    with pytest.raises(WeightsError, match="make it with the run's momentum"):
        notes(lambda p: optim.SGD(p, 0.05), "sgd_momentum_ck")


def test_a_file_to_resume_from_has_the_runs_hyperparameters_and_formula(saved, tmp_path):
    from tfport.weights.optimizer.exporting import export

    for folder, name, model, layers, kind in (
        ("keras3", "sgd_schedule.keras", Whole(), ("a", "bn", "b"), "keras.optimizers.SGD"),
        ("keras2", "legacy_nadam.h5", Whole(), ("a", "bn", "b"), "keras.optimizers.legacy.Nadam"),
        ("v1", "v1_rmsprop_centered", Plain(), ("a", "b"), "train.RMSPropOptimizer"),
    ):
        kept = {"record": record(*layers), "name": "Net"}
        path = str(saved / folder / name)
        load_weights(model, path, **kept)
        export(str(tmp_path / "r.pt"), model, path, **kept)
        held = torch.load(tmp_path / "r.pt", weights_only=True)
        assert held["optimizer_class"] == f"tfport.compat.{kind}"
        if folder == "keras3":
            assert held["hyperparameters"]["learning_rate"]["class_name"] == "ExponentialDecay"
            assert held["hyperparameters"]["momentum"] == pytest.approx(0.9)


def test_slots_of_weights_that_an_optimizer_does_not_train_are_told(tmp_path):
    path = keras(tmp_path / "run.keras", NAMES, ["Dense"] * 3, DENSE, ADAM)
    model = Net(*NAMES)
    optimizer = optim.Adam([model.bravo.weight, nn.Parameter(torch.zeros(2))])
    report = load_optimizer(optimizer, model, path)
    assert float(optimizer.state[model.bravo.weight]["exp_avg"][0, 0]) == 20 and len(optimizer.state) == 1
    assert "4 tensors of weights that this optimizer does not train were left" in str(report)
    assert "1 parameters of the optimizer get no state: one that is none of this module's" in str(report)


def test_what_was_frozen_is_counted_neither_there_nor_here(tmp_path):
    path = keras(tmp_path / "run.keras", NAMES, ["Dense"] * 3, DENSE, ADAM[:4])
    model = Net(*NAMES)
    optimizer = optim.Adam(model.parameters())
    with pytest.raises(WeightsError, match=r"requires_grad_\(False\) on the parameters that were frozen"):
        load_optimizer(optimizer, model, path)
    model.alpha.requires_grad_(False)
    load_optimizer(optimizer, model, path)
    assert optimizer.state_dict()["state"].keys() == {1, 2}
    assert float(optimizer.state[model.charlie.weight]["exp_avg"][0, 0]) == 20


def test_values_that_no_run_gives_are_refused(tmp_path):
    for make, tensors, says in (
        (lambda p: optim.Adam(p), [1, -1, 2, 5, 3, 5], "negative values"),
        (lambda p: optim.Adam(p, amsgrad=True), [*ADAM, 1, 2, 3], "smaller than the velocity"),
    ):
        path = tmp_path / "run.weights.h5"
        path.write_bytes(h5(DENSE, tensors))
        model = Net(*NAMES)
        optimizer = make(model.parameters())
        with pytest.raises(WeightsError, match=says):
            load_optimizer(optimizer, model, path)
        assert not optimizer.state


def test_several_numbered_optimizers_are_told_apart_by_name(tmp_path):
    import h5py

    path = pathlib.Path(tmp_path / "run.weights.h5")
    path.write_bytes(h5(DENSE, ADAM))
    with h5py.File(path, "r+") as root:
        root.move("optimizer", "g_optimizer")
        held = root.create_group("d_optimizer/vars")
        held.attrs["name"] = "adam_1"
        held["0"], held["1"] = np.int64(7), np.float32(0.1)
        for at, number in enumerate(ADAM):
            held[str(at + 2)] = value(number + 1, 4, 4)
    model = Net(*NAMES)
    load_weights(model, path)
    optimizer = optim.Adam(model.parameters())
    with pytest.raises(WeightsError, match=r"name one with which="):
        load_optimizer(optimizer, model, path)
    report = load_optimizer(optimizer, model, path, which="d_optimizer")
    assert report.iterations == 7 and slots(model, optimizer)["alpha.weight"] == 11


def test_an_optimizer_that_was_given_only_what_trains_has_no_other_state():
    """torch's second bias of an LSTM, frozen and outside the optimizer, once made its state_dict fail."""
    values = {
        "lstm/kernel": np.zeros((3, 8), "f4"),
        "lstm/recurrent_kernel": np.zeros((2, 8), "f4"),
        "lstm/bias": np.zeros(8, "f4"),
    }
    values |= {f"{k}/Adam{end}": np.ones_like(v) for k, v in values.items() for end in ("", "_1")}
    values |= {"beta1_power": np.float32(0.9**3), "beta2_power": np.float32(0.999**3)}

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 2)

    model = Recurrent()
    optimizer = optim.Adam(model.parameters())
    report = load_optimizer(optimizer, model, values)
    assert "lstm.bias_hh_l0 is torch's own" in str(report) and report.iterations == 2
    model.lstm.bias_hh_l0.requires_grad_(False)
    optimizer = optim.Adam(p for p in model.parameters() if p.requires_grad)
    load_optimizer(optimizer, model, values)
    assert len(optimizer.state_dict()["state"]) == 3


def test_a_layer_list_of_keras_2_matches_what_a_layer_keeps_inside():
    def entry(path, variable):
        key = f"model/{path}/{variable}"
        return Entry(key, (4, 4), "float32", lambda: np.zeros((4, 4), "f4"), paths=(path,), variable=variable)

    inside = [
        entry(f"layer_with_weights-1/_{name}_dense", "kernel") for name in ("key", "output", "query", "value")
    ]
    checkpoint = Checkpoint("x", "test", [entry("layer_with_weights-0", "embeddings"), *inside])
    attention = {
        f"{name}_dense/kernel": [f"{name}.weight", "i o -> o i", {}]
        for name in ("query", "key", "value", "output")
    }
    layers = [
        {
            "name": None,
            "class": "Embedding",
            "path": "emb",
            "keras_path": None,
            "weights": {"embeddings": ["weight", "i o -> i o", {}]},
        },
        {
            "name": None,
            "class": "MultiHeadAttention",
            "path": "mha",
            "keras_path": None,
            "weights": attention,
        },
    ]
    told = parse_record(
        {"version": 1, "models": {"M": {"kind": "functional", "layers": layers}}}, "M", "test"
    )
    found = match(told, checkpoint)
    assert not found.missing and not found.left_over
    assert {m.way.target: m.entry.key for m in found.matches if "query" in m.way.target} == {
        "mha.query.weight": "model/layer_with_weights-1/_query_dense/kernel"
    }


def test_a_compiled_module_and_a_parallel_one_are_what_is_inside(tmp_path):
    path = keras(tmp_path / "run.keras", NAMES, ["Dense"] * 3, DENSE, ADAM)
    for wrap in (torch.compile, nn.DataParallel):
        inside = Net(*NAMES)
        model = wrap(inside)
        load_weights(model, path)
        optimizer = optim.Adam(model.parameters())
        load_optimizer(optimizer, model, path)
        assert float(inside.charlie.weight[0, 0]) == 3
        assert float(optimizer.state[inside.charlie.weight]["exp_avg"][0, 0]) == 30


def test_an_optimizer_that_is_not_carried_is_refused_and_an_unknown_one_said(tmp_path):
    import h5py

    model = Net(*NAMES)
    path = tmp_path / "run.weights.h5"
    path.write_bytes(h5(DENSE, ADAM))
    optimizer = optim.Adam(model.parameters())
    with h5py.File(path, "r+") as root:
        root["optimizer/vars"].attrs["name"] = "schedule_free_adam_w"
    with pytest.raises(WeightsError, match="the state of schedule_free_adam_w, which is not carried"):
        load_optimizer(optimizer, model, path)
    assert not optimizer.state
    with h5py.File(path, "r+") as root:
        root["optimizer/vars"].attrs["name"] = "mine"
    assert "does not say of which optimizer" in str(load_optimizer(optimizer, model, path))


def test_averages_that_the_run_did_not_keep_start_from_the_weights(tmp_path):
    path = keras(tmp_path / "run.keras", NAMES, ["Dense"] * 3, DENSE, ADAM)
    model = Net(*NAMES)
    load_weights(model, path)
    optimizer = KERAS.Adam(0.1, use_ema=True, params=model.parameters())
    assert "start from the weights" in str(load_optimizer(optimizer, model, path))
    assert slots(model, optimizer, "average") == {"alpha.weight": 1, "bravo.weight": 2, "charlie.weight": 3}
