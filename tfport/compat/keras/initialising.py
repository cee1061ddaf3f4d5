"""Keras' initial values on torch modules, for what ``torch.nn.init`` does not say in one call."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import torch
from einops import rearrange
from torch import nn
from torch.nn.parameter import is_lazy

from tfport.compat.keras import building
from tfport.layers.arguments import normalise


def initialise(*layers: nn.Module, like: str, **initializers: Any) -> None:
    """Give each module the initial values of Keras' layer ``like`` ("Conv2D", "Dense" ...).

    ``initializers`` are the layer's arguments: ``kernel_initializer="he_normal"``; the others keep Keras' defaults.
    Fans are those of the kernel in Keras' shape. A lazy module gets its values when it learns its sizes, unless
    weights were loaded before. Raises TypeError for an argument that the layer does not have.
    """
    from tfport import compat

    function = getattr(compat.keras.layers, like).rule.function
    weights = getattr(compat.keras.layers, like).rule.weights
    parameters = inspect.signature(function).parameters
    defaults = {n: p.default for n, p in parameters.items() if n.endswith("_initializer")}
    if unknown := set(initializers) - set(defaults):
        raise TypeError(f"{like} has no argument {', '.join(sorted(unknown))}")
    chosen = normalise({**defaults, **initializers})
    for layer in layers:
        if any(is_lazy(p) for p in layer.parameters()):
            layer.reset_parameters = functools.partial(_fill_lazy, layer, weights, chosen)  # type: ignore[assignment]
        else:
            _fill(layer, weights, chosen)


def _fill_lazy(layer: nn.Module, weights: dict[str, tuple[str, str]], chosen: dict[str, Any]) -> None:
    if any(is_lazy(p) for p in layer.parameters()):
        return
    _fill(layer, weights, chosen)
    del layer.reset_parameters


@torch.no_grad()
def _fill(layer: nn.Module, weights: dict[str, tuple[str, str]], chosen: dict[str, Any]) -> None:
    for variable, (path, pattern) in weights.items():
        owner, _, last = path.rpartition(".")
        module = layer.get_submodule(owner)
        parameter = getattr(module, last)
        argument = building.INITIALIZER_ARGUMENTS.get(variable, variable) + "_initializer"
        if argument not in chosen and variable == "kernel":
            argument = "depthwise_initializer"
        if parameter is None or argument not in chosen:
            continue
        keras, order = pattern.split(" -> ")
        sizes = {"c": module.groups} if "(c m)" in pattern else {}
        like = rearrange(parameter, f"{order} -> {keras}", **sizes)
        made = torch.as_tensor(building.initializer(chosen[argument])(tuple(like.shape)))
        parameter.copy_(rearrange(made.to(parameter.dtype), pattern, **sizes))
