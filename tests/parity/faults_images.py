"""The faults planted in the programs on images: CNN, U-Net (a class and a recorded model), GAN generator."""

from __future__ import annotations

from tests.parity.planted import Fault, both, moved, swapped, text

RETURN = "return [probabilities, features]"

CNN = {
    "epsilon of bn1": Fault("bn1", text("bn1 = nn.BatchNorm2d(8, eps=1e-3", "bn1 = nn.BatchNorm2d(8, eps=1e-5"), "epsilon"),
    "epsilon of bn2": Fault("bn2", text("bn2 = nn.BatchNorm2d(8, eps=1e-3", "bn2 = nn.BatchNorm2d(8, eps=1e-5"), "epsilon"),
    "symmetric padding of conv2": Fault("conv2", text("self.conv2(F.pad(x, (0, 1, 0, 1)))", "self.conv2(F.pad(x, (1, 0, 1, 0)))"), "padding side"),
    "padding of conv2 in the module": Fault("conv2", both(text("(8, 8, 3, stride=2, bias=False)", "(8, 8, 3, stride=2, padding=1, bias=False)"), text("self.conv2(F.pad(x, (0, 1, 0, 1)))", "self.conv2(x)")), "padding side"),
    "padding of the pool before": Fault("pool1", text("F.pad(x, (0, 1, 0, 1), value", "F.pad(x, (1, 0, 1, 0), value"), "padding side"),
    "zero padding of the pool": Fault("pool1", text('value=float("-inf")', "value=0.0")),
    "average for maximum": Fault("pool1", text('F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float("-inf"))', "F.avg_pool2d(F.pad(x, (0, 1, 0, 1))")),
    "kernel 3x3 transposed": Fault("conv1", moved("conv1", "kernel", "h w i o -> o i w h"), "transposed square kernel"),
    "channels of conv2 transposed": Fault("conv2", moved("conv2", "kernel", "h w i o -> i o h w"), "transposed square kernel"),
    "square matrix transposed": Fault("square", moved("square", "kernel", "i o -> i o"), "transposed square kernel"),
    "flatten order in the weights": Fault("hidden", moved("hidden", "kernel", "i o -> o i"), "flatten order"),
    "flatten order in the program": Fault("flat | hidden", text("features.flatten(1)", "features.permute(0, 2, 3, 1).flatten(1)"), "flatten order"),
    "scale and shift exchanged": Fault("bn1", swapped(("bn1", "gamma"), ("bn1", "beta"))),
    "shift and mean exchanged": Fault("bn1", swapped(("bn1", "beta"), ("bn1", "moving_mean"))),
    "bias left out": Fault("conv1", text("self.conv1(x)", "(self.conv1(x) - self.conv1.bias[:, None, None])")),
    "activation before normalisation": Fault("conv1", text("self.bn1(F.relu(self.conv1(x)))", "F.relu(self.bn1(self.conv1(x)))")),
    "leaky activation": Fault("square", text("x = F.relu(self.square(x))", "x = F.leaky_relu(self.square(x), 0.01)")),
    "another activation": Fault("hidden", text("torch.tanh(", "torch.sigmoid(")),
    "softmax over the batch": Fault("head", text("dim=1)\n", "dim=0)\n"), "softmax axis"),
    "logarithms": Fault("head", text("torch.softmax", "torch.log_softmax")),
    "training mode": Fault("bn1", text("x = self.bn1(", "x = self.bn1.train()("), "train/eval mode"),
    "half precision within": Fault("hidden", text("self.hidden(features.flatten(1))", "self.hidden(features.flatten(1)).half().float()")),
    "features flipped": Fault("output/1", text(RETURN, "return [probabilities, features.flip(2)]")),
    "classes permuted": Fault("output/0", text(RETURN, "return [probabilities.flip(1), features]")),
    "images permuted": Fault("output/0", text(RETURN, "return [probabilities.flip(0), features]")),
    "outputs swapped": Fault("output/0", text(RETURN, "return [features, probabilities]")),
    "one NaN": Fault("output/0", text(RETURN, "return [probabilities * torch.tensor([1., float('nan'), 1., 1., 1.], device=x.device), features]")),
    "all NaN": Fault("output/0", text(RETURN, "return [probabilities * float('nan'), features]")),
    "dtype drift": Fault("output/0", text(RETURN, "return [probabilities.double(), features]")),
    "an output less": Fault("output/1", text(RETURN, "return [probabilities]")),
    "an output more": Fault("output/2", text(RETURN, "return [probabilities, features, x]")),
    "no output": Fault("output/0", text(RETURN, "return None")),
    "an empty list": Fault("output/0", text(RETURN, "return []")),
    "a mean for the values": Fault("output/0", text(RETURN, "return [probabilities * 0 + probabilities.mean(), features]")),
    "one image only": Fault("output/0", text(RETURN, "return [probabilities[:1], features]")),
    "an axis more": Fault("output/0", text(RETURN, "return [probabilities[None], features]")),
    "rounded": Fault("output/0", text(RETURN, "return [(probabilities * 1000).round() / 1000, features]")),
}  # fmt: skip

