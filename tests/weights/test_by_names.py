"""Modules without a record: paired by canonical names, by structure where no name meets, or refused with every name."""

import time

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tables import bundle
from torch import nn

from tfport.weights import WeightsError, load_weights
from tfport.weights.by_names import COUNTED, NAMED
from tfport.weights.cli_weights import weights


def random(*shape, seed=[0]):  # noqa: B006 - a counter: no two arrays are alike
    seed[0] += 1
    return np.random.default_rng(seed[0]).standard_normal(shape).astype("f4")


def tree(**modules):
    return nn.ModuleDict(modules)


def state(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def refused(module, found, *says, **options):
    before = state(module)
    with pytest.raises(WeightsError) as caught:
        load_weights(module, found, **options)
    for line in says:
        assert line in str(caught.value), str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    return caught.value


def dense(scope, inputs=4, outputs=4, kernel="kernel", bias="bias"):
    return {f"{scope}/{kernel}": random(inputs, outputs), f"{scope}/{bias}": random(outputs)}


def holds(linear, found, scope, kernel="kernel", bias="bias"):
    np.testing.assert_array_equal(linear.weight.detach().numpy(), found[f"{scope}/{kernel}"].T)
    np.testing.assert_array_equal(linear.bias.detach().numpy(), found[f"{scope}/{bias}"])


# Names.


@pytest.mark.parametrize(
    "scope",
    ["enc/layer_0/fc1", "enc/layer.0/fc_1", "Enc/Layer_00/FC1", "enc_layer0/fc1:", "net/enc/layer/0/fc1"],
)
@pytest.mark.parametrize(
    ("kernel", "bias"), [("kernel", "bias"), ("w", "b"), ("weights", "biases"), ("weight", "bias:0")]
)
def test_spellings_of_one_name(scope, kernel, bias):
    scope = scope.rstrip(":")
    module = tree(enc=tree(layer=nn.ModuleList([tree(fc1=nn.Linear(4, 4))])), head=nn.Linear(4, 4))
    top = "net/" if scope.startswith("net/") else ""
    found = dense(scope, 4, 4, kernel, bias) | dense(f"{top}head", 4, 4, kernel, bias)
    report = load_weights(module, found)
    assert report.matched_by == (NAMED,)
    holds(module["enc"]["layer"][0]["fc1"], found, scope, kernel, bias)
    holds(module["head"], found, f"{top}head", kernel, bias)


def test_every_kind_of_layer_moves_as_its_class_says():
    """All sizes are equal, so that only the class can tell the pattern."""
    module = tree(
        conv=nn.Conv2d(3, 3, 3), up=nn.ConvTranspose2d(3, 3, 3), dw=nn.Conv2d(3, 3, 3, groups=3), grouped=nn.Conv2d(4, 4, 4, groups=2),
        line=nn.Conv1d(3, 3, 3), cube=nn.Conv3d(3, 3, 3), emb=nn.Embedding(3, 3), fc=nn.Linear(3, 3, bias=False), ln=nn.LayerNorm(3),
        bn=nn.BatchNorm2d(3), gn=nn.GroupNorm(1, 3),
    )  # fmt: skip
    found = {
        "conv/kernel": random(3, 3, 3, 3), "up/kernel": random(3, 3, 3, 3), "dw/depthwise_kernel": random(3, 3, 3, 1),
        "grouped/kernel": random(4, 4, 2, 4), "line/kernel": random(3, 3, 3), "cube/kernel": random(3, 3, 3, 3, 3),
        "emb/embeddings": random(3, 3), "fc/kernel": random(3, 3), "ln/gamma": random(3), "ln/beta": random(3),
        "bn/gamma": random(3), "bn/beta": random(3), "bn/moving_mean": random(3), "bn/moving_variance": random(3),
        "gn/scale": random(3), "gn/offset": random(3),
    } | {f"{name}/bias": random(4 if name == "grouped" else 3) for name in ("conv", "up", "dw", "grouped", "line", "cube")}  # fmt: skip
    report = load_weights(module, dict(sorted(found.items())))
    assert len(report.loaded) == len(found) and report.matched_by == (NAMED,)
    order = {"conv": (3, 2, 0, 1), "up": (3, 2, 0, 1), "dw": (2, 3, 0, 1), "grouped": (3, 2, 0, 1), "line": (2, 1, 0),
             "cube": (4, 3, 0, 1, 2), "fc": (1, 0), "emb": (0, 1)}  # fmt: skip
    for name, axes in order.items():
        key = next(k for k in found if k.startswith(f"{name}/") and not k.endswith("bias"))
        np.testing.assert_array_equal(
            module[name].weight.detach().numpy(), found[key].transpose(axes), err_msg=name
        )
    np.testing.assert_array_equal(module["bn"].running_var.numpy(), found["bn/moving_variance"])
    np.testing.assert_array_equal(module["gn"].bias.detach().numpy(), found["gn/offset"])


def test_a_kernel_of_as_many_groups_as_channels_has_two_exact_forms():
    for shape, axes in (((3, 5, 4, 2), (2, 3, 0, 1)), ((3, 5, 1, 8), (3, 2, 0, 1))):
        module, found = nn.Conv2d(4, 8, (3, 5), groups=4, bias=False), {"dw/kernel": random(*shape)}
        load_weights(module, found)
        wanted = found["dw/kernel"].transpose(axes).reshape(8, 1, 3, 5)
        np.testing.assert_array_equal(module.weight.detach().numpy(), wanted)


def test_a_dense_layer_written_as_a_convolution_of_width_1():
    module, found = nn.Linear(4, 4), {"model/fc/w": random(1, 4, 4), "model/fc/b": random(4)}
    load_weights(module, found)
    np.testing.assert_array_equal(module.weight.detach().numpy(), found["model/fc/w"][0].T)
    refused(
        nn.Linear(4, 4),
        found | {"model/fc/w": random(2, 4, 4)},
        "wrong shape: model/fc/w [2, 4, 4] -> weight",
    )


def test_both_kernels_of_a_separable_convolution():
    module = tree(sep=tree(depthwise=nn.Conv2d(4, 4, 3, groups=4, bias=False), pointwise=nn.Conv2d(4, 4, 1)))
    found = {
        "sep/depthwise_kernel": random(3, 3, 4, 1),
        "sep/pointwise_kernel": random(1, 1, 4, 4),
        "sep/pointwise_bias": random(4),
    }
    load_weights(module, found)
    point = found["sep/pointwise_kernel"].transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(module["sep"]["pointwise"].weight.detach().numpy(), point)


def test_plain_variables_as_they_are_and_buffers_stay():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
            self.position = nn.Parameter(torch.zeros(4, 4))
            self.temperature = nn.Parameter(torch.zeros(()))
            self.register_buffer("position_ids", torch.arange(4))
            self.fc = nn.Linear(4, 4)

    found = {
        "vit/cls_token": random(1, 1, 4),
        "vit/position": random(4, 4),
        "vit/temperature": random(),
    } | dense("vit/fc")
    module = Tokens()
    report = load_weights(module, found)
    np.testing.assert_array_equal(module.position.detach().numpy(), found["vit/position"])
    assert report.kept == ("position_ids",) and module.position_ids.tolist() == [0, 1, 2, 3]


def test_a_tied_parameter_is_filled_once():
    module = tree(emb=nn.Embedding(4, 4), out=nn.Linear(4, 4, bias=False))
    module["out"].weight = module["emb"].weight
    table = random(4, 4)
    load_weights(module, {"m/emb": table})
    np.testing.assert_array_equal(module["out"].weight.detach().numpy(), table)
    refused(module, {"m/emb": table, "m/out/kernel": table}, "ambiguous: emb.weight", "m/out/kernel")


@pytest.mark.parametrize("numbers", [("", "_1"), ("_7", "_8"), ("_9", "_10")])
def test_keras_counters_that_went_on(numbers):
    module = tree(dense1=nn.Linear(4, 4), dense2=nn.Linear(4, 4), norm=nn.LayerNorm(4))
    one, two = (f"dense{number}" for number in numbers)
    found = dense(two) | dense(one) | {"norm/gamma": random(4), "norm/beta": random(4)}
    report = load_weights(module, found)
    assert COUNTED in report.matched_by
    holds(module["dense1"], found, one)
    holds(module["dense2"], found, two)


def test_counters_of_another_number_of_layers_are_not_aligned():
    module = tree(dense1=nn.Linear(4, 4), dense2=nn.Linear(4, 4), norm=nn.LayerNorm(4))
    found = (
        {"norm/gamma": random(4), "norm/beta": random(4)}
        | dense("dense_3")
        | dense("dense_4")
        | dense("dense_5")
    )
    wrong = refused(
        module,
        found,
        "missing: dense1.weight",
        "missing: dense2.bias",
        "left over: dense_5/kernel [4, 4] float32",
    )
    assert len(wrong.problems) == 4 + 6


@pytest.mark.parametrize("first", [0, 2])
def test_equal_numbers_mean_nothing_where_the_sides_count_from_different_ones(first):
    """block_1 is the second of three in the checkpoint, block1 the first in the module."""
    module = tree(**{f"block{n}": nn.Linear(4, 4) for n in (1, 2, 3)}, head=nn.Linear(4, 4))
    found = dense("head") | {k: v for n in range(first, first + 3) for k, v in dense(f"block_{n}").items()}
    wrong = refused(module, found, "missing: block1.weight", f"left over: block_{first + 1}/kernel")
    assert len(wrong.problems) == 12
    report = load_weights(module, found, strict=False)
    assert [row.target for row in report.loaded] == ["head.weight", "head.bias"]


def test_a_longer_checkpoint_counts_as_the_module_does():
    module = tree(layers=nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]))
    found = {k: v for n in range(3) for k, v in dense(f"net/layers_{n}").items()}
    report = load_weights(module, found, strict=False)
    holds(module["layers"][1], found, "net/layers_1")
    assert report.left_over == ("net/layers_2/kernel", "net/layers_2/bias") and not report.missing


