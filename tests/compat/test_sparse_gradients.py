"""Embeddings: what TensorFlow's optimisers do with IndexedSlices, rows named twice and rows not named, against ours."""

import os

import numpy as np
import pytest
import torch
from torch import nn

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")

import tfport.compat  # noqa: E402, F401  # publishes the rules, before one of them is imported by itself
from tfport.rules import keras_optimizers as ours  # noqa: E402
from tfport.rules import train_v1 as v1  # noqa: E402

ROWS = [[1, 4, 1], [0, 4, 4], [5, 2, 1], [4, 4, 0]]  # row 3 never
START = np.random.default_rng(0).standard_normal((6, 3)).astype("f4")
GRADS = np.random.default_rng(1).standard_normal((4, 3, 3)).astype("f4")
KERAS = {
    "Adam": {}, "AdamW": {}, "Nadam": {}, "Adamax": {}, "Lamb": {}, "Adagrad": {}, "Adadelta": {"learning_rate": 1.0}, "RMSprop": {},
    "SGD": {"momentum": 0.9}, "Ftrl": {}, "Lion": {},
}  # fmt: skip
V1 = {
    "Adam": {}, "Momentum": {"momentum": 0.9}, "RMSProp": {"momentum": 0.5}, "Adagrad": {}, "Adadelta": {"learning_rate": 1.0},
    "Ftrl": {}, "GradientDescent": {},
}  # fmt: skip


def steps(optimizer, variable, make):
    for rows, grad in zip(ROWS, GRADS, strict=True):
        optimizer.apply_gradients([(make(grad, rows), variable)])


def slices(grad, rows):
    return tf.IndexedSlices(tf.constant(grad), tf.constant(rows), tf.constant([6, 3]))


def sparse(grad, rows):
    return torch.sparse_coo_tensor(torch.tensor([rows]), torch.tensor(grad), (6, 3), check_invariants=True)


def check(theirs, mine):
    reference, candidate = tf.Variable(START), nn.Parameter(torch.tensor(START))
    steps(theirs, reference, slices)
    steps(mine, candidate, sparse)
    np.testing.assert_allclose(candidate.detach().numpy(), reference.numpy(), rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("name", KERAS)
def test_keras_3_squares_each_occurrence_of_a_row(name):
    options = {"learning_rate": 0.1, **KERAS[name]}
    check(getattr(tf.keras.optimizers, name)(**options), getattr(ours, name)(**options))


@pytest.mark.parametrize("name", V1)
def test_tensorflow_1_updates_the_named_rows_alone(name):
    options = {"learning_rate": 0.1, **V1[name]}
    check(
        getattr(tf.compat.v1.train, f"{name}Optimizer")(**options), getattr(v1, f"{name}Optimizer")(**options)
    )


def test_a_coalesced_gradient_and_a_dense_one_are_the_same():
    dense, coalesced = nn.Parameter(torch.tensor(START)), nn.Parameter(torch.tensor(START))
    steps(ours.Adam(0.1), dense, lambda grad, rows: sparse(grad, rows).to_dense())
    steps(ours.Adam(0.1), coalesced, lambda grad, rows: sparse(grad, rows).coalesce())
    assert torch.equal(dense, coalesced)
