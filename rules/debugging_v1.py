"""TensorFlow 1's assertions: ``data`` stands before ``message``."""

from __future__ import annotations

import torch

from tfport.compat.checks import compared
from tfport.rule import Tensor, array, prove, rule


@rule("tf.compat.v1.assert_equal", "tf.assert_equal", "tf.debugging.assert_equal",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([3, 3], "int32"), 3)
@prove(array([3, 3], "int32"), 3, data=["shown"], message="no")
@prove(array([3, 4], "int32"), 3, message="no", raises=True)
def assert_equal(x, y, data=None, summarize=None, message=None, name=None):
    """AssertionError unless x == y everywhere, broadcast."""
    return compared(x, y, message, data, "==", torch.eq)


@rule("tf.compat.v1.assert_none_equal", "tf.assert_none_equal", "tf.debugging.assert_none_equal",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([1, 2], "int32"), 3)
@prove(array([1, 2], "int32"), 3, data=["shown"], message="no")
@prove(array([3, 4], "int32"), 3, message="no", raises=True)
def assert_none_equal(x, y, data=None, summarize=None, message=None, name=None):
    """AssertionError unless x != y everywhere, broadcast."""
    return compared(x, y, message, data, "!=", torch.ne)


@rule("tf.compat.v1.assert_less", "tf.assert_less", "tf.debugging.assert_less",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([1, 2], "int32"), 3)
@prove(array([1, 2], "int32"), 3, data=["shown"], message="no")
@prove(array([3, 4], "int32"), 3, message="no", raises=True)
def assert_less(x, y, data=None, summarize=None, message=None, name=None):
    """AssertionError unless x < y everywhere, broadcast."""
    return compared(x, y, message, data, "<", torch.lt)


@rule("tf.compat.v1.assert_less_equal", "tf.assert_less_equal", "tf.debugging.assert_less_equal",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([1, 3], "int32"), 3)
@prove(array([1, 3], "int32"), 3, data=["shown"], message="no")
@prove(array([3, 4], "int32"), 3, message="no", raises=True)
def assert_less_equal(x, y, data=None, summarize=None, message=None, name=None):
    """AssertionError unless x <= y everywhere, broadcast."""
    return compared(x, y, message, data, "<=", torch.le)


@rule("tf.compat.v1.assert_greater", "tf.assert_greater", "tf.debugging.assert_greater",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([4, 5], "int32"), 3)
@prove(array([4, 5], "int32"), 3, data=["shown"], message="no")
@prove(array([3, 4], "int32"), 3, message="no", raises=True)
def assert_greater(x, y, data=None, summarize=None, message=None, name=None):
    """AssertionError unless x > y everywhere, broadcast."""
    return compared(x, y, message, data, ">", torch.gt)


@rule("tf.compat.v1.assert_greater_equal", "tf.assert_greater_equal", "tf.debugging.assert_greater_equal",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([3, 5], "int32"), 3)
@prove(array([3, 5], "int32"), 3, data=["shown"], message="no")
@prove(array([2, 4], "int32"), 3, message="no", raises=True)
def assert_greater_equal(x, y, data=None, summarize=None, message=None, name=None):
    """AssertionError unless x >= y everywhere, broadcast."""
    return compared(x, y, message, data, ">=", torch.ge)


@rule("tf.compat.v1.assert_positive", "tf.assert_positive", "tf.debugging.assert_positive",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([1, 2], "int32"))
@prove(array([1, 0], "int32"), message="no", raises=True)
def assert_positive(x, data=None, summarize=None, message=None, name=None):
    """AssertionError unless x > 0 everywhere."""
    return compared(x, 0, message, data, ">", torch.gt)


@rule("tf.compat.v1.assert_negative", "tf.assert_negative", "tf.debugging.assert_negative",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([-1, -2], "int32"))
@prove(array([-1, 0], "int32"), message="no", raises=True)
def assert_negative(x, data=None, summarize=None, message=None, name=None):
    """AssertionError unless x < 0 everywhere."""
    return compared(x, 0, message, data, "<", torch.lt)


@rule("tf.compat.v1.assert_non_negative", "tf.assert_non_negative", "tf.debugging.assert_non_negative",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([0, 2], "int32"))
@prove(array([1, -1], "int32"), message="no", raises=True)
def assert_non_negative(x, data=None, summarize=None, message=None, name=None):
    """AssertionError unless x >= 0 everywhere."""
    return compared(x, 0, message, data, ">=", torch.ge)


@rule("tf.compat.v1.assert_non_positive", "tf.assert_non_positive", "tf.debugging.assert_non_positive",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([0, -2], "int32"))
@prove(array([1, -1], "int32"), message="no", raises=True)
def assert_non_positive(x, data=None, summarize=None, message=None, name=None):
    """AssertionError unless x <= 0 everywhere."""
    return compared(x, 0, message, data, "<=", torch.le)


@rule("tf.compat.v1.assert_rank", "tf.assert_rank", "tf.debugging.assert_rank",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([1, 2], "int32"), 1)
@prove(array([1, 2], "int32"), 2, message="two", raises=True)
def assert_rank(x: Tensor, rank, data=None, summarize=None, message=None, name=None):
    """ValueError unless x has ``rank`` axes."""
    if not x.ndim == int(rank):
        raise ValueError(f"{message or ''} x has rank {x.ndim}, not {rank}".strip())


@rule("tf.compat.v1.assert_rank_at_least", "tf.assert_rank_at_least", "tf.debugging.assert_rank_at_least",
      returns="python", pure=False,
      version=1)  # fmt: skip
@prove(array([1, 2], "int32"), 1)
@prove(array([1, 2], "int32"), 2, message="two", raises=True)
def assert_rank_at_least(x: Tensor, rank, data=None, summarize=None, message=None, name=None):
    """ValueError unless x has ``rank`` axes or more."""
    if not x.ndim >= int(rank):
        raise ValueError(f"{message or ''} x has rank {x.ndim}, not {rank} or more".strip())
