"""Keras' attention layers on (N, T, features), with Keras' masks: True where a position may be attended to.

Without a mask torch's scaled_dot_product_attention computes; with one the scores are masked as Keras masks them, which
matters where a row is masked altogether: uniform weights in the fused form, zeros where scores or dropout are asked for
(https://keras.io/api/layers/attention_layers/).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SCORES_OF_NOTHING = {torch.float16: -3e4}  # of a masked position in Softmax(mask); -1e9 for other dtypes


def causal_mask(query: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """(1, T, S): position i sees positions up to i."""
    shape = (1, query.shape[1], value.shape[1])
    return torch.ones(shape, dtype=torch.bool, device=query.device).tril()


def window_mask(query: torch.Tensor, value: torch.Tensor, size: int) -> torch.Tensor:
    """(1, T, S): position i sees positions nearer than ``size``."""
    rows = torch.arange(query.shape[1], device=query.device).unsqueeze(1)
    columns = torch.arange(value.shape[1], device=query.device)
    return ((rows - columns).abs() < size).unsqueeze(0)


def joined(*masks: torch.Tensor | None) -> torch.Tensor | None:
    """The masks' conjunction; None where there are none."""
    made: torch.Tensor | None = None
    for mask in masks:
        if mask is not None:
            made = mask.bool() if made is None else made & mask.bool()
    return made


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, causal: bool,
           scale: float, dropout: nn.Dropout | None, scores: bool) -> tuple[torch.Tensor, torch.Tensor | None]:  # fmt: skip
    """Attention of (N, heads, T, D) to (N, heads, S, D): the result, and the weights where ``scores`` asks for them."""
    explicit = scores or dropout is not None
    if mask is None and not explicit:
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal, scale=scale), None
    if causal:
        mask = joined(
            mask, torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
        )
    logits = (query * scale) @ key.transpose(-2, -1) if explicit else (query @ key.transpose(-2, -1)) * scale
    if mask is not None:
        while mask.dim() < logits.dim():
            mask = mask.unsqueeze(-3)
        lowest = -0.7 * (65500.0 if logits.dtype == torch.float16 else 3.38953e38)
        nothing = SCORES_OF_NOTHING.get(logits.dtype, -1e9) if explicit else lowest
        logits = torch.where(mask, logits, torch.tensor(nothing, dtype=logits.dtype, device=logits.device))
    weights = torch.softmax(logits, dim=-1)
    if mask is not None and explicit:
        weights = torch.where(mask, weights, torch.zeros_like(weights))
    return (weights if dropout is None else dropout(weights)) @ value, weights


