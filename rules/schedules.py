"""tf.keras.optimizers.schedules and tf.train.*_decay: the learning rate by the count of steps, in float32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from tfport.compat.live import Live
from tfport.rule import prove, rule


def _f32(value: Any) -> torch.Tensor:
    """A number or tensor as a float32 tensor."""
    return torch.as_tensor(value).to(torch.float32)


def _positive(name: str, value: Any) -> None:
    if value <= 0:
        raise ValueError(f"{name} is above 0, not {value}")


@rule("tf.keras.optimizers.schedules.LearningRateSchedule", proved_by="tests/compat/test_keras_state.py")
class LearningRateSchedule:
    """The base class: an object called with the count of steps. Optimisers call it before every step.

    torch's schedulers multiply the rate when ``step()`` is called, mostly once an epoch; these count
    optimiser steps.
    """

    takes_step = True

    def __call__(self, step: Any) -> torch.Tensor:
        """The rate at ``step`` (a number or an integer tensor), float32 without axes."""
        raise NotImplementedError(f"{type(self).__name__} overrides __call__(step)")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """A schedule with these arguments."""
        return cls(**config)


@rule("tf.keras.optimizers.schedules.ExponentialDecay")
@prove(0.1, 7, 0.9, then=[(0,), (1,), (7,), (23,), (50,)])
@prove(0.1, 7, 0.9, staircase=True, then=[(0,), (1,), (7,), (23,), (50,)])
@prove(0.1, 0, 0.9, raises=True)
class ExponentialDecay(LearningRateSchedule):
    """``rate * decay_rate ** (step / decay_steps)``; the exponent is floored if ``staircase``."""

    def __init__(self, initial_learning_rate: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                 name: str = "ExponentialDecay") -> None:  # fmt: skip
        _positive("decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps, self.decay_rate = (
            initial_learning_rate,
            decay_steps,
            decay_rate,
        )
        self.staircase, self.name = staircase, name

    def __call__(self, step: Any) -> torch.Tensor:
        """The rate at ``step``."""
        part = _f32(step) / _f32(self.decay_steps)
        part = torch.floor(part) if self.staircase else part
        return _f32(self.initial_learning_rate) * _f32(self.decay_rate) ** part


@rule("tf.keras.optimizers.schedules.InverseTimeDecay")
@prove(0.1, 7, 0.5, then=[(0,), (1,), (7,), (23,), (50,)])
@prove(0.1, 7, 0.5, staircase=True, then=[(0,), (1,), (7,), (23,), (50,)])
class InverseTimeDecay(LearningRateSchedule):
    """``rate / (1 + decay_rate * step / decay_steps)``; the quotient is floored if ``staircase``."""

    def __init__(self, initial_learning_rate: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                 name: str = "InverseTimeDecay") -> None:  # fmt: skip
        _positive("decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps, self.decay_rate = (
            initial_learning_rate,
            decay_steps,
            decay_rate,
        )
        self.staircase, self.name = staircase, name

    def __call__(self, step: Any) -> torch.Tensor:
        """The rate at ``step``."""
        part = _f32(step) / _f32(self.decay_steps)
        part = torch.floor(part) if self.staircase else part
        return _f32(self.initial_learning_rate) / (1 + _f32(self.decay_rate) * part)


@rule("tf.keras.optimizers.schedules.PiecewiseConstantDecay")
@prove([1, 7, 23], [0.1, 0.05, 0.02, 0.01], then=[(0,), (1,), (7,), (23,), (50,)])
@prove([1], [0.1], raises=True)
class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[i]`` up to and including step ``boundaries[i]``; MultiStepLR changes one step earlier."""

    def __init__(self, boundaries: Sequence[Any], values: Sequence[Any],
                 name: str = "PiecewiseConstant") -> None:  # fmt: skip
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"{len(boundaries)} boundaries need {len(boundaries) + 1} values, not {len(values)}"
            )
        self.boundaries, self.values, self.name = boundaries, values, name

    def __call__(self, step: Any) -> torch.Tensor:
        """The rate at ``step``; boundaries are cast to its dtype, as Keras does."""
        step = torch.as_tensor(step)
        result = _f32(self.values[-1]).to(step.device)
        for boundary, value in reversed(list(zip(self.boundaries, self.values[:-1], strict=True))):
            limit = torch.as_tensor(boundary).to(step.dtype).to(step.device)
            result = torch.where(step <= limit, _f32(value).to(step.device), result)
        return result


