"""Walks over the graph that autograd recorded: which variables a tensor depends on, which nodes are old.

A node's sequence number grows with time on the thread that made it; accumulators of leaves have the largest
one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

Node = Any  # torch.autograd.graph.Node


def now() -> int:
    """The sequence number that the next recorded operation of this thread will have, or one below it."""
    with torch.enable_grad():
        probe = torch.zeros((), requires_grad=True) + 0
    return probe.grad_fn._sequence_nr() + 1  # type: ignore[union-attr]


def node_of(tensor: torch.Tensor) -> Node | None:
    """The node a gradient of ``tensor`` flows into: its operation, or a leaf's accumulator.

    None if it needs no grad.
    """
    if not tensor.requires_grad:
        return None
    return (
        tensor.grad_fn if tensor.grad_fn is not None else torch.autograd.graph.get_gradient_edge(tensor).node
    )


def walk(starts: Iterable[Node], inside: Callable[[Node], bool] | None = None) -> tuple[set[Node], set[Node]]:
    """The nodes reached from ``starts``, and those where the walk stopped because ``inside(node)`` is false.

    Leaves' accumulators are always inside. A node where the walk stops is in the second set alone.
    """
    reached: set[Node] = set()
    stopped: set[Node] = set()
    pending = [n for n in starts if n is not None]
    while pending:
        node = pending.pop()
        if node in reached or node in stopped:
            continue
        if inside is not None and not hasattr(node, "variable") and not inside(node):
            stopped.add(node)
            continue
        reached.add(node)
        pending.extend(n for n, _ in node.next_functions if n is not None)
    return reached, stopped


def leaves(tensors: Sequence[torch.Tensor], stop: Sequence[torch.Tensor] = ()) -> list[torch.Tensor]:
    """The leaves with gradients that ``tensors`` depend on, in the order of their first use.

    ``stop``: tensors whose own history is not looked into.
    """
    walls = {node_of(t) for t in stop}
    seen: set[Node] = set()
    found: list[tuple[int, torch.Tensor]] = []
    pending = [node_of(t) for t in tensors]
    while pending:
        node = pending.pop()
        if node is None or node in seen or node in walls:
            continue
        seen.add(node)
        for child, _ in node.next_functions:
            if child is not None and hasattr(child, "variable") and child not in seen and child not in walls:
                seen.add(child)
                found.append((node._sequence_nr(), child.variable))
            else:
                pending.append(child)
        if hasattr(node, "variable"):
            found.append((0, node.variable))
    return [t for _, t in sorted(found, key=lambda pair: pair[0])]
