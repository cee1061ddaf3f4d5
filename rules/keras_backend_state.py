"""keras.backend functions that make and change variables."""

from __future__ import annotations

import torch

from tfport.compat import variables as _variables
from tfport.compat.arguments import to_tensor as _to_tensor
from tfport.rule import rule


@rule("tf.keras.backend.variable", pure=False, proved_by="tests/compat/test_keras_state.py")
def variable(value, dtype=None, name=None, constraint=None):
    """An nn.Parameter with a copy of the value, float32 unless ``dtype`` says otherwise."""
    return _variable(value, dtype, constraint)


def _variable(value, dtype, constraint):
    wanted = torch.float32 if dtype is None else dtype
    made = value.detach() if torch.is_tensor(value) else _to_tensor(value)
    return _variables.variable(made.to(wanted), None, wanted, constraint)


@rule("tf.keras.backend.update", returns="x", pure=False, proved_by="tests/compat/test_keras_state.py")
def update(x, new_x):
    """Write ``new_x`` into the variable and return it."""
    return _variables.assign(x, new_x)


@rule("tf.keras.backend.update_add", returns="x", pure=False, proved_by="tests/compat/test_keras_state.py")
def update_add(x, increment):
    """Add to the variable in place and return it."""
    return _variables.assign_add(x, increment)


@rule("tf.keras.backend.update_sub", returns="x", pure=False, proved_by="tests/compat/test_keras_state.py")
def update_sub(x, decrement):
    """Subtract from the variable in place and return it."""
    return _variables.assign_sub(x, decrement)


@rule(
    "tf.keras.backend.moving_average_update",
    returns="x",
    pure=False,
    proved_by="tests/compat/test_keras_state.py",
)
def moving_average_update(x, value, momentum):
    """The variable becomes ``x * momentum + value * (1 - momentum)``; torch's BatchNorm calls 1 - momentum momentum."""
    return _moved(x, value, momentum)


def _moved(x, value, momentum):
    value = _to_tensor(value, x.dtype, x.device).detach()
    return _variables.assign(x, x.detach() * momentum + value * (1.0 - momentum))


@rule(
    "tf.keras.backend.set_value", returns="python", pure=False, proved_by="tests/compat/test_keras_state.py"
)
def set_value(x, value):
    """Write an array, list or number into the variable; dtype and shape are the variable's."""
    return _set(x, value)


@rule(
    "tf.keras.backend.batch_set_value",
    returns="python",
    pure=False,
    proved_by="tests/compat/test_keras_state.py",
)
def batch_set_value(tuples):
    """Write values into variables: pairs of a variable and a value."""
    return _set_all(tuples)


def _set(x, value):
    value = _to_tensor(value, x.dtype, x.device).detach().to(x.dtype)
    _variables.assign(x, value)


def _set_all(tuples):
    for x, value in tuples:
        _set(x, value)
