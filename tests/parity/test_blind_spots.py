"""What comparisons elsewhere let pass, through capture and replay: permutations, one-sided NaN, drift, nothing compared."""

import numpy as np
import pytest

from tests.parity.conftest import PROGRAMS, capture_many, replayed

REFERENCE = """
import numpy as np
import tensorflow as tf

NAN, INF = float("nan"), float("inf")


def square(x):
    return tf.matmul(x, x)


def column(x):
    return tf.reduce_sum(x, axis=1, keepdims=True)


def pair(x):
    return {"a": x + 1.0, "b": x * 2.0}


def special():
    return tf.constant([1.0, NAN, INF, -INF, 0.0, -0.0, 2.5])


def all_nan(x):
    return tf.math.log(-1.0 - x * x)


def total(n):
    return tf.reduce_sum(n)


def bytes_(n):
    return n + n


def small(x):
    return tf.identity(x)


def numbers():
    return {"f": 2.5, "i": 3, "b": True, "big": 2**70, "s": "adam", "n": None}


def empty(x):
    return x[:0]


def nothing(x):
    return [None, {}, []]


def masked(x, mask):
    return tf.where(mask, x, 0.0)


def stateless(x):
    return tf.zeros([2, 3])


def mean(x):
    return tf.reduce_mean(x)
"""

INPUTS = {
    "square": ["4x4"],
    "column": ["4x3"],
    "pair": ["4x3"],
    "special": [],
    "all_nan": ["4x3"],
    "total": ["n.npy"],
    "bytes_": ["bytes.npy"],
    "small": ["small.npy"],
    "numbers": [],
    "empty": ["4x3"],
    "masked": ["4x3", "mask.npy"],
    "stateless": ["4x3"],
    "mean": ["4x3"],
}

FAULTS = {
    # name: (reference, the candidate's expression, what is said)
    "rows permuted": ("square", "(x @ x).flip(0)", "16 of 16 differ"),
    "two elements swapped": ("square", "(x @ x).flatten()[[1, 0, *range(2, 16)]].reshape(4, 4)", "2 of 16 differ"),
    "square matrix transposed": ("square", "(x @ x).T", "differ"),
    "transposed before the product": ("square", "x.T @ x", "16 of 16 differ"),
    "the mean everywhere": ("square", "torch.full_like(x, (x @ x).mean().item())", "16 of 16 differ"),
    "the same mean and deviation": ("square", "2 * (x @ x).mean() - x @ x", "16 of 16 differ"),
    "an error in one element": ("square", "torch.where(torch.arange(16).reshape(4, 4) == 11, 1.001, 1) * (x @ x)", "worst at [2, 3]"),
    "float64 instead": ("square", "(x @ x).double()", "dtype float64 instead of float32"),
    "float16 within": ("square", "(x @ x).half().float()", "differ"),
    "bfloat16 instead": ("square", "(x @ x).bfloat16()", "dtype bfloat16 instead of float32"),
    "an axis more": ("square", "(x @ x)[None]", "shape"),
    "flattened": ("square", "(x @ x).flatten()", "shape"),
    "broadcastable: a vector": ("column", "x.sum(1)", "shape"),
    "broadcastable: a row": ("column", "x.sum(1)[None]", "shape"),
    "broadcastable: repeated": ("column", "x.sum(1, keepdim=True).expand(4, 3)", "shape"),
    "broadcastable: a number for a tensor": ("column", "x.sum()", "shape"),
    "an output is missing": ("pair", '{"a": x + 1}', "output/b"),
    "an output more": ("pair", '{"a": x + 1, "b": x * 2, "c": x}', "output/c"),
    "an output under another name": ("pair", '{"a": x + 1, "B": x * 2}', "output/B"),
    "outputs swapped": ("pair", '{"a": x * 2, "b": x + 1}', "12 of 12 differ"),
    "a tuple for a dict": ("pair", "(x + 1, x * 2)", "output/a"),
    "None for an output": ("pair", '{"a": x + 1, "b": None}', "output/b"),
    "nothing returned": ("pair", "None", "output"),
    "no NaN": ("special", "torch.tensor([1, 0, INF, -INF, 0.0, -0.0, 2.5])", "worst at [1]: 0 instead of nan"),
    "a NaN more": ("special", "torch.tensor([1, NAN, INF, -INF, 0.0, -0.0, NAN])", "worst at [6]: nan instead of 2.5"),
    "a NaN elsewhere": ("special", "torch.tensor([NAN, 1, INF, -INF, 0.0, -0.0, 2.5])", "2 of 7 differ"),
    "NaN for an infinity": ("special", "torch.tensor([1, NAN, NAN, -INF, 0.0, -0.0, 2.5])", "nan instead of inf"),
    "the sign of an infinity": ("special", "torch.tensor([1, NAN, -INF, -INF, 0.0, -0.0, 2.5])", "-inf instead of inf"),
    "the largest number for an infinity": ("special", "torch.tensor([1, NAN, 3.4e38, -INF, 0.0, -0.0, 2.5])", "instead of inf"),
    "an infinity more": ("special", "torch.tensor([1, NAN, INF, -INF, INF, -0.0, 2.5])", "inf instead of 0"),
    "NaN zeroed": ("all_nan", "torch.zeros(4, 3)", "12 of 12 differ"),
    "an int64 sum": ("total", "n.sum()", "dtype int64 instead of int32"),
    "a sum that saturates": ("total", "n.sum().clamp(-2**31, 2**31 - 1).to(torch.int32)", "2147483647 instead of"),
    "a sum in float32": ("total", "n.float().sum()", "dtype float32 instead of int32"),
    "bytes that saturate": ("bytes_", "(n.int() * 2).clamp(0, 255).to(torch.uint8)", "255 instead of 144"),
    "bytes that widen": ("bytes_", "n.int() * 2", "dtype int32 instead of uint8"),
    "subnormals flushed to zero": ("small", "torch.zeros_like(x)", "0 instead of 1.1e-38"),
    "an int for a float": ("numbers", 'dict(NUMBERS, f=2)', "output/f"),
    "a float for an int": ("numbers", 'dict(NUMBERS, i=3.0)', "output/i"),
    "an int for a bool": ("numbers", 'dict(NUMBERS, b=1)', "output/b"),
    "another float": ("numbers", 'dict(NUMBERS, f=2.5001)', "2.5001 instead of 2.5"),
    "an integer beyond 64 bits, off by one": ("numbers", 'dict(NUMBERS, big=2**70 + 1)', "output/big"),
    "another string": ("numbers", 'dict(NUMBERS, s="Adam")', "output/s"),
    "a number for None": ("numbers", 'dict(NUMBERS, n=0)', "output/n"),
    "a tensor of one for a number": ("mean", "x.mean()[None]", "shape"),
    "a candidate that ignores its input": ("square", "torch.linspace(-1, 1, 16).reshape(4, 4)", "16 of 16 differ"),
    "an empty result": ("empty", "x[:0]", "nothing was compared"),
    "an empty result of another width": ("empty", "x[:0, :2]", "shape"),
}  # fmt: skip

