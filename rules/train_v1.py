"""tf.train.*Optimizer by the formulas of TensorFlow 1's kernels (training_ops); each call is a step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from tfport.compat.optimizer_base import Tensors, scalar
from tfport.compat.optimizers_v1 import V1Optimizer
from tfport.rule import rule

Params = Iterable[Any] | None


@rule("tf.train.Optimizer", pure=False, proved_by="tests/compat/test_optimizers.py")
class Optimizer(V1Optimizer):
    """The base class of TensorFlow 1's optimisers; a subclass of the program overrides what it needs."""

    def __init__(
        self, use_locking: bool, name: str, use_own_namescope_for_non_slot_vars: bool = False
    ) -> None:
        super().__init__(0.0, name, None)


def _toward(average: Tensors, values: Tensors, rest: float) -> None:
    """``average += (values - average) * rest``, in place; ``values`` are used up."""
    torch._foreach_sub_(values, average)
    torch._foreach_mul_(values, rest)
    torch._foreach_add_(average, values)


@rule("tf.train.AdamOptimizer", pure=False, proved_by="tests/compat/test_optimizers.py")
class AdamOptimizer(Optimizer):
    """Adam with epsilon 1e-8 beside the root of the uncorrected average; torch's is another (see Keras').

    The powers of the betas are running products in float32, as TensorFlow keeps them.
    """

    slots = ("m", "v")
    _by_rows = False  # TensorFlow decays the averages of all rows

    def __init__(self, learning_rate: Any = 0.001, beta1: float = 0.9, beta2: float = 0.999,
                 epsilon: float = 1e-8, use_locking: bool = False, name: str = "Adam",
                 use_own_namescope_for_non_slot_vars: bool = False, *, params: Params = None) -> None:  # fmt: skip
        V1Optimizer.__init__(self, learning_rate, name, params)
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon
        self.param_groups[0]["beta1_power"] = scalar(beta1, torch.float32)
        self.param_groups[0]["beta2_power"] = scalar(beta2, torch.float32)

    def _apply(self, grads: Tensors, variables: Tensors) -> None:
        super()._apply(grads, variables)
        self.param_groups[0]["beta1_power"] *= scalar(self._beta1, torch.float32)
        self.param_groups[0]["beta2_power"] *= scalar(self._beta2, torch.float32)

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        first = self.param_groups[0]
        alpha = rate * torch.sqrt(1 - first["beta2_power"].to(dtype)) / (1 - first["beta1_power"].to(dtype))
        m, v = [self._slot("m", p) for p in variables], [self._slot("v", p) for p in variables]
        _toward(m, [g.clone() for g in grads], (1 - scalar(self._beta1, dtype)).item())
        _toward(v, list(torch._foreach_mul(grads, grads)), (1 - scalar(self._beta2, dtype)).item())
        root = torch._foreach_add(torch._foreach_sqrt(v), scalar(self._epsilon, dtype).item())
        torch._foreach_sub_(variables, torch._foreach_div(torch._foreach_mul(m, alpha.item()), root))


@rule("tf.train.GradientDescentOptimizer", pure=False, proved_by="tests/compat/test_optimizers.py")
class GradientDescentOptimizer(Optimizer):
    """``variable -= rate * gradient``; torch.optim.SGD without momentum is the same."""

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent", *,
                 params: Params = None) -> None:  # fmt: skip
        V1Optimizer.__init__(self, learning_rate, name, params)

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        torch._foreach_sub_(variables, torch._foreach_mul(grads, rate.item()))


@rule("tf.train.MomentumOptimizer", pure=False, proved_by="tests/compat/test_optimizers.py")
class MomentumOptimizer(Optimizer):
    """``a = momentum * a + g; variable -= rate * a``, the form of torch.optim.SGD, not that of Keras' SGD."""

    slots = ("momentum",)

    def __init__(self, learning_rate: Any, momentum: Any, use_locking: bool = False, name: str = "Momentum",
                 use_nesterov: bool = False, *, params: Params = None) -> None:  # fmt: skip
        V1Optimizer.__init__(self, learning_rate, name, params)
        self._momentum, self._use_nesterov = momentum, use_nesterov

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        momentum = scalar(self._momentum() if callable(self._momentum) else self._momentum, dtype).item()
        total = [self._slot("momentum", p) for p in variables]
        torch._foreach_mul_(total, momentum)
        torch._foreach_add_(total, grads)
        if self._use_nesterov:
            ahead = torch._foreach_mul(torch._foreach_mul(total, momentum), rate.item())
            torch._foreach_sub_(variables, torch._foreach_add(torch._foreach_mul(grads, rate.item()), ahead))
        else:
            torch._foreach_sub_(variables, torch._foreach_mul(total, rate.item()))


