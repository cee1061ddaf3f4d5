"""The tutorial's loop."""
import torch

a = torch.tensor(0, dtype=torch.int32)
b = torch.tensor(1, dtype=torch.int32)
c = torch.tensor(1, dtype=torch.int32)


def cond(*args):
    return args[0] < 10


def body(i, p, q):
    i = i + 1
    return i, q, p + q


c1, c2, c3 = a, b, c
while cond(c1, c2, c3):
    c1, c2, c3 = body(c1, c2, c3)

x, y, z = c1.numpy(), c2.numpy(), c3.numpy()

print(x, y, z)
