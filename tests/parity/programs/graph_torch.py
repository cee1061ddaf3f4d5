"""The twins of graph.py."""

import torch


def built(x):
    return {"sum": x.sum(1), "rows": torch.tensor(x.shape[0], dtype=torch.int32)}


def weighted(x):
    return x @ torch.ones(3, 2)


def run(x):
    return x * 2.0
