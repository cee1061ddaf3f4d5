"""safetensors: one file, or shards with an index as the Hugging Face libraries read them.

Source of the layout: the format section of the safetensors README (8 bytes length, JSON header, values in a row), and
for shards the files ``NAME-00001-of-00002.safetensors`` and ``NAME.safetensors.index.json`` of transformers.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from tfport.weights.errors import WeightsError
from tfport.weights.writers.atomic import atomic_file, put
from tfport.weights.writers.tensor import Tensor, chunks

__all__ = ["shard_names", "write_file", "write_shards"]

CODES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16",
    "bfloat16": "BF16", "int32": "I32", "uint32": "U32",
    "float32": "F32", "float64": "F64", "int64": "I64", "uint64": "U64",
    "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
Told = Callable[[int], None]


def write_file(
    path: str,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    workers: Executor | None,
    told: Told,
) -> None:
    """One file, tensor after tensor; ``told`` gets the bytes written. Raises WeightsError, leaving nothing."""
    head = _header(path, tensors, metadata)
    with atomic_file(path) as file:
        put(file, memoryview(head))
        for chunk in chunks(tensors.values(), workers):
            put(file, chunk)
            told(len(chunk))


def _header(path: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    at = 0
    if "__metadata__" in tensors:
        raise WeightsError(
            f"{path}: safetensors has no tensor called __metadata__: leave it out with --exclude"
        )
    for name, tensor in tensors.items():
        if tensor.dtype not in CODES:
            raise WeightsError(
                f"{path}: safetensors has no {tensor.dtype} ({name}): leave it out with --exclude, or"
                " write a .pt file, where torch has it"
            )
        place = [at, at + tensor.nbytes]
        header[name] = {"dtype": CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
        at += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def shard_names(path: str, count: int) -> list[str]:
    """``x.safetensors`` in three: ``x-00001-of-00003.safetensors`` and so on."""
    stem = path.removesuffix(".safetensors")
    return [f"{stem}-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)]


def write_shards(
    path: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], size: int, jobs: int, told: Told
) -> list[str]:
    """Shards of at most ``size`` bytes (a larger tensor has one of its own), ``jobs`` at a time, and their index.

    The index is written last; when a shard fails, those of this call are removed again. Returns the files.
    """
    import joblib

    groups = _groups(tensors, size)
    names = shard_names(path, len(groups))
    index = f"{path}.index.json"
    places = {key: os.path.basename(n) for n, g in zip(names, groups, strict=True) for key in g}
    total = sum(tensor.nbytes for tensor in tensors.values())
    parts = [f"{name}.{os.getpid()}.new" for name in names]
    try:
        failed = joblib.Parallel(n_jobs=jobs, prefer="threads")(
            joblib.delayed(_tried)(write_file, part, group, metadata, None, told)
            for part, group in zip(parts, groups, strict=True)
        )
        for error in filter(None, failed):
            raise error
        for part, name in zip(parts, names, strict=True):
            os.replace(part, name)
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                os.unlink(part)
    told_index = {"metadata": {"total_size": total}, "weight_map": places}
    with atomic_file(index) as file:
        put(file, memoryview(json.dumps(told_index, indent=2).encode() + b"\n"))
    return [*names, index]


def _tried(action: Callable[..., None], *arguments: Any) -> Exception | None:
    """What an action raises: joblib would not wait for the others, which write still when the parts are removed."""
    try:
        action(*arguments)
    except Exception as error:
        return error
    return None


def _groups(tensors: Mapping[str, Tensor], size: int) -> list[dict[str, Tensor]]:
    groups: list[dict[str, Tensor]] = [{}]
    held = 0
    for name, tensor in tensors.items():
        if groups[-1] and held + tensor.nbytes > size:
            groups.append({})
            held = 0
        groups[-1][name] = tensor
        held += tensor.nbytes
    return groups
