"""Elementwise mathematics of one tensor: ``tf.exp``, ``tf.sqrt``, ``tf.sign`` and their kin."""

from __future__ import annotations

import torch

from tfport.rule import Float, Tensor, array, bf16, c64, f16, f32, f64, i8, i32, i64, prove, rule

_EDGES = array([float("nan"), float("inf"), float("-inf"), -0.0, 1e-30, -2.5, -0.5, 0.5, 1.5, 2.5])


@rule("tf.abs", "tf.math.abs", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
@prove(array([0.0, -1.0, 2.0]))
@prove(i32(2, 3))
@prove(i8(4, low=-128, high=0))
@prove(c64(2, 3))
def abs(x: Tensor, name=None):
    """Absolute value; of complex numbers the modulus. The gradient at 0 is 0 in both."""
    return torch.abs(x)


@rule("tf.square", "tf.math.square", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
@prove(i32(2, 3))
@prove(c64(2))
def square(x: Tensor, name=None):
    """x squared; integers keep their dtype."""
    return torch.square(x)


@rule("tf.sqrt", "tf.math.sqrt", returns="x")
@prove(f32(2, 3, low=0.1, high=5.0))
@prove(f64(5, low=0.1, high=5.0))
@prove(_EDGES, grad=False)
@prove(array([0.0, 4.0]))
@prove(f16(3, low=0.5, high=4.0))
def sqrt(x: Tensor, name=None):
    """Square root; NaN below 0, gradient infinite at 0."""
    return torch.sqrt(x)


@rule("tf.math.rsqrt", "tf.rsqrt", returns="x")
@prove(f32(2, 3, low=0.1, high=5.0))
@prove(f64(5, low=0.1, high=5.0))
@prove(array([0.0, -1.0]), grad=False)
def rsqrt(x: Tensor, name=None):
    """1 / sqrt(x)."""
    return torch.rsqrt(x)


@rule("tf.exp", "tf.math.exp", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
@prove(bf16(3))
@prove(c64(3))
def exp(x: Tensor, name=None):
    """e to the x."""
    return torch.exp(x)


@rule("tf.math.expm1", "tf.expm1", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
@prove(array([1e-7, -1e-7]))
def expm1(x: Tensor, name=None):
    """exp(x) - 1, precise near 0."""
    return torch.expm1(x)


@rule("tf.math.log", "tf.log", returns="x")
@prove(f32(2, 3, low=0.1, high=5.0))
@prove(f64(5, low=0.1, high=5.0))
@prove(_EDGES, grad=False)
@prove(array([0.0, -1.0]), grad=False)
def log(x: Tensor, name=None):
    """Natural logarithm; -inf at 0, NaN below."""
    return torch.log(x)


@rule("tf.math.log1p", "tf.log1p", returns="x")
@prove(f32(2, 3, low=0.1, high=5.0))
@prove(f64(5, low=0.1, high=5.0))
@prove(_EDGES, grad=False)
@prove(array([1e-7, -1.0, -2.0]), grad=False)
def log1p(x: Tensor, name=None):
    """log(1 + x), precise near 0."""
    return torch.log1p(x)


@rule("tf.negative", "tf.math.negative", "tf.neg", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
@prove(i32(2, 3))
@prove(i64(3))
def negative(x: Tensor, name=None):
    """Minus x."""
    return -x


@rule("tf.sign", "tf.math.sign", returns="x")
@prove(f32(2, 3))
@prove(_EDGES)
@prove(array([0.0, -0.0, float("nan")], "float64"))
@prove(i32(2, 3))
@prove(i64(3))
@prove(c64(2, 3))
@prove(array([0.0], "complex64"))
def sign(x: Float, name=None):
    """-1, 0 or 1; NaN stays NaN in TensorFlow and becomes 0 in torch. Of complex numbers x / abs(x)."""
    if x.dtype in (torch.int8, torch.int16, torch.int32, torch.int64):
        return torch.sign(x)
    if x.is_floating_point():
        return torch.where(torch.isnan(x), x.detach(), torch.sign(x))
    return torch.sgn(x)


@rule("tf.round", "tf.math.round", returns="x")
@prove(f32(2, 3))
@prove(_EDGES)
@prove(f64(4, low=-9.0, high=9.0))
@prove(i32(2, 3))
def round(x: Tensor, name=None):
    """Halves go to the even neighbour in both; integers stay."""
    return torch.round(x)


@rule("tf.math.rint", "tf.rint", returns="x")
@prove(f32(2, 3))
@prove(_EDGES)
def rint(x: Tensor, name=None):
    """Nearest integer, halves to the even one."""
    return torch.round(x)


@rule("tf.floor", "tf.math.floor", returns="x")
@prove(f32(2, 3))
@prove(_EDGES)
@prove(f64(4, low=-9.0, high=9.0))
def floor(x: Tensor, name=None):
    """Largest integer not above x."""
    return torch.floor(x)


@rule("tf.math.ceil", "tf.ceil", returns="x")
@prove(f32(2, 3))
@prove(_EDGES)
@prove(f64(4, low=-9.0, high=9.0))
def ceil(x: Tensor, name=None):
    """Smallest integer not below x."""
    return torch.ceil(x)


@rule("tf.sin", "tf.math.sin", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
def sin(x: Tensor, name=None):
    """Sine."""
    return torch.sin(x)


@rule("tf.cos", "tf.math.cos", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
def cos(x: Tensor, name=None):
    """Cosine."""
    return torch.cos(x)


@rule("tf.tan", "tf.math.tan", returns="x")
@prove(f32(2, 3, low=-1.0, high=1.0))
@prove(f64(4, low=-1.0, high=1.0))
def tan(x: Tensor, name=None):
    """Tangent."""
    return torch.tan(x)


@rule("tf.asin", "tf.math.asin", returns="x")
@prove(f32(2, 3, low=-0.9, high=0.9))
@prove(f64(4, low=-0.9, high=0.9))
@prove(_EDGES, grad=False)
def asin(x: Tensor, name=None):
    """Arc sine; NaN outside [-1, 1]."""
    return torch.asin(x)


@rule("tf.acos", "tf.math.acos", returns="x")
@prove(f32(2, 3, low=-0.9, high=0.9))
@prove(f64(4, low=-0.9, high=0.9))
@prove(_EDGES, grad=False)
def acos(x: Tensor, name=None):
    """Arc cosine; NaN outside [-1, 1]."""
    return torch.acos(x)


@rule("tf.atan", "tf.math.atan", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
def atan(x: Tensor, name=None):
    """Arc tangent."""
    return torch.atan(x)


@rule("tf.sinh", "tf.math.sinh", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
def sinh(x: Tensor, name=None):
    """Hyperbolic sine."""
    return torch.sinh(x)


@rule("tf.cosh", "tf.math.cosh", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
def cosh(x: Tensor, name=None):
    """Hyperbolic cosine."""
    return torch.cosh(x)


@rule("tf.asinh", "tf.math.asinh", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
def asinh(x: Tensor, name=None):
    """Inverse hyperbolic sine."""
    return torch.asinh(x)


@rule("tf.acosh", "tf.math.acosh", returns="x")
@prove(f32(2, 3, low=1.1, high=9.0))
@prove(f64(4, low=1.1, high=9.0))
@prove(_EDGES, grad=False)
def acosh(x: Tensor, name=None):
    """Inverse hyperbolic cosine; NaN below 1."""
    return torch.acosh(x)


@rule("tf.atanh", "tf.math.atanh", returns="x")
@prove(f32(2, 3, low=-0.9, high=0.9))
@prove(f64(4, low=-0.9, high=0.9))
@prove(_EDGES, grad=False)
def atanh(x: Tensor, name=None):
    """Inverse hyperbolic tangent; infinite at -1 and 1."""
    return torch.atanh(x)


@rule("tf.math.erf", "tf.erf", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
def erf(x: Tensor, name=None):
    """Error function."""
    return torch.erf(x)


@rule("tf.math.erfc", "tf.erfc", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
def erfc(x: Tensor, name=None):
    """1 - erf(x)."""
    return torch.erfc(x)


@rule("tf.math.erfinv", returns="x")
@prove(f32(2, 3, low=-0.9, high=0.9))
@prove(f64(4, low=-0.9, high=0.9))
@prove(array([1.0, -1.0, 2.0]), grad=False)
def erfinv(x: Tensor, name=None):
    """Inverse of erf; infinite at -1 and 1, NaN outside."""
    return torch.erfinv(x)


@rule("tf.math.erfcinv", returns="x")
@prove(f32(2, 3, low=0.1, high=1.9))
@prove(f64(4, low=0.1, high=1.9))
def erfcinv(x: Tensor, name=None):
    """Inverse of erfc."""
    return torch.erfinv(1 - x)


@rule("tf.math.ndtri", returns="x")
@prove(f32(2, 3, low=0.1, high=0.9))
@prove(f64(4, low=0.1, high=0.9), rtol=1e-11)
def ndtri(x: Tensor, name=None):
    """Quantile of the normal distribution."""
    return torch.special.ndtri(x)


@rule("tf.math.lgamma", "tf.lgamma", returns="x")
@prove(f32(2, 3, low=0.1, high=5.0))
@prove(f64(5, low=0.1, high=5.0))
@prove(array([0.0, -1.0, -1.5, float("nan")]), grad=False)
def lgamma(x: Tensor, name=None):
    """Logarithm of the absolute value of the gamma function; infinite at 0, -1, -2 ..."""
    return torch.lgamma(x)


@rule("tf.math.digamma", "tf.digamma", returns="x")
@prove(f32(2, 3, low=0.1, high=5.0))
@prove(f64(5, low=0.1, high=5.0), rtol=1e-9)
@prove(array([-1.5, float("nan")]), grad=False)
def digamma(x: Tensor, name=None):
    """Derivative of lgamma. At 0 TensorFlow gives NaN and torch -inf."""
    return torch.digamma(x)


@rule("tf.math.bessel_i0", "tf.math.special.bessel_i0", returns="x")
@prove(f32(2, 3))
@prove(f64(4), rtol=1e-11)
def bessel_i0(x: Tensor, name=None):
    """Modified Bessel function of the first kind, order 0."""
    return torch.special.i0(x)


@rule("tf.math.bessel_i0e", "tf.math.special.bessel_i0e", returns="x")
@prove(f32(2, 3))
@prove(f64(4), rtol=1e-11)
def bessel_i0e(x: Tensor, name=None):
    """Modified Bessel function of the first kind, order 0, scaled by exp(-abs(x))."""
    return torch.special.i0e(x)


@rule("tf.math.bessel_i1", "tf.math.special.bessel_i1", returns="x")
@prove(f32(2, 3))
@prove(f64(4), rtol=1e-11)
def bessel_i1(x: Tensor, name=None):
    """Modified Bessel function of the first kind, order 1."""
    return torch.special.i1(x)


@rule("tf.math.bessel_i1e", "tf.math.special.bessel_i1e", returns="x")
@prove(f32(2, 3))
@prove(f64(4), rtol=1e-11)
def bessel_i1e(x: Tensor, name=None):
    """Modified Bessel function of the first kind, order 1, scaled by exp(-abs(x))."""
    return torch.special.i1e(x)


@rule("tf.math.reciprocal", "tf.reciprocal", returns="x")
@prove(f32(2, 3))
@prove(f64(3))
@prove(array([0.0, -0.0, float("inf")]), grad=False)
def reciprocal(x: Tensor, name=None):
    """1 / x."""
    return torch.reciprocal(x)


@rule("tf.math.reciprocal_no_nan", returns="x")
@prove(array([2.0, 0.0, -4.0]))
@prove(f64(3))
def reciprocal_no_nan(x: Tensor, name=None):
    """1 / x, and 0 where x is 0, with gradient 0 there."""
    return _reciprocal_no_nan(x)


def _reciprocal_no_nan(x):
    zero = x == 0
    return torch.where(zero, 0, 1 / torch.where(zero, 1, x))


@rule("tf.math.conj", "tf.conj", returns="x")
@prove(c64(2, 3))
@prove(f32(2, 3))
def conj(x: Tensor, name=None):
    """Complex conjugate; real numbers stay."""
    return torch.conj(x)


@rule("tf.math.real", "tf.real", returns="float")
@prove(c64(2, 3))
@prove(f32(2, 3))
def real(input: Tensor, name=None):
    """Real part; real numbers stay."""
    return torch.real(input)


@rule("tf.math.imag", "tf.imag", returns="float")
@prove(c64(2, 3))
@prove(f32(2, 3))
def imag(input: Tensor, name=None):
    """Imaginary part; 0 for real numbers, where torch raises."""
    if input.is_complex():
        return torch.imag(input)
    return torch.zeros_like(input)


@rule("tf.math.angle", "tf.angle", returns="float")
@prove(c64(2, 3))
@prove(f32(2, 3), grad=False)
def angle(input: Tensor, name=None):
    """Phase; of real numbers 0 or pi."""
    return torch.angle(input)


@rule("tf.math.is_nan", "tf.is_nan", returns="bool")
@prove(_EDGES)
@prove(f64(3))
def is_nan(x: Tensor, name=None):
    """True where x is NaN."""
    return torch.isnan(x)


@rule("tf.math.is_inf", "tf.is_inf", returns="bool")
@prove(_EDGES)
@prove(f64(3))
def is_inf(x: Tensor, name=None):
    """True where x is infinite."""
    return torch.isinf(x)


@rule("tf.math.is_finite", "tf.is_finite", returns="bool")
@prove(_EDGES)
@prove(f64(3))
def is_finite(x: Tensor, name=None):
    """True where x is neither infinite nor NaN."""
    return torch.isfinite(x)


@rule("tf.math.is_non_decreasing", "tf.is_non_decreasing", returns="bool")
@prove(array([1.0, 1.0, 2.0]))
@prove(array([1.0, 0.0]))
@prove(array([3], "int32"))
def is_non_decreasing(x: Tensor, name=None):
    """Whether the flattened values never fall."""
    return torch.all(torch.diff(torch.flatten(x)) >= 0)


@rule("tf.math.is_strictly_increasing", "tf.is_strictly_increasing", returns="bool")
@prove(array([1.0, 1.0, 2.0]))
@prove(array([1.0, 2.0]))
@prove(array([3], "int32"))
def is_strictly_increasing(x: Tensor, name=None):
    """Whether the flattened values always rise."""
    return torch.all(torch.diff(torch.flatten(x)) > 0)


@rule("tf.math.lbeta", "tf.lbeta", returns="x")
@prove(f32(2, 3, low=0.5, high=3.0))
@prove(f64(4, low=0.5, high=3.0))
def lbeta(x: Tensor, name=None):
    """Logarithm of the beta function over the last axis."""
    return _lbeta(x)


def _lbeta(x):
    return torch.sum(torch.lgamma(x), dim=-1) - torch.lgamma(torch.sum(x, dim=-1))


@rule("tf.sigmoid", "tf.math.sigmoid", "tf.nn.sigmoid", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(f16(3))
@prove(_EDGES, grad=False)
@prove(array([-100.0, 100.0, 0.0]))
def sigmoid(x: Tensor, name=None):
    """1 / (1 + exp(-x))."""
    return torch.sigmoid(x)


@rule("tf.tanh", "tf.math.tanh", "tf.nn.tanh", returns="x")
@prove(f32(2, 3, 4))
@prove(f64(5))
@prove(_EDGES, grad=False)
def tanh(x: Tensor, name=None):
    """Hyperbolic tangent."""
    return torch.tanh(x)
