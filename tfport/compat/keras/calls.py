"""Calls of models as Keras makes them: TensorFlow's layout in and out, inference unless told to train."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from tfport.compat.keras import building, signatures
from tfport.compat.keras.layer import Layer
from tfport.compat.keras.model import Functional
from tfport.compat.keras.symbol import is_symbolic, symbols_in
from tfport.compat.layouts import as_tensor
from tfport.layers.layouts import to_first, to_last


def call(model: Any, *inputs: Any, training: Any = None, **named: Any) -> Any:
    """``model(*inputs, training=training)`` of Keras.

    Images, here tensors, arrays or lists of rank 4 and 5, come and go in TensorFlow's layout. The mode is
    inference where ``training`` is None or left out; inside the ``call`` of an own layer it stays what it is.
    The model's mode before the call is restored. A module made by the converter takes several inputs one by one:
    a list of inputs is spread over its parameters, a dictionary goes by name. What is no module (a function), and
    symbols of a model that is being described, are passed on as they are.
    """
    if is_symbolic(inputs, named) or not isinstance(model, nn.Module):
        given = {} if training is None else {"training": training}
        return model(*inputs, **named, **given)
    if isinstance(model, Layer):
        return _keras_call(model, inputs, training, named)
    values: list[Any] = list(_tensors(inputs))
    options: dict[str, Any] = _tensors(named)
    if len(values) == 1 and isinstance(values[0], dict):
        values, options = [], {**values[0], **options}
    elif len(values) == 1 and isinstance(values[0], list | tuple) and _takes_several(model):
        values = list(values[0])
    taken = inspect.signature(model.forward).parameters
    for mode in ("is_training", "train"):  # a converted class has its mode instead
        if mode in options and mode not in taken:
            training = options.pop(mode)
    if "training" in taken and training is not None:
        options["training"] = training
    with _mode(model, bool(training)):
        made = model(*_mapped(values, _first), **_mapped(options, _first))
    return _mapped(made, _last)


def trainable_variables(model: Any) -> list[torch.Tensor]:
    """The parameters that train, of a Keras-like object or of any nn.Module, in order."""
    own = getattr(model, "trainable_variables", None)
    if own is not None or not isinstance(model, nn.Module):
        return list(model.trainable_variables)
    return [p for p in model.parameters() if p.requires_grad]


def detached(value: Any) -> Any:
    """The nested value with its tensors cut off from the graph: what a tape takes of the time before it."""
    return building.mapped(value, torch.Tensor.detach)


def set_trainable(model: Any, value: Any) -> None:
    """``model.trainable = value`` of Keras: parameters train or not, and frozen batch normalisation infers.

    Raises NotImplementedError for torch's own BatchNorm, which has no such state.
    """
    if isinstance(model, Layer) or not isinstance(model, nn.Module):
        model.trainable = value
        return
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in model.modules()):
        raise NotImplementedError(
            "torch's BatchNorm keeps no frozen state: call eval() on it after each train()"
        )
    building.freeze(model, not value)


def _keras_call(model: Layer, inputs: tuple[Any, ...], training: Any, named: dict[str, Any]) -> Any:
    """Recorded models and layers permute by themselves where their surroundings are channels last."""
    outer = building.Order.now
    values, options = _tensors(inputs), _tensors(named)
    if isinstance(model, Functional):
        values = _as_described(model, values)
    elif training is None:
        training = signatures.positional(model.call, "training", inputs)
    mode = model.training if training is None and outer == "last" else bool(training)
    if training is not None and _passes_training(model, len(values)):
        options["training"] = training
    building.Order.now = "last"
    try:
        with _mode(model, mode):
            return model(*values, **options)
    finally:
        building.Order.now = outer


def _passes_training(model: Layer, given: int) -> bool:
    """Whether ``call`` takes ``training`` beyond the arguments given by position: recorded models and plain layers
    get it by their mode."""
    return not isinstance(model, Functional) and signatures.is_left_out(model.call, "training", given)


def _as_described(model: Functional, values: Any) -> Any:
    """Inputs in the dtypes that the model's Inputs have, as Keras casts them."""
    symbols = list(symbols_in(model.inputs_structure))
    flat = values[0] if len(values) == 1 and isinstance(values[0], list | tuple) else values
    if len(flat) != len(symbols) or not all(isinstance(v, torch.Tensor) for v in flat):
        return values
    return tuple(v.to(_dtype(s)) for s, v in zip(symbols, flat, strict=True))


def _dtype(symbol: Any) -> torch.dtype:
    """float32, Keras' default, stands for torch's default."""
    name = str(symbol.dtype).removeprefix("torch.")
    return torch.get_default_dtype() if name == "float32" else getattr(torch, name)  # type: ignore[no-any-return]


@contextlib.contextmanager
def _mode(model: nn.Module, training: bool) -> Iterator[None]:
    was = model.training
    if was != training:
        model.train(training)
    try:
        yield
    finally:
        if model.training != was:
            model.train(was)


def _takes_several(model: nn.Module) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [p for p in inspect.signature(model.forward).parameters.values() if p.kind in kinds]
    return len([p for p in parameters if p.default is p.empty]) > 1


def _tensors(value: Any) -> Any:
    """Arrays, numbers and lists of numbers as tensors, floating ones in the default dtype; containers are kept."""
    if isinstance(value, dict):
        return {key: _tensors(item) for key, item in value.items()}
    if isinstance(value, list | tuple) and not _is_number_list(value):
        return type(value)(_tensors(item) for item in value)
    if isinstance(value, torch.Tensor | np.ndarray | np.generic | list):
        made = as_tensor(value)
        return made.to(torch.get_default_dtype()) if made.is_floating_point() else made
    return value


def _is_number_list(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_number_list(v) or isinstance(v, int | float) for v in value)
    return False


def _mapped(value: Any, function: Any) -> Any:
    return building.mapped(value, function)


def _first(value: torch.Tensor) -> torch.Tensor:
    if value.dim() not in (4, 5):
        return value
    return value.to(torch.get_default_dtype()).permute(to_first(value.dim()))


def _last(value: torch.Tensor) -> torch.Tensor:
    return value.permute(to_last(value.dim())) if value.dim() in (4, 5) else value


__all__ = ["call", "detached", "set_trainable", "trainable_variables"]