UNET = {
    "epsilon of the first norm": Fault("down1_bn", text("down1_bn = compat.keras.modules.BatchNorm(6, eps=0.001", "down1_bn = compat.keras.modules.BatchNorm(6, eps=1e-05"), "epsilon"),
    "epsilon of the deepest norm": Fault("bottom_bn", text("bottom_bn = compat.keras.modules.BatchNorm(8, eps=0.001", "bottom_bn = compat.keras.modules.BatchNorm(8, eps=1e-05"), "epsilon"),
    "epsilon of the last norm": Fault("up1_bn", text("up1_bn = compat.keras.modules.BatchNorm(6, eps=0.001", "up1_bn = compat.keras.modules.BatchNorm(6, eps=1e-05"), "epsilon"),
    "symmetric padding on the way down": Fault("halve1", text("compat.keras.modules.SameConv2d(6, 6, 3, stride=2)", "nn.Conv2d(6, 6, 3, stride=2, padding=1)"), "padding side"),
    "crop side on the way up": Fault("double1", text("compat.keras.modules.CutConvTranspose2d(6, 6, 3, stride=2)", "nn.ConvTranspose2d(6, 6, 3, stride=2, padding=1, output_padding=1)"), "padding side"),
    "kernel 3x3 transposed": Fault("up2_conv", moved("up2_conv", "kernel", "h w i o -> o i w h"), "transposed square kernel"),
    "kernel 2x2 transposed": Fault("double2", moved("double2", "kernel", "h w o i -> i o w h"), "transposed square kernel"),
    "channels of the way up transposed": Fault("double1", moved("double1", "kernel", "h w o i -> o i h w"), "transposed square kernel"),
    "skip connections exchanged": Fault("join2", text("torch.cat([x, skip2], dim=1)", "torch.cat([skip2, x], dim=1)")),
    "skip connection before the activation": Fault("join1", both(text("x = self.down1_bn(x)\n        skip1 = torch.relu(x)\n        x = self.halve1(skip1)", "skip1 = self.down1_bn(x)\n        x = self.halve1(torch.relu(skip1))"))),
    "training mode": Fault("bottom_bn", text("x = self.bottom_bn(x)", "x = self.bottom_bn.train()(x)"), "train/eval mode"),
    "softmax over the rows": Fault("mask", text("torch.softmax(self.mask(x), dim=1)", "torch.softmax(self.mask(x), dim=2)"), "softmax axis"),
    "maximum of other windows": Fault("halve2", text("nn.MaxPool2d(2)", "nn.MaxPool2d(3, stride=2, padding=1)")),
    "leaky activation": Fault("up2_relu", text("x = self.up2_bn(x)\n        x = torch.relu(x)", "x = self.up2_bn(x)\n        x = nn.functional.leaky_relu(x, 1e-3)")),
    "nearest in place of transposed": Fault("double2 | join2", text("x = self.double2(x)", "x = nn.functional.interpolate(x, scale_factor=2) + 0 * self.double2(x)")),
    "images mirrored": Fault("output", text("return torch.softmax(self.mask(x), dim=1)", "return torch.softmax(self.mask(x), dim=1).flip(3)")),
    "the wrong of two equal norms": Fault("down2_bn", swapped(("down2_bn", "gamma"), ("bottom_bn", "gamma"))),
}  # fmt: skip

