"""``tf.io.gfile`` and ``tf.gfile``: files by path or URL. Local paths through Python, other schemes through fsspec.

Errors are Python's: FileNotFoundError for tf.errors.NotFoundError, FileExistsError for AlreadyExistsError, other
OSErrors for the rest.
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
MODES = frozenset({"r", "w", "a", "r+", "w+", "a+"})


class FileStatistics(NamedTuple):
    """Size in bytes, time of the last change in nanoseconds since 1970, and whether it is a folder."""

    length: int
    mtime_nsec: int
    is_directory: bool


def text(path: Any) -> str:
    """A path as str: str, bytes (UTF-8) or path-like. ``file://`` is taken off."""
    found = os.fspath(path)
    return (found.decode() if isinstance(found, bytes) else str(found)).removeprefix("file://")


def remote(path: str) -> Any:
    """The fsspec filesystem of a URL, None for a local path. Raises ImportError where the scheme's package is missing."""
    if not SCHEME.match(path):
        return None
    import fsspec  # type: ignore[import-untyped]

    return fsspec.core.url_to_fs(path)[0]


def exists(path: Any) -> bool:
    """Whether there is a file or folder."""
    path = text(path)
    there = remote(path)
    return bool(there.exists(path)) if there else os.path.exists(path)


def isdir(path: Any) -> bool:
    """Whether there is a folder."""
    path = text(path)
    there = remote(path)
    return bool(there.isdir(path)) if there else os.path.isdir(path)


def listdir(path: Any) -> list[str]:
    """The names in a folder. Raises FileNotFoundError if it is none."""
    path = text(path)
    if not isdir(path):
        raise FileNotFoundError(f"{path} is not a folder")
    there = remote(path)
    if there:
        return [posixpath.basename(str(name).rstrip("/")) for name in there.ls(path, detail=False)]
    return os.listdir(path)


def makedirs(path: Any) -> None:
    """Make a folder and those above it; one that is there is left as it is."""
    path = text(path)
    there = remote(path)
    if there:
        there.makedirs(path, exist_ok=True)
    else:
        os.makedirs(path, exist_ok=True)


def mkdir(path: Any) -> None:
    """Make one folder; a path that is there is left as it is. Raises FileNotFoundError if the one above is missing."""
    path = text(path)
    there = remote(path)
    if exists(path):
        return
    if there:
        there.mkdir(path, create_parents=False)
    else:
        os.mkdir(path)


def remove(path: Any) -> None:
    """Delete a file."""
    path = text(path)
    there = remote(path)
    if there:
        there.rm_file(path)
    else:
        os.remove(path)


def rmtree(path: Any) -> None:
    """Delete a folder with all that is in it."""
    path = text(path)
    there = remote(path)
    if there:
        there.rm(path, recursive=True)
    else:
        shutil.rmtree(path)


def _free(path: str, overwrite: bool) -> None:
    if not overwrite and exists(path):
        raise FileExistsError(f"{path} is there already; pass overwrite=True")


def rename(src: Any, dst: Any, overwrite: bool = False) -> None:
    """Move a file or folder. Raises FileExistsError if ``dst`` is there and ``overwrite`` is False."""
    src, dst = text(src), text(dst)
    _free(dst, overwrite)
    there = remote(src)
    if there:
        there.mv(src, dst, recursive=there.isdir(src))
    else:
        os.replace(src, dst)


def copy(src: Any, dst: Any, overwrite: bool = False) -> None:
    """Copy a file's bytes, between filesystems too. Raises FileExistsError as `rename` does."""
    src, dst = text(src), text(dst)
    _free(dst, overwrite)
    with opened(src, "rb") as source, opened(dst, "wb") as target:
        shutil.copyfileobj(source, target)


def stat(path: Any) -> FileStatistics:
    """Size, time and kind of a file or folder."""
    path = text(path)
    there = remote(path)
    if there:
        facts = there.info(path)
        changed = facts.get("mtime") or facts.get("created") or facts.get("updated") or 0
        changed = changed.timestamp() if hasattr(changed, "timestamp") else float(changed)
        return FileStatistics(
            int(facts.get("size") or 0), int(changed * 1e9), facts.get("type") == "directory"
        )
    found = os.stat(path)
    return FileStatistics(found.st_size, found.st_mtime_ns, os.path.isdir(path))


def glob(pattern: Any) -> list[str]:
    """The paths that match a pattern, or any of a list of patterns; ``*`` stays within a name and matches hidden ones."""
    if isinstance(pattern, list | tuple):
        return [found for each in pattern for found in glob(each)]
    pattern = text(pattern).rstrip("/") or "/"
    there = remote(pattern)
    if there:
        scheme = pattern[: pattern.index("://") + 3]
        return sorted(
            f"{scheme}{name.lstrip('/') if scheme == 'memory://' else name}" for name in there.glob(pattern)
        )
    return sorted(_matches(pattern))


