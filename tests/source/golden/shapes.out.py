"""Shapes: static and dynamic sizes, reshaping, stacking, slicing, also backwards."""
import torch
import torch.nn.functional as F
from tfport import compat

x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def flatten(x):
    size = x.shape[0]
    return torch.reshape(x, (size, -1))


def static(x):
    rows, columns = list(x.shape)
    return rows * columns + x.ndim


print(compat.Tensor.numpy(flatten(x)).tolist(), static(x))
print(compat.transpose(x).numpy().tolist(), torch.permute(x, [0, 1]).numpy().tolist())
print(torch.unsqueeze(x, -1).shape, torch.squeeze(x[None]).shape, x[..., None].shape)
print(torch.cat([x, x], dim=1).numpy().tolist(), torch.stack((x[0], torch.square(x[1]))).numpy().tolist())
print(compat.Tensor.numpy(x.flip(1)).tolist(), compat.Tensor.numpy(x.flip(0)).tolist(), compat.Tensor.numpy(x[1, 1:]).tolist())
print([compat.Tensor.numpy(p).tolist() for p in torch.chunk(x, 3, dim=1)], [compat.Tensor.numpy(p).tolist() for p in torch.unbind(x)])
print(torch.tile(x, [1, 2]).shape, torch.zeros_like(x).numpy().tolist(), F.pad(x, (0, 1, 1, 0), value=0).numpy().tolist())
