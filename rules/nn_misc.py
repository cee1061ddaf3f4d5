"""The rest of tf.nn: bias_add, embedding_lookup, dropout, top_k, in_top_k, zero_fraction."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.rule import Indices, Operand, Tensor, array, f32, f64, i32, i64, prove, rule


@rule("tf.nn.bias_add", returns="value")
@prove(f32(2, 3, 4), f32(4))
@prove(value=f32(2, 5, 6, 3), bias=f32(3), data_format="NHWC")
@prove(f32(2, 3, 5, 6), f32(3), data_format="NCHW")
@prove(f32(2, 3, 5), f32(3), "NCW")
@prove(i32(2, 4), i32(4))
@prove(f32(0, 4), f32(4))
def bias_add(value: Tensor, bias: Tensor, data_format=None, name=None):
    """Adds one number per channel."""
    if data_format is None or data_format in ("NHWC", "NWC", "NDHWC", "N...C"):
        return value + bias
    return _bias_first(value, bias)


def _bias_first(value, bias):
    return value + bias.reshape(-1, *[1] * (value.ndim - 2))


@rule("tf.nn.embedding_lookup", version=2, returns="params")
@prove(f32(5, 3), i32(2, 4, low=0, high=5))
@prove(params=f32(5, 3, 2), ids=i64(4, low=0, high=5))
@prove(f64(5), i64(2, 2, low=0, high=5))
@prove(f32(5, 3), i32(0, low=0, high=5))
@prove(f32(5, 3), i32(4, low=0, high=5), max_norm=1.0)
@prove(f32(5, 3), array([1, 7], "int32"), raises=True)
@prove(f32(5, 3), array(2, "int32"))
def embedding_lookup(params: Tensor, ids: Indices, max_norm=None, name=None):
    """Rows by number. TensorFlow on CPU refuses negative ids, which torch would count from the end."""
    if max_norm is None and params.ndim == 2:
        return F.embedding(ids.long(), params)
    return _rows(params, ids, max_norm)


def _rows(table, ids, max_norm):
    rows = torch.index_select(table, 0, ids.reshape(-1).long()).reshape(*ids.shape, *table.shape[1:])
    return rows if max_norm is None else _clipped(rows, ids.ndim, max_norm)


def _clipped(rows, batch, max_norm):
    axes = list(range(batch, rows.ndim))
    length = rows.square().sum(dim=axes, keepdim=True).sqrt() if axes else rows.abs()
    return rows * max_norm / torch.clamp(length, min=max_norm)


@rule("tf.compat.v1.nn.embedding_lookup", "tf.nn.embedding_lookup", version=1, returns="params")
@prove(f32(5, 3), i32(2, 4, low=0, high=5))
@prove(params=f32(5, 3), ids=i64(4, low=0, high=5), partition_strategy="div")
@prove([f32(3, 2), f32(2, 2, seed=1)], i32(6, low=0, high=5), "mod")
@prove([f32(3, 2), f32(2, 2, seed=1)], i32(6, low=0, high=5), partition_strategy="div")
def embedding_lookup_v1(
    params: Operand, ids: Tensor, partition_strategy="mod", name=None, validate_indices=True, max_norm=None
):
    """Rows by number, of one table or of several: "mod" deals the ids round, "div" in runs."""
    if max_norm is None and not isinstance(params, (list, tuple)) and params.ndim == 2:
        return F.embedding(ids.long(), params)
    return _partitioned(params, ids, partition_strategy, max_norm)


def _partitioned(params, ids, strategy, max_norm):
    if isinstance(params, torch.Tensor):
        table = params
    elif len(params) == 1:
        table = params[0]
    elif strategy == "div":
        table = torch.cat(list(params))
    else:
        pieces, total = len(params), sum(p.shape[0] for p in params)
        order = [(row % pieces, row // pieces) for row in range(total)]
        table = torch.stack([params[piece][row] for piece, row in order])
    return _rows(table, ids, max_norm)


def _dropped(x, rate, noise_shape):
    rate = rate.item() if isinstance(rate, torch.Tensor) else rate
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be in [0, 1), got {rate}")
    if rate == 0:
        return x
    shape = (
        x.shape
        if noise_shape is None
        else [x.shape[i] if n is None else int(n) for i, n in enumerate(noise_shape)]
    )
    kept = torch.rand(shape, dtype=torch.float32, device=x.device) >= rate
    return torch.where(kept, x / (1 - rate), torch.zeros((), dtype=x.dtype, device=x.device))


@rule("tf.nn.dropout", version=2, returns="x", pure=False)
@prove(f32(40, 50), 0.5, random=True)
@prove(f32(40, 50), rate=0.1, random=True)
@prove(f32(40, 50), rate=0.0)
@prove(f32(2000, 5), rate=0.5, noise_shape=[2000, 1], seed=1, random=True)
@prove(f32(4, 5), rate=1.5, raises=True)
def dropout(x: Tensor, rate, noise_shape=None, seed=None, name=None):
    """Always drops, in training and out of it; a rate of 1 is torch's alone. A seed is not carried over."""
    if noise_shape is None and isinstance(rate, float):
        return F.dropout(x, rate)
    return _dropped(x, rate, noise_shape)


