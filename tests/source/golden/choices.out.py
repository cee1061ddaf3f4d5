"""Masks, where, comparisons, gathering."""
import torch
from tfport import compat

x = torch.tensor([[1.0, -2.0, 3.0], [0.0, 5.0, -6.0]])
mask = x > 0.0
print(torch.where(mask, x, torch.zeros_like(x)).numpy().tolist(), torch.where(x > 1.0, x, 0.5).numpy().tolist())
print(torch.clamp(x, min=0.0).numpy().tolist(), compat.minimum(1.0, x).numpy().tolist(), torch.clamp(x, -1.0, 2.0).numpy().tolist())
print((mask & torch.logical_not(x > 2.0)).numpy().tolist(), x[mask].numpy().tolist())
print(compat.gather(x, [1, 0]).numpy().tolist(), compat.gather(x, torch.tensor([2, 2], dtype=torch.int32), axis=1).numpy().tolist())
print(compat.one_hot(torch.argmax(x, dim=1), depth=3).numpy().tolist(), compat.Tensor.numpy(compat.nn.top_k(x, k=2)[0]).tolist())
print(torch.where(torch.isnan(x), x.detach(), torch.sign(x)).numpy().tolist(), (x != 0.0).numpy().tolist(), compat.Tensor.numpy(((x + 1.0) ** 2)[0]).tolist())
print((-(x + 1.0)).numpy().tolist(), (2.0 * (x - (x - 1.0))).numpy().tolist())
