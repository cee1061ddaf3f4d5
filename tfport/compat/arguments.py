"""Arguments as TensorFlow would take them: numbers, lists and arrays become tensors, dtype names become dtypes.

Python floats become float32, ints int32 (int64 where one is beyond int32), bools bool (tf.convert_to_tensor); NumPy
arrays keep their dtype. Beside a tensor argument all of them take its dtype, as TensorFlow's binary operators have it:
float64 to float32, and float to int toward zero. Where no argument is a tensor the first NumPy array says the dtype.
(TensorFlow's C functions, such as tf.add, refuse an array of another dtype in front of a tensor; here it is converted
in either place.)
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

import numpy as np
import torch

from tfport.compat.dtypes import as_dtype

NUMPY = (np.ndarray, np.generic)  # a tuple: torch.compile does not read a union of them
_PYTHON = {torch.float64: torch.float32, torch.int64: torch.int32, torch.complex128: torch.complex128}


def to_tensor(
    value: Any, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> torch.Tensor:
    """``tf.convert_to_tensor``: a number, list, array or tensor as a tensor; ``dtype`` is that of the operand beside it.

    A tensor keeps its dtype. A list that holds tensors is stacked. Raises TypeError for what has no tensor form
    (strings, None, objects).
    """
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, NUMPY):
        tensor = torch.as_tensor(np.ascontiguousarray(value) if value.ndim else value, device=device)
        return tensor if dtype is None else tensor.to(dtype)
    if isinstance(value, list | tuple) and _holds_tensor(value):
        return torch.stack([to_tensor(item, dtype, device) for item in _alike(value, dtype)])
    if isinstance(value, torch.Size):
        value = list(value)
    made = np.asarray(value)
    if made.dtype == object or made.dtype.kind in "US":
        raise TypeError(
            f"{value!r} ({type(value).__name__}) cannot become a tensor; pass numbers, an array or a tensor"
        )
    tensor = torch.as_tensor(made, device=device)
    wanted = dtype if dtype is not None else _of_first(value, tensor.dtype)
    if (
        wanted is torch.int32
        and dtype is None
        and made.size
        and not -(2**31) <= made.min() <= made.max() < 2**31
    ):
        return tensor
    return tensor if wanted is None else tensor.to(wanted)


def _of_first(value: Any, own: torch.dtype) -> torch.dtype | None:
    """The dtype of Python values: of a list of floats NumPy's only if its first is a NumPy number wider or narrower than
    float32; every list of integers is int32."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    first = value.dtype if isinstance(value, NUMPY) else None
    if own.is_floating_point:
        return as_dtype(first) if first is not None and first.kind == "f" else torch.float32
    return torch.int32 if own not in (torch.bool, torch.complex64, torch.complex128) else _PYTHON.get(own)


def takes(wanted: torch.dtype, given: torch.dtype) -> bool:
    """Whether Python values of a dtype become tensors of another: ints anything but bool, floats only floats."""
    if wanted == given or given == torch.bool:
        return True
    if given.is_complex or wanted == torch.bool:
        return wanted.is_complex
    return wanted.is_floating_point or wanted.is_complex or not given.is_floating_point


def literal_dtype(value: Any) -> torch.dtype | None:
    """The dtype that TensorFlow gives a Python number or nested lists of them; None for anything else.

    Rules may test it: the converter decides it where the literal stands in the call.
    """
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**31) <= value < 2**31:
        return torch.int64
    if isinstance(value, bool | int | float):
        return _PYTHON_TYPES[type(value)]
    if not isinstance(value, list | tuple):
        return None
    inside = {literal_dtype(v) for v in value}
    if None in inside:
        return None
    if inside <= {torch.int32, torch.int64, torch.float32}:
        if torch.float32 in inside or not inside:
            return torch.float32
        return max(inside, key=lambda d: d.itemsize)  # type: ignore[union-attr]
    return inside.pop() if len(inside) == 1 else None


_PYTHON_TYPES = {bool: torch.bool, int: torch.int32, float: torch.float32}


def _holds_tensor(value: Any) -> bool:
    return any(
        isinstance(v, torch.Tensor) or (isinstance(v, list | tuple) and _holds_tensor(v)) for v in value
    )


def _alike(values: Iterable[Any], dtype: torch.dtype | None) -> list[Any]:
    """The items of a list, those that are no tensors with the dtype of the first tensor, or else of the first array."""
    items = list(values)
    found_dtype, device = _leading(items)
    if found_dtype is None:
        return items
    return [v if isinstance(v, torch.Tensor) else to_tensor(v, found_dtype, device) for v in items]


def _leading(values: Iterable[Any]) -> tuple[torch.dtype | None, torch.device | None]:
    """dtype and device that the first tensor gives the other operands; without one the dtype of the first array."""
    items = list(values)
    tensor = next((v for v in items if isinstance(v, torch.Tensor)), None)
    if tensor is not None:
        return tensor.dtype, tensor.device
    array = next((v for v in items if isinstance(v, np.ndarray) and v.dtype.kind in "biufc"), None)
    return (None if array is None else as_dtype(array.dtype)), None


def convert(
    arguments: MutableMapping[str, Any],
    tensors: tuple[str, ...],
    lists: tuple[str, ...] = (),
    dtypes: tuple[str, ...] = (),
) -> None:
    """Convert in place the tensor positions ``tensors``, the lists of tensors ``lists`` and the dtypes ``dtypes``."""
    for name in dtypes:
        if isinstance(arguments.get(name), torch.dtype | type(None)):
            continue
        arguments[name] = as_dtype(arguments[name])
    dtype, device = _leading(arguments.get(n) for n in tensors)
    for name in tensors:
        value = arguments.get(name)
        if value is not None and not isinstance(value, torch.Tensor):
            arguments[name] = to_tensor(value, dtype, device)
    for name in lists:
        value = arguments.get(name)
        if isinstance(value, torch.Tensor):
            arguments[name] = list(value)
        elif isinstance(value, list | tuple):
            arguments[name] = [to_tensor(item) for item in _alike(value, None)]
