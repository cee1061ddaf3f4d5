"""Assertions and printing."""

from __future__ import annotations

import torch

from tfport.compat.arguments import to_tensor
from tfport.compat.checks import compared, hold, show
from tfport.rule import Tensor, array, boolean, f32, f64, i32, prove, rule


@rule("tf.debugging.Assert", "tf.Assert", returns="python", pure=False)
@prove(True, [1])
@prove(array(False, "bool"), ["wrong", f32(2)], grad=False, raises=True)
@prove(array(True, "bool"), data=[f32(2)], summarize=3, grad=False)
def Assert(condition, data, summarize=None, name=None):
    """AssertionError with ``data`` unless the condition is true."""
    return hold(to_tensor(condition), None, "condition", data)


@rule("tf.debugging.assert_equal", "tf.assert_equal", returns="python", pure=False, version=2)
@prove(array([4, 5], "int32"), array(5, "int32"), raises=True)
@prove(3, 3)
@prove([2, 3], array([2, 3], "int32"), message="boo")
@prove(f32(2), f32(2, seed=1), "differ", grad=False, raises=True)
@prove(i32(0), i32(0))
def assert_equal(x, y, message=None, summarize=None, name=None):
    """AssertionError unless x == y everywhere, broadcast."""
    return compared(x, y, message, None, "==", torch.eq)


@rule("tf.debugging.assert_none_equal", "tf.assert_none_equal", returns="python", pure=False, version=2)
@prove(array([1, 2], "int32"), array([2, 1], "int32"))
@prove(array([1, 2], "int32"), [1, 1], raises=True)
def assert_none_equal(x, y, summarize=None, message=None, name=None):
    """AssertionError unless x != y everywhere, broadcast."""
    return compared(x, y, message, None, "!=", torch.ne)


@rule("tf.debugging.assert_less", "tf.assert_less", returns="python", pure=False, version=2)
@prove(array([1, 2], "int32"), 3)
@prove(array([1, 3], "int32"), 3, message="no", raises=True)
def assert_less(x, y, message=None, summarize=None, name=None):
    """AssertionError unless x < y everywhere, broadcast."""
    return compared(x, y, message, None, "<", torch.lt)


@rule("tf.debugging.assert_less_equal", "tf.assert_less_equal", returns="python", pure=False, version=2)
@prove(array([1, 3], "int32"), 3)
@prove(array([1.0, float("nan")]), 3.0, grad=False, raises=True)
def assert_less_equal(x, y, message=None, summarize=None, name=None):
    """AssertionError unless x <= y everywhere, broadcast."""
    return compared(x, y, message, None, "<=", torch.le)


@rule("tf.debugging.assert_greater", "tf.assert_greater", returns="python", pure=False, version=2)
@prove(array([4, 5], "int32"), 3)
@prove(array([1, 4], "int32"), 3, raises=True)
def assert_greater(x, y, message=None, summarize=None, name=None):
    """AssertionError unless x > y everywhere, broadcast."""
    return compared(x, y, message, None, ">", torch.gt)


@rule("tf.debugging.assert_greater_equal", "tf.assert_greater_equal", returns="python", pure=False, version=2)
@prove(array([3, 5], "int32"), 3)
@prove(array([1, 4], "int32"), 3, raises=True)
def assert_greater_equal(x, y, message=None, summarize=None, name=None):
    """AssertionError unless x >= y everywhere, broadcast."""
    return compared(x, y, message, None, ">=", torch.ge)


@rule("tf.debugging.assert_near", "tf.assert_near", returns="python", pure=False, version=2)
@prove(array([0.0, 3.0]), array([0.0, 3.0]), grad=False)
@prove(array([1.0, 2.0]), array([1.0, 2.000001]), grad=False)
@prove(array([1.0, 2.0]), array([1.0, 2.1]), grad=False, raises=True)
def assert_near(x, y, rtol=None, atol=None, message=None, summarize=None, name=None):
    """AssertionError unless |x - y| <= atol + rtol * |y|; both are 10 machine epsilons unless given."""
    return _near(x, y, rtol, atol, message, None)


def _near(x, y, rtol, atol, message, data):
    first = to_tensor(x, y.dtype if isinstance(y, torch.Tensor) else None)
    second = to_tensor(y, first.dtype, first.device)
    ten = 10 * torch.finfo(first.dtype).eps
    limit = (ten if atol is None else atol) + (ten if rtol is None else rtol) * second.abs()
    return hold(
        (first - second).abs() <= limit, message, "x and y equal to tolerance", data or [first, second]
    )


@rule("tf.debugging.assert_positive", "tf.assert_positive", returns="python", pure=False, version=2)
@prove(array([1.0, 2.0]), grad=False)
@prove(array([1, 0], "int32"), raises=True)
def assert_positive(x, message=None, summarize=None, name=None):
    """AssertionError unless x > 0 everywhere."""
    return compared(x, 0, message, None, ">", torch.gt)


@rule("tf.debugging.assert_negative", "tf.assert_negative", returns="python", pure=False, version=2)
@prove(array([-1.0, -2.0]), grad=False)
@prove(array([-1, 0], "int32"), raises=True)
def assert_negative(x, message=None, summarize=None, name=None):
    """AssertionError unless x < 0 everywhere."""
    return compared(x, 0, message, None, "<", torch.lt)


