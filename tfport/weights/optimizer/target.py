"""A torch optimizer as the receiver of state: where each slot goes, in which units, and what is noted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfport.weights.errors import WeightsError
from tfport.weights.optimizer.roles import FAMILIES, Role, family_of
from tfport.weights.optimizer.slots import OptimizerState

__all__ = ["Target", "target_of"]

V1_NAMES = {
    "adam": {"momentum": "m", "velocity": "v"}, "sgd": {"momentum": "momentum"},
    "rmsprop": {"velocity": "rms", "momentum": "momentum", "average_gradient": "mg"},
    "adagrad": {"accumulator": "accumulator"},
    "adadelta": {"accumulated_grad": "accum", "accumulated_delta_var": "accum_update"},
    "ftrl": {"accumulator": "accum", "linear": "linear"},
}  # fmt: skip
"""Family -> Keras' slot -> the name that TensorFlow 1's optimizer has for it."""
NOT_TORCHS = {
    "adam": "torch adds epsilon after the bias correction, Keras before it: with epsilon 1e-7 the difference is some"
    " 1e-7 relative, with a large one it is not; tfport.compat.keras.optimizers.Adam is exact",
    "adamax": "torch takes the larger of norm and epsilon, Keras adds them; compat.keras.optimizers.Adamax is exact",
    "nadam": "torch's momentum schedule is Keras' with momentum_decay=1; compat.keras.optimizers.Nadam is exact",
    "rmsprop": "torch adds epsilon after the root, TensorFlow inside it: at small gradients they differ;"
    " tfport.compat's RMSprop is exact",
    "adagrad": "torch adds epsilon after the root, Keras inside it; compat.keras.optimizers.Adagrad is exact",
    "sgd": "torch multiplies by the rate after the momentum, Keras before: under a changing rate they differ;"
    " compat.keras.optimizers.SGD is exact",
}


def target_of(optimizer: Any) -> Target:
    """The receiver for an optimizer's class. Raises WeightsError for one that is not known."""
    from torch.optim import Optimizer

    from tfport.compat.optimizers import KerasOptimizer
    from tfport.compat.optimizers_v1 import V1Optimizer

    if not isinstance(optimizer, Optimizer):
        raise WeightsError(f"a {type(optimizer).__name__} is no torch optimizer")
    for kind in type(optimizer).__mro__:
        name = kind.__name__.removesuffix("Optimizer")
        family = {"Momentum": "sgd", "GradientDescent": "sgd"}.get(name) or family_of(name)
        if family is not None:
            if isinstance(optimizer, KerasOptimizer):
                return KerasTarget(optimizer, family)
            if isinstance(optimizer, V1Optimizer):
                return V1Target(optimizer, family)
            if kind.__module__.startswith("torch.optim"):
                return TorchTarget(optimizer, family)
    raise WeightsError(f"{type(optimizer).__name__}: no counterpart in Keras or TensorFlow is known")


class Target:
    """What the receivers share; a subclass says where a slot goes and writes the state."""

    counts = True

    def __init__(self, optimizer: Any, family: str) -> None:
        self.optimizer, self.family = optimizer, family

    @property
    def group(self) -> dict[str, Any]:
        """The first parameter group."""
        return self.optimizer.param_groups[0]  # type: ignore[no-any-return]

    @property
    def rate(self) -> float:
        """The learning rate of the first group."""
        return float(self.group["lr"])

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's coefficients."""
        return (0.9, 0.999)

    @property
    def uses(self) -> tuple[str, ...]:
        """The slots (Keras 3's names) that this optimizer keeps with its hyperparameters."""
        raise NotImplementedError

    def place(self, slot: str, state: OptimizerState, rate: float) -> tuple[str, float] | None:
        """The key of a slot in the optimizer's state, and what the stored value is multiplied by."""
        raise NotImplementedError

    def put(self, wanted: Mapping[str, tuple[Any, dict[str, Any]]], steps: int) -> None:
        """Write everything; nothing here can fail for what was checked."""
        raise NotImplementedError

    def notes(self, state: OptimizerState) -> list[str]:
        """What a person should know of the formulas."""
        return []

    def missing(self, tensors: Mapping[str, Any]) -> list[str]:
        """Keys that this optimizer keeps and that are not among these."""
        return [n for n in self.uses if self.key(n) not in tensors]

    def key(self, slot: str) -> str:
        """The optimizer's own name of a slot."""
        return slot

    def _put_tensors(self, wanted: Mapping[str, tuple[Any, dict[str, Any]]]) -> None:
        for parameter, tensors in wanted.values():
            held = self.optimizer.state[parameter]
            for name, tensor in tensors.items():
                held[name] = tensor.to(device=parameter.device, dtype=parameter.dtype)


def _in_torchs_units(role: Role, state: OptimizerState, rate: float) -> float:
    """What a stored value is multiplied by to be torch's; TensorFlow 1's momentum is torch's already."""
    if role.factor == "rate":
        return 1 / _positive(rate)
    if role.factor == "-rate" and not state.v1:
        return -1 / _positive(rate)
    return 1.0


def _positive(rate: float) -> float:
    if not rate > 0:
        raise WeightsError(
            f"the momentum is stored times the learning rate, which is {rate:g}: pass the rate of then"
        )
    return rate


