"""Keras' attention layers as torch modules, on (N, T, features).

Keras' kernels are [features, heads, size] into the heads and [heads, size, features] out of them; ``key_dim`` is per
head. nn.MultiheadAttention takes neither another size per head nor Keras' masks, so a module of its own computes them.
Source of the facts: https://keras.io/api/layers/attention_layers/
"""

from __future__ import annotations

from tfport.compat.keras import modules
from tfport.rule import layer


@layer("tf.keras.layers.MultiHeadAttention", layout="call",
       weights={"query_dense/kernel": ("query_dense.weight", "e h d -> (h d) e"),
                "query_dense/bias": ("query_dense.bias", "h d -> (h d)"),
                "key_dense/kernel": ("key_dense.weight", "e h d -> (h d) e"),
                "key_dense/bias": ("key_dense.bias", "h d -> (h d)"),
                "gate_dense/kernel": ("gate_dense.weight", "e h d -> (h d) e"),
                "gate_dense/bias": ("gate_dense.bias", "h d -> (h d)"),
                "value_dense/kernel": ("value_dense.weight", "e h d -> (h d) e"),
                "value_dense/bias": ("value_dense.bias", "h d -> (h d)"),
                "output_dense/kernel": ("output_dense.weight", "h d e -> e (h d)"),
                "output_dense/bias": ("output_dense.bias", "e -> e")},
       unless={"use_gate": {"gate_dense/kernel": None, "gate_dense/bias": None}})  # fmt: skip
def MultiHeadAttention(num_heads, key_dim, value_dim=None, dropout=0.0, use_bias=True, output_shape=None,
                       attention_axes=None, sliding_window=None, flash_attention=None,
                       kernel_initializer="glorot_uniform", bias_initializer="zeros", kernel_regularizer=None,
                       bias_regularizer=None, activity_regularizer=None, kernel_constraint=None, bias_constraint=None,
                       use_gate=False, seed=None, *, sizes):  # fmt: skip
    """Query, value and key may differ in features and length; masks, causal attention and scores as in Keras."""
    if attention_axes is not None and attention_axes != 1:
        raise NotImplementedError("attention_axes: attention over axis 1 of (N, T, features) is ported")
    if output_shape is not None and not isinstance(output_shape, int):
        raise NotImplementedError("output_shape of several axes: give one size and reshape")
    return modules.MultiHeadAttention(
        sizes, num_heads, key_dim, value_dim=value_dim, output=output_shape, bias=use_bias, dropout=dropout,
        gate=use_gate, sliding_window=sliding_window)  # fmt: skip


@layer("tf.keras.layers.GroupedQueryAttention", "tf.keras.layers.GroupQueryAttention", layout="call",
       weights={"query_dense/kernel": ("query_dense.weight", "e u d -> (u d) e"),
                "query_dense/bias": ("query_dense.bias", "u d -> (u d)"),
                "key_dense/kernel": ("key_dense.weight", "e v d -> (v d) e"),
                "key_dense/bias": ("key_dense.bias", "v d -> (v d)"),
                "gate_dense/kernel": ("gate_dense.weight", "e u d -> (u d) e"),
                "gate_dense/bias": ("gate_dense.bias", "u d -> (u d)"),
                "value_dense/kernel": ("value_dense.weight", "e v d -> (v d) e"),
                "value_dense/bias": ("value_dense.bias", "v d -> (v d)"),
                "output_dense/kernel": ("output_dense.weight", "u d e -> e (u d)"),
                "output_dense/bias": ("output_dense.bias", "e -> e")},
       unless={"use_gate": {"gate_dense/kernel": None, "gate_dense/bias": None}})  # fmt: skip
def GroupedQueryAttention(head_dim, num_query_heads, num_key_value_heads, dropout=0.0, use_bias=True,
                          sliding_window=None, flash_attention=None, kernel_initializer="glorot_uniform",
                          bias_initializer="zeros", kernel_regularizer=None, bias_regularizer=None,
                          activity_regularizer=None, kernel_constraint=None, bias_constraint=None, use_gate=False,
                          seed=None, *, sizes):  # fmt: skip
    """Several query heads share one head of keys and values."""
    return modules.GroupedQueryAttention(
        sizes, head_dim, num_query_heads, num_key_value_heads, bias=use_bias, dropout=dropout, gate=use_gate,
        sliding_window=sliding_window)  # fmt: skip


@layer("tf.keras.layers.Attention", "tf.keras.layers.DotProductAttention", layout="call",
       weights={"scale": ("scale", "... -> ..."), "concat_score_weight": ("concat_score_weight", "... -> ...")},
       unless={"use_scale": {"scale": None}})  # fmt: skip
def Attention(use_scale=False, score_mode="dot", dropout=0.0, seed=None):
    """Called with [query, value] or [query, value, key]; scores are dot products."""
    return modules.Attention(use_scale=use_scale, score_mode=score_mode, dropout=dropout)


@layer("tf.keras.layers.AdditiveAttention", layout="call", weights={"scale": ("scale", "d -> d")},
       unless={"use_scale": {"scale": None}})  # fmt: skip
def AdditiveAttention(use_scale=True, dropout=0.0, seed=None, *, channels):
    """Called with [query, value] or [query, value, key]; scores are sums of tanh(query + key)."""
    return modules.AdditiveAttention(channels, use_scale=use_scale, dropout=dropout)
