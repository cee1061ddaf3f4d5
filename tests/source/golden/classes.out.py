"""Methods, closures, lambdas, comprehensions, decorators, defaults."""
import functools

import torch
from tfport import compat


class Affine:
    dtype = torch.float32
    activation = staticmethod(compat.nn.relu)

    def __init__(self, scale, shift=torch.tensor(1.0), *, rank: int = 2) -> None:
        self.scale, self.shift = scale.to(self.dtype), shift
        self.rank = rank

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(x * self.scale + self.shift)


def compose(*functions):
    return lambda x: functools.reduce(lambda value, f: f(value), functions, x)


def deep(x):
    def inner(y, axis=0):
        return compat.reduce_sum(y, axis)

    return inner(x), inner(x, axis=1)


x = torch.tensor([[1.0, -3.0], [2.0, 5.0]])
both = compose(compat.abs, lambda v: torch.square(v), Affine(torch.tensor(2, dtype=torch.int32)))
print(compat.Tensor.numpy(both(x)).tolist(), [compat.Tensor.numpy(v).tolist() for v in deep(x)])
print([float(compat.reduce_sum(row)) for row in torch.unbind(x)], {k: compat.square(float(k)).numpy().tolist() for k in "12"})
print(sorted((torch.sigmoid(v).numpy().tolist() for v in x[0]), reverse=True), Affine.dtype == torch.float32)
