"""The PyTorch side of a proof: the rule, called as ``tfport.compat`` publishes it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tfport.proving.calls import Call
from tfport.proving.trees import leaves, tree_map
from tfport.proving.values import Array, Result, output_weights
from tfport.rule import Rule

torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False


def devices() -> list[str]:
    """Where proofs run: the CPU, and CUDA if there is one."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def published(rule: Rule) -> Callable[..., Any]:
    """The function that compat publishes for this rule.

    Raises LookupError if a later definition of the same file hides it.
    """
    for value in vars(sys.modules[rule.function.__module__]).values():  # a class has no __globals__
        if getattr(value, "rule", None) is rule and callable(value):
            return getattr(value, "published", value)
    raise LookupError(
        f"{rule.function.__name__} is defined twice in {rule.function.__module__}: rename one of them"
    )


def tensor(array: np.ndarray, dtype: str, device: str, grad: bool) -> torch.Tensor:
    """A fresh torch tensor with these values."""
    made = torch.tensor(array, dtype=getattr(torch, dtype), device=device)
    return made.requires_grad_(True) if grad and made.is_floating_point() else made


def run(function: Callable[..., Any], call: Call, grad: bool, device: str = "cpu") -> Result:
    """Call ``function`` with the arguments of ``call`` as torch tensors."""
    tensors = {d.place: tensor(d.array, d.dtype, device, grad) for d in call.inputs}
    output = call.run(function, tensors, lambda value: value)
    return finish(output, [tensors[d.place] for d in call.inputs if d.floating], grad)


def finish(output: Any, inputs: list[torch.Tensor], grad: bool) -> Result:
    """The output as a Result, with gradients with respect to ``inputs`` if ``grad``."""
    value = tree_map(plain, tuple(output) if isinstance(output, torch.Size) else output)
    return Result(value, _gradients(output, inputs) if grad and inputs else None)


def _gradients(output: Any, inputs: list[torch.Tensor]) -> tuple[Array, ...]:
    total: Any = 0.0
    place = -1
    for _, leaf in leaves(output):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            place += 1
            if leaf.requires_grad:
                weights = torch.as_tensor(
                    output_weights(place, tuple(leaf.shape)), dtype=leaf.dtype, device=leaf.device
                )
                total = total + torch.sum(leaf * weights).to(torch.float64)
    found: Any = [None] * len(inputs)
    if isinstance(total, torch.Tensor):
        found = torch.autograd.grad(total, inputs, allow_unused=True)
    return tuple(plain(torch.zeros_like(x) if g is None else g) for x, g in zip(inputs, found, strict=True))


def plain(value: Any) -> Any:
    """A tensor as an Array, a dtype as its name, a Size as a tuple; anything else as it is."""
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        kept = value.detach().cpu().resolve_conj().resolve_neg()
        return Array((kept.float() if dtype == "bfloat16" else kept).numpy(), dtype)
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, np.ndarray | np.generic):
        return Array(np.asarray(value), str(np.asarray(value).dtype))
    return value
