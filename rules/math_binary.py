"""Elementwise mathematics of two tensors: ``tf.add``, ``tf.maximum``, ``tf.pow``, clipping."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.rule import Tensor, Tensors, array, c64, f32, f64, i8, i32, i64, prove, rule, u8

# A Python number beside a tensor stays a number; `isinstance` tells the converter so.


@rule("tf.add", "tf.math.add", returns="x")
@prove(f32(2, 3), f32(2, 3))
@prove(f32(2, 3), f32(3))
@prove(i32(2, 1), i32(3))
@prove(f32(2, 3), 1.5)
@prove(2, i32(3))
@prove(c64(2), c64(2))
def add(x: Tensor, y: Tensor, name=None):
    """x + y."""
    if isinstance(y, (int, float)) or isinstance(x, (int, float)):
        return x + y
    return x + y


@rule("tf.subtract", "tf.math.subtract", "tf.sub", returns="x")
@prove(f32(2, 3), f32(2, 3))
@prove(f64(2, 1), f64(3))
@prove(i32(2, 1), i32(3))
@prove(f32(2, 3), 1.5)
@prove(1.0, f32(3))
@prove(u8(3), u8(3))
def subtract(x: Tensor, y: Tensor, name=None):
    """x - y."""
    if isinstance(y, (int, float)) or isinstance(x, (int, float)):
        return x - y
    return x - y


@rule("tf.multiply", "tf.math.multiply", "tf.mul", returns="x")
@prove(f32(2, 3), f32(2, 3))
@prove(f64(2, 1), f64(3))
@prove(i32(2, 1), i32(3))
@prove(f32(2, 3), 1.5)
@prove(0.5, f32(3))
@prove(i8(3, low=-128, high=127), i8(3, low=-128, high=127))
def multiply(x: Tensor, y: Tensor, name=None):
    """x * y, element by element."""
    if isinstance(y, (int, float)) or isinstance(x, (int, float)):
        return x * y
    return x * y


@rule("tf.math.scalar_mul", "tf.scalar_mul", returns="x")
@prove(2.0, f32(3))
@prove(f32(), f32(2, 3))
@prove(3, i32(3))
def scalar_mul(scalar: Tensor, x: Tensor, name=None):
    """scalar * x."""
    if isinstance(scalar, (int, float)):
        return scalar * x
    return scalar * x


@rule("tf.divide", "tf.math.divide", "tf.truediv", "tf.math.truediv")
@prove(f32(2, 3), f32(2, 3))
@prove(f32(2, 3), 4.0)
@prove(1.0, f32(3))
@prove(array([1.0, -1.0, 0.0]), array([0.0, 0.0, 0.0]), grad=False)
@prove(i32(2, 3), array([2, 3, -4], "int32"))
@prove(i8(3), array([2, 3, -4], "int8"))
@prove(i64(3), array([2, 3, -4], "int64"))
@prove(f64(2, 1), f64(3))
def divide(x: Tensor, y: Tensor, name=None):
    """x / y; int32 and int64 become float64 in TensorFlow, small integers float32."""
    if isinstance(x, (int, float)) and y.is_floating_point():
        return x / y
    if isinstance(y, (int, float)) and x.is_floating_point():
        return x / y
    if x.is_floating_point():
        return x / y
    return _true_divide(x, y)


def _true_divide(x, y):
    if x.is_floating_point() or x.is_complex():
        return x / y
    kind = torch.float64 if x.dtype in (torch.int32, torch.int64) else torch.float32
    return x.to(kind) / y.to(kind)


@rule("tf.compat.v1.div", "tf.div", version=1, returns="x")
@prove(f32(2, 3), f32(2, 3))
@prove(f32(2, 3), 4.0)
@prove(array([7, -7, 5], "int32"), array([2, 2, -3], "int32"))
@prove(array([7, -7, 5], "int32"), 2)
@prove(1.0, f32(3))
def div(x: Tensor, y: Tensor, name=None):
    """x / y as in Python 2: the quotient of integers is floored."""
    if isinstance(x, (int, float)) and y.is_floating_point():
        return x / y
    if isinstance(y, (int, float)) and x.is_floating_point():
        return x / y
    if x.is_floating_point():
        return x / y
    return torch.div(x, y, rounding_mode="floor")


@rule("tf.math.floordiv", "tf.floordiv", "tf.floor_div", returns="x")
@prove(array([7, -7, 5], "int32"), array([2, 2, -3], "int32"))
@prove(array([7, -7, 5], "int64"), 2)
@prove(array([7.0, -7.0, 1.0, 1.0, float("inf")]), array([2.0, 2.0, 0.1, 0.0, 2.0]), grad=False)
@prove(f32(2, 3), 0.3)
def floordiv(x: Tensor, y: Tensor, name=None):
    """floor(x / y). torch's ``//`` of floats takes the remainder first and gives 9 for 1.0 // 0.1, TensorFlow 10."""
    if isinstance(y, (int, float)) and x.is_floating_point():
        return torch.floor(x / y)
    if isinstance(y, (int, float)):
        return torch.div(x, y, rounding_mode="floor")
    if x.is_floating_point():
        return torch.floor(x / y)
    return torch.div(x, y, rounding_mode="floor")


