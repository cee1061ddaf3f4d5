"""torch's own formats: a ``.pt`` state_dict and a distributed checkpoint folder. Both need all tensors in memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tfport.weights.errors import WeightsError
from tfport.weights.writers.atomic import atomic_file, atomic_folder
from tfport.weights.writers.tensor import Tensor

__all__ = ["disk_errors", "write_distributed", "write_pt"]

Told = Callable[[int], None]


@contextlib.contextmanager
def disk_errors(path: str) -> Iterator[None]:
    """torch turns a full disk into errors of its own: told as what they are."""
    from torch.distributed.checkpoint import CheckpointException

    try:
        yield
    except (RuntimeError, CheckpointException) as error:
        lines = str(error).strip().splitlines()
        raise WeightsError(f"{path}: cannot be written: {_cause(error) or lines[-1]}") from None


def _cause(error: BaseException | None) -> str:
    """The operating system's message behind an error, if there is one."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return "" if error is None else str(error.strerror or error)


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
    with atomic_file(path) as file, disk_errors(path):
        torch.save(state, file)


def write_distributed(path: str, tensors: Mapping[str, Tensor], told: Told) -> list[str]:
    """A folder for ``torch.distributed.checkpoint.load``, written by one process. Returns its files."""
    import torch.distributed.checkpoint as dcp

    state = _state(tensors, told)
    with atomic_folder(path) as folder, disk_errors(path):
        dcp.save(state, checkpoint_id=folder, no_dist=True)
    return [os.path.join(path, name) for name in sorted(os.listdir(path))]
