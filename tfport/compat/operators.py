"""Python's operators as TensorFlow's tensors have them, for operands that the source does not tell.

Beside a tensor, numbers, lists and NumPy arrays take its dtype, two tensors must have one dtype, integers divide to
float64 (8 and 16 bits: to float32), ``==`` and ``!=`` compare lists and tuples elementwise, and the product of bools is
a bool. TypeError where TensorFlow refuses. Without a tensor the operator is Python's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch

from tfport.compat.arguments import NUMPY, takes, to_tensor

_SMALL = (torch.int8, torch.uint8, torch.int16, torch.uint16)
_EQUALITY = ("eq", "ne")
_LOGIC = ("and_", "or_", "xor", *_EQUALITY)


def _exact(name: str) -> Callable[[Any, Any], Any]:
    plain = getattr(operator, name)

    def apply(left: Any, right: Any) -> Any:
        if not isinstance(left, torch.Tensor) and not isinstance(right, torch.Tensor):
            return plain(*_as_shapes(left, right))
        if name == "mul" and torch.bool in (getattr(left, "dtype", None), getattr(right, "dtype", None)):
            return _product_of_bools(left, right)
        sides = _beside(left, right, plain)
        if sides is None:
            return plain(left, right)
        if sides[0].dtype == torch.bool and name not in _LOGIC:
            raise TypeError(f"{name} of bool tensors: cast them")
        if name in _EQUALITY and not _fit(*sides):
            return torch.tensor(name == "ne", device=sides[0].device)
        return plain(*sides)

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"operator.{name}, by TensorFlow's rules where an operand is a tensor."
    return apply


def _as_shapes(left: Any, right: Any) -> tuple[Any, Any]:
    """A list beside a torch.Size as a tuple: to TensorFlow shapes equal lists, and may be joined with them."""
    if isinstance(left, torch.Size) and isinstance(right, list):
        return left, tuple(right)
    return (tuple(left), right) if isinstance(left, list) and isinstance(right, torch.Size) else (left, right)


def _beside(
    left: Any, right: Any, plain: Callable[[Any, Any], Any]
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Both operands as tensors of one dtype; None where one is an object of another kind, which has its own operator."""
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        if left.dtype != right.dtype:
            raise TypeError(
                f"{plain.__name__} of {left.dtype} and {right.dtype}: TensorFlow does not promote, cast one"
            )
        return left, right
    if isinstance(left, torch.Tensor):
        other = _converted(right, left, plain)
        return None if other is None else (left, other)
    other = _converted(left, right, plain)
    return None if other is None else (other, right)


def _converted(value: Any, tensor: torch.Tensor, plain: Callable[[Any, Any], Any]) -> torch.Tensor | None:
    if isinstance(value, NUMPY):
        return to_tensor(value, tensor.dtype, tensor.device)
    if isinstance(value, str | bytes):
        raise TypeError(f"{plain.__name__} of a tensor of {tensor.dtype} and {value!r}")
    if not isinstance(value, bool | int | float | complex | list | tuple):
        return None
    made = (
        torch.tensor(value, device=tensor.device)
        if _is_plain(value)
        else to_tensor(value, None, tensor.device)
    )
    if not takes(tensor.dtype, made.dtype):
        raise TypeError(
            f"{plain.__name__} of {tensor.dtype} and {value!r}: TensorFlow does not promote, cast one"
        )
    if made.dtype in (torch.float32, torch.complex64) and tensor.dtype in (torch.float64, torch.complex128):
        return torch.tensor(value, dtype=tensor.dtype, device=tensor.device)  # not rounded to float32 first
    return made.to(tensor.dtype)


def _is_plain(value: Any) -> bool:
    """Whether a value holds Python numbers only; torch.compile does not read NumPy's conversion of them."""
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return type(value) in (bool, int, float, complex)


def _product_of_bools(left: Any, right: Any) -> torch.Tensor:
    """TensorFlow's ``*`` with a bool tensor is "and"; a float counts as true unless it is truncated to 0."""
    if not isinstance(left, torch.Tensor) and not isinstance(left, (bool, *NUMPY)):
        raise TypeError(f"mul of {left!r} and a bool tensor: cast the tensor")
    device = left.device if isinstance(left, torch.Tensor) else right.device
    first, second = (to_tensor(side, None, device) for side in (left, right))
    return (_whole(first) != 0) & (_whole(second) != 0)


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    return torch.trunc(tensor) if tensor.is_floating_point() else tensor


def _fit(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether shapes broadcast; tensors that do not are unequal to TensorFlow."""
    return all(
        a == b or 1 in (a, b) for a, b in zip(reversed(left.shape), reversed(right.shape), strict=False)
    )


add = _exact("add")
sub = _exact("sub")
mul = _exact("mul")
floordiv = _exact("floordiv")
mod = _exact("mod")
pow = _exact("pow")
matmul = _exact("matmul")
lt = _exact("lt")
le = _exact("le")
gt = _exact("gt")
ge = _exact("ge")
eq = _exact("eq")
ne = _exact("ne")
and_ = _exact("and_")
or_ = _exact("or_")
xor = _exact("xor")


def holds(items: Any, value: Any) -> bool:
    """``value in items`` of TensorFlow 1, where tensors are equal only to themselves."""
    return any(item is value for item in items)


def truediv(left: Any, right: Any) -> Any:
    """operator.truediv, by TensorFlow's rules where an operand is a tensor: integers give float64, of 8 and 16 bits float32."""
    if not isinstance(left, torch.Tensor) and not isinstance(right, torch.Tensor):
        return left / right
    sides = _beside(left, right, operator.truediv)
    if sides is None:
        return left / right
    dtype = sides[0].dtype
    if dtype == torch.bool:
        raise TypeError("truediv of bool tensors: cast them")
    if dtype.is_floating_point or dtype.is_complex:
        return sides[0] / sides[1]
    wide = torch.float32 if dtype in _SMALL else torch.float64
    return sides[0].to(wide) / sides[1].to(wide)
