"""The twins of hidden.py. Images are (batch, rows, columns, channels) at the border."""

import torch
from torch import nn


class Classes(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(8, 16)
        self.norm = nn.BatchNorm1d(16, eps=1e-3, momentum=0.01)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.norm(torch.relu(self.hidden(x)))).argmax(-1)


class Capped(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)
        self.cap = nn.ReLU6()
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        x = self.cap(self.norm(self.conv(x.permute(0, 3, 1, 2))))
        return nn.functional.relu6(self.head(x.permute(0, 2, 3, 1)))


class Padded(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 6)
        self.cell = nn.LSTMCell(6, 5)
        del self.cell.bias_hh
        self.cell.register_buffer("bias_hh", torch.zeros(20), persistent=False)

    def forward(self, ids):
        x = self.table(ids)
        h = c = x.new_zeros(x.shape[0], 5)
        for t in range(x.shape[1]):
            keep = (ids[:, t] != 0)[:, None]
            new = self.cell(x[:, t], (h, c))
            h, c = torch.where(keep, new[0], h), torch.where(keep, new[1], c)
        return h


class Boxes(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(8, 16)
        self.place = nn.Linear(16, 4)
        self.score = nn.Linear(16, 2)

    def forward(self, x):
        x = torch.tanh(self.hidden(x))
        return torch.cat([self.place(x) * 1000.0, torch.sigmoid(self.score(x))], -1)


class Shifted(nn.Module):
    def __init__(self):
        super().__init__()
        self.same = nn.Linear(6, 6)
        self.walk = nn.RNN(6, 6, batch_first=True)
        del self.walk.bias_hh_l0
        self.walk.register_buffer("bias_hh_l0", torch.zeros(6), persistent=False)
        self.walk._init_flat_weights()

    def forward(self, x):
        return self.walk(self.same(x))[0]


class Silent(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(8, 4)

    def forward(self, x):
        return torch.relu(-self.hidden(x).square())
