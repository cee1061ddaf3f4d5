"""load_weights: real Keras models in all formats into torch twins, equal outputs; and everything that must be refused."""

import copy
import json
import pathlib
import shutil
import sys

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from twins import CONV, DENSE, FOLDER, FORMATS, TWINS, Cnn, Shared, Sub, error, layer

from tfport.weights import WeightsError, load_weights, read_checkpoint

CASES = [(name, format) for name in TWINS for format in FORMATS]


def state(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def same(module, before):
    return all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize(("name", "format"), CASES)
def test_a_keras_model_computes_the_same_in_torch(name, format):
    module = TWINS[name]()
    report = load_weights(module, FOLDER / f"{name}{format}")
    assert error(module, name) < 1e-6
    told = {row.target for row in report.loaded}
    assert told == {key for key in module.state_dict() if not key.endswith("num_batches_tracked")}
    assert not report.missing and not report.left_over


@pytest.mark.parametrize("format", FORMATS)
def test_names_that_keras_counted_on_are_matched_by_order(format):
    module = Cnn()
    report = load_weights(module, FOLDER / f"again{format}")
    assert error(module, "again") < 1e-6
    assert "order" in report.matched_by or "class and order" in report.matched_by


@pytest.mark.parametrize(
    "path", ["keras2.h5", "keras2_only.h5", "keras2.keras", "keras2_checkpoint", "keras2_savedmodel"]
)
def test_keras_2_files_load(path):
    module = Cnn()
    load_weights(module, FOLDER / path)
    assert error(module, "keras2") < 1e-6


def test_a_checkpoint_of_tf1_by_name_loads():
    module = Cnn()
    report = load_weights(module, FOLDER / "tf1")
    assert error(module, "keras2") < 1e-6
    assert ("block1_conv1/kernel/Adam", "optimizer slot Adam") in report.ignored


@pytest.mark.parametrize("name", ["cnn", "again", "shared", "sub"])
def test_a_weights_file_without_names_is_matched_by_class_and_order(tmp_path, name):
    """Keras 3.0 to 3.9 did not write the layers' names."""
    path = tmp_path / "bare.weights.h5"
    shutil.copy(FOLDER / f"{name}.weights.h5", path)
    with h5py.File(path, "r+") as file:
        groups = []
        file.visititems(lambda _, item: groups.append(item))
        for group in groups:
            group.attrs.pop("name", None)
    module = Cnn() if name == "again" else TWINS[name]()
    load_weights(module, path)
    assert error(module, name) < 1e-6


def test_lazy_modules_get_their_shapes():
    module = Cnn(lazy=True)
    load_weights(module, FOLDER / "cnn.keras")
    assert error(module, "cnn") < 1e-6
    assert type(module.head) is nn.Linear and module.head.in_features == 120
    assert type(module.conv2d) is nn.Conv2d and module.conv2d.in_channels == 4
    assert type(module.norm) is nn.BatchNorm2d and module.norm.num_features == 4
    module.train()(torch.zeros(2, 6, 5, 3)).sum().backward()
    assert module.head.weight.grad.shape == (4, 120)


def test_a_mapping_of_arrays_loads_as_a_file_does():
    checkpoint = read_checkpoint(FOLDER / "tf1")
    module = Cnn()
    load_weights(module, {key: checkpoint[key] for key in checkpoint})
    assert error(module, "keras2") < 1e-6


def test_the_batch_counter_stays_and_is_not_missing():
    module = Cnn()
    load_weights(module, FOLDER / "cnn.h5")
    assert module.norm.num_batches_tracked.item() == 0


def test_counters_of_a_subclassed_model_with_a_custom_layer_before_them(tmp_path):
    """`encoder/dense` lies under its attribute and does not count among the Dense layers of `layers`."""
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        for number, group in enumerate(("encoder/dense", "layers/dense", "layers/dense_1")):
            file[f"{group}/vars/0"] = np.full((2, 2), number, "f4")
            file[f"{group}/vars/1"] = np.full(2, number, "f4")
    module = nn.ModuleDict({"encoder": nn.ModuleDict({"dense": nn.Linear(2, 2)})})
    module["zebra"], module["zulu"] = nn.Linear(2, 2), nn.Linear(2, 2)
    layers = [layer(None, "Dense", name, DENSE) for name in ("encoder.dense", "zebra", "zulu")]
    load_weights(module, path, record={"kind": "subclass", "layers": layers})
    assert [
        module["encoder"]["dense"].bias[0].item(),
        module["zebra"].bias[0].item(),
        module["zulu"].bias[0].item(),
    ] == [0, 1, 2]


def test_a_nested_model_of_a_subclassed_one_is_not_taken_for_a_list(tmp_path):
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        for number, group in enumerate(("layers/sequential/layers/dense", "layers/dense")):
            file[f"{group}/vars/0"] = np.full((2, 2), number, "f4")
    module = nn.ModuleDict(
        {"out": nn.Sequential(nn.Linear(2, 2, bias=False)), "zulu": nn.Linear(2, 2, bias=False)}
    )
    kernel = {"kernel": DENSE["kernel"]}
    layers = [layer(None, "Dense", "out.0", kernel), layer(None, "Dense", "zulu", kernel)]
    report = load_weights(module, path, record={"kind": "subclass", "layers": layers}, strict=False)
    assert report.loaded == () and len(report.missing) == 2
    layers = [
        layer(None, "Dense", "out.0", kernel, "layers/sequential/layers/dense"),
        layer(None, "Dense", "zulu", kernel, "layers/dense"),
    ]
    load_weights(module, path, record={"kind": "subclass", "layers": layers})
    assert module["out"][0].weight[0, 0].item() == 0 and module["zulu"].weight[0, 0].item() == 1


# What must be refused, with the module untouched.


def refused(module, source, *says, **options):
    before = state(module)
    with pytest.raises(WeightsError) as caught:
        load_weights(module, source, **options)
    for line in says:
        assert line in str(caught.value), str(caught.value)
    assert same(module, before)


def arrays(name="tf1"):
    checkpoint = read_checkpoint(FOLDER / name)
    return {key: np.array(checkpoint[key]) for key in checkpoint}


def test_a_missing_tensor_is_named():
    found = arrays()
    del found["head/kernel"]
    refused(Cnn(), found, "missing: head.weight wants kernel of layer 'head' (Dense, shape [120, 4]")


def test_a_left_over_tensor_is_named():
    refused(
        Cnn(),
        arrays() | {"tail/kernel": np.zeros((2, 3), "float32")},
        "left over: tail/kernel [2, 3] float32",
    )


def test_a_wrong_shape_is_named_with_both_shapes_and_the_pattern():
    found = arrays()
    found["conv2d/kernel"] = found["conv2d/kernel"].reshape(3, 12, 4, 1)
    refused(
        Cnn(), found, "wrong shape: conv2d/kernel [3, 12, 4, 1] -> conv2d.weight",
        "h w i o -> o i h w gives [1, 4, 3, 12]", "the target is [4, 4, 3, 3]", "wanted [3, 3, 4, 4]",
    )  # fmt: skip


def test_equal_sizes_in_another_order_are_never_reshaped():
    found = arrays()
    found["head/kernel"] = found["head/kernel"].T.copy()
    refused(Cnn(), found, "wrong shape: head/kernel [4, 120]", "wanted [120, 4]")


def test_a_wrong_dtype_is_named():
    found = arrays()
    found["head/bias"] = found["head/bias"].astype("float64")
    refused(
        Cnn(),
        found,
        "wrong dtype: head/bias [4] -> head.bias: the checkpoint has float64, the module float32",
    )
    refused(Cnn().half(), arrays(), "the checkpoint has float32, the module float16")


def test_all_problems_are_named_at_once():
    found = arrays()
    del found["norm/gamma"]
    found["head/bias"] = found["head/bias"][:2]
    refused(Cnn(), found, "2 problems", "missing: norm.weight", "wrong shape: head/bias")


def test_a_layer_found_twice_is_ambiguous():
    found = {f"{tower}/{key}": value for key, value in arrays().items() for tower in ("left", "right")}
    refused(
        Cnn(),
        found,
        "ambiguous: head.weight: several layers are called 'head': left/head/kernel, right/head/kernel",
    )


def test_one_source_for_two_targets_is_ambiguous():
    class Twice(Cnn):
        tfport_record = copy.deepcopy(Cnn.tfport_record)

    Twice.tfport_record["layers"][4]["name"] = Twice.tfport_record["layers"][0]["name"] = "norm2"
    found = {
        key.replace("block1_conv1", "norm2"): value
        for key, value in arrays().items()
        if "conv2d_1" not in key
    }
    refused(Twice(), found, "ambiguous: norm2/kernel fits block1_conv1.weight and conv2d_1.weight")


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("module", "name"), [(Cnn, "shared"), (Shared, "sub"), (Sub, "cnn")])
def test_a_checkpoint_of_another_model_is_refused(module, name, format):
    refused(module(), FOLDER / f"{name}{format}", "does not fit", "nothing was loaded")


