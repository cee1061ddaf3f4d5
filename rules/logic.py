"""Comparison, logic and bits: ``tf.equal``, ``tf.logical_and``, ``tf.bitwise``."""

from __future__ import annotations

import torch

from tfport.rule import Tensor, array, boolean, f32, f64, i32, i64, prove, rule, u8

_NAN = array([float("nan"), 1.0, 2.0, float("inf")])
_ONES = array([float("nan"), 1.0, 1.0, float("inf")])


@rule("tf.equal", "tf.math.equal", returns="bool")
@prove(i32(3, 4), i32(4))
@prove(_NAN, _ONES)
@prove(f64(2, 1), f64(3))
@prove(f32(3), 0.0)
@prove(i64(9), 3)
@prove(0.5, f32(3))
def equal(x: Tensor, y: Tensor, name=None):
    """x == y, element by element; NaN equals nothing."""
    if isinstance(y, (int, float)) or isinstance(x, (int, float)):
        return x == y
    return x == y


@rule("tf.not_equal", "tf.math.not_equal", returns="bool")
@prove(i32(3, 4), i32(4))
@prove(_NAN, _ONES)
@prove(f64(2, 1), f64(3))
@prove(f32(3), 0.0)
@prove(i64(9), 3)
@prove(0.5, f32(3))
def not_equal(x: Tensor, y: Tensor, name=None):
    """x != y, element by element."""
    if isinstance(y, (int, float)) or isinstance(x, (int, float)):
        return x != y
    return x != y


@rule("tf.less", "tf.math.less", returns="bool")
@prove(i32(3, 4), i32(4))
@prove(_NAN, _ONES)
@prove(f64(2, 1), f64(3))
@prove(f32(3), 0.0)
@prove(i64(9), 3)
@prove(0.5, f32(3))
def less(x: Tensor, y: Tensor, name=None):
    """x < y, element by element."""
    if isinstance(y, (int, float)) or isinstance(x, (int, float)):
        return x < y
    return x < y


@rule("tf.less_equal", "tf.math.less_equal", returns="bool")
@prove(i32(3, 4), i32(4))
@prove(_NAN, _ONES)
@prove(f64(2, 1), f64(3))
@prove(f32(3), 0.0)
@prove(i64(9), 3)
@prove(0.5, f32(3))
def less_equal(x: Tensor, y: Tensor, name=None):
    """x <= y, element by element."""
    if isinstance(y, (int, float)) or isinstance(x, (int, float)):
        return x <= y
    return x <= y


@rule("tf.greater", "tf.math.greater", returns="bool")
@prove(i32(3, 4), i32(4))
@prove(_NAN, _ONES)
@prove(f64(2, 1), f64(3))
@prove(f32(3), 0.0)
@prove(i64(9), 3)
@prove(0.5, f32(3))
def greater(x: Tensor, y: Tensor, name=None):
    """x > y, element by element."""
    if isinstance(y, (int, float)) or isinstance(x, (int, float)):
        return x > y
    return x > y


@rule("tf.greater_equal", "tf.math.greater_equal", returns="bool")
@prove(i32(3, 4), i32(4))
@prove(_NAN, _ONES)
@prove(f64(2, 1), f64(3))
@prove(f32(3), 0.0)
@prove(i64(9), 3)
@prove(0.5, f32(3))
def greater_equal(x: Tensor, y: Tensor, name=None):
    """x >= y, element by element."""
    if isinstance(y, (int, float)) or isinstance(x, (int, float)):
        return x >= y
    return x >= y


@rule("tf.logical_and", "tf.math.logical_and", returns="bool")
@prove(boolean(3, 4), boolean(4))
@prove(boolean(3), boolean(3))
@prove(boolean(3), True)
def logical_and(x: Tensor, y: Tensor, name=None):
    """Both, element by element."""
    if isinstance(y, bool):
        return x & y
    return x & y


@rule("tf.logical_or", "tf.math.logical_or", returns="bool")
@prove(boolean(3, 4), boolean(4))
@prove(boolean(3), boolean(3))
@prove(boolean(3), True)
def logical_or(x: Tensor, y: Tensor, name=None):
    """Either, element by element."""
    if isinstance(y, bool):
        return x | y
    return x | y


@rule("tf.logical_xor", "tf.math.logical_xor", returns="bool")
@prove(boolean(3, 4), boolean(4))
@prove(boolean(3), boolean(3))
@prove(boolean(3), True)
def logical_xor(x: Tensor, y: Tensor, name="LogicalXor"):
    """One but not both, element by element."""
    if isinstance(y, bool):
        return x ^ y
    return x ^ y


@rule("tf.logical_not", "tf.math.logical_not", returns="bool")
@prove(boolean(3, 4))
@prove(boolean())
def logical_not(x: Tensor, name=None):
    """Negation, element by element; a Python bool, which ``~`` would turn into a number, is refused by torch."""
    return torch.logical_not(x)


@rule("tf.bitwise.bitwise_and", returns="x")
@prove(i32(3, 4), i32(4))
@prove(u8(4), u8(4))
@prove(i64(3), 5)
def bitwise_and(x: Tensor, y: Tensor, name=None):
    """x & y, bit by bit."""
    if isinstance(y, int):
        return x & y
    return x & y


@rule("tf.bitwise.bitwise_or", returns="x")
@prove(i32(3, 4), i32(4))
@prove(u8(4), u8(4))
@prove(i64(3), 5)
def bitwise_or(x: Tensor, y: Tensor, name=None):
    """x | y, bit by bit."""
    if isinstance(y, int):
        return x | y
    return x | y


@rule("tf.bitwise.bitwise_xor", returns="x")
@prove(i32(3, 4), i32(4))
@prove(u8(4), u8(4))
@prove(i64(3), 5)
def bitwise_xor(x: Tensor, y: Tensor, name=None):
    """x ^ y, bit by bit."""
    if isinstance(y, int):
        return x ^ y
    return x ^ y


@rule("tf.bitwise.left_shift", returns="x")
@prove(i32(3, 4), i32(4, low=0, high=8))
@prove(u8(4), u8(4, low=0, high=7))
@prove(i64(3), 2)
def left_shift(x: Tensor, y: Tensor, name=None):
    """Bits moved up by y places; y beyond the width is undefined."""
    if isinstance(y, int):
        return x << y
    return x << y


@rule("tf.bitwise.right_shift", returns="x")
@prove(i32(3, 4), i32(4, low=0, high=8))
@prove(u8(4), u8(4, low=0, high=7))
@prove(i64(3), 2)
def right_shift(x: Tensor, y: Tensor, name=None):
    """Bits moved down by y places; the sign is kept."""
    if isinstance(y, int):
        return x >> y
    return x >> y


@rule("tf.bitwise.invert", returns="x")
@prove(i32(3, 4))
@prove(u8(4))
def invert(x: Tensor, name=None):
    """Every bit flipped."""
    return torch.bitwise_not(x)
