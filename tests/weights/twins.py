"""Torch twins of the models in fixtures/make_checkpoints.py, with the records that a conversion would leave."""

from __future__ import annotations

import pathlib
from typing import ClassVar

import numpy as np
import torch
from torch import nn

FOLDER = pathlib.Path(__file__).parents[2] / "fixtures" / "checkpoints"
FORMATS = (".weights.h5", ".keras", ".h5", "_checkpoint/ck", "_savedmodel")

CONV = {"kernel": ["weight", "h w i o -> o i h w", {}], "bias": ["bias", "o -> o", {}]}
DENSE = {"kernel": ["weight", "i o -> o i", {}], "bias": ["bias", "o -> o", {}]}
FLAT = {"kernel": ["weight", "(h w c) o -> o (c h w)", {"c": 4}], "bias": ["bias", "o -> o", {}]}
NORM = {
    "gamma": ["weight", "c -> c", {}],
    "beta": ["bias", "c -> c", {}],
    "moving_mean": ["running_mean", "c -> c", {}],
    "moving_variance": ["running_var", "c -> c", {}],
}


def layer(
    name: str | None, kind: str, path: str, weights: dict | None = None, keras_path: str | None = None
) -> dict:
    return {"name": name, "class": kind, "path": path, "keras_path": keras_path, "weights": weights or {}}


class Cnn(nn.Module):
    tfport_record: ClassVar = {"kind": "sequential", "layers": [
        layer("block1_conv1", "Conv2D", "block1_conv1", CONV), layer("norm", "BatchNormalization", "norm", NORM),
        layer("re_lu", "ReLU", "relu"), layer("conv2d", "Conv2D", "conv2d", CONV),
        layer("conv2d_1", "Conv2D", "conv2d_1", CONV),
        layer("flatten", "Flatten", "flatten"), layer("head", "Dense", "head", FLAT),
        layer("dense", "Dense", "dense", DENSE),
    ]}  # fmt: skip

    def __init__(self, lazy: bool = False) -> None:
        super().__init__()
        self.block1_conv1 = nn.LazyConv2d(4, 3, padding=1) if lazy else nn.Conv2d(3, 4, 3, padding=1)
        self.norm = (
            nn.LazyBatchNorm2d(eps=1e-3, momentum=0.01)
            if lazy
            else nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)
        )
        self.conv2d = nn.LazyConv2d(4, 3, padding=1) if lazy else nn.Conv2d(4, 4, 3, padding=1)
        self.conv2d_1 = nn.LazyConv2d(4, 3, padding=1) if lazy else nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.LazyLinear(4) if lazy else nn.Linear(120, 4)
        self.dense = nn.LazyLinear(4) if lazy else nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv2d_1(self.conv2d(torch.relu(self.norm(self.block1_conv1(x.permute(0, 3, 1, 2))))))
        return self.dense(self.head(x.flatten(1)))


class Shared(nn.Module):
    tfport_record: ClassVar = {"kind": "functional", "layers": [
        layer("a", "InputLayer", "a"), layer("b", "InputLayer", "b"), layer("twice", "Dense", "twice", DENSE),
        layer("add", "Add", "add"),
        layer("first/in1", "Dense", "first.0", DENSE), layer("first/bn", "BatchNormalization", "first.1", NORM),
        layer("first/dense", "Dense", "first.2", DENSE),
        layer("second/in0", "Dense", "second.0", DENSE), layer("second/in1", "Dense", "second.1", DENSE),
        layer("out", "Dense", "out", DENSE),
    ]}  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(4, 4)
        self.first = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, eps=1e-3), nn.Linear(4, 4))
        self.second = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        self.out = nn.Linear(4, 4)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.out(self.second(self.first(self.twice(a) + self.twice(b))))


class Sub(nn.Module):
    tfport_record: ClassVar = {"kind": "subclass", "layers": [
        layer(None, "Sub", "", {"scale": ["scale", "c -> c", {}]}),
        layer(None, "Conv2D", "conv", CONV), layer(None, "BatchNormalization", "norm", NORM),
        layer(None, "Dense", "blocks.0", DENSE), layer(None, "Dense", "blocks.1", DENSE),
        layer(None, "Dense", "zulu", DENSE), layer(None, "Dense", "alpha", DENSE), layer(None, "Dropout", "drop"),
    ]}  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4, eps=1e-3)
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.zulu = nn.Linear(4, 4)
        self.alpha = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x.permute(0, 3, 1, 2))).mean((2, 3))
        x = self.blocks[1](torch.relu(self.blocks[0](x)))
        return self.alpha(self.zulu(x)) * self.scale


TWINS = {"cnn": Cnn, "shared": Shared, "sub": Sub}


def error(module: nn.Module, name: str) -> float:
    """Largest error of the module's output against TensorFlow's, relative to the largest value."""
    saved = np.load(FOLDER / f"{name}.npz")
    inputs = [torch.from_numpy(saved[key]) for key in sorted(saved.files) if key.startswith("input")]
    with torch.no_grad():
        output = module.eval()(*inputs).numpy()
    return float(np.abs(output - saved["output"]).max() / np.abs(saved["output"]).max())
