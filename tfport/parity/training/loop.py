"""K steps of the candidate on the recorded batches: running free, or each step from the reference's state."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.targets import binds, required
from tfport.parity.training import optimizers, penalties
from tfport.parity.training.context import Arrays, Context
from tfport.parity.training.gradients import shared
from tfport.parity.training.losses import Loss
from tfport.parity.training.masks import fed
from tfport.parity.training.slots import candidate_roles, reference_roles, state_of
from tfport.parity.training.watching import Watch

KEPT = 256 * 2**20
"""Bytes of the reference's tensors that are kept under their torch names."""


@dataclass
class Observed:
    """What one step of the candidate did. Tensors are by torch name, in the candidate's axis order."""

    step: int
    loss: float
    gradients: dict[str, np.ndarray | None]
    """Before clipping; empty where none was seen."""
    rate: float | None
    weights: Arrays
    slots: dict[str, Arrays]
    """Optimizer state by role and parameter."""
    count: int | None
    extra: list[str] = field(default_factory=list)
    """Parameters that no weight of the reference belongs to, and that the step has changed."""
    notes: list[str] = field(default_factory=list)


@dataclass
class Trial:
    """A change of the candidate that is tried: its optimizer, its module while it runs, the size of its loss."""

    optimizer: Callable[[Any], Any] | None = None
    around: Callable[[Context], contextlib.AbstractContextManager[Any]] | None = None
    factor: float = 1.0
    """Of the loss, and so of the gradients."""
    gradient_factor: float = 1.0
    """Of the gradients alone."""
    rates: list[float | None] | None = None
    """The learning rate of each step."""
    final: Callable[[Arrays], Arrays] | None = None
    """What the optimizer gets for the reference's gradients, whatever the candidate does with them."""
    penalty: Callable[[Context, torch.Tensor | None], torch.Tensor | None] | None = None
    """What is added to the loss in the place of the candidate's own terms (`losses`)."""
    fresh: bool = False
    """Whether gradients are set to zero before each step."""


