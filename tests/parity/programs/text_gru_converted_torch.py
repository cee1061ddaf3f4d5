"""A text classifier: an embedding, a convolution over time, GRUs with the reset gate after and before."""

import torch
from torch import nn

from tfport import compat

WORDS, UNITS = 20, 8


class Text(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.table = nn.Embedding(WORDS, UNITS)
        self.conv = nn.Conv1d(8, UNITS, 4, padding="same")
        self.norm = compat.keras.modules.BatchNorm(8, eps=0.001, momentum=0.01)
        self.first = nn.GRU(8, UNITS, batch_first=True)
        self.backward = compat.keras.modules.GRU(8, UNITS, return_sequences=True, go_backwards=True)
        self.second = compat.keras.modules.GRU(8, UNITS, reset_after=False)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, classes)
        nn.init.uniform_(self.table.weight, -0.05, 0.05)
        for layer in (self.conv, self.head):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        compat.keras.initialise(self.first, self.backward, self.second, like="GRU")

    def forward(self, ids):
        x = self.norm(torch.relu(self.conv(self.table(ids).permute(0, 2, 1))))
        x = self.backward(self.first(x.permute(0, 2, 1))[0])
        return self.head(self.drop(self.second(x)))
