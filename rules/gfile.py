"""tf.io.gfile and tf.gfile: Python's own file functions, fsspec for gs://, s3:// and other URLs.

https://www.tensorflow.org/api_docs/python/tf/io/gfile
"""

from __future__ import annotations

from tfport.compat import files as _files
from tfport.rule import rule


@rule("tf.io.gfile.GFile", "tf.gfile.GFile", "tf.gfile.Open", "tf.gfile.FastGFile", returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
class GFile(_files.GFile):
    """A file opened at its first use; text is UTF-8, readline drops carriage returns, positions are in bytes."""

    published = _files.GFile

    def __init__(self, name, mode="r"):
        super().__init__(name, mode)


@rule("tf.io.gfile.exists", "tf.gfile.Exists", renamed={"filename": "path"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def exists(path):
    """Whether there is a file or folder at ``path``."""
    return _files.exists(path)


@rule("tf.io.gfile.isdir", "tf.gfile.IsDirectory", renamed={"dirname": "path"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def isdir(path):
    """Whether there is a folder at ``path``."""
    return _files.isdir(path)


@rule("tf.io.gfile.listdir", "tf.gfile.ListDirectory", renamed={"dirname": "path"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def listdir(path):
    """The names in a folder, in no order. FileNotFoundError if there is no such folder."""
    return _files.listdir(path)


@rule("tf.io.gfile.makedirs", "tf.gfile.MakeDirs", renamed={"dirname": "path"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def makedirs(path):
    """Make a folder and those above it; no error if it is there."""
    return _files.makedirs(path)


@rule("tf.io.gfile.mkdir", "tf.gfile.MkDir", renamed={"dirname": "path"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def mkdir(path):
    """Make one folder; no error if it is there. FileNotFoundError if the folder above it is missing."""
    return _files.mkdir(path)


@rule("tf.io.gfile.glob", "tf.gfile.Glob", renamed={"filename": "pattern"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def glob(pattern):
    """Sorted paths that match a pattern or one of a list; ``*`` matches hidden names, unlike Python's glob."""
    return _files.glob(pattern)


@rule("tf.io.gfile.remove", "tf.gfile.Remove", renamed={"filename": "path"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def remove(path):
    """Delete a file. FileNotFoundError if there is none."""
    return _files.remove(path)


@rule("tf.io.gfile.rmtree", "tf.gfile.DeleteRecursively", renamed={"dirname": "path"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def rmtree(path):
    """Delete a folder and everything below it."""
    return _files.rmtree(path)


@rule("tf.io.gfile.rename", "tf.gfile.Rename", renamed={"oldname": "src", "newname": "dst"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def rename(src, dst, overwrite=False):
    """Move a file. FileExistsError if the target is there, unless ``overwrite``."""
    return _files.rename(src, dst, overwrite)


@rule("tf.io.gfile.copy", "tf.gfile.Copy", renamed={"oldpath": "src", "newpath": "dst"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def copy(src, dst, overwrite=False):
    """Copy a file's bytes. FileExistsError if the target is there, unless ``overwrite``."""
    return _files.copy(src, dst, overwrite)


@rule("tf.io.gfile.stat", "tf.gfile.Stat", renamed={"filename": "path"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def stat(path):
    """``length`` in bytes, ``mtime_nsec`` in nanoseconds since 1970, ``is_directory``."""
    return _files.stat(path)


@rule("tf.io.gfile.walk", "tf.gfile.Walk", renamed={"in_order": "topdown"}, returns="python", pure=False,
      proved_by="tests/compat/test_gfile.py")  # fmt: skip
def walk(top, topdown=True, onerror=None):
    """(folder, folders in it, files in it) for ``top`` and all below it."""
    return _files.walk(top, topdown, onerror)


@rule("tf.io.gfile.join", returns="python", proved_by="tests/compat/test_gfile.py")
def join(path, *paths):
    """The parts as one path."""
    return _files.join(path, *paths)
