"""Places inside what a module returns where one tensor of the reference may be: read them, overwrite them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class Slot:
    """One place. `get(result)` is the tensor there; where it is a view, writing into it writes the result."""

    name: str
    get: Callable[..., torch.Tensor]
    put: Callable[..., None] | None = None
    """Writes a value of the shape that `get` returns; by default into the view."""

    def write(self, result: Any, value: torch.Tensor) -> None:
        """Overwrites the place in a result that `copied` made."""
        if self.put is not None:
            self.put(result, value)
        else:
            self.get(result).copy_(value)


WHOLE = Slot("output", lambda result: result)
"""The result itself."""


def leaves(result: Any) -> list[tuple[Any, ...]]:
    """The paths of the tensors in nested tuples, lists and mappings, in order."""
    if isinstance(result, torch.Tensor):
        return [()]
    found: list[tuple[Any, ...]] = []
    items: Any = ()
    if isinstance(result, Mapping):
        items = result.items()
    elif isinstance(result, (tuple, list)):
        items = enumerate(result)
    for key, part in items:
        found += [(key, *path) for path in leaves(part)]
    return found


def at(result: Any, path: tuple[Any, ...]) -> Any:
    """The tensor at a path."""
    for key in path:
        result = result[key]
    return result


def copied(result: Any) -> Any:
    """The same structure with tensors of its own."""
    if isinstance(result, torch.Tensor):
        return result.clone()
    if isinstance(result, Mapping):
        made = {key: copied(part) for key, part in result.items()}
        kind: Any = type(result)
        return kind(**made) if hasattr(result, "to_tuple") else kind(made)
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*(copied(part) for part in result))
    if isinstance(result, (tuple, list)):
        return type(result)(copied(part) for part in result)
    return result


def slots(result: Any, wanted_rank: int, recurrent: bool, module: Any = None) -> Iterator[Slot]:
    """The places where a tensor of `wanted_rank` axes may be, likely ones first.

    A recurrent module returns the whole sequence and its last states where Keras returns the last output, or
    the sequence alone. Of torch's own recurrent modules it is known which axis is time.
    """
    paths = leaves(result)
    for path in paths:
        yield Slot("output" if not path else f"output {'/'.join(map(str, path))}", lambda r, p=path: at(r, p))
    if not recurrent or wanted_rank != 2:
        return
    own = isinstance(module, torch.nn.RNNBase)
    times = (1, 0) if not own else (1,) if module.batch_first else (0,)
    ways = (False, True) if not own else (module.bidirectional,)
    for number, path in enumerate(paths):
        if at(result, path).ndim != 3 or (own and number > 1):  # the third is an LSTM's cell state
            continue
        if not own or number == 0:
            yield from _of_sequence(path, times, ways)
        if not own or number == 1:
            yield from _of_states(path, ways)


def _of_sequence(path: tuple[Any, ...], times: tuple[int, ...], ways: tuple[bool, ...]) -> Iterator[Slot]:
    """The last outputs in a sequence (batch, time, units) or (time, batch, units)."""
    for axis in times:
        if False in ways:
            yield Slot("the last step", lambda r, p=path, a=axis: at(r, p).select(a, -1))
        if True in ways:
            yield Slot(
                "the last outputs of both directions",
                lambda r, p=path, a=axis: _ends(at(r, p), a),
                lambda r, v, p=path, a=axis: _write_ends(at(r, p), v, a),
            )


def _of_states(path: tuple[Any, ...], ways: tuple[bool, ...]) -> Iterator[Slot]:
    """The last outputs in states (layers * directions, batch, units)."""
    if False in ways:
        yield Slot("the last state", lambda r, p=path: at(r, p)[-1])
    if True in ways:
        yield Slot(
            "the last states of both directions",
            lambda r, p=path: at(r, p)[-2:].transpose(0, 1).flatten(1),
            lambda r, v, p=path: at(r, p)[-2:].copy_(v.unflatten(1, (2, -1)).transpose(0, 1)),
        )


def _ends(sequence: torch.Tensor, axis: int) -> torch.Tensor:
    """Last output of the forward direction beside that of the backward one, (batch, 2 * units)."""
    half = sequence.shape[-1] // 2
    return torch.cat([sequence.select(axis, -1)[:, :half], sequence.select(axis, 0)[:, half:]], 1)


def _write_ends(sequence: torch.Tensor, value: torch.Tensor, axis: int) -> None:
    half = sequence.shape[-1] // 2
    sequence.select(axis, -1)[:, :half] = value[:, :half]
    sequence.select(axis, 0)[:, half:] = value[:, half:]
