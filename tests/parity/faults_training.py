"""The faults planted in training: optimizers, schedules, statistics, what has no gradient; and what they are planted in."""

from __future__ import annotations

from dataclasses import dataclass

from tests.parity.planted import Change, text

REFERENCE = """

def adagrad():
    return keras.optimizers.Adagrad(learning_rate=0.05)


def scheduled():
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True)
    return keras.optimizers.SGD(rate)


def momentum():
    return keras.optimizers.SGD(0.05, momentum=0.9)


def adam():
    return keras.optimizers.Adam(0.01, epsilon=1e-3)


def squares(y, p):
    return keras.ops.mean(keras.ops.sum(keras.ops.square(y - p), axis=-1))
"""

TWIN = """

def adagrad(parameters):
    return torch.optim.Adagrad(parameters, lr=0.05, initial_accumulator_value=0.1, eps=1e-7)


def scheduled(parameters):
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 ** (step // 2))


def momentum(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


def adam():
    from tfport import compat

    return compat.keras.optimizers.Adam(0.01, epsilon=1e-3)


def squares(y, p):
    return (y - p).square().sum(-1).mean()
"""
"""What is added to the twins; `squares` and the factories have the reference's names."""


@dataclass(frozen=True)
class TrainingFault:
    """One fault of training: in which part of a step it shows first, at which parameter, and what it is called."""

    program: str
    factory: str
    place: str
    """`forward` (the loss), `gradient`, `statistics` (of a normalisation) or `update` (by the optimizer)."""
    parameter: str
    """The start of the name of the first parameter that differs; empty where all do, or none (the loss)."""
    change: Change
    cause: str | None = None


ACCUMULATOR = text("initial_accumulator_value=0.1", "initial_accumulator_value=0.0")
LATE = text("0.5 ** (step // 2)", "0.5 ** ((step + 1) // 2)")
EARLY = text("0.5 ** (step // 2)", "0.5 ** (max(step - 1, 0) // 2)")

FAULTS = {
    "initial accumulator of the MLP": TrainingFault("mlp", "adagrad", "update", "", ACCUMULATOR, "initial accumulator"),
    "initial accumulator of the generator": TrainingFault("generator", "adagrad", "update", "", ACCUMULATOR, "initial accumulator"),
    "initial accumulator of the U-Net": TrainingFault("unet", "adagrad", "update", "", ACCUMULATOR, "initial accumulator"),
    "schedule of the MLP a step late": TrainingFault("mlp", "scheduled", "update", "", EARLY, "schedule off by one"),
    "schedule of the MLP a step early": TrainingFault("mlp", "scheduled", "update", "", LATE, "schedule off by one"),
    "schedule of the generator a step early": TrainingFault("generator", "scheduled", "update", "", LATE, "schedule off by one"),
    "schedule of the GRU a step early": TrainingFault("gru", "scheduled", "update", "", LATE, "schedule off by one"),
    "momentum of the MLP's norm": TrainingFault("mlp", "momentum", "statistics", "bn.", text("momentum=0.01", "momentum=0.1"), "momentum"),
    "momentum of one norm of the generator": TrainingFault("generator", "adagrad", "statistics", "bn1.", text("bn1 = compat.keras.modules.BatchNorm(8, eps=0.001, momentum=0.01", "bn1 = compat.keras.modules.BatchNorm(8, eps=0.001, momentum=0.99"), "momentum"),
    "momentum of the GRU's norm": TrainingFault("gru", "scheduled", "statistics", "norm.", text("momentum=0.01", "momentum=0.1"), "momentum"),
    "unbiased variance in the MLP": TrainingFault("mlp", "momentum", "statistics", "bn.running_var", text("compat.keras.modules.BatchNorm(16", "nn.BatchNorm1d(16"), "biased variance"),
    "unbiased variance in the generator": TrainingFault("generator", "adagrad", "statistics", "bn2.running_var", text("bn2 = compat.keras.modules.BatchNorm(6", "bn2 = nn.BatchNorm2d(6"), "biased variance"),
    "momentum of the optimizer left out": TrainingFault("mlp", "momentum", "update", "", text(", momentum=0.9", "")),
    "dampened momentum": TrainingFault("mlp", "momentum", "update", "", text("momentum=0.9", "momentum=0.9, dampening=0.9")),
    "Nesterov for plain momentum": TrainingFault("mlp", "momentum", "update", "", text("momentum=0.9", "momentum=0.9, nesterov=True")),
    "weight decay": TrainingFault("mlp", "momentum", "update", "", text("momentum=0.9", "momentum=0.9, weight_decay=1e-3")),
    "another rate": TrainingFault("unet", "adagrad", "update", "", text("lr=0.05, initial", "lr=0.0501, initial")),
    "torch's Adam": TrainingFault("mlp", "adam", "update", "", text("def adam():\n    from tfport import compat\n\n    return compat.keras.optimizers.Adam(0.01, epsilon=1e-3)", "def adam(parameters):\n    return torch.optim.Adam(parameters, 0.01, eps=1e-3)")),
    "betas exchanged": TrainingFault("mlp", "adam", "update", "", text("epsilon=1e-3", "epsilon=1e-3, beta_1=0.9, beta_2=0.99")),
    "a sum for the mean": TrainingFault("mlp", "adam", "forward", "", text("sum(-1).mean()", "sum(-1).sum()")),
    "a mean for the sum": TrainingFault("mlp", "adam", "forward", "", text("sum(-1).mean()", "mean(-1).mean()")),
    "no dropout": TrainingFault("mlp", "momentum", "forward", "", text("        x = self.drop(x)\n", "")),
    "another rate of dropout": TrainingFault("mlp", "momentum", "forward", "", text("nn.Dropout(0.3)", "nn.Dropout(0.5)")),
    "frozen statistics": TrainingFault("mlp", "momentum", "forward", "", text("x = self.bn(x)", "x = self.bn.eval()(x)")),
    "a gradient that stops": TrainingFault("mlp", "momentum", "gradient", "", text("x = self.drop(x)", "x = self.drop(x).detach()")),
    "a gradient through one branch alone": TrainingFault("transformer", "scheduled", "gradient", "", text("return x + self.narrow", "return x.detach() + self.narrow")),
    "a frozen embedding": TrainingFault("lstm", "scheduled", "gradient", "table.", text("x = torch.tanh(self.mix(self.both(self.table(ids))))", "x = torch.tanh(self.mix(self.both(self.table(ids).detach())))")),
    "a doubled gradient": TrainingFault("mlp", "momentum", "gradient", "square.", text("x = F.gelu(self.square(x))", "y = self.square(x)\n        x = F.gelu(2 * y - y.detach())")),
    "a gradient clipped": TrainingFault("generator", "adagrad", "gradient", "", text("x = self.leaky2(x)", "x = self.leaky2(x)\n        if x.requires_grad:\n            x.register_hook(lambda g: g.clamp(-1e-4, 1e-4))")),
}  # fmt: skip
"""Accumulator, schedule and momentum, which show in training alone, are each planted in three architectures."""
GOLDEN = sorted({(fault.program, fault.factory) for fault in FAULTS.values()})
