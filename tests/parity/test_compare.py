"""compare(): what agrees and what does not, element by element; faults that a weaker comparison lets pass."""

import collections

import numpy as np
import pytest
import torch

from tfport.parity.comparison import compare
from tfport.parity.distance import ulp_quantiles
from tfport.parity.tolerance import RTOL


def noise(shape, dtype="float32", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def status(reference, candidate, **options):
    result = compare(reference, candidate, **options)
    return [t.status for t in result]


def test_equal_and_close():
    x = noise((3, 4))
    assert status(x, x.copy()) == ["equal"]
    result = compare(x, x + np.float32(1e-6))
    assert result.ok and bool(result) and result.tensors[0].status == "close"
    assert 0 < result.tensors[0].max_rel < 1e-5
    assert result.elements == 12


def test_torch_tensor_beside_array():
    x = noise((3, 4))
    assert compare(x, torch.from_numpy(x).requires_grad_())
    assert compare(torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16))
    assert status(torch.ones(2, dtype=torch.bfloat16), torch.ones(2)) == ["dtype"]


def test_permuted_elements_have_equal_means_and_differ():
    x = noise((8, 5))
    assert np.isclose(x.mean(), x[::-1].mean())
    result = compare(x, x[::-1])
    assert not result and "40 of 40 differ" in result.reason


def test_one_sided_nan_differs_and_two_sided_agrees():
    x = noise((6,))
    nan = x.copy()
    nan[2] = np.nan
    assert compare(nan, nan.copy())
    for a, b in ((x, nan), (nan, x)):
        result = compare(a, b)
        assert not result and result.tensors[0].worst == (2,) and "nan" in result.reason
    assert not compare(np.full(3, np.nan, "float32"), np.zeros(3, "float32"))


def test_infinities_agree_with_themselves_only():
    x = np.array([1, np.inf, -np.inf], "float32")
    assert compare(x, x.copy())
    assert not compare(x, np.array([1, np.inf, np.inf], "float32"))
    assert not compare(x, np.array([1, np.inf, np.nan], "float32"))
    assert not compare(x, np.array([1, 3e38, -np.inf], "float32"))
    assert not compare(x, np.array([1.001, np.inf, -np.inf], "float32"))  # the scale is 1, not infinity


@pytest.mark.parametrize("other", ["float64", "float16", "int32"])
def test_dtype_drift_differs_though_values_agree(other):
    x = np.arange(6, dtype="float32")
    result = compare(x, x.astype(other))
    assert not result and result.reason == f"output: dtype {other} instead of float32"


def test_shapes_must_be_the_same_even_where_they_broadcast():
    x = noise((4, 1))
    for other in (x[:, 0], x[None], np.repeat(x, 2, 1), x[:2], np.float32(x[0, 0])):
        assert status(x, other) == ["shape"]


def test_transposed_square_matrix_differs():
    x = noise((5, 5))
    assert status(x, x.T) == ["differs"]


def test_integers_are_exact_and_wrap_around_is_seen():
    x = np.array([2**62, 5], "int64")
    assert not compare(x, x + 1, rtol=1.0)
    assert not compare(np.array([300]), np.array([300 - 256]))
    assert compare(np.array([True, False]), np.array([True, False]))
    assert not compare(np.array([True, False]), np.array([True, True]))
    big = compare(np.array([2**63 - 1, 0]), np.array([-(2**63), 0]))
    assert not big and big.tensors[0].max_abs > 1e19


def test_missing_extra_and_nothing():
    x = noise((2,))
    assert status({"a": x, "b": x}, {"a": x, "c": x}) == ["equal", "missing", "extra"]
    assert not compare({"a": x, "b": x}, {"a": x})
    assert not compare({"a": x}, {"a": x, "b": x})
    for nothing in ({}, [], None, np.zeros((0, 3), "float32"), {"a": None, "b": []}):
        result = compare(nothing, nothing)
        assert not result and "nothing was compared" in result.reason
    assert not compare(None, x)
    assert not compare(x, None)