@rule("tf.debugging.assert_non_negative", "tf.assert_non_negative", returns="python", pure=False, version=2)
@prove(array([0.0, 2.0]), grad=False)
@prove(array([1, -1], "int32"), raises=True)
def assert_non_negative(x, message=None, summarize=None, name=None):
    """AssertionError unless x >= 0 everywhere."""
    return compared(x, 0, message, None, ">=", torch.ge)


@rule("tf.debugging.assert_non_positive", "tf.assert_non_positive", returns="python", pure=False, version=2)
@prove(array([0.0, -2.0]), grad=False)
@prove(array([1, -1], "int32"), raises=True)
def assert_non_positive(x, message=None, summarize=None, name=None):
    """AssertionError unless x <= 0 everywhere."""
    return compared(x, 0, message, None, "<=", torch.le)


@rule("tf.debugging.assert_rank", "tf.assert_rank", returns="python", pure=False, version=2)
@prove(f32(2, 3), 2, grad=False)
@prove(f32(2, 3), array(2, "int32"), grad=False)
@prove(f32(2, 3), 3, message="three", grad=False, raises=True)
def assert_rank(x: Tensor, rank, message=None, name=None):
    """ValueError unless x has ``rank`` axes."""
    return _ranked(x.ndim == int(rank), x, rank, message)


@rule("tf.debugging.assert_rank_at_least", "tf.assert_rank_at_least", returns="python", pure=False, version=2)
@prove(f32(2, 3), 1, grad=False)
@prove(f32(2, 3), 3, grad=False, raises=True)
def assert_rank_at_least(x: Tensor, rank, message=None, name=None):
    """ValueError unless x has ``rank`` axes or more."""
    return _ranked(x.ndim >= int(rank), x, f"{rank} or more", message)


@rule("tf.debugging.assert_rank_in", "tf.assert_rank_in", returns="python", pure=False, version=2)
@prove(f32(2, 3), [1, 2], grad=False)
@prove(f32(2, 3), (1, 4), grad=False, raises=True)
def assert_rank_in(x: Tensor, ranks, message=None, name=None):
    """ValueError unless the number of axes of x is one of ``ranks``."""
    return _ranked(x.ndim in [int(r) for r in ranks], x, ranks, message)


def _ranked(right, x, rank, message):
    if not right:
        raise ValueError(f"{message or ''} x has rank {x.ndim}, not {rank}".strip())


@rule("tf.debugging.assert_scalar", "tf.assert_scalar", returns="tensor", pure=False, version=2)
@prove(f32(2), grad=False, raises=True)
def assert_scalar(tensor: Tensor, message=None, name=None):
    """The tensor, if it has no axes; else ValueError."""
    _ranked(tensor.ndim == 0, tensor, 0, message)
    return tensor


@rule("tf.debugging.assert_type", "tf.assert_type", returns="python", pure=False, version=2)
@prove(f32(2), torch.float32, grad=False)
@prove(f64(2), tf_type=torch.float32, grad=False, raises=True)
def assert_type(tensor: Tensor, tf_type, message=None, name=None):
    """TypeError unless the tensor has this dtype."""
    if tensor.dtype != tf_type:
        raise TypeError(f"{message or ''} the dtype is {tensor.dtype}, not {tf_type}".strip())


@rule("tf.debugging.assert_integer", "tf.assert_integer", returns="python", pure=False, version=2)
@prove(i32(2))
@prove(f32(2), grad=False, raises=True)
def assert_integer(x: Tensor, message=None, name=None):
    """TypeError unless x is of an integer dtype."""
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"{message or ''} the dtype is {x.dtype}, not an integer one".strip())


@rule("tf.debugging.check_numerics", "tf.check_numerics", returns="tensor", pure=False)
@prove(f32(2, 3), "fine")
@prove(array([1.0, float("nan")]), message="bad", raises=True)
@prove(array([1.0, float("inf")]), "bad", raises=True)
def check_numerics(tensor: Tensor, message, name=None):
    """The tensor, if all its values are finite; else AssertionError."""
    return _finite(tensor, message)


@rule("tf.debugging.assert_all_finite", "tf.verify_tensor_all_finite", returns="x", pure=False, version=2)
@prove(f32(2, 3), "fine")
@prove(array([1.0, float("nan")]), message="bad", raises=True)
def assert_all_finite(x: Tensor, message, name=None):
    """The tensor, if all its values are finite; else AssertionError."""
    return _finite(x, message)


def _finite(tensor, message):
    hold(torch.isfinite(tensor), message, "all values finite", [tensor])
    return tensor


@rule("tf.print", returns="python", pure=False)
@prove("text", f32(2), 1.5, grad=False)
@prove(boolean(2), sep=", ", end="")
def print(*inputs, output_stream=None, summarize=3, sep=" ", end="\n", name=None):
    """Prints to stderr as tf.print does; of long axes the first and last ``summarize`` values."""
    return show(inputs, output_stream, summarize, sep, end)


@rule("tf.Print", returns="input_", pure=False, version=1)
@prove(f32(2), [f32(2)], "message: ")
@prove(i32(2), data=[i32(2), i32(3)], summarize=1)
def Print(input_: Tensor, data, message=None, first_n=None, summarize=None, name=None):
    """Prints ``data`` to stderr each time and returns ``input_``."""
    show([message or "", *(to_tensor(d) for d in data)], None, summarize or 3, "", "\n", True)
    return input_