class Loop:
    """The candidate's training. The module must hold the reference's weights when the loop is made."""

    def __init__(self, context: Context) -> None:
        self.context, self.told = context, context.entry["training"]
        self.loss = None if self.told["train_step"] else Loss(context, self.told["loss"])
        self.start = {name: t.detach().clone() for name, t in context.tensors().items()}
        self.modes = {} if context.module is None else {m: m.training for m in context.module.modules()}
        self.user: Any = None
        if self.told["train_step"]:
            self.user = getattr(context.user, self.told["train_step"], None)
            if not callable(self.user):
                name = self.told["train_step"]
                raise UsageError(f"the candidate's file has no function {name}, which --train-step names")
        self.optimizer: Any = None
        self.rounds = False  # whether settings of the candidate's optimizer were rounded to float32
        self._moved: dict[tuple[int, str], Arrays] = {}
        self._bytes = 0

    # What the reference recorded, under the candidate's names.

    def reference(self, step: int, what: str, dense: bool = False) -> Arrays:
        """Recorded `gradients` or `weights` of a step by torch name; what the step itself did to them.

        With `dense`, as they would be had the gradients of embeddings not come in slices.
        """
        told = self.told[what][step]
        pairs = dict(told.items() if isinstance(told, Mapping) else enumerate(told))
        if dense:
            pairs |= {int(i): k for i, k in self.told["dense"][what][step].items()}
        return self._carried((step, what + "!" * dense), {int(i): k for i, k in pairs.items()})

    def reference_slots(
        self, step: int, dense: bool = False
    ) -> dict[str, tuple[Arrays, Callable[[float], float]]]:
        """Recorded optimizer state of a step: role -> (arrays by torch name, factor)."""
        roles = reference_roles(self.told["optimizer"])
        made = {}
        for slot, keys in self.told["slots"][step].items():
            if slot in roles:
                role, factor = roles[slot]
                keys = {**keys, **(self.told["dense"]["slots"][step].get(slot, {}) if dense else {})}
                key = (step, f"slots/{slot}" + "!" * dense)
                made[role] = (self._carried(key, {int(i): k for i, k in keys.items()}), factor)
        return made

    def _carried(self, key: tuple[int, str], keys: Mapping[int, str | None]) -> Arrays:
        """Recorded tensors under torch names; kept for the next time, up to `KEPT` bytes."""
        if key not in self._moved:
            made = self.context.carry({i: self.context.array(k) for i, k in keys.items()})
            size = sum(array.nbytes for array in made.values())
            if self._bytes + size > KEPT:
                self._moved.clear()
                self._bytes = 0
            self._moved[key] = made
            self._bytes += size
        return self._moved[key]

    def repeated(self) -> frozenset[str]:
        """The parameters whose gradient the reference takes more than once in a step: only their weights compare."""
        numbers = set(self.told.get("repeated") or ())
        return frozenset(name for name, own in self.context.targets().items() if set(own) & numbers)

    def left_over(self) -> list[str]:
        """The parameters that no weight of the reference belongs to."""
        targets = self.context.targets()
        return [name for name in self.context.parameters_of() if not targets.get(name)]

    # The loop.

    def follow(
        self,
        judge: Callable[[Observed], Any],
        *,
        equal: bool,
        trial: Trial | None = None,
        steps: int | None = None,
    ) -> None:
        """Makes the steps and hands each to `judge`, which ends the loop by returning False.

        With `equal` every step starts from the reference's weights and optimizer state and updates by the
        reference's gradients; the gradients that the candidate computed are observed all the same.
        """
        trial = trial or Trial()
        context = self.context
        self._restore()
        around = trial.around(context) if trial.around else contextlib.nullcontext()
        try:
            with around:
                made, scheduler = optimizers.make(context, self.told)
                if trial.optimizer is not None:
                    given, made = made, trial.optimizer(made)
                    scheduler = (
                        scheduler if made is given else None
                    )  # it drives the optimizer that it was made for
                self.optimizer = made
                for step in range(steps or self.told["steps"]):
                    if equal and step:
                        self._take_over(step, made)
                    if context.dtype == torch.float64:
                        then = self.told["learning_rates"][step]
                        self.rounds |= optimizers.as_tensorflow_rounds(made, then)
                    if trial.rates:
                        _set_rate(made, trial.rates[step])
                    observed = self._step(step, made, equal, trial)
                    if scheduler is not None:
                        scheduler.step()
                    if judge(observed) is False:
                        return
        finally:
            self._restore()

    def _restore(self) -> None:
        live = self.context.tensors()
        with torch.no_grad():
            for name, tensor in self.start.items():
                live[name].copy_(tensor)
                live[name].grad = None
        for module, mode in self.modes.items():
            module.training = mode

    def _take_over(self, step: int, optimizer: Any) -> None:
        """Gives the candidate the reference's state after the step before."""
        self.context.set(self.reference(step - 1, "weights"))
        rate_then = self.told["learning_rates"][step - 1]
        own = candidate_roles(optimizer)
        live = self.context.tensors()
        with torch.no_grad():
            for name in self.left_over():
                live[name].copy_(self.start[name])
        for role, (arrays, factor) in self.reference_slots(step - 1).items():
            if role not in own or rate_then is None or not factor(rate_then):
                continue
            key, own_factor = own[role]
            ratio = own_factor(rate_then) / factor(rate_then)
            for name, array in arrays.items():
                held = state_of(optimizer, live[name]).get(key)
                if held is not None:
                    held.copy_(torch.from_numpy(np.asarray(array, order="C")).to(held.device) * ratio)

    def _step(self, step: int, optimizer: Any, equal: bool, trial: Trial) -> Observed:
        context, notes = self.context, []  # type: ignore[var-annotated]
        x, y = (self._batch(self.told[what][step]) for what in ("batches", "targets"))
        _, context.orders = context.arrange(self._called(), context.where, x)
        random.seed(context.seed + step)
        np.random.seed(context.seed + step)
        torch.manual_seed(context.seed + step)
        rate = optimizers.rate_of(optimizer)
        parameters = context.parameters_of()
        feed = self.reference(step, "gradients") if equal else None
        if context.module is not None:
            context.module.train()
        if trial.fresh:
            for parameter in parameters.values():
                parameter.grad = None
        final = trial.final(feed) if trial.final and feed is not None else None
        factor = trial.factor * trial.gradient_factor
        watching = Watch(parameters, optimizer, feed, factor, final, self.repeated())
        with watching as watch, fed(context, self.told["masks"][step], notes):
            if self.user:
                loss = self._user_step(optimizer, [*x, *y])
            else:
                loss = self._plain_step(optimizer, x, y, trial)
        live = self.context.tensors()
        extra = [name for name in self.left_over() if not torch.equal(live[name], self.start[name])]
        return Observed(
            step, loss * trial.factor, self._complete(watch.seen, parameters), rate, self.snapshot(),
            self._slots(optimizer), optimizers.count_of(optimizer), extra, notes,
        )  # fmt: skip

    @staticmethod
    def _complete(
        seen: dict[str, np.ndarray | None], parameters: Mapping[str, torch.Tensor]
    ) -> dict[str, np.ndarray | None]:
        return {name: seen.get(name) for name in parameters} if seen else {}

    def _called(self) -> Any:
        return self.context.module.forward if self.context.module is not None else self.context.call

    def _batch(self, keys: list[str]) -> list[torch.Tensor]:
        arrays = [self.context.stored[key].array for key in keys]
        return [torch.from_numpy(a.copy()).to(self.context.device) for a in arrays]

    def _plain_step(
        self, optimizer: Any, x: list[torch.Tensor], y: list[torch.Tensor], trial: Trial
    ) -> float:
        assert self.loss is not None
        optimizer.zero_grad()
        loss = self.loss(self.context.forward(x), y)
        penalty = penalties.own(self.context)
        if trial.penalty is not None:
            penalty = trial.penalty(self.context, penalty)
        if penalty is not None:
            loss = loss + penalty.to(loss.dtype)
        if not loss.requires_grad:
            raise CaptureError("training: the candidate's loss depends on none of its weights")
        self.context.guard(loss.backward)
        self.context.guard(optimizer.step)
        return float(loss.detach())

    def _user_step(self, optimizer: Any, batch: list[torch.Tensor]) -> float:
        name, module = self.told["train_step"], self.context.module or self.context.call
        for head in ([module, optimizer], [module]):
            if binds(self.user, [*head, *batch], {}):
                break
        else:
            need = ", ".join(required(self.user) or [])
            raise UsageError(
                f"the candidate's {name}({need}) does not take (model, optimizer, *batch of {len(batch)})"
            )
        arranged, _ = self.context.arrange(self.user, (name,), batch, skip=len(head))
        result = self.context.guard(lambda: self.user(*head, *arranged))
        if isinstance(result, Mapping):
            result = result.get("loss")
        if isinstance(result, (tuple, list)) and result:
            result = result[0]
        if result is None:
            raise CaptureError(f"the candidate's {name} returns no loss")
        size = result.numel() if isinstance(result, torch.Tensor) else np.size(result)
        if size != 1:
            raise CaptureError(f"the candidate's {name} returns a loss of {size} elements, not a scalar")
        return float(result.detach() if isinstance(result, torch.Tensor) else result)

    def snapshot(self) -> Arrays:
        """Copies of the tensors that a variable of the reference went into, shared ones under their first name."""
        targets, live = self.context.targets(), self.context.tensors()
        return {
            name: live[name].detach().cpu().numpy().copy()
            for name in targets
            if targets[name] and name in live
        }

    def _slots(self, optimizer: Any) -> dict[str, Arrays]:
        own = candidate_roles(optimizer)
        found: dict[str, Arrays] = {}
        for name, parameter in self.context.parameters_of().items():
            state = state_of(optimizer, parameter)
            for role, (key, _) in own.items():
                if key in state:
                    found.setdefault(role, {})[name] = state[key].detach().cpu().numpy().copy()
        return found

    def first_names(self) -> dict[str, str]:
        """Each tensor's first name, under which its gradient is."""
        return shared(self.context.tensors())


def _set_rate(optimizer: Any, rate: float | None) -> None:
    if rate is None:
        return
    if hasattr(optimizer, "_rate_now"):
        optimizer._rate = None
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
