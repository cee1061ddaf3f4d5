"""A map for a module, written: what was matched, and what is still open with what would fit it."""

from __future__ import annotations

from typing import Any

from tfport.weights.checkpoint import Checkpoint
from tfport.weights.fitting import pair, untold
from tfport.weights.mapping_file import write_map
from tfport.weights.proposing import proposals

__all__ = ["propose_map"]


def propose_map(
    path: str,
    module: Any,
    checkpoint: Checkpoint,
    *,
    record: Any = None,
    name: str | None = None,
    map: Any = None,
) -> tuple[int, int]:
    """Write the map; returns how many tensors are matched and how many tensors and parameters are still open.

    ``record``, ``name`` and ``map`` are those of `load_weights`. Raises WeightsError, OSError.
    """
    _, targets, matching = pair(module, checkpoint, record=record, name=name, map=map)
    told = {m.way.target for m in matching.matches} | {w.target for w in matching.zeros}
    told |= {way.target for _, way in matching.missing}
    rest = untold(targets, told)
    named = [way.target for _, way in matching.missing] + rest
    write_map(
        path, matching, proposals(targets, named, matching, checkpoint), type(module).__name__, checkpoint
    )
    return len(matching.matches), len(matching.missing) + len(rest) + len(matching.left_over)
