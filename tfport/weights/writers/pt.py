"""A ``.pt`` state_dict, tensor by tensor: torch writes the file with holes for the values, which are then filled.

`torch.serialization.skip_data` is made for that. It leaves the records' CRC-32 at zero, which torch does not read but
every other reader of zip files does; the sums are put in with the values (places: PKWARE's APPNOTE, 4.3.7 to 4.3.16).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import BinaryIO

from tfport.weights.errors import WeightsError
from tfport.weights.writers.atomic import atomic_file, put
from tfport.weights.writers.tensor import Tensor, chunks
from tfport.weights.writers.torch_errors import disk_errors

__all__ = ["write_pt"]

Told = Callable[[int], None]

LOCAL_HEADER = 30
"""Bytes before the name in a record's own header; the lengths of name and extra field are its last four."""
CENTRAL_HEADER = 46
"""Bytes before the name in the directory at the end; the CRC-32 is at 16, three lengths are at 28."""
DESCRIPTOR = b"PK\x07\x08"
"""What follows a record's values, before their CRC-32."""


def write_pt(
    path: str, tensors: Mapping[str, Tensor], workers: Executor | None = None, told: Told = lambda count: None
) -> None:
    """What ``torch.save`` of the state_dict writes; ``torch.load(path, weights_only=True)`` reads it.

    ``told`` gets the bytes written. Raises WeightsError, leaving nothing.
    """
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    with disk_errors(path), FakeTensorMode():
        state = {name: torch.empty(t.shape, dtype=getattr(torch, t.dtype)) for name, t in tensors.items()}
    with atomic_file(path) as file:
        with disk_errors(path), torch.serialization.skip_data(materialize_fake_tensors=True):
            torch.save(state, file)
        file.seek(0)
        with zipfile.ZipFile(file) as made:
            records = [info for info in made.infolist() if info.filename.split("/")[-2:-1] == ["data"]]
            directory = made.start_dir
        records.sort(key=lambda info: int(info.filename.rsplit("/", 1)[1]))
        sums = {}
        for record, tensor in zip(records, tensors.values(), strict=True):
            sums[record.filename] = _fill(file, record, tensor, workers, told)
        _sum_up(file, directory, sums)


def _fill(
    file: BinaryIO, record: zipfile.ZipInfo, tensor: Tensor, workers: Executor | None, told: Told
) -> int:
    """The values into their hole, with the CRC-32 behind them, which is returned."""
    if record.file_size != tensor.nbytes:
        raise WeightsError(f"torch left {record.file_size} bytes for {tensor.nbytes}: please report this")
    file.seek(record.header_offset)
    name, extra = struct.unpack("<26xHH", file.read(LOCAL_HEADER))
    file.seek(name + extra, 1)
    total = 0
    for chunk in chunks([tensor], workers):
        total = zlib.crc32(chunk, total)
        put(file, chunk)
        told(len(chunk))
    if tensor.nbytes and file.read(4) == DESCRIPTOR:
        put(file, memoryview(struct.pack("<I", total)))
    return total


def _sum_up(file: BinaryIO, directory: int, sums: Mapping[str, int]) -> None:
    """The sums into the directory at the end of the file."""
    at = directory
    while True:
        file.seek(at)
        header = file.read(CENTRAL_HEADER)
        if header[:4] != b"PK\x01\x02":
            return
        name, extra, comment = struct.unpack("<28xHHH12x", header)
        found = file.read(name).decode()
        if found in sums:
            file.seek(at + 16)
            put(file, memoryview(struct.pack("<I", sums[found])))
        at += CENTRAL_HEADER + name + extra + comment
