"""Matrices: ``tf.matmul``, ``tf.einsum``, ``tf.tensordot``, norms, clipping by norm, ``tf.linalg``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from tfport.rule import Float, Indices, Tensor, array, c64, f32, f64, i32, prove, rule


@rule("tf.matmul", "tf.linalg.matmul", returns="a")
@prove(f32(3, 4), f32(4, 5))
@prove(f32(2, 3, 4), f32(2, 4, 5))
@prove(f32(2, 3, 4), f32(4, 5))
@prove(f32(4, 3), f32(4, 5), transpose_a=True)
@prove(f32(3, 4), f32(5, 4), transpose_b=True)
@prove(f32(2, 4, 3), f32(2, 5, 4), True, True)
@prove(c64(4, 3), c64(4, 5), adjoint_a=True)
@prove(f64(3, 4), f64(5, 4), adjoint_b=True)
@prove(i32(3, 4), i32(4, 5))
@prove(f32(3, 4), f32(4, 5), a_is_sparse=True, b_is_sparse=True)
@prove(f32(0, 4), f32(4, 5))
def matmul(a: Tensor, b: Tensor, transpose_a=False, transpose_b=False, adjoint_a=False, adjoint_b=False,
           a_is_sparse=False, b_is_sparse=False, output_type=None, grad_a=False, grad_b=False, name=None):  # fmt: skip
    """Matrix product over the last two axes; the sparse flags only hint at a faster kernel."""
    left = a.mH if adjoint_a else a.mT if transpose_a else a
    right = b.mH if adjoint_b else b.mT if transpose_b else b
    if output_type is not None:
        return torch.matmul(left.to(output_type), right.to(output_type))
    return torch.matmul(left, right)


@rule("tf.linalg.matvec", returns="a")
@prove(f32(3, 4), f32(4))
@prove(f32(2, 3, 4), f32(2, 4))
@prove(f32(4, 3), f32(4), transpose_a=True)
def matvec(
    a: Tensor, b: Tensor, transpose_a=False, adjoint_a=False, a_is_sparse=False, b_is_sparse=False, name=None
):
    """Matrix times vector."""
    left = a.mH if adjoint_a else a.mT if transpose_a else a
    return torch.matmul(left, b.unsqueeze(-1)).squeeze(-1)


@rule("tf.einsum", "tf.linalg.einsum")
@prove("ij,jk->ik", f32(2, 3), f32(3, 4))
@prove("bhqd,bhkd->bhqk", f32(2, 2, 3, 4), f32(2, 2, 5, 4))
@prove("ij->ji", f32(2, 3))
@prove("...ij,...jk->...ik", f32(2, 2, 3), f32(2, 3, 4))
@prove("ij,jk", f32(2, 3), f32(3, 4))
@prove("i,j->ij", f64(2), f64(3))
@prove("ij->", f32(2, 3))
@prove("ii->i", f32(3, 3))
@prove("abc, cde -> abde", f32(2, 3, 4), f32(4, 2, 2))
@prove("ab,bc,cd->ad", f32(2, 3), f32(3, 4), f32(4, 2), name="product")
def einsum(equation, *inputs, optimize="greedy", name=None):
    """Products and sums by index letters."""
    return torch.einsum(equation, *inputs)


@rule("tf.tensordot", "tf.linalg.tensordot", returns="a")
@prove(f32(2, 3, 4), f32(4, 5), 1)
@prove(f32(2, 3, 4), f32(3, 4, 5), axes=2)
@prove(f32(2, 3), f32(4, 5), axes=0)
@prove(f32(2, 3, 4), f32(5, 3), axes=[[1], [1]])
@prove(f32(2, 3, 4), f32(3, 2), axes=[[0, 1], [1, 0]])
@prove(f32(2, 3, 4), f32(4, 5), axes=[2, 0])
@prove(f32(2, 3, 4), f32(4, 5), axes=(-1, 0))
@prove(f32(2, 3, 4), f32(4, 5), axes=([2], [0]))
def tensordot(a: Tensor, b: Tensor, axes, name=None):
    """Sums of products over axes: a number of them, or one list for each tensor."""
    if isinstance(axes, (list, tuple)) and isinstance(axes[0], int):
        return torch.tensordot(a, b, dims=([axes[0]], [axes[1]]))
    if isinstance(axes, (int, list, tuple)):
        return torch.tensordot(a, b, dims=axes)
    return _tensordot(a, b, axes)


def _tensordot(a, b, axes):
    plain = axes.tolist() if hasattr(axes, "tolist") else axes
    return torch.tensordot(a, b, dims=plain)


@rule("tf.norm", "tf.linalg.norm", renamed={"keep_dims": "keepdims"}, returns="tensor")
@prove(f32(2, 3))
@prove(f32(2, 3), axis=1)
@prove(f32(2, 3, 4), axis=-1, keepdims=True)
@prove(f32(2, 3), ord=1)
@prove(f32(2, 3), 1, 0)
@prove(f32(2, 3), ord=2, axis=1)
@prove(f32(2, 3), ord=float("inf"), axis=1)
@prove(f32(2, 3), ord=0.5, axis=1)
@prove(f32(2, 3), ord=3)
@prove(f32(4, 2, 3), axis=[1, 2])
@prove(f32(4, 2, 3), ord="fro", axis=(-2, -1), keepdims=True)
@prove(f32(4, 2, 3), ord=1, axis=[1, 2])
@prove(f32(4, 2, 3), ord=2, axis=[1, 2])
@prove(f32(4, 2, 3), ord=float("inf"), axis=[1, 2])
@prove(f32(2, 3), keepdims=True)
@prove(f64(2, 3), axis=0)
@prove(f32(2, 3), ord="fro", raises=True)
@prove(f32(2, 3), axis=[0], raises=True)
@prove(f32(2, 3), ord=0.5, axis=[0, 1], raises=True)
@prove(array([0.0, 0.0]), grad=False)
def norm(tensor: Float, ord="euclidean", axis=None, keepdims=None, name=None):
    """Norm of vectors (``axis`` None or one), or of matrices (two axes).

    Without an axis every ``ord`` is entrywise. At 0 TensorFlow's gradient of the euclidean norm is NaN, torch's 0.
    """
    keep = bool(keepdims)
    if isinstance(axis, (list, tuple)):
        if len(axis) != 2:
            raise ValueError("axis of a norm is None, a number or two numbers")
        if ord == "euclidean" or ord == "fro":
            return torch.linalg.vector_norm(tensor, dim=axis, keepdim=keep)
        if ord not in (1, 2, math.inf):
            raise ValueError(f"ord of a matrix norm is euclidean, fro, 1, 2 or inf, not {ord!r}")
        return torch.linalg.matrix_norm(tensor, ord=ord, dim=axis, keepdim=keep)
    if ord == "euclidean":
        return torch.linalg.vector_norm(tensor, dim=axis, keepdim=keep)
    if isinstance(ord, str):
        raise ValueError(f"ord of a vector norm is euclidean or a number, not {ord!r}")
    return torch.linalg.vector_norm(tensor, ord=ord, dim=axis, keepdim=keep)


@rule("tf.linalg.normalize")
@prove(f32(2, 3))
@prove(f32(2, 3), axis=1)
@prove(f32(2, 3), ord=1, axis=0)
def normalize(tensor: Float, ord="euclidean", axis=None, name=None):
    """The tensor divided by its norm, and the norm with axes kept."""
    return _normalize(tensor, ord, axis)


def _normalize(tensor, ord, axis):
    size = norm(tensor, ord=ord, axis=axis, keepdims=True)
    return tensor / size, size


@rule(
    "tf.math.l2_normalize",
    "tf.nn.l2_normalize",
    "tf.linalg.l2_normalize",
    renamed={"dim": "axis"},
    returns="x",
)
@prove(f32(2, 3), axis=1)
@prove(f32(2, 3, 4), -1)
@prove(f32(2, 3), axis=0, epsilon=1e-6)
@prove(f32(2, 3))
@prove(f32(2, 3, 4), axis=[1, 2])
@prove(array([[1e-7, 0.0], [3.0, 4.0]]), axis=1)
@prove(array([[0.0, 0.0], [3.0, 4.0]]), axis=1)
@prove(array([[0.1, 0.1]]), axis=1, epsilon=0.5)
@prove(f64(2, 3), axis=1)
@prove(f32(2, 3), dim=1)
def l2_normalize(x: Float, axis=None, epsilon=1e-12, name=None):
    """x / sqrt(max(sum(x²), epsilon)): the squared sum is clamped, in F.normalize its root."""
    if axis is None:
        return x * torch.rsqrt(torch.clamp(torch.sum(torch.square(x)), min=epsilon))
    if epsilon == 1e-12:
        return F.normalize(x, dim=axis, eps=1e-6)
    return F.normalize(x, dim=axis, eps=math.sqrt(epsilon))


@rule("tf.clip_by_norm", returns="t")
@prove(f32(2, 3), 1.0)
@prove(f32(2, 3), 100.0)
@prove(array([[3.0, 4.0], [0.0, 0.0]]), 1.0, axes=[1])
@prove(array([0.0, 0.0]), 1.0)
@prove(f32(2, 3, 4), clip_norm=0.5, axes=[0, 2])
@prove(f64(2, 3), 0.5, 1)
def clip_by_norm(t: Tensor, clip_norm, axes=None, name=None):
    """Scaled down to the L2 norm ``clip_norm`` where it is larger; ``axes`` clips each slice."""
    return _clip_by_norm(t, clip_norm, axes)


def _clip_by_norm(t, clip_norm, axes):
    squares = torch.sum(torch.square(t), dim=axes, keepdim=True)
    positive = squares > 0
    size = torch.where(positive, torch.sqrt(torch.where(positive, squares, 1)), squares)
    clipped = t * clip_norm / torch.clamp(size, min=clip_norm)
    return clipped.reshape(t.shape)


@rule("tf.linalg.global_norm", "tf.global_norm")
@prove([f32(2, 3), f32(4)])
@prove([f32(2, 3), None, f32()])
@prove([f64(3)])
def global_norm(t_list, name=None):
    """L2 norm of all tensors of a list together; None entries are left out."""
    return _global_norm(t_list)


def _global_norm(t_list):
    return torch.linalg.vector_norm(
        torch.stack([torch.linalg.vector_norm(t) for t in t_list if t is not None])
    )


@rule("tf.clip_by_global_norm")
@prove([f32(2, 3), f32(4)], 1.0)
@prove([f32(2, 3), None, f32(4)], 0.5)
@prove([f32(2, 3), f32(4)], clip_norm=100.0)
@prove([f32(2, 3), f32(4)], 1.0, f32(low=1.0, high=3.0))
@prove([array([3.0, float("inf")]), f32(2)], 1.0, grad=False)
def clip_by_global_norm(t_list, clip_norm, use_norm: Indices = None, name=None):
    """All tensors scaled down together where their common norm is larger, and that norm; NaN if it is not finite."""
    return _clip_by_global_norm(t_list, clip_norm, use_norm)


def _clip_by_global_norm(t_list, clip_norm, use_norm):
    size = _global_norm(t_list) if use_norm is None else use_norm
    scale = clip_norm * torch.minimum(1 / size, torch.ones_like(size) / clip_norm)
    scale = torch.where(torch.isfinite(size), scale, math.nan)
    return [None if t is None else t * scale.to(t.dtype) for t in t_list], size


@rule("tf.linalg.trace", "tf.trace", returns="x")
@prove(f32(3, 3))
@prove(f32(2, 3, 4))
@prove(f64(2, 2, 2))
def trace(x: Tensor, name=None):
    """Sum of the diagonal of the last two axes."""
    return torch.diagonal(x, dim1=-2, dim2=-1).sum(-1)


@rule("tf.linalg.adjoint", returns="matrix")
@prove(c64(2, 3, 4))
@prove(f32(2, 3))
def adjoint(matrix: Tensor, name=None):
    """The last two axes exchanged, complex numbers conjugated."""
    return matrix.mH


@rule("tf.linalg.det", "tf.matrix_determinant", returns="input")
@prove(f32(3, 3), rtol=1e-4)
@prove(f64(2, 3, 3), rtol=1e-11)
def det(input: Tensor, name=None):
    """Determinant of the last two axes."""
    return torch.linalg.det(input)


@rule("tf.linalg.slogdet")
@prove(f64(2, 3, 3), rtol=1e-10)
def slogdet(input: Tensor, name=None):
    """Sign and logarithm of the absolute value of the determinant."""
    return torch.linalg.slogdet(input)


@rule("tf.linalg.inv", "tf.matrix_inverse", returns="input")
@prove(f32(3, 3), rtol=1e-3)
@prove(f64(2, 3, 3), rtol=1e-10)
@prove(f64(3, 3), adjoint=True, rtol=1e-10)
def inv(input: Tensor, adjoint=False, name=None):
    """Inverse; with ``adjoint`` that of the adjoint."""
    if adjoint:
        return torch.linalg.inv(input.mH)
    return torch.linalg.inv(input)


_POSITIVE = array([[[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]]], "float64")


@rule("tf.linalg.cholesky", "tf.cholesky", returns="input")
@prove(_POSITIVE)
def cholesky(input: Tensor, name=None):
    """Lower triangular factor of a positive definite matrix."""
    return torch.linalg.cholesky(input)


@rule("tf.linalg.logdet", returns="matrix")
@prove(_POSITIVE)
def logdet(matrix: Tensor, name=None):
    """Logarithm of the determinant of a positive definite matrix."""
    return torch.logdet(matrix)


@rule("tf.linalg.cholesky_solve", "tf.cholesky_solve", returns="rhs")
@prove(array([[2.0, 0.0], [0.5, 1.5]], "float64"), f64(2, 3), rtol=1e-11)
def cholesky_solve(chol: Tensor, rhs: Tensor, name=None):
    """Solves A X = rhs from the lower factor of A."""
    return torch.cholesky_solve(rhs, torch.tril(chol))


@rule("tf.linalg.solve", "tf.matrix_solve", returns="rhs")
@prove(f64(3, 3), f64(3, 2), rtol=1e-10)
@prove(f64(2, 3, 3), f64(2, 3, 2), adjoint=True, rtol=1e-10)
def solve(matrix: Tensor, rhs: Tensor, adjoint=False, name=None):
    """X with matrix X = rhs."""
    if adjoint:
        return torch.linalg.solve(matrix.mH, rhs)
    return torch.linalg.solve(matrix, rhs)


@rule("tf.linalg.triangular_solve", "tf.matrix_triangular_solve", returns="rhs")
@prove(_POSITIVE, f64(1, 3, 2), rtol=1e-11)
@prove(_POSITIVE, f64(1, 3, 2), lower=False, rtol=1e-11)
@prove(_POSITIVE, f64(1, 3, 2), lower=True, adjoint=True, rtol=1e-11)
def triangular_solve(matrix: Tensor, rhs: Tensor, lower=True, adjoint=False, name=None):
    """X with T X = rhs, T the lower or the upper triangle; with ``adjoint`` the adjoint of T."""
    if adjoint:
        return torch.linalg.solve_triangular(matrix.mH, rhs, upper=lower)
    return torch.linalg.solve_triangular(matrix, rhs, upper=not lower)


@rule("tf.linalg.pinv", returns="a")
@prove(f64(3, 2), rtol=1e-9)
def pinv(a: Tensor, rcond=None, validate_args=False, name=None):
    """Pseudo-inverse; ``rcond`` is 10 max(m, n) eps by default."""
    return _pinv(a, rcond)


def _pinv(a, rcond):
    cut = 10.0 * max(a.shape[-2:]) * torch.finfo(a.dtype).eps if rcond is None else rcond
    return torch.linalg.pinv(a, rtol=cut)


@rule("tf.linalg.expm", returns="input")
@prove(f64(3, 3), rtol=1e-10)
def expm(input: Tensor, name=None):
    """Matrix exponential."""
    return torch.linalg.matrix_exp(input)


@rule("tf.linalg.eigvalsh", "tf.self_adjoint_eigvals", returns="tensor")
@prove(_POSITIVE, grad=False)
def eigvalsh(tensor: Tensor, name=None):
    """Eigenvalues of symmetric matrices, ascending. TensorFlow puts the gradient into the lower triangle alone."""
    return torch.linalg.eigvalsh(tensor)


@rule("tf.linalg.cross", "tf.cross", returns="a")
@prove(f32(2, 3), f32(2, 3))
def cross(a: Tensor, b: Tensor, name=None):
    """Vector product over the last axis."""
    return torch.linalg.cross(a, b)
