"""A torch optimizer as the receiver of state: where each slot goes, in which units, and what is noted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfport.weights.errors import WeightsError
from tfport.weights.optimizer.hyperparameters import differences
from tfport.weights.optimizer.roles import EXTRA, FAMILIES, Role, family_of
from tfport.weights.optimizer.state import OptimizerState

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
    raise WeightsError(
        f"{type(optimizer).__name__}: no counterpart in Keras or TensorFlow is known; state is carried of {', '.join(FAMILIES)}"
    )


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

    def rate_at(self, steps: int) -> float:
        """The learning rate after so many steps."""
        return self.rate

    @property
    def betas(self) -> tuple[float, float]:
        """Adam's coefficients."""
        return (0.9, 0.999)

    @property
    def uses(self) -> tuple[str, ...]:
        """The slots (Keras 3's names) that this optimizer keeps with the hyperparameters of its first group."""
        return self.used(self.group)

    @property
    def extra(self) -> tuple[str, ...]:
        """What it keeps beside its slots: averages of the weights, sums of gradients."""
        return ()

    def used(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """The slots that it keeps for the parameters of a group."""
        raise NotImplementedError

    def place(
        self, slot: str, state: OptimizerState, rate: float | None, group: Mapping[str, Any]
    ) -> tuple[str, float] | None:
        """The key of a slot in the state of a group's parameter, and what the stored value is multiplied by; ``rate`` is
        the run's, None where nothing tells it."""
        raise NotImplementedError

    def put(self, wanted: Mapping[str, tuple[Any, dict[str, Any]]], steps: int) -> None:
        """Write everything; nothing here can fail for what was checked."""
        raise NotImplementedError

    def notes(self, state: OptimizerState) -> list[str]:
        """What a person should know of the formulas."""
        return []

    def others(self, config: Mapping[str, Any]) -> list[str]:
        """Notes on hyperparameters that differ from the run's."""
        return []

    def groups(self) -> dict[int, Mapping[str, Any]]:
        """The group of each parameter, by the parameter's id."""
        return {id(p): group for group in self.optimizer.param_groups for p in group["params"]}

    def missing(self, tensors: Mapping[str, Any], group: Mapping[str, Any]) -> list[str]:
        """Slots that this optimizer keeps for a parameter of the group and that are not among these."""
        return [n for n in self.used(group) if self.key(n) not in tensors]

    def key(self, slot: str) -> str:
        """The optimizer's own name of a slot."""
        return slot

    def _put_tensors(self, wanted: Mapping[str, tuple[Any, dict[str, Any]]]) -> None:
        made = [
            (parameter, {n: t.to(device=parameter.device, dtype=parameter.dtype) for n, t in tensors.items()})
            for parameter, tensors in wanted.values()
        ]
        for parameter, tensors in made:
            self.optimizer.state[parameter].update(tensors)


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
            f"the momentum is stored times the learning rate, which is {rate:g}: give the optimizer the rate of then"
        )
    return rate


def _decoupled() -> type:
    from torch.optim import AdamW

    return AdamW


