"""Files and folders that appear under their name only when all of them is there."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from typing import BinaryIO

from tfport.weights.errors import WeightsError

__all__ = ["atomic_file", "atomic_folder", "put", "temporary_name"]


def put(file: BinaryIO, data: memoryview) -> None:
    """All of the data: an unbuffered write may take less than it was given."""
    while len(data):
        data = data[file.write(data) :]


def temporary_name(path: str) -> str:
    """Where the parts of ``path`` are written: beside it, so that a rename moves no data."""
    return os.path.join(os.path.dirname(path) or ".", f".{os.path.basename(path)}.{os.getpid()}.part")


@contextlib.contextmanager
def atomic_file(path: str) -> Iterator[BinaryIO]:
    """An unbuffered file to write and read that is renamed to ``path`` at the end; on any failure nothing is left of it.

    Where the system can, it has no name before: a process that is killed leaves nothing either. The
    data is not forced to the disk (no fsync): after a power failure the file system's own guarantees hold. Raises
    WeightsError where it cannot be written.
    """
    temporary = temporary_name(path)
    try:
        nameless = _nameless(os.path.dirname(path) or ".")
        with nameless or open(temporary, "xb+", buffering=0) as file:
            yield file  # type: ignore[misc]
            if nameless is not None:
                _name(file, temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _nameless(folder: str) -> io.FileIO | None:
    """A file in a folder that has no name yet; None where the system or the file system knows no such thing."""
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return io.FileIO(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666), "wb+")
    except OSError:
        return None


def _name(file: io.FileIO, path: str) -> None:
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:  # given a folder, Python asks the system to follow the link
        os.link(
            f"/proc/self/fd/{file.fileno()}", os.path.basename(path), dst_dir_fd=folder, follow_symlinks=True
        )
    finally:
        os.close(folder)


@contextlib.contextmanager
def atomic_folder(path: str) -> Iterator[str]:
    """A temporary folder to fill that is renamed to ``path``, which must not exist, at the end."""
    if os.path.exists(path):
        raise WeightsError(f"{path}: exists: remove it, or name another folder")
    temporary = temporary_name(path)
    try:
        os.mkdir(temporary)
        yield temporary
        os.rename(temporary, path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