SOUND = {
    "square": "x @ x",
    "column": "x.sum(1, keepdim=True)",
    "pair": '{"b": x * 2, "a": x + 1}',
    "special": "torch.tensor([1, NAN, INF, -INF, -0.0, 0.0, 2.5])",  # zeros are equal whatever their sign
    "all_nan": "torch.log(-1 - x * x)",
    "total": "n.sum().to(torch.int32)",
    "bytes_": "n + n",
    "small": "x",
    "numbers": "dict(NUMBERS, f=torch.tensor(2.5), i=np.int64(3))",
    "masked": "torch.where(mask, x, torch.tensor(0.0))",
    "stateless": "torch.zeros(2, 3)",
    "mean": "x.mean()",
}

PORT = """
import numpy as np
import torch

NAN, INF = float("nan"), float("inf")
NUMBERS = {{"f": 2.5, "i": 3, "b": True, "big": 2**70, "s": "adam", "n": None}}


def port({names}):
    return {expression}
"""


@pytest.fixture(scope="module")
def goldens(tmp_path_factory):
    """A golden folder of every function of REFERENCE, by name; and what capture said of the one that returns nothing."""
    root = tmp_path_factory.mktemp("blind")
    (root / "reference.py").write_text(REFERENCE)
    np.save(root / "n.npy", np.array([2**30, 2**30 + 1, 2**30], "int32"))
    np.save(root / "bytes.npy", np.array([200, 1], "uint8"))
    np.save(root / "small.npy", np.array([1e-45, -2e-42, 3e-40, 1.1e-38], "float32"))
    np.save(root / "mask.npy", np.ones((4, 3), bool))
    jobs = []
    for name, specs in {**INPUTS, "nothing": ["4x3"]}.items():
        given = [str(root / spec) if spec.endswith(".npy") else spec for spec in specs]
        words = [word for spec in given for word in ("--input", spec)]
        jobs.append([f"{root / 'reference.py'}:{name}", "-o", root / name, *words])
    told = capture_many(jobs)
    assert [status for status, _ in told] == [0] * len(INPUTS) + [2], told
    return {**{name: root / name for name in INPUTS}, "nothing": told[-1][1]}


