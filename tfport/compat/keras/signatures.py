"""Where a call's arguments land in the signature of a layer's own ``call``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any


def positional(function: Callable[..., Any], name: str, given: Sequence[Any]) -> Any:
    """What a parameter gets by position, None if it gets nothing so."""
    names = list(inspect.signature(function).parameters)
    place = names.index(name) if name in names else len(given)
    return given[place] if place < len(given) else None


def is_left_out(function: Callable[..., Any], name: str, given: int) -> bool:
    """Whether a function has a parameter that ``given`` positional arguments do not reach."""
    names = list(inspect.signature(function).parameters)
    return name in names and names.index(name) >= given