def test_none_is_told_by_its_name():
    x = noise((3, 2))
    assert compare(x, None).reason == "output: None instead of float32 [3, 2]"
    assert compare([None, x], [1.0, x]).reason == "output/0: python float [] instead of None"
    assert compare([None, x], [None, x]) and not compare(None, None)


def test_nested_structures_are_named():
    pair = collections.namedtuple("pair", "x y")
    tree = {"a": [noise((2,)), {"b": noise((3,))}], "c": pair(noise((1,)), 2)}
    result = compare(tree, tree)
    assert [t.name for t in result] == ["output/a/0", "output/a/1/b", "output/c/0", "output/c/1"]
    assert result


def test_a_list_of_losses_is_one_tensor():
    losses = [0.5, 0.25, 0.125]
    result = compare(losses, [np.float32(v) for v in losses])
    assert result and [t.shape for t in result] == [(3,)]
    assert not compare(losses, losses[:2])
    assert not compare(losses, [0.5, 0.2501, 0.125])
    assert compare([0.5], [0.5 + 1e-7]) and not compare([0.5], [0.5 + 1e-7], python_dtype="float64")


def test_python_numbers_agree_with_dtypes_of_their_kind():
    assert compare(1.5, np.float32(1.5))
    assert compare(np.float64(1.5), 1.5)
    assert compare(3, np.int32(3))
    assert not compare(3, 3.0)
    assert not compare(True, 1)
    assert not compare("a", "b")
    assert compare({"s": "text", "n": 1}, {"s": b"text", "n": 1})


@pytest.mark.parametrize("dtype", sorted(RTOL))
def test_tolerance_by_dtype(dtype):
    if dtype == "bfloat16":
        x = torch.ones(4, dtype=torch.bfloat16)
        assert compare(x, x * 1.0078125) and not compare(x, x * 1.0625)
        return
    x = np.ones(4, dtype)
    for factor, ok in ((0.5, True), (2.5, False)):
        moved = x.copy()
        moved[1] += factor * RTOL[dtype]
        assert bool(compare(x, moved)) is ok


def test_explicit_tolerances_override():
    x = noise((10,))
    y = x + np.float32(1e-3)
    assert not compare(x, y)
    assert compare(x, y, rtol=1e-2) and compare(x, y, rtol=0, atol=2e-3)
    assert not compare(x, x + np.float32(1e-6), rtol=0)
    with pytest.raises(ValueError, match="tolerance"):
        compare(x, y, rtol=float("nan"))


def test_a_zero_reference_gives_no_room():
    x = np.zeros(3, "float32")
    result = compare(x, np.full(3, 1e-9, "float32"))
    assert not result and result.tensors[0].max_rel == float("inf")
    assert compare(x, np.full(3, 1e-9, "float32"), atol=1e-8)
    assert "--atol" in compare(np.full(3, 1e-8, "float32"), np.full(3, 2e-8, "float32")).reason


def test_complex():
    x = (noise((4,)) + 1j * noise((4,), seed=1)).astype("complex64")
    assert compare(x, x * np.complex64(1 + 1e-7))
    assert not compare(x, x.conj())


