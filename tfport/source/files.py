"""Reading and writing of files for `convert`: what is read, what is refused, and how nothing is left half-written."""

from __future__ import annotations

import dataclasses
import io
import os
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path


class InputError(Exception):
    """A path or a file that cannot be converted; the message is one line: where, what, what to do."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One file to convert: where it is and where its conversion goes."""

    source: Path
    target: Path


def jobs(paths: list[str], out: str | None, in_place: bool) -> list[Job]:
    """Every Python file below the paths, with its target. Raises `InputError`."""
    if out is not None and len(paths) > 1:
        raise InputError("-o takes one PATH; convert several with one call each, or a folder")
    found: list[Job] = []
    for path in map(Path, paths):
        if not _exists(path):
            raise InputError(f"{path}: no such file or folder")
        if path.is_dir():
            found += _folder(path, Path(out) if out else None, in_place)
        else:
            found.append(Job(path, _target(path, out, in_place)))
    return found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; is it a link that loops?") from error


def _target(path: Path, out: str | None, in_place: bool) -> Path:
    if in_place:
        return path
    if out is None:
        return path.with_name(f"{path.stem}_torch{path.suffix}")
    return Path(out) / f"{path.stem}_torch{path.suffix}" if Path(out).is_dir() else Path(out)


def _folder(folder: Path, out: Path | None, in_place: bool) -> list[Job]:
    root = folder.resolve()
    base = folder if in_place else out or root.with_name(root.name + "_torch")
    if not in_place and base.resolve() == root:
        raise InputError(f"{folder}: the output folder is the input; pass --in-place to overwrite")
    return [
        Job(file, base / file.relative_to(folder))
        for file in _python_files(folder)
        if not _below(file, base, in_place)
    ]


def _below(file: Path, base: Path, in_place: bool) -> bool:
    return not in_place and base.resolve() in file.resolve().parents


def _python_files(folder: Path) -> Iterator[Path]:
    """Python files below a folder in a fixed order; hidden folders and links to folders are not followed."""
    for root, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
        for name in sorted(files):
            path = Path(root) / name
            if name.endswith(".py") and path.is_file():
                yield path


def read(path: Path) -> str:
    """A file's text by its declared encoding, byte order mark and line ends kept. Raises `InputError`."""
    try:
        with path.open("rb") as stream:
            encoding, _ = tokenize.detect_encoding(stream.readline)
            stream.seek(0)
            text = stream.read().decode(encoding)
            return "\ufeff" + text if encoding == "utf-8-sig" else text
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise InputError(
            f"{path}: not UTF-8 text ({error}); save it as UTF-8, or declare its encoding"
        ) from error


def write(path: Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary file beside it, then renamed. Raises `InputError`.

    The encoding is the one that the text declares, else UTF-8.
    """
    try:
        data = text.encode(_declared(text))
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: cannot be written as {error.encoding}, which the file declares: {error.reason}"
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _declared(text: str) -> str:
    """The encoding that the first two lines of a text declare; UTF-8 where they declare none or one that is not known."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(text.encode("utf-8", "replace")).readline)
    except SyntaxError:
        return "utf-8"
    return encoding.removesuffix("-sig")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