SAME = 'x = compat.keras.layers.Conv2D(6, 3, strides=2, padding="same", name="halve1")(skip1)'
CROPPED = 'x = compat.keras.layers.Conv2DTranspose(6, 3, strides=2, padding="same", name="double1")(x)'
RECORDED = {
    "epsilon of one norm of many": Fault("up2_bn", text('BatchNormalization(name=name + "_bn")', 'BatchNormalization(epsilon=1e-5 if name == "up2" else 1e-3, name=name + "_bn")'), "epsilon"),
    "symmetric padding on the way down": Fault("halve1", text(SAME, 'x = compat.keras.layers.ZeroPadding2D(1)(skip1)\n    x = compat.keras.layers.Conv2D(6, 3, strides=2, name="halve1")(x)'), "padding side"),
    "crop side on the way up": Fault("double1", text(CROPPED, 'x = compat.keras.layers.Conv2DTranspose(6, 3, strides=2, name="double1")(x)\n    x = compat.keras.layers.Cropping2D(((1, 0), (1, 0)))(x)'), "padding side"),
    "softmax over the rows": Fault("mask", text('activation="softmax"', "activation=lambda v: compat.nn.softmax(v, axis=1)"), "softmax axis"),
    "leaky activation": Fault("down2_relu", text('ReLU(name=name + "_relu")', 'ReLU(negative_slope=1e-3 if name == "down2" else 0.0, name=name + "_relu")')),
    "skip connections exchanged": Fault("join2", text("[x, skip2]", "[skip2, x]")),
    "stride and window exchanged": Fault("halve2", text("MaxPooling2D(2,", "AveragePooling2D(2,")),
}  # fmt: skip

GENERATOR = {
    "epsilon of bn0": Fault("bn0", text("bn0 = compat.keras.modules.BatchNorm(48, eps=0.001", "bn0 = compat.keras.modules.BatchNorm(48, eps=1e-05"), "epsilon"),
    "epsilon of bn2": Fault("bn2", text("bn2 = compat.keras.modules.BatchNorm(6, eps=0.001", "bn2 = compat.keras.modules.BatchNorm(6, eps=1e-05"), "epsilon"),
    "crop side of up2": Fault("up2", text("compat.keras.modules.CutConvTranspose2d(8, 6, 5, stride=2, bias=False)", "nn.ConvTranspose2d(8, 6, 5, stride=2, padding=2, output_padding=1, bias=False)"), "padding side"),
    "kernel 5x5 transposed": Fault("up1", moved("up1", "kernel", "h w o i -> i o w h"), "transposed square kernel"),
    "channels transposed": Fault("up1", moved("up1", "kernel", "h w o i -> o i h w"), "transposed square kernel"),
    "channels first after the projection": Fault("image", both(text("x = x.reshape(-1, 3, 2, 8)", "x = x.reshape(-1, 8, 3, 2)"), text("x.permute(0, 3, 1, 2)", "x")), "flatten order"),
    "rows and columns of the projection": Fault("image", both(text("x = x.reshape(-1, 3, 2, 8)", "x = x.reshape(-1, 2, 3, 8)"), text("x.permute(0, 3, 1, 2)", "x.permute(0, 3, 2, 1)"))),
    "flatten order in the weights": Fault("project", moved("project", "kernel", "i (h w c) -> (c h w) i", h=3, w=2), "flatten order"),
    "training mode": Fault("bn1", text("x = self.bn1(x)", "x = self.bn1.train()(x)"), "train/eval mode"),
    "slope of leaky0": Fault("leaky0", text("leaky0 = nn.LeakyReLU(0.3)", "leaky0 = nn.LeakyReLU(0.01)")),
    "slope of leaky2": Fault("leaky2", text("leaky2 = nn.LeakyReLU(0.2)", "leaky2 = nn.LeakyReLU(0.3)")),
    "sigmoid for tanh": Fault("paint", text("torch.tanh(self.paint(x))", "torch.sigmoid(self.paint(x))")),
    "no tanh": Fault("paint", text("torch.tanh(self.paint(x))", "self.paint(x)")),
    "padding of paint": Fault("paint", text("nn.ConvTranspose2d(6, 3, 4, stride=2, padding=1)", "nn.ConvTranspose2d(6, 3, 4, stride=2, padding=0)")),
    "colours reversed": Fault("output", text("return x\n", "return x.flip(1)\n")),
}  # fmt: skip
