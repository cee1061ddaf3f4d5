"""Numbers in names: set off by dots, biases with a leading axis, and counters that do not tell the order of the layers."""

import numpy as np
import pytest
import torch
from test_by_names import dense, holds, random, refused, tree
from torch import nn

from tfport.weights import load_weights
from tfport.weights.checkpoint import Checkpoint, Entry


def test_numbers_set_off_by_dots_are_numbers():
    """``classifier_._1`` is classifier.1 of nn.Sequential(nn.Flatten(), nn.Linear): it has no first of its own."""
    module = tree(body=nn.Linear(4, 4), classifier=nn.Sequential(nn.Flatten(), nn.Linear(4, 4)))
    found = dense("tf_net/body") | dense("tf_net/classifier_._1")
    load_weights(module, found)
    holds(module["classifier"][1], found, "tf_net/classifier_._1")


def test_a_bias_with_a_leading_axis_of_one():
    """GPT-2's Conv1D in TensorFlow's transformers has a bias of (1, out)."""
    module = tree(fc=nn.Linear(4, 3), norm=nn.LayerNorm(4))
    found = dense("fc", 4, 3) | {"norm/gamma": random(1, 1, 4), "norm/beta": random(4)}
    found["fc/bias"] = random(1, 3)
    report = load_weights(module, found)
    assert {row.pattern for row in report.loaded} == {"i o -> o i", "1 o -> o", "1 1 c -> c", "c -> c"}
    np.testing.assert_array_equal(module["fc"].bias.detach().numpy(), found["fc/bias"][0])
    found["fc/bias"] = random(2, 3)
    refused(module, found, "wrong shape: fc/bias [2, 3] -> fc.bias")


@pytest.mark.parametrize("ordered", [True, False])
def test_counters_that_the_model_lists_in_another_order(ordered):
    """Keras' dense_5 was created before dense_6; whether it is used first the model's own list tells."""
    found = dense("dense_5") | dense("dense_6")
    entries = [
        Entry(key, array.shape, "float32", lambda a=array: a, (key.split("/")[0],), (), key.split("/")[1])
        for key, array in found.items()
    ]
    order = ["dense_5", "dense_6"] if ordered else ["dense_6", "dense_5"]
    checkpoint = Checkpoint(
        "m.h5", "test", entries, [[f"{n}/{v}" for n in order for v in ("kernel", "bias")]]
    )
    module = tree(dense1=nn.Linear(4, 4), dense2=nn.Linear(4, 4))
    if ordered:
        load_weights(module, checkpoint)
        assert torch.equal(module["dense1"].weight, torch.tensor(found["dense_5/kernel"].T))
        return
    says = "it would be dense_5/kernel, but the layers of that class"
    refused(module, checkpoint, "missing: dense1.weight", says)
    spelt = {"dense5": nn.Linear(4, 4), "dense6": nn.Linear(4, 4)}
    refused(tree(**spelt), checkpoint, "missing: dense5.weight", says)
    as_listed = tree(dense6=spelt["dense6"], dense5=spelt["dense5"])
    copied = tree(dense_5=nn.Linear(4, 4), dense_6=nn.Linear(4, 4))  # Keras' very names
    for module, name in ((as_listed, "dense5"), (copied, "dense_5")):
        load_weights(module, checkpoint)
        holds(module[name], found, "dense_5")


def test_ranks_need_a_module_that_defines_its_layers_in_their_order():
    module = tree(dense2=nn.Linear(4, 4), dense1=nn.Linear(4, 4))
    refused(
        module,
        dense("dense_4") | dense("dense_5"),
        "it would be dense_4/kernel, but the layers of that class",
    )


def test_the_heads_of_bert_are_the_transpose_of_a_dense_layer():
    """google-research multiplies the transpose of output_weights (out, in); a square one may be either."""

    class Head(nn.Module):
        def __init__(self, outputs):
            super().__init__()
            self.dense = nn.Linear(4, 4)
            self.relation = nn.Linear(4, outputs)
            self.bias = nn.Parameter(torch.zeros(4))

    found = dense("cls/dense") | {
        "cls/relation/output_weights": random(2, 4),
        "cls/relation/output_bias": random(2),
    }
    found["cls/output_bias"] = random(4)
    module = Head(2)
    load_weights(module, found)
    assert torch.equal(module.relation.weight, torch.tensor(found["cls/relation/output_weights"]))
    assert torch.equal(module.bias, torch.tensor(found["cls/output_bias"]))
    found["cls/relation/output_weights"] = random(4, 2)
    refused(Head(2), found, "wrong shape: cls/relation/output_weights [4, 2] -> relation.weight")
    found |= {"cls/relation/output_weights": random(4, 4), "cls/relation/output_bias": random(4)}
    refused(Head(4), found, "missing: relation.weight", "whether that is (out, in), as BERT's, or (in, out)")


def test_the_heads_of_transformers_in_tensorflow_have_two_names():
    """A head that is another class's attribute: ``mlm___cls/predictions`` and ``nsp___cls/relation`` are of one cls."""
    module = tree(cls=tree(predictions=nn.Linear(4, 4), relation=nn.Linear(4, 4)))
    found = dense("tf_bert/mlm___cls/predictions") | dense("tf_bert/nsp___cls/relation")
    load_weights(module, found)
    holds(module["cls"]["relation"], found, "tf_bert/nsp___cls/relation")
