"""Patterns on shapes and arrays agree with einops, and say why they cannot be applied."""

import math

import einops
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfport.weights import WeightsError
from tfport.weights.patterns import ZEROS, apply, plan, source_shape, view

PATTERNS = (
    "h w i o -> o i h w", "h w c m -> (c m) 1 h w", "i o -> o i", "c -> c", "(h w c) o -> o (c h w)",
    "a (b c) -> (c a) b", "a 1 b -> b a", "-> 1", "a b -> (a 1 b)", "... -> ...", "a ... -> ... a",
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_pattern_does_what_einops_does(data):
    pattern = data.draw(st.sampled_from(PATTERNS))
    left = pattern.replace("...", "x y" if data.draw(st.booleans()) else "").split("->")[0]
    words = left.replace("(", " ").replace(")", " ").split()
    sizes = {name: data.draw(st.integers(1, 4)) for name in words if name.isalpha()}
    shape = [math.prod(sizes[n] for n in g) for g in groups(left, sizes)]
    array = np.arange(math.prod(shape)).reshape(shape)
    moves = plan(pattern, shape, known := sizes if "..." not in pattern else {})
    expected = einops.rearrange(array, pattern, **known)
    assert moves.target == expected.shape
    np.testing.assert_array_equal(apply(moves, array), expected)
    assert source_shape(pattern, moves.target, known) == tuple(shape)


def groups(side, sizes):
    """The axes of one side as lists of names; an axis of size one is an empty list."""
    found, inside = [], None
    for word in side.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(":
            inside = []
        elif word == ")":
            found.append(inside)
            inside = None
        elif inside is not None:
            inside += [word] if word in sizes else []
        else:
            found.append([word] if word in sizes else [])
    return found


def test_height_and_width_together_need_no_size():
    moves = plan("(h w c) o -> o (c h w)", (120, 4), {"c": 4})
    array = np.arange(480).reshape(120, 4)
    expected = einops.rearrange(array, "(h w c) o -> o (c h w)", c=4, h=6)
    np.testing.assert_array_equal(apply(moves, array), expected)


def test_permutations_of_big_arrays_are_views():
    array = np.zeros((3, 3, 8, 8), "float32")
    assert np.shares_memory(view(plan("h w i o -> o i h w", array.shape, {}), array), array)


def test_blocks_along_an_axis_are_put_into_another_order():
    array = np.arange(2 * 12).reshape(2, 12)
    z, r, h = np.split(array, 3, axis=1)
    sizes = {"g": [1, 0, 2]}
    moves = plan("i (g o) -> (g o) i", array.shape, sizes)
    np.testing.assert_array_equal(apply(moves, array), np.concatenate([r, z, h], axis=1).T)
    assert moves.target == (12, 2) and source_shape("i (g o) -> (g o) i", (12, 2), sizes) == (2, 12)
    with pytest.raises(WeightsError, match="no multiple of 3"):
        plan("i (g o) -> (g o) i", (2, 13), sizes)


def test_one_index_of_an_axis_is_picked():
    array = np.arange(2 * 12).reshape(2, 12)
    z, r, h = np.split(array[1], 3)
    sizes = {"g": (1, 0, 2)}
    np.testing.assert_array_equal(
        apply(plan("1:2 (g o) -> (g o)", array.shape, sizes), array), np.concatenate([r, z, h])
    )
    np.testing.assert_array_equal(apply(plan("0:2 g -> g", array.shape, {}), array), array[0])
    assert source_shape("0:2 g -> g", (12,), {}) == (2, 12)
    with pytest.raises(WeightsError, match="an axis has 3 values, the pattern wants 2"):
        plan("0:2 g -> g", (3, 12), {})


def test_zeros_read_nothing():
    assert source_shape(ZEROS, (4,), {}) is None


@pytest.mark.parametrize(
    ("pattern", "shape", "sizes", "says"),
    [
        ("i o -> o i", (3,), {}, "has 1 axes, the pattern takes 2"),
        ("(h w c) o -> o (c h w)", (10, 2), {"c": 4}, "no multiple of 4"),
        ("(h c w) o -> o (c h w)", (8, 2), {"c": 4}, "not known"),
        ("i o -> o i", (3, 4), {"i": 5}, "has 3 values, the pattern wants 5"),
        ("a b -> a", (3, 4), {}, "does not move every axis once"),
        ("a b -> (a b", (3, 4), {}, "open parenthesis"),
        ("a + b -> a b", (3, 4), {}, "not understood"),
        ("a b ... -> a b ...", (3,), {}, "takes 2"),
        ("a 1 -> a", (3, 4), {}, "wants 1"),
    ],
)
def test_what_does_not_fit_is_said(pattern, shape, sizes, says):
    with pytest.raises(WeightsError, match=says):
        plan(pattern, shape, sizes)


def test_the_wanted_shape_of_a_lazy_target_has_gaps():
    assert source_shape("h w i o -> o i h w", (4, None, 3, 3), {}) == (3, 3, None, 4)
