"""Fills ``tfport.compat`` with the rules: each under the path that its TensorFlow name has."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import types
from typing import Any

import tfport.rules


def publish(package: str) -> None:
    """Import every rule file and set its functions, layers and constants as attributes of ``package``."""
    for found in sorted(pkgutil.iter_modules(tfport.rules.__path__), key=lambda m: m.name):
        module = importlib.import_module(f"tfport.rules.{found.name}")
        for value in list(vars(module).values()):
            entry = getattr(value, "__dict__", {}).get("rule")  # its own: subclasses do not inherit it
            if callable(value) and entry is not None and getattr(value, "__module__", "") == module.__name__:
                if entry.weights is not None:
                    value = importlib.import_module("tfport.compat.keras.layer").layer_class(value)
                for name in entry.names if entry.primary.startswith("tf.keras.") else (entry.primary,):
                    place(package, name, getattr(value, "published", value))
        for name, value in getattr(module, "CONSTANTS", {}).items():
            place(package, name, value)


def path_of(name: str) -> str:
    """The attribute path below ``compat`` of a TensorFlow name: ``tf.compat.v1.nn.dropout`` -> ``v1.nn.dropout``."""
    return name.removeprefix("tf.").removeprefix("compat.")


def place(package: str, name: str, value: Any) -> None:
    """Set ``value`` at the path of ``name``, making namespaces on the way; they import like modules."""
    *parents, last = path_of(name).split(".")
    where = sys.modules[package]
    for parent in parents:
        full = f"{where.__name__}.{parent}"
        child = getattr(where, parent, None)
        if not isinstance(child, types.ModuleType):
            try:
                child = importlib.import_module(full)  # a real room such as compat/keras
            except ModuleNotFoundError:
                child = sys.modules.setdefault(full, types.ModuleType(full))
                child.__path__ = []
            setattr(where, parent, child)
        where = child
    setattr(where, last, value)
