"""Fills ``tfport.compat`` with the rules: each under the path that its TensorFlow name has."""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import pkgutil
import sys
import types
from typing import Any

import tfport.rules


def publish(package: str) -> None:
    """Import every rule file and set its functions, layers and constants as attributes of ``package``."""
    for found in sorted(pkgutil.iter_modules(tfport.rules.__path__), key=lambda m: m.name):
        publish_module(package, importlib.import_module(f"tfport.rules.{found.name}"))


def publish_module(package: str, module: types.ModuleType) -> None:
    """Set the functions, layers and constants of one rule file as attributes of ``package``."""
    for value in list(vars(module).values()):
        entry = getattr(value, "__dict__", {}).get("rule")  # its own: subclasses do not inherit it
        if callable(value) and entry is not None and getattr(value, "__module__", "") == module.__name__:
            if entry.weights is not None:
                value = importlib.import_module("tfport.compat.keras.layer").layer_class(value)
            for name in entry.names if entry.primary.startswith("tf.keras.") else (entry.primary,):
                place(package, name, getattr(value, "published", value))
    for name, value in getattr(module, "CONSTANTS", {}).items():
        if (
            f"{package}.{path_of(name)}" not in sys.modules
        ):  # tf.Tensor is torch.Tensor, compat.Tensor holds its methods
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


def load_rules(folder: str, beside: str) -> None:
    """Publish the user's rules in ``folder``, a path relative to the file ``beside``. Raises FileNotFoundError."""
    where = (pathlib.Path(beside).resolve().parent / folder).resolve()
    if not where.is_dir():
        raise FileNotFoundError(
            f"{where}: no such folder of rules; convert again with --rules, or mend the path in {beside}"
        )
    for file in sorted(where.glob("*.py")):
        name = f"tfport_user_rules.{where.name}.{file.stem}"
        if name in sys.modules:
            continue
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        publish_module("tfport.compat", module)
