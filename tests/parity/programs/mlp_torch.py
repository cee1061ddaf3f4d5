"""A classifier of vectors, and the optimizers that it is trained with."""

import torch
import torch.nn.functional as F
from torch import nn

from tfport import compat


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(12, 16)
        self.bn = compat.keras.modules.BatchNorm(16, eps=0.001, momentum=0.01)
        self.drop = nn.Dropout(0.3)
        self.square = nn.Linear(16, 16)
        self.square2 = nn.Linear(16, 16)
        self.head = nn.Linear(16, 5)
        for layer in (self.first, self.square, self.square2, self.head):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = self.bn(x)
        x = self.drop(x)
        x = F.gelu(self.square(x))
        x = F.elu(self.square2(x))
        x = torch.softmax(self.head(x), dim=-1)
        return x


def build():
    return Model()
