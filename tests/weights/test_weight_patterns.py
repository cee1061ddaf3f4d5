"""Patterns on shapes and arrays agree with einops, and say why they cannot be applied."""

import math

import einops
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfport.weights import WeightsError
from tfport.weights.patterns import apply, plan, source_shape

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
    assert np.shares_memory(apply(plan("h w i o -> o i h w", array.shape, {}), array), array)


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
