"""What the optimisers of Keras and TensorFlow 1 share: a ``torch.optim.Optimizer`` that may start empty.

TensorFlow makes an optimiser before it knows the variables and meets them at the first ``apply_gradients``;
torch wants them at once. ``Deferred`` takes them either way: ``params=`` at construction,
``build(variables)``, or at the first gradients. State lies where torch keeps it (``state`` per parameter,
counters in ``param_groups[0]``), so ``state_dict``, ``load_state_dict``, ``add_param_group``, ``zero_grad``
and torch's schedulers work.

Scalars follow TensorFlow: hyperparameters are float32 first, whatever the variable's dtype, and
coefficients such as ``1 - beta**t`` are computed in the variable's dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

Tensors = list[torch.Tensor]


def scalar(value: Any, dtype: torch.dtype) -> torch.Tensor:
    """A hyperparameter as TensorFlow casts it: to float32, then to ``dtype``; a CPU tensor without axes."""
    return torch.as_tensor(float(value), dtype=torch.float32).to(dtype)


def dense(grad: torch.Tensor) -> torch.Tensor:
    """A gradient with all its elements. One of ``nn.Embedding(sparse=True)`` that may name a row twice carries along
    ``occurrences``, itself: Keras 3 squares it before the rows are added up."""
    if not grad.is_sparse:
        return grad
    made = grad.to_dense()
    if not grad.is_coalesced():
        made.occurrences = grad  # type: ignore[attr-defined]
    return made


def _summed(grad: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """A function of the elements; of each occurrence of a row, then added up, where rows occur twice."""
    held = getattr(grad, "occurrences", None)
    if held is None:
        return function(grad)
    return torch.sparse_coo_tensor(
        held._indices(), function(held._values()), held.shape, check_invariants=False
    ).to_dense()


def squared(grads: Tensors) -> Tensors:
    """The squares of gradients, as Keras 3 takes them (see `dense`); the caller may change them in place."""
    if not any(hasattr(g, "occurrences") for g in grads):
        return list(torch._foreach_mul(grads, grads))
    return [_summed(g, torch.square) for g in grads]


def magnitudes(grads: Tensors) -> Tensors:
    """The absolute values of gradients, as Keras 3 takes them."""
    return [_summed(g, torch.abs) for g in grads]


class Deferred(torch.optim.Optimizer):
    """An optimiser whose parameters may come later.

    A subclass names its state tensors in ``slots`` and updates in ``_update``, a list of variables of one
    dtype at a time. ``learning_rate`` is a number, a schedule (an object with ``takes_step``: called with
    the count of steps) or a function without arguments. The rate lies in each group's ``lr`` as a float32
    CPU tensor, so that an assignment in place is seen. Groups may have a rate of their own
    (``params=[{"params": ..., "lr": ...}]``); a schedule sets them all.
    """

    slots: tuple[str, ...] = ()
    _rate_dtype = torch.float32

    def __init__(self, learning_rate: Any, params: Iterable[Any] | None = None) -> None:
        self._rate: Callable[..., Any] | None = learning_rate if callable(learning_rate) else None
        first = 0.0 if self._rate is not None else float(learning_rate)
        defaults = {"lr": torch.tensor(first, dtype=self._rate_dtype)}
        given = [] if params is None else list(params)
        super().__init__(given or [{"params": []}], defaults)
        self.param_groups[0]["iterations"] = torch.zeros((), dtype=torch.int64)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but torch's hooks, so that a pickle and a deep copy keep the hyperparameters too."""
        hooks = ("_optimizer_", "_zero_grad_profile", "_warned_")
        own = {k: v for k, v in self.__dict__.items() if not k.startswith(hooks)}
        return own | super().__getstate__()

    # The variables.

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's; a rate given as a number becomes the float32 tensor that the other groups have."""
        if "lr" in param_group:
            param_group["lr"] = torch.tensor(float(param_group["lr"]), dtype=self._rate_dtype)
        super().add_param_group(param_group)

    @property
    def built(self) -> bool:
        """Whether any variable is known."""
        return any(group["params"] for group in self.param_groups)

    def build(self, variables: Iterable[torch.Tensor]) -> None:
        """Take ``variables`` as the ones to train, unless the optimiser has some already."""
        if not self.built:
            self._add(list(variables))

    def _add(self, variables: Sequence[torch.Tensor]) -> None:
        """Append variables to the first group, in order."""
        if (wrong := next((v for v in variables if not isinstance(v, torch.Tensor)), None)) is not None:
            raise TypeError(f"an optimiser trains tensors, not {type(wrong).__name__}")
        self.param_groups[0]["params"].extend(variables)

    def _known(self) -> Tensors:
        return [p for group in self.param_groups for p in group["params"]]

    def _slot(self, name: str, variable: torch.Tensor) -> torch.Tensor:
        """The state tensor ``name`` of a variable, made at its first use."""
        state = self.state[variable]
        if name not in state:
            state[name] = self._initial(name, variable)
        return state[name]

    def _initial(self, name: str, variable: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(variable, memory_format=torch.preserve_format, requires_grad=False)

    # The count and the rate.

    @property
    def _count(self) -> torch.Tensor:
        """Calls that applied gradients, an int64 CPU tensor without axes."""
        return self.param_groups[0]["iterations"]

    def _rate_now(self) -> torch.Tensor:
        if self._rate is None:
            return self.param_groups[0]["lr"]
        value = self._rate(self._count) if getattr(self._rate, "takes_step", False) else self._rate()
        return torch.as_tensor(value, dtype=torch.float32)

    def _refresh_rate(self) -> None:
        if self._rate is not None:
            now = float(self._rate_now())
            for group in self.param_groups:
                group["lr"].fill_(now)

    # The step.

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """torch's step: apply the ``grad`` of every known variable that has one.

        Nothing happens if none has.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        variables = [p for p in self._known() if p.grad is not None]
        if variables:
            self._apply([p.grad for p in variables], variables)  # type: ignore[misc]
        return loss

    def _apply(self, grads: Tensors, variables: Tensors) -> None:
        """One step on gradients that are there; ``variables`` are known."""
        self._refresh_rate()
        for rate, dtype, g, v in self._buckets(grads, variables):
            self._update([x.to(dtype) for x in g], v, rate.cpu().to(dtype), dtype)
        self._count.add_(1)

    def _buckets(
        self, grads: Tensors, variables: Tensors
    ) -> list[tuple[torch.Tensor, torch.dtype, Tensors, Tensors]]:
        """The pairs by group and dtype, as (rate, dtype, gradients, variables); sparse ones made dense."""
        group_of = {id(p): i for i, group in enumerate(self.param_groups) for p in group["params"]}
        found: dict[tuple[int, torch.dtype], tuple[Tensors, Tensors]] = {}
        for grad, variable in zip(grads, variables, strict=True):
            g, v = found.setdefault((group_of[id(variable)], variable.dtype), ([], []))
            g.append(dense(grad))
            v.append(variable)
        return [(self.param_groups[i]["lr"], dtype, g, v) for (i, dtype), (g, v) in found.items()]

    def _update(self, grads: Tensors, variables: Tensors, rate: torch.Tensor, dtype: torch.dtype) -> None:
        """Change ``variables`` in place.

        ``grads`` have their dtype and device, ``rate`` is a CPU scalar of it.
        """
        raise NotImplementedError(f"{type(self).__name__} says how it updates in _update or update_step")
