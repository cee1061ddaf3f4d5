"""Python control flow around tensors, and assignments that must not change other names."""
import torch
from tfport import compat


def collatz(n):
    steps = torch.tensor(0, dtype=torch.int32)
    while n > 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps = steps + 1
    return steps


def twice(x):
    y = x
    y = compat.iadd(y, 1.0)
    y = compat.imul(y, 2.0)
    return x, y


total = torch.tensor(0.0)
history = []
for i in range(4):
    total = total + (torch.square(compat.cast(i, torch.float32)) if i % 2 else -1.0)
    history.append(total)
table = {"sum": total}
table["sum"] = table["sum"] + total
print(int(collatz(torch.tensor(6, dtype=torch.int32))))
print([compat.Tensor.numpy(v).tolist() for v in twice(torch.tensor([1.0, 2.0]))])
print([float(h) for h in history], float(table["sum"]), float(total))
if torch.any(torch.tensor([False, True], dtype=torch.bool)): print("any")
print(1 if torch.all(torch.tensor([False, True], dtype=torch.bool)) else 2)
