"""The twin of text_gru.py. Sequences are (batch, time, channels) throughout; gates are z, r, h as in Keras."""

import torch
import torch.nn.functional as F
from torch import nn

from tfport import compat

WORDS, UNITS = 20, 8


class GRU(nn.Module):
    """A GRU of Keras; `bias` is (2, 3 * units) with the reset gate after the product, else (3 * units,)."""

    def __init__(self, inputs, units, reset_after=True, go_backwards=False, return_sequences=True):
        super().__init__()
        self.reset_after, self.go_backwards, self.return_sequences = (
            reset_after,
            go_backwards,
            return_sequences,
        )
        self.weight_ih = nn.Parameter(torch.zeros(3 * units, inputs))
        self.weight_hh = nn.Parameter(torch.zeros(3 * units, units))
        self.bias = nn.Parameter(torch.zeros(2, 3 * units) if reset_after else torch.zeros(3 * units))

    def forward(self, x):
        h = x.new_zeros(x.shape[0], self.weight_hh.shape[1])
        steps = x.unbind(1)
        states = []
        for step in reversed(steps) if self.go_backwards else steps:
            h = self.step(step, h)
            states.append(h)
        return torch.stack(states, 1) if self.return_sequences else h

    def step(self, x, h):
        wz, wr, wh = self.weight_hh.chunk(3)
        if self.reset_after:
            xz, xr, xh = F.linear(x, self.weight_ih, self.bias[0]).chunk(3, -1)
            hz, hr, hh = F.linear(h, self.weight_hh, self.bias[1]).chunk(3, -1)
            z, r = torch.sigmoid(xz + hz), torch.sigmoid(xr + hr)
            candidate = torch.tanh(xh + r * hh)
        else:
            xz, xr, xh = F.linear(x, self.weight_ih, self.bias).chunk(3, -1)
            z, r = torch.sigmoid(xz + F.linear(h, wz)), torch.sigmoid(xr + F.linear(h, wr))
            candidate = torch.tanh(xh + F.linear(r * h, wh))
        return z * h + (1 - z) * candidate


class Text(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.table = nn.Embedding(WORDS, UNITS)
        self.conv = nn.Conv1d(UNITS, UNITS, 4)
        self.norm = compat.keras.modules.BatchNorm(UNITS, eps=1e-3, momentum=0.01)
        self.first = GRU(UNITS, UNITS)
        self.backward = GRU(UNITS, UNITS, go_backwards=True)
        self.second = GRU(UNITS, UNITS, reset_after=False, return_sequences=False)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(UNITS, classes)

    def forward(self, ids):
        x = self.table(ids).transpose(1, 2)
        x = torch.relu(self.conv(F.pad(x, (1, 2))))
        x = self.norm(x).transpose(1, 2)
        x = self.backward(self.first(x))
        return self.head(self.drop(self.second(x)))
