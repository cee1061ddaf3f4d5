"""Shapes of Keras layers' outputs from their constructor arguments, in TensorFlow's order, without a framework.

A shape is a tuple with the batch first and None where a size is unknown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfport.layers import einsum
from tfport.layers.arguments import many, pairs

Shape = tuple[int | None, ...]
Arguments = Mapping[str, Any]


class UnknownShape(ValueError):
    """No rule for the layer's output shape, or an input that it cannot take."""


def output_shape(class_name: str, arguments: Arguments, shapes: Sequence[Shape]) -> Shape:
    """The shape of what a layer returns for inputs of these shapes.

    ``arguments`` are the constructor's, by name and normalised. Raises UnknownShape.
    """
    first = shapes[0]
    if class_name in _SAME_SHAPE:
        return first
    if class_name in _MERGE:
        return _broadcast(class_name, shapes)
    if class_name in _EXACT:
        return _EXACT[class_name](arguments, shapes)
    match = re.fullmatch(r"([A-Za-z]+?)([123])D(Transpose)?", class_name)
    if match:
        base, rank = match[1] + (match[3] or ""), int(match[2])
        if base in _SPATIAL:
            if len(first) != rank + 2:
                raise UnknownShape(f"{class_name} takes inputs of rank {rank + 2}, not {tuple(first)}")
            return _SPATIAL[base](arguments, first, rank)
    raise UnknownShape(f"the output shape of {class_name} is not known")


