"""The reference's dropout masks in the place of torch's own: output = input * mask, call by call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F

from tfport.parity.reference.errors import CaptureError
from tfport.parity.training.context import Context

FUNCTIONS = ("dropout", "dropout1d", "dropout2d", "dropout3d")
RATE = 1e-6


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
            for order in context.orders:
                if len(order) == mask.ndim:
                    mask = mask.permute(order)
                    break
            if mask.ndim == x.ndim:  # one decision along an axis: the layer draws it once
                mask = mask[tuple(slice(0, 1) if n == 1 else slice(None) for n in x.shape)]
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
