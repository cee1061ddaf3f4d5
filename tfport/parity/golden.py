"""Reads a golden folder: what `capture` left, checked against its checksums, without TensorFlow."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfport.parity.capture import CODES, MANIFEST_VERSION, CaptureError, Value, sha256

DTYPES = {code: name for name, code in CODES.items()}


@dataclass
class Golden:
    """A reference run on disk. `runs` are the manifest's entries, one for each dtype."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """One entry for each dtype that was captured."""
        return self.manifest["runs"]

    @property
    def target(self) -> str:
        """What was captured, `model.py:build`."""
        return self.manifest["target"]

    def run(self, dtype: str) -> dict[str, Any]:
        """The entry of one dtype; raises CaptureError naming the dtypes that are there."""
        for entry in self.runs:
            if entry["dtype"] == dtype:
                return entry
        have = ", ".join(entry["dtype"] for entry in self.runs)
        raise CaptureError(f"{self.folder} was captured in {have}, not in {dtype}")

    def tensors(self, entry: dict[str, Any]) -> dict[str, Value]:
        """All tensors of a run: `inputs/...`, `outputs/...`, `layers/...`."""
        return read_tensors(self.folder / entry["tensors"])


def read_golden(folder: str | Path) -> Golden:
    """Opens a golden folder and checks every file; raises CaptureError on anything missing or altered."""
    folder = Path(folder)
    path = folder / "manifest.json"
    if not path.is_file():
        raise CaptureError(
            f"{folder} is no golden folder: it has no manifest.json (tfport capture makes one)"
        )
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise CaptureError(f"{path} is damaged: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != "tfport golden":
        raise CaptureError(f"{path} is not a manifest of tfport capture")
    if manifest.get("version") != MANIFEST_VERSION:
        version = manifest.get("version")
        raise CaptureError(
            f"{path} has format {version}, this tfport reads {MANIFEST_VERSION}: capture again"
        )
    for name, digest in manifest["sha256"].items():
        if not (folder / name).is_file():
            raise CaptureError(f"{folder / name} is missing: capture again")
        if sha256(folder / name) != digest:
            raise CaptureError(f"{folder / name} is not what was captured (checksum differs): capture again")
    if not manifest.get("runs"):
        raise CaptureError(f"{folder} holds no run: capture again")
    return Golden(folder, manifest)


def read_tensors(path: str | Path) -> dict[str, Value]:
    """Reads a safetensors file into name -> `Value`; raises CaptureError when it is cut short or damaged."""
    data = Path(path).read_bytes()
    try:
        (size,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + size])
        labels = json.loads(header.pop("__metadata__", {}).get("labels", "{}"))
        return {name: _read(entry, labels.get(name), data, 8 + size) for name, entry in header.items()}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaptureError(f"{path} is damaged: {error}") from None


def _read(entry: dict[str, Any], label: str | None, data: bytes, base: int) -> Value:
    start, end = entry["data_offsets"]
    dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
    stored = np.dtype("<u2") if dtype == "bfloat16" else np.dtype(dtype).newbyteorder("<")
    if base + end > len(data) or end - start != math.prod(shape) * stored.itemsize:
        raise ValueError("a tensor reaches past the end of the file")
    array = np.frombuffer(data, stored, math.prod(shape), base + start).reshape(shape)
    array = array.astype(stored.newbyteorder("="))
    if dtype == "bfloat16":
        return Value((array.astype(np.uint32) << 16).view(np.float32), dtype)
    if label == "string":
        sizes, texts = json.loads(array.tobytes())
        return Value(np.array(texts, dtype=object).reshape(sizes), label)
    if label is not None and "complex" in label:
        array = array.view(np.complex64 if dtype == "float32" else np.complex128)[..., 0]
    return Value(array, label or dtype)
