"""Whether a module's tensors can take values, before one is written; and real tensors in place of those that have none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tfport.weights.lazy import is_lazy

__all__ = ["make_real", "unwritable"]


def unwritable(module: Any, targets: Mapping[str, Any], written: Collection[str], strict: bool) -> list[str]:
    """A line for each tensor that torch would not let be written, and for each without values that gets none.

    ``targets`` are ``fitting.Held`` by name, ``written`` the names that get values. A parameter on the meta device may
    stay there with ``strict=False``; a buffer may not, since nothing would say so.
    """
    import torch

    problems = []
    for name in written:
        tensor = targets[name].tensor
        if is_lazy(tensor):
            continue
        if tensor.is_inference() and not torch.is_inference_mode_enabled():
            problems.append(
                f"cannot be written: {name} was made under torch.inference_mode(): build the module outside it"
            )
        elif not tensor.is_meta and torch._debug_has_internal_overlap(tensor) == 1:
            problems.append(
                f"cannot be written: {name} is expanded, several of its values share one place: clone() it"
            )
    given = {id(targets[name].tensor) for name in written}
    for path, child in module.named_modules():
        for held, parameter in ((child._parameters, True), (child._buffers, False)):
            for name, tensor in held.items():
                left = tensor is not None and tensor.is_meta and id(tensor) not in given
                if left and name != "num_batches_tracked" and (strict or not parameter):
                    problems.append(
                        f"without values: {f'{path}.{name}' if path else name} is on the meta device and no tensor of the"
                        " checkpoint fills it: build the module on a real device"
                    )
    return problems


def make_real(module: Any, written: Collection[int]) -> None:
    """Empty tensors on the CPU in place of those on the meta device that get values (by ``id``); batch counters are 0.

    A tensor that is shared stays shared.
    """
    import torch

    made: dict[int, Any] = {}
    for child in module.modules():
        for name, tensor in child._parameters.items():
            if tensor is not None and tensor.is_meta and id(tensor) in written:
                if id(tensor) not in made:
                    empty = torch.empty_like(tensor, device="cpu")
                    made[id(tensor)] = torch.nn.Parameter(empty, requires_grad=tensor.requires_grad)
                child._parameters[name] = made[id(tensor)]
        for name, tensor in child._buffers.items():
            if tensor is None or not tensor.is_meta:
                continue
            if name == "num_batches_tracked":
                made.setdefault(id(tensor), torch.zeros_like(tensor, device="cpu"))
            elif id(tensor) in written:
                made.setdefault(id(tensor), torch.empty_like(tensor, device="cpu"))
            child._buffers[name] = made.get(id(tensor), tensor)
