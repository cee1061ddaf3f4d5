"""A graph that is only fetched from."""
import torch

a = torch.tensor([1.0, 2.0])
b = a + 1.0

# fetch both
x, y = a.numpy(), b.numpy()
text = """kept
    as it is"""
if x[0] > 0:
    print(x.tolist(), y.tolist(), len(text))
print((a * b).numpy().tolist(), [v.tolist() for v in [b.numpy()]])

print(b.numpy().tolist())
