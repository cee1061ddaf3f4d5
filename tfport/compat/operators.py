"""Operators whose operands may be NumPy arrays: beside a tensor an array takes the tensor's dtype, as in TensorFlow.

NumPy's and torch's own operators would promote float32 and float64 to float64, or fail. Without a tensor, or without
an array, the operator is Python's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tfport.compat.arguments import to_tensor

_SMALL = (torch.int8, torch.uint8, torch.int16, torch.uint16)


def _between(plain: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(left: Any, right: Any) -> Any:
        return plain(*_beside(left, right))

    apply.__name__ = apply.__qualname__ = plain.__name__
    apply.__doc__ = (
        f"operator.{plain.__name__}; a NumPy array beside a tensor is converted to the tensor's dtype."
    )
    return apply


def _beside(left: Any, right: Any) -> tuple[Any, Any]:
    if isinstance(left, torch.Tensor) and isinstance(right, np.ndarray | np.generic):
        right = to_tensor(right, left.dtype, left.device)
    elif isinstance(right, torch.Tensor) and isinstance(left, np.ndarray | np.generic):
        left = to_tensor(left, right.dtype, right.device)
    return left, right


def _quotient(left: Any, right: Any) -> Any:
    left, right = _beside(left, right)
    tensor = left if isinstance(left, torch.Tensor) else right
    if not isinstance(tensor, torch.Tensor) or tensor.is_floating_point() or tensor.is_complex():
        return left / right
    wide = torch.float32 if tensor.dtype in _SMALL else torch.float64
    return tensor.to(wide) / right if tensor is left else left / tensor.to(wide)


add = _between(operator.add)
sub = _between(operator.sub)
mul = _between(operator.mul)
floordiv = _between(operator.floordiv)
mod = _between(operator.mod)
pow = _between(operator.pow)
matmul = _between(operator.matmul)
lt = _between(operator.lt)
le = _between(operator.le)
gt = _between(operator.gt)
ge = _between(operator.ge)
eq = _between(operator.eq)
ne = _between(operator.ne)


def truediv(left: Any, right: Any) -> Any:
    """operator.truediv; an array beside a tensor is converted, and integer tensors give float64 (8 and 16 bits: float32)."""
    return _quotient(left, right)
