"""Blocks of permuted arrays: the same elements as NumPy's copy, for every rank, size, stride and dtype."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfport.weights.moving import blocks, contiguous

SIZES = st.lists(st.integers(0, 5) | st.sampled_from([63, 64, 65, 130]), min_size=0, max_size=4).filter(
    lambda sizes: int(np.prod(sizes)) < 40_000
)


@settings(max_examples=300, deadline=None)
@given(
    SIZES,
    st.randoms(use_true_random=False),
    st.sampled_from(["u1", "<f2", "<f4", "<f8", "<c16"]),
    st.booleans(),
)
def test_any_permutation(sizes, source, dtype, backwards):
    array = np.arange(int(np.prod(sizes))).astype(dtype).reshape(sizes)
    view = array.transpose(source.sample(range(array.ndim), array.ndim))
    if backwards and view.ndim:
        view = view[::-1, ...]
    if view.ndim and source.random() < 0.3:
        view = view[..., ::2] if source.random() < 0.5 else np.broadcast_to(view, (2, *view.shape))
    expected = np.array(view, order="C", copy=True)
    np.testing.assert_array_equal(contiguous(view), expected)
    parts = [block() for block in blocks(view)]
    assert all(part.ndim == 1 and part.flags.c_contiguous for part in parts)
    np.testing.assert_array_equal(np.concatenate([*parts, expected.reshape(-1)[:0]]), expected.reshape(-1))


@pytest.mark.parametrize("shape", [(3, 3, 70, 130), (1, 1, 64, 64), (2, 2, 300, 5), (7, 7, 3, 65)])
def test_kernels_in_every_order(shape):
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for order in itertools.permutations(range(4)):
        np.testing.assert_array_equal(
            contiguous(array.transpose(order)), np.array(array.transpose(order), order="C")
        )


def test_a_contiguous_array_is_not_copied():
    array = np.zeros((3, 4))
    assert contiguous(array) is array


def test_no_block_is_larger_than_some_rows():
    array = np.zeros((512, 4096), np.float32)
    assert max(block().nbytes for block in blocks(array.T)) == 64 * 512 * 4
    assert max(block().nbytes for block in blocks(array)) == 1 << 20
