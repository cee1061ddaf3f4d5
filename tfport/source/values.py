"""What the converter knows of a value without running anything."""

from __future__ import annotations

import dataclasses
from typing import Any


class Unknown:
    """A value that the source does not decide."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A known object that has only a spelling here, such as ``torch.float32``."""

    text: str


@dataclasses.dataclass(frozen=True)
class Fact:
    """What is known of an expression's value.

    ``kind``: "tensor", "number" (Python int, float or bool), "int", "list" (list or tuple), "array" (NumPy), "shape"
    (torch.Size), "str", "none", "dtype", "module", "callable", "model" or "?".
    ``dtype``: a name such as "float32", "float" for some floating dtype, "?" if unknown. ``value``: the Python value
    where it is known; lists may hold UNKNOWN items.
    """

    kind: str = "?"
    dtype: str = "?"
    ndim: int | None = None
    value: Any = UNKNOWN
    variable: bool = False  # whether it may be a variable itself: its value changes when it is assigned to

    @property
    def known(self) -> bool:
        """Whether the whole value is known."""
        return is_known(self.value)

    @property
    def is_tensor(self) -> bool:
        return self.kind == "tensor"


NOTHING = Fact()
PLAIN = frozenset(
    {"int", "number", "str", "list", "iterable", "array", "none", "shape", "dtype"}
)  # never a tensor


def is_known(value: Any) -> bool:
    """Whether a value has no unknown part."""
    if isinstance(value, list | tuple):
        return all(is_known(v) for v in value)
    return not isinstance(value, Unknown)


def of_value(value: Any) -> Fact:
    """The fact of a known Python value."""
    if isinstance(value, bool | int):
        return Fact("int", "bool" if isinstance(value, bool) else "?", value=value)
    if isinstance(value, float | complex):
        return Fact("number", value=value)
    if isinstance(value, str | bytes):
        return Fact("str", value=value)
    if value is None:
        return Fact("none", value=None)
    if isinstance(value, list | tuple):
        return Fact("list", value=value)
    if isinstance(value, Symbol) and is_dtype(value.text):
        return Fact("dtype", value=value)
    return Fact(value=value)


FLOATS = frozenset({"float", "float16", "bfloat16", "float32", "float64"})
COMPLEX = frozenset({"complex64", "complex128"})
INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
DTYPES = FLOATS | COMPLEX | INTEGERS | {"bool"}


def is_dtype(text: str) -> bool:
    """Whether a spelling is a torch dtype."""
    return text.startswith("torch.") and text[6:] in DTYPES


def join(facts: list[Fact]) -> Fact:
    """What holds of a value that is one of several."""
    if not facts:
        return NOTHING
    first = facts[0]
    if all(f == first for f in facts):
        return first
    kinds = {f.kind for f in facts}
    kind = kinds.pop() if len(kinds) == 1 else "number" if kinds == {"int", "number"} else "?"
    dtypes = {f.dtype for f in facts}
    dtype = dtypes.pop() if len(dtypes) == 1 else "float" if dtypes <= FLOATS else "?"
    ranks = {f.ndim for f in facts}
    variable = any(f.variable for f in facts)
    return Fact(kind, dtype, ranks.pop() if len(ranks) == 1 else None, variable=variable)


def literal_dtype(value: Any) -> str:
    """The dtype that TensorFlow gives a Python literal, "?" where it is not wholly known or not of numbers."""
    if isinstance(value, bool | int | float):
        if isinstance(value, int) and not isinstance(value, bool):
            return "int32" if -(2**31) <= value < 2**31 else "int64" if -(2**63) <= value < 2**63 else "?"
        return "bool" if isinstance(value, bool) else "float32"
    if not isinstance(value, list | tuple):
        return "?"
    inside = {literal_dtype(v) for v in value}
    if inside <= {"int32", "int64", "float32"}:
        return "float32" if "float32" in inside or not inside else "int64" if "int64" in inside else "int32"
    return inside.pop() if len(inside) == 1 else "?"