@rule("tf.keras.optimizers.schedules.PolynomialDecay")
@prove(0.1, 20, then=[(0,), (1,), (7,), (23,), (50,)])
@prove(0.1, 12, power=0.5, cycle=True, then=[(0,), (1,), (7,), (23,), (50,)])
class PolynomialDecay(LearningRateSchedule):
    """From the initial to ``end_learning_rate`` by ``(1 - step / decay_steps) ** power``.

    ``cycle`` stretches and repeats.
    """

    def __init__(self, initial_learning_rate: Any, decay_steps: Any, end_learning_rate: Any = 0.0001,
                 power: Any = 1.0,
                 cycle: bool = False, name: str = "PolynomialDecay") -> None:  # fmt: skip
        _positive("decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name

    def __call__(self, step: Any) -> torch.Tensor:
        """The rate at ``step``."""
        now, steps, end = _f32(step), _f32(self.decay_steps), _f32(self.end_learning_rate)
        if self.cycle:
            steps = steps * torch.where(now == 0, torch.ones_like(now), torch.ceil(now / steps))
        else:
            now = torch.minimum(now, steps)
        return (_f32(self.initial_learning_rate) - end) * (1 - now / steps) ** _f32(self.power) + end


@rule("tf.keras.optimizers.schedules.CosineDecay", "tf.keras.experimental.CosineDecay")
@prove(0.1, 30, alpha=0.1, then=[(0,), (1,), (7,), (23,), (50,)])
@prove(0.01, 30, warmup_target=0.2, warmup_steps=10, then=[(0,), (1,), (7,), (23,), (50,)])
class CosineDecay(LearningRateSchedule):
    """Half a cosine down to the fraction ``alpha`` of the rate.

    After an optional linear warm-up to ``warmup_target``.
    """

    def __init__(self, initial_learning_rate: Any, decay_steps: Any, alpha: float = 0.0,
                 name: str = "CosineDecay",
                 warmup_target: Any = None, warmup_steps: Any = 0) -> None:  # fmt: skip
        _positive("decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps, self.alpha, self.name = (
            initial_learning_rate,
            decay_steps,
            alpha,
            name,
        )
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step: Any) -> torch.Tensor:
        """The rate at ``step``."""
        now, steps, first = _f32(step), _f32(self.decay_steps), _f32(self.initial_learning_rate)
        if self.warmup_target is None:
            return self._cosine(torch.minimum(now, steps), first)
        warm, target = _f32(self.warmup_steps), _f32(self.warmup_target)
        now = torch.minimum(now, steps + warm)
        return torch.where(
            now < warm, (target - first) * (now / warm) + first, self._cosine(now - warm, target)
        )

    def _cosine(self, now: torch.Tensor, top: torch.Tensor) -> torch.Tensor:
        shape = 0.5 * (1.0 + torch.cos(_f32(math.pi) * (now / _f32(self.decay_steps))))
        return top * ((1 - self.alpha) * shape + self.alpha)


