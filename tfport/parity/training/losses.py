"""The loss of a step on torch: by the formulas that the capture uses, by the user's name, or Keras' own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.targets import required
from tfport.parity.training.context import Context


class Loss:
    """The recorded loss; `factor` multiplies it (a cause that is tried)."""

    def __init__(self, context: Context, told: Mapping[str, Any]) -> None:
        self.context, self.told, self.factor = context, told, 1.0
        if "function" in told and not callable(getattr(context.user, told["function"], None)):
            raise UsageError(
                f"the candidate's file has no function {told['function']}, which is the reference's loss"
            )

    def __call__(self, result: Any, targets: Sequence[torch.Tensor]) -> torch.Tensor:
        """The scalar of one batch; raises CaptureError when it is not one."""
        loss = self.context.guard(lambda: self._of(result, targets))
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1 or loss.ndim > 0:
            shape = list(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
            raise CaptureError(f"the candidate's loss is not a scalar: {shape}")
        return loss * self.factor if self.factor != 1.0 else loss

    def _of(self, result: Any, targets: Sequence[torch.Tensor]) -> torch.Tensor:
        kind = self.told.get("builtin")
        if "function" in self.told:
            return self._users(result, targets)
        leaves = [tensor for _, tensor in self.context.outputs(result)]
        if kind == "sum":
            return torch.stack([x.sum() for x in leaves]).sum()
        if len(leaves) < len(targets):
            raise CaptureError(f"the candidate returns {len(leaves)} tensors, the loss wants {len(targets)}")
        if kind == "mse":
            pairs = list(zip(leaves, targets, strict=False))
            return torch.stack([(x - _like(y, x)).square().mean() for x, y in pairs]).sum()
        if kind:
            return cross_entropy(kind, leaves[0], targets[0], bool(self.told["from_logits"]))
        from tfport import compat

        losses = compat.keras.losses  # type: ignore[attr-defined]
        if "keras" in self.told:
            return getattr(losses, self.told["keras"])(**self.told["config"])(targets[0], leaves[0])  # type: ignore[no-any-return]
        return getattr(losses, self.told["keras_function"])(targets[0], leaves[0]).mean()  # type: ignore[no-any-return]

    def _users(self, result: Any, targets: Sequence[torch.Tensor]) -> torch.Tensor:
        """The function of the same name in the candidate's file: (targets, outputs), as Keras orders them."""
        name = self.told["function"]
        function = getattr(self.context.user, name)
        need = required(function)
        if not targets and need is not None and len(need) == 1:
            return function(result)  # type: ignore[no-any-return]
        arranged, _ = self.context.arrange(function, (name,), targets)
        return function(arranged[0] if len(arranged) == 1 else arranged, result)  # type: ignore[no-any-return]


def cross_entropy(kind: str, x: torch.Tensor, y: torch.Tensor, from_logits: bool) -> torch.Tensor:
    """The capture's formulas: the mean over all but the classes, probabilities kept at least 1e-7."""
    if kind.startswith("sparse"):
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
    if y.shape != x.shape:
        raise CaptureError(f"the candidate's output has shape {list(x.shape)}, the target {list(y.shape)}")
    return y.to(x.dtype)
