"""tfport: TensorFlow programs, checkpoints and confidence, moved to PyTorch.

`convert_source` rewrites source text, `read_checkpoint` and `load_weights` carry checkpoints, `tfport.parity.compare`
holds results against each other. Nothing here imports a framework until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfport.source.convert import convert_source
    from tfport.source.findings import Conversion, Finding
    from tfport.weights import load_optimizer, load_weights, read_checkpoint

__version__ = "0.1.0"
__all__ = ["Conversion", "Finding", "convert_source", "load_optimizer", "load_weights", "read_checkpoint"]

_HOMES = {
    "convert_source": "tfport.source.convert",
    "Conversion": "tfport.source.findings",
    "Finding": "tfport.source.findings",
    "load_optimizer": "tfport.weights",
    "load_weights": "tfport.weights",
    "read_checkpoint": "tfport.weights",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `convert` starts without what `weights` needs and the reverse."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'tfport' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
