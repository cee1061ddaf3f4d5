"""Modules that torch puts round another: torch.compile, DataParallel, AveragedModel; and what it computes weights from."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfport.weights.record import Record

__all__ = ["computed", "prefixed", "unwrapped"]

_HELD = ("_orig_mod", "module")
_FROM = ("_orig", "_g", "_v")


def unwrapped(module: Any) -> tuple[Any, str]:
    """The module inside torch's own wrappers, and what stands before its parameters' names: ``_orig_mod.module.``."""
    prefix = ""
    while True:
        inside = dict(module.named_children())
        kind = type(module).__module__
        if not kind.startswith("torch.") or len(inside) != 1 or next(iter(inside)) not in _HELD:
            return module, prefix
        name, module = next(iter(inside.items()))
        prefix += f"{name}."


def prefixed(record: Record, prefix: str) -> Record:
    """The record of a module as its wrapper calls its parameters."""
    if not prefix:
        return record
    layers = tuple(
        dataclasses.replace(layer, ways=tuple(
            dataclasses.replace(way, target=prefix + way.target) for way in layer.ways
        )) for layer in record.layers
    )  # fmt: skip
    return dataclasses.replace(record, layers=layers)


def computed(path: str, held: Any) -> str:
    """Why a parameter is no weight of a layer: torch computes the weight from it (spectral_norm, weight_norm, pruning),
    or the module is compiled. Empty for any other.
    """
    from torch import jit
    from torch.nn.utils.parametrize import ParametrizationList

    owner = held.owner
    if isinstance(owner, jit.ScriptModule):
        return f"{path or 'the module'}: its class is compiled away: load the weights before torch.jit.script or trace"
    if isinstance(owner, ParametrizationList):
        layer, _, name = path.rpartition(".")
        layer, kinds = layer.removesuffix(".parametrizations"), ", ".join(type(p).__name__ for p in owner)
    else:
        ending = next((e for e in _FROM if held.name.endswith(e)), "")
        name, layer = held.name.removesuffix(ending), path
        makers = [
            type(hook).__name__ for hook in owner._forward_pre_hooks.values()
            if hasattr(hook, "compute_weight") or hasattr(hook, "apply_mask")
        ]  # fmt: skip
        if not ending or name in owner._parameters or not makers:
            return ""
        kinds = ", ".join(makers)
    return (
        f"{layer or 'the module'}: its {name} is computed ({kinds}): load the weights before that is registered, or"
        " tell with a map what the parts are"
    )
