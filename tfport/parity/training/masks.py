"""The reference's dropout masks in the place of torch's own: output = input * mask, call by call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F

from tfport.layers.layouts import to_first
from tfport.parity.reference.errors import CaptureError
from tfport.parity.training.context import Context

FUNCTIONS = ("dropout", "dropout1d", "dropout2d", "dropout3d")
RATE = 1e-6


def _arranged(
    mask: torch.Tensor, x: torch.Tensor, name: str, orders: Sequence[tuple[int, ...]]
) -> Iterator[torch.Tensor]:
    """The mask in the axis orders that the candidate may have here, the likeliest first.

    Dropout of whole channels has them first in torch; elsewhere it is the order of the inputs, TensorFlow's own, or
    that of a recorded model, which keeps channels first inside.
    """
    tried = [order for order in orders if len(order) == mask.ndim][:1] or [tuple(range(mask.ndim))]
    if mask.ndim > 2:
        tried.insert(0 if name != "dropout" else len(tried), to_first(mask.ndim))
    for order in tried:
        moved = mask.permute(order)
        if moved.ndim == x.ndim:  # one decision along an axis: the layer draws it once
            moved = moved[tuple(slice(0, 1) if n == 1 else slice(None) for n in x.shape)]
        yield moved


@contextmanager
def fed(context: Context, told: Sequence[Mapping[str, Any]], notes: list[str]) -> Iterator[None]:
    """While open, each call of torch's dropout that is at work multiplies by the next recorded mask.

    A call with another rate gets the mask all the same and is told in `notes`, as are calls that do not come.
    Raises CaptureError, in one line, when the candidate drops more often than the reference, or at another shape.
    """
    rest = list(told)
    before = {name: getattr(F, name) for name in FUNCTIONS}

    def replaced(name: str) -> Any:
        def drop(
            x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
        ) -> torch.Tensor:
            if not training or not p:
                return before[name](x, p, training, inplace)  # type: ignore[no-any-return]
            if not rest:
                raise CaptureError(
                    f"the candidate drops {len(told) + 1} times in a step, the reference {len(told)}"
                )
            entry = rest.pop(0)
            if abs(entry["rate"] - p) > RATE:
                notes.append(f"the rate at {entry['layer']} is {p:g} instead of {entry['rate']:g}")
            mask = torch.from_numpy(context.stored[entry["tensor"]].array.copy()).to(x.device, x.dtype)
            mask = next((m for m in _arranged(mask, x, name, context.orders) if m.shape == x.shape), mask)
            if mask.shape != x.shape:
                shapes = f"{list(x.shape)} instead of {list(mask.shape)}"
                raise CaptureError(f"dropout at {entry['layer']}: its input has shape {shapes}")
            return x * mask

        return drop

    for name in FUNCTIONS:
        setattr(F, name, replaced(name))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(F, name, function)
    if rest:
        left = f"the candidate drops {len(told) - len(rest)} times in a step, the reference {len(told)}"
        notes.append(f"{left}: no dropout at {rest[0]['layer']}")
