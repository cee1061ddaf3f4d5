"""How Keras' masks travel: which layers take one, which hand it on, and how a call's arguments are named.

A mask (N, T) is True at the steps that count. Embedding(mask_zero=True) and Masking make one; every layer that does not
support masking drops it (https://keras.io/guides/understanding_masking_and_padding/).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RECURRENT = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"})
CELLS = frozenset({"LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells"})
MERGES = frozenset({"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"})
ATTENTIONS = frozenset({"MultiHeadAttention", "GroupedQueryAttention"})

# Layers that hand the mask of their first input on to their output.
HANDS_ON = frozenset({
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dense", "Dropout", "ELU",
    "GaussianDropout", "GaussianNoise", "GroupNormalization", "GroupedQueryAttention", "Identity", "LayerNormalization",
    "LeakyReLU", "MultiHeadAttention", "Normalization", "PReLU", "ReLU", "Rescaling", "Softmax", "SpatialDropout1D",
    "SpatialDropout2D", "SpatialDropout3D", "TimeDistributed", "UnitNormalization",
})  # fmt: skip

# Layers that compute something else where their input has a mask.
TAKES = RECURRENT | ATTENTIONS | {
    "AdditiveAttention", "Attention", "BatchNormalization", "Bidirectional", "GlobalAveragePooling1D", "Softmax",
    "TimeDistributed",
}  # fmt: skip

_RECURRENT_CALL = ("sequence", "initial_state", "mask", "training")
_QUERY_CALL = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask", "return_attention_scores",
               "training", "use_causal_mask")  # fmt: skip
_ATTENTION_CALL = ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask")
CALLS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(RECURRENT, _RECURRENT_CALL), **dict.fromkeys(CELLS, ("inputs", "states", "training")),
    **dict.fromkeys(ATTENTIONS, _QUERY_CALL), "Attention": _ATTENTION_CALL, "AdditiveAttention": _ATTENTION_CALL,
    "Bidirectional": ("sequences", "initial_state", "mask", "training"), "TimeDistributed": ("inputs", "training", "mask"),
    "BatchNormalization": ("inputs", "training", "mask"), "GlobalAveragePooling1D": ("inputs", "mask"),
    "Softmax": ("inputs", "mask"), "SpectralNormalization": ("inputs", "training"),
    "ReversibleEmbedding": ("inputs", "reverse"),
}  # fmt: skip


def call_names(class_name: str) -> tuple[str, ...]:
    """The parameters of a layer's call."""
    return CALLS.get(class_name, ("inputs", "training"))


def makes(class_name: str, arguments: Mapping[str, Any]) -> bool:
    """Whether the layer makes a mask."""
    return class_name == "Masking" or (
        class_name in ("Embedding", "ReversibleEmbedding") and bool(arguments.get("mask_zero"))
    )


def hands_on(class_name: str, arguments: Mapping[str, Any]) -> bool:
    """Whether the output of a layer with one input has the input's mask."""
    if class_name in RECURRENT:
        return bool(arguments.get("return_sequences"))
    return class_name in HANDS_ON
