"""Keras' initialisers on torch tensors. Shapes are Keras' ([..., in, out]); the caller moves the axes to torch's order.

Variance scaling, truncated normals and fans as https://keras.io/api/layers/initializers/ states them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tfport.compat.dtypes import as_dtype


class Initializer:
    """Called with a shape (and dtype) it returns a new tensor."""

    def __call__(self, shape: Sequence[int], dtype: Any = None, **kwargs: Any) -> torch.Tensor:
        made = self.draw(tuple(shape))
        return made if dtype is None else made.to(as_dtype(dtype))

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype)")


def _generator(seed: Any) -> torch.Generator | None:
    return torch.Generator().manual_seed(seed) if isinstance(seed, int) else None


class Constant(Initializer):
    """Every element ``value``; an array must have the shape asked for."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        made = torch.as_tensor(self.value, dtype=torch.get_default_dtype())
        return made.expand(shape).clone() if made.numel() == 1 else made.reshape(shape).clone()


class Zeros(Constant):
    """Zeros."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """Ones."""

    def __init__(self) -> None:
        super().__init__(1.0)


class Identity(Initializer):
    """``gain`` on the diagonal of a matrix."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        return self.gain * torch.eye(*shape)


class RandomNormal(Initializer):
    """Normal(mean, stddev)."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        return self.mean + self.stddev * torch.randn(shape, generator=_generator(self.seed))


class TruncatedNormal(RandomNormal):
    """Normal(mean, stddev), redrawn beyond two standard deviations."""

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        made = torch.empty(shape)
        torch.nn.init.trunc_normal_(made, 0.0, 1.0, -2.0, 2.0, generator=_generator(self.seed))
        return self.mean + self.stddev * made


class RandomUniform(Initializer):
    """Uniform(minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        return self.minval + (self.maxval - self.minval) * torch.rand(shape, generator=_generator(self.seed))


class VarianceScaling(Initializer):
    """Variance ``scale / fan``; the truncated normal's standard deviation is divided by .87962566."""

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal",
                 seed: Any = None) -> None:  # fmt: skip
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return RandomUniform(-limit, limit, self.seed).draw(shape)
        if self.distribution == "untruncated_normal":
            return RandomNormal(0.0, math.sqrt(variance), self.seed).draw(shape)
        return TruncatedNormal(0.0, math.sqrt(variance) / 0.87962566103423978, self.seed).draw(shape)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Fan in and fan out of a Keras kernel [spatial..., in, out]."""
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def _scaling(name: str, scale: float, mode: str, distribution: str) -> type[VarianceScaling]:
    def __init__(self: VarianceScaling, seed: Any = None) -> None:
        VarianceScaling.__init__(self, scale, mode, distribution, seed)

    doc = f"VarianceScaling(scale={scale}, mode={mode!r}, distribution={distribution!r})."
    return type(name, (VarianceScaling,), {"__init__": __init__, "__doc__": doc, "__module__": __name__})


GlorotUniform = _scaling("GlorotUniform", 1.0, "fan_avg", "uniform")
GlorotNormal = _scaling("GlorotNormal", 1.0, "fan_avg", "truncated_normal")
HeUniform = _scaling("HeUniform", 2.0, "fan_in", "uniform")
HeNormal = _scaling("HeNormal", 2.0, "fan_in", "truncated_normal")
LecunUniform = _scaling("LecunUniform", 1.0, "fan_in", "uniform")
LecunNormal = _scaling("LecunNormal", 1.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """A matrix [prod(shape[:-1]), shape[-1]] with orthonormal rows or columns, times ``gain``."""

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain, self.seed = gain, seed

    def draw(self, shape: tuple[int, ...]) -> torch.Tensor:
        rows, columns = math.prod(shape[:-1]), shape[-1]
        flat = torch.randn(max(rows, columns), min(rows, columns), generator=_generator(self.seed))
        q, r = torch.linalg.qr(flat)
        q = q * torch.sign(torch.diagonal(r))
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


_NAMES: dict[str, Callable[[], Initializer]] = {
    "zeros": Zeros, "zero": Zeros, "ones": Ones, "one": Ones, "constant": Constant, "identity": Identity,
    "uniform": RandomUniform, "random_uniform": RandomUniform, "normal": RandomNormal, "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal, "variance_scaling": VarianceScaling, "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal, "he_uniform": HeUniform, "he_normal": HeNormal, "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal, "orthogonal": Orthogonal,
}  # fmt: skip


def get(identifier: Any) -> Callable[..., torch.Tensor]:
    """An initialiser by name, class, config dictionary or as it is. Raises ValueError for an unknown name."""
    if isinstance(identifier, dict):
        return get(identifier["class_name"])(**identifier.get("config", {}))  # type: ignore[return-value]
    if isinstance(identifier, str):
        from tfport.layers.names import snake_case

        for name in (identifier, snake_case(identifier)):
            if name in _NAMES:
                return _NAMES[name]()
        raise ValueError(f"no initializer {identifier!r}; known are {', '.join(sorted(_NAMES))}")
    if isinstance(identifier, type):
        return identifier()  # type: ignore[no-any-return]
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]
    raise ValueError(f"{identifier!r} is not an initializer")