def window(size: int | None, kernel: int, stride: int, padding: str, dilation: int = 1) -> int | None:
    """Output size of a convolution or pooling along one axis; padding "valid", "same" or "causal".

    Raises UnknownShape where the window does not fit.
    """
    if size is None:
        return None
    if padding != "valid":
        return -(-size // stride)
    extent = (kernel - 1) * dilation + 1
    if size < extent:
        raise UnknownShape(f"a window of {extent} does not fit a size of {size}")
    return (size - extent) // stride + 1


def transposed(
    size: int | None, kernel: int, stride: int, padding: str, extra: int | None, dilation: int = 1
) -> int | None:
    """Output size of a transposed convolution along one axis (Keras' output_padding is ``extra``)."""
    if size is None:
        return None
    extent = (kernel - 1) * dilation + 1
    if extra is None:
        return size * stride if padding == "same" else size * stride + max(extent - stride, 0)
    cut = 2 * (extent // 2) if padding == "same" else 0
    return (size - 1) * stride + extent - cut + extra


def _conv(filters: Callable[[Arguments, Shape], int | None], kernel: str = "kernel_size") -> Any:
    def shape(a: Arguments, x: Shape, rank: int) -> Shape:
        stride = a.get("strides")
        spans = many(a[kernel], rank)
        strides = spans if stride is None else many(stride, rank)
        dilations = many(a.get("dilation_rate", 1), rank)
        sizes = (window(n, k, s, a["padding"], d) for n, k, s, d in zip(x[1:-1], spans, strides, dilations))
        return (x[0], *sizes, filters(a, x))

    return shape


def _conv_transpose(a: Arguments, x: Shape, rank: int) -> Shape:
    extra = a.get("output_padding")
    parts = zip(x[1:-1], many(a["kernel_size"], rank), many(a["strides"], rank), many(extra, rank),
                many(a["dilation_rate"], rank))  # fmt: skip
    return (x[0], *(transposed(n, k, s, a["padding"], e, d) for n, k, s, e, d in parts), a["filters"])


def _global(a: Arguments, x: Shape, rank: int) -> Shape:
    return (x[0], *(1,) * rank, x[-1]) if a.get("keepdims") else (x[0], x[-1])


def _grown(sign: int, name: str) -> Any:
    def shape(a: Arguments, x: Shape, rank: int) -> Shape:
        sizes = (None if n is None else n + sign * sum(p) for n, p in zip(x[1:-1], pairs(a[name], rank)))
        return (x[0], *sizes, x[-1])

    return shape


def _upsampled(a: Arguments, x: Shape, rank: int) -> Shape:
    return (x[0], *(None if n is None else n * s for n, s in zip(x[1:-1], many(a["size"], rank))), x[-1])


_SPATIAL: dict[str, Callable[[Arguments, Shape, int], Shape]] = {
    "Conv": _conv(lambda a, x: a["filters"]),
    "SeparableConv": _conv(lambda a, x: a["filters"]),
    "DepthwiseConv": _conv(lambda a, x: None if x[-1] is None else x[-1] * a["depth_multiplier"]),
    "MaxPooling": _conv(lambda a, x: x[-1], "pool_size"),
    "AveragePooling": _conv(lambda a, x: x[-1], "pool_size"),
    "ConvTranspose": _conv_transpose,
    "GlobalMaxPooling": _global,
    "GlobalAveragePooling": _global,
    "ZeroPadding": _grown(1, "padding"),
    "Cropping": _grown(-1, "cropping"),
    "UpSampling": _upsampled,
}

_SAME_SHAPE = frozenset({
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Discretization", "Dropout",
    "ELU", "GaussianDropout",
    "GaussianNoise", "GroupNormalization", "Identity", "InputLayer", "LayerNormalization", "LeakyReLU", "Masking",
    "Normalization", "PReLU", "RMSNormalization", "ReLU", "Rescaling", "Softmax", "SpatialDropout1D",
    "SpatialDropout2D", "SpatialDropout3D",
    "ThresholdedReLU", "UnitNormalization",
})  # fmt: skip

_MERGE = frozenset({"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"})


def _broadcast(name: str, shapes: Sequence[Shape]) -> Shape:
    rank = max(map(len, shapes))
    # Keras lines up inputs of different rank after the batch: (N, C) with (N, T, C) is (N, 1, C).
    padded = [(s[0], *(1,) * (rank - len(s)), *s[1:]) for s in shapes]
    sizes: list[int | None] = []
    for column in zip(*padded):
        known = {size for size in column if size not in (1, None)}
        if len(known) > 1:
            raise UnknownShape(f"{name} cannot broadcast {list(shapes)}")
        sizes.append(known.pop() if known else None if None in column else 1)
    return tuple(sizes)


def _dense(a: Arguments, shapes: Sequence[Shape]) -> Shape:
    return (*shapes[0][:-1], a["units"])


def _flatten(a: Arguments, shapes: Sequence[Shape]) -> Shape:
    rest = shapes[0][1:]
    return (shapes[0][0], None if None in rest else math.prod(rest))  # type: ignore[arg-type]


def _reshape(a: Arguments, shapes: Sequence[Shape]) -> Shape:
    target = tuple(a["target_shape"])
    if -1 not in target:
        return (shapes[0][0], *target)
    rest = shapes[0][1:]
    if None in rest:
        return (shapes[0][0], *(None if n == -1 else n for n in target))
    total, known = math.prod(rest), math.prod(n for n in target if n != -1)  # type: ignore[arg-type]
    if known == 0 or total % known:
        raise UnknownShape(f"{rest} does not reshape to {target}")
    return (shapes[0][0], *(total // known if n == -1 else n for n in target))


def _concatenate(a: Arguments, shapes: Sequence[Shape]) -> Shape:
    axis = a["axis"] % len(shapes[0])
    sizes = [s[axis] for s in shapes]
    joined = None if None in sizes else sum(sizes)  # type: ignore[arg-type]
    for column in (i for i in range(1, len(shapes[0])) if i != axis):
        if len({s[column] for s in shapes} - {None}) > 1:
            raise UnknownShape(f"Concatenate(axis={a['axis']}) cannot join {list(shapes)}")
    return (*shapes[0][:axis], joined, *shapes[0][axis + 1 :])


def _dot(a: Arguments, shapes: Sequence[Shape]) -> Shape:
    left, right = shapes
    i, j = many(a["axes"], 2)
    i, j = i % len(left), j % len(right)
    made = (*(n for k, n in enumerate(left) if k != i), *(n for k, n in enumerate(right) if k not in (0, j)))
    return made if len(made) > 1 else (*made, 1)


def _einsum(a: Arguments, shapes: Sequence[Shape]) -> Shape:
    output = a["output_shape"]
    listed = (output,) if isinstance(output, int) else tuple(output)
    return einsum.output_shape(a["equation"], shapes[0], listed)


_EXACT: dict[str, Callable[[Arguments, Sequence[Shape]], Shape]] = {
    "Dense": _dense,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": lambda a, s: (s[0][0], *(s[0][d] for d in a["dims"])),
    "RepeatVector": lambda a, s: (s[0][0], a["n"], s[0][1]),
    "Embedding": lambda a, s: (*s[0], a["output_dim"]),
    "Concatenate": _concatenate,
    "Dot": _dot,
    "EinsumDense": _einsum,
}
