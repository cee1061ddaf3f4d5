"""Where the axes of a value go between TensorFlow's order (channels last) and torch's (channels first).

"last" is TensorFlow's order (N, spatial..., C), "first" is torch's (N, C, spatial...). Values of rank 1 and 2 have
no layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Layers that treat every element alike, so that a flattened value keeps its order through them.
ELEMENTWISE_LAYERS = frozenset({
    "Activation", "ActivityRegularization", "AlphaDropout", "Dropout", "ELU", "GaussianDropout", "GaussianNoise",
    "Identity", "LeakyReLU", "ReLU", "Rescaling",
})  # fmt: skip

ELEMENTWISE_ACTIVATIONS = frozenset({
    None, "celu", "elu", "exponential", "gelu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softsign",
    "swish", "tanh",
})  # fmt: skip

ELEMENTWISE_OPS = frozenset({
    "tf.abs", "tf.add", "tf.add_n", "tf.divide", "tf.exp", "tf.math.abs", "tf.math.add", "tf.math.exp",
    "tf.math.multiply", "tf.math.sigmoid", "tf.math.subtract", "tf.math.tanh", "tf.maximum", "tf.minimum",
    "tf.multiply", "tf.nn.elu", "tf.nn.leaky_relu", "tf.nn.relu", "tf.nn.relu6", "tf.nn.selu", "tf.nn.sigmoid",
    "tf.nn.silu", "tf.nn.softplus", "tf.nn.softsign", "tf.nn.swish", "tf.nn.tanh", "tf.sigmoid", "tf.sqrt",
    "tf.square", "tf.stop_gradient", "tf.subtract", "tf.tanh",
})  # fmt: skip


def to_first(rank: int) -> tuple[int, ...]:
    """The permutation from TensorFlow's order to torch's: rank 4 -> (0, 3, 1, 2)."""
    return (0, rank - 1, *range(1, rank - 1))


def to_last(rank: int) -> tuple[int, ...]:
    """The permutation from torch's order to TensorFlow's: rank 4 -> (0, 2, 3, 1)."""
    return (0, *range(2, rank), 1)


def axis_in(layout: str, axis: int, rank: int) -> int:
    """The position that TensorFlow's ``axis`` has in a value of this layout; rank 4, first: -1 -> 1, 1 -> 2.

    Raises ValueError if the axis is out of range.
    """
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is out of range for rank {rank}")
    if layout != "first" or rank < 3:
        return axis
    return to_first(rank).index(axis % rank)


def map_axes(layout: str, axis: Any, rank: int) -> Any:
    """`axis_in` for an axis or a tuple of them; None stays."""
    if axis is None:
        return None
    if isinstance(axis, Sequence):
        return tuple(axis_in(layout, a, rank) for a in axis)
    return axis_in(layout, axis, rank)


def reordered(shape: Sequence[int | None], layout: str) -> tuple[int | None, ...]:
    """A shape in TensorFlow's order as it is in this layout."""
    if layout != "first" or len(shape) < 3:
        return tuple(shape)
    return tuple(shape[i] for i in to_first(len(shape)))


def alike(shape: Sequence[int | None]) -> bool:
    """Whether both layouts hold the elements in one order: all spatial sizes are 1, or there is one channel."""
    return len(shape) < 3 or shape[-1] == 1 or all(size == 1 for size in shape[1:-1])