class TorchTarget(Target):
    """An optimizer of torch.optim."""

    @property
    def counts(self) -> bool:  # type: ignore[override]
        """Whether the class counts steps."""
        return self.family != "sgd"

    @property
    def betas(self) -> tuple[float, float]:
        return tuple(self.group.get("betas", (0.9, 0.999)))  # type: ignore[return-value]

    def used(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        """By the hyperparameters: amsgrad, momentum, centered."""
        on = {"velocity_hat": group.get("amsgrad"), "average_gradient": group.get("centered")}
        if self.family in ("sgd", "rmsprop"):
            on["momentum"] = group.get("momentum")
        return tuple(slot for slot in FAMILIES[self.family] if on.get(slot, True))

    def key(self, slot: str) -> str:
        return FAMILIES[self.family][slot].torch

    def place(
        self, slot: str, state: OptimizerState, rate: float | None, group: Mapping[str, Any]
    ) -> tuple[str, float] | None:
        if slot not in self.used(group):
            return None
        own = float(group["lr"]) if rate is None else rate
        return self.key(slot), _in_torchs_units(FAMILIES[self.family][slot], state, own)

    def put(self, wanted: Mapping[str, tuple[Any, dict[str, Any]]], steps: int) -> None:
        import torch

        self._put_tensors(wanted)
        groups = self.groups()
        for parameter, _ in wanted.values():
            held, group = self.optimizer.state[parameter], groups[id(parameter)]
            # the compiled and the fused step count on the parameter's device
            device = parameter.device if group.get("capturable") or group.get("fused") else "cpu"
            if self.counts:
                held["step"] = torch.tensor(float(steps), device=device)
            if self.family == "nadam":
                held["mu_product"] = torch.tensor(self._product(steps), device=device)

    def _product(self, steps: int) -> float:
        """torch.optim.NAdam's product of its momentum schedule after so many steps."""
        product, beta, decay = 1.0, self.betas[0], self.group.get("momentum_decay", 4e-3)
        for step in range(1, steps + 1):
            product *= beta * (1.0 - 0.5 * 0.96 ** (step * decay))
        return product

    def notes(self, state: OptimizerState) -> list[str]:
        told = NOT_TORCHS.get("adam" if self.family == "adamw" else self.family)
        if told is None or (self.family == "sgd" and (state.v1 or not self.uses)):
            return []
        return [told]

    def others(self, config: Mapping[str, Any]) -> list[str]:
        clip = "clip the gradients before each step, or take tfport.compat's optimizer, which has it"
        falls = "the rate falls as rate / (1 + decay * step): take a scheduler, or tfport.compat's optimizer"
        lacks = dict.fromkeys(("clipvalue", "global_clipnorm"), clip)
        lacks |= {"clipnorm": clip + " (it is of each parameter apart)", "decay": falls}
        decays = isinstance(self.optimizer, _decoupled())
        if not decays:
            lacks["weight_decay"] = (
                "Keras takes it from the weights (as AdamW does), torch adds it to the gradient"
            )
        return list(dict.fromkeys(
            note for group in self.optimizer.param_groups
            for note in differences(config, self._settings(group, decays), lacks)
        ))  # fmt: skip

    def _settings(self, group: Mapping[str, Any], decays: bool) -> dict[str, Any]:
        """A group's hyperparameters under Keras' names."""
        betas = group.get("betas", (None, None))
        found = {
            "beta_1": betas[0],
            "beta_2": betas[1],
            "epsilon": group.get("eps"),
            "rho": group.get("alpha", group.get("rho")),
        }
        found |= {n: group.get(n) for n in ("momentum", "nesterov", "amsgrad", "centered")}
        found = {name: value for name, value in found.items() if value is not None}
        if self.family == "nadam":
            found.pop("momentum", None)
        return found | ({"weight_decay": group.get("weight_decay")} if decays else {})


class KerasTarget(Target):
    """An optimizer of tfport.compat.keras: its slots have Keras' names and units."""

    def rate_at(self, steps: int) -> float:
        import torch

        schedule = self.optimizer._rate
        return float(schedule(torch.tensor(steps))) if getattr(schedule, "takes_step", False) else self.rate

    @property
    def betas(self) -> tuple[float, float]:
        return getattr(self.optimizer, "beta_1", 0.9), getattr(self.optimizer, "beta_2", 0.999)

    def used(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(self.optimizer._slots_in_use())

    @property
    def extra(self) -> tuple[str, ...]:
        return tuple(slot for slot, argument in EXTRA.items() if getattr(self.optimizer, argument, None))

    def place(
        self, slot: str, state: OptimizerState, rate: float | None, group: Mapping[str, Any]
    ) -> tuple[str, float] | None:
        if slot in EXTRA:
            return (slot, 1.0) if slot in self.extra else None
        if slot not in self.uses:
            return None
        role = FAMILIES[self.family][slot]
        return slot, -_positive(float(group["lr"])) if state.v1 and role.factor == "-rate" else 1.0

    def notes(self, state: OptimizerState) -> list[str]:
        other = state.legacy and self.family in ("rmsprop", "adagrad", "nadam")
        if not other or type(self.optimizer).__name__.startswith("Legacy"):
            return []
        name = type(self.optimizer).__name__
        return [
            f"Keras 2's legacy {name} wrote it, whose formula is another: compat.keras.optimizers.legacy.{name} is exact"
        ]

    def others(self, config: Mapping[str, Any]) -> list[str]:
        names = [n for n in config if hasattr(self.optimizer, n)]
        return differences(config, {n: getattr(self.optimizer, n) for n in names}, {})

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

    def used(self, group: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(s for s in FAMILIES[self.family] if V1_NAMES[self.family].get(s) in self.optimizer.slots)

    def key(self, slot: str) -> str:
        return V1_NAMES[self.family][slot]

    def place(
        self, slot: str, state: OptimizerState, rate: float | None, group: Mapping[str, Any]
    ) -> tuple[str, float] | None:
        if slot not in self.uses:
            return None
        role = FAMILIES[self.family][slot]
        own = float(group["lr"]) if rate is None else rate
        factor = -1 / _positive(own) if role.factor == "-rate" and not state.v1 else 1.0
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
