"""Dtypes: integer constants are int32, quotients of integers float64, sums keep their dtype."""
import torch
from tfport import compat

n = torch.tensor([[1, 2], [3, 5]], dtype=torch.int32)
wide = n.to(torch.int64)
small = n.to(torch.uint8)
for value in (n, n.to(torch.float64) / 2, 3 / n.to(torch.float64), n // 2, n % 3, wide.to(torch.float64) / compat.Tensor.numpy(n[0, 0]).item(), torch.sum(n, dim=0, dtype=torch.int32), n.to(torch.float64) * 2, small.to(torch.float32) / 2,
              torch.arange(3, dtype=torch.int32), compat.range(0.0, 1.0, 0.25), torch.full([2], 7, dtype=torch.int32), torch.ones([2], dtype=torch.int32), (n > 2).to(torch.float32),
              torch.tensor([True, False], dtype=torch.bool), torch.tensor(1.5), torch.zeros((2,), dtype=torch.float32), torch.cat([wide, wide]), torch.sum((n > 2).to(torch.int32), dtype=torch.int32)):  # fmt: skip
    print(value.dtype.is_floating_point if hasattr(value.dtype, "is_floating") else value.dtype.is_floating_point, compat.Tensor.numpy(value).dtype, compat.Tensor.numpy(value).tolist())
