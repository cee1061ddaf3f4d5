"""Keras' variables on torch modules: which parameter holds which, and their initial values in Keras' shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from tfport.layers.variables import Table, below, channels_in, numbered_cells, table
from tfport.weights.patterns import ZEROS, apply, plan, source_shape

SHORT_NAMES = {"uniform": "random_uniform", "normal": "random_normal", "zero": "zeros", "one": "ones"}
INITIALIZER_ARGUMENTS = {
    "depthwise_kernel": "depthwise",
    "pointwise_kernel": "pointwise",
    "recurrent_kernel": "recurrent",
    "reverse_embeddings": "embeddings",
}


def of_layer(layer: Any, module: nn.Module) -> Table:
    """Variable -> places for the parameters that this module of a rule's layer has."""
    weights = layer.rule.weights
    if "*" in weights:
        return _WRAPPERS[weights["*"]](layer, module)
    found = present(table(weights, layer.rule.unless, layer.arguments), module)
    return channels_in(found, layer.channels)


def present(found: Table, module: nn.Module) -> Table:
    """The places that the module has, and that a checkpoint fills."""
    kept = {v: [row for row in rows if _saved(module, row[0])] for v, rows in found.items()}
    return {variable: rows for variable, rows in kept.items() if rows}


def _saved(module: nn.Module, path: str) -> bool:
    *parents, last = path.split(".")
    owner: Any = module
    for name in parents:
        owner = getattr(owner, name, None)
        if owner is None:  # a part that these arguments leave out
            return False
    return getattr(owner, last, None) is not None and last not in owner._non_persistent_buffers_set


def of_held(layer: Any, prefix: str, path: str) -> Table:
    """The variables of a layer that a wrapper holds at ``path``: a module of its own, or the layer itself."""
    from tfport.compat.keras import building

    if hasattr(layer, "rule"):
        if layer.module is None:
            return {}
        inside = path if layer.rule.layout == "call" else ".".join(filter(None, (path, "module")))
        return below(prefix, inside, of_layer(layer, layer.module))
    found: Table = {}
    for record in building.own_records(layer, "", ""):
        for variable, place in record["weights"].items():
            parts = "/".join(filter(None, (record["keras_path"], variable)))
            rows = [place] if isinstance(place[0], str) else place
            found |= below(
                prefix, path, {parts: [(".".join(filter(None, (record["path"], p))), *r) for p, *r in rows]}
            )
    return found


def _stacked(layer: Any, module: nn.Module) -> Table:
    from tfport.compat.keras.wrappers import cells_of, is_stack

    cell = layer.arguments["cell"]
    if not is_stack(cell):
        return of_held(cell, "cell", "cells.0")
    cells = cells_of(cell)
    found: Table = {}
    for number, (name, one) in enumerate(
        zip(numbered_cells([c.class_name for c in cells]), cells, strict=True)
    ):
        found |= of_held(one, name, f"cells.{number}")
    return found


def _directions(layer: Any, module: nn.Module) -> Table:
    made: Any = module
    one, two = made.layers
    return of_held(one, "forward_layer", "forward_layer") | of_held(two, "backward_layer", "backward_layer")


_WRAPPERS: dict[str, Any] = {
    "cell": _stacked,
    "directions": _directions,
    "layer": lambda layer, module: of_held(layer.arguments["layer"], "layer", "layer"),
    "spectral": lambda layer, module: (
        of_held(layer.arguments["layer"], "layer", "layer") | {"vector_u": [("vector_u", "... -> ...", {})]}
    ),
}


@torch.no_grad()
def fill(found: Table, module: nn.Module, arguments: Mapping[str, Any]) -> None:
    """Keras' initial values by the ``*_initializer`` arguments; fans are computed on the variable in Keras' shape."""
    for variable, rows in found.items():
        name = variable.rpartition("/")[2]
        argument = INITIALIZER_ARGUMENTS.get(name, name) + "_initializer"
        if argument not in arguments and name == "kernel":
            argument = "depthwise_initializer"
        if argument not in arguments:
            continue
        value: np.ndarray[Any, Any] | None = None
        for path, pattern, sizes in rows:
            target = _tensor(module, path)
            if pattern == ZEROS:
                target.zero_()
                continue
            if value is None:
                shape = source_shape(pattern, tuple(target.shape), sizes)
                assert shape is not None and None not in shape, (variable, pattern, sizes)
                fans = _fans(module, pattern, shape)
                value = _initial(arguments[argument], shape if fans is None else fans[0], name, arguments)
                value = value if fans is None else value.reshape(fans[1]).transpose(fans[2])
            made = apply(plan(pattern, value.shape, sizes), value)
            target.copy_(torch.as_tensor(np.ascontiguousarray(made)).to(target.dtype))


def _fans(
    module: nn.Module, pattern: str, shape: Any
) -> tuple[tuple[int, ...], tuple[int, ...], list[int]] | None:
    """How to draw the kernel of a product by an equation, whose fans Keras takes from the equation's axes: as a matrix,
    reshaped, and permuted. None for all others.
    """
    axes = getattr(module, "fans", None)
    if axes is None and (match := re.match(r"(\w) [huv] d -> |[huv] d (\w) -> ", pattern)):
        axes = ([0], [1, 2]) if match[1] else ([0, 1], [2])
    if axes is None or len(shape) < 2 or len(axes[0]) + len(axes[1]) != len(shape):
        return None
    order = [*axes[0], *axes[1]]
    sizes = tuple(shape[i] for i in order)
    matrix = (math.prod(shape[i] for i in axes[0]), math.prod(shape[i] for i in axes[1]))
    return matrix, sizes, [order.index(i) for i in range(len(shape))]


def _tensor(module: nn.Module, path: str) -> torch.Tensor:
    owner, _, last = path.rpartition(".")
    return getattr(module.get_submodule(owner), last)  # type: ignore[no-any-return]


def _initial(identifier: Any, shape: Any, name: str, arguments: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """A value in Keras' shape; an LSTM's forget gates begin with a bias of 1."""
    make = initializer(identifier)
    if name == "bias" and arguments.get("unit_forget_bias"):
        units = shape[0] // 4
        parts = [make((units,)), torch.ones(units), make((2 * units,))]
        return np.concatenate([np.asarray(torch.as_tensor(p)) for p in parts])
    return np.asarray(torch.as_tensor(make(tuple(shape))).detach().cpu())


def initializer(identifier: Any) -> Any:
    """An initialiser by name, config or as it is; called with Keras' shape it gives a tensor."""
    from tfport.rules import keras_initializers  # type: ignore[attr-defined]

    if isinstance(identifier, str):
        identifier = SHORT_NAMES.get(identifier.lower(), identifier)
    return keras_initializers.get(identifier)
