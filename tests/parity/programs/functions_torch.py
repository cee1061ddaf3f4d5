"""The twins of functions.py."""

import numpy as np
import torch
from torch import nn

gain = torch.tensor([0.0, 0.0, 0.0])


def scaled(x):
    return {"y": torch.relu(x) * gain, "n": torch.tensor(x.shape[0], dtype=torch.int32), "name": "scaled"}


def pair(a, b, alpha=1.0):
    return a + alpha * b, [a.max(), b.argmax(1)]


def constants():
    return torch.arange(6, dtype=torch.int32).reshape(2, 3), 2.5


def train(steps=5):
    rng = np.random.RandomState(0)
    x, y = (torch.from_numpy(rng.randn(16, n).astype("float32")) for n in (3, 1))
    w = torch.zeros(3, 1, requires_grad=True)
    losses = []
    for _ in range(steps):
        loss = ((x @ w - y) ** 2).mean()
        (grad,) = torch.autograd.grad(loss, w)
        with torch.no_grad():
            w -= 0.1 * grad
        losses.append(loss.item())
    return losses


def failing(x):
    return x


class Affine(nn.Module):
    def __init__(self, units=4):
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, units))
        self.b = nn.Parameter(torch.zeros(units))

    def forward(self, x):
        return x @ self.w + self.b


def dense(path, keras_path):
    weights = {"kernel": ["weight", "i o -> o i", {}], "bias": ["bias", "o -> o", {}]}
    return {"name": None, "class": "Dense", "path": path, "keras_path": keras_path, "weights": weights}


class Mixer(nn.Module):
    tfport_record = {  # noqa: RUF012
        "version": 1,
        "models": {
            "Mixer": {
                "kind": "subclass",
                "layers": [
                    {
                        "name": None,
                        "class": "Embedding",
                        "path": "table",
                        "keras_path": "table",
                        "weights": {"embeddings": ["weight", "v d -> v d", {}]},
                    },
                    dense("blocks.0", "blocks/dense"),
                    dense("blocks.1", "blocks/dense_1"),
                    {
                        "name": None,
                        "class": "LayerNormalization",
                        "path": "norm",
                        "keras_path": "norm",
                        "weights": {"gamma": ["weight", "c -> c", {}], "beta": ["bias", "c -> c", {}]},
                    },
                ],
            }
        },
    }

    def __init__(self, units=6):
        super().__init__()
        self.table = nn.Embedding(11, 4)
        self.blocks = nn.ModuleList([nn.Linear(7, units), nn.Linear(units, units)])
        self.norm = nn.LayerNorm(units, eps=1e-3)

    def forward(self, ids, x):
        y = torch.cat([self.table(ids).mean(1), x], -1)
        for block in self.blocks:
            y = torch.relu(block(y))
        return {"y": self.norm(y)}


class Traced(nn.Module):
    tfport_record = {  # noqa: RUF012
        "version": 1,
        "models": {
            "Traced": {"kind": "subclass", "layers": [dense("first", "first"), dense("last", "last")]}
        },
    }

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))