def test_both_parts_of_a_complex_number_count():
    """NaN in one part agrees with NaN in that part; the other part is compared as ever."""
    nan, inf = float("nan"), float("inf")

    def one(x):
        return np.array([x, 1], "complex64")

    for x in (complex(nan, 1), complex(2, nan), complex(inf, 1), complex(nan, -inf)):
        assert compare(one(x), one(x))
    assert compare(one(complex(nan, 1)), one(complex(nan, 1 + 1e-7)))
    for x, y in (
        (complex(nan, 1), complex(nan, 5)),
        (complex(nan, 0), complex(0, nan)),
        (complex(inf, 1), complex(inf, 3)),
    ):
        assert not compare(one(x), one(y)) and compare(one(x), one(y)).tensors[0].differing == 1
    huge = np.array([3e38 + 3e38j], "complex64")
    assert compare(huge, huge * np.complex64(1 - 1e-7)).tensors[0].scale == pytest.approx(3e38 * 2**0.5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_ulp_counts_neighbours(dtype):
    x = np.array([1.0, -1.0, 1e-3, 0.0, -0.0], dtype)
    up = np.nextafter(x, np.array(np.inf, dtype))
    assert ulp_quantiles(x, x, dtype)["1"] == 0
    assert ulp_quantiles(x, up, dtype)["1"] == 1
    three = np.nextafter(np.nextafter(up, np.array(np.inf, dtype)), np.array(np.inf, dtype))
    assert ulp_quantiles(x, three, dtype) == {"0.5": 3, "0.99": 3, "1": 3}
    low, high = np.array([-1], dtype), np.array([1], dtype)
    bits = {"float16": 2 * 0x3C00, "float32": 2 * 0x3F800000, "float64": 2 * 0x3FF0000000000000}
    assert ulp_quantiles(low, high, dtype)["1"] == bits[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ulp_quantiles_are_exact_below_256_and_within_a_128th_above(dtype):
    integer = {"float32": np.int32, "float64": np.int64}[dtype]
    steps = np.array([0, 1, 2, 3, 200, 255, 256, 1000, 10**6], integer)
    x = np.full(steps.shape, 1.5, dtype)
    y = (x.view(integer) + steps).view(dtype)
    (told,) = compare(x, y, rtol=1).tensors
    assert told.ulp["0.5"] == 200 and told.ulp["1"] == 10**6
    assert told.ulp_histogram[:9] == [1, 1, 2, 0, 0, 0, 0, 0, 2] and sum(told.ulp_histogram) == 9
    assert told.ulp_histogram[9:] == [1, 1, *[0] * 9, 1]  # 256-511, 512-1023, ..., 524288-1048575
    for q in (0.25, 0.6, 0.75, 0.9):
        units = ulp_quantiles(x, y, dtype)
        assert set(units) == {"0.5", "0.99", "1"}
        exact = float(np.quantile(steps, q, method="higher"))
        from tfport.parity.distance import Ulp

        counts = Ulp(dtype)
        counts.add(x, y)
        assert exact <= counts.quantiles([q])[f"{q:g}"] <= exact * (1 + 1 / 128)


def test_cosine_and_signal_to_noise():
    x = np.array([3.0, 4.0], "float32")
    (same,), (turned,), (noisy,) = (compare(x, y).tensors for y in (x, x[::-1].copy(), x * np.float32(1.01)))
    assert (same.cosine, same.snr) == (1.0, float("inf"))
    assert turned.cosine == pytest.approx(24 / 25) and turned.snr == pytest.approx(10 * np.log10(25 / 2))
    assert noisy.cosine == pytest.approx(1) and noisy.snr == pytest.approx(40, abs=1e-3)
    (huge,) = compare(np.array([1e300, -1e300]), np.array([1e300, 1e300])).tensors
    assert huge.cosine == 0 and huge.snr == pytest.approx(10 * np.log10(2 / 4))
    (zero,) = compare(np.zeros(2), np.ones(2)).tensors
    assert zero.cosine is None and zero.snr is None
    nan = np.array([3, 4, np.nan], "float32")
    assert (
        compare(nan, nan).tensors[0].cosine == 1
    )  # what is not finite is left out here; it counts in the verdict
    z = np.array([1 + 1j, 2], "complex64")
    (quarter,) = compare(z, z * np.complex64(1j)).tensors
    assert quarter.cosine == pytest.approx(0, abs=1e-7) and quarter.ulp is None


def test_without_detail_the_verdict_is_the_same():
    from tfport.parity.comparison import compare_values
    from tfport.parity.reference.values import Value

    x, y = noise((300,)), noise((300,)) + np.float32(1e-5) * noise((300,), seed=1)
    y[7] = np.nan
    full, quick = (
        vars(compare_values("x", Value(x, "float32"), Value(y, "float32"), detail=d)) for d in (True, False)
    )
    for name, value in quick.items():
        left_out = name in ("cosine", "snr", "ulp", "ulp_histogram")
        assert value is None if left_out else repr(full[name]) == repr(value), name


def test_ulp_leaves_out_what_is_not_finite():
    x = np.array([1, np.nan], "float32")
    assert ulp_quantiles(x, x, "float32")["1"] == 0
    assert ulp_quantiles(x[1:], x[1:], "float32") is None


def test_the_public_name_is_the_function():
    import tfport.parity

    assert tfport.parity.compare is compare and tfport.parity.compare(1.0, 1.0)


def test_what_cannot_be_compared_is_told():
    from tfport.parity.reference.errors import CaptureError

    with pytest.raises(CaptureError, match="type object"):
        compare({"a": object()}, {"a": 1})
    with pytest.raises(CaptureError, match="output/a/1: a value of type set"):
        compare({"a": [1.0, {2}]}, {"a": [1.0, 2.0]})
    for tensor in (torch.ones(2, device="meta"), torch.ones(2).to(torch.float8_e4m3fn)):
        with pytest.raises(CaptureError, match=r"output: a torch.\w+ tensor cannot be compared: "):
            compare(tensor, tensor)


def test_two_values_of_one_name_are_refused():
    """One of them would not be compared."""
    from tfport.parity.reference.errors import CaptureError

    for twice in ({"a/b": 1.0, "a": {"b": 2.0}}, {1: 1.0, "1": 2.0}):
        with pytest.raises(CaptureError, match="two values are called output/"):
            compare(twice, twice)


def test_an_infinite_tolerance_is_refused():
    """It would let NaN agree with a number."""
    for wrong in (float("inf"), float("nan"), -1e-3):
        for option in ("rtol", "atol"):
            with pytest.raises(ValueError, match=f"{option}="):
                compare(1.0, 1.0, **{option: wrong})


def test_distances_of_large_integers_are_exact():
    """float64 has no 2**60 + 1."""
    for a, b, far in (
        (np.int64(2**60), np.int64(2**60 + 1), 1),
        (np.uint64(2**64 - 1), np.uint64(2**64 - 3), 2),
        (np.int64(-(2**63)), np.int64(2**63 - 1), 2**64 - 1),
        (2**63 - 1, np.uint64(2**63), 1),
        (np.uint8(200), np.int8(-56), 256),
    ):
        (told,) = compare(a, b).tensors
        assert not told.ok and told.max_abs == float(far)


@pytest.mark.filterwarnings("error")
def test_a_wider_dtype_beyond_the_range_of_the_narrower_gives_no_warning():
    assert status(np.float32(1), np.float64(1e300)) == ["dtype"]
    assert status(np.float16([1]), np.float32([1e30])) == ["dtype"]


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_sparse_tensors_are_their_parts():
    """torch's sparse tensors, of any layout, under the names of tf.sparse.SparseTensor's parts."""
    dense = torch.tensor([[0, 2.0], [3.0, 0]])
    parts = {
        "indices": np.array([[0, 1], [1, 0]]),
        "values": np.array([2, 3], "float32"),
        "dense_shape": np.array([2, 2]),
    }
    assert compare(parts, dense.to_sparse()) and compare([parts, dense], (dense.to_sparse_csr(), dense))
    assert status(parts, dense.T.to_sparse()) == ["equal", "differs", "equal"]


def test_lists_of_numbers_keep_their_kind():
    """A long loss curve is one tensor, at once; lists of several kinds are told apart."""
    assert [t.shape for t in compare([0.5] * 10**6, np.full(10**6, 0.5))] == [(10**6,)]
    assert status([1.0, 2], [1.0, 2]) == ["equal", "equal"] and not compare([1.0, 2.0], [1, 2])
    assert status([True, False], np.array([True, False])) == ["equal"]
    assert compare([np.float32(1), np.float32(2)], torch.tensor([1.0, 2.0]))
