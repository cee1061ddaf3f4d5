"""Which format a path holds, told by its content; the extension is not asked."""

from __future__ import annotations

import os
import re
from typing import Any

from tfport.weights.checkpoint import Checkpoint
from tfport.weights.errors import WeightsError, brief
from tfport.weights.files import mapped
from tfport.weights.folders import beside, prefix_in, v1_files

__all__ = ["read_checkpoint"]

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_checkpoint(path: str | os.PathLike[str], *, verify: bool = True) -> Checkpoint:
    """Open a TensorFlow or Keras checkpoint without TensorFlow.

    ``path`` is a ``.weights.h5``, ``.keras`` or ``.h5`` file, the ``.weights.json`` of sharded weights, the prefix,
    index or shard of a V2 checkpoint, a folder with one, a V1 checkpoint (its file, a shard or their prefix), a
    SavedModel or TF Hub folder, or a frozen graph. Returns a read-only mapping from the names in the file to arrays in
    TensorFlow's layout; a value is read (memory-mapped where possible) when it is asked for. ``verify`` checks the stored
    crc of every tensor read. Raises WeightsError, one line, on anything that is no such file or is damaged.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        return _folder(path, verify)
    if not os.path.isfile(path):
        if os.path.isfile(path + ".index"):
            return _bundle(path, verify)
        if shards := v1_files(path):
            return _v1(path, shards)
        raise WeightsError(f"{path}: no such file, folder or checkpoint prefix{beside(path)}")
    data = mapped(path)
    if not len(data):
        raise WeightsError(f"{path}: the file is empty")
    head = bytes(data[:8])
    if head[:4] == b"PK\x03\x04":
        from tfport.weights.keras_zip import read_keras

        return _guarded(path, lambda: read_keras(data, path, verify=verify))
    if _is_hdf5(data):
        return _guarded(path, lambda: _hdf5(data, path))
    from tfport.weights.bundle import prefix_of
    from tfport.weights.sstable import MAGIC

    if bytes(data[-8:]) == MAGIC or path.endswith(".index"):
        if not path.endswith(".index"):
            return _table(path, data)
        return _bundle(prefix_of(path), verify)
    if re.search(r"\.data-\d{5}-of-\d{5}$", path):
        if os.path.isfile(prefix_of(path) + ".index"):
            return _bundle(prefix_of(path), verify)
        raise WeightsError(
            f"{path}: a shard without its index: {os.path.basename(prefix_of(path))}.index is missing"
        )
    if path.endswith(".meta") and os.path.isfile(path.removesuffix(".meta") + ".index"):
        return _bundle(path.removesuffix(".meta"), verify)
    if os.path.basename(path) == "checkpoint":
        return _folder(os.path.dirname(path) or ".", verify)
    if os.path.basename(path) == "saved_model.pb":
        return _folder(os.path.dirname(path) or ".", verify)
    if head[:1] == b"{":
        from tfport.weights.keras_shards import is_sharded, read_sharded

        if is_sharded(data):
            return _guarded(path, lambda: read_sharded(data, path))
    from tfport.weights.graphdef import looks_like_graph, read_graph

    if looks_like_graph(data):
        try:
            return read_graph(data, path)
        except WeightsError as error:
            message = str(error)
            raise WeightsError(message if message.startswith(path) else f"{path}: {message}") from None
    raise WeightsError(f"{path}: not a TensorFlow or Keras checkpoint{_looks_like(path, data)}")


def _guarded(path: str, read):  # type: ignore[no-untyped-def]
    """h5py's errors on damaged files, in one line."""
    from tfport.weights.hdf5 import HDF5_ERRORS

    try:
        return read()
    except WeightsError as error:
        message = str(error)
        raise WeightsError(message if message.startswith(path) else f"{path}: {message}") from None
    except HDF5_ERRORS as error:
        raise WeightsError(f"{path}: a damaged HDF5 file ({type(error).__name__}: {brief(error)})") from None


