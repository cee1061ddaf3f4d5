"""TensorFlow's and Keras' public modules with the names in each, for star imports.

The table beside this file was read off TensorFlow 2.21 with Keras 3.15 by `tools`-free introspection of
``dir()``; see ``fixtures/make_api_names.py``.
"""

from __future__ import annotations

import functools
from pathlib import Path


@functools.lru_cache(maxsize=1)
def _table() -> dict[str, frozenset[str]]:
    table = {}
    path = Path(__file__).with_name("api_names.txt")
    for line in path.read_text(encoding="utf-8").splitlines():
        module, _, names = line.partition(":")
        table[module] = frozenset(names.split())
    return table


def of(module: str) -> frozenset[str]:
    """The public names of a module by its canonical name; empty for one that is not known."""
    return _table().get(module, frozenset())


def is_module(name: str) -> bool:
    """Whether a canonical name is a public module."""
    return name in _table()
