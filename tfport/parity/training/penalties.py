"""Terms beside the loss, as Keras' `fit` adds a model's `losses`: the candidate's own, and the reference's in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from tfport.parity.reference.errors import CaptureError
from tfport.parity.training.context import Context


def own(context: Context) -> torch.Tensor | None:
    """The sum of what the candidate's `losses` holds (a list, or a method that gives one); None where it has none.

    The layers of `tfport.compat` in a module without `losses` count too. Raises CaptureError where one of them has a
    term that cannot be computed.
    """
    module = context.module
    if module is None:
        return None
    try:
        held: Any = getattr(type(module), "losses", None) or module.__dict__.get("losses")
        if held is None:
            from tfport.compat.keras.penalties import collected

            held = collected(module)
        else:
            held = context.guard(lambda: module.losses() if callable(module.losses) else module.losses)
    except NotImplementedError as error:
        raise CaptureError(f"training: {error}") from None
    terms = (
        [term for term in held if isinstance(term, torch.Tensor)] if isinstance(held, list | tuple) else []
    )
    return torch.stack([term.sum() for term in terms]).sum() if terms else None


def reference(context: Context, regularizers: Mapping[str, Any], times: float = 1.0) -> torch.Tensor | None:
    """The reference's L1 and L2 terms on the candidate's parameters."""
    live, terms, seen = context.tensors(), [], set()
    for name, numbers in context.targets().items():
        settings = {tuple(regularizers.get(str(i), (0.0, 0.0))) for i in numbers}
        if len(settings) != 1 or id(live[name]) in seen or not live[name].requires_grad:
            continue
        seen.add(id(live[name]))
        ((first, second),) = settings
        if first:
            terms.append(first * live[name].abs().sum())
        if second:
            terms.append(second * live[name].square().sum())
    return times * torch.stack(terms).sum() if terms else None
