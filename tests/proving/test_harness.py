"""The proof runner catches wrong rules: value, shape, dtype, gradient, signature, missing proofs, hidden rules."""

from __future__ import annotations

import textwrap

import pytest

from tfport.proving import prove_folder
from tfport.rule import REGISTRY

HEAD = "import torch\nfrom tfport.rule import Tensor, array, f16, f32, f64, i32, prove, rule\n\n"

WRONG = {
    "value": """
        @rule("tf.nn.relu")
        @prove(f32(2, 3), grad=False)
        def relu(features: Tensor, name=None):
            return torch.nn.functional.leaky_relu(features, 0.001)
        """,
    "value of NaN": """
        @rule("tf.sign", "tf.math.sign")
        @prove(array([1.0, float("nan")]), grad=False)
        def sign(x: Tensor, name=None):
            return torch.sign(torch.nan_to_num(x))
        """,
    "value of infinity": """
        @rule("tf.exp", "tf.math.exp")
        @prove(array([1.0, 1000.0]), grad=False)
        def exp(x: Tensor, name=None):
            return torch.exp(torch.clamp(x, max=80.0))
        """,
    "shape": """
        @rule("tf.math.reduce_max", version=2)
        @prove(i32(2, 3), axis=1, keepdims=True)
        def reduce_max(input_tensor: Tensor, axis=None, keepdims=False, name=None):
            return torch.amax(input_tensor, dim=axis)
        """,
    "shape of a list": """
        @rule("tf.unstack")
        @prove(i32(2, 3))
        def unstack(value: Tensor, num=None, axis=0, name="unstack"):
            return torch.chunk(value, 2)
        """,
    "dtype": """
        @rule("tf.math.reduce_sum", version=2)
        @prove(i32(2, 3))
        def reduce_sum(input_tensor: Tensor, axis=None, keepdims=False, name=None):
            return torch.sum(input_tensor)
        """,
    "gradient": """
        @rule("tf.math.abs")
        @prove(f64(2, 3))
        def abs_(x: Tensor, name=None):
            return torch.abs(x).detach() + 0.0 * x
        """,
    "gradient that is cut": """
        @rule("tf.math.square")
        @prove(f32(2, 3))
        def square(x: Tensor, name=None):
            return torch.square(x.detach())
        """,
    "signature, a parameter": """
        @rule("tf.math.cumsum")
        @prove(f32(3))
        def cumsum(x: Tensor, axis=0, name=None):
            return torch.cumsum(x, dim=axis)
        """,
    "signature, the order": """
        @rule("tf.math.cumsum")
        @prove(f32(3))
        def cumsum(x: Tensor, axis=0, reverse=False, exclusive=False, name=None):
            return torch.cumsum(x, dim=axis)
        """,
    "signature, a default": """
        @rule("tf.nn.leaky_relu")
        @prove(f32(3), alpha=0.2)
        def leaky_relu(features: Tensor, alpha=0.01, name=None):
            return torch.nn.functional.leaky_relu(features, alpha)
        """,
    "raises": """
        @rule("tf.math.add")
        @prove(f32(2), f32(2), raises=True)
        def add(x: Tensor, y: Tensor, name=None):
            return x + y
        """,
    "proofs": """
        @rule("tf.math.log")
        def log(x: Tensor, name=None):
            return torch.log(x)
        """,
    "proofs of a name that is not TensorFlow's": """
        @rule("tf.math.no_such_function")
        @prove(f32(2))
        def no_such_function(x: Tensor, name=None):
            return x
        """,
}

RIGHT = """
    @rule("tf.math.reduce_sum", "tf.reduce_sum", renamed={"keep_dims": "keepdims", "reduction_indices": "axis"})
    @prove(f32(2, 3, 4), axis=[0, 2])
    @prove(f64(2, 3), keepdims=True)
    @prove(array([float("nan"), float("inf"), -1.0]))
    def reduce_sum(input_tensor: Tensor, axis=None, keepdims=False, name=None):
        return torch.sum(input_tensor, dim=axis, keepdim=keepdims)
    """


@pytest.fixture(autouse=True)
def registry():
    """Rules of a test leave with it."""
    kept = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(kept)


def prove(tmp_path, body):
    (tmp_path / "user.py").write_text(HEAD + textwrap.dedent(body), encoding="utf-8")
    return prove_folder(tmp_path, source=False)


@pytest.mark.parametrize("what", WRONG)
def test_catches(tmp_path, what):
    report = prove(tmp_path, WRONG[what])
    assert not report.ok
    checks = {failure.check for outcome in report.failed for failure in outcome.failures}
    assert checks == {what.split(",")[0].split()[0]}


def test_passes_what_is_right(tmp_path):
    report = prove(tmp_path, RIGHT)
    assert report.ok, report
    assert len(report.outcomes) == 3


def test_message_says_rule_call_error_and_place(tmp_path):
    text = str(prove(tmp_path, WRONG["value"]))
    assert (
        "tf.nn.relu" in text
        and "(float32[2, 3])" in text
        and "largest error" in text
        and "at index [" in text
    )


def test_two_rules_of_one_function_name(tmp_path):
    body = RIGHT + RIGHT.replace('"tf.math.reduce_sum", "tf.reduce_sum"', '"tf.math.add_other"')
    text = str(prove(tmp_path, body))
    assert "defined twice" in text


def test_constants(tmp_path):
    good = prove(tmp_path, 'CONSTANTS = {"tf.float32": torch.float32, "tf.newaxis": None}')
    assert good.ok, good
    bad = prove(tmp_path, 'CONSTANTS = {"tf.float32": torch.float64, "tf.no_such_name": 1}')
    assert len(bad.failed) == 2


def test_random_results_are_compared_by_moments(tmp_path):
    body = """
        @rule("tf.random.uniform", pure=False)
        @prove([4000], random=True)
        def uniform(shape, minval=0, maxval=None, dtype=torch.float32, seed=None, name=None):
            return torch.rand(shape) {}
        """
    assert prove(tmp_path, body.format("")).ok
    assert not prove(tmp_path, body.format("* 0.9")).ok


def test_graph_functions_run_in_a_session(tmp_path):
    body = """
        @rule("tf.Tensor.eval")
        @prove(f32(2, 3), grad=False)
        def eval_(self: Tensor, feed_dict=None, session=None):
            return self.detach().cpu().numpy()
        """
    report = prove(tmp_path, body)
    assert report.ok, report
