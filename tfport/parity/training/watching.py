"""The gradients of a step as they arise, before any clipping, and the reference's in their place on request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook


class Watch:
    """While open, notes the gradient of each parameter; `feed` replaces it by the reference's.

    A gradient is seen where autograd adds it to `.grad`, where a `compat.GradientTape` or `torch.autograd.grad`
    returns it, or, for optimizers of TensorFlow 1 that differentiate themselves, where it reaches the update. What is
    added to `.grad` later counts too, until an optimizer steps: what comes after that (a generator's loss, which
    reaches its discriminator) is of no account. Gradients of the parameters in `skip` are let through unseen.
    `factor` multiplies what is seen (a cause that is tried), and `final` is what the update gets in any case.
    """

    def __init__(
        self, parameters: Mapping[str, torch.Tensor], optimizer: Any, feed: Mapping[str, np.ndarray] | None,
        factor: float = 1.0, final: Mapping[str, np.ndarray] | None = None, skip: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self.skip, self.stepped, self._inside = skip, set[str](), False
        self._held: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self.final = final
        self.parameters, self.optimizer, self.feed, self.factor = parameters, optimizer, feed, factor
        self.names = {id(p): name for name, p in parameters.items()}
        self.seen: dict[str, np.ndarray | None] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> Watch:
        for name, parameter in self.parameters.items():
            self._handles.append(parameter.register_post_accumulate_grad_hook(self._hook(name)))
        self._tapes()
        self._handles.append(register_optimizer_step_pre_hook(self._stepping))
        apply = getattr(self.optimizer, "_apply", None)
        if callable(apply) and hasattr(self.optimizer, "_rate_now"):

            def applied(grads: list[torch.Tensor], variables: list[torch.Tensor]) -> Any:
                noted = [self._note(v, g, late=True) for g, v in zip(grads, variables, strict=True)]
                return apply([self._last(v, g) for g, v in zip(noted, variables, strict=True)], variables)

            self.optimizer._apply = applied
        elif self.final is not None:
            self._handles.append(self.optimizer.register_step_pre_hook(self._before_step))
        return self

    def _before_step(self, *unused: Any) -> None:
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                parameter.grad = self._last(parameter, parameter.grad)

    def _last(self, parameter: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        name = self.names.get(id(parameter))
        if self.final is None or name is None or name not in self.final:
            return gradient
        return torch.from_numpy(np.asarray(self.final[name], order="C")).to(gradient.device, gradient.dtype)

    def __exit__(self, *error: Any) -> None:
        for handle in self._handles:
            handle.remove()
        self._tape.gradient = self._before
        torch.autograd.grad = self._grad
        if "_apply" in vars(self.optimizer):
            del self.optimizer._apply

    def _stepping(self, optimizer: Any, *unused: Any) -> None:
        for group in optimizer.param_groups:
            self.stepped |= {
                self.names[id(p)] for p in group["params"] if id(p) in self.names and p.grad is not None
            }

    def _hook(self, name: str) -> Any:
        def seen(parameter: torch.Tensor) -> None:
            gradient = parameter.grad
            assert gradient is not None
            if name in self.skip or name in self.stepped:
                return
            with torch.no_grad():
                held = self._held.get(name)
                before = held[1] if held is not None and held[0] is gradient else None
                found = gradient.clone() if before is None else gradient - before  # more of the same gradient
                if self.factor != 1.0:
                    found = found * self.factor
                noted, earlier = _numpy(found), self.seen.get(name)
                self.seen[name] = noted if before is None or earlier is None else earlier + noted
                fed = self._fed(name)
                if fed is not None:
                    gradient.copy_(fed.to(gradient.dtype))
                elif self.factor != 1.0:
                    gradient.copy_(found if before is None else before + found)
                self._held[name] = gradient, gradient.clone()

        return seen

    def _tapes(self) -> None:
        from tfport import compat
        from tfport.compat.structure import flatten, pack_sequence_as

        self._tape: Any = compat.GradientTape  # type: ignore[attr-defined]
        self._before = before = self._tape.gradient
        watch = self

        def gradient(tape: Any, target: Any, sources: Any, *args: Any, **kwargs: Any) -> Any:
            inside, watch._inside = watch._inside, True
            try:
                result = before(tape, target, sources, *args, **kwargs)
            finally:
                watch._inside = inside
            flat, given = flatten(sources), flatten(result)
            if len(flat) != len(given):
                return result
            made = [watch._note(s, g) for s, g in zip(flat, given, strict=True)]
            return made[0] if isinstance(sources, torch.Tensor) else pack_sequence_as(result, made)

        self._tape.gradient = gradient
        self._grad = grad = torch.autograd.grad

        def taken(outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            result = grad(outputs, inputs, *args, **kwargs)
            if watch._inside:  # a tape notes what it returns
                return result
            sources = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
            return tuple(watch._note(s, g) for s, g in zip(sources, result, strict=True))

        torch.autograd.grad = taken

    def _note(self, parameter: torch.Tensor, gradient: Any, late: bool = False) -> Any:
        name = self.names.get(id(parameter))
        if name is None or name in self.skip or (late and name in self.seen):
            return gradient
        if gradient is None:
            self.seen[name] = None
            return None
        if self.factor != 1.0:
            gradient = gradient * self.factor
        self.seen[name] = _numpy(gradient)
        fed = self._fed(name)
        return gradient if fed is None else fed.to(gradient.device, gradient.dtype)

    def _fed(self, name: str) -> torch.Tensor | None:
        if self.feed is None or name not in self.feed:
            return None
        return torch.from_numpy(np.asarray(self.feed[name], order="C"))


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.to_dense() if tensor.is_sparse else tensor).cpu().numpy().copy()
