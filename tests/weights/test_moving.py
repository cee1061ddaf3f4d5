"""Blocks of permuted arrays: the same elements as NumPy's copy, for every rank, size, stride and dtype."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfport.weights.moving import Buffers, blocks, contiguous
from tfport.weights.writers import Tensor, cast
from tfport.weights.writers.tensor import chunks

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


def test_memory_is_used_again_and_only_its_own():
    buffers, mine = Buffers(), np.arange(8, dtype=np.uint8)
    first = buffers.take(6, np.dtype("f4"))
    buffers.give(first)
    again = buffers.take(2, np.dtype("i8"))
    assert np.shares_memory(first, again) and again.dtype == np.int64
    for other in (mine, mine[2:], mine.view("f4"), np.frombuffer(bytes(8), np.uint8)):
        buffers.give(other)
    assert not np.shares_memory(buffers.take(8, np.dtype("u1")), mine)
    assert not np.shares_memory(buffers.take(4, np.dtype("u1")), again)  # not given back


def test_a_mapping_of_bytes_is_not_written_over(tmp_path):
    """A contiguous array of the caller's passes through as it is; its memory is never taken for a block's."""
    mine = {
        "bytes": np.arange(3 << 20, dtype=np.uint8),
        "kernel": np.arange(1 << 16, dtype=np.uint8).reshape(256, 256),
    }
    kept = {key: value.copy() for key, value in mine.items()}
    made = {
        "a": Tensor((3 << 20,), "uint8", lambda: mine["bytes"]),
        "b": Tensor((256, 256), "uint8", lambda: mine["kernel"].T),
        "c": cast("c", Tensor((256, 256), "float32", lambda: mine["kernel"].T.astype("f4").T), "float16"),
    }
    with ThreadPoolExecutor(2) as workers:
        found = b"".join(bytes(chunk) for chunk in chunks(made.values(), workers))
    wanted = kept["bytes"].tobytes() + kept["kernel"].T.tobytes() + kept["kernel"].astype("f2").tobytes()
    assert found == wanted
    assert all(np.array_equal(mine[key], kept[key]) for key in mine)
