"""Writers: safetensors and ``.pt``. A file is complete or it is not there.

Source of the safetensors layout: the format section of its README (8 bytes length, JSON header, values in a
row). Tensors are written one by one, so memory holds one at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import numpy as np

from tfport.weights.errors import WeightsError

__all__ = ["Tensor", "atomic", "write"]

_SAFE = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "float16": "F16",
    "bfloat16": "BF16", "int32": "I32", "uint32": "U32",
    "float32": "F32", "float64": "F64", "int64": "I64", "uint64": "U64",
    "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip


class Tensor:
    """A tensor to write: shape, dtype name and a function that gives its values as an array in C order."""

    def __init__(self, shape: tuple[int, ...], dtype: str, read: Callable[[], np.ndarray]) -> None:
        self.shape, self.dtype, self.read = shape, dtype, read


@contextlib.contextmanager
def atomic(path: str) -> Iterator[IO[bytes]]:
    """A file to write that appears under ``path`` only when all of it is on disk; on any failure nothing is
    left.
    """
    temporary = os.path.join(os.path.dirname(path) or ".", f".{os.path.basename(path)}.{os.getpid()}.part")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def write(path: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    """Write the tensors in the format that the extension of ``path`` names; returns the bytes of the values."""
    if path.endswith(".safetensors"):
        return _safetensors(path, tensors, metadata)
    if path.endswith((".pt", ".pth")):
        return _pt(path, tensors)
    raise WeightsError(f"{path}: the output must end in .safetensors, .pt or .pth")


def _safetensors(path: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    at = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _SAFE:
            raise WeightsError(f"{path}: safetensors has no {tensor.dtype} ({name}); write a .pt file")
        size = itemsize(tensor.dtype)
        for length in tensor.shape:
            size *= length
        header[name] = {
            "dtype": _SAFE[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, at + size],
        }
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic(path) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for tensor in tensors.values():
            array = np.ascontiguousarray(tensor.read())
            file.write(array.reshape(-1).view(np.uint8).data)
    return at


def itemsize(dtype: str) -> int:
    """Bytes of one value of a dtype name."""
    from tfport.weights.dtypes import dtype_of

    return dtype_of(dtype).itemsize


def _pt(path: str, tensors: Mapping[str, Tensor]) -> int:
    import torch

    from tfport.weights.loading import to_torch

    state = {name: to_torch(tensor.read()) for name, tensor in tensors.items()}
    with atomic(path) as file:
        torch.save(state, file)
    return sum(t.numel() * t.element_size() for t in state.values())
