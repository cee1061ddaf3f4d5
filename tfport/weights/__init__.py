"""TensorFlow checkpoints without TensorFlow: readers, matching to modules, writers.

``read_checkpoint(path)`` opens any of the formats as a lazy mapping; ``load_weights(module, path)`` carries
it into a torch module. NumPy is the base; torch is imported only where a module or a ``.pt`` file is
involved.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfport.weights.detect import read_checkpoint
    from tfport.weights.errors import WeightsError
    from tfport.weights.loading import load_weights
    from tfport.weights.optimizer import OptimizerReport, load_optimizer
    from tfport.weights.report import Report

__all__ = ["OptimizerReport", "Report", "WeightsError", "load_optimizer", "load_weights", "read_checkpoint"]

_HOME = {"OptimizerReport": "optimizer", "Report": "report", "WeightsError": "errors", "load_optimizer": "optimizer",
         "load_weights": "loading", "read_checkpoint": "detect"}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the command line starts without NumPy."""
    if name in _HOME:
        return getattr(importlib.import_module(f"tfport.weights.{_HOME[name]}"), name)
    raise AttributeError(f"module 'tfport.weights' has no attribute {name!r}")
