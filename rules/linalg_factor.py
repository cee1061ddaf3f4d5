"""Factorisations whose factors have free signs, and diagonals: ``tf.linalg.svd``, ``qr``, ``eigh``, ``diag``, ``band_part``."""

from __future__ import annotations

import torch

from tfport.rule import Tensor, array, f32, f64, i32, prove, rule


@rule("tf.linalg.svd", "tf.svd")
@prove(f64(3, 2), compute_uv=False, rtol=1e-11)
@prove(f32(2, 3, 4), full_matrices=True, compute_uv=False, rtol=1e-4)
@prove(array([[3.0, 0.0], [0.0, 1.0]], "float64"), grad=False)
def svd(tensor: Tensor, full_matrices=False, compute_uv=True, name=None):
    """s, u, v with tensor = u diag(s) v^H; torch returns u, s, v^H. Signs of the factors are free in both."""
    if not compute_uv:
        return torch.linalg.svdvals(tensor)
    return _svd(tensor, full_matrices)


def _svd(tensor, full_matrices):
    u, s, vh = torch.linalg.svd(tensor, full_matrices=full_matrices)
    return s, u, vh.mH


@rule("tf.linalg.qr", "tf.qr")
@prove(f64(3, 2), rtol=1e-11)
@prove(f32(2, 3, 3), rtol=1e-3)
@prove(f64(3, 2), full_matrices=True, grad=False, rtol=1e-11)
def qr(input: Tensor, full_matrices=False, name=None):
    """q, r with input = q r."""
    if full_matrices:
        return torch.linalg.qr(input, mode="complete")
    return torch.linalg.qr(input)


@rule("tf.linalg.eigh", "tf.self_adjoint_eig")
@prove(array([[4.0, 0.0], [0.0, 1.0]], "float64"), grad=False)
def eigh(tensor: Tensor, name=None):
    """Eigenvalues, ascending, and eigenvectors in columns; their signs are free."""
    return torch.linalg.eigh(tensor)


@rule("tf.linalg.band_part", "tf.matrix_band_part", returns="input")
@prove(f32(3, 4), -1, 0)
@prove(f32(3, 4), 0, -1)
@prove(f32(3, 4), 1, 1)
@prove(f32(2, 4, 4), num_lower=0, num_upper=0)
@prove(f32(2, 4, 4), num_lower=-1, num_upper=-1)
@prove(i32(4, 3), 1, -1)
def band_part(input: Tensor, num_lower, num_upper, name=None):
    """Everything outside a band round the diagonal set to 0; a negative number keeps the whole triangle."""
    if num_lower == -1 and num_upper == 0:
        return torch.tril(input)
    if num_lower == 0 and num_upper == -1:
        return torch.triu(input)
    return _band(input, int(num_lower), int(num_upper))


def _band(x, lower, upper):
    x = x if lower < 0 else torch.triu(x, diagonal=-lower)
    return x if upper < 0 else torch.tril(x, diagonal=upper)


@rule("tf.linalg.diag", "tf.matrix_diag", version=2)
@prove(f32(3))
@prove(f32(2, 3))
@prove(i32(2), k=1)
@prove(f32(2, 2), k=-1)
def diag(diagonal: Tensor, name="diag", k=0, num_rows=-1, num_cols=-1, padding_value=0, align="RIGHT_LEFT"):
    """Matrices with this (off-)diagonal; several diagonals at once and other sizes have no port yet."""
    if num_rows != -1 or num_cols != -1 or padding_value != 0 or not isinstance(k, int):
        raise NotImplementedError("tf.linalg.diag with sizes, padding or several diagonals")
    return torch.diag_embed(diagonal, offset=k)


@rule("tf.compat.v1.matrix_diag", "tf.matrix_diag", "tf.linalg.diag", version=1)
@prove(f32(3))
@prove(f32(2, 3))
def matrix_diag(
    diagonal: Tensor, name="diag", k=0, num_rows=-1, num_cols=-1, padding_value=0, align="RIGHT_LEFT"
):
    """Matrices with this diagonal."""
    if num_rows != -1 or num_cols != -1 or padding_value != 0 or not isinstance(k, int):
        raise NotImplementedError("tf.matrix_diag with sizes, padding or several diagonals")
    return torch.diag_embed(diagonal, offset=k)


@rule("tf.linalg.diag_part", "tf.matrix_diag_part", returns="input")
@prove(f32(3, 3))
@prove(f32(2, 3, 4))
@prove(i32(3, 3), k=1)
def diag_part(input: Tensor, name="diag_part", k=0, padding_value=0, align="RIGHT_LEFT"):
    """The (off-)diagonal of the last two axes; several at once have no port yet."""
    if not isinstance(k, int):
        raise NotImplementedError("tf.linalg.diag_part of several diagonals")
    return torch.diagonal(input, offset=k, dim1=-2, dim2=-1)


@rule("tf.linalg.set_diag", "tf.matrix_set_diag", returns="input")
@prove(f32(3, 3), f32(3))
@prove(f32(2, 3, 4), f32(2, 3))
@prove(f32(3, 3), f32(2), k=1)
def set_diag(input: Tensor, diagonal: Tensor, name="set_diag", k=0, align="RIGHT_LEFT"):
    """The input with another (off-)diagonal."""
    return torch.diagonal_scatter(input, diagonal, offset=k, dim1=-2, dim2=-1)


@rule("tf.linalg.tensor_diag", "tf.diag", returns="diagonal")
@prove(f32(3))
@prove(f32(2, 3))
def tensor_diag(diagonal: Tensor, name=None):
    """A tensor of twice the rank with ``diagonal`` on its diagonal."""
    if diagonal.ndim == 1:
        return torch.diag(diagonal)
    return _tensor_diag(diagonal)


def _tensor_diag(x):
    return torch.diag(x.reshape(-1)).reshape(*x.shape, *x.shape)


@rule("tf.linalg.tensor_diag_part", "tf.diag_part", returns="input")
@prove(f32(3, 3))
@prove(f32(2, 3, 2, 3))
def tensor_diag_part(input: Tensor, name=None):
    """The diagonal of a tensor of even rank whose halves have one shape."""
    if input.ndim == 2:
        return torch.diagonal(input)
    return _tensor_diag_part(input)


def _tensor_diag_part(x):
    half = x.shape[: x.ndim // 2]
    return torch.diagonal(x.reshape(half.numel(), half.numel())).reshape(half)


@rule("tf.linalg.matrix_rank")
@prove(f32(3, 4))
@prove(array([[1.0, 2.0], [2.0, 4.0]]))
def matrix_rank(a: Tensor, tol=None, validate_args=False, name=None):
    """Rank by counting singular values, int32."""
    return torch.linalg.matrix_rank(a, atol=tol).to(torch.int32)
