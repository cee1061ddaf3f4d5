"""``tf.TensorShape`` and ``tf.TensorSpec``: shapes with unknown sizes, written down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from tfport.compat.dtypes import as_dtype


class _TensorShapeType(type):
    """A torch.Size is a TensorShape to isinstance: it is what ``x.shape`` gives."""

    def __instancecheck__(cls, value: Any) -> bool:
        return type.__instancecheck__(cls, value) or (cls is TensorShape and isinstance(value, torch.Size))


class TensorShape(tuple[Any, ...], metaclass=_TensorShapeType):
    """A tuple of sizes, None where one is not known; ``TensorShape(None)`` has no known rank.

    Raises ValueError for a negative size, and in every method that needs what is not known.
    """

    known: bool

    def __new__(cls, dims: Any) -> TensorShape:
        known = dims is not None and getattr(dims, "known", True)
        sizes = () if not known else (dims,) if isinstance(dims, int) else tuple(dims)
        sizes = tuple(None if size is None else int(size) for size in sizes)
        if any(size is not None and size < 0 for size in sizes):
            raise ValueError(f"sizes are not negative: {sizes}")
        made = super().__new__(cls, sizes)
        made.known = known
        return made

    @property
    def rank(self) -> int | None:
        """The number of axes, None if it is not known."""
        return len(self) if self.known else None

    @property
    def ndims(self) -> int | None:
        """The number of axes, None if it is not known."""
        return self.rank

    @property
    def dims(self) -> list[int | None] | None:
        """The sizes as a list, None if the rank is not known."""
        return list(self) if self.known else None

    def as_list(self) -> list[int | None]:
        """The sizes as a list."""
        self._need_rank("as_list()")
        return list(self)

    def num_elements(self) -> int | None:
        """The product of the sizes, None if one is not known."""
        total = 1
        for size in self:
            if size is None:
                return None
            total *= size
        return total if self.known else None

    def is_fully_defined(self) -> bool:
        """Whether every size is known."""
        return self.known and None not in tuple(self)

    def assert_is_fully_defined(self) -> None:
        """Raises ValueError unless every size is known."""
        if not self.is_fully_defined():
            raise ValueError(f"{self!r} is not fully defined")

    def is_compatible_with(self, other: Any) -> bool:
        """Whether a tensor could have both shapes."""
        other = TensorShape(other)
        if not (self.known and other.known):
            return True
        return len(self) == len(other) and all(
            a is None or b is None or a == b for a, b in zip(self, other, strict=True)
        )

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raises ValueError unless a tensor could have both shapes."""
        if not self.is_compatible_with(other):
            raise ValueError(f"shapes {self!r} and {TensorShape(other)!r} do not go together")

    def assert_has_rank(self, rank: int) -> None:
        """Raises ValueError if the rank is known to be another."""
        if self.known and len(self) != rank:
            raise ValueError(f"{self!r} has {len(self)} axes, not {rank}")

    def with_rank(self, rank: int) -> TensorShape:
        """The shape with this rank. Raises ValueError if it has another."""
        self.assert_has_rank(rank)
        return self if self.known else TensorShape([None] * rank)

    def with_rank_at_least(self, rank: int) -> TensorShape:
        """The same shape. Raises ValueError if it has fewer axes."""
        if self.known and len(self) < rank:
            raise ValueError(f"{self!r} has fewer than {rank} axes")
        return self

    def merge_with(self, other: Any) -> TensorShape:
        """What is known from either. Raises ValueError if they contradict each other."""
        other = TensorShape(other)
        self.assert_is_compatible_with(other)
        if not self.known:
            return other
        return (
            self
            if not other.known
            else TensorShape([b if a is None else a for a, b in zip(self, other, strict=True)])
        )

    def concatenate(self, other: Any) -> TensorShape:
        """The axes of both, one after the other."""
        other = TensorShape(other)
        return TensorShape([*self, *other] if self.known and other.known else None)

    def _need_rank(self, what: str) -> None:
        if not self.known:
            raise ValueError(f"{what} of a shape whose rank is not known")

    def __getitem__(self, key: Any) -> Any:
        if not self.known:
            return TensorShape(None) if isinstance(key, slice) else None
        found = tuple.__getitem__(self, key)
        return TensorShape(found) if isinstance(key, slice) else found

    def __add__(self, other: Any) -> TensorShape:
        return self.concatenate(other)

    def __radd__(self, other: Any) -> TensorShape:
        return TensorShape(other).concatenate(self)

    def __len__(self) -> int:
        if not getattr(self, "known", True):
            raise ValueError("len() of a shape whose rank is not known")
        return super().__len__()

    def __bool__(self) -> bool:
        return self.known

    def __eq__(self, other: Any) -> bool:
        if other is None or (isinstance(other, TensorShape) and not getattr(other, "known", True)):
            return not self.known
        return self.known and isinstance(other, Iterable) and tuple(self) == tuple(other)

    def __ne__(self, other: Any) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.known, tuple.__hash__(self)))

    def __repr__(self) -> str:
        return f"TensorShape({list(self) if self.known else None})"


class TensorSpec:
    """Shape, dtype and name of a tensor that is to come."""

    def __init__(self, shape: Any, dtype: Any = torch.float32, name: str | None = None) -> None:
        self.shape = TensorShape(shape)
        self.dtype = dtype if dtype is str else as_dtype(dtype)
        self.name = name

    @classmethod
    def from_tensor(cls, tensor: torch.Tensor, name: str | None = None) -> TensorSpec:
        """The spec of a tensor."""
        return cls(tensor.shape, tensor.dtype, name)

    @classmethod
    def from_spec(cls, spec: TensorSpec, name: str | None = None) -> TensorSpec:
        """The same spec, under another name if one is given."""
        return cls(spec.shape, spec.dtype, name or spec.name)

    def is_compatible_with(self, spec_or_tensor: Any) -> bool:
        """Whether a tensor, or all tensors of another spec, could stand for this one."""
        return self.dtype == spec_or_tensor.dtype and self.shape.is_compatible_with(spec_or_tensor.shape)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, TensorSpec) and (self.shape, self.dtype, self.name) == (
            other.shape,
            other.dtype,
            other.name,
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        name = "" if self.name is None else f", name={self.name!r}"
        return f"TensorSpec({list(self.shape) if self.shape.known else None}, {self.dtype}{name})"
