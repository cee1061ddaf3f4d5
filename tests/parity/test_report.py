"""What `--format json` tells: its keys, which programs rely on, and numbers that JSON has no form of."""

import json

import numpy as np
import pytest

from tfport.parity.comparison import compare
from tfport.parity.printed import compare_printed
from tfport.parity.report import as_json
from tfport.parity.verification import Part, Verification

KEYS = {
    "": "schema ok reference candidate seed versions seconds runs",
    "run": "ok dtype device error reason compared not_compared elements tensors layers layers_left_out first causes "
    "gradients training notes",
    "tensor": "name status reason shape dtype candidate_shape candidate_dtype elements differing scale max_abs max_rel "
    "worst reference_value candidate_value cosine snr ulp ulp_histogram rtol atol limit why undecided ok",
    "printed": "numbers lines max_rel differences error reason",
    "difference": "line reference candidate reason",
}


def refuse(name):
    raise AssertionError(f"{name} is no JSON")


def told(done):
    """A result as another program reads it, which knows no NaN."""
    return json.loads(as_json(done), parse_constant=refuse)


def of(reference, candidate):
    """The one run of a comparison."""
    part = Part("float32", "cpu", comparison=compare(reference, candidate))
    return told(Verification("a", "b", parts=[part]))["runs"][0]


def test_the_keys_stay():
    """A key that goes or changes its meaning is another schema: count `report.SCHEMA` up, and change this test."""
    done = Verification("a", "b", parts=[Part("float32", "cpu", comparison=compare([1.0], [2.0]))])
    whole = told(done)
    assert whole["schema"] == 1 and set(whole) == set(KEYS[""].split())
    assert set(whole["runs"][0]) == set(KEYS["run"].split())
    assert set(whole["runs"][0]["tensors"][0]) == set(KEYS["tensor"].split())
    scripts = told(Verification("a", "b", printed=compare_printed("x 1.5", "x 2.5")))
    assert set(scripts) == set(KEYS[""].split()) - {"runs"} | {"printed"}
    assert set(scripts["printed"]) == set(KEYS["printed"].split())
    assert set(scripts["printed"]["differences"][0]) == set(KEYS["difference"].split())


@pytest.mark.parametrize(
    "reference, candidate",
    [
        (np.float32([np.nan, 1]), np.float32([np.inf, 1])),
        (np.complex64([1 + 1j]), np.complex64([complex(np.nan, np.inf)])),
        (np.array(["a", b"\\xff", "\x00\ud800"], dtype=object), np.array(["a", "b", "c"])),
        (np.zeros(3), np.ones(3)),
        (np.uint64([2**64 - 1]), np.uint64([0])),
        ({"a": None, "b": [], 3: True}, {"a": None, "b": [], 3: False}),
        (np.zeros((0, 2)), np.zeros((0, 2))),
        (1.0, "1.0"),
    ],
    ids=["nan and inf", "complex", "text", "zeros", "large integers", "nothing and flags", "empty", "kinds"],
)
def test_any_value_is_legal_json(reference, candidate):
    """And the page is made of it."""
    from tfport.parity.html import render

    run = of(reference, candidate)
    assert not run["ok"]
    render(
        [
            told(
                Verification(
                    "a", "b", parts=[Part("float32", "cpu", comparison=compare(reference, candidate))]
                )
            )
        ]
    )


def test_infinite_errors_are_words():
    """`inf` for an error without bound, as the values themselves."""
    (tensor,) = of(np.float32([np.nan, 1]), np.float32([np.inf, 1]))["tensors"]
    assert (tensor["max_abs"], tensor["reference_value"], tensor["candidate_value"]) == ("inf", "nan", "inf")
    (tensor,) = of(np.float32([1]), np.float32([1]))["tensors"]
    assert tensor["snr"] == "inf" and tensor["max_abs"] == 0.0
