"""tf.train.ExponentialMovingAverage and assign_moving_average: averages of variables, in place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from tfport.rule import rule


@rule("tf.train.ExponentialMovingAverage", pure=False, proved_by="tests/compat/test_moving_averages.py")
class ExponentialMovingAverage:
    """Averages of variables, started at their values: ``average -= (1 - decay) * (average - variable)``.

    ``num_updates`` (a number, or a tensor that is read at each ``apply``) makes the decay ``min(decay, (1 +
    n) / (10 + n))``, .1 at the start. The first ``apply`` to a variable makes its average; keep the object,
    averages are no part of a module. ``zero_debias`` acts on tensors that are no variables only, so not
    here.
    """

    def __init__(self, decay: Any, num_updates: Any = None, zero_debias: bool = False,
                 name: str = "ExponentialMovingAverage") -> None:  # fmt: skip
        self._decay, self._num_updates, self.name = decay, num_updates, name
        self._averages: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @torch.no_grad()
    def apply(self, var_list: Iterable[torch.Tensor] | None = None) -> None:
        """Update the average of each variable. Raises TypeError for a dtype that is not floating."""
        if var_list is None:
            raise ValueError("say which variables to average: torch has no list of all of them")
        decay = torch.as_tensor(self._decay, dtype=torch.float32)
        if self._num_updates is not None:
            n = torch.as_tensor(self._num_updates).to(torch.float32)
            decay = torch.minimum(decay.to(n.device), (1.0 + n) / (10.0 + n))
        for variable in var_list:
            if not variable.is_floating_point():
                raise TypeError(f"only floating variables have averages, not {variable.dtype}")
            if id(variable) not in self._averages:
                self._averages[id(variable)] = (variable, variable.detach().clone())
            average = self._averages[id(variable)][1]
            average.sub_((average - variable) * (1.0 - decay).to(average.dtype).to(average.device))

    def average(self, var: torch.Tensor) -> torch.Tensor | None:
        """The average of a variable, None before the first ``apply`` to it."""
        return self._averages.get(id(var), (None, None))[1]


@rule("tf.python.training.moving_averages.assign_moving_average", pure=False,
      proved_by="tests/compat/test_moving_averages.py")  # fmt: skip
def assign_moving_average(variable, value, decay, zero_debias=True, name=None):
    """Move ``variable`` towards ``value``: ``variable -= (variable - value) * (1 - decay)``, and return it.

    With ``zero_debias`` (the default) a sum that starts at zero is kept beside the variable, and the
    variable becomes that sum divided by ``1 - decay**calls``: after the first call it is the first value.
    """
    return _assign_moving_average(variable, value, decay, zero_debias)


@torch.no_grad()
def _assign_moving_average(variable, value, decay, zero_debias):
    rest = (1.0 - torch.as_tensor(decay, dtype=torch.float32)).to(variable.dtype).to(variable.device)
    if not zero_debias:
        return variable.sub_((variable - value) * rest)
    biased, calls = getattr(variable, "_tfport_debias", (torch.zeros_like(variable), 0))
    biased = biased - (biased - value) * rest
    variable._tfport_debias = biased, calls + 1
    return variable.copy_(biased / (1 - (1.0 - rest) ** (calls + 1)))
