"""What looks like a match and is none: counters as names, slots as weights, flipped kernels, options without effect."""

import h5py
import numpy as np
from click.testing import CliRunner
from test_by_names import dense, holds, random, refused, tree
from torch import nn

from tfport.weights import load_weights
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
