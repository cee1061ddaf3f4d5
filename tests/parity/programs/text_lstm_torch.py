"""The twin of text_lstm.py. An LSTM of Keras has one bias: the second is a buffer of zeros here."""

import torch
from torch import nn

WORDS, UNITS = 20, 8


class LSTM(nn.LSTM):
    def __init__(self, inputs, units, bidirectional=False):
        super().__init__(inputs, units, batch_first=True, bidirectional=bidirectional)
        for name in [name for name, _ in self.named_parameters() if name.startswith("bias_hh")]:
            delattr(self, name)
            self.register_buffer(name, torch.zeros(4 * units), persistent=False)
        self._init_flat_weights()

    def forward(self, x):
        return super().forward(x)[0]


class Text(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.table = nn.Embedding(WORDS, UNITS)
        self.both = LSTM(UNITS, UNITS, bidirectional=True)
        self.mix = nn.Linear(2 * UNITS, UNITS)
        self.last = LSTM(UNITS, UNITS)
        self.norm = nn.LayerNorm(UNITS, eps=1e-3)
        self.drop = nn.Dropout(0.5)
        self.square = nn.Linear(UNITS, UNITS)
        self.head = nn.Linear(UNITS, classes)

    def forward(self, ids):
        x = torch.tanh(self.mix(self.both(self.table(ids))))
        x = self.last(x)[:, -1]
        x = self.drop(self.norm(x))
        x = torch.relu(self.square(x))
        return torch.softmax(self.head(x), dim=-1)
