"""Ports of `strangers.py` as people write them: images channels first, names of their own, no conversion's record."""

import torch
import torch.nn.functional as F
from torch import nn


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(6, eps=1e-3)
        self.inner = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6, eps=1e-3))
        self.deep = nn.Conv2d(6, 6, 3, padding=1, groups=6, bias=False)
        self.point = nn.Conv2d(6, 5, 1)
        self.out = nn.Linear(100, 4)

    def forward(self, x):
        x = F.relu(self.stem_norm(self.stem(F.pad(x, (0, 1, 1, 1)))))
        x = x + self.inner(x)
        x = F.relu(self.point(self.deep(x)))
        return F.softmax(self.out(x.permute(0, 2, 3, 1).flatten(1)), dim=1)


class Painter(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(7, 96, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm1d(96, eps=1e-3), nn.BatchNorm2d(5, eps=1e-3)])
        self.up = nn.ConvTranspose2d(6, 5, 3, stride=2)
        self.paint = nn.ConvTranspose2d(5, 3, 3, padding=1)

    def forward(self, x):
        x = F.leaky_relu(self.norms[0](self.project(x)), 0.3)
        x = x.view(-1, 4, 4, 6).permute(0, 3, 1, 2)
        x = self.norms[1](self.up(x)[:, :, :8, :8])
        return torch.tanh(self.paint(x))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(12, 5)
        self.first = nn.LSTM(5, 4, batch_first=True, bidirectional=True)
        self.second = nn.LSTM(8, 3, batch_first=True, bidirectional=True)
        self.out = nn.Linear(6, 1)

    def forward(self, ids):
        x, _ = self.first(self.emb(ids))
        _, (h, _) = self.second(x)
        return torch.sigmoid(self.out(torch.cat([h[0], h[1]], 1)))


class Levels(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 5, num_layers=2, batch_first=True)
        self.out = nn.Linear(5, 3)

    def forward(self, x):
        return self.out(self.rnn(x)[0][:, -1])


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.source = nn.LSTM(4, 7, batch_first=True)
        self.target = nn.LSTM(3, 7, batch_first=True)
        self.out = nn.Linear(7, 3)

    def forward(self, source, target):
        _, state = self.source(source)
        return self.out(self.target(target, state)[0])


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.ln1, self.ln2 = nn.LayerNorm(8, eps=1e-6), nn.LayerNorm(8, eps=1e-6)
        self.up, self.down = nn.Linear(8, 12), nn.Linear(12, 8)
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, x):
        hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
        x = self.ln1(x + self.mix(x, x, x, attn_mask=hidden, need_weights=False)[0])
        return self.ln2(x + self.scale * self.down(F.gelu(self.up(x))))


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(12, 8), nn.Embedding(6, 8)
        self.layers = nn.ModuleList([Layer(), Layer()])
        self.logits = nn.Linear(8, 12)

    def forward(self, ids):
        x = self.tok(ids) + self.pos(torch.arange(6))
        for layer in self.layers:
            x = layer(x)
        return self.logits(x)


class Waves(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(3, 4, 1)
        self.tanhs = nn.ModuleList([nn.Conv1d(4, 4, 2, dilation=rate) for rate in (1, 2)])
        self.gates = nn.ModuleList([nn.Conv1d(4, 4, 2, dilation=rate) for rate in (1, 2)])

    def forward(self, x):
        x = self.first(x)
        for one, two in zip(self.tanhs, self.gates):
            padded = F.pad(x, (one.dilation[0], 0))
            x = x + torch.tanh(one(padded)) * torch.sigmoid(two(padded))
        return x.mean(2)
