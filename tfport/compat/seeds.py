"""Streams of random numbers for operations that name a seed of their own."""

from __future__ import annotations

from typing import Any

import torch

from tfport.compat.integers import ints

_STREAMS: dict[tuple[int, str], torch.Generator] = {}


def stream(seed: Any, device: torch.device | str = "cpu") -> torch.Generator | None:
    """The generator of a seed, which goes on from call to call; None (torch's own generator) without a seed."""
    if seed is None:
        return None
    key = (int(seed), str(device))
    if key not in _STREAMS:
        _STREAMS[key] = torch.Generator(device).manual_seed(key[0])
    return _STREAMS[key]


def fixed(seed: Any) -> torch.Generator:
    """A fresh generator of a seed of one or two integers: the same numbers at every call."""
    mixed = 0
    for part in ints(seed):
        mixed = (mixed * 6364136223846793005 + part + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(mixed)


def reset() -> None:
    """Start all streams anew, as setting the global seed does."""
    _STREAMS.clear()