def test_layers_of_equal_shape_in_another_order_are_matched_by_their_given_names():
    class Swapped(Cnn):
        tfport_record = copy.deepcopy(Cnn.tfport_record)

    for entry, name in ((3, "second"), (4, "first")):
        Swapped.tfport_record["layers"][entry]["name"] = name
    found = {key.replace("conv2d_1", "first").replace("conv2d", "second"): v for key, v in arrays().items()}
    module = Swapped()
    load_weights(module, dict(reversed(found.items())))
    assert error(module, "keras2") < 1e-6


def test_a_parameter_that_the_record_does_not_know_is_missing():
    module = Cnn()
    module.extra = nn.Parameter(torch.zeros(2))
    refused(module, FOLDER / "cnn.h5", "missing: extra has no variable in the record")


def test_a_buffer_that_the_record_does_not_know_is_kept():
    module = Cnn()
    module.register_buffer("mean", torch.arange(3.0))
    report = load_weights(module, FOLDER / "cnn.h5")
    assert report.kept == ("mean",) and module.mean.tolist() == [0, 1, 2]


def test_a_tied_parameter_needs_one_variable():
    module = Cnn()
    module.again = module.dense
    report = load_weights(module, FOLDER / "cnn.h5")
    assert not report.missing and torch.equal(module.again.weight, module.dense.weight)