@rule("tf.math.floormod", "tf.math.mod", "tf.mod", "tf.floormod", returns="x")
@prove(array([7, -7, 7], "int32"), array([3, 3, -3], "int32"))
@prove(array([7, -7, 7], "int64"), 4)
@prove(array([7.5, -7.5, 7.0, -1.0]), array([3.0, 3.0, -3.0, 5.0]))
@prove(array([1.0, float("inf"), -1.0]), array([0.0, 2.0, float("inf")]), grad=False)
@prove(f64(2, 3), 0.3)
def floormod(x: Tensor, y: Tensor, name=None):
    """Remainder with the sign of y, as Python's %."""
    if isinstance(y, (int, float)):
        return torch.remainder(x, y)
    return torch.remainder(x, y)


@rule("tf.truncatediv", returns="x")
@prove(array([7, -7, 5], "int32"), array([2, 2, -3], "int32"))
def truncatediv(x: Tensor, y: Tensor, name=None):
    """Quotient of integers, cut towards 0."""
    return torch.div(x, y, rounding_mode="trunc")


@rule("tf.truncatemod", returns="x")
@prove(array([7, -7, 5], "int32"), array([2, 2, -3], "int32"))
@prove(array([7.5, -7.5]), array([2.0, 2.0]), grad=False)
def truncatemod(x: Tensor, y: Tensor, name=None):
    """Remainder with the sign of x, as C's %."""
    return torch.fmod(x, y)


@rule("tf.pow", "tf.math.pow", returns="x")
@prove(f32(2, 3, low=0.5, high=2.0), f32(3))
@prove(f32(2, 3), 2)
@prove(f32(2, 3), 2.0)
@prove(f32(4, low=0.1, high=4.0), 0.5)
@prove(2.0, f32(3))
@prove(i32(3), 2)
@prove(f64(2, 3, low=0.5, high=2.0), f64(2, 3))
@prove(array([0.0, 0.0, -2.0, -2.0]), array([0.0, -1.0, 3.0, 0.5]), grad=False)
def pow(x: Tensor, y: Tensor, name=None):
    """x to the power y. For x < 0 TensorFlow's gradient with respect to y is 0, torch's NaN."""
    if isinstance(y, (int, float)):
        return x**y
    if isinstance(x, (int, float)):
        return x**y
    return x**y


@rule("tf.maximum", "tf.math.maximum", returns="x")
@prove(f32(2, 3), f32(3))
@prove(array([0.0, 1.0, 2.0]), array([0.0, 2.0, 1.0]))
@prove(array([float("nan"), 1.0, 2.0]), array([1.0, float("nan"), 1.0]), grad=False)
@prove(array([0.0, -1.0, 2.0]), 0.0)
@prove(0.0, array([0.0, -1.0, 2.0]))
@prove(0.0, array([float("nan"), 1.0]), grad=False)
@prove(1.0, array([1.0, -1.0, 2.0]))
@prove(f32(3), f32(2, 3))
@prove(f32(), f32(2, 3))
@prove(i32(2, 1), i32(3))
@prove(i32(5), 2)
@prove(f64(2, 3), f64(2, 3))
def maximum(x: Tensor, y: Tensor, name=None):
    """The larger. At a tie TensorFlow's gradient goes to x; torch.maximum halves it, torch.clamp does as TensorFlow."""
    if isinstance(x, (int, float)):
        if x == 0:
            return F.relu(y)
        return _larger(x, y)
    if isinstance(y, (int, float)):
        return torch.clamp(x, min=y)
    return torch.clamp(x, min=y)


def _larger(x, y):
    return torch.clamp(x, min=y)


