"""compare() against a second, naive way to compute each of its figures, on arrays that hypothesis makes up."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tfport.parity.comparison import compare
from tfport.parity.distance import CHUNK, Ulp

FLOATS = st.sampled_from(["float16", "float32", "float64"])
COMPLEX = st.sampled_from(["complex64", "complex128"])
INTEGERS = st.sampled_from(["bool", "uint8", "int8", "int16", "int32", "int64", "uint32", "uint64"])
SHAPES = npst.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=5)


@st.composite
def pairs(draw, dtypes):
    """Two arrays of one shape and dtype: often with equal, neighbouring or special elements."""
    dtype, shape = draw(dtypes), draw(SHAPES)
    a = draw(npst.arrays(dtype, shape))
    b = draw(npst.arrays(dtype, shape))
    kept = draw(npst.arrays("bool", shape))
    b = np.where(kept, a, b)
    if a.dtype.kind == "f":
        with np.errstate(all="ignore"):
            near = np.nextafter(a, np.array(np.inf, dtype))
        b = np.where(draw(npst.arrays("bool", shape)), near, b)
    return a, np.asarray(b, dtype)


def apart(x, y):
    """The distance of two Python numbers; infinite where only one is a NaN or an infinity."""
    if isinstance(x, complex):
        return math.hypot(apart(x.real, y.real), apart(x.imag, y.imag))
    if x == y or (x != x and y != y):
        return 0.0
    if isinstance(x, float) and not (math.isfinite(x) and math.isfinite(y)):
        return math.inf
    try:
        return float(abs(Fraction(x) - Fraction(y)))
    except OverflowError:
        return math.inf


def size(x):
    """A finite |x|, 0 for what is not finite."""
    try:
        return float(abs(x)) if math.isfinite(abs(x)) else 0.0
    except OverflowError:  # of a complex number whose parts are near the largest
        return 0.0


@settings(deadline=None, max_examples=80)
@given(pairs(FLOATS | COMPLEX), st.sampled_from([0.0, 1e-7, 1e-3, 0.5]), st.sampled_from([0.0, 1e-6, 1.0]))
def test_floats_agree_where_each_element_does(pair, rtol, atol):
    """The verdict, the largest error, how many differ and where the worst is are those of a loop over the elements."""
    a, b = pair
    (told,) = compare(a, b, rtol=rtol, atol=atol).tensors
    gaps = [apart(x, y) for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)]
    scale = max(size(x) for x in a.ravel().tolist())
    near = {"rel": 1e-12, "abs": 1e-300}
    if "taken for a mask's constant" in told.why:
        return  # judged by two scales: test_tolerance has these
    assert told.scale == pytest.approx(scale, **near)
    assert told.limit == pytest.approx(atol + rtol * scale, **near)
    assert told.max_abs == pytest.approx(max(gaps), **near)
    if not any(
        gap != told.limit and gap == pytest.approx(told.limit, **near) for gap in gaps
    ):  # a last digit
        assert told.differing == sum(gap > told.limit for gap in gaps)
    assert told.ok == (not told.differing)
    assert (told.status == "equal") == (max(gaps) == 0)
    at = np.ravel_multi_index(told.worst, a.shape) if a.shape else 0
    assert gaps[at] == pytest.approx(max(gaps), **near)


@settings(deadline=None, max_examples=60)
@given(pairs(INTEGERS))
def test_integers_agree_where_all_are_equal(pair):
    """Exactly, with the exact distance however large the numbers are."""
    a, b = pair
    (told,) = compare(a, b, rtol=1.0, atol=1e9).tensors
    gaps = [abs(int(x) - int(y)) for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)]
    assert told.ok == (max(gaps) == 0) and told.differing == sum(gap > 0 for gap in gaps)
    assert told.max_abs == float(max(gaps))
    if not told.ok:
        assert gaps[np.ravel_multi_index(told.worst, a.shape) if a.shape else 0] == max(gaps)


@settings(deadline=None, max_examples=60)
@given(pairs(FLOATS))
def test_units_of_the_last_place_are_steps_between_neighbours(pair):
    """The histogram and the largest distance are those of a count of `nextafter` steps, by the bits of the floats."""
    a, b = pair
    told = compare(a, b, rtol=1.0).tensors[0]
    finite = np.isfinite(a) & np.isfinite(b)
    if not finite.any():
        assert told.ulp is None
        return
    steps = [abs(ordinal(x) - ordinal(y)) for x, y in zip(a[finite], b[finite], strict=True)]
    assert told.ulp["1"] == float(max(steps))
    histogram = [0] * 66
    for n in steps:
        histogram[n.bit_length()] += 1
    assert told.ulp_histogram == histogram[: len(told.ulp_histogram)]
    assert sum(told.ulp_histogram) == len(steps)
    median = float(sorted(steps)[math.ceil(0.5 * (len(steps) - 1))])
    assert median <= told.ulp["0.5"] <= median * (1 + 1 / 128)


def ordinal(x):
    """How many floats lie between zero and x, with its sign."""
    bits = int(np.abs(x).view(f"u{x.dtype.itemsize}"))
    return -bits if np.signbit(x) else bits


@settings(deadline=None, max_examples=60)
@given(
    npst.arrays("float32", SHAPES, elements=st.floats(-(2.0**50), 2.0**50, width=32)),
    st.integers(0, 2**32 - 1),
)
def test_cosine_and_noise_are_those_of_the_vectors(a, seed):
    """Against numpy's own norms, in float64."""
    b = (a + np.random.default_rng(seed).normal(0, 1e-2, a.shape) * np.abs(a).max()).astype("float32")
    (told,) = compare(a, b).tensors
    x, y = a.ravel().astype("float64"), b.ravel().astype("float64")
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    if not np.linalg.norm(x) > 1e-100:
        assert told.cosine is None and told.snr is None
        return
    assert told.cosine == (pytest.approx(float(x @ y / norms), abs=1e-9) if norms else None)
    noise = np.linalg.norm(x - y)
    assert told.snr == (
        pytest.approx(20 * np.log10(np.linalg.norm(x) / noise), abs=1e-6) if noise else np.inf
    )


@pytest.mark.parametrize("at", [0, 7, CHUNK - 1, CHUNK, 2 * CHUNK + 3])
def test_one_wrong_element_is_found_wherever_it_is(at):
    """Arrays are looked at in pieces: the place that is told is that in the whole, for floats and for integers."""
    for dtype in ("float32", "int32"):
        a = np.random.default_rng(0).integers(1, 99, (3, CHUNK)).astype(dtype)
        b = a.copy()
        b.reshape(-1)[at] += 5
        (told,) = compare(a, b).tensors
        assert (told.differing, told.max_abs) == (1, 5) and told.worst == np.unravel_index(at, a.shape)


def test_pieces_add_up():
    """ULP counts of a whole are those of its pieces together."""
    a = np.random.default_rng(0).standard_normal(3000).astype("float32")
    b = a + np.float32(1e-6)
    whole, parts = Ulp("float32"), Ulp("float32")
    whole.add(a, b)
    for i in range(0, 3000, 700):
        parts.add(a[i : i + 700], b[i : i + 700])
    assert whole.histogram() == parts.histogram() and whole.quantiles() == parts.quantiles()
