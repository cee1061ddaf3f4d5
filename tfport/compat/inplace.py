"""Augmented assignment where the source does not tell what is assigned to: tensors are never changed in place.

TensorFlow's tensors are immutable, so ``y += x`` rebinds y there; a torch tensor would change under every name.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch


def _augmented(
    plain: Callable[[Any, Any], Any], in_place: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], Any]:
    def apply(target: Any, value: Any) -> Any:
        return plain(target, value) if isinstance(target, torch.Tensor) else in_place(target, value)

    apply.__name__ = apply.__qualname__ = in_place.__name__
    apply.__doc__ = f"operator.{in_place.__name__}, but a new tensor where the target is a tensor."
    return apply


iadd = _augmented(operator.add, operator.iadd)
isub = _augmented(operator.sub, operator.isub)
imul = _augmented(operator.mul, operator.imul)
itruediv = _augmented(operator.truediv, operator.itruediv)
ifloordiv = _augmented(operator.floordiv, operator.ifloordiv)
imod = _augmented(operator.mod, operator.imod)
ipow = _augmented(operator.pow, operator.ipow)
imatmul = _augmented(operator.matmul, operator.imatmul)
iand = _augmented(operator.and_, operator.iand)
ior = _augmented(operator.or_, operator.ior)
ixor = _augmented(operator.xor, operator.ixor)