@rule("tf.minimum", "tf.math.minimum", returns="x")
@prove(f32(2, 3), f32(3))
@prove(array([0.0, 1.0, 2.0]), array([0.0, 2.0, 1.0]))
@prove(array([float("nan"), 1.0, 2.0]), array([1.0, float("nan"), 1.0]), grad=False)
@prove(array([0.0, -1.0, 2.0]), 0.0)
@prove(1.0, array([1.0, -1.0, 2.0]))
@prove(f32(3), f32(2, 3))
@prove(i32(2, 1), i32(3))
@prove(i32(5), 2)
def minimum(x: Tensor, y: Tensor, name=None):
    """The smaller. At a tie TensorFlow's gradient goes to x; torch.minimum halves it, torch.clamp does as TensorFlow."""
    if isinstance(y, (int, float)):
        return torch.clamp(x, max=y)
    return torch.clamp(x, max=y)


@rule("tf.clip_by_value", returns="t")
@prove(f32(2, 3), -0.5, 0.5)
@prove(array([0.0, 1.0, 2.0, 3.0, -1.0, float("nan")]), clip_value_min=0.0, clip_value_max=2.0)
@prove(f32(2, 3), 0, 1)
@prove(i32(2, 3), -2, 3)
@prove(f32(2, 3), array([-0.5, 0.0, 0.1]), array([0.0, 0.1, 0.2]))
@prove(f32(2, 3), -0.5, f32(3, low=0.0, high=1.0))
@prove(f32(2, 3), 1e-10, float("inf"))
@prove(f64(2, 3), -0.5, 0.5)
def clip_by_value(t: Tensor, clip_value_min: Tensor, clip_value_max: Tensor, name=None):
    """Every value moved into [min, max]; the gradient passes where it was inside, ends included."""
    if isinstance(clip_value_min, (int, float)) != isinstance(clip_value_max, (int, float)):
        return _clip(t, clip_value_min, clip_value_max)
    if isinstance(clip_value_min, (int, float)) and isinstance(clip_value_max, (int, float)):
        return torch.clamp(t, clip_value_min, clip_value_max)
    return torch.clamp(t, clip_value_min, clip_value_max)


def _clip(t, low, high):
    return torch.clamp(t, low, high)


@rule("tf.math.squared_difference", "tf.squared_difference", returns="x")
@prove(f32(2, 3), f32(3))
@prove(i32(2, 3), i32(3))
@prove(f64(2, 3), 1.0)
def squared_difference(x: Tensor, y: Tensor, name=None):
    """(x - y) squared."""
    if isinstance(y, (int, float)):
        return torch.square(x - y)
    return torch.square(x - y)


@rule("tf.math.divide_no_nan", "tf.compat.v1.div_no_nan", "tf.div_no_nan")
@prove(array([1.0, float("nan"), float("inf"), 0.0, 3.0]), array([0.0, 0.0, 0.0, 0.0, 2.0]), grad=False)
@prove(array([1.0, 2.0]), array([0.0, 4.0]))
@prove(f32(2, 3), f32(3))
@prove(array([1, 3], "int32"), array([0, 2], "int32"))
@prove(f32(2), 0.0)
def divide_no_nan(x: Tensor, y: Tensor, name=None):
    """x / y, and 0 where y is 0, with gradient 0 there."""
    return _divide_no_nan(x, y)


def _divide_no_nan(x, y):
    zero = y == 0
    return torch.where(zero, 0, _true_divide(torch.where(zero, 0, x), torch.where(zero, 1, y)))


@rule("tf.math.multiply_no_nan", returns="x")
@prove(array([float("inf"), 2.0, float("nan")]), array([0.0, 4.0, 0.0]), grad=False)
@prove(f32(2, 3), f32(3))
def multiply_no_nan(x: Tensor, y: Tensor, name=None):
    """x * y, and 0 where y is 0, whatever x is."""
    return _multiply_no_nan(x, y)


def _multiply_no_nan(x, y):
    zero = y == 0
    return torch.where(zero, x.detach().nan_to_num(0.0, 0.0, 0.0) * y, x * y)


@rule("tf.math.xlogy", returns="x")
@prove(array([0.0, 0.0, 1.0]), array([0.0, 1.0, 2.0]))
@prove(f64(2, 3), f64(2, 3, low=0.1, high=3.0))
def xlogy(x: Tensor, y: Tensor, name=None):
    """x * log(y), and 0 where x is 0, with gradient 0 there; torch.xlogy has gradient NaN at (0, 0)."""
    return _where_not_zero(x, torch.log, y)


