"""The equation of an EinsumDense: what it says of the shapes of kernel, bias and output."""

from __future__ import annotations

import re
from collections.abc import Sequence

Shape = Sequence[int | None]


def parts(equation: str) -> tuple[str, str, str, bool, bool]:
    """The letters of input, kernel and output, and whether further axes stand before or after them.

    Raises ValueError for what is no such equation.
    """
    form = r"(\.{3})?([a-zA-Z]*)(\.{3})?,([a-zA-Z]+)->(\.{3})?([a-zA-Z]*)(\.{3})?"
    match = re.fullmatch(form, equation.replace(" ", ""))
    if not match:
        raise ValueError(f"EinsumDense: the equation {equation!r} is not understood")
    return match[2], match[4], match[6], bool(match[1]), bool(match[3])


def kernel_sizes(
    equation: str, bias_axes: str | None, shape: Shape, output: Sequence[int | None]
) -> tuple[list[int], list[int] | None, list[int], list[int]]:
    """Shapes of kernel and bias, and the kernel's axes that come from the input and go to the output.

    ``shape`` is the input's with the batch, ``output`` Keras' output_shape without it. Raises ValueError for an equation
    that does not fit, or a size that is not known.
    """
    left, kernel, right, before, after = parts(equation)
    sizes: dict[str, int | None] = {}
    if before:
        sizes.update(zip(reversed(left), reversed(shape)))
    else:
        sizes.update(zip(left, shape))
    given = [None, *output] if not (before or after) else list(output)
    if before:
        results = dict(zip(reversed(right), reversed(given)))
    else:
        results = dict(zip(right, given if not after else [None, *output]))
    for letter, size in results.items():
        if sizes.get(letter) is None:
            sizes[letter] = size
        elif size is not None and sizes[letter] != size and letter in left:
            raise ValueError(
                f"EinsumDense: axis {letter} has {sizes[letter]} values, the output shape says {size}"
            )
    missing = [c for c in kernel if sizes.get(c) is None]
    if missing:
        raise ValueError(f"EinsumDense: the size of {', '.join(missing)} is not known")
    bias = None
    if bias_axes is not None:
        first = min(right.index(c) for c in bias_axes)
        bias = [int(sizes[c]) if c in bias_axes else 1 for c in right[first:]]  # type: ignore[arg-type]
        if after:
            bias += [1] * (len(shape) - len(left))
    inputs = [i for i, c in enumerate(kernel) if c in left]
    outputs = [i for i, c in enumerate(kernel) if c in right and c not in left]
    return [int(sizes[c]) for c in kernel], bias, inputs, outputs  # type: ignore[arg-type]


def output_shape(equation: str, shape: Shape, output: Sequence[int | None]) -> tuple[int | None, ...]:
    """The shape of the result for an input of ``shape`` with the batch."""
    left, _, right, before, after = parts(equation)
    pairs = zip(reversed(left), reversed(shape)) if before else zip(left, shape)
    sizes: dict[str, int | None] = dict(pairs)
    given = list(output) if before else [None, *output]
    told = zip(reversed(right), reversed(given)) if before else zip(right, given)
    sizes.update((c, n) for c, n in told if n is not None)
    made = tuple(sizes.get(c) for c in right)
    extra = len(shape) - len(left)
    return (
        (*tuple(shape)[:extra], *made) if before else (*made, *tuple(shape)[len(left) :]) if after else made
    )
