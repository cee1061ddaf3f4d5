"""TensorFlow's indexing where torch's differs: no wrapping of negative indices, negative strides, masks of slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def bounded(indices: torch.Tensor, shape: Sequence[int]) -> tuple[torch.Tensor, ...]:
    """The components of ``indices`` [..., k] for indexing; a negative one is moved out of range, so that it raises.

    No value is read back from the device.
    """
    parts = indices.long().unbind(-1)
    return tuple(torch.where(part < 0, size, part) for part, size in zip(parts, shape, strict=False))


def scattered(tensor: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, add: bool) -> torch.Tensor:
    """A copy of ``tensor`` with ``updates`` set or added at ``indices`` [..., k]. IndexError out of range."""
    return tensor.index_put(bounded(indices, tensor.shape), updates.to(tensor.dtype), accumulate=add)


def strided(
    tensor: torch.Tensor,
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int] | None,
    masks: tuple[int, int, int, int, int],
) -> torch.Tensor:
    """``tf.strided_slice``: ``masks`` are the bit masks of begin, end, ellipsis, new axis and shrunk axis."""
    no_begin, no_end, ellipsis, new_axis, shrink = masks
    items: list[Any] = []
    for bit, (first, last) in enumerate(zip(begin, end, strict=True)):
        step = 1 if strides is None else strides[bit]
        if ellipsis >> bit & 1:
            items.append(Ellipsis)
        elif new_axis >> bit & 1:
            items.append(None)
        elif shrink >> bit & 1:
            items.append(first)
        else:
            items.append(
                slice(None if no_begin >> bit & 1 else first, None if no_end >> bit & 1 else last, step)
            )
    return take(tensor, items)


def take(tensor: Any, items: Sequence[Any]) -> Any:
    """``tensor[items]`` with negative steps: the axis is reversed first. What is no tensor is indexed as it is."""
    if not isinstance(tensor, torch.Tensor):
        return tensor[items[0] if len(items) == 1 else tuple(items)]
    used = sum(item is not None and item is not Ellipsis for item in items)
    axis, chosen = 0, []
    for item in items:
        if item is Ellipsis:
            axis += tensor.ndim - used
        elif item is not None:
            if isinstance(item, slice) and item.step is not None and item.step < 0:
                places = range(*item.indices(tensor.shape[axis]))
                tensor = tensor.index_select(
                    axis, torch.tensor(list(places), dtype=torch.long, device=tensor.device)
                )
                item = slice(None)
            axis += 1
        chosen.append(item)
    return tensor[tuple(chosen)]