@rule("tf.keras.optimizers.schedules.CosineDecayRestarts", "tf.keras.experimental.CosineDecayRestarts")
@prove(0.1, 9, then=[(0,), (1,), (7,), (23,), (50,)])
@prove(0.1, 9, t_mul=1.0, m_mul=0.9, then=[(0,), (1,), (7,), (23,), (50,)])
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that restarts.

    Each period is ``t_mul`` times as long and its top ``m_mul`` times as high.
    """

    def __init__(self, initial_learning_rate: Any, first_decay_steps: Any, t_mul: float = 2.0,
                 m_mul: float = 1.0,
                 alpha: float = 0.0, name: str = "SGDRDecay") -> None:  # fmt: skip
        _positive("first_decay_steps", first_decay_steps)
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: Any) -> torch.Tensor:
        """The rate at ``step``."""
        t_mul, alpha = _f32(self.t_mul), _f32(self.alpha)
        done = _f32(step) / _f32(self.first_decay_steps)
        if self.t_mul == 1.0:
            restart = torch.floor(done)
            done = done - restart
        else:
            restart = torch.floor(torch.log(1.0 - done * (1.0 - t_mul)) / torch.log(t_mul))
            done = (done - (1.0 - t_mul**restart) / (1.0 - t_mul)) / t_mul**restart
        shape = 0.5 * _f32(self.m_mul) ** restart * (1.0 + torch.cos(_f32(math.pi) * done))
        return _f32(self.initial_learning_rate) * ((1 - alpha) * shape + alpha)


# TensorFlow 1: functions of a global step. In graph mode their result follows the step; in eager mode it is
# a function without arguments. `Live` is both.


@rule("tf.train.exponential_decay", pure=False)
@prove(0.1, 5, 7, 0.9, then=())
@prove(0.1, 15, 7, 0.9, staircase=True, then=())
def exponential_decay(learning_rate, global_step, decay_steps, decay_rate, staircase=False, name=None):
    """``learning_rate * decay_rate ** (global_step / decay_steps)``, evaluated anew at every use."""
    return _live(ExponentialDecay(learning_rate, decay_steps, decay_rate, staircase), global_step)


@rule("tf.train.piecewise_constant", "tf.train.piecewise_constant_decay", pure=False)
@prove(5, [2, 5, 8], [0.1, 0.05, 0.02, 0.01], then=())
@prove(9, boundaries=[2, 5, 8], values=[0.1, 0.05, 0.02, 0.01], then=())
def piecewise_constant(x, boundaries, values, name=None):
    """``values[i]`` up to and including ``boundaries[i]``, evaluated anew at every use."""
    return _live(PiecewiseConstantDecay(boundaries, values), x)


@rule("tf.train.polynomial_decay", pure=False)
@prove(0.1, 5, 12, then=())
@prove(0.1, 15, 12, power=0.5, cycle=True, then=())
def polynomial_decay(learning_rate, global_step, decay_steps, end_learning_rate=0.0001, power=1.0,
                     cycle=False, name=None):  # fmt: skip
    """Polynomial decay to ``end_learning_rate``, evaluated anew at every use."""
    return _live(PolynomialDecay(learning_rate, decay_steps, end_learning_rate, power, cycle), global_step)


@rule("tf.train.natural_exp_decay", pure=False)
@prove(0.1, 5, 7, 0.9, then=())
def natural_exp_decay(learning_rate, global_step, decay_steps, decay_rate, staircase=False, name=None):
    """``learning_rate * exp(-decay_rate * global_step / decay_steps)``, evaluated anew at every use."""
    base = torch.exp(-_f32(decay_rate))
    return _live(ExponentialDecay(learning_rate, decay_steps, base, staircase), global_step)


@rule("tf.train.inverse_time_decay", pure=False)
@prove(0.1, 5, 7, 0.5, staircase=True, then=())
def inverse_time_decay(learning_rate, global_step, decay_steps, decay_rate, staircase=False, name=None):
    """``learning_rate / (1 + decay_rate * global_step / decay_steps)``, evaluated anew at every use."""
    return _live(InverseTimeDecay(learning_rate, decay_steps, decay_rate, staircase), global_step)


@rule("tf.train.cosine_decay", pure=False)
@prove(0.1, 5, 30, alpha=0.1, then=())
def cosine_decay(learning_rate, global_step, decay_steps, alpha=0.0, name=None):
    """Half a cosine down to the fraction ``alpha``, evaluated anew at every use."""
    return _live(CosineDecay(learning_rate, decay_steps, alpha), global_step)


@rule("tf.train.cosine_decay_restarts", pure=False)
@prove(0.1, 25, 9, m_mul=0.8, then=())
def cosine_decay_restarts(learning_rate, global_step, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0,
                          name=None):  # fmt: skip
    """Cosine decay with restarts, evaluated anew at every use."""
    return _live(CosineDecayRestarts(learning_rate, first_decay_steps, t_mul, m_mul, alpha), global_step)


@rule("tf.train.linear_cosine_decay", pure=False)
@prove(0.1, 5, 30, num_periods=2.0, then=())
def linear_cosine_decay(learning_rate, global_step, decay_steps, num_periods=0.5, alpha=0.0, beta=0.001,
                        name=None):  # fmt: skip
    """A linear decay times a cosine, evaluated anew at every use."""
    steps = _f32(decay_steps)

    def rate(step):
        part = torch.minimum(_f32(step), steps) / steps
        cosine = 0.5 * (1.0 + torch.cos(_f32(math.pi * 2.0 * num_periods) * part))
        return _f32(learning_rate) * ((alpha + (1.0 - part)) * cosine + beta)

    return _live(rate, global_step)


def _live(schedule: Any, step: Any) -> Live:
    return Live(lambda: schedule(step))
