"""Keras' implicit masks at run time: attributes of tensors and symbols, put into calls and on results as Keras does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tfport.compat.keras.symbol import Symbol
from tfport.layers import masks

NAME = "_keras_mask"


def of(value: Any) -> Any:
    """The mask of a tensor or symbol, the masks of a list of them; None where there is none."""
    if isinstance(value, list | tuple):
        return [of(item) for item in value]
    return getattr(value, NAME, None) if isinstance(value, torch.Tensor | Symbol) else None


def any_in(value: Any) -> bool:
    """Whether a mask is anywhere in the values."""
    if isinstance(value, list | tuple):
        return any(any_in(item) for item in value)
    if isinstance(value, dict):
        return any(any_in(item) for item in value.values())
    return isinstance(value, torch.Tensor | Symbol) and getattr(value, NAME, None) is not None


def put(value: Any, mask: Any) -> Any:
    """The value with its mask, structure by structure; a tensor that has one already keeps it."""
    if isinstance(value, list | tuple):
        listed = list(mask) if isinstance(mask, list | tuple) else [mask]
        for item, one in zip(value, listed):
            put(item, one)
    elif isinstance(value, torch.Tensor | Symbol) and mask is not None and getattr(value, NAME, None) is None:
        setattr(value, NAME, mask)
    return value


def with_mask(value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Another tensor with the same values, and a mask."""
    made = value.view_as(value)
    setattr(made, NAME, mask)
    return made


def without(value: Any) -> bool:
    """Whether a structure of masks holds none."""
    return all(without(v) for v in value) if isinstance(value, list | tuple) else value is None


def populated(names: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
    """The call's arguments with the masks that Keras fills in: ``mask`` where one argument holds tensors, otherwise
    ``<argument>_mask`` for each that the call has.
    """
    tensors = {name: value for name, value in given.items() if _holds_tensor(value)}
    made = dict(given)
    if len(tensors) == 1 and "mask" in names and given.get("mask") is None:
        found = of(next(iter(tensors.values())))
        if not without(found):
            made["mask"] = found
    elif len(tensors) > 1:
        for name, value in tensors.items():
            if (
                f"{name}_mask" in names
                and given.get(f"{name}_mask") is None
                and not without(found := of(value))
            ):
                made[f"{name}_mask"] = found
    return made


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_tensor(item) for item in value)
    return isinstance(value, torch.Tensor | Symbol)


def result(class_name: str, arguments: dict[str, Any], inputs: Any, before: Any) -> Any:
    """The mask of what a layer of the rules returns, from its first argument and the mask before it."""
    if class_name in ("Embedding", "ReversibleEmbedding"):
        numbers = not inputs.is_floating_point()  # vectors that are projected back have no mask
        return (
            torch.ne(inputs, 0)
            if arguments.get("mask_zero") and (numbers or class_name == "Embedding")
            else None
        )
    if class_name == "Masking":
        return torch.any(torch.ne(inputs, arguments["mask_value"]), -1)
    if without(before):
        return None
    if class_name == "Bidirectional":
        sequences = arguments["layer"].arguments["return_sequences"]
        first = before[0] if isinstance(before, list) else before
        return None if not sequences else first if arguments["merge_mode"] else [first, first]
    if class_name in masks.MERGES:
        return None if any(m is None for m in before) else _joined(before)
    if class_name == "Concatenate":
        return _concatenated(inputs, before, arguments["axis"])
    if class_name in ("Attention", "AdditiveAttention"):
        return before[0]
    if not masks.hands_on(class_name, arguments):
        return None
    return before[0] if isinstance(before, list) and class_name in masks.RECURRENT else before


def _joined(found: Sequence[Any]) -> Any:
    made = found[0]
    for mask in found[1:]:
        made = torch.logical_or(made, mask)
    return made


def _concatenated(inputs: Sequence[Any], found: Sequence[Any], axis: int) -> Any:
    """True where any of the joined inputs is at a step that counts; an input without a mask counts everywhere."""
    made = []
    for value, mask in zip(inputs, found, strict=True):
        if mask is None:
            made.append(torch.ones_like(value, dtype=torch.bool))
        elif len(mask.shape) < len(value.shape):
            made.append(
                torch.logical_or(torch.unsqueeze(mask, -1), torch.zeros_like(value, dtype=torch.bool))
            )
        else:
            made.append(mask)
    return torch.any(torch.cat(made, axis), -1)