@rule("tf.compat.v1.nn.dropout", "tf.nn.dropout", version=1, returns="x", pure=False)
@prove(f32(40, 50), 0.9, random=True)
@prove(f32(40, 50), keep_prob=0.5, random=True)
@prove(f32(40, 50), rate=0.5, random=True)
@prove(f32(40, 50), keep_prob=1.0)
@prove(f32(5, 2000), keep_prob=0.5, noise_shape=[1, 2000], seed=1, random=True)
@prove(f32(4, 5), raises=True)
def dropout_v1(x: Tensor, keep_prob=None, noise_shape=None, seed=None, name=None, rate=None):
    """keep_prob is what stays: 0.9 drops a tenth. Always drops."""
    if noise_shape is None and keep_prob is None and isinstance(rate, float):
        return F.dropout(x, rate)
    return _kept(x, keep_prob, noise_shape, rate)


def _kept(x, keep_prob, noise_shape, rate):
    if keep_prob is None and rate is None:
        raise ValueError("dropout needs keep_prob or rate")
    return _dropped(x, 1 - keep_prob if rate is None else rate, noise_shape)


@rule("tf.nn.top_k", "tf.math.top_k")
@prove(f32(3, 6), 2)
@prove(f32(2, 3, 6), k=3, sorted=True)
@prove(f32(6))
@prove(array([[1.0, 3.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0]]), k=4)
@prove(i32(3, 6), k=6)
@prove(f64(0, 6), k=2)
@prove(f32(3, 2), k=0, grad=False)
@prove(f32(3, 2), k=3, raises=True)
def top_k(input: Tensor, k=1, sorted=True, index_type=torch.int32, name=None):
    """The k greatest along the last axis and their int32 places; of equal ones the first comes first.

    With sorted=False TensorFlow promises no order; here they come sorted.
    """
    return _top_k(input, k, index_type)


def _top_k(x, k, index_type):
    from collections import namedtuple

    from tfport.compat.dtypes import as_dtype

    if k > x.shape[-1]:
        raise ValueError(f"k = {k} is more than the last axis has: {x.shape[-1]}")
    values, indices = torch.sort(x, dim=-1, descending=True, stable=True)
    TopKV2 = namedtuple("TopKV2", ["values", "indices"])
    return TopKV2(values[..., :k], indices[..., :k].to(as_dtype(index_type)))


@rule("tf.nn.in_top_k", "tf.math.in_top_k", version=2, returns="bool")
@prove(i32(5, low=0, high=4), f32(5, 4), 2)
@prove(targets=array([0, 1, 2, 5], "int32"), predictions=array([[1.0, 1.0, 0.0]] * 4), k=1)
@prove(array([0, 1], "int64"), array([[float("nan"), 1.0], [2.0, float("inf")]]), k=1)
@prove(i64(0, low=0, high=4), f32(0, 4), 2)
def in_top_k(targets: Indices, predictions: Tensor, k, name=None):
    """Whether fewer than k classes beat the target; ties with it all count as in."""
    return _in_top_k(targets, predictions, k)


def _in_top_k(targets, predictions, k):
    inside = (targets >= 0) & (targets < predictions.shape[1])
    safe = torch.where(inside, targets, torch.zeros_like(targets)).long()
    own = predictions.gather(1, safe[:, None])
    better = (predictions > own).sum(dim=1)
    finite = torch.isfinite(predictions).all(dim=1)
    return inside & finite & (better < k)


@rule("tf.compat.v1.nn.in_top_k", "tf.nn.in_top_k", "tf.math.in_top_k", version=1, returns="bool")
@prove(f32(5, 4), i32(5, low=0, high=4), 2)
@prove(predictions=f32(5, 4), targets=i64(5, low=0, high=4), k=1)
def in_top_k_v1(predictions: Tensor, targets: Indices, k, name=None):
    """TensorFlow 1 has the predictions first."""
    return _in_top_k(targets, predictions, k)


@rule("tf.nn.zero_fraction", "tf.math.zero_fraction", returns="float32")
@prove(array([0.0, 1.0, 0.0, -0.0]))
@prove(i32(3, 4, low=0, high=2))
@prove(f32(0, 3))
def zero_fraction(value: Tensor, name=None):
    """The share of zeros, float32; nan of nothing."""
    return torch.mean((value == 0).float())
