"""A module's state_dict written without the module: shapes from torch's meta device, values straight from the checkpoint.

So a checkpoint that is larger than the memory can be converted.
"""

from __future__ import annotations

from typing import Any

from tfport.weights.checkpoint import Checkpoint
from tfport.weights.fitting import Fitted
from tfport.weights.patterns import ZEROS, Plan, fill, view
from tfport.weights.writers import Tensor

__all__ = ["state_tensors"]


def state_tensors(module: Any, fitted: Fitted, checkpoint: Checkpoint) -> dict[str, Tensor] | None:
    """The tensors of the module's state_dict, in its order, each read when it is written.

    None when the module has values of its own that no variable gives (buffers it computes), so that it must be built.
    """
    given: dict[int, Tensor] = {}
    for match, moves in zip(fitted.matching.matches, fitted.plans, strict=True):
        held = fitted.targets[match.way.target]
        given[id(held.tensor)] = _moved(checkpoint, match.entry.key, match.entry.dtype, moves)
    for way in fitted.matching.zeros:
        held = fitted.targets[way.target]
        given[id(held.tensor)] = _filled(
            way.pattern, tuple(held.tensor.shape), str(held.tensor.dtype).removeprefix("torch.")
        )
    found = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) in given:
            found[name] = given[id(tensor)]
        elif name.endswith("num_batches_tracked"):
            found[name] = _filled(ZEROS, (), "int64")
        else:
            return None
    return found


def _moved(checkpoint: Checkpoint, key: str, dtype: str, moves: Plan) -> Tensor:
    read, check = checkpoint.apart(key)
    return Tensor(moves.target, dtype, lambda: view(moves, read()), check)


def _filled(pattern: str, shape: tuple[int, ...], dtype: str) -> Tensor:
    from tfport.weights.dtypes import dtype_of

    return Tensor(shape, dtype, lambda: fill(pattern, shape, dtype_of(dtype)))
