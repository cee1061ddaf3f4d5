"""Own classes as blocks of others, and what two branches leave of a value."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from tfport.source.models.class_trace import NeedsRank, Open, with_rank
from tfport.source.models.spec import Bail
from tfport.source.models.trace import NeedsOrder, Value
from tfport.source.text import Fragment


@dataclasses.dataclass
class Block:
    """An own class as its users see it: its inputs and outputs in forward, and its records."""

    name: str
    parameters: list[str]  # of forward
    inputs: list[Value]
    outputs: list[Value]
    several: bool
    arguments: list[str]  # of the constructor
    sensitive: bool
    records: list[dict[str, Any]]
    training: str | None
    defaults: dict[str, Any]  # of the constructor's arguments, where they are known


def ranked(value: Value, rank: int) -> Value:
    """The value as a block's input of this rank. Raises `Bail` where it has another."""
    made = with_rank(value, rank)
    if len(made.shape) != rank:
        raise Bail("a block gets a value of another rank")
    return made


def join(name: str, a: Value, b: Value) -> Value:
    """What holds of a value that is one of two."""
    if a.flat is not None or b.flat is not None:
        raise NeedsOrder((a.flatten if a.flat is not None else b.flatten) or ast.Pass())
    if a.mask != b.mask:
        raise Bail(f"{name} has another mask after a branch")
    opened = [v.shape for v in (a, b) if isinstance(v.shape, Open)]
    if len(opened) == 1 and (origins := opened[0].origins):
        other = a if isinstance(b.shape, Open) else b
        if len(other.shape) > 3:
            raise NeedsRank(origins, len(other.shape))
    if opened and a.layout == b.layout == "last":
        origins = frozenset().union(*(o.origins for o in opened)) if len(opened) == 2 else frozenset()
        return Value(Fragment(name), Open(origins, a.shape[-1] if a.shape[-1] == b.shape[-1] else None),
                     mask=a.mask)  # fmt: skip
    if a.layout != b.layout or len(a.shape) != len(b.shape):
        raise Bail(f"{name} has another layout after a branch")
    return Value(Fragment(name), tuple(x if x == y else None for x, y in zip(a.shape, b.shape)), a.layout,
                 mask=a.mask)  # fmt: skip
