"""Which format a path holds, told by its content; the extension is not asked."""

from __future__ import annotations

import os
import re

from tfport.weights.checkpoint import Checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.files import mapped

__all__ = ["read_checkpoint"]

_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_checkpoint(path: str | os.PathLike[str], *, verify: bool = True) -> Checkpoint:
    """Open a TensorFlow or Keras checkpoint without TensorFlow.

    ``path`` is a ``.weights.h5``, ``.keras`` or ``.h5`` file, the prefix, index or shard of a V2 checkpoint,
    a folder with one, a V1 checkpoint, a SavedModel or TF Hub folder, or a frozen graph. Returns a read-only
    mapping from the names in the file to arrays in TensorFlow's layout; a value is read (memory-mapped where
    possible) when it is asked for. ``verify`` checks the stored crc of every tensor read. Raises WeightsError,
    one line, on anything that is no such file or is damaged.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        return _folder(path, verify)
    if not os.path.isfile(path):
        if os.path.isfile(path + ".index"):
            return _bundle(path, verify)
        raise WeightsError(f"{path}: no such file, folder or checkpoint prefix")
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
    if os.path.basename(path) == "checkpoint":
        return _folder(os.path.dirname(path) or ".", verify)
    if os.path.basename(path) == "saved_model.pb":
        return _folder(os.path.dirname(path) or ".", verify)
    from tfport.weights.graphdef import looks_like_graph, read_graph

    if looks_like_graph(data):
        try:
            return read_graph(data, path)
        except WeightsError as error:
            message = str(error)
            raise WeightsError(message if message.startswith(path) else f"{path}: {message}") from None
    raise WeightsError(f"{path}: not a TensorFlow or Keras checkpoint{_looks_like(path, head)}")


def _guarded(path: str, read):  # type: ignore[no-untyped-def]
    """h5py's errors on damaged files, in one line."""
    from tfport.weights.hdf5 import HDF5_ERRORS

    try:
        return read()
    except WeightsError as error:
        message = str(error)
        raise WeightsError(message if message.startswith(path) else f"{path}: {message}") from None
    except HDF5_ERRORS as error:
        raise WeightsError(f"{path}: a damaged HDF5 file ({type(error).__name__}: {error})") from None


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
    checkpoint = read_weights_h5(root, data, path)
    if not checkpoint:
        raise WeightsError(f"{path}: an HDF5 file without Keras weights (no layer_names, no vars groups)")
    return checkpoint


def _bundle(prefix: str, verify: bool) -> Checkpoint:
    from tfport.weights.bundle import read_bundle

    return read_bundle(prefix, verify=verify)


def _table(path: str, data: memoryview) -> Checkpoint:
    """A table that is not called .index: a V1 checkpoint, or the renamed index of a V2 one."""
    from tfport.weights.sstable import find
    from tfport.weights.v1 import is_v1, read_v1

    try:
        header = find(data, b"") or b""
        if is_v1(header):
            return read_v1(path)
    except WeightsError as error:
        message = str(error)
        raise WeightsError(message if message.startswith(path) else f"{path}: {message}") from None
    raise WeightsError(
        f"{path}: the index of a V2 checkpoint must be called <prefix>.index, beside <prefix>.data-..."
    )


def _folder(path: str, verify: bool) -> Checkpoint:
    """A SavedModel, or a folder with checkpoints: the latest by its `checkpoint` file, else the only one."""
    names = sorted(os.listdir(path))
    if "saved_model.pb" in names or "saved_model.pbtxt" in names:
        from tfport.weights.savedmodel import read_saved_model

        return read_saved_model(path, verify=verify)
    if "checkpoint" in names:
        with open(os.path.join(path, "checkpoint"), encoding="utf-8", errors="replace") as file:
            latest = re.search(r'^model_checkpoint_path:\s*"(.*)"', file.read(4096), re.M)
        if latest:
            prefix = os.path.join(path, os.path.basename(latest.group(1)))
            if not os.path.isfile(prefix + ".index"):
                raise WeightsError(
                    f"{path}: its `checkpoint` file names {latest.group(1)!r}, and there is no such index"
                )
            return _bundle(prefix, verify)
    found = [name[: -len(".index")] for name in names if name.endswith(".index")]
    if len(found) == 1:
        return _bundle(os.path.join(path, found[0]), verify)
    if found:
        raise WeightsError(f"{path}: holds several checkpoints, name one: {', '.join(found)}")
    raise WeightsError(f"{path}: a folder without a SavedModel or a checkpoint")


def _looks_like(path: str, head: bytes) -> str:
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return " (a pickle, which is never loaded)"
    if head[8 - 8 : 1] == b"{" or path.endswith(".json"):
        return " (JSON; a sharded .weights.json is not supported yet)"
    if path.endswith(".safetensors"):
        return " (safetensors is a result, not a source)"
    if path.endswith((".pb", ".pbtxt")):
        return " (no binary GraphDef: a text graph, or truncated)"
    return " (no magic of HDF5, zip or a V2 index; truncated?)"
