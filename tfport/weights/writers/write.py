"""Which writer an output's name asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from tfport.weights.errors import WeightsError
from tfport.weights.writers import safetensors
from tfport.weights.writers.distributed import write_distributed
from tfport.weights.writers.pt import write_pt
from tfport.weights.writers.tensor import Tensor

__all__ = ["ENDINGS", "Writing", "write"]

TORCH = safetensors.CODES.keys() | {"complex128", "float8_e4m3fnuz", "float8_e5m2fnuz"}
"""Dtypes that torch has under the same name and with the same bits."""
ENDINGS = (".safetensors", ".pt", ".pth", ".dcp")


@dataclasses.dataclass(frozen=True)
class Writing:
    """How to write: bytes of a shard (None: one file), threads, and who is told of bytes written."""

    shard_size: int | None = None
    jobs: int = 2
    told: Callable[[int], None] = lambda count: None


def write(
    path: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], how: Writing | None = None
) -> list[str]:
    """Write the tensors in the format that the ending of ``path`` names: .safetensors, .pt, .pth, or .dcp (a folder
    of torch.distributed.checkpoint). Returns the files. Raises WeightsError; nothing is left then.
    """
    how = how or Writing()
    if how.shard_size is not None and not path.endswith(".safetensors"):
        raise WeightsError(f"{path}: only .safetensors is written in shards")
    if path.endswith(".safetensors"):
        total = sum(tensor.nbytes for tensor in tensors.values())
        if how.shard_size is not None and total > how.shard_size:
            return safetensors.write_shards(path, tensors, metadata, how.shard_size, how.jobs, how.told)
        with ThreadPoolExecutor(how.jobs) as workers:
            safetensors.write_file(path, tensors, metadata, workers, how.told)
        return [path]
    for name, tensor in tensors.items():
        if tensor.dtype not in TORCH:
            raise WeightsError(f"{path}: torch has no {tensor.dtype} ({name}): leave it out with --exclude")
    if path.endswith((".pt", ".pth")):
        with ThreadPoolExecutor(how.jobs) as workers:
            write_pt(path, tensors, workers, how.told)
        return [path]
    if path.endswith(".dcp"):
        return write_distributed(path, tensors, how.told)
    raise WeightsError(f"{path}: the output must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
