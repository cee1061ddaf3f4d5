"""Functions for programs that do not say which TensorFlow they use refuse what the two versions compute differently."""

from __future__ import annotations

import pytest
import torch

from tfport import compat
from tfport.proving.reference import tensorflow


def test_where_refuses_a_vector_that_chooses_rows_in_one_version_and_broadcasts_in_the_other():
    tf = tensorflow()
    condition, x, y = [True, False, True], tf.ones((3, 3)), tf.zeros((3, 3))
    rows = tf.compat.v1.where(condition, x, y).numpy()
    assert (rows != tf.where(condition, x, y).numpy()).any()
    with pytest.raises(ValueError, match=r"compat\.v1\.where or compat\.where"):
        compat.either.where(torch.tensor(condition), torch.ones(3, 3), torch.zeros(3, 3))
