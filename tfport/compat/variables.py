"""TensorFlow's variables as ``nn.Parameter``s, and assignment with TensorFlow's checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from tfport.compat.arguments import to_tensor
from tfport.compat.dtypes import as_dtype


def variable(initial: Any, trainable: bool | None, dtype: Any, constraint: Callable[..., Any] | None,
             shape: Any = None, name: str | None = None) -> nn.Parameter:  # fmt: skip
    """A parameter with a copy of ``initial`` (a value, or a function that returns one).

    Python floats are float32 and ints int32 unless ``dtype`` says otherwise. It requires gradients if
    ``trainable`` is not False and the dtype is floating or complex. Raises ValueError without an initial
    value or if ``shape`` differs.
    """
    value = initial() if callable(initial) and not isinstance(initial, torch.Tensor) else initial
    if value is None:
        raise ValueError("a variable needs an initial value")
    wanted = None if dtype is None else as_dtype(dtype)
    tensor = to_tensor(value, wanted)
    if wanted is not None and tensor.dtype != wanted:
        if isinstance(value, torch.Tensor):
            raise ValueError(
                f"the initial value has dtype {tensor.dtype}, the variable {wanted}: cast the value"
            )
        tensor = tensor.to(wanted)
    if shape is not None and tuple(shape) != tuple(tensor.shape):
        raise ValueError(f"the initial value has shape {tuple(tensor.shape)}, the variable {tuple(shape)}")
    grads = trainable is not False and (tensor.is_floating_point() or tensor.is_complex())
    made = nn.Parameter(tensor.detach().clone(), requires_grad=grads)
    made.trainable = trainable is not False  # type: ignore[attr-defined]
    made.variable_name = f"{name or 'Variable'}:0"  # type: ignore[attr-defined]
    if constraint is not None:
        made.constraint = constraint  # type: ignore[attr-defined]
    return made


def as_value(ref: torch.Tensor, value: Any) -> torch.Tensor:
    """``value`` for an assignment to ``ref``: numbers take its dtype; tensors must have it, and its shape.

    Raises ValueError for another shape (TensorFlow does not broadcast here) and TypeError for another dtype.
    """
    if isinstance(value, torch.Tensor):
        if value.dtype != ref.dtype:
            raise TypeError(f"a variable of {ref.dtype} cannot take a tensor of {value.dtype}: cast it")
    else:
        number = np.asarray(value)
        if number.dtype.kind in "fc" and not (ref.is_floating_point() or ref.is_complex()):
            raise TypeError(f"a variable of {ref.dtype} cannot take {value!r}")
        value = torch.as_tensor(number).to(ref.dtype)
    if value.shape != ref.shape:
        raise ValueError(
            f"a variable of shape {tuple(ref.shape)} cannot take a value of shape {tuple(value.shape)}"
        )
    return value.to(ref.device)


@torch.no_grad()
def assign(ref: torch.Tensor, value: Any) -> torch.Tensor:
    """Write ``value`` into ``ref`` and return ``ref``."""
    return ref.copy_(as_value(ref, value))


@torch.no_grad()
def assign_add(ref: torch.Tensor, value: Any) -> torch.Tensor:
    """Add ``value`` to ``ref`` in place and return ``ref``."""
    return ref.add_(as_value(ref, value))


@torch.no_grad()
def assign_sub(ref: torch.Tensor, value: Any) -> torch.Tensor:
    """Subtract ``value`` from ``ref`` in place and return ``ref``."""
    return ref.sub_(as_value(ref, value))


def name(ref: Any) -> str:
    """``v.name`` of a variable: the name that it was made with and ":0", without the scopes and numbers of a graph.

    Raises AttributeError for a parameter that was not made as a variable; other objects have a name of their own.
    """
    if not isinstance(ref, torch.Tensor):
        return str(ref.name)
    found = getattr(ref, "variable_name", None)
    if found is None:
        raise AttributeError("a parameter does not know its name: use module.named_parameters()")
    return str(found)


class Reference:
    """``tensor.ref()``: equal and hashed by the identity of the tensor, which tensors in TensorFlow 2 are not."""

    def __init__(self, value: torch.Tensor) -> None:
        self._value = value

    def deref(self) -> torch.Tensor:
        """The tensor itself."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self._value is other._value

    def __hash__(self) -> int:
        return id(self._value)


class VariableType(type):
    """The type of ``compat.Variable``: calling it runs ``make``, and every ``nn.Parameter`` is an instance."""

    make: Callable[..., nn.Parameter]

    def __call__(cls, *args: Any, **kwargs: Any) -> nn.Parameter:
        return cls.make(*args, **kwargs)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, nn.Parameter)
