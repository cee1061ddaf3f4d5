"""The faults planted in the MLP; those of training are in test_faults_training.py."""

from __future__ import annotations

from tests.parity.planted import Fault, moved, swapped, text

MLP = {
    "epsilon of the norm": Fault("bn", text("eps=0.001", "eps=1e-05"), "epsilon"),
    "square matrix transposed": Fault("square", moved("square", "kernel", "i o -> i o"), "transposed square kernel"),
    "another square matrix transposed": Fault("square2", moved("square2", "kernel", "i o -> i o"), "transposed square kernel"),
    "equal layers exchanged": Fault("square", swapped(("square", "kernel"), ("square2", "kernel"))),
    "gelu by tanh": Fault("square", text("F.gelu(self.square(x))", 'F.gelu(self.square(x), approximate="tanh")')),
    "selu for elu": Fault("square2", text("F.elu(self.square2(x))", "F.selu(self.square2(x))")),
    "softmax over the batch": Fault("head", text("dim=-1)", "dim=0)"), "softmax axis"),
    "dropout at work": Fault("drop", text("x = self.drop(x)", "x = self.drop.train()(x)"), "train/eval mode"),
    "training mode": Fault("bn", text("x = self.bn(x)", "x = self.bn.train()(x)"), "train/eval mode"),
    "bias left out": Fault("first", text("self.first(x)", "(self.first(x) - self.first.bias)")),
    "classes permuted": Fault("output", text("return x\n", "return x.flip(1)\n")),
}  # fmt: skip
