"""keras.utils: seeds and normalisation."""

from __future__ import annotations

import random

import numpy as np
import torch

from tfport.compat import seeds as _seeds
from tfport.rule import prove, rule


@rule(
    "tf.keras.utils.set_random_seed",
    returns="python",
    pure=False,
    proved_by="tests/compat/test_keras_state.py",
)
def set_random_seed(seed):
    """Seed Python, NumPy and torch on every device. The numbers are torch's, not TensorFlow's."""
    return _seed(seed)


def _seed(seed):
    if not isinstance(seed, int):
        raise ValueError(f"seed must be an int, not {seed!r}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    _seeds.reset()


@rule("tf.keras.utils.normalize", returns=None)
@prove(np.array([[3.0, 4.0], [0.0, 0.0]]))
@prove(np.array([[3.0, -4.0], [1.0, 2.0]], "float32"), axis=0, order=1)
@prove(np.arange(24.0).reshape(2, 3, 4), 1)
def normalize(x, axis=-1, order=2):
    """An array or tensor divided by its norms along an axis; a norm of 0 divides by 1.

    For an array and axis 0 Keras divides row i by the norm of column i; this does the same.
    """
    return _normalized(x, axis, order)


def _normalized(x, axis, order):
    if torch.is_tensor(x):
        norms = torch.linalg.vector_norm(x, order, dim=axis, keepdim=True)
        return x / torch.where(norms == 0, 1.0, norms)
    norms = np.atleast_1d(np.linalg.norm(x, order, axis))
    return x / np.expand_dims(np.where(norms == 0, 1, norms), axis or -1)