def run(goldens, tmp_path, reference, expression):
    """Verifies one expression against the golden of one function; the part."""
    names = {"total": "n", "bytes_": "n", "masked": "x, mask", "special": "", "numbers": ""}.get(
        reference, "x"
    )
    (tmp_path / "port.py").write_text(PORT.format(names=names, expression=expression))
    (part,) = replayed(goldens[reference], f"{tmp_path / 'port.py'}:port", tmp_path / "out")
    return part


@pytest.mark.parametrize("name", FAULTS)
def test_is_caught(name, goldens, tmp_path):
    reference, expression, said = FAULTS[name]
    part = run(goldens, tmp_path, reference, expression)
    assert part.error is None and not part.ok
    assert said in part.comparison.reason


@pytest.mark.parametrize("reference", SOUND)
def test_a_sound_port_agrees(reference, goldens, tmp_path):
    part = run(goldens, tmp_path, reference, SOUND[reference])
    assert part.ok, part.error or part.comparison.reason


def test_a_program_that_returns_nothing_cannot_be_captured(goldens):
    assert "nothing returned nothing to compare" in goldens["nothing"]


NOTES = {
    # what is said beside an agreement that shows little
    "masked": "input 1 is True throughout: nothing here shows that the port uses it",
    "all_nan": "output of the reference has no finite element",
    "stateless": "output of the reference is 0.0 throughout",
}


@pytest.mark.parametrize("reference", SOUND)
def test_an_agreement_that_shows_little_says_so(reference, goldens, tmp_path):
    part = run(goldens, tmp_path, reference, SOUND[reference])
    doubts = [note for note in part.notes if "nothing here shows" in note or "shows little" in note]
    assert len(doubts) == (reference in NOTES), doubts
    assert not doubts or NOTES[reference] in doubts[0]


def test_an_input_that_is_ignored_is_said_where_it_cannot_be_seen(goldens, tmp_path):
    """A mask of ones does not tell a port that forgets the mask from one that uses it."""
    part = run(goldens, tmp_path, "masked", "x")
    assert part.ok and any("input 1 is True throughout" in note for note in part.notes)


def test_a_port_that_returns_recorded_numbers_is_caught_by_other_inputs(goldens, tmp_path):
    """One golden is one draw and cannot show it; the same program under another seed does."""
    from tfport.parity.golden import read_golden

    other = tmp_path / "other"
    root = goldens["square"].parent
    ((status, text),) = capture_many(
        [[f"{root / 'reference.py'}:square", "-o", other, "--input", "4x4", "--seed", "1"]]
    )
    assert status == 0, text
    golden = read_golden(goldens["square"])
    recorded = golden.tensors(golden.runs[0])["outputs/output"].array
    np.save(tmp_path / "recorded.npy", recorded)
    replayer = f"torch.from_numpy(np.load({str(tmp_path / 'recorded.npy')!r}))"
    assert run(goldens, tmp_path, "square", replayer).ok
    assert not run({"square": other}, tmp_path, "square", replayer).ok
    assert run({"square": other}, tmp_path, "square", SOUND["square"]).ok


def test_a_layer_that_is_not_compared_is_said(seeds, tmp_path):
    """Every layer of the reference is told of: as compared, or as not compared with the reason."""
    from tfport.parity.golden import read_golden
    from tfport.parity.report import summary
    from tfport.parity.verification import Verification

    candidate = f"{PROGRAMS / 'cnn_torch.py'}:build"
    (part,) = replayed(seeds[0], candidate, tmp_path / "out", layers="all")
    calls = read_golden(seeds[0]).runs[0]["layers"]
    assert [layer["name"] for layer in part.layers] == [call["name"] for call in calls]
    left = [layer for layer in part.layers if layer["status"] == "not compared"]
    (told,) = summary(Verification("a", "b", [part]))["runs"]
    for layer in left:
        assert layer["reason"]
        assert any(layer["name"] in line and layer["reason"] in line for line in told["not_compared"])
    (part,) = replayed(seeds[0], candidate, tmp_path / "none", layers="none")
    (told,) = summary(Verification("a", "b", [part]))["runs"]
    assert part.layers == [] and "layers (--layers all)" in told["not_compared"]
