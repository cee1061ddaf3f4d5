"""How much room a healthy port has: wander, floor, ceiling, overrides, and outputs of few elements."""

import math

import numpy as np
import pytest

from tests.parity.conftest import PROGRAMS, capture_many
from tfport.parity.calibration import FEW, calibration
from tfport.parity.comparison import compare, compare_values
from tfport.parity.distance import scale_of
from tfport.parity.golden import read_golden
from tfport.parity.reference.values import Value
from tfport.parity.tolerance import CEILING, EPSILON, FACTOR, FLOOR, RTOL, UNKNOWN_DEPTH, allowed


def test_the_wander_is_the_measure():
    for wander in (3e-6, 1e-4):
        told = allowed("float32", 2.0, wander, 9)
        assert told.limit(2.0) == pytest.approx(FACTOR * wander) and "wander" in told.why
        assert not told.undecided


def test_the_floor_holds_where_the_wander_is_small_by_luck():
    for depth in (1, 4, 100):
        told = allowed("float32", 3.0, 0.0, depth)
        assert told.limit(3.0) == pytest.approx(FLOOR * 2**-23 * math.sqrt(depth) * 3.0)
    assert allowed("float32", 1.0, 0.0) == allowed("float32", 1.0, 0.0, UNKNOWN_DEPTH)
    assert allowed("float32", 1.0, 0.0, 0) == allowed("float32", 1.0, 0.0, UNKNOWN_DEPTH)


def test_more_than_the_ceiling_is_never_allowed_and_that_is_told():
    told = allowed("float32", 5.0, 1.0, 3)
    assert told.limit(5.0) == pytest.approx(CEILING * 5) and told.undecided and "2.0e-01" in told.why
    x = np.linspace(1, 5, 7, dtype="float32")
    result = compare(x, x * np.float32(1.05), wander={"output": 1.0})
    assert not result and "--dtype float64 decides" in result.reason
    assert compare(x, x * np.float32(1.001), wander={"output": 1.0})


def test_without_a_wander_the_dtype_decides():
    for dtype, rtol in RTOL.items():
        assert allowed(dtype, 4.0).limit(4.0) == pytest.approx(4 * rtol)
        assert allowed(dtype, 4.0, math.nan, 3) == allowed(dtype, 4.0) == allowed(dtype, 4.0, math.inf, 3)
    for dtype in ("int32", "bool", "string", "python int"):
        assert allowed(dtype, 4.0, 1.0, 3).limit(4.0) == 0


def test_float64_is_narrower_by_the_spacing_of_floats():
    assert allowed("float64", 1.0, 1e-7, 5).limit(1.0) == pytest.approx(RTOL["float64"])
    far = allowed("float64", 1.0, 0.1, 5).limit(1.0)
    assert far == pytest.approx(FACTOR * 0.1 * EPSILON["float64"] / EPSILON["float32"])


def test_half_precision_keeps_its_own_spacing():
    assert allowed("bfloat16", 2.0, 1e-6, 5).limit(2.0) == pytest.approx(2 * RTOL["bfloat16"])
    assert allowed("float16", 2.0, 1e-6, 5).limit(2.0) == pytest.approx(2 * RTOL["float16"])


def test_explicit_tolerances_take_the_place_of_the_calibration():
    assert allowed("float32", 2.0, 1.0, 5, rtol=1e-3).limit(2.0) == pytest.approx(2e-3)
    assert allowed("float32", 2.0, 1.0, 5, rtol=0.0, atol=0.25).limit(2.0) == 0.25
    both = allowed("float32", 2.0, 1e-6, 5, atol=0.25).limit(2.0)
    assert both == pytest.approx(0.25 + FACTOR * 1e-6)
    assert allowed("int32", 2.0, rtol=0.1, atol=3).limit(2.0) == 0


def test_a_reference_of_zeros_leaves_what_it_wanders():
    assert allowed("float32", 0.0, 0.0, 5).limit(0.0) == 0
    assert allowed("float32", 0.0, 1e-9, 5).limit(0.0) == pytest.approx(FACTOR * 1e-9)


