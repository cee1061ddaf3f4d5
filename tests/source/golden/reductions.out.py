"""Reductions over axes, kept or not, of floats and integers."""
import torch
from tfport import compat

x = torch.tensor([[[1.0, 2.0], [3.0, 4.5]], [[-1.0, 0.5], [2.0, 8.0]]])
n = torch.tensor([[1, 2, 3], [4, 5, 7]], dtype=torch.int32)
axis = -1
for value in (
    torch.sum(x),
    torch.sum(x, dim=axis),
    torch.mean(x, dim=[0, 2]),
    torch.amax(x, dim=1, keepdim=True),
    torch.amin(x, dim=(0, 1), keepdim=True),
    compat.reduce_prod(x, axis=[]),
    torch.sum(n, dim=0, dtype=torch.int32),
    compat.reduce_mean(n),
    torch.argmax(x, dim=2),
    torch.logsumexp(x, dim=1),
    torch.linalg.vector_norm(x),
    torch.cumsum(n, dim=1, dtype=torch.int32),
    torch.std(x, correction=0),
):
    print(value.shape, compat.Tensor.numpy(value).tolist())
