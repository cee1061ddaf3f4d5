"""``.keras``: a zip of config.json, metadata.json and model.weights.h5.

Nothing is extracted; the stored member is mapped in place. The member's crc32 is checked. Code in the config
(Lambda layers) is never looked at: only names, classes and order are.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from typing import Any

from tfport.weights.checkpoint import Checkpoint
from tfport.weights.errors import WeightsError, brief
from tfport.weights.hdf5 import open_hdf5
from tfport.weights.keras_weights import read_weights_h5

__all__ = ["config_of", "read_keras"]

_WEIGHTS = "model.weights.h5"
_LARGEST_CONFIG = 1 << 26
_LARGEST_RATIO = 200
_SMALL = 1 << 24


def read_keras(data: memoryview, path: str, *, verify: bool = True) -> Checkpoint:
    """Read a mapped `.keras` file."""
    try:
        archive = zipfile.ZipFile(_File(data))
        names = archive.namelist()
        if _WEIGHTS not in names:
            other = [n for n in names if n.endswith((".npy", ".npz", ".h5", ".json"))]
            if other and all(n.endswith(".npy") for n in names):
                raise WeightsError(
                    f"{path}: NumPy arrays: give them as load_weights(module, dict(numpy.load({path!r})))"
                )
            raise WeightsError(
                f"{path}: a zip without {_WEIGHTS}: not a .keras file (it holds {', '.join(other) or 'none'})"
            )
        config = None
        if "config.json" in names:
            _check_packed(archive.getinfo("config.json"), path)
            if archive.getinfo("config.json").file_size > _LARGEST_CONFIG:
                raise WeightsError(f"{path}: its config.json is too large: refused")
            config = config_of(archive.read("config.json"), path)
        member = _member(archive, data, path, verify)
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        OSError,
        NotImplementedError,
        EOFError,
        RuntimeError,
    ) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path}: a damaged .keras file ({brief(error)})") from None
    root = open_hdf5(member, path)
    checkpoint = read_weights_h5(root, member, path, config)
    checkpoint.format = "Keras .keras"
    checkpoint.config = config
    return checkpoint


def config_of(text: bytes, path: str) -> dict[str, Any] | None:
    """A model's config.json; None where it is no object. Raises WeightsError on what is no JSON."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: its config.json is damaged ({brief(error)})") from None
    return config if isinstance(config, dict) else None


def _check_packed(info: zipfile.ZipInfo, path: str) -> None:
    if info.file_size > _SMALL and info.file_size > _LARGEST_RATIO * info.compress_size:
        raise WeightsError(
            f"{path}: {info.filename} unpacks to more than {_LARGEST_RATIO} times its size: refused"
        )


def _member(archive: zipfile.ZipFile, data: memoryview, path: str, verify: bool) -> memoryview:
    """The bytes of model.weights.h5: a view where it is stored, unpacked where it is deflated."""
    info = archive.getinfo(_WEIGHTS)
    if info.compress_type != zipfile.ZIP_STORED:
        _check_packed(info, path)
        return memoryview(archive.read(info))
    at = info.header_offset
    if bytes(data[at : at + 4]) != b"PK\x03\x04":
        raise WeightsError(f"{path}: the zip's directory points to no member: damaged")
    start = (
        at
        + 30
        + int.from_bytes(data[at + 26 : at + 28], "little")
        + int.from_bytes(data[at + 28 : at + 30], "little")
    )
    member = data[start : start + info.file_size]
    if len(member) != info.file_size:
        raise WeightsError(f"{path}: {_WEIGHTS} is cut off: the file is truncated")
    if verify and zlib.crc32(member) != info.CRC:
        raise WeightsError(f"{path}: crc mismatch of {_WEIGHTS}: the file is damaged")
    return member


class _File(io.BytesIO):
    """zipfile wants a file; this one copies nothing but what is read."""

    def __init__(self, data: memoryview) -> None:
        super().__init__()
        self.data, self.at = data, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = max(0, offset + (0, self.at, len(self.data))[whence])
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, size: int | None = -1) -> bytes:
        end = len(self.data) if size is None or size < 0 else self.at + size
        piece = bytes(self.data[self.at : end])
        self.at += len(piece)
        return piece