def test_a_record_of_another_module_is_refused():
    refused(
        nn.Linear(2, 2),
        FOLDER / "cnn.h5",
        "unknown target: the record names head.weight",
        record=Cnn.tfport_record,
    )


def test_without_strict_what_is_left_is_listed():
    found = arrays() | {"tail/kernel": np.zeros((2, 3), "float32")}
    del found["head/kernel"]
    module = Cnn()
    before = module.head.weight.clone()
    report = load_weights(module, found, strict=False)
    assert report.missing == ("head.weight",) and report.left_over == ("tail/kernel",)
    assert torch.equal(module.head.weight, before)
    assert not torch.equal(module.conv2d.bias, Cnn().conv2d.bias)


def test_without_strict_a_wrong_shape_is_still_refused():
    found = arrays()
    found["head/bias"] = found["head/bias"][:2]
    refused(Cnn(), found, "wrong shape", strict=False)


def test_half_a_lazy_module_is_refused():
    found = arrays()
    del found["head/bias"]
    module = Cnn(lazy=True)
    with pytest.raises(WeightsError, match="LazyLinear: bias has no shape yet"):
        load_weights(module, found, strict=False)
    assert type(module.head) is nn.LazyLinear


# Where the record comes from.


def test_the_record_beside_the_source_is_found(tmp_path, monkeypatch):
    (tmp_path / "beside_torch.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a = nn.Linear(4, 4)\n        self.b = nn.Linear(4, 4)\n"
    )
    layers = [layer("one", "Dense", "b", DENSE), layer("two", "Dense", "a", DENSE)]
    record = {
        "version": 1,
        "models": {"Net": {"kind": "sequential", "layers": layers}, "Other": {"layers": []}},
    }
    (tmp_path / "beside_torch.tfport.json").write_text(json.dumps(record))
    monkeypatch.syspath_prepend(tmp_path)
    from beside_torch import Net

    rng = np.random.default_rng(0)
    found = {
        f"{n}/{v}": rng.random(s).astype("f4")
        for n in ("one", "two")
        for v, s in (("kernel", (4, 4)), ("bias", 4))
    }
    module = Net()
    report = load_weights(module, found)
    assert report.record.endswith("beside_torch.tfport.json")
    np.testing.assert_array_equal(module.a.weight.detach().numpy().T, found["two/kernel"])
    del sys.modules["beside_torch"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"), ("[]", "no JSON object"), ('{"version": 2, "models": {}}', "version 1"),
        ('{"version": 1, "models": {"A": {"layers": []}, "B": {"layers": []}}}', "no model 'Linear' in the record; it has A, B"),
        ('{"layers": [{"name": "x"}]}', "malformed"), ('{"layers": [{"class": "D", "weights": {"k": 3}}]}', "malformed"),
    ],
)  # fmt: skip
def test_a_bad_record_is_one_clear_error(tmp_path, text, says):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(WeightsError, match=says):
        load_weights(nn.Linear(2, 2), FOLDER / "cnn.h5", record=path)


