"""torch's default dtype is to compat what ``keras.config.floatx()`` is to Keras: losses and metrics compute in it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

pytest.importorskip("keras")

import keras

from tfport import compat


@pytest.fixture(params=["float32", "float64"])
def floatx(request: pytest.FixtureRequest) -> Iterator[str]:
    before = torch.get_default_dtype(), keras.config.floatx()
    torch.set_default_dtype(getattr(torch, request.param))
    keras.config.set_floatx(request.param)
    yield request.param
    torch.set_default_dtype(before[0])
    keras.config.set_floatx(before[1])


LABELS = np.array([1, 0, 2])
SCORES = np.array([[0.1, 0.7, 0.2], [0.3, 0.3, 0.4], [0.25, 0.5, 0.25]])


@pytest.mark.parametrize(
    "made", ["losses.SparseCategoricalCrossentropy", "metrics.SparseCategoricalCrossentropy"]
)
def test_losses_and_metrics_compute_in_it(floatx, made):
    room, name = made.split(".")
    theirs = getattr(getattr(keras, room), name)()(LABELS, SCORES)
    ours = getattr(getattr(compat.keras, room), name)()(LABELS, SCORES)
    assert str(ours.dtype) == f"torch.{floatx}" == f"torch.{theirs.dtype.name}"
    assert abs(float(ours) - float(theirs)) < (1e-6 if floatx == "float32" else 1e-15)


def test_a_given_dtype_wins(floatx):
    loss = compat.keras.losses.MeanSquaredError(dtype="float32")
    assert loss([[1.0]], torch.tensor([[0.5]], dtype=torch.float64)).dtype is torch.float32