# Ambiguous, missing, left over.


def test_two_networks_of_one_shape_in_a_checkpoint_are_ambiguous():
    module = tree(fc1=nn.Linear(4, 4), fc2=nn.Linear(4, 4))
    found = {
        k: v
        for net in ("generator", "discriminator")
        for n in (1, 2)
        for k, v in dense(f"{net}/fc{n}").items()
    }
    text = str(refused(module, found, strict=False))
    for target in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"):
        assert f"ambiguous: {target} has the name of discriminator/" in text
    chosen = {key: value for key, value in found.items() if key.startswith("generator")}
    load_weights(module, chosen)
    holds(module["fc2"], found, "generator/fc2")


def test_two_spellings_of_one_name_are_ambiguous():
    module = tree(fc1=nn.Linear(4, 4))
    refused(
        module,
        dense("fc1") | dense("fc_1"),
        "ambiguous: fc1.weight has the name of fc1/kernel and of fc_1/kernel",
    )


def test_everything_is_named_at_once():
    module = tree(a=nn.Linear(4, 4), b=nn.Linear(4, 4), c=nn.Linear(4, 4))
    found = dense("a") | {
        "b/kernel": random(4, 4).astype("f8"),
        "b/bias": random(3),
        "c/kernel": random(4, 4),
        "d/scale": random(4),
    }
    wrong = refused(
        module, found, "missing: c.bias wants bias of layer 'c'", "left over: d/scale [4] float32 (layer d)",
        "wrong shape: b/bias [3] -> b.bias", "wrong dtype: b/kernel [4, 4] -> b.weight: the checkpoint has float64",
        "--write-map FILE.toml",
    )  # fmt: skip
    assert len(wrong.problems) == 4
    refused(module, found, "wrong shape: b/bias", strict=False)
    del found["b/kernel"], found["b/bias"]
    report = load_weights(module, found, strict=False)
    assert set(report.missing) == {"b.weight", "b.bias", "c.bias"} and report.left_over == ("d/scale",)
    holds(module["a"], found, "a")


