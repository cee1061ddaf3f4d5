"""Layers inside layers: the modules of the layer that Bidirectional, TimeDistributed and RNN hold."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tfport.compat.keras import building
from tfport.compat.keras.einsum import EinsumDense
from tfport.compat.keras.norms import SpectralNorm
from tfport.compat.keras.recurrent import Bidirectional
from tfport.compat.keras.variables import of_held
from tfport.layers.einsum import kernel_sizes

Shape = Sequence[int | None]


def built(layer: Any, shape: Shape) -> nn.Module:
    """What computes a held layer, for inputs of this shape: its torch module, or the layer itself.

    Raises TypeError for what is no layer.
    """
    if not isinstance(layer, nn.Module):
        raise TypeError(f"{layer!r} is no layer")
    if hasattr(layer, "rule") and layer.rule.layout == "call":
        return layer.make_for([tuple(shape)], "last")  # type: ignore[operator, no-any-return]
    if hasattr(layer, "_build_once"):
        layer._build_once([tuple(shape)])  # type: ignore[operator]
    return layer


def is_stack(cell: Any) -> bool:
    """Whether RNN was given several cells: a list, or StackedRNNCells."""
    return isinstance(cell, list | tuple) or getattr(cell, "class_name", "") == "StackedRNNCells"


def cells_of(cell: Any) -> list[Any]:
    """The cells of RNN's argument, one or several."""
    if isinstance(cell, list | tuple):
        return list(cell)
    return list(cell.arguments["cells"]) if is_stack(cell) else [cell]


def built_cells(cell: Any, shape: Shape) -> list[nn.Module]:
    """The modules of RNN's cells, each for the output of the one before."""
    size, made = shape[-1], []
    for one in cells_of(cell):
        module = built(one, (shape[0], size))
        made.append(module)
        states: Any = getattr(module, "state_size", size)
        size = getattr(module, "output_size", None) or (
            states[0] if isinstance(states, list | tuple) else states
        )
    return made


def copied(layer: Any, **changes: Any) -> Any:
    """A layer of the same class with the same arguments and weights of its own. Raises TypeError for a layer that is
    no rule's.
    """
    if isinstance(layer, list | tuple):
        return [copied(item) for item in layer]
    if not hasattr(layer, "rule"):
        if isinstance(layer, nn.Module):
            raise TypeError(f"{type(layer).__name__} cannot be copied: give Bidirectional a backward_layer")
        return layer
    arguments = {name: copied(v) if _holds_layer(v) else v for name, v in layer.arguments.items()}
    return type(layer)(**{**arguments, "name": layer.name, "trainable": layer.trainable, **changes})


def _holds_layer(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_layer(item) for item in value)
    return isinstance(value, nn.Module) and hasattr(value, "class_name")


class Directions(Bidirectional):
    """`Bidirectional` that knows the layers behind its modules."""

    layers: tuple[Any, Any]


def bidirectional(layer: Any, backward: Any, merge_mode: Any, shape: Shape) -> Directions:
    """The module of Bidirectional: ``layer`` and, unless one is given, its copy that runs the other way."""
    one = copied(layer, name=f"forward_{layer.name.removeprefix('forward_')}")
    if backward is None:
        backward = copied(layer, name=f"backward_{layer.name.removeprefix('backward_')}", go_backwards=True)
    made = Directions(built(one, shape), built(backward, shape), merge_mode)
    object.__setattr__(made, "layers", (one, backward))
    return made


class TimeDistributed(nn.Module):
    """tf.keras.layers.TimeDistributed: ``layer`` on every step of (N, T, ...), all steps at once.

    Batch normalisation in training sees one step after the other, as in Keras.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        call: Any = getattr(layer, "_call_names", None)
        names = inspect.signature(layer.forward).parameters if call is None else call()
        self.takes_mask = "mask" in names

    def forward(self, inputs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        options = () if mask is None or not self.takes_mask else (mask,)
        with building.in_tensorflows_order():
            if self.training and any(hasattr(m, "running_mean") for m in self.layer.modules()):
                steps = [self._call(*(v[:, t] for v in (inputs, *options))) for t in range(inputs.shape[1])]
                return torch.stack(steps, dim=1)
            made = self._call(*(v.flatten(0, 1) for v in (inputs, *options)))
        return made.unflatten(0, inputs.shape[:2])

    def _call(self, inputs: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return self.layer(inputs) if mask is None else self.layer(inputs, mask=mask)  # type: ignore[no-any-return]


def spectral(layer: Any, power_iterations: int, shape: Shape) -> SpectralNorm:
    """The module of SpectralNormalization around a layer with a kernel or embeddings. Raises TypeError for others."""
    module = built(layer, shape)
    found = of_held(layer, "", "")
    for variable in ("kernel", "embeddings"):
        if variable in found:
            ((path, pattern, _),) = found[variable]
            names = pattern.replace("...", "").split(" -> ")
            if "(" in pattern:
                raise NotImplementedError(f"SpectralNormalization of {layer.class_name}: a kernel in groups")
            last = names[1].split().index(names[0].split()[-1]) if names[0].strip() else -1
            return SpectralNorm(module, path, last, power_iterations)
    raise TypeError(f"SpectralNormalization: {type(layer).__name__} has neither kernel nor embeddings")


def einsum_dense(equation: str, output_shape: Any, bias_axes: str | None, shape: Shape) -> EinsumDense:
    """The module of EinsumDense for inputs of this shape."""
    output = (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
    kernel, bias, inputs, outputs = kernel_sizes(equation, bias_axes, shape, output)
    made = EinsumDense(equation.replace(" ", ""), kernel, bias)
    object.__setattr__(made, "fans", (inputs, outputs))
    return made
