"""The loss of a step on torch: by the formulas that the capture uses, by the user's name, or Keras' own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.targets import required
from tfport.parity.training.context import Context
from tfport.parity.training.context import leaves as flat


class Loss:
    """The recorded loss; `factor` multiplies it (a cause that is tried)."""

    def __init__(self, context: Context, told: Mapping[str, Any]) -> None:
        self.context, self.told, self.factor = context, told, 1.0
        self._made: dict[int, Any] = {}
        for part in [told, *(told.get("each") or [])]:
            if part and "function" in part and not callable(getattr(context.user, part["function"], None)):
                name = part["function"]
                raise UsageError(
                    f"the candidate's file has no function {name}, which is the reference's loss"
                )

    def __call__(self, result: Any, targets: Sequence[torch.Tensor]) -> torch.Tensor:
        """The scalar of one batch; raises CaptureError when it is not one."""
        loss = self.context.guard(lambda: self._of(result, targets))
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or loss.ndim > 0:
            shape = list(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
            raise CaptureError(f"the candidate's loss is not a scalar: {shape}")
        return loss * self.factor if self.factor != 1.0 else loss

    def _of(self, result: Any, targets: Sequence[torch.Tensor]) -> torch.Tensor:
        told = self.told
        if "function" in told:
            return self._users(told, result, targets)
        leaves = [tensor for _, tensor in self.context.outputs(result)]
        if told.get("builtin") == "sum":
            return torch.stack([x.sum() for x in leaves]).sum()
        count = len(told["each"]) if "each" in told else len(targets)
        if len(leaves) < count:
            raise CaptureError(f"the candidate returns {len(leaves)} tensors, the loss wants {count}")
        if "each" not in told:
            return self._one(told, leaves, targets)
        raw = [x for _, x in flat(result) if x.is_floating_point()]  # in the candidate's own axis order
        terms = []
        for i, (part, weight) in enumerate(zip(told["each"], told["weights"], strict=True)):
            if part is not None:
                given = targets[count + i] if told.get("weighted") else None
                given_to = raw if "function" in part else leaves
                terms.append(weight * self._one(part, given_to[i : i + 1], targets[i : i + 1], given))
        return torch.stack(terms).sum()

    def _one(
        self,
        told: Mapping[str, Any],
        leaves: Sequence[torch.Tensor],
        targets: Sequence[torch.Tensor],
        weight: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """One loss of the recorded ones, for one output; `mse` for all."""
        kind = told.get("builtin")
        if kind == "mse":
            pairs = list(zip(leaves, targets, strict=False))
            return torch.stack([(x - _like(y, x)).square().mean() for x, y in pairs]).sum()
        if kind:
            return cross_entropy(kind, leaves[0], targets[0], bool(told["from_logits"]))
        if "function" in told:
            return self._users(told, leaves[0], targets, weight)
        from tfport import compat

        losses = compat.keras.losses  # type: ignore[attr-defined]
        name = told.get("keras") or told["keras_function"]
        if not hasattr(losses, name):
            raise CaptureError(
                f"training: tfport has no loss {name}; name a function of both files with --loss"
            )
        if "keras" not in told:
            return getattr(losses, name)(targets[0], leaves[0]).mean()  # type: ignore[no-any-return]
        made = self._object(told, lambda: getattr(losses, name)(**told["config"]))
        return made(targets[0], leaves[0], weight).mean()  # type: ignore[no-any-return]

    def _object(self, told: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        if id(told) not in self._made:
            self._made[id(told)] = make()
        return self._made[id(told)]

    def _users(
        self,
        told: Mapping[str, Any],
        result: Any,
        targets: Sequence[torch.Tensor],
        weight: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The function of the same name in the candidate's file: (targets, outputs), as Keras orders them.

        Where the reference's gave a loss per example their mean was taken, and so it is here.
        """
        name = told["function"]
        function = getattr(self.context.user, name)
        if "args" in told:
            found = function
            function = self._object(told, lambda: found(*told["args"], **told["kwargs"]))
        need = required(function)
        if not targets and need is not None and len(need) == 1:
            loss = function(result)
        else:
            arranged, _ = self.context.arrange(function, (name,), targets)
            more = {} if weight is None else {"sample_weight": weight}
            loss = function(arranged[0] if len(arranged) == 1 else arranged, result, **more)
        meant = told.get("mean") and isinstance(loss, torch.Tensor) and loss.ndim > 0
        return loss.mean() if meant else loss  # type: ignore[no-any-return]


def cross_entropy(kind: str, x: torch.Tensor, y: torch.Tensor, from_logits: bool) -> torch.Tensor:
    """The capture's formulas: the mean over all but the classes, probabilities kept at least 1e-7."""
    if kind.startswith("sparse"):
        y = y.squeeze(-1) if y.ndim == x.ndim and y.shape[-1] == 1 else y
        hot = F.one_hot(y.long(), x.shape[-1]).to(x.dtype)
        if from_logits:
            return -(hot * torch.log_softmax(x, -1)).sum(-1).mean()
        return -torch.log((hot * x).sum(-1).clamp(min=1e-7)).mean()
    y = _like(y, x)
    if from_logits:
        return F.binary_cross_entropy_with_logits(x, y)
    x = x.clamp(1e-7, 1 - 1e-7)
    return -(y * torch.log(x) + (1 - y) * torch.log(1 - x)).mean()


def _like(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    if y.ndim + 1 == x.ndim and x.shape[-1] == 1:
        y = y.unsqueeze(-1)
    if y.shape != x.shape:
        raise CaptureError(f"the candidate's output has shape {list(x.shape)}, the target {list(y.shape)}")
    return y.to(x.dtype)