def test_a_fused_projection_is_refused():
    module = tree(attention=nn.MultiheadAttention(4, 2), fc=nn.Linear(4, 4))
    found = (
        dense("fc")
        | {k: v for n in "qkv" for k, v in dense(f"attention/{n}").items()}
        | dense("attention/out_proj")
    )
    refused(
        module, found, "missing: attention.in_proj_weight: attention: MultiheadAttention is no layer with known patterns",
        "left over: attention/q/kernel",
    )  # fmt: skip
    report = load_weights(module, found, strict=False)
    assert set(report.missing) == {"attention.in_proj_weight", "attention.in_proj_bias"}
    holds(module["attention"].out_proj, found, "attention/out_proj")


def test_a_matrix_of_an_unknown_class_is_refused_whatever_its_shape():
    class Mine(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4, 4))

    refused(tree(mine=Mine()), {"mine/weight": random(4, 4)}, "mine: Mine is no layer with known patterns")


@pytest.mark.parametrize("name", ["w", "W", "U", "wq", "w_h", "filters", "V1"])
def test_a_square_matrix_that_multiplies_may_be_transposed(name):
    class Mine(nn.Module):
        def __init__(self, *sizes):
            super().__init__()
            self.register_parameter(name, nn.Parameter(torch.zeros(sizes)))

    refused(
        tree(mine=Mine(4, 4)), {f"mine/{name}": random(4, 4)}, "mine: Mine is no layer with known patterns"
    )
    found = {f"mine/{name}": random(4, 3)}
    module = tree(mine=Mine(4, 3))
    load_weights(module, found)  # its shape tells
    np.testing.assert_array_equal(getattr(module["mine"], name).detach().numpy(), found[f"mine/{name}"])


