"""Arguments as TensorFlow would take them: numbers, lists and arrays become tensors, dtype names become dtypes.

Python floats become float32, ints int32, bools bool (tf.convert_to_tensor); beside a tensor argument they take its
dtype. NumPy arrays keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

import numpy as np
import torch

from tfport.compat.dtypes import as_dtype

_PYTHON = {torch.float64: torch.float32, torch.int64: torch.int32, torch.complex128: torch.complex128}


def to_tensor(value: Any, dtype: torch.dtype | None = None, device: torch.device | None = None) -> torch.Tensor:
    """``tf.convert_to_tensor``: a number, list, array or tensor as a tensor; ``dtype`` for what has none of its own.

    A list that holds tensors is stacked. Raises TypeError for what has no tensor form (strings, None, objects).
    """
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return torch.as_tensor(np.ascontiguousarray(value) if value.ndim else value, device=device)
    if isinstance(value, list | tuple) and _holds_tensor(value):
        return torch.stack([to_tensor(item, dtype, device) for item in _alike(value, dtype)])
    if isinstance(value, torch.Size):
        value = list(value)
    made = np.asarray(value)
    if made.dtype == object or made.dtype.kind in "US":
        raise TypeError(f"{value!r} ({type(value).__name__}) cannot become a tensor; pass numbers, an array or a tensor")
    has_own = isinstance(value, list | tuple) and any(isinstance(v, np.ndarray | np.generic) for v in value)
    tensor = torch.as_tensor(made, device=device)
    wanted = dtype if dtype is not None else None if has_own else _PYTHON.get(tensor.dtype)
    return tensor if wanted is None else tensor.to(wanted)


def _holds_tensor(value: Any) -> bool:
    return any(isinstance(v, torch.Tensor) or (isinstance(v, list | tuple) and _holds_tensor(v)) for v in value)


def _alike(values: Iterable[Any], dtype: torch.dtype | None) -> list[Any]:
    """The items of a list with the first tensor's dtype for those that are plain numbers."""
    items = list(values)
    found = next((v for v in items if isinstance(v, torch.Tensor)), None)
    if found is None:
        return items
    return [v if isinstance(v, torch.Tensor) else to_tensor(v, found.dtype, found.device) for v in items]


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
    like = next((v for n in tensors if isinstance(v := arguments.get(n), torch.Tensor)), None)
    dtype, device = (like.dtype, like.device) if like is not None else (None, None)
    for name in tensors:
        value = arguments.get(name)
        if value is not None and not isinstance(value, torch.Tensor):
            arguments[name] = to_tensor(value, None if isinstance(value, np.ndarray) else dtype, device)
    for name in lists:
        value = arguments.get(name)
        if isinstance(value, torch.Tensor):
            arguments[name] = list(value)
        elif isinstance(value, list | tuple):
            arguments[name] = [to_tensor(item) for item in _alike(value, None)]
