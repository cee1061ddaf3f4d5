"""Keras' initial values on torch modules, for what ``torch.nn.init`` does not say in one call."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from tfport.compat.keras.variables import fill, present
from tfport.layers.arguments import normalise
from tfport.layers.variables import Table, channels_in, reverse, table
from tfport.weights.patterns import ZEROS


def initialise(*layers: nn.Module, like: str, **initializers: Any) -> None:
    """Give each module the initial values of Keras' layer ``like`` ("Conv2D", "Dense", "LSTM" ...).

    ``initializers`` are the layer's arguments: ``kernel_initializer="he_normal"``, ``unit_forget_bias=False``; the
    others keep Keras' defaults. Fans are those of the kernel in Keras' shape. A lazy module gets its values when it
    learns its sizes, unless weights were loaded before. torch's second bias of an LSTM or RNN, which Keras does not
    have, is set to zero and does not train. Raises TypeError for an argument that the layer does not have.
    """
    from tfport import compat

    rule = getattr(compat.keras.layers, like).rule
    parameters = inspect.signature(rule.function).parameters
    defaults = {
        n: p.default for n, p in parameters.items() if n.endswith("_initializer") or n == "unit_forget_bias"
    }
    if unknown := set(initializers) - set(defaults):
        raise TypeError(f"{like} has no argument {', '.join(sorted(unknown))}")
    chosen = normalise({**defaults, **initializers})
    for layer in layers:
        if any(is_lazy(p) for p in layer.parameters()):
            layer.reset_parameters = functools.partial(_fill_lazy, layer, rule, chosen)  # type: ignore[assignment]
        else:
            _fill(layer, rule, chosen)


def _fill_lazy(layer: nn.Module, rule: Any, chosen: dict[str, Any]) -> None:
    if any(is_lazy(p) for p in layer.parameters()):
        return
    _fill(layer, rule, chosen)
    del layer.reset_parameters


def _fill(layer: nn.Module, rule: Any, chosen: dict[str, Any]) -> None:
    heads = {"num_heads": getattr(layer, "heads", None), "num_query_heads": getattr(layer, "heads", None),
             "num_key_value_heads": getattr(layer, "kv_heads", None)}  # fmt: skip
    found = table(rule.weights, rule.unless, heads)
    for one in (found, reverse(found) if getattr(layer, "bidirectional", False) is True else {}):
        kept: Table = channels_in(present(one, layer), _channels(layer))
        fill(kept, layer, chosen)
        for rows in kept.values():
            for path in (path for path, pattern, _ in rows if pattern == ZEROS):
                if path in dict(layer.named_parameters()):
                    layer.get_parameter(path).requires_grad_(False)


def _channels(layer: nn.Module) -> int | None:
    """The input channels of a depthwise convolution, alone or as the first of a pair."""
    first = layer[0] if isinstance(layer, nn.Sequential) else layer
    groups = getattr(first, "groups", None)
    return groups if isinstance(groups, int) else None
