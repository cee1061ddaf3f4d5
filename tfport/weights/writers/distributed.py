"""A folder of ``torch.distributed.checkpoint``, written by one process, tensor by tensor."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfport.weights.writers.atomic import atomic_folder
from tfport.weights.writers.tensor import Tensor
from tfport.weights.writers.torch_errors import disk_errors

__all__ = ["HELD", "write_distributed"]

Told = Callable[[int], None]

HELD = 1 << 30
"""Bytes that may be in one file: torch keeps in memory what it has written into a file until the file is done."""


def write_distributed(path: str, tensors: Mapping[str, Tensor], told: Told = lambda count: None) -> list[str]:
    """A folder for ``torch.distributed.checkpoint.load``: one file, or one for each tensor where they are more than
    `HELD`. Returns its files. Raises WeightsError, leaving nothing.
    """
    import torch
    import torch.distributed.checkpoint as dcp

    class Reading(dcp.DefaultSavePlanner):
        """Plans with shapes, and reads a tensor when it is to be written."""

        def lookup_object(self, index: Any) -> Any:
            tensor = tensors[index.fqn]
            values = torch.from_numpy(tensor.array().reshape(-1).view(np.uint8))
            told(tensor.nbytes)
            return values.view(getattr(torch, tensor.dtype)).reshape(tensor.shape)

    state = {
        name: torch.empty(t.shape, dtype=getattr(torch, t.dtype), device="meta")
        for name, t in tensors.items()
    }
    together = sum(tensor.nbytes for tensor in tensors.values()) <= HELD
    with atomic_folder(path) as folder, disk_errors(path):
        writer = dcp.FileSystemWriter(folder, single_file_per_rank=together, sync_files=False)
        dcp.save(state, storage_writer=writer, planner=Reading(), no_dist=True)
    return [os.path.join(path, name) for name in sorted(os.listdir(path))]
