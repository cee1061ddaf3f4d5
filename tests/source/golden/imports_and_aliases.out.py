"""Every spelling of a name meets in one rule."""

import torch
from tfport import compat
import os


square = compat.square
x = torch.tensor([[1.0, -2.0], [3.0, 4.0]])


def local(x):

    size = x.shape[0]
    return torch.abs(x) * float(size)


class Holder:
    def total(self, x):
        return compat.reduce_sum(x)


print(torch.relu(x).numpy().tolist(), torch.relu(x).numpy().tolist())
print(torch.square(x).numpy().tolist())
print(torch.relu(x).numpy().tolist(), torch.abs(x).numpy().tolist(), (-x).numpy().tolist())
print(compat.Tensor.numpy(local(x)).tolist(), float(Holder().total(x)), os.sep)
