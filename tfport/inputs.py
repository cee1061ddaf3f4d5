"""Random and exact inputs for proofs, described before NumPy is needed.

``f32(2, 3)`` is a float32 array of shape (2, 3) from a standard normal; integers are drawn from [low, high).
The same description gives the same array in every process.
"""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Input:
    """A tensor argument: shape and dtype with a range, or exact ``values``."""

    shape: tuple[int, ...]
    dtype: str
    low: float | None = None
    high: float | None = None
    seed: int = 0
    values: Any = None

    def draw(self) -> Any:
        """The NumPy array. bfloat16 comes as float32 rounded to it; the runner casts."""
        import numpy as np

        kind = "float32" if self.dtype == "bfloat16" else self.dtype
        if self.values is not None:
            return np.array(self.values, dtype=kind).reshape(self.shape)
        source = np.random.default_rng([self.seed, *self.shape, len(self.dtype)])
        if kind == "bool":
            return source.integers(0, 2, self.shape).astype(bool)
        if kind.startswith("complex"):
            return (source.standard_normal(self.shape) + 1j * source.standard_normal(self.shape)).astype(kind)
        if kind.startswith("float"):
            if self.low is None and self.high is None:
                return source.standard_normal(self.shape).astype(kind)
            return source.uniform(
                self.low or 0.0, 1.0 if self.high is None else self.high, self.shape
            ).astype(kind)
        low = self.low if self.low is not None else (0 if kind.startswith("uint") else -9)
        return source.integers(int(low), int(self.high if self.high is not None else 10), self.shape).astype(
            kind
        )


def _maker(dtype: str) -> Any:
    def make(*shape: int, low: float | None = None, high: float | None = None, seed: int = 0) -> Input:
        return Input(tuple(shape), dtype, low, high, seed)

    make.__name__ = dtype
    make.__doc__ = f"A {dtype} input of this shape; ``low`` and ``high`` bound the values."
    return make


f16, bf16, f32, f64 = _maker("float16"), _maker("bfloat16"), _maker("float32"), _maker("float64")
i8, i16, i32, i64, u8 = _maker("int8"), _maker("int16"), _maker("int32"), _maker("int64"), _maker("uint8")
boolean, c64 = _maker("bool"), _maker("complex64")


def array(values: Any, dtype: str = "float32") -> Input:
    """Exact values: NaN, infinities, ties, an empty list."""
    import numpy as np

    shape = np.shape(values)
    return Input(tuple(shape), dtype, values=values)
