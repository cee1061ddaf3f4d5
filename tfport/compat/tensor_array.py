"""``tf.TensorArray``: a list of tensors that is written once at each place."""

from __future__ import annotations

from typing import Any

import torch

from tfport.compat.arguments import to_tensor
from tfport.compat.dtypes import as_dtype
from tfport.compat.integers import ints


class TensorArray:
    """``size`` places for tensors of ``dtype``; ``write`` changes the array and returns it, as TensorFlow does eagerly.

    With ``dynamic_size`` a write or unstack beyond the end makes the array longer. A place that was never written
    reads as zeros once the shape of an element is known. With ``clear_after_read`` (the default) a place can be read
    once; ``stack``, ``gather`` and ``concat`` do not clear.
    Raises IndexError outside the array, ValueError for a second read and for an element of another shape, TypeError
    for another dtype.
    """

    def __init__(self, dtype: Any, size: Any = None, dynamic_size: bool | None = None, clear_after_read: bool | None = None,
                 tensor_array_name: str | None = None, handle: Any = None, flow: Any = None, infer_shape: bool = True,
                 element_shape: Any = None, colocate_with_first_write_call: bool = True,
                 name: str | None = None) -> None:  # fmt: skip
        self.dtype = as_dtype(dtype)
        self.dynamic_size = bool(dynamic_size)
        self.element_shape = None if element_shape is None else tuple(element_shape)
        self.flow = self.handle = None
        self._clears = clear_after_read is not False
        self._infers = infer_shape
        self._values: list[torch.Tensor | None] = [None] * (0 if size is None else int(size))
        self._read: set[int] = set()

    def size(self, name: str | None = None) -> torch.Tensor:
        """The number of places, an int32 tensor."""
        return torch.tensor(len(self._values), dtype=torch.int32)

    def identity(self) -> TensorArray:
        """The array itself."""
        return self

    def grad(self, source: Any, flow: Any = None, name: str | None = None) -> Any:
        """There is none to ask for: gradients flow through the elements."""
        raise NotImplementedError("TensorArray.grad: gradients flow through the elements")

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """Put a value at a place."""
        place = int(index)
        tensor = to_tensor(value, self.dtype)
        if tensor.dtype != self.dtype:
            raise TypeError(f"an array of {self.dtype} cannot take a tensor of {tensor.dtype}")
        if place < 0 or (place >= len(self._values) and not self.dynamic_size):
            raise IndexError(f"place {place} is outside the array of {len(self._values)}")
        self._fits(tensor)
        self._values += [None] * (place + 1 - len(self._values))
        self._values[place] = tensor
        return self

    def _fits(self, tensor: torch.Tensor) -> None:
        shape = tuple(tensor.shape)
        if self.element_shape is None and self._infers:
            self.element_shape = shape
        known = self.element_shape
        if known is None:
            return
        if len(known) != len(shape) or any(
            a is not None and a != b for a, b in zip(known, shape, strict=True)
        ):
            raise ValueError(f"an element of shape {shape} in an array of elements of shape {known}")

    def read(self, index: Any, name: str | None = None) -> torch.Tensor:
        """The value at a place."""
        place = int(index)
        if not 0 <= place < len(self._values):
            raise IndexError(f"place {place} is outside the array of {len(self._values)}")
        if place in self._read:
            raise ValueError(f"place {place} was read before; pass clear_after_read=False to read it again")
        value = self._value(place)
        if self._clears:
            self._read.add(place)
            self._values[place] = None
        return value

    def _value(self, place: int) -> torch.Tensor:
        value = self._values[place]
        if value is not None:
            return value
        if place in self._read:
            raise ValueError(f"place {place} was read before; pass clear_after_read=False to read it again")
        if self.element_shape is None or None in self.element_shape:
            raise ValueError(f"place {place} was never written and the shape of an element is not known")
        return torch.zeros(self.element_shape, dtype=self.dtype)

    def stack(self, name: str | None = None) -> torch.Tensor:
        """All values along a new first axis."""
        if not self._values:
            return torch.zeros((0, *(self.element_shape or ())), dtype=self.dtype)
        return torch.stack([self._value(place) for place in range(len(self._values))])

    def gather(self, indices: Any, name: str | None = None) -> torch.Tensor:
        """The values at some places along a new first axis."""
        return torch.stack([self._value(place) for place in ints(indices)])

    def concat(self, name: str | None = None) -> torch.Tensor:
        """All values along their first axis."""
        return torch.cat([self._value(place) for place in range(len(self._values))])

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """One value at each place, from the first axis."""
        tensor = to_tensor(value, self.dtype)
        if len(tensor) > len(self._values) and not self.dynamic_size:
            raise ValueError(f"{len(tensor)} values for {len(self._values)} places")
        self._values = [None] * max(len(tensor), len(self._values))
        for place, part in enumerate(torch.unbind(tensor)):
            self.write(place, part)
        return self

    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """One value at each of these places, from the first axis."""
        for place, part in zip(ints(indices), torch.unbind(to_tensor(value, self.dtype)), strict=True):
            self.write(place, part)
        return self

    def split(self, value: Any, lengths: Any, name: str | None = None) -> TensorArray:
        """Pieces of these lengths along the first axis, one at each place."""
        tensor, sizes = to_tensor(value, self.dtype), ints(lengths)
        self._infers = False
        for place, part in enumerate(torch.split(tensor, list(sizes))):
            self.write(place, part)
        return self

    def close(self, name: str | None = None) -> None:
        """Forget the values."""
        self._values = []