@pytest.mark.parametrize("order", [("conv1", "conv2", "fc1", "fc2"), ("conv1", "fc1", "conv2", "fc2")])
def test_a_flattened_image_is_refused_though_the_names_meet(order):
    """Two heads, each with a convolution of few channels and a Linear over the board."""
    parts = {
        "conv1": nn.Conv2d(8, 2, 1),
        "conv2": nn.Conv2d(8, 1, 1),
        "fc1": nn.Linear(18, 4),
        "fc2": nn.Linear(9, 4),
    }
    found = {"conv1/kernel": random(1, 1, 8, 2), "conv1/bias": random(2), "conv2/kernel": random(1, 1, 8, 1),
             "conv2/bias": random(1)} | dense("fc1", 18) | dense("fc2", 9)  # fmt: skip
    refused(
        nn.ModuleDict({name: parts[name] for name in order}), found,
        "missing: fc1.weight: a Linear of 18 inputs after an image", "missing: fc2.weight: a Linear of 9 inputs after",
    )  # fmt: skip


# Structure.


def test_by_structure_where_no_two_neighbours_could_be_exchanged():
    module = nn.Sequential(
        nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 4)
    )
    found = dense("x", 3) | {"n/gamma": random(4), "n/beta": random(4)} | dense("y", 4, 5)
    found |= {"m/gamma": random(5), "m/beta": random(5)} | dense("z", 5)
    report = load_weights(module, found)
    assert report.matched_by == ("structure and order",) and "matched by structure and order" in str(report)
    holds(module[4], found, "z")
    refused(module, dict(reversed(found.items())), "missing: 0.weight", "left over: x/kernel")


@pytest.mark.parametrize("scopes", [("x", "y"), ("dense", "dense_1")])
def test_neighbours_alike_are_not_placed_by_order(scopes):
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    found = dense(scopes[0]) | dense(scopes[1])
    wrong = refused(module, found, "0 and 1, alike in shape, could be exchanged unnoticed", "--map")
    for target in ("0.weight", "0.bias", "1.weight", "1.bias"):
        assert any(line.startswith(f"missing: {target} ") for line in wrong.problems)
    assert sum(line.startswith("left over") for line in wrong.problems) == 4


def test_runs_of_layers_that_are_alike_are_not_placed_by_order():
    module = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.LayerNorm(4))
    found = {}
    for at in range(2):
        found |= dense(f"x{at}") | {f"n{at}/gamma": random(4), f"n{at}/beta": random(4)}
    refused(module, found, "0 and 2, alike in shape", "1 and 3, alike in shape")


def test_layers_alike_are_not_placed_by_order_though_another_stands_between_them():
    """A module defines its layers in any order: the last may be the first that is used."""
    module = tree(last=nn.Linear(4, 4), mid=nn.Linear(4, 4, bias=False), first=nn.Linear(4, 4))
    found = dense("x") | {"y/kernel": random(4, 4)} | dense("z")
    refused(module, found, "missing: last.weight", "last and first, alike in shape", "left over: y/kernel")
    module, found = tree(a=nn.LayerNorm(4), b=nn.GroupNorm(2, 4)), {}
    for scope in ("x", "y"):  # the names do not tell which norm is which
        found |= {f"{scope}/gamma": random(4), f"{scope}/beta": random(4)}
    refused(module, found, "a and b, alike in shape")


def test_one_layers_tensors_from_two_scopes_are_not_put_together():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))
    found = {"a/kernel": random(3, 4), "b/bias": random(4), "c/kernel": random(4, 5), "d/bias": random(5)}
    refused(module, found, "missing: 0.weight", "left over: b/bias")


# Files that tell less.


def test_a_subclassed_models_file_has_positions_for_names(tmp_path):
    """`.weights.h5` under the attributes: vars/0 is the kernel of a Dense layer and the scale of a norm."""
    module = tree(enc=tree(norm=nn.BatchNorm1d(4), fc=nn.Linear(4, 4)), out=nn.Linear(4, 4, bias=False))
    found = {f"enc/norm/vars/{n}": random(4) for n in range(4)} | {
        "enc/fc/vars/0": random(4, 4),
        "enc/fc/vars/1": random(4),
    }
    found["out/vars/0"] = random(4, 4)
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        for key, array in found.items():
            file[key] = array
    report = load_weights(module, tmp_path / "m.weights.h5")
    assert report.matched_by == (NAMED,) and len(report.loaded) == 7
    np.testing.assert_array_equal(module["enc"]["norm"].running_var.numpy(), found["enc/norm/vars/3"])
    np.testing.assert_array_equal(module["out"].weight.detach().numpy(), found["out/vars/0"].T)
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        file["out/vars/1"] = random(
            4
        )  # a bias that the module does not have: then neither is the kernel's place sure
    refused(
        module,
        tmp_path / "m.weights.h5",
        "missing: out.weight",
        "left over: out/vars/0",
        "left over: out/vars/1",
    )