def _is_hdf5(data: memoryview) -> bool:
    """The signature stands at 0, 512, 1024, ... (a user block may precede it)."""
    at = 0
    while at + 8 <= len(data) and at <= 1 << 20:
        if bytes(data[at : at + 8]) == _HDF5:
            return True
        at = at * 2 or 512
    return False


def _hdf5(data: memoryview, path: str) -> Checkpoint:
    from tfport.weights.hdf5 import open_hdf5
    from tfport.weights.keras_h5 import is_legacy, read_legacy_h5
    from tfport.weights.keras_weights import read_weights_h5

    root = open_hdf5(data, path)
    if is_legacy(root):
        return read_legacy_h5(root, data, path)
    checkpoint = read_weights_h5(root, data, path, _config_beside(path))
    if not checkpoint:
        raise WeightsError(f"{path}: an HDF5 file without Keras weights (no layer_names, no vars groups)")
    return checkpoint


def _config_beside(path: str) -> dict[str, Any] | None:
    """The config.json of a `.keras` that is a folder (``model.save(folder, zipped=False)``)."""
    from tfport.weights.keras_zip import config_of

    config = os.path.join(os.path.dirname(path), "config.json")
    if os.path.basename(path) != "model.weights.h5" or not os.path.isfile(config):
        return None
    return config_of(bytes(mapped(config)), path)


def _bundle(prefix: str, verify: bool) -> Checkpoint:
    from tfport.weights.bundle import read_bundle

    return read_bundle(prefix, verify=verify)


def _v1(path: str, files: list[str]) -> Checkpoint:
    from tfport.weights.v1 import read_v1

    return read_v1(path, files)


def _table(path: str, data: memoryview) -> Checkpoint:
    """A table that is not called .index: a V1 checkpoint, or the renamed index of a V2 one."""
    from tfport.weights.sstable import Table
    from tfport.weights.v1 import is_v1

    try:
        header = Table(data).find(b"") or b""
        if is_v1(header):
            return _v1(path, v1_files(path) or [path])
    except WeightsError as error:
        message = str(error)
        raise WeightsError(message if message.startswith(path) else f"{path}: {message}") from None
    raise WeightsError(
        f"{path}: the index of a V2 checkpoint must be called <prefix>.index, beside <prefix>.data-..."
    )


def _folder(path: str, verify: bool) -> Checkpoint:
    """A SavedModel, or a folder with checkpoints: the latest by its `checkpoint` file, else the only one."""
    names = os.listdir(path)
    if "saved_model.pb" in names or "saved_model.pbtxt" in names:
        from tfport.weights.savedmodel import read_saved_model

        return read_saved_model(path, verify=verify)
    prefix = prefix_in(path)
    if os.path.isfile(prefix + ".index"):
        return _bundle(prefix, verify)
    return read_checkpoint(prefix, verify=verify)


def _looks_like(path: str, data: memoryview) -> str:
    """What a file is that is no checkpoint, as far as its first bytes tell, and what to do."""
    head = bytes(data[:512])
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return " (a pickle, which is never loaded)"
    if head[4:8] == b"TFL3":
        return " (a TensorFlow Lite model: its weights are folded and may be quantised; give what it was made from)"
    if head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar" or head[:6] == b"7z\xbc\xaf'\x1c":
        return " (a packed archive: unpack it, and give the folder or file in it)"
    if head[:1] == b"{":
        return " (JSON without a map of weights)"
    if path.endswith(".safetensors"):
        return " (safetensors is a result, not a source)"
    if path.endswith((".pb", ".pbtxt")):
        return " (no binary GraphDef: a text graph, or truncated)"
    if path.endswith(".meta"):
        return " (a graph without values: they are in the .index and .data files that were saved with it)"
    return " (no magic of HDF5, zip or a V2 index; truncated?)"