def _matches(pattern: str) -> Iterator[str]:
    head, name = os.path.split(pattern)
    if not re.search(r"[*?\[]", pattern):
        if os.path.lexists(pattern):
            yield pattern
        return
    folders = _matches(head) if re.search(r"[*?\[]", head) else [head]
    for folder in folders:
        if not re.search(r"[*?\[]", name):
            if os.path.lexists(os.path.join(folder, name)):
                yield os.path.join(folder, name)
        elif os.path.isdir(folder or "."):
            wanted = re.compile(fnmatch.translate(name.replace("[^", "[!")))
            yield from (
                os.path.join(folder, entry) for entry in os.listdir(folder or ".") if wanted.match(entry)
            )


def walk(top: Any, topdown: bool = True, onerror: Any = None) -> Iterator[tuple[str, list[str], list[str]]]:
    """(folder, folders in it, files in it), for ``top`` and everything below it."""
    top = text(top)
    try:
        names = listdir(top)
    except OSError as problem:
        if onerror:
            onerror(problem)
        return
    folders = [name for name in names if isdir(join(top, name))]
    here = (top, folders, [name for name in names if name not in set(folders)])
    if topdown:
        yield here
    for name in folders:
        yield from walk(join(top, name), topdown, onerror)
    if not topdown:
        yield here


def join(path: Any, *paths: Any) -> str:
    """The parts as one path; a later absolute part starts again."""
    parts = [text(path), *map(text, paths)]
    return posixpath.join(*parts) if SCHEME.match(parts[0]) else os.path.join(*parts)


def opened(path: str, mode: str) -> Any:
    """A binary file object of a local path or a URL."""
    there = remote(path)
    return there.open(path, mode) if there else open(path, mode)


class GFile:
    """A file that opens at its first use, so that a missing one raises FileNotFoundError only then.

    Text modes decode UTF-8; read() leaves line ends as they are; sizes, positions and the ``n`` of read are in bytes.
    ``write`` takes str and bytes. A file that is opened to write and never written to is not made.
    """

    def __init__(self, name: Any, mode: str = "r") -> None:
        if mode.replace("b", "") not in MODES:
            raise ValueError(f"mode {mode!r} is none of {', '.join(sorted(MODES))}, with or without b")
        self._name, self._mode = name, mode
        self._binary = "b" in mode
        self._file: Any = None
        self._read_file: Any = None

    @property
    def name(self) -> Any:
        """The path as it was given."""
        return self._name

    @property
    def mode(self) -> str:
        """The mode as it was given."""
        return self._mode

    def _reader(self) -> Any:
        if self._mode.replace("b", "") in ("w", "a"):
            raise PermissionError(f"{self._name} is open to write only (mode {self._mode!r})")
        if self._read_file is None:
            self._read_file = opened(text(self._name), "rb")
        return self._read_file

    def _writer(self) -> Any:
        kind = self._mode.replace("b", "")
        if kind == "r":
            raise PermissionError(f"{self._name} is open to read only (mode {self._mode!r})")
        if self._file is None:
            self._file = opened(
                text(self._name), "wb" if kind.startswith("w") else "ab" if kind.startswith("a") else "r+b"
            )
        return self._file

    def _decoded(self, data: bytes) -> Any:
        return data if self._binary else data.decode("utf-8")

    def size(self) -> int:
        """Bytes in the file."""
        return stat(self._name).length

    def read(self, n: int = -1) -> Any:
        """``n`` bytes, or all that is left, as str or bytes."""
        return self._decoded(self._reader().read() if n == -1 else self._reader().read(n))

    def readline(self) -> Any:
        """The next line without carriage returns, as in TensorFlow; empty at the end."""
        return self._decoded(self._reader().readline().replace(b"\r", b""))

    def readlines(self) -> list[Any]:
        """The lines that are left."""
        return list(self)

    def write(self, file_content: str | bytes) -> None:
        """Append str (as UTF-8) or bytes."""
        self._writer().write(file_content.encode("utf-8") if isinstance(file_content, str) else file_content)

    def seek(self, offset: int | None = None, whence: int = 0, position: int | None = None) -> None:
        """Move the place of reading; ``position`` is the old name of ``offset``."""
        self._reader().seek(position if offset is None else offset, whence)

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The place of reading, or of writing, in bytes."""
        if self._mode.replace("b", "").startswith("r") or self._read_file is not None:
            return int(self._reader().tell())
        return int(self._writer().tell())

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        for file in (self._file, self._read_file):
            if file is not None:
                file.close()
        self._file = self._read_file = None

    def __enter__(self) -> GFile:
        return self

    def __exit__(self, *unused: Any) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line
