"""Reads a golden folder: what `capture` left, checked against its checksums, without TensorFlow."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.manifest import MANIFEST_VERSION, digest, sha256
from tfport.parity.reference.values import NAMES, Value, decode


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

    def tensors(self, entry: dict[str, Any]) -> Tensors:
        """All tensors of a run, read when asked for: `inputs/...`, `outputs/...`, `layers/...`."""
        return read_tensors(self.folder / entry["tensors"])


class Tensors(Mapping[str, Value]):
    """A safetensors file as a lazy mapping of name to `Value`.

    Each access maps the tensor's bytes anew and copies them only where the dtype asks for it; the arrays may
    be written to, which changes neither the file nor a later access. A name whose tensor equals another one
    has that one's data (`home` tells whose). Raises CaptureError when the file is cut short or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            with self.path.open("rb") as file:
                length = file.seek(0, 2)
                file.seek(0)
                (size,) = struct.unpack("<Q", file.read(8))
                if size > length - 8:
                    raise ValueError("its table of contents reaches past its end")
                header = json.loads(file.read(size))
            told = header.pop("__metadata__", {})
            self._labels: dict[str, str] = json.loads(told.get("labels", "{}"))
            self._same: dict[str, str] = json.loads(told.get("same", "{}"))
            self._base = 8 + size
            self._entries: dict[str, tuple[str, tuple[int, ...], int, int]] = {}
            for name, entry in header.items():
                start, end = entry["data_offsets"]
                shape = tuple(int(n) for n in entry["shape"])
                width = 2 if entry["dtype"] == "BF16" else np.dtype(NAMES[entry["dtype"]]).itemsize
                if start < 0 or self._base + end > length or end - start != math.prod(shape) * width:
                    raise ValueError(f"{name} reaches past the end of the file")
                self._entries[name] = (entry["dtype"], shape, start, end)
            if not set(self._same.values()) <= set(self._entries):
                raise ValueError("a tensor that others equal is not there")
        except OSError as error:
            raise CaptureError(f"{path}: {error.strerror}") from None
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CaptureError(f"{path} is damaged: {error}") from None

    def home(self, name: str) -> str:
        """The name under which the data of a tensor lie; equal tensors have one home."""
        return self._same.get(name, name)

    def __getitem__(self, name: str) -> Value:
        home = self.home(name)
        code, shape, start, end = self._entries[home]
        if end == start:
            data = np.zeros((0,), np.uint8)
        else:
            data = np.asarray(np.memmap(self.path, np.uint8, "c", self._base + start, (end - start,)))
        if data.size and (self._base + start) % 8:
            data = data.copy()  # arrays that are not aligned are slow, and refused by some
        try:
            return decode(code, shape, self._labels.get(home), data)
        except (ValueError, TypeError) as error:
            raise CaptureError(f"{self.path} is damaged: {name}: {error}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._same

    def __iter__(self) -> Iterator[str]:
        yield from self._entries
        yield from self._same

    def __len__(self) -> int:
        return len(self._entries) + len(self._same)


FORM: dict[str, Any] = {
    "target": str, "source_sha256": str, "seed": int, "call_args": str, "versions": dict, "sha256": dict, "runs": list,
}  # fmt: skip
RUN: dict[str, Any] = {
    "dtype": str, "kind": str, "tensors": str, "pass_inputs": str, "notes": list, "inputs": list, "outputs": list,
    "weights": dict | None, "layers": list, "wander": dict, "depth": dict, "gradients": dict | None,
    "training": dict | None,
}  # fmt: skip
"""The entries of a manifest and of each of its runs that this side reads, with their types."""


def _misformed(manifest: Mapping[str, Any]) -> str | None:
    """The first entry that is not there or of another type, in words; None where all is as captures write it."""
    places = [("", manifest, FORM)]
    if isinstance(manifest.get("runs"), list):
        places += [(f"runs[{i}].", run, RUN) for i, run in enumerate(manifest["runs"])]
    for place, told, form in places:
        if not isinstance(told, dict):
            return f"{place[:-1]} is {told!r}"
        for name, kind in form.items():
            if name not in told or not isinstance(told[name], kind):
                return f"{place}{name} is {told[name]!r:.40}" if name in told else f"{place}{name} is missing"
    for i, run in enumerate(manifest["runs"]):
        for j, told in enumerate(run["inputs"]):
            if not isinstance(told, dict) or not {"tensor", "name"} <= set(told):
                return f"runs[{i}].inputs[{j}] is {told!r:.40}"
        for file in (run["tensors"], (run["weights"] or {"file": run["tensors"]}).get("file")):
            if file not in manifest["sha256"]:
                return f"runs[{i}] names the file {file!r:.60}, of which there is no checksum"
    return None


LFS = b"version https://git-lfs.github.com/spec/"


def _fetched(path: Path) -> None:
    """Raises CaptureError where a file is the pointer that Git LFS leaves in its place."""
    with path.open("rb") as file:
        if file.read(len(LFS)) == LFS:
            raise CaptureError(
                f"{path} is not here but in Git LFS: git lfs pull (in a CI, check out with lfs: true)"
            )


def read_golden(folder: str | Path) -> Golden:
    """Opens a golden folder and checks every file; raises CaptureError on anything missing or altered."""
    folder = Path(folder)
    path = folder / "manifest.json"
    if not path.is_file():
        raise CaptureError(
            f"{folder} is no golden folder: it has no manifest.json (tfport capture makes one)"
        )
    _fetched(path)
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
    if manifest.get("digest") != digest(manifest):
        raise CaptureError(f"{path} is not what was captured (its digest differs): capture again")
    wrong = _misformed(manifest)
    if wrong:
        raise CaptureError(f"{path} is not as this tfport writes it ({wrong}): capture again")
    for name, expected in manifest["sha256"].items():
        if not (folder / name).is_file():
            raise CaptureError(f"{folder / name} is missing: capture again")
        _fetched(folder / name)
        if sha256(folder / name) != expected:
            raise CaptureError(f"{folder / name} is not what was captured (checksum differs): capture again")
    if not manifest.get("runs"):
        raise CaptureError(f"{folder} holds no run: capture again")
    return Golden(folder, manifest)


def read_tensors(path: str | Path) -> Tensors:
    """Opens a safetensors file as name -> `Value`; raises CaptureError when it is cut short or damaged."""
    return Tensors(path)
