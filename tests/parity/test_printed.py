"""Printed output of two scripts: which spellings of a number agree, and which differences are seen."""

import pytest

from tfport.parity.printed import compare_printed, logical_lines


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("1.5", "tensor(1.5000)"),
        ("tf.Tensor(0.33333334, shape=(), dtype=float32)", "tensor(0.3333)"),
        ("<tf.Tensor: shape=(2,), dtype=float32, numpy=array([1., 2.], dtype=float32)>", "tensor([1., 2.])"),
        ("loss: 0.693147", "loss: 0.693148"),
        ("tf.Tensor([1 2 3], shape=(3,), dtype=int32)", "tensor([1, 2, 3], dtype=torch.int32)"),
        ("[[1. 2.]\n [3. 4.]]", "tensor([[1., 2.],\n        [3., 4.]], grad_fn=<MulBackward0>)"),
        ("step 1\n\nloss nan", "step 1\nloss nan"),
        ("x = np.float32(1.25)", "x = 1.25"),
        ("[0.00012345 1.2345678]", "tensor([1.2345e-04, 1.2346e+00])"),
        ("123 45", "123 45"),
        ("[1.e+00 5.e-01]", "tensor([1.0000, 0.5000])"),
    ],
)
def test_agree(a, b):
    result = compare_printed(a, b)
    assert result.ok, result.reason


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ("loss 0.5", "loss 0.45", "0.45 instead of 0.5"),
        ("loss 0.5", "loss 0.6", "0.6 instead of 0.5"),
        ("step 100 loss 0.51", "step 100 loss 0.52", "0.52 instead"),
        ("100", "101", "101 instead of 100"),
        ("1000000", "1000001", "instead"),
        ("loss 0.693147", "loss 0.693247", "instead"),
        ("1e-05", "1.2e-05", "instead"),
        ("nan", "1.0", "instead"),
        ("1.0", "nan", "instead"),
        ("inf", "-inf", "instead"),
        ("a 1", "b 1", "text"),
        ("a 1 2", "a 1", "numbers"),
        ("a 1\nb 2", "a 1", "line 2: the candidate prints less"),
        ("a 1", "a 1\nb 2", "line 2: the candidate prints more"),
        ("hello", "hello", "nothing was compared"),
        ("", "", "nothing was compared"),
        ("[1. 2.]", "tensor([2., 1.])", "instead"),
        ("accuracy 1.0", "accuracy 0.999", "instead"),
    ],
)
def test_differ(a, b, why):
    result = compare_printed(a, b)
    assert not result.ok and why in result.reason


def test_explicit_tolerance():
    assert not compare_printed("1.0001", "1.0101")
    assert compare_printed("1.0001", "1.0101", rtol=0.02)
    assert compare_printed("0.0", "1e-9", atol=1e-8)


def test_arrays_are_joined():
    assert logical_lines("a\n\n[[1 2]\n [3 4]]\nb") == ["a", "[[1 2] [3 4]]", "b"]
