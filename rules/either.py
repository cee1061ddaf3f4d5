"""Functions that TensorFlow 1 and 2 define differently, for files that do not say which TensorFlow they use.

Each does what both versions agree on and raises where they would not.
"""

from __future__ import annotations

import torch

from tfport.rule import Indices, Tensor, array, boolean, f32, prove, rule


@rule("tf.compat.either.where", returns="x", proved_by="tests/compat/test_either.py")
@prove(boolean(2, 3), f32(2, 3), f32(2, 3, seed=1))
@prove(boolean(2, 3))
@prove(array([0.0, 1.5, -2.0]))
@prove([True, False], [1.0, 2.0], [3.0, 4.0])
@prove(boolean(2), [1.0, 2.0], [3.0, 4.0])
@prove(array(True, "bool"), f32(2), f32(2, seed=3))
def where(condition: Indices, x: Tensor = None, y: Tensor = None, name=None):
    """tf.where; a condition of rank 1 chooses rows in TensorFlow 1 and broadcasts along the last axis in TensorFlow 2."""
    if x is None and y is None:
        return torch.nonzero(condition)
    return _where(condition, x, y)


def _where(condition, x, y):
    if condition.ndim == 1 and max(x.ndim, y.ndim) > 1:
        raise ValueError(
            f"tf.where with a condition of shape {tuple(condition.shape)} and values of shape {tuple(x.shape)} chooses rows in "
            "TensorFlow 1 and broadcasts in TensorFlow 2; use compat.v1.where or compat.where"
        )
    return torch.where(condition, x, y)
