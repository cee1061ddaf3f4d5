"""Keras' optimiser interface on ``torch.optim.Optimizer``, with the arithmetic of Keras 3.

Clipping, weight decay, the moving average of the weights, loss scaling and gradient accumulation act in
Keras' order: unscale, accumulate, clip, decay, update, average.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from tfport.compat.optimizer_base import Deferred, Tensors, scalar


class KerasOptimizer(Deferred):
    """``tf.keras.optimizers.Optimizer``.

    Beside Keras' arguments ``params`` takes what torch's optimisers take (``model.parameters()``, named
    parameters or groups); without it the variables are those of ``build`` or of the first
    ``apply_gradients``. ``lr`` is Keras 2's name of ``learning_rate``; ``decay`` is Keras 2's decay of the
    rate, ``rate / (1 + decay * step)`` (Keras 3 warns and ignores it). Raises ValueError for unknown
    arguments and for more than one kind of clipping.
    """

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None, gradient_accumulation_steps: int | None = None,
        name: str | None = None, *, params: Iterable[Any] | None = None, lr: Any = None,
        decay: float | None = None,
        **unknown: Any,
    ) -> None:  # fmt: skip
        if unknown:
            raise ValueError(f"{type(self).__name__} has no argument {', '.join(sorted(unknown))}")
        if sum(c is not None for c in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError("only one of clipnorm, clipvalue and global_clipnorm can be set")
        if gradient_accumulation_steps is not None and gradient_accumulation_steps < 2:
            raise ValueError(f"gradient_accumulation_steps is 2 or more, not {gradient_accumulation_steps}")
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ValueError(f"ema_momentum is between 0 and 1, not {ema_momentum}")
        rate = learning_rate if lr is None else lr
        if torch.get_default_dtype() == torch.float64:  # Keras keeps the rate in floatx
            self._rate_dtype = torch.float64
        super().__init__(_Decayed(float(rate), decay) if decay else rate, params)
        self.name = name or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum, self.ema_overwrite_frequency = (
            use_ema,
            ema_momentum,
            ema_overwrite_frequency,
        )
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._undecayed: set[int] = set()
        self._undecayed_names: str | None = None

    # Keras' interface.

    @property
    def iterations(self) -> torch.Tensor:
        """Steps made, int64 without axes; live, unless gradients are accumulated over several calls."""
        every = self.gradient_accumulation_steps
        return self._count if not every else self._count // every

    @property
    def learning_rate(self) -> torch.Tensor:
        """The rate of the next step, float32 without axes; live where it is no schedule."""
        return self._rate_now()

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value):
            self._rate = value
        elif getattr(self._rate, "takes_step", False):
            raise TypeError(
                "this optimiser was made with a schedule; its learning rate cannot be set to a number"
            )
        else:
            self._rate = None
            for group in self.param_groups:
                group["lr"].fill_(float(value))

    lr = learning_rate

    @property
    def variables(self) -> Tensors:
        """The count, the rate, then each variable's state in Keras' order (variable by variable)."""
        states = [self._slot(name, p) for p in self._known() for name in self._slots_in_use()]
        return [self._count, self.param_groups[0]["lr"], *states]

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, torch.Tensor]], name: str | None = None,
                        **unused: Any) -> torch.Tensor:  # fmt: skip
        """Apply pairs (gradient or None, variable). Returns the count of calls.

        Raises ValueError if no pair has a gradient, or for a variable that the optimiser was not built with.
        """
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self._count

    @torch.no_grad()
    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[torch.Tensor] | None = None) -> None:
        """Apply gradients to ``trainable_variables``, or to those it was built with."""
        if not grads:
            return
        variables = self._known() if trainable_variables is None else list(trainable_variables)
        if len(variables) != len(grads):
            raise ValueError(f"{len(grads)} gradients for {len(variables)} variables")
        if not self.built:
            self.build(variables)
        known = {id(p) for p in self._known()}
        if (stranger := next((v for v in variables if id(v) not in known), None)) is not None:
            raise ValueError(
                f"unknown variable of shape {tuple(stranger.shape)}: the optimiser was built with others"
            )
        present = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
        if not present:
            raise ValueError("no gradients provided for any variable")
        if len(present) < len(grads):
            warnings.warn(
                f"{len(grads) - len(present)} of {len(grads)} variables have no gradient", stacklevel=3
            )
        self._apply([g for g, _ in present], [v for _, v in present])

    def minimize(self, loss: Any, var_list: Any, grad_loss: Any = None, name: str | None = None,
                 tape: Any = None) -> torch.Tensor:  # fmt: skip
        """Keras 2's: differentiate ``loss`` (a function, or a tensor that ``tape`` recorded) and apply."""
        if not callable(loss) and tape is None:
            raise ValueError("minimize takes a loss function, or a tensor and the tape that recorded it")
        with torch.enable_grad():
            value = loss() if callable(loss) else loss
            variables = list(var_list() if callable(var_list) else var_list)
        if tape is not None:
            grads = tape.gradient(value, variables, output_gradients=grad_loss)
        else:
            seed = torch.ones_like(value) if grad_loss is None else grad_loss
            grads = torch.autograd.grad(value, variables, seed, allow_unused=True)
        return self.apply_gradients(zip(grads, variables, strict=True))

    def exclude_from_weight_decay(self, var_list: Iterable[torch.Tensor] | None = None,
                                  var_names: Iterable[str] | None = None) -> None:  # fmt: skip
        """Leave variables out of ``weight_decay``; names need ``params=model.named_parameters()``."""
        self._undecayed = {id(v) for v in var_list or ()}
        self._undecayed_names = "|".join(var_names) if var_names else None

    def finalize_variable_values(self, var_list: Any = None) -> None:
        """With ``use_ema``: write the averages into the variables."""
        if self.use_ema:
            self._write_averages()

    def scale_loss(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss times ``loss_scale_factor``; the gradients are divided by it again."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; a schedule stands as the object it is."""
        classes = [c for c in type(self).__mro__ if "__init__" in vars(c) and issubclass(c, KerasOptimizer)]
        names = [n for c in classes for n in inspect.signature(c.__init__).parameters]
        config = {
            n: getattr(self, n) for n in dict.fromkeys(names) if n not in _NOT_CONFIG and hasattr(self, n)
        }
        config["learning_rate"] = float(self._rate_now()) if self._rate is None else self._rate
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> KerasOptimizer:
        """An optimiser with these arguments and no state."""
        return cls(**config)

    # What a subclass of the user's may use.

    def update_step(self, gradient: torch.Tensor, variable: torch.Tensor,
                    learning_rate: torch.Tensor) -> None:  # fmt: skip
        """Update one variable in place. A subclass of Keras' form overrides it."""
        raise NotImplementedError(f"{type(self).__name__} overrides update_step")

    def add_variable_from_reference(self, reference_variable: torch.Tensor, name: str = "var",
                                    initializer: str = "zeros") -> torch.Tensor:  # fmt: skip
        """A state tensor like a variable, all ``zeros`` or ``ones``, saved with the optimiser."""
        if initializer not in ("zeros", "ones"):
            raise ValueError(f"initializer is 'zeros' or 'ones', not {initializer!r}")
        state = self.state[reference_variable]
        if name not in state:
            state[name] = self._initial(name, reference_variable).fill_(float(initializer == "ones"))
        return state[name]

    # The step.

    def _apply(self, grads: Tensors, variables: Tensors) -> None:
        if self.loss_scale_factor is not None:
            grads = [g / self.loss_scale_factor for g in grads]
        every = self.gradient_accumulation_steps
        last = not every
        if every:
            held = [self._slot("gradient_accumulator", v) for v in variables]
            last = int(self._count + 1) % every == 0
            sums = list(torch._foreach_add(grads, held))
            if last:
                grads = list(torch._foreach_div(sums, every))
                for v in self._known():
                    self._slot("gradient_accumulator", v).zero_()
            else:
                torch._foreach_copy_(held, sums)
        if last:
            self._refresh_rate()
            for rate, dtype, g, some in self._buckets(self._clip(grads), variables):
                rate = rate.cpu().to(dtype)
                self._decay(some, rate, dtype)
                self._update([x.to(dtype) for x in g], some, rate, dtype)
        if self.use_ema:
            self._average()
        for v in variables:
            if (constraint := getattr(v, "constraint", None)) is not None:
                v.copy_(constraint(v))
        self._count.add_(1)

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        for gradient, variable in zip(grads, variables, strict=True):
            self.update_step(gradient, variable, rate)

    def _step(self, dtype: torch.dtype) -> torch.Tensor:
        """The number of the step to be made, from 1, as a scalar of ``dtype``."""
        return (self.iterations + 1).cpu().to(dtype)

    def _clip(self, grads: Tensors) -> Tensors:
        """By variable (clipnorm), over all (global_clipnorm) or by element (clipvalue)."""
        if self.clipnorm:
            norms = [g.square().sum().sqrt() for g in grads]
            return [g * self.clipnorm / n.clamp(min=self.clipnorm) for g, n in zip(grads, norms, strict=True)]
        if self.global_clipnorm:
            norm = torch.stack([g.square().sum().to(grads[0].device) for g in grads]).sum().sqrt()
            factor = self.global_clipnorm * torch.clamp(1 / norm, max=1 / self.global_clipnorm)
            factor = factor + (norm - norm)  # not finite: every gradient becomes NaN
            return [g * factor.to(g.device) for g in grads]
        if self.clipvalue:
            return [g.clamp(-self.clipvalue, self.clipvalue) for g in grads]
        return grads

    def _decay(self, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        """Decoupled: a variable loses ``weight_decay * rate`` of itself before the update."""
        if self.weight_decay is None:
            return
        if kept := [v for v in variables if not self._undecays(v)]:
            lost = torch._foreach_mul(kept, scalar(self.weight_decay, dtype).item())
            torch._foreach_mul_(lost, rate.item())
            torch._foreach_sub_(kept, lost)

    def _undecays(self, variable: torch.Tensor) -> bool:
        if id(variable) in self._undecayed:
            return True
        if self._undecayed_names is None:
            return False
        for group in self.param_groups:
            for p, name in zip(group["params"], group.get("param_names", ()), strict=False):
                if p is variable:
                    return re.search(self._undecayed_names, name) is not None
        raise ValueError(
            "weight decay is excluded by name, but names are unknown: pass params=model.named_parameters()"
        )

    def _average(self) -> None:
        started = bool(self.iterations != 0)
        for v in self._known():
            momentum = torch.tensor(self.ema_momentum if started else 0.0, dtype=v.dtype)
            average = self._slot("average", v)
            average.copy_(momentum.item() * average + (1 - momentum).item() * v)
        if self.ema_overwrite_frequency and int(self.iterations + 1) % self.ema_overwrite_frequency == 0:
            self._write_averages()

    @torch.no_grad()
    def _write_averages(self) -> None:
        for v in self._known():
            v.copy_(self._slot("average", v))

    def _slots_in_use(self) -> tuple[str, ...]:
        """Names of the state tensors in the order in which Keras saves them."""
        return self.slots


class _Decayed:
    """Keras 2's ``decay``: the rate divided by ``1 + decay * step``, in float32."""

    takes_step = True

    def __init__(self, rate: float, decay: float) -> None:
        self.rate, self.decay = rate, decay

    def __call__(self, step: torch.Tensor) -> torch.Tensor:
        one = torch.ones((), dtype=torch.float32)
        return self.rate * (one / (one + self.decay * step.to(torch.float32)))


_NOT_CONFIG = frozenset({"self", "params", "lr", "decay", "unknown", "options", "named", "learning_rate"})
