"""The twin of transformer.py, with the attention written out."""

import math

import torch
import torch.nn.functional as F
from torch import nn

LENGTH, WORDS, WIDTH, HEADS, BLOCKS = 6, 20, 8, 2, 2


class Embed(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Embedding(WORDS, WIDTH)
        self.position = nn.Embedding(LENGTH, WIDTH)

    def forward(self, ids):
        return self.token(ids) + self.position(torch.arange(LENGTH, device=ids.device))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, q, v):
        q, k, v = (
            x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for x in (self.query(q), self.key(v), self.value(v))
        )
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        x = torch.softmax(scores, dim=-1) @ v
        return self.output(x.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.attention = Attention(WIDTH, HEADS)
        self.drop = nn.Dropout(0.3)
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-3)
        self.wide = nn.Linear(WIDTH, WIDTH)
        self.narrow = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.drop(self.attention(y, y))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.embed = Embed()
        self.blocks = nn.ModuleList([Block() for _ in range(BLOCKS)])
        self.norm = nn.LayerNorm(WIDTH, eps=1e-3)
        self.head = nn.Linear(LENGTH * WIDTH, classes)

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return torch.softmax(self.head(self.norm(x).flatten(1)), dim=-1)
