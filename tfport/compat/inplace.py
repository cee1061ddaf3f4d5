"""Augmented assignment where the source does not tell what is assigned to: tensors are never changed in place.

TensorFlow's tensors are immutable, so ``y += x`` rebinds y there; a torch tensor would change under every name.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch

from tfport.compat import operators


class Augmented:
    """An operator such as ``operator.iadd``, but a new tensor, by TensorFlow's operator, where the target is a tensor.

    ``item`` and ``attribute`` do it to a part of an object, whose parts are evaluated once.
    """

    def __init__(self, plain: Callable[[Any, Any], Any], in_place: Callable[[Any, Any], Any]) -> None:
        self._plain, self._in_place = plain, in_place
        self.__name__ = in_place.__name__

    def __call__(self, target: Any, value: Any) -> Any:
        """The new value of ``target``."""
        if isinstance(target, torch.Tensor) or (isinstance(value, torch.Tensor) and not _takes(target)):
            return self._plain(target, value)
        return self._in_place(target, value)

    def item(self, container: Any, key: Any, value: Any) -> None:
        """``container[key] op= value``."""
        container[key] = self(container[key], value)

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        """``owner.name op= value``."""
        setattr(owner, name, self(getattr(owner, name), value))


def _takes(target: Any) -> bool:
    """Whether an object has an operator of its own that changes it in place: arrays and lists."""
    return hasattr(target, "__iadd__") and not isinstance(target, torch.Tensor)


iadd = Augmented(operators.add, operator.iadd)
isub = Augmented(operators.sub, operator.isub)
imul = Augmented(operators.mul, operator.imul)
itruediv = Augmented(operators.truediv, operator.itruediv)
ifloordiv = Augmented(operators.floordiv, operator.ifloordiv)
imod = Augmented(operators.mod, operator.imod)
ipow = Augmented(operators.pow, operator.ipow)
imatmul = Augmented(operators.matmul, operator.imatmul)
iand = Augmented(operators.and_, operator.iand)
ior = Augmented(operators.or_, operator.ior)
ixor = Augmented(operators.xor, operator.ixor)