def test_a_plain_module_is_filled_in_the_order_of_its_layers():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, eps=1e-3), nn.ReLU()
            )
            self.last = nn.Conv2d(4, 4, 3, padding=1)

    rng = np.random.default_rng(3)
    found = {f"x/{k}": rng.random((3, 3, 3, 4)).astype("f4") for k in ("kernel",)} | {
        "x/bias": rng.random(4).astype("f4")
    }
    found |= {
        f"n/{k}": rng.random(4).astype("f4") for k in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    found |= {"y/kernel": rng.random((3, 3, 4, 4)).astype("f4"), "y/bias": rng.random(4).astype("f4")}
    module = Plain()
    report = load_weights(module, found)
    assert report.matched_by == ("structure and order",)
    np.testing.assert_array_equal(
        module.last.weight.detach().numpy(), found["y/kernel"].transpose(3, 2, 0, 1)
    )
    np.testing.assert_array_equal(module.features[1].running_var.numpy(), found["n/moving_variance"])


@pytest.mark.parametrize("inputs", [120, 40])
def test_a_flattened_image_before_a_linear_is_undecidable_without_a_record(inputs):
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.head = nn.Linear(inputs, 2)

    refused(
        Flat(),
        FOLDER / "cnn.h5",
        "Flat has no record",
        f"head.weight: a Linear of {inputs} inputs",
        "cannot be told",
    )


def test_a_pooled_image_before_a_linear_is_decided():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    found = {"c/kernel": np.zeros((3, 3, 3, 4), "f4"), "c/bias": np.zeros(4, "f4"),
             "d/kernel": np.arange(8, dtype="f4").reshape(4, 2), "d/bias": np.zeros(2, "f4")}  # fmt: skip
    load_weights(module, found)
    np.testing.assert_array_equal(module[3].weight.detach().numpy(), found["d/kernel"].T)


def test_a_layer_without_known_patterns_is_refused_without_a_record():
    refused(
        nn.Sequential(nn.Bilinear(3, 4, 5)), FOLDER / "cnn.h5", "0: Bilinear is no layer with known patterns"
    )


def test_bfloat16_is_carried_bit_for_bit():
    import ml_dtypes

    value = np.random.default_rng(0).standard_normal((3, 2)).astype(ml_dtypes.bfloat16)
    module = nn.Linear(3, 2, bias=False, dtype=torch.bfloat16)
    load_weights(module, {"dense/kernel": value})
    assert module.weight.detach().view(torch.int16).numpy().tobytes() == value.T.tobytes()


def test_a_depthwise_kernel_of_either_name_fits():
    module = nn.Conv2d(3, 6, 3, groups=3, bias=False)
    ways = {"depthwise_kernel": ["weight", "h w c m -> (c m) 1 h w", {}]}
    value = np.random.default_rng(0).random((3, 3, 3, 2)).astype("f4")
    for name in ("depthwise_kernel", "kernel"):
        load_weights(
            module, {f"dw/{name}": value}, record={"layers": [layer("dw", "DepthwiseConv2D", "", ways)]}
        )
        np.testing.assert_array_equal(module.weight.detach().numpy()[5, 0], value[:, :, 2, 1])


def test_the_report_prints_every_way():
    report = load_weights(Cnn(), FOLDER / "cnn.h5")
    text = str(report)
    assert (
        "14 tensors" in text
        and "head.weight [4, 120]  (h w c) o -> o (c h w)" in text
        and "optimizer state" in text
    )
    assert json.loads(json.dumps(report.as_dict()))["loaded"][0]["pattern"] == CONV["kernel"][1]


def test_twins_stand_where_the_fixtures_say():
    assert pathlib.Path(FOLDER).is_dir()


def test_a_model_that_was_never_called_is_told_so():
    from tfport import compat

    class Own(compat.keras.Model):
        def __init__(self):
            super().__init__()
            self.fc = compat.keras.layers.Dense(2)

        def call(self, x):
            return self.fc(x)

    found = {"fc/kernel": np.zeros((3, 2), "f4"), "fc/bias": np.zeros(2, "f4")}
    with pytest.raises(WeightsError, match="without weights before their first call: call it once"):
        load_weights(Own(), found)
    built = Own()
    built(torch.zeros(1, 3))
    load_weights(built, found)
