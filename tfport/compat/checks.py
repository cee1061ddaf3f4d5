"""What assertions and printing share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tfport.compat.arguments import to_tensor


def hold(condition: torch.Tensor, message: str | None, what: str, data: Sequence[Any]) -> None:
    """AssertionError unless every value of ``condition`` is true. Compiled code asserts on the device instead."""
    if torch.compiler.is_compiling():
        torch._assert_async(condition.all())
    elif not bool(condition.all()):
        shown = " ".join(text(value, 3) for value in data)
        raise AssertionError(" ".join(part for part in (message, f"{what} does not hold:", shown) if part))


def compared(
    x: Any,
    y: Any,
    message: str | None,
    data: Sequence[Any] | None,
    relation: str,
    compare: Callable[..., torch.Tensor],
) -> None:
    """AssertionError unless ``compare(x, y)`` holds everywhere; numbers take the other side's dtype."""
    first = to_tensor(x, y.dtype if isinstance(y, torch.Tensor) else None)
    second = to_tensor(y, first.dtype, first.device)
    hold(compare(first, second), message, f"x {relation} y", [first, second] if data is None else data)


def text(value: Any, summarize: int) -> str:
    """A value as tf.print writes it: ``[1 2 3 ... 8 9 10]``, floats with the digits that tell them apart."""
    if isinstance(value, torch.Tensor):
        return _array(value.detach().cpu(), summarize, 1)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {text(v, summarize)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        inside = ", ".join(text(v, summarize) for v in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return str(value)


def _array(values: torch.Tensor, summarize: int, depth: int) -> str:
    if values.ndim == 0:
        return _number(values)
    length = values.shape[0]
    cut = 0 <= 2 * summarize < length
    places = [*range(summarize), *range(length - summarize, length)] if cut else list(range(length))
    parts = [_array(values[i], summarize, depth + 1) for i in places]
    if cut:
        parts.insert(summarize, "...")
    return "[" + (" " if values.ndim == 1 else "\n" * (values.ndim - 1) + " " * depth).join(parts) + "]"


def _number(value: torch.Tensor) -> str:
    number = value.item()
    if isinstance(number, bool):
        return str(int(number))
    if not isinstance(number, float):
        return str(number)
    for digits in range(6, 18):
        if torch.tensor(float(f"{number:.{digits}g}"), dtype=value.dtype).item() == number:
            return f"{number:.{digits}g}"
    return f"{number:g}"


def show(
    values: Sequence[Any], stream: Any, summarize: int | None, sep: str, end: str, brackets: bool = False
) -> None:
    """Write values to ``stream`` (a file, ``"file://path"`` to append to, or None for stderr)."""
    limit = 3 if summarize is None else summarize
    parts = [text(v, limit) for v in values]
    if brackets:
        parts = [
            p if isinstance(v, str) or p.startswith("[") else f"[{p}]"
            for p, v in zip(parts, values, strict=True)
        ]
    line = sep.join(parts) + end
    if isinstance(stream, str) and stream.startswith("file://"):
        with open(stream.removeprefix("file://"), "a", encoding="utf-8") as file:
            file.write(line)
    else:
        (sys.stderr if stream is None or isinstance(stream, str) else stream).write(line)