class _Heads(nn.Module):
    """What both multi-head layers share: projections, masks, the gate."""

    query_dense: nn.Linear
    key_dense: nn.Linear
    value_dense: nn.Linear
    output_dense: nn.Linear
    gate_dense: nn.Linear | None

    def __init__(self, sizes: tuple[int, int, int], heads: int, kv_heads: int, key_dim: int, value_dim: int, output: int,
                 bias: bool, dropout: float, gate: bool, sliding_window: int | None) -> None:  # fmt: skip
        super().__init__()
        query, value, key = sizes
        self.heads, self.kv_heads = heads, kv_heads
        self.scale = float(
            np.float32(1.0 / math.sqrt(float(key_dim)))
        )  # TensorFlow rounds it, in float64 too
        self.sliding_window = sliding_window
        self.query_dense = nn.Linear(query, heads * key_dim, bias=bias)
        self.key_dense = nn.Linear(key, kv_heads * key_dim, bias=bias)
        self.gate_dense = nn.Linear(query, heads * value_dim, bias=bias) if gate else None
        self.value_dense = nn.Linear(value, kv_heads * value_dim, bias=bias)
        self.output_dense = nn.Linear(heads * value_dim, output, bias=bias)
        self.dropout = nn.Dropout(dropout) if dropout else None

    def forward(
        self,
        query: torch.Tensor,
        value: torch.Tensor,
        key: torch.Tensor | None = None,
        query_mask: torch.Tensor | None = None,
        value_mask: torch.Tensor | None = None,
        key_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """(N, T, features) attends to (N, S, features): (N, T, output), and with the scores (N, heads, T, S)."""
        if (
            query.dim() != 3 or value.dim() != 3
        ):  # Keras attends over all axes between batch and features at once
            raise NotImplementedError(
                f"attention over inputs of rank {query.dim()} and {value.dim()}: (N, T, features) is ported"
            )
        given = (query_mask, value_mask, key_mask, attention_mask)
        mask = None
        if self.sliding_window is not None or any(m is not None for m in given):
            mask = joined(
                None if query_mask is None else query_mask.unsqueeze(-1),
                *(None if m is None else m.unsqueeze(-2) for m in (value_mask, key_mask)),
                causal_mask(query, value) if use_causal_mask else None,
                None if self.sliding_window is None else window_mask(query, value, self.sliding_window),
                attention_mask,
            )
            use_causal_mask = False
        projected = [
            dense(x).unflatten(-1, (heads, -1)).transpose(-3, -2)
            for dense, x, heads in (
                (self.query_dense, query, self.heads),
                (self.key_dense, value if key is None else key, self.kv_heads),
                (self.value_dense, value, self.kv_heads),
            )
        ]
        if self.kv_heads != self.heads:
            projected[1:] = [p.repeat_interleave(self.heads // self.kv_heads, dim=1) for p in projected[1:]]
        made, weights = attend(projected[0], projected[1], projected[2], mask, use_causal_mask, self.scale, self.dropout,
                               return_attention_scores)  # fmt: skip
        made = made.transpose(-3, -2).flatten(-2)
        if self.gate_dense is not None:
            made = made * torch.sigmoid(self.gate_dense(query))
        made = self.output_dense(made)
        return (made, weights) if return_attention_scores else made


class MultiHeadAttention(_Heads):
    """tf.keras.layers.MultiHeadAttention; ``key_dim`` is per head. ``sizes`` are the features of query, value and key."""

    def __init__(self, sizes: tuple[int, int, int], num_heads: int, key_dim: int, value_dim: int | None = None,
                 output: int | None = None, bias: bool = True, dropout: float = 0.0, gate: bool = False,
                 sliding_window: int | None = None) -> None:  # fmt: skip
        value_dim = value_dim or key_dim
        super().__init__(sizes, num_heads, num_heads, key_dim, value_dim, output or sizes[0], bias, dropout, gate,
                         sliding_window)  # fmt: skip


class GroupedQueryAttention(_Heads):
    """tf.keras.layers.GroupQueryAttention: several query heads share one key and value head."""

    def __init__(self, sizes: tuple[int, int, int], head_dim: int, num_query_heads: int, num_key_value_heads: int,
                 bias: bool = True, dropout: float = 0.0, gate: bool = False,
                 sliding_window: int | None = None) -> None:  # fmt: skip
        if num_query_heads % num_key_value_heads:
            raise ValueError("num_query_heads must be divisible by num_key_value_heads")
        super().__init__(sizes, num_query_heads, num_key_value_heads, head_dim, head_dim, sizes[0], bias, dropout, gate,
                         sliding_window)  # fmt: skip


class Attention(nn.Module):
    """tf.keras.layers.Attention on [query, value] or [query, value, key]: scores are dot products (Luong)."""

    scale: nn.Parameter | None
    concat_score_weight: nn.Parameter | None

    def __init__(self, use_scale: bool = False, score_mode: str = "dot", dropout: float = 0.0) -> None:
        super().__init__()
        if score_mode not in ("dot", "concat"):
            raise ValueError(f"score_mode is dot or concat, not {score_mode!r}")
        self.register_parameter("scale", nn.Parameter(torch.ones(())) if use_scale else None)
        concat = nn.Parameter(torch.ones(())) if score_mode == "concat" else None
        self.register_parameter("concat_score_weight", concat)
        self.dropout = nn.Dropout(dropout)

    def scores(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """(N, T, S)."""
        if self.concat_score_weight is not None:
            total = query.unsqueeze(-2) + key.unsqueeze(-3)
            return self.concat_score_weight * torch.tanh(
                total if self.scale is None else self.scale * total
            ).sum(-1)
        made = query @ key.transpose(-2, -1)
        return made if self.scale is None else made * self.scale

    def forward(self, inputs: Any, mask: Any = None, return_attention_scores: bool = False,
                use_causal_mask: bool = False) -> Any:  # fmt: skip
        """(N, T, value's features), and with the weights (N, T, S)."""
        query, value, *rest = inputs
        query_mask, value_mask, *_ = mask or (None, None)
        scores = self.scores(query, rest[0] if rest else value)
        allowed = None if value_mask is None else value_mask.bool().unsqueeze(-2)
        if use_causal_mask:
            allowed = joined(allowed, causal_mask(query, value))
        if allowed is not None:
            far = 65504.0 if scores.dtype == torch.float16 else 1.0e9
            scores = torch.where(allowed, scores, scores - far)
        weights = self.dropout(torch.softmax(scores, dim=-1))
        made = weights @ value
        if query_mask is not None:
            made = torch.where(query_mask.bool().unsqueeze(-1), made, torch.zeros_like(made))
        return (made, weights) if return_attention_scores else made


class AdditiveAttention(Attention):
    """tf.keras.layers.AdditiveAttention: scores are sums of tanh(query + key), scaled per feature (Bahdanau)."""

    def __init__(self, features: int, use_scale: bool = True, dropout: float = 0.0) -> None:
        super().__init__(dropout=dropout)
        self.register_parameter("scale", nn.Parameter(torch.ones(features)) if use_scale else None)

    def scores(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        made = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3))
        return (made if self.scale is None else self.scale * made).sum(-1)
