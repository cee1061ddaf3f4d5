"""A SavedModel folder: its variables are a V2 bundle under ``variables/``. The graph is not read."""

from __future__ import annotations

import os

from tfport.weights.bundle import read_bundle
from tfport.weights.checkpoint import Checkpoint
from tfport.weights.errors import WeightsError

__all__ = ["read_saved_model"]


def read_saved_model(path: str, *, verify: bool = True) -> Checkpoint:
    """Read the variables of the SavedModel in folder ``path``."""
    prefix = os.path.join(path, "variables", "variables")
    if not os.path.isfile(prefix + ".index"):
        raise WeightsError(
            f"{path}: a SavedModel without variables/variables.index: it has no variables, or lost them"
        )
    checkpoint = read_bundle(prefix, verify=verify)
    checkpoint.format = "SavedModel"
    checkpoint.path = path
    return checkpoint
