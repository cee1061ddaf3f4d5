"""Keras' ``losses``: the terms that regularisers and ``add_loss`` put beside the loss of a model, as ``fit`` adds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from tfport.compat.keras.variables import INITIALIZER_ARGUMENTS, of_layer
from tfport.weights.patterns import ZEROS

ELEMENTWISE = frozenset({"L1", "L2", "L1L2"})
"""Regularisers that sum over the elements, so that their order is of no account."""
KEPT = "_added_losses"


class Added(list[Any]):
    """The terms of the last call. A copy of the layer begins without any: autograd's tensors cannot be copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Added:
        return Added()

    def __reduce__(self) -> tuple[Any, ...]:
        return Added, ()


class Calls:
    """How deep the run is inside of layers, and whether any layer has added a term yet."""

    depth = 0
    used = False


def add(layer: nn.Module, losses: Any) -> None:
    """``layer.add_loss(losses)``: one scalar tensor or a list of them. Raises TypeError for anything else."""
    terms = list(losses) if isinstance(losses, list | tuple) else [losses]
    for term in terms:
        if callable(term) and not isinstance(term, torch.Tensor):
            raise TypeError(
                "add_loss of a function is Keras 2's: pass the tensor that it computes, inside call()"
            )
        if not isinstance(term, torch.Tensor):
            raise TypeError(f"add_loss takes tensors, got {type(term).__name__}")
    layer.__dict__.setdefault(KEPT, Added()).extend(terms)
    Calls.used = True


def enter(layer: nn.Module) -> None:
    """Begins a call: the outermost one drops what the call before has added."""
    if not Calls.depth and Calls.used:
        for part in layer.modules():
            if KEPT in part.__dict__:
                part.__dict__[KEPT].clear()
    Calls.depth += 1


def leave() -> None:
    """Ends a call."""
    Calls.depth -= 1


def collected(module: nn.Module) -> list[torch.Tensor]:
    """The terms of all compat layers in a module: added ones of the last call, then regularisers of what is trained.

    Raises NotImplementedError for an activity regulariser and for a regulariser whose weight torch holds otherwise.
    """
    from tfport.compat.keras.layer import Layer, RuleLayer

    layers = list(_layers(module, Layer))
    found: list[torch.Tensor] = [term for layer in layers for term in layer.__dict__.get(KEPT, ())]
    for layer in layers:
        arguments = getattr(layer, "arguments", {}) if isinstance(layer, RuleLayer) else {}
        if layer.activity_regularizer is not None or arguments.get("activity_regularizer") is not None:
            raise NotImplementedError(
                f"activity_regularizer of {layer.name}: add its term to the loss by hand"
            )
        found += _own(layer)
        if isinstance(layer, RuleLayer) and layer.module is not None and layer.rule.weights:
            found += _of_rule(layer, layer.module)
    return found


def _layers(module: nn.Module, kind: type[Any]) -> Iterator[Any]:
    """The compat layers in a module, each once: modules, and of a recorded model the layers that it was described with."""
    seen: set[int] = set()
    pending = [module]
    while pending:
        part = pending.pop(0)
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, kind):
            yield part
        pending = [*part.__dict__.get("layer_order", ()), *part.children(), *pending]


def _own(layer: Any) -> Iterator[torch.Tensor]:
    """The terms of weights that ``add_weight(regularizer=...)`` made."""
    for label, regularizer in layer.__dict__.get("_regularizers", {}).items():
        weight = getattr(layer, label)
        if weight.requires_grad:
            yield _identified(regularizer)(weight)


def _of_rule(layer: Any, module: nn.Module) -> Iterator[torch.Tensor]:
    for variable, rows in of_layer(layer, module).items():
        *_, last = variable.split("/")
        regularizer = _regularizer(layer, last)
        if regularizer is None:
            continue
        rows = [row for row in rows if row[1] != ZEROS]
        weights = [module.get_parameter(path) for path, *_ in rows]
        if not all(weight.requires_grad for weight in weights):
            continue
        if type(regularizer).__name__ in ELEMENTWISE:
            yield from (regularizer(weight) for weight in weights)
            continue
        if len(rows) > 1 or "(" in rows[0][1] or ":" in rows[0][1]:
            told = f"{variable}: the term of a {type(regularizer).__name__} has no counterpart here"
            raise NotImplementedError(f"regularizer of {layer.name}/{told}; add it to the loss by hand")
        yield regularizer(_in_keras_order(weights[0], rows[0][1]))


def _in_keras_order(weight: torch.Tensor, pattern: str) -> torch.Tensor:
    """A parameter in the axis order of Keras' variable, by a pattern without composites: ``h w i o -> o i h w``."""
    before, after = (side.split() for side in pattern.split("->"))
    return weight if before == after else weight.permute([after.index(axis) for axis in before])


def _regularizer(layer: Any, variable: str) -> Any:
    """The regulariser of a variable such as ``recurrent_kernel``, of the layer or of the one that it wraps."""
    inner = layer.arguments.get("layer") or layer.arguments.get("cell")
    if inner is not None:
        arguments = {} if getattr(inner, "module", None) is not None else getattr(inner, "arguments", {})
    else:
        arguments = layer.arguments
    names = [variable, INITIALIZER_ARGUMENTS.get(variable, variable)]
    if variable == "kernel" and "depthwise_regularizer" in arguments:
        names.append("depthwise")
    for name in names:
        found = arguments.get(f"{name}_regularizer")
        if found is not None:
            return _identified(found)
    return None


def _identified(regularizer: Any) -> Any:
    from tfport import compat

    return compat.keras.regularizers.get(regularizer)  # type: ignore[attr-defined]
