"""What looks like a match and is none: counters as names, slots as weights, flipped kernels, options without effect."""

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from test_by_names import dense, holds, random, refused, tree
from torch import nn

from tfport.weights import WeightsError, load_weights
from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.cli_weights import weights


def test_numbers_of_an_object_graph_are_no_names():
    """Keras 2's checkpoints call a model's second layer layer-1: not layer1."""
    found = [
        Entry(f"{n}/{v}", shape, "float32", lambda s=shape: random(*s), (name,), (f"layer-{n}", f"layer_with_weights-{n - 1}"), v)
        for n, name in ((1, "b"), (2, "a")) for v, shape in (("kernel", (4, 4)), ("bias", (4,)))
    ]  # fmt: skip
    module = tree(layer1=nn.Linear(4, 4), layer2=nn.Linear(4, 4))
    refused(module, Checkpoint("graph", "test", found), "missing: layer1.weight", "left over: 1/kernel")


def test_slots_of_several_optimizers_are_no_weights():
    found = dense("net/fc")
    slots = {f"{key}/{slot}": value for key, value in found.items()
             for slot in ("Adam", "Adam_1", "Adam_2", "Adam_3", "Momentum_1", "RMSProp_3")}  # fmt: skip
    report = load_weights(tree(fc=nn.Linear(4, 4)), found | slots)
    assert len(report.loaded) == 2


def test_digits_that_are_no_decimals_and_bytes_in_another_order():
    module = tree(**{"block_²": nn.Linear(4, 4)})
    found = {key: value.astype(">f4") for key, value in dense("block_²").items()}
    load_weights(module, found)
    holds(module["block_²"], found, "block_²")


def test_a_linear_behind_an_image_whose_inputs_are_the_channels_of_another():
    """64 inputs may be the 64 channels of the first image or 2 x 2 x 16 of the second."""
    module = tree(
        one=nn.Conv2d(3, 64, 3), two=nn.Conv2d(64, 16, 3), aux=nn.Linear(16, 10), fc=nn.Linear(64, 5)
    )
    found = {"one/kernel": random(3, 3, 3, 64), "one/bias": random(64), "two/kernel": random(3, 3, 64, 16),
             "two/bias": random(16)} | dense("aux", 16, 10) | dense("fc", 64, 5)  # fmt: skip
    refused(module, found, "a Linear of 64 inputs after an image of 16 channels")


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(
    "up",
    [
        nn.ConvTranspose2d(4, 3, 2),
        nn.Conv2d(4, 3, 3),
        nn.Conv1d(4, 3, 3),
        nn.BatchNorm2d(4),
    ],
)
def test_a_linear_before_an_image_made_of_what_it_gives(up, norm):
    """A generator's Dense and Reshape((3, 3, 4)) give h w c, torch's view(-1, 4, 3, 3) takes c h w."""
    module = tree(fc=nn.Linear(5, 36), **({"bn": nn.BatchNorm1d(36)} if norm else {}), up=up)
    found = dense("fc", 5, 36)
    if norm:
        found |= {f"bn/{n}": random(36) for n in ("gamma", "beta", "moving_mean", "moving_variance")}
    refused(module, found, "missing: fc.weight: a Linear of 36 outputs before an image of", "missing: fc.bias: a Linear of 36",
            "a map gives 'i (h w c) -> (c h w) i'", *(["missing: bn.weight: a Linear"] if norm else []))  # fmt: skip


def test_a_linear_before_an_image_of_unknown_width():
    module = tree(fc=nn.Linear(5, 36, bias=False), up=nn.LazyConv2d(3, 3, bias=False))
    found = {"fc/kernel": random(5, 36), "up/kernel": random(3, 3, 4, 3)}
    with pytest.raises(
        WeightsError, match=r"missing: fc.weight: a Linear of 36 outputs before an image of unknown"
    ):
        load_weights(module, found)


def test_a_linear_before_an_image_of_its_width_or_before_another_linear_is_decided():
    """Squeeze and excitation, an MLP between convolutions, the head of a network with a second one behind it."""
    for module in (
        tree(fc=nn.Linear(4, 8), up=nn.Conv2d(8, 4, 1)),
        tree(one=nn.Linear(4, 16), two=nn.Linear(16, 4), conv=nn.Conv2d(4, 4, 3)),
        tree(one=nn.Linear(4, 16), conv=nn.Conv2d(4, 3, 3), two=nn.Linear(16, 4)),
        tree(conv=nn.Conv2d(1, 4, 3), fc=nn.Linear(4, 10)),
    ):
        found = {}
        for name, layer in module.items():
            axes = (1, 0) if isinstance(layer, nn.Linear) else (2, 3, 1, 0)
            found[f"{name}/kernel"] = random(*layer.weight.permute(axes).shape)
            found[f"{name}/bias"] = random(*layer.bias.shape)
        assert len(load_weights(module, found).loaded) == len(found)


def test_a_batch_norm_behind_a_flattened_image_is_refused_and_so_is_the_linear_behind_it():
    module = tree(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm1d(36), fc=nn.Linear(36, 2))
    found = {"conv/kernel": random(3, 3, 3, 4), "conv/bias": random(4)} | dense("fc", 36, 2)
    found |= {f"bn/{n}": random(36) for n in ("gamma", "beta", "moving_mean", "moving_variance")}
    refused(
        module, found, "missing: bn.weight: a BatchNorm1d of 36 features after an image of 4 channels",
        "missing: fc.weight: a Linear of 36 inputs after an image of 4 channels", "'(h w c) o -> o (c h w)' with sizes { c = 4 }",
    )  # fmt: skip


def test_kernels_that_theano_flipped_are_refused(tmp_path):
    path = tmp_path / "theano.h5"
    for backend in (b"tensorflow", b"theano"):
        with h5py.File(path, "w") as root:
            root.attrs.update(
                layer_names=[b"conv"], backend=np.bytes_(backend), keras_version=np.bytes_(b"2.2.4")
            )
            root["conv/conv/kernel:0"] = random(3, 3, 3, 4)
            root["conv"].attrs["weight_names"] = [b"conv/kernel:0"]
        module = tree(conv=nn.Conv2d(3, 4, 3, bias=False))
        if backend == b"theano":
            refused(module, path, "under Theano, whose convolutions flip their kernels")
        else:
            load_weights(module, path)


def test_options_that_would_be_ignored_are_refused(tmp_path):
    path, out = tmp_path / "x.weights.h5", str(tmp_path / "x.pt")
    with h5py.File(path, "w") as root:
        root["layers/dense/vars/0"] = random(4, 4)
    (tmp_path / "net.py").write_text("from torch import nn\ndef make(): return nn.Linear(4, 4, bias=False)\n")
    module = ["--module", f"{tmp_path}/net.py:make"]
    for options, says in (
        (["--list", "-o", out], "--list and -o"), ([*module, "--list"], "--list and --module"),
        ([*module, "--optimizer"], "name it with -o"), ([*module, "--select", "*"], "name a file with -o"),
        ([*module, "--optimizer", "--dtype", "bfloat16", "-o", out], "--optimizer and --dtype"),
        ([*module, "--write-map", f"{out}.toml", "-o", out], "--write-map and -o"),
        ([str(path), "--diff", "-o", out], "takes no option"),
    ):  # fmt: skip
        told = CliRunner().invoke(weights, [str(path), *options])
        assert told.exit_code == 2 and says in told.output, told.output
    assert not list(tmp_path.glob("x.pt*"))
