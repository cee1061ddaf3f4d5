"""Keras at run time: layers, models recorded into torch.fx, initialisers. Filled from ``rules/`` by compat."""

from importlib import import_module
from typing import Any

_HOMES = {"call": "calls", "trainable_variables": "calls", "initialise": "initialising", "lazy": ""}


def __getattr__(name: str) -> Any:
    """What converted code calls besides Keras' own names; imported on first use, since it needs the layers."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    return getattr(import_module(f"{__name__}.{home}"), name) if home else import_module(f"{__name__}.{name}")
