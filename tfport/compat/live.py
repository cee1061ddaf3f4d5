"""A value that follows a variable, as the result of ``exponential_decay`` does in a TensorFlow 1 graph."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch


class Live:
    """A scalar computed anew at each use: call it, use it in torch functions, or take ``float(value)``.

    Arithmetic with numbers, and torch functions without another tensor, give a new ``Live``; beside a
    tensor the current value is used. So an optimiser that was given one reads the rate of the step it
    makes, not that of the first.
    """

    def __init__(self, compute: Callable[[], torch.Tensor]) -> None:
        self._compute = compute

    def __call__(self) -> torch.Tensor:
        """The value now."""
        return self._compute()

    def __float__(self) -> float:
        return float(self._compute())

    def numpy(self) -> Any:
        """The value now, as a NumPy scalar."""
        return self._compute().numpy()

    def __repr__(self) -> str:
        return f"Live({self._compute()!r})"

    @classmethod
    def __torch_function__(cls, func: Callable[..., Any], types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:  # fmt: skip
        named = kwargs or {}

        def evaluate() -> Any:
            return func(*map(_value, args), **{k: _value(v) for k, v in named.items()})

        beside_tensor = any(isinstance(a, torch.Tensor) for a in (*args, *named.values()))
        return evaluate() if beside_tensor else cls(evaluate)


def _value(argument: Any) -> Any:
    if isinstance(argument, Live):
        return argument()
    return [_value(a) for a in argument] if isinstance(argument, list) else argument


def _binary(function: Callable[[Any, Any], Any], swapped: bool) -> Callable[[Live, Any], Any]:
    def apply(self: Live, other: Any) -> Any:
        def evaluate() -> Any:
            return function(_value(other), self()) if swapped else function(self(), _value(other))

        return evaluate() if isinstance(other, torch.Tensor) else Live(evaluate)

    return apply


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(Live, f"__{_name}__", _binary(getattr(operator, _name), swapped=False))
    setattr(Live, f"__r{_name}__", _binary(getattr(operator, _name), swapped=True))
