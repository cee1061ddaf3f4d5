"""tf.compat.as_str and its kin: str and bytes."""

from __future__ import annotations

import os

from tfport.rule import prove, rule

_ANY = "an argument is {}, not str or bytes"


@rule("tf.compat.as_text", "tf.compat.as_str", returns="python")
@prove("ä")
@prove(b"abc")
@prove("ä".encode("latin-1"), "latin-1")
@prove(3, raises=True)
def as_text(bytes_or_text, encoding="utf-8"):
    """str, decoded from bytes if need be. TypeError for anything else."""
    if isinstance(bytes_or_text, str):
        return bytes_or_text
    return _decoded(bytes_or_text, encoding)


def _decoded(value, encoding):
    if not isinstance(value, bytes):
        raise TypeError(_ANY.format(type(value).__name__))
    return value.decode(encoding)


@rule("tf.compat.as_bytes", returns="python")
@prove(b"abc")
@prove("ä")
@prove("ä", encoding="latin-1")
@prove(3.0, raises=True)
def as_bytes(bytes_or_text, encoding="utf-8"):
    """bytes, encoded from str if need be. TypeError for anything else."""
    if isinstance(bytes_or_text, bytes):
        return bytes_or_text
    return _encoded(bytes_or_text, encoding)


def _encoded(value, encoding):
    if isinstance(value, bytearray):
        return bytes(value)
    if not isinstance(value, str):
        raise TypeError(_ANY.format(type(value).__name__))
    return value.encode(encoding)


@rule("tf.compat.as_str_any", returns="python")
@prove(b"abc")
@prove("abc")
@prove(3)
@prove(1.5)
def as_str_any(value, encoding="utf-8"):
    """str of anything; bytes are decoded."""
    if isinstance(value, bytes):
        return value.decode(encoding)
    return str(value)


@rule("tf.compat.path_to_str", returns="python")
@prove("a/b")
def path_to_str(path):
    """The path as str, from a pathlib.Path too."""
    return os.fspath(path) if hasattr(path, "__fspath__") else path