def _where_not_zero(x, function, y):
    zero = x == 0
    return torch.where(zero, 0, x * function(torch.where(zero, 1, y)))


@rule("tf.math.xlog1py", returns="x")
@prove(array([0.0, 0.0, 1.0]), array([0.0, 1.0, 2.0]))
@prove(f64(2, 3), f64(2, 3, low=0.1, high=3.0))
def xlog1py(x: Tensor, y: Tensor, name=None):
    """x * log(1 + y), and 0 where x is 0."""
    return _where_not_zero(x, torch.log1p, y)


@rule("tf.math.xdivy", returns="x")
@prove(array([0.0, 0.0, 1.0]), array([0.0, 1.0, 2.0]))
@prove(f64(2, 3), f64(2, 3, low=0.1, high=3.0))
def xdivy(x: Tensor, y: Tensor, name=None):
    """x / y, and 0 where x is 0, with gradient 0 there."""
    return _xdivy(x, y)


def _xdivy(x, y):
    zero = x == 0
    return torch.where(zero, 0, x / torch.where(zero, 1, y))


@rule("tf.math.atan2", "tf.atan2", returns="y")
@prove(f32(2, 3), f32(3))
@prove(f64(2, 3), f64(2, 3))
@prove(array([0.0, -0.0, 1.0, 0.0]), array([0.0, -1.0, 0.0, -1.0]), grad=False)
def atan2(y: Tensor, x: Tensor, name=None):
    """Angle of the point (x, y), in (-pi, pi]."""
    return torch.atan2(y, x)


@rule("tf.complex", "tf.dtypes.complex")
@prove(f32(2, 3), f32(2, 3))
@prove(f64(2), f64(2))
def complex(real: Tensor, imag: Tensor, name=None):
    """real + i * imag; float64 parts make complex128."""
    return torch.complex(real, imag)


@rule("tf.math.igamma", "tf.igamma", returns="x")
@prove(f32(2, 3, low=0.5, high=4.0), f32(2, 3, low=0.5, high=4.0), grad=False)
def igamma(a: Tensor, x: Tensor, name=None):
    """Lower regularised incomplete gamma function; torch has no gradient with respect to a."""
    return torch.special.gammainc(a, x)


@rule("tf.math.igammac", "tf.igammac", returns="x")
@prove(f32(2, 3, low=0.5, high=4.0), f32(2, 3, low=0.5, high=4.0), grad=False)
def igammac(a: Tensor, x: Tensor, name=None):
    """Upper regularised incomplete gamma function; torch has no gradient with respect to a."""
    return torch.special.gammaincc(a, x)


@rule("tf.math.zeta", "tf.zeta", returns="x")
@prove(f32(2, 3, low=1.5, high=4.0), f32(2, 3, low=0.5, high=4.0), grad=False)
def zeta(x: Tensor, q: Tensor, name=None):
    """Hurwitz zeta function."""
    return torch.special.zeta(x, q)


@rule("tf.math.nextafter", returns="x1")
@prove(f32(3), f32(3), grad=False, rtol=0.0)
@prove(f64(3), f64(3), grad=False, rtol=0.0)
def nextafter(x1: Tensor, x2: Tensor, name=None):
    """The next number after x1 towards x2."""
    return torch.nextafter(x1, x2)


@rule("tf.add_n", "tf.math.add_n", returns="inputs")
@prove([f32(2, 3), f32(2, 3), f32(2, 3)])
@prove([i32(3)])
@prove([f32(), f32()])
def add_n(inputs: Tensors, name=None):
    """The sum of a list of tensors."""
    return sum(inputs)


@rule("tf.math.accumulate_n", "tf.accumulate_n")
@prove([f32(2, 3), f32(2, 3)])
@prove([f32(2), f32(2)], [2])
def accumulate_n(inputs: Tensors, shape=None, tensor_dtype=None, name=None):
    """The sum of a list of tensors."""
    return sum(inputs)


@rule("tf.math.polyval")
@prove([f32(3), f32(3), f32()], f32(3))
@prove([2.0, 0.0, -1.0], f32(3))
def polyval(coeffs: Tensors, x: Tensor, name=None):
    """The polynomial with these coefficients, highest power first (Horner)."""
    return _polyval(coeffs, x)


def _polyval(coeffs, x):
    total = torch.zeros_like(x)
    for coefficient in coeffs:
        total = coefficient + total * x
    return total