def test_an_epsilon_behind_a_normalisation_is_caught_at_realistic_variances():
    """eps 1e-5 for 1e-3 in float32, variances of 0.01 to 4: beyond floor and wander of the layer, and of 50 more."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 8)).astype("float32")
    for variance in (0.01, 0.1, 1.0, 4.0):
        good, bad, exact = (
            (x * np.sqrt(variance)).astype(t) / np.sqrt(np.array(variance + eps, t))
            for eps, t in ((1e-3, "float32"), (1e-5, "float32"), (1e-3, "float64"))
        )
        wander = float(np.abs(good - exact).max())
        for depth in (1, 50):
            told = {"wander": {"output": wander}, "depth": {"output": depth}}
            assert compare(good, exact.astype("float32"), **told)
            assert not compare(good, bad, **told)


def test_a_constant_of_a_mask_gives_the_logits_no_room():
    logits = np.random.default_rng(1).standard_normal((4, 50)).astype("float32")
    masked = np.where(np.arange(50) < 20, logits, np.float32(-1e9) + logits)
    assert scale_of(masked).constant == pytest.approx(1e9)
    assert scale_of(masked).largest == pytest.approx(np.abs(logits[:, :20]).max())
    wrong = masked.copy()
    wrong[2, 3] += 0.01
    result = compare(masked, wrong)
    assert not result and result.tensors[0].worst == (2, 3) and "mask" in result.tensors[0].why
    assert not compare(masked, wrong, wander={"output": 32.0})  # of the constant, which float32 rounds to 64
    slightly = masked + np.where(masked > -1e3, np.float32(2e-4), np.float32(0))
    assert compare(masked, slightly, wander={"output": 4e-5}) and not compare(masked, slightly)
    close = masked.copy()
    close[0, 30] -= 128  # two units of the last place of 1e9
    assert compare(masked, close)
    close[0, 30] = -0.9e9
    assert not compare(masked, close)
    spread = np.array(
        [3e4, 2e4, 1.0, 2.0], "float32"
    )  # no constant: the large values are a scale like any other
    assert scale_of(spread).largest == 3e4


def test_pieces_give_what_the_whole_gives(monkeypatch):
    from tfport.parity import distance

    rng = np.random.default_rng(3)
    x = rng.standard_normal((50, 7)).astype("float32")
    y = x * (1 + 1e-6 * rng.standard_normal(x.shape)).astype("float32")
    x[4, 2] = y[4, 2] = np.nan
    x[30, 1] = y[30, 1] = np.inf
    y[49, 6] += 1
    results = []
    for size in (1 << 16, 16, 1):
        monkeypatch.setattr(distance, "CHUNK", size)
        results.append(vars(compare_values("x", Value(x.T, "float32"), Value(y.T, "float32"))))
    whole = results[0]
    assert whole["worst"] == (6, 49) and whole["differing"] == 1 and sum(whole["ulp_histogram"]) == 348
    for one in results[1:]:
        for name, value in whole.items():
            same = pytest.approx(value, rel=1e-12) if name in ("cosine", "snr") else value
            assert one[name] == same, name


def test_large_arrays_are_compared_in_bounded_memory():
    import tracemalloc

    x = np.ones(4_000_000, "float32")
    y = x.copy()
    tracemalloc.start()
    result = compare(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result and peak < x.nbytes / 2, peak


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    """The CNN, and a function that returns one number."""
    root = tmp_path_factory.mktemp("tolerance")
    (root / "scalar.py").write_text(
        "import tensorflow as tf\n\n\ndef loss(x):\n    return tf.reduce_mean(tf.square(x))\n"
    )
    jobs = {
        "cnn": [f"{PROGRAMS / 'cnn.py'}:build", "--dtype", "float32,float64"],
        "plain": [f"{PROGRAMS / 'cnn.py'}:build", "--no-calibrate"],
        "loss": [f"{root / 'scalar.py'}:loss", "--input", "4x3"],
    }
    told = capture_many([[*job, "-o", root / name] for name, job in jobs.items()])
    assert [status for status, _ in told] == [0, 0, 0], told
    return {name: read_golden(root / name) for name in jobs}


def test_a_golden_tells_wander_and_depth_of_its_outputs(goldens):
    golden = goldens["cnn"]
    wander, depth = calibration(golden, golden.run("float32"))
    assert set(wander) == set(depth) == {"output/0", "output/1"}
    assert all(1e-9 < w < 1e-5 for w in wander.values()) and min(depth.values()) > 3
    assert calibration(golden, golden.run("float64")) == (wander, depth)
    assert calibration(goldens["plain"], goldens["plain"].run("float32")) == ({}, {})


def test_an_output_of_few_elements_has_the_wander_of_what_is_before_it(goldens):
    golden = goldens["cnn"]
    entry = dict(golden.run("float32"))
    few = {**entry["wander"], "outputs/output/1": 0.0, "outputs/output/0": 0.0}
    entry["wander"] = few
    values = golden.tensors(entry)
    assert values["outputs/output/0"].array.size == 10 > FEW
    assert calibration(golden, entry)[0]["output/0"] == 0.0  # ten elements: its own wander is trusted
    golden = goldens["loss"]
    entry = dict(golden.run("float32"))
    entry["wander"] = {"outputs/output": 0.0}
    value = float(golden.tensors(entry)["outputs/output"].array)
    wander, depth = calibration(golden, entry)
    assert FACTOR * wander["output"] == pytest.approx(RTOL["float32"] * value) and depth == {}