@rule("tf.train.RMSPropOptimizer", pure=False, proved_by="tests/compat/test_optimizers.py")
class RMSPropOptimizer(Optimizer):
    """RMSprop whose average starts at 1 (torch, Keras: 0), epsilon 1e-10 inside the root.

    Momentum includes the rate.
    """

    slots: tuple[str, ...] = ("momentum", "rms")

    def __init__(self, learning_rate: Any, decay: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-10,
                 use_locking: bool = False, centered: bool = False, name: str = "RMSProp", *,
                 params: Params = None) -> None:  # fmt: skip
        V1Optimizer.__init__(self, learning_rate, name, params)
        self._decay, self._momentum, self._epsilon, self._centered = decay, momentum, epsilon, centered
        if centered:
            self.slots = ("mg", "momentum", "rms")

    def _initial(self, name: str, variable: torch.Tensor) -> torch.Tensor:
        made = super()._initial(name, variable)
        return made.fill_(1) if name == "rms" else made

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        rest = (1 - scalar(self._decay, dtype)).item()
        square, moved = (
            [self._slot("rms", p) for p in variables],
            [self._slot("momentum", p) for p in variables],
        )
        _toward(square, list(torch._foreach_mul(grads, grads)), rest)
        inside = square
        if self._centered:
            mean = [self._slot("mg", p) for p in variables]
            _toward(mean, [g.clone() for g in grads], rest)
            inside = list(torch._foreach_sub(square, torch._foreach_mul(mean, mean)))
        root = torch._foreach_sqrt(torch._foreach_add(inside, scalar(self._epsilon, dtype).item()))
        torch._foreach_mul_(moved, scalar(self._momentum, dtype).item())
        torch._foreach_add_(moved, torch._foreach_div(torch._foreach_mul(grads, rate.item()), root))
        torch._foreach_sub_(variables, moved)


@rule("tf.train.AdagradOptimizer", pure=False, proved_by="tests/compat/test_optimizers.py")
class AdagradOptimizer(Optimizer):
    """Adagrad without epsilon; the accumulator starts at .1 (torch: 0, epsilon 1e-10)."""

    slots = ("accumulator",)

    def __init__(self, learning_rate: Any, initial_accumulator_value: float = 0.1, use_locking: bool = False,
                 name: str = "Adagrad", *, params: Params = None) -> None:  # fmt: skip
        if initial_accumulator_value <= 0:
            raise ValueError(f"initial_accumulator_value is above 0, not {initial_accumulator_value}")
        V1Optimizer.__init__(self, learning_rate, name, params)
        self._start = initial_accumulator_value

    def _initial(self, name: str, variable: torch.Tensor) -> torch.Tensor:
        return super()._initial(name, variable).fill_(self._start)

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        total = [self._slot("accumulator", p) for p in variables]
        torch._foreach_add_(total, torch._foreach_mul(grads, grads))
        move = torch._foreach_div(torch._foreach_mul(grads, rate.item()), torch._foreach_sqrt(total))
        torch._foreach_sub_(variables, move)


@rule("tf.train.AdadeltaOptimizer", pure=False, proved_by="tests/compat/test_optimizers.py")
class AdadeltaOptimizer(Optimizer):
    """Adadelta with rate .001, rho .95 and epsilon 1e-8 (torch: 1, .9, 1e-6)."""

    slots = ("accum", "accum_update")

    def __init__(self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-8,
                 use_locking: bool = False,
                 name: str = "Adadelta", *, params: Params = None) -> None:  # fmt: skip
        V1Optimizer.__init__(self, learning_rate, name, params)
        self._rho, self._epsilon = rho, epsilon

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        rho, epsilon = scalar(self._rho, dtype), scalar(self._epsilon, dtype).item()
        square = [self._slot("accum", p) for p in variables]
        moves = [self._slot("accum_update", p) for p in variables]
        torch._foreach_mul_(square, rho.item())
        torch._foreach_add_(square, torch._foreach_mul(torch._foreach_mul(grads, grads), (1 - rho).item()))
        before = torch._foreach_sqrt(torch._foreach_add(moves, epsilon))
        root = torch._foreach_sqrt(torch._foreach_add(square, epsilon))
        move = torch._foreach_mul(torch._foreach_div(before, root), grads)
        torch._foreach_sub_(variables, torch._foreach_mul(move, rate.item()))
        torch._foreach_mul_(moves, rho.item())
        torch._foreach_add_(moves, torch._foreach_mul(torch._foreach_mul(move, move), (1 - rho).item()))


@rule("tf.train.FtrlOptimizer", pure=False, proved_by="tests/compat/test_optimizers.py")
class FtrlOptimizer(Optimizer):
    """Follow the regularised leader; torch has no twin."""

    slots = ("accum", "linear")

    def __init__(
        self, learning_rate: Any, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "Ftrl", accum_name: str | None = None, linear_name: str | None = None,
        l2_shrinkage_regularization_strength: float = 0.0, beta: float | None = None, *,
        params: Params = None,
    ) -> None:  # fmt: skip
        V1Optimizer.__init__(self, learning_rate, name, params)
        if learning_rate_power > 0:
            raise ValueError(f"learning_rate_power is 0 or less, not {learning_rate_power}")
        self._power, self._start, self._beta = -learning_rate_power, initial_accumulator_value, beta or 0.0
        self._l1, self._l2 = l1_regularization_strength, l2_regularization_strength
        self._given = None if callable(learning_rate) else float(learning_rate)
        self._shrinkage = l2_shrinkage_regularization_strength

    def _initial(self, name: str, variable: torch.Tensor) -> torch.Tensor:
        made = super()._initial(name, variable)
        return made.fill_(self._start) if name == "accum" else made

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        lr, l1, power = rate.item(), scalar(self._l1, dtype).item(), self._power
        as_given = self._given is not None and scalar(self._given, dtype) == rate
        l2 = scalar(
            self._l2 + self._beta / (2.0 * (self._given if as_given and self._given else lr)), dtype
        ).item()
        shrinkage = scalar(self._shrinkage, dtype).item()
        for grad, variable in zip(grads, variables, strict=True):
            total, linear = self._slot("accum", variable), self._slot("linear", variable)
            grown = total + grad.square()
            shrunk = grad + 2 * shrinkage * variable if shrinkage > 0 else grad
            linear.add_(shrunk - (grown**power - total**power) / lr * variable)
            quadratic = grown**power / lr + 2 * l2
            variable.copy_((linear.clamp(-l1, l1) - linear) / quadratic)
            total.copy_(grown)
