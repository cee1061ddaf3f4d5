"""TensorFlow 1's optimiser interface on ``torch.optim.Optimizer``.

Used as in eager mode: each call makes a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from tfport.compat.autograd_graph import leaves
from tfport.compat.optimizer_base import Deferred, Tensors

Pairs = list[tuple[torch.Tensor | None, torch.Tensor]]


class V1Optimizer(Deferred):
    """``tf.compat.v1.train.Optimizer``.

    ``learning_rate`` is a number, a tensor without axes or a function without arguments. New variables may
    come with any call. ``params=`` takes what torch's optimisers take; then
    ``zero_grad``/``backward``/``step`` work as well.
    """

    _by_rows = True  # an embedding's sparse gradient updates its rows alone, with their slots

    GATE_NONE, GATE_OP, GATE_GRAPH = 0, 1, 2

    def __init__(self, learning_rate: Any, name: str, params: Iterable[Any] | None = None) -> None:
        super().__init__(learning_rate, params)
        self._name = name

    def get_name(self) -> str:
        """The name given at construction."""
        return self._name

    def minimize(self, loss: Any, global_step: torch.Tensor | None = None, var_list: Any = None,
                 gate_gradients: int = 1,
                 aggregation_method: Any = None, colocate_gradients_with_ops: bool = False,
                 name: str | None = None,
                 grad_loss: torch.Tensor | None = None) -> None:  # fmt: skip
        """Differentiate ``loss`` (a tensor, or a function that returns one), apply, count ``global_step``."""
        pairs = self._differentiate(loss, var_list, grad_loss, retain=False)
        self.apply_gradients(pairs, global_step, name)

    def compute_gradients(self, loss: Any, var_list: Any = None, gate_gradients: int = 1,
                          aggregation_method: Any = None,
                          colocate_gradients_with_ops: bool = False,
                          grad_loss: torch.Tensor | None = None) -> Pairs:  # fmt: skip
        """The pairs (gradient or None, variable); without ``var_list``, of all that ``loss`` depends on."""
        return self._differentiate(loss, var_list, grad_loss, retain=True)

    def _differentiate(self, loss: Any, var_list: Any, seed: torch.Tensor | None, retain: bool) -> Pairs:
        with torch.enable_grad():
            value = loss() if callable(loss) and not isinstance(loss, torch.Tensor) else loss
        if not value.requires_grad:
            raise ValueError(
                "no gradients provided for any variable: the loss depends on none that is trainable"
            )
        if var_list is None:
            variables = leaves([value])
        else:
            variables = [var_list] if isinstance(var_list, torch.Tensor) else list(var_list)
        wanted = [v for v in variables if v.requires_grad]
        seed = torch.ones_like(value) if seed is None else seed
        found = (
            torch.autograd.grad(value, wanted, seed, retain_graph=retain, allow_unused=True) if wanted else ()
        )
        grads = {id(v): g for v, g in zip(wanted, found, strict=True)}
        return [(grads.get(id(v)), v) for v in variables]

    @torch.no_grad()
    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, torch.Tensor]],
                        global_step: torch.Tensor | None = None,
                        name: str | None = None) -> None:  # fmt: skip
        """Apply pairs (gradient or None, variable). Raises ValueError if there is no gradient at all."""
        present = [(g, v) for g, v in grads_and_vars if g is not None]
        if not present:
            raise ValueError("no gradients provided for any variable")
        known = {id(p) for p in self._known()}
        self._add([v for _, v in present if id(v) not in known])
        self._apply([g for g, _ in present], [v for _, v in present])
        if global_step is not None:
            global_step.add_(1)

    def _apply(self, grads: Tensors, variables: Tensors) -> None:
        pairs = list(zip(grads, variables, strict=True))
        rows = [(g, v) for g, v in pairs if g.is_sparse and self._by_rows]
        if not rows:
            return super()._apply(grads, variables)
        self._refresh_rate()
        rates = {id(p): group["lr"] for group in self.param_groups for p in group["params"]}
        for grad, variable in rows:
            self._update_rows(grad.coalesce(), variable, rates[id(variable)].cpu().to(variable.dtype))
        rest = [(g, v) for g, v in pairs if not g.is_sparse]
        if rest:
            return super()._apply([g for g, _ in rest], [v for _, v in rest])
        self._count.add_(1)

    def _update_rows(self, grad: torch.Tensor, variable: torch.Tensor, rate: torch.Tensor) -> None:
        """Update the rows that a coalesced gradient names, as TensorFlow's SparseApply kernels do; others stay, with
        their slots."""
        rows = grad.indices()[0]
        part = variable.detach()[rows]
        slots = {name: self._slot(name, variable) for name in self.slots}
        self.state[part] = {name: whole[rows] for name, whole in slots.items()}
        self._update([grad.values().to(variable.dtype)], [part], rate, variable.dtype)
        variable.index_copy_(0, rows, part)
        for name, changed in self.state.pop(part).items():
            slots[name].index_copy_(0, rows, changed)

    def get_slot_names(self) -> list[str]:
        """The names of the state tensors."""
        return sorted(self.slots)

    def get_slot(self, var: torch.Tensor, name: str) -> torch.Tensor | None:
        """The state tensor ``name`` of a variable, None where there is none yet."""
        return self.state[var].get(name) if var in self.state else None

    def variables(self) -> Tensors:
        """All state tensors."""
        return [t for p in self._known() for t in self.state[p].values()]
