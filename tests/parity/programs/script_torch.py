"""The twin of script.py."""

import torch

x = torch.arange(12, dtype=torch.float32).reshape(3, 4) / 7.0
print("sum", float(x.sum()))
print(torch.softmax(x, -1))
print(torch.tensor(x.shape, dtype=torch.int32))
