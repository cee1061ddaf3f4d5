"""A text classifier: an embedding, a bidirectional LSTM, an LSTM, normalised and classified."""

import torch
from torch import nn

from tfport import compat

WORDS, UNITS = 20, 8


class Text(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.table = nn.Embedding(WORDS, UNITS)
        self.both = nn.LSTM(8, UNITS, batch_first=True, bidirectional=True)
        self.mix = nn.Linear(16, UNITS)
        self.last = nn.LSTM(8, UNITS, batch_first=True)
        self.norm = nn.LayerNorm(8, eps=0.001)
        self.drop = nn.Dropout(0.5)
        self.square = nn.Linear(8, UNITS)
        self.head = nn.Linear(8, classes)
        nn.init.uniform_(self.table.weight, -0.05, 0.05)
        for layer in (self.mix, self.square, self.head):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        compat.keras.initialise(self.both, self.last, like="LSTM")

    def forward(self, ids):
        x = torch.tanh(self.mix(self.both(self.table(ids))[0]))
        x = self.drop(self.norm(self.last(x)[0][:, -1]))
        return torch.softmax(self.head(torch.relu(self.square(x))), dim=-1)