def test_variables_without_a_name_are_counted_over_all_layers():
    """A layer's `variable_2` and `variable_3` are its first and second, as Keras 3 names them in `.h5`."""
    ways = {"variable": ["first", "... -> ...", {}], "variable_1": ["second", "... -> ...", {}]}
    layers = [
        {"name": n, "class": "Scale", "path": n, "keras_path": None, "weights": ways} for n in ("one", "two")
    ]
    found = {
        "one/variable": random(4),
        "one/variable_1": random(4),
        "two/variable_2": random(4),
        "two/variable_3": random(4),
    }
    module = tree(
        **{n: nn.ParameterDict({"first": torch.zeros(4), "second": torch.zeros(4)}) for n in ("one", "two")}
    )
    load_weights(module, found, record={"kind": "functional", "layers": layers})
    np.testing.assert_array_equal(module["two"]["first"].detach().numpy(), found["two/variable_2"])
    np.testing.assert_array_equal(module["two"]["second"].detach().numpy(), found["two/variable_3"])
    odd = {"one/variable_1": found["one/variable"], "one/variable_2": found["one/variable_1"]}
    odd |= {"two/variable": found["two/variable_2"], "two/variable_3": found["two/variable_3"]}
    load_weights(module, odd, record={"kind": "functional", "layers": layers})
    np.testing.assert_array_equal(module["one"]["first"].detach().numpy(), found["one/variable"])


def test_a_large_model_is_paired_in_little_time():
    """400 layers alike: the search for prefixes must not grow with the square of the names."""
    module = tree(layer=nn.ModuleList([tree(fc=nn.Linear(1, 1)) for _ in range(400)]))
    found = {k: v for n in range(400) for k, v in dense(f"net/layer_{n}/fc", 1, 1).items()}
    started = time.perf_counter()
    report = load_weights(module, found)
    assert len(report.loaded) == 800 and time.perf_counter() - started < 20


# Maps.

NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.conv = nn.Conv2d(3, 2, 1)
        self.head = nn.Linear(18, 4)
"""


def call(*args):
    return CliRunner().invoke(weights, [str(a) for a in args])


def test_a_map_settles_what_names_do_not(tmp_path):
    """--write-map, one entry by hand, --map: the order of a flattened image is the user's to tell."""
    (tmp_path / "net.py").write_text(NET)
    found = (
        dense("m/fc") | {"m/conv/kernel": random(1, 1, 3, 2), "m/conv/bias": random(2)} | dense("m/head", 18)
    )
    at, places = 0, {}
    for name, array in found.items():
        places[name] = (array, at)
        at += array.nbytes
    bundle(tmp_path / "ck", places)
    module, file, output = f"{tmp_path}/net.py:Net", tmp_path / "map.toml", tmp_path / "m.safetensors"
    failed = call(tmp_path / "ck", "-o", output, "--module", module)
    assert (
        failed.exit_code == 2
        and "missing: head.weight: a Linear of 18 inputs" in failed.output
        and not output.exists()
    )
    done = call(tmp_path / "ck", "--write-map", file, "--module", module)
    assert done.exit_code == 0 and "5 tensors matched, 2 still open" in done.output, done.output
    text = file.read_text()
    assert "matched by canonical name" in text and '# target = "head.weight"' in text
    again = call(tmp_path / "ck", "-o", output, "--module", module, "--map", file)
    assert (
        again.exit_code == 2 and "head.weight" in again.output and "left over: m/head/kernel" in again.output
    )
    text += '\n[[tensor]]\nsource = "m/head/kernel"\ntarget = "head.weight"\npattern = "(h w c) o -> o (c h w)"\nsizes = { c = 2 }\n'
    file.write_text(text)
    done = call(tmp_path / "ck", "-o", output, "--module", module, "--map", file)
    assert done.exit_code == 0, done.output
    written = load_file(output)
    head = found["m/head/kernel"].reshape(9, 2, 4).transpose(2, 1, 0).reshape(4, 18)
    np.testing.assert_array_equal(written["head.weight"].numpy(), head)
    np.testing.assert_array_equal(written["fc.weight"].numpy(), found["m/fc/kernel"].T)
