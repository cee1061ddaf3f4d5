"""What a folder holds: a SavedModel, or checkpoints, of which the file `checkpoint` names the latest.

The state file is a CheckpointState as text (tensorflow/python/training/checkpoint_state.proto); its names are quoted
with C's escapes and relative to the folder.
"""

from __future__ import annotations

import os
import re

from tfport.weights.errors import WeightsError

__all__ = ["beside", "prefix_in", "v1_files"]

_STATE = re.compile(rb'^model_checkpoint_path:\s*(?:"((?:[^"\\\n]|\\.)*)"|\'((?:[^\'\\\n]|\\.)*)\')', re.M)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))", re.S)
_NAMED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_SHARD = re.compile(r"(.*)-(\d{5}|\?{5})-of-(\d{5})")
_KERAS = (".keras", ".h5", ".hdf5", ".weights.json")
_MOST_NAMED = 8


def prefix_in(folder: str) -> str:
    """The checkpoint to read of a folder that is no SavedModel: the latest by its state file, else the only one.

    Raises WeightsError where there is none, or several and no state file.
    """
    names = sorted(os.listdir(folder))
    if "checkpoint" in names and (latest := _latest(os.path.join(folder, "checkpoint"))):
        for name in dict.fromkeys((latest, os.path.basename(latest))):
            prefix = os.path.normpath(os.path.join(folder, name))
            if os.path.isabs(name) or os.path.relpath(prefix, folder).startswith(".."):
                continue  # the folder was moved here, or its state file leads elsewhere
            if name in ("", "."):
                prefix = os.path.join(folder, "")
            if os.path.isfile(prefix + ".index") or v1_files(prefix):
                return prefix
        raise WeightsError(
            f"{folder}: its `checkpoint` file names {latest!r}, and there is no such checkpoint in the folder"
        )
    found = [name.removesuffix(".index") for name in names if name.endswith(".index")]
    found += [n for n in names if n.endswith(_KERAS) and os.path.isfile(os.path.join(folder, n))]
    shards = [n for n in found if re.search(r"_\d{5}\.weights\.h5$", n)]
    if any(name.endswith(".weights.json") for name in found):
        found = [name for name in found if name not in shards]
    if len(found) == 1:
        return os.path.join(folder, found[0])
    if found:
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise WeightsError(
            f"{folder}: holds several checkpoints, name one: {', '.join(found[:_MOST_NAMED])}{more}"
        )
    below = [n for n in names if _is_worth(os.path.join(folder, n))]
    told = f"; name one of the folders in it: {', '.join(below[:_MOST_NAMED])}" if below else ""
    raise WeightsError(f"{folder}: a folder without a SavedModel or a checkpoint{told}")


def beside(path: str) -> str:
    """The checkpoints whose prefix starts as a path does that leads nowhere, such as ``model.ckpt`` for
    ``model.ckpt-1000``; for its error.
    """
    folder, start = os.path.split(path)
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:
        return ""
    found = [n.removesuffix(".index") for n in names if n.startswith(start) and n.endswith(".index")]
    return f"; there is {', '.join(found[:_MOST_NAMED])}" if found and start else ""


def v1_files(path: str) -> list[str]:
    """The files of a V1 checkpoint that is called ``path``: that file, or its shards ``path-00000-of-00002``, which
    one of them names too. Empty where there is none.
    """
    match = _SHARD.fullmatch(path)
    if os.path.isfile(path) and not match:
        return [path]
    if match is None:
        folder, start = os.path.split(path)
        try:
            names = os.listdir(folder or ".")
        except OSError:
            return []
        counts = {m[3] for name in names if (m := _SHARD.fullmatch(name)) and m[1] == start}
        if len(counts) != 1:
            return []
        match = _SHARD.fullmatch(f"{path}-00000-of-{counts.pop()}")
        assert match is not None
    count = int(match[3])
    files = [f"{match[1]}-{number:05d}-of-{match[3]}" for number in range(min(count, 1 << 16))]
    missing = [os.path.basename(file) for file in files if not os.path.isfile(file)]
    if len(missing) == len(files):
        return []
    if missing:
        raise WeightsError(f"{path}: its shard {missing[0]} is missing; copy all files together")
    return files


def _latest(state: str) -> str:
    """The path that a state file names; empty where it names none."""
    with open(state, "rb") as file:
        match = _STATE.search(file.read(1 << 16))
    if match is None:
        return ""
    return _ESCAPE.sub(_unescaped, match[1] if match[1] is not None else match[2]).decode("utf-8", "replace")


def _unescaped(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return bytes((int(match[1], 8) & 255,))
    if match[2] is not None:
        return bytes((int(match[2], 16),))
    return _NAMED.get(match[3], match[3])


def _is_worth(path: str) -> bool:
    """Whether a folder looks as if it held a checkpoint."""
    try:
        names = os.listdir(path)
    except OSError:
        return False
    return any(
        name in ("checkpoint", "saved_model.pb") or name.endswith((".index", *_KERAS)) for name in names
    )
