"""A small U-Net: two levels down, two up, skip connections."""

import torch
from torch import nn

from tfport import compat

HEIGHT, WIDTH = 8, 12


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1_conv = nn.Conv2d(3, 6, 3, padding="same", bias=False)
        self.down1_bn = compat.keras.modules.BatchNorm(6, eps=0.001, momentum=0.01)
        self.halve1 = compat.keras.modules.SameConv2d(6, 6, 3, stride=2)
        self.down2_conv = nn.Conv2d(6, 8, 3, padding="same", bias=False)
        self.down2_bn = compat.keras.modules.BatchNorm(8, eps=0.001, momentum=0.01)
        self.halve2 = nn.MaxPool2d(2)
        self.bottom_conv = nn.Conv2d(8, 8, 3, padding="same", bias=False)
        self.bottom_bn = compat.keras.modules.BatchNorm(8, eps=0.001, momentum=0.01)
        self.double2 = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.up2_conv = nn.Conv2d(16, 6, 3, padding="same", bias=False)
        self.up2_bn = compat.keras.modules.BatchNorm(6, eps=0.001, momentum=0.01)
        self.double1 = compat.keras.modules.CutConvTranspose2d(6, 6, 3, stride=2)
        self.up1_conv = nn.Conv2d(12, 6, 3, padding="same", bias=False)
        self.up1_bn = compat.keras.modules.BatchNorm(6, eps=0.001, momentum=0.01)
        self.mask = nn.Conv2d(6, 4, 1)
        for layer in (self.down1_conv, self.down2_conv, self.bottom_conv, self.up2_conv, self.up1_conv):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.halve1, self.mask):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        compat.keras.initialise(self.double2, self.double1, like="Conv2DTranspose")

    def forward(self, image):
        x = self.down1_conv(image)
        x = self.down1_bn(x)
        skip1 = torch.relu(x)
        x = self.halve1(skip1)
        x = self.down2_conv(x)
        x = self.down2_bn(x)
        skip2 = torch.relu(x)
        x = self.halve2(skip2)
        x = self.bottom_conv(x)
        x = self.bottom_bn(x)
        x = torch.relu(x)
        x = self.double2(x)
        x = torch.cat([x, skip2], dim=1)
        x = self.up2_conv(x)
        x = self.up2_bn(x)
        x = torch.relu(x)
        x = self.double1(x)
        x = torch.cat([x, skip1], dim=1)
        x = self.up1_conv(x)
        x = self.up1_bn(x)
        x = torch.relu(x)
        return torch.softmax(self.mask(x), dim=1)


def build():
    return Model()
