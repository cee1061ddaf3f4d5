"""TensorFlow's gradients on torch's autograd: unconnected is None, tensors from outside are constants."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tfport.compat.autograd_graph import Node, leaves, node_of, walk
from tfport.compat.structure import flatten, pack_sequence_as

ZERO = "zero"
NONE = "none"


def differentiable(value: Any) -> bool:
    """Whether a gradient can exist: a tensor of a real or complex floating dtype."""
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def differentiate(
    targets: Sequence[Any],
    sources: Sequence[Any],
    seeds: Sequence[torch.Tensor | None] | None = None,
    inside: Callable[[Node], bool] | None = None,
    watched: Callable[[torch.Tensor], bool] = lambda source: True,
    create_graph: bool = False,
    retain_graph: bool = True,
    batched: bool = False,
) -> list[torch.Tensor | None]:
    """The gradient of the sum of ``targets``, each times its seed (ones), with respect to each source.

    ``inside`` says which operations count; what others made is a constant. ``watched`` says which sources
    may have a gradient although no counted operation made them. None where a source is not connected or has
    an integer dtype. With ``batched`` seeds carry a leading axis and so do the gradients.
    """
    given = [None] * len(targets) if seeds is None else list(seeds)
    pairs = [(t, s) for t, s in zip(targets, given, strict=True) if differentiable(t) and t.requires_grad]
    reached, stopped = walk((node_of(t) for t, _ in pairs), inside)

    def connected(source: Any) -> bool:
        if not differentiable(source) or not source.requires_grad:
            return False
        node = node_of(source)
        made_here = node in reached and not source.is_leaf
        return made_here or ((node in reached or node in stopped) and watched(source))

    indices = [i for i, source in enumerate(sources) if connected(source)]
    results: list[torch.Tensor | None] = [None] * len(sources)
    if not indices:
        return results
    hooks = [node.register_prehook(_cut) for node in stopped]
    try:
        found = torch.autograd.grad(
            [t for t, _ in pairs],
            [sources[i] for i in indices],
            [torch.ones_like(t) if s is None else s.to(t.dtype) for t, s in pairs],
            create_graph=create_graph,
            retain_graph=retain_graph or bool(stopped),
            allow_unused=True,
            is_grads_batched=batched,
        )
    except RuntimeError as error:
        if stopped and "second time" in str(error):
            raise RuntimeError(
                "a tensor made before this tape, whose own gradients were computed already, is used inside "
                "it; TensorFlow takes it as a constant: detach() it before the tape"
            ) from error
        raise
    finally:
        for hook in hooks:
            hook.remove()
    for i, grad in zip(indices, found, strict=True):
        results[i] = grad
    return results


def _cut(grads: tuple[torch.Tensor | None, ...]) -> tuple[None, ...]:
    """Let no gradient through a node."""
    return (None,) * len(grads)


def fill_unconnected(grads: list[Any], sources: Sequence[Any], how: str,
                     leading: Sequence[int] = ()) -> list[Any]:  # fmt: skip
    """``how`` "zero": zeros in the place of None (for sources that have a shape)."""
    if how not in (ZERO, NONE):
        raise ValueError(f"unconnected_gradients is 'none' or 'zero', not {how!r}")
    if how == NONE:
        return grads
    return [
        s.new_zeros((*leading, *s.shape)) if g is None and isinstance(s, torch.Tensor) else g
        for g, s in zip(grads, sources, strict=True)
    ]


class _Attached(torch.autograd.Function):
    """Values whose gradient is a function of the user's; the identity forward."""

    @staticmethod
    def forward(ctx: Any, backward: Callable[..., Sequence[Any]], count: int, *values: Any) -> Any:
        ctx.user, ctx.count = backward, count
        made = tuple(v.detach().clone() for v in values[:count])
        ctx.mark_non_differentiable(*(m for m in made if not differentiable(m)))
        return made

    @staticmethod
    def backward(ctx: Any, *seeds: Any) -> Any:
        return (None, None, *[None] * ctx.count, *ctx.user(*seeds))


def with_gradient(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call ``function``, which returns (value, gradient function), and give the value that gradient."""
    result, user = function(*args, **kwargs)
    values = flatten(result)
    inputs = [a for a in flatten(list(args)) if isinstance(a, torch.Tensor)]
    read = [v for v in leaves([v for v in values if isinstance(v, torch.Tensor)], inputs)
            if not any(v is a for a in inputs)]  # fmt: skip
    names = _parameters(user)
    if read and "variables" not in names and not any(n.endswith("*") for n in names):
        raise TypeError(
            "the function reads variables: its gradient function needs the keyword argument `variables`"
        )

    def backward(*seeds: torch.Tensor) -> list[Any]:
        found = user(*seeds, variables=read) if read else user(*seeds)
        grads, of_variables = found if read else (found, [])
        flat = flatten(grads) if isinstance(grads, list | tuple) else [grads]
        if len(flat) != len(inputs) or len(of_variables) != len(read):
            raise ValueError(f"the gradient function gave {len(flat)} gradients for {len(inputs)} tensors")
        return [*flat, *of_variables]

    attached = _Attached.apply(backward, len(values), *values, *inputs, *read)
    return pack_sequence_as(result, list(attached))


def _parameters(function: Callable[..., Any]) -> set[str]:
    return {n + "*" * (p.kind is p.VAR_KEYWORD) for n, p in inspect.signature(function).parameters.items()}
