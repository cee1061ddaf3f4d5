"""tf.keras.optimizers: Keras 3's formulas as ``torch.optim.Optimizer``s that need no parameters when made."""

from __future__ import annotations

from typing import Any

import torch

from tfport.compat.optimizer_base import Tensors, magnitudes, scalar, squared
from tfport.compat.optimizers import KerasOptimizer
from tfport.rule import rule

RENAMED = {"lr": "learning_rate"}


@rule("tf.keras.optimizers.Optimizer", "tf.optimizers.Optimizer",
      "tf.keras.optimizers.experimental.Optimizer", renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class Optimizer(KerasOptimizer):
    """The base class.

    A subclass in Keras' form overrides ``update_step(gradient, variable, learning_rate)``.
    """


def _moments(optimizer: KerasOptimizer, grads: Tensors, variables: Tensors, rest_1: float, rest_2: float,
             ) -> tuple[Tensors, Tensors]:  # fmt: skip
    """Update and return the averages of gradient and squared gradient: ``m += (g - m) * rest``."""
    m = [optimizer._slot("momentum", p) for p in variables]
    v = [optimizer._slot("velocity", p) for p in variables]
    change = torch._foreach_sub(grads, m)
    torch._foreach_mul_(change, rest_1)
    torch._foreach_add_(m, change)
    squares = squared(grads)
    torch._foreach_sub_(squares, v)
    torch._foreach_mul_(squares, rest_2)
    torch._foreach_add_(v, squares)
    return m, v


@rule("tf.keras.optimizers.Adam", "tf.optimizers.Adam", "tf.keras.optimizers.experimental.Adam",
      "tf.keras.optimizers.legacy.Adam", renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class Adam(Optimizer):
    """Adam with Keras' epsilon, 1e-7 beside the root of the uncorrected average.

    torch.optim.Adam adds its epsilon after the bias correction: ``eps_torch(t) = eps_keras / sqrt(1 -
    beta_2**t)``, so no constant makes them equal (keras/src/optimizers/adam.py; Kingma and Ba's "epsilon
    hat").
    """

    slots = ("momentum", "velocity")

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-7,
                 amsgrad: bool = False, *options: Any, **named: Any) -> None:  # fmt: skip
        super().__init__(learning_rate, *options, **named)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        t = self._step(dtype)
        alpha = rate * torch.sqrt(1 - scalar(self.beta_2, dtype) ** t) / (1 - scalar(self.beta_1, dtype) ** t)
        m, v = _moments(self, grads, variables, 1 - self.beta_1, 1 - self.beta_2)
        if self.amsgrad:
            largest = [self._slot("velocity_hat", p) for p in variables]
            torch._foreach_maximum_(largest, v)
            v = largest
        change = torch._foreach_mul(m, alpha.item())
        root = torch._foreach_sqrt(v)
        torch._foreach_add_(root, self.epsilon)
        torch._foreach_div_(change, root)
        torch._foreach_sub_(variables, change)

    def _slots_in_use(self) -> tuple[str, ...]:
        return (*self.slots, "velocity_hat") if self.amsgrad else self.slots


@rule("tf.keras.optimizers.AdamW", "tf.optimizers.AdamW", "tf.keras.optimizers.experimental.AdamW",
      renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class AdamW(Adam):
    """Adam with decoupled weight decay .004 (torch's default is .01); the epsilon is Keras', see Adam."""

    def __init__(self, learning_rate: Any = 0.001, weight_decay: float = 0.004, beta_1: float = 0.9,
                 beta_2: float = 0.999, epsilon: float = 1e-7, amsgrad: bool = False, *options: Any,
                 **named: Any) -> None:  # fmt: skip
        if weight_decay is None:
            raise ValueError("AdamW takes a number as weight_decay")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, *options, **named)


@rule("tf.keras.optimizers.SGD", "tf.optimizers.SGD", "tf.keras.optimizers.experimental.SGD",
      "tf.keras.optimizers.legacy.SGD", renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class SGD(Optimizer):
    """Gradient descent. The velocity includes the rate, ``v = momentum * v - rate * g``.

    torch.optim.SGD multiplies by the rate after the momentum; the two agree as long as the rate is constant.
    """

    slots = ("momentum",)

    def __init__(self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False,
                 *options: Any,
                 **named: Any) -> None:  # fmt: skip
        super().__init__(learning_rate, *options, **named)
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum is between 0 and 1, not {momentum}")
        self.momentum, self.nesterov = momentum, nesterov

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        move = torch._foreach_mul(grads, rate.item())
        if self.momentum == 0:
            torch._foreach_sub_(variables, move)
            return
        momentum = scalar(self.momentum, dtype).item()
        velocity = [self._slot("momentum", p) for p in variables]
        torch._foreach_mul_(velocity, momentum)
        torch._foreach_sub_(velocity, move)
        if self.nesterov:
            ahead = torch._foreach_mul(velocity, momentum)
            torch._foreach_sub_(ahead, move)
            torch._foreach_add_(variables, ahead)
        else:
            torch._foreach_add_(variables, velocity)

    def _slots_in_use(self) -> tuple[str, ...]:
        return self.slots if self.momentum != 0 else ()


def _running(average: Tensors, values: Tensors, rho: float) -> None:
    """``average = rho * average + (1 - rho) * values``, in place; ``values`` are used up."""
    torch._foreach_mul_(average, rho)
    torch._foreach_mul_(values, 1 - rho)
    torch._foreach_add_(average, values)


@rule("tf.keras.optimizers.RMSprop", "tf.optimizers.RMSprop", "tf.keras.optimizers.experimental.RMSprop",
      renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class RMSprop(Optimizer):
    """RMSprop with rho .9 and epsilon 1e-7 inside the root (torch: .99 and outside).

    Momentum includes the rate.
    """

    slots = ("velocity",)

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0,
                 epsilon: float = 1e-7,
                 centered: bool = False, *options: Any, **named: Any) -> None:  # fmt: skip
        super().__init__(learning_rate, *options, **named)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        velocity = [self._slot("velocity", p) for p in variables]
        _running(velocity, squared(grads), self.rho)
        inside = velocity
        if self.centered:
            mean = [self._slot("average_gradient", p) for p in variables]
            _running(mean, [g.clone() for g in grads], self.rho)
            inside = list(torch._foreach_sub(velocity, torch._foreach_mul(mean, mean)))
        root = torch._foreach_sqrt(torch._foreach_add(inside, self.epsilon))
        move = torch._foreach_div(torch._foreach_mul(grads, rate.item()), root)
        if self.momentum > 0:
            momentum = [self._slot("momentum", p) for p in variables]
            torch._foreach_mul_(momentum, self.momentum)
            torch._foreach_add_(momentum, move)
            move = tuple(momentum)
        torch._foreach_sub_(variables, move)

    def _slots_in_use(self) -> tuple[str, ...]:
        rest = (("momentum", self.momentum > 0), ("average_gradient", self.centered))
        return (*self.slots, *(name for name, used in rest if used))


def _filled(made: torch.Tensor, value: float) -> torch.Tensor:
    return made.fill_(scalar(value, made.dtype).item())


@rule("tf.keras.optimizers.Adagrad", "tf.optimizers.Adagrad", "tf.keras.optimizers.experimental.Adagrad",
      renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class Adagrad(Optimizer):
    """Adagrad whose accumulator starts at .1 (torch: 0), epsilon 1e-7 inside the root."""

    slots = ("accumulator",)

    def __init__(self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1,
                 epsilon: float = 1e-7,
                 *options: Any, **named: Any) -> None:  # fmt: skip
        super().__init__(learning_rate, *options, **named)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def _initial(self, name: str, variable: torch.Tensor) -> torch.Tensor:
        made = super()._initial(name, variable)
        return _filled(made, self.initial_accumulator_value) if name == "accumulator" else made

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        total = [self._slot("accumulator", p) for p in variables]
        torch._foreach_add_(total, squared(grads))
        root = torch._foreach_sqrt(torch._foreach_add(total, self.epsilon))
        torch._foreach_sub_(variables, torch._foreach_div(torch._foreach_mul(grads, rate.item()), root))


@rule("tf.keras.optimizers.Adadelta", "tf.optimizers.Adadelta", "tf.keras.optimizers.experimental.Adadelta",
      "tf.keras.optimizers.legacy.Adadelta", renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class Adadelta(Optimizer):
    """Adadelta with rate .001 and rho .95 (torch: 1 and .9)."""

    slots = ("accumulated_grad", "accumulated_delta_var")

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, *options: Any,
                 **named: Any) -> None:  # fmt: skip
        super().__init__(learning_rate, *options, **named)
        self.rho, self.epsilon = rho, epsilon

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        squares = [self._slot("accumulated_grad", p) for p in variables]
        moves = [self._slot("accumulated_delta_var", p) for p in variables]
        _running(squares, squared(grads), self.rho)
        before = torch._foreach_sqrt(torch._foreach_add(moves, self.epsilon))
        root = torch._foreach_sqrt(torch._foreach_add(squares, self.epsilon))
        move = torch._foreach_div(torch._foreach_mul(before, grads), root)
        for grad, made, a, b in zip(grads, move, before, root, strict=True):
            if (held := getattr(grad, "occurrences", None)) is not None:
                rows = held._indices()[0]
                each = torch.sparse_coo_tensor(
                    held._indices(), a[rows] * held._values() / b[rows], held.shape, check_invariants=False
                )
                made.occurrences = each  # type: ignore[attr-defined]
        _running(moves, squared(list(move)), self.rho)
        torch._foreach_sub_(variables, torch._foreach_mul(move, rate.item()))


@rule("tf.keras.optimizers.Adamax", "tf.optimizers.Adamax", "tf.keras.optimizers.experimental.Adamax",
      "tf.keras.optimizers.legacy.Adamax", renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class Adamax(Optimizer):
    """Adamax; epsilon is added to the norm at its use (torch takes the larger of the two inside the norm)."""

    slots = ("momentum", "norm")

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-7,
                 *options: Any, **named: Any) -> None:  # fmt: skip
        super().__init__(learning_rate, *options, **named)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        rest = (1 - scalar(self.beta_1, dtype) ** self._step(dtype)).item()
        m = [self._slot("momentum", p) for p in variables]
        norm = [self._slot("norm", p) for p in variables]
        change = torch._foreach_mul(torch._foreach_sub(grads, m), 1 - self.beta_1)
        torch._foreach_add_(m, change)
        torch._foreach_mul_(norm, self.beta_2)
        torch._foreach_maximum_(norm, magnitudes(grads))
        below = torch._foreach_mul(torch._foreach_add(norm, self.epsilon), rest)
        torch._foreach_sub_(variables, torch._foreach_div(torch._foreach_mul(m, rate.item()), below))


@rule("tf.keras.optimizers.Nadam", "tf.optimizers.Nadam", "tf.keras.optimizers.experimental.Nadam",
      renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class Nadam(Optimizer):
    """Nadam with the momentum schedule ``beta_1 * (1 - .5 * .96**t)``; its product is kept with the count."""

    slots = ("momentum", "velocity")
    schedule_decay = 1.0  # the factor of t in the schedule

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-7,
                 *options: Any, **named: Any) -> None:  # fmt: skip
        super().__init__(learning_rate, *options, **named)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def _apply(self, grads: Tensors, variables: Tensors) -> None:
        first = self.param_groups[0]
        every = self.gradient_accumulation_steps
        if not every or int(self._count + 1) % every == 0:
            dtype = self._known()[0].dtype
            product = first.get("u_product", torch.ones((), dtype=dtype))
            exponent = self.schedule_decay * self._step(dtype)
            decay = 1.0 - 0.5 * torch.tensor(0.96, dtype=dtype) ** exponent
            first["u_product"] = product * self.beta_1 * decay
        super()._apply(grads, variables)

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        t, beta_1, beta_2 = self._step(dtype), scalar(self.beta_1, dtype), scalar(self.beta_2, dtype)
        base, factor = scalar(0.96, dtype), self.schedule_decay  # float32 first here, exact in the product
        now = beta_1 * (1.0 - 0.5 * base ** (factor * t))
        after = beta_1 * (1.0 - 0.5 * base ** (factor * (t + 1)))
        product = self.param_groups[0]["u_product"].to(dtype)
        m, v = _moments(self, grads, variables, (1 - beta_1).item(), (1 - beta_2).item())
        ahead = torch._foreach_div(torch._foreach_mul(m, after.item()), (1 - product * after).item())
        here = torch._foreach_div(torch._foreach_mul(grads, (1 - now).item()), (1 - product).item())
        move = torch._foreach_mul(torch._foreach_add(ahead, here), rate.item())
        root = torch._foreach_sqrt(torch._foreach_div(v, (1 - beta_2**t).item()))
        torch._foreach_sub_(variables, torch._foreach_div(move, torch._foreach_add(root, self.epsilon)))


@rule("tf.keras.optimizers.Ftrl", "tf.optimizers.Ftrl", "tf.keras.optimizers.experimental.Ftrl",
      "tf.keras.optimizers.legacy.Ftrl", renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class Ftrl(Optimizer):
    """Follow the regularised leader; torch has no twin."""

    slots = ("accumulator", "linear")

    def __init__(
        self, learning_rate: Any = 0.001, learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1, l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0, l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0, *options: Any, **named: Any,
    ) -> None:  # fmt: skip
        super().__init__(learning_rate, *options, **named)
        if learning_rate_power > 0:
            raise ValueError(f"learning_rate_power is 0 or less, not {learning_rate_power}")
        strengths = (initial_accumulator_value, l1_regularization_strength, l2_regularization_strength,
                     l2_shrinkage_regularization_strength)  # fmt: skip
        if min(strengths) < 0:
            raise ValueError("the initial accumulator and the strengths of regularisation are 0 or more")
        self.learning_rate_power, self.initial_accumulator_value = (
            learning_rate_power,
            initial_accumulator_value,
        )
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def _initial(self, name: str, variable: torch.Tensor) -> torch.Tensor:
        made = super()._initial(name, variable)
        return _filled(made, self.initial_accumulator_value) if name == "accumulator" else made

    def update_step(self, gradient: torch.Tensor, variable: torch.Tensor,
                    learning_rate: torch.Tensor) -> None:  # fmt: skip
        """One variable; see Keras' documentation of Ftrl for the formulas."""
        rate, power, l1 = learning_rate.item(), -self.learning_rate_power, self.l1_regularization_strength
        l2 = (self.l2_regularization_strength + self.beta / (2.0 * learning_rate)).item()
        total, linear = self._slot("accumulator", variable), self._slot("linear", variable)
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * variable
        grown = total + squared([gradient])[0]
        linear.add_(shrunk - (grown**power - total**power) / rate * variable)
        quadratic = grown**power / rate + 2 * l2
        variable.copy_((linear.clamp(-l1, l1) - linear) / quadratic)
        total.copy_(grown)


@rule("tf.keras.optimizers.Lion", "tf.optimizers.Lion", renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class Lion(Optimizer):
    """The sign of an interpolated momentum, times the rate."""

    slots = ("momentum",)

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, *options: Any,
                 **named: Any) -> None:  # fmt: skip
        super().__init__(learning_rate, *options, **named)
        if not 0 < beta_1 <= 1:
            raise ValueError(f"beta_1 is above 0 and at most 1, not {beta_1}")
        self.beta_1, self.beta_2 = beta_1, beta_2

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        beta_1, beta_2 = scalar(self.beta_1, dtype), scalar(self.beta_2, dtype)
        m = [self._slot("momentum", p) for p in variables]
        mixed = torch._foreach_mul(m, beta_1.item())
        torch._foreach_add_(mixed, torch._foreach_mul(grads, (1.0 - beta_1).item()))
        torch._foreach_sub_(variables, torch._foreach_mul(torch._foreach_sign(mixed), rate.item()))
        torch._foreach_mul_(m, beta_2.item())
        torch._foreach_add_(m, torch._foreach_mul(grads, (1.0 - beta_2).item()))


@rule("tf.keras.optimizers.Lamb", "tf.optimizers.Lamb", renamed=RENAMED, pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
class Lamb(Optimizer):
    """Adam's step with bias correction, scaled for each variable to the norm of the variable (arXiv 1904.00962)."""

    slots = ("momentum", "velocity")

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-7, *options: Any, **named: Any) -> None:  # fmt: skip
        super().__init__(learning_rate, *options, **named)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        t = self._step(dtype)
        m, v = _moments(self, grads, variables, 1 - self.beta_1, 1 - self.beta_2)
        root = torch._foreach_sqrt(torch._foreach_div(v, (1 - scalar(self.beta_2, dtype) ** t).item()))
        torch._foreach_add_(root, self.epsilon)
        change = torch._foreach_div(torch._foreach_div(m, (1 - scalar(self.beta_1, dtype) ** t).item()), root)
        for variable, step in zip(variables, change, strict=True):
            wide, long = variable.norm(), step.norm()
            trust = torch.where((wide > 0) & (long > 0), wide / long, torch.ones_like(wide))
            variable.sub_(trust * rate * step)


# Keras 2, where its formulas are others than those of Keras 3.


def _squares(average: Tensors, grads: Tensors, rho: torch.Tensor) -> None:
    """``average = rho * average + (1 - rho) * grads ** 2``, in place."""
    torch._foreach_mul_(average, rho.item())
    torch._foreach_add_(average, torch._foreach_mul(torch._foreach_mul(grads, grads), (1 - rho).item()))


@rule(
    "tf.keras.optimizers.legacy.RMSprop",
    renamed=RENAMED,
    pure=False,
    proved_by="tests/compat/test_optimizers.py",
)
class LegacyRMSprop(RMSprop):
    """RMSprop of Keras 2: epsilon outside the root without momentum, inside it with momentum."""

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        if self.momentum > 0:
            super()._update(grads, variables, rate, dtype)
            return
        rho = scalar(self.rho, dtype)
        velocity = [self._slot("velocity", p) for p in variables]
        _squares(velocity, grads, rho)
        inside = velocity
        if self.centered:
            mean = [self._slot("average_gradient", p) for p in variables]
            torch._foreach_mul_(mean, rho.item())
            torch._foreach_add_(mean, torch._foreach_mul(grads, (1 - rho).item()))
            inside = list(torch._foreach_sub(velocity, torch._foreach_mul(mean, mean)))
        root = torch._foreach_add(torch._foreach_sqrt(inside), self.epsilon)
        torch._foreach_sub_(variables, torch._foreach_div(torch._foreach_mul(grads, rate.item()), root))


@rule(
    "tf.keras.optimizers.legacy.Adagrad",
    renamed=RENAMED,
    pure=False,
    proved_by="tests/compat/test_optimizers.py",
)
class LegacyAdagrad(Adagrad):
    """Adagrad of Keras 2: epsilon outside the root."""

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        total = [self._slot("accumulator", p) for p in variables]
        torch._foreach_add_(total, torch._foreach_mul(grads, grads))
        root = torch._foreach_add(torch._foreach_sqrt(total), self.epsilon)
        torch._foreach_sub_(variables, torch._foreach_div(torch._foreach_mul(grads, rate.item()), root))


@rule(
    "tf.keras.optimizers.legacy.Nadam",
    renamed=RENAMED,
    pure=False,
    proved_by="tests/compat/test_optimizers.py",
)
class LegacyNadam(Nadam):
    """Nadam of Keras 2: the schedule is ``.96**(.004 * t)``; ``schedule_decay`` is that factor."""

    def __init__(self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
                 epsilon: float = 1e-7, name: str = "Nadam", *, schedule_decay: float = 0.004,
                 **named: Any) -> None:  # fmt: skip
        super().__init__(learning_rate, beta_1, beta_2, epsilon, name=name, **named)
        self.schedule_decay = schedule_decay


@rule("tf.keras.optimizers.get", "tf.optimizers.get", pure=False, proved_by="tests/compat/test_optimizers.py")
def get(identifier):
    """An optimiser by name ("adam"), by configuration ({"class_name": ..., "config": ...}), or as it is."""
    return _get(identifier)


@rule("tf.keras.optimizers.deserialize", "tf.optimizers.deserialize", pure=False,
      proved_by="tests/compat/test_optimizers.py")  # fmt: skip
def deserialize(config, custom_objects=None):
    """An optimiser by its configuration, {"class_name": ..., "config": ...}."""
    return _get(config)


def _get(identifier):
    if isinstance(identifier, Optimizer):
        return identifier
    named = identifier if isinstance(identifier, dict) else {"class_name": identifier, "config": {}}
    classes = (Adam, AdamW, SGD, RMSprop, Adagrad, Adadelta, Adamax, Nadam, Ftrl, Lion, Lamb)
    for cls in classes:
        if cls.__name__.lower() == str(named.get("class_name")).lower():
            return cls(**named["config"])
    raise ValueError(f"{identifier!r} is no optimiser; known are {', '.join(c.__name__ for c in classes)}")
