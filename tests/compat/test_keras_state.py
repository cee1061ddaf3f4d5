"""Functions and classes of Keras that keep state or record: variables, seeds, base classes to subclass."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from torch import nn

from tfport import compat
from tfport.compat.keras import zoo
from tfport.proving.reference import tensorflow

K = compat.keras.backend


def steps(backend, value):
    x = backend.variable([[1.0, 2.0], [3.0, 4.0]])
    found = [value(x)]
    for step in (
        lambda: backend.update(x, x * 2.0), lambda: backend.update_add(x, np.ones((2, 2))), lambda: backend.update_sub(x, x),
        lambda: backend.set_value(x, [[5, 6], [7, 8]]), lambda: backend.moving_average_update(x, np.ones((2, 2), "float32"), 0.9),
        lambda: backend.batch_set_value([(x, np.eye(2))]),
    ):  # fmt: skip
        step()
        found.append(value(x))
    whole = backend.variable(np.array([1.5, 2.5]), dtype="float64")
    return [*found, value(whole), value(backend.variable(3))]


def test_variables_change_as_in_keras():
    tf = tensorflow()
    want = steps(tf.keras.backend, lambda v: v.numpy())
    have = steps(K, lambda v: v.detach().numpy().copy())
    for ours, theirs in zip(have, want, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert isinstance(K.variable(1.0), nn.Parameter) and K.variable(1.0).requires_grad
    with pytest.raises(ValueError, match="shape"):
        K.set_value(K.variable([1.0, 2.0]), [1.0])


def test_one_seed_repeats_all_three_generators():
    def drawn():
        compat.keras.utils.set_random_seed(5)
        return (
            random.random(),
            np.random.rand(),
            torch.rand(1).item(),
            compat.random.uniform([1], seed=3).item(),
        )

    assert drawn() == drawn()
    with pytest.raises((TypeError, ValueError)):
        compat.keras.utils.set_random_seed("a")


def test_a_schedule_of_the_program_is_called_with_the_step():
    class Halving(compat.keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 1.0 / (1.0 + step)

    weight = nn.Parameter(torch.ones(1))
    optimizer = compat.keras.optimizers.SGD(Halving())
    for _ in range(2):
        optimizer.apply_gradients([(torch.ones(1), weight)])
    assert weight.item() == pytest.approx(1.0 - 1.0 - 0.5)
    with pytest.raises(NotImplementedError):
        compat.keras.optimizers.schedules.LearningRateSchedule()(0)


def test_name_scopes_have_no_effect():
    with K.name_scope("block"), compat.keras.name_scope("inner"):
        assert True


def test_input_layer_and_functional_are_what_recorded_models_are_made_of():
    x = compat.keras.Input((3,))
    model = compat.keras.Model(x, compat.keras.layers.Dense(2)(x))
    assert isinstance(model, compat.keras.Functional)
    assert isinstance(model.layers[0], compat.keras.layers.InputLayer)
    assert compat.keras.utils.get_source_inputs(compat.keras.layers.ReLU()(x)) == [x]


def test_decode_predictions_names_the_best_classes(tmp_path, monkeypatch):
    names = {str(i): [f"n{i:05}", f"class {i}"] for i in range(1000)}
    (tmp_path / "classes.json").write_text(json.dumps(names))
    monkeypatch.setattr(zoo, "fetch", lambda *ignored: str(tmp_path / "classes.json"))
    theirs = tensorflow().keras.applications.imagenet_utils
    monkeypatch.setitem(theirs.decode_predictions.__globals__, "CLASS_INDEX", names)
    rows = np.random.default_rng(0).random((2, 1000)).astype("float32")
    want = theirs.decode_predictions(rows, top=3)
    decode = compat.keras.applications.imagenet_utils.decode_predictions
    assert decode(torch.tensor(rows), top=3) == decode(rows, 3) == want
    with pytest.raises(ValueError, match="1000"):
        decode(rows[:, :10])


def test_constraints_by_configuration():
    constraints = compat.keras.constraints
    one = constraints.MinMaxNorm(0.5, 0.9)
    again = constraints.deserialize(constraints.serialize(one))
    weight = torch.randn(3, 2)
    assert torch.equal(again(weight), one(weight)) and again.get_config() == one.get_config()
    assert (
        constraints.serialize(None) is None and constraints.get(None) is None and constraints.get(one) is one
    )