class TorchTarget(Target):
    """An optimizer of torch.optim."""

    @property
    def counts(self) -> bool:  # type: ignore[override]
        """Whether the class counts steps."""
        return self.family != "sgd"

    @property
    def betas(self) -> tuple[float, float]:
        return tuple(self.group.get("betas", (0.9, 0.999)))  # type: ignore[return-value]

    @property
    def uses(self) -> tuple[str, ...]:
        """By the hyperparameters: amsgrad, momentum, centered."""
        on = {"velocity_hat": self.group.get("amsgrad"), "average_gradient": self.group.get("centered")}
        if self.family in ("sgd", "rmsprop"):
            on["momentum"] = self.group.get("momentum")
        return tuple(slot for slot in FAMILIES[self.family] if on.get(slot, True))

    def key(self, slot: str) -> str:
        return FAMILIES[self.family][slot].torch

    def place(self, slot: str, state: OptimizerState, rate: float) -> tuple[str, float] | None:
        if slot not in self.uses:
            unused = self.family == "rmsprop" and slot == "momentum"
            return None if not unused else (self.key(slot), 0.0)
        return self.key(slot), _in_torchs_units(FAMILIES[self.family][slot], state, rate)

    def put(self, wanted: Mapping[str, tuple[Any, dict[str, Any]]], steps: int) -> None:
        import torch

        self._put_tensors(wanted)
        for parameter, _ in wanted.values():
            held = self.optimizer.state[parameter]
            if self.counts:
                held["step"] = torch.tensor(float(steps))
            if self.family == "nadam":
                held["mu_product"] = torch.tensor(self._product(steps))
            if self.family == "rmsprop" and not self.group.get("momentum"):
                held.pop("momentum_buffer", None)

    def _product(self, steps: int) -> float:
        """torch.optim.NAdam's product of its momentum schedule after so many steps."""
        product, beta, decay = 1.0, self.betas[0], self.group.get("momentum_decay", 4e-3)
        for step in range(1, steps + 1):
            product *= beta * (1.0 - 0.5 * 0.96 ** (step * decay))
        return product

    def notes(self, state: OptimizerState) -> list[str]:
        told = NOT_TORCHS.get("adam" if self.family == "adamw" else self.family)
        return [] if told is None or (state.v1 and self.family == "sgd") else [told]


class KerasTarget(Target):
    """An optimizer of tfport.compat.keras: its slots have Keras' names and units."""

    @property
    def betas(self) -> tuple[float, float]:
        return getattr(self.optimizer, "beta_1", 0.9), getattr(self.optimizer, "beta_2", 0.999)

    @property
    def uses(self) -> tuple[str, ...]:
        return tuple(self.optimizer._slots_in_use())

    def place(self, slot: str, state: OptimizerState, rate: float) -> tuple[str, float] | None:
        if slot in ("average", "gradient_accumulator"):
            return slot, 1.0
        if slot not in self.uses:
            unused = self.family == "rmsprop" and slot == "momentum" and state.v1
            return None if not unused else (slot, 1.0)
        role = FAMILIES[self.family][slot]
        return slot, -self.rate if state.v1 and role.factor == "-rate" else 1.0

    def put(self, wanted: Mapping[str, tuple[Any, dict[str, Any]]], steps: int) -> None:
        import torch

        self._put_tensors(wanted)
        self.group["iterations"].fill_(steps)
        if self.family == "nadam":
            parameter = next(iter(wanted.values()))[0]
            product = torch.ones((), dtype=parameter.dtype)
            for step in range(1, steps + 1):
                exponent = torch.tensor(self.optimizer.schedule_decay * step, dtype=parameter.dtype)
                decay = 1.0 - 0.5 * torch.tensor(0.96, dtype=parameter.dtype) ** exponent
                product = product * self.optimizer.beta_1 * decay
            self.group["u_product"] = product


class V1Target(Target):
    """An optimizer of tfport.compat with TensorFlow 1's formula."""

    @property
    def betas(self) -> tuple[float, float]:
        return getattr(self.optimizer, "_beta1", 0.9), getattr(self.optimizer, "_beta2", 0.999)

    @property
    def counts(self) -> bool:  # type: ignore[override]
        """Only Adam's formula depends on the count."""
        return self.family == "adam"

    @property
    def uses(self) -> tuple[str, ...]:
        return tuple(s for s in FAMILIES[self.family] if V1_NAMES[self.family].get(s) in self.optimizer.slots)

    def key(self, slot: str) -> str:
        return V1_NAMES[self.family][slot]

    def place(self, slot: str, state: OptimizerState, rate: float) -> tuple[str, float] | None:
        if slot not in self.uses:
            return None
        role = FAMILIES[self.family][slot]
        factor = -1 / _positive(rate) if role.factor == "-rate" and not state.v1 else 1.0
        return self.key(slot), factor

    def put(self, wanted: Mapping[str, tuple[Any, dict[str, Any]]], steps: int) -> None:
        import torch

        self._put_tensors(wanted)
        self.group["iterations"].fill_(steps)
        if self.family == "adam":
            for name, beta in zip(("beta1_power", "beta2_power"), self.betas, strict=True):
                power = torch.tensor(beta, dtype=torch.float32)
                for _ in range(steps):
                    power = power * torch.tensor(beta, dtype=torch.float32)
                self.group[name] = power
