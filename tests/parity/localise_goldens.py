"""References made by hand for the tests of localisation: what a capture would hold, computed with torch."""

import numpy as np
import torch

from tfport.parity.localise import Localiser
from tfport.parity.reference.values import Value

ORDERS = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


class Golden:
    """Layer calls and tensors, as a manifest's run has them.

    Tensors are given as torch computes them; images (rank 4 and 5) are stored with channels last, as TensorFlow does.
    """

    def __init__(self, dtype="float32"):
        self.values, self.layers, self.dtype, self.keys = {}, [], dtype, {}

    def put(self, key, tensor, keep_order=False):
        order = None if keep_order else ORDERS.get(tensor.ndim)
        array = tensor.detach().permute(order).numpy() if order else tensor.detach().numpy()
        self.values[key] = Value(np.array(array), self.dtype if array.dtype.kind == "f" else array.dtype.name)
        self.keys[id(tensor)] = (key, tensor)
        return tensor

    def input(self, tensor, name=0):
        return self.put(f"inputs/{name}", tensor)

    def layer(self, name, kind, inputs, outputs, before=None, activation=None, **config):
        """Records one call; returns its output."""
        calls = sum(entry["name"] == name for entry in self.layers)
        key = f"layers/{name}" + (f"#{calls}" if calls else "")
        many = outputs if isinstance(outputs, tuple) else (outputs,)
        tensors = [f"{key}/{i}" if len(many) > 1 else key for i in range(len(many))]
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        told = [self.keys[id(x)][0] if id(x) in self.keys else None for x in inputs]
        if before is not None:
            self.put(f"{key}:before", before)
        for tensor, where in zip(many, tensors, strict=True):
            self.put(where, tensor)
        self.layers.append(
            {"name": name, "class": kind, "attribute": None, "call": calls, "config": config, "activation": activation,
             "inputs": told, "arguments": {}, "tensors": tensors, "before_activation": f"{key}:before" if before is not None else None}
        )  # fmt: skip
        return outputs

    def output(self, tensor, name="output"):
        return self.put(f"outputs/{name}", tensor)

    @property
    def entry(self):
        return {"dtype": self.dtype, "layers": self.layers, "wander": {}, "depth": {}}


def localised(golden, module, *inputs, record=(), forward=None, always=False):
    """Runs a candidate beside a golden: the Localiser, after `locate` where the outputs differ."""
    found = Localiser(golden.entry, golden.values, module, record, quiet=lambda: torch.manual_seed(0))
    run = forward or (lambda: module(*inputs))

    def outputs(result):
        leaves = result if isinstance(result, (tuple, list)) else [result]
        names = [key for key in golden.values if key.startswith("outputs/")]
        made = zip(names, leaves, strict=False)
        return {n: t.permute(ORDERS[t.ndim]) if t.ndim in ORDERS else t for n, t in made}

    with torch.no_grad():
        result = found.plain(run)
        if always or not found.agree(outputs(result)):
            found.locate(run, outputs)
    return found


def statuses(found):
    """Layer name -> (status, how)."""
    return {layer.name: (layer.status, layer.how) for layer in found.layers}


def causes(found):
    """What was said of causes that agree."""
    return [(cause["cause"], cause["said"]) for cause in found.causes if cause["agrees"]]
