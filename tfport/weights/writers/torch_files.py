"""torch's own formats: a ``.pt`` state_dict and a distributed checkpoint folder. Both need all tensors in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from tfport.weights.writers.atomic import atomic_file, atomic_folder
from tfport.weights.writers.tensor import Tensor

__all__ = ["write_distributed", "write_pt"]

Told = Callable[[int], None]


def _state(tensors: Mapping[str, Tensor], told: Told) -> dict[str, Any]:
    from tfport.weights.loading import to_torch

    state = {}
    for name, tensor in tensors.items():
        state[name] = to_torch(tensor.array())
        told(tensor.nbytes)
    return state


def write_pt(path: str, tensors: Mapping[str, Tensor], told: Told) -> None:
    """``torch.save`` of the state_dict; ``torch.load(path, weights_only=True)`` reads it."""
    import torch

    state = _state(tensors, told)
    with atomic_file(path) as file:
        torch.save(state, file)


def write_distributed(path: str, tensors: Mapping[str, Tensor], told: Told) -> list[str]:
    """A folder for ``torch.distributed.checkpoint.load``, written by one process. Returns its files."""
    import torch.distributed.checkpoint as dcp

    state = _state(tensors, told)
    with atomic_folder(path) as folder:
        dcp.save(state, checkpoint_id=folder, no_dist=True)
    return [os.path.join(path, name) for name in sorted(os.listdir(path))]
