"""The generator of a GAN: noise to images, by transposed convolutions."""

import torch
from torch import nn

from tfport import compat


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(10, 3 * 2 * 8, bias=False)
        self.bn0 = compat.keras.modules.BatchNorm(48, eps=0.001, momentum=0.01)
        self.leaky0 = nn.LeakyReLU(0.3)
        self.up1 = nn.ConvTranspose2d(8, 8, 5, padding=2, bias=False)
        self.bn1 = compat.keras.modules.BatchNorm(8, eps=0.001, momentum=0.01)
        self.leaky1 = nn.LeakyReLU(0.3)
        self.up2 = compat.keras.modules.CutConvTranspose2d(8, 6, 5, stride=2, bias=False)
        self.bn2 = compat.keras.modules.BatchNorm(6, eps=0.001, momentum=0.01)
        self.leaky2 = nn.LeakyReLU(0.2)
        self.paint = nn.ConvTranspose2d(6, 3, 4, stride=2, padding=1)
        nn.init.xavier_uniform_(self.project.weight)
        compat.keras.initialise(self.up1, self.up2, self.paint, like="Conv2DTranspose")

    def forward(self, noise):
        x = self.project(noise)
        x = self.bn0(x)
        x = self.leaky0(x)
        x = x.reshape(-1, 3, 2, 8)
        x = self.up1(x.permute(0, 3, 1, 2))
        x = self.bn1(x)
        x = self.leaky1(x)
        x = self.up2(x)
        x = self.bn2(x)
        x = self.leaky2(x)
        x = torch.tanh(self.paint(x))
        return x


def build():
    return Model()
