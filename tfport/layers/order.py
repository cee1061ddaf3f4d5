"""The order of ``model.layers``: by depth from the outputs, as Keras sorts a functional model's layers.

The names inside a ``.weights.h5`` depend on it (`names.container_names`). keras.src.ops.function.map_graph is the
source of the rule; the functions here know nothing of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)
Operation = TypeVar("Operation", bound=Hashable)


def keras_order(
    outputs: Sequence[Node],
    parents: Callable[[Node], Sequence[Node]],
    operation: Callable[[Node], Operation],
    inputs: Sequence[Node] = (),
) -> list[Operation]:
    """The operations (layers) of a graph in Keras' order.

    A node is one call of an operation; ``outputs`` are the nodes that make the model's outputs, in order, and
    ``parents`` gives the nodes that a node reads, one for each argument. Inputs end the walk; those that no output
    needs come with depth 0.
    """
    finished, rank = _walk(outputs, parents, operation, frozenset(inputs))
    depth: dict[Node, int] = {}
    depths: dict[Operation, int] = {}
    ends = frozenset(inputs)
    for node in reversed(finished):
        own = operation(node)
        here = max(depth.get(node, 0), depths.get(own, 0))
        depth[node] = depths[own] = here
        for parent in () if node in ends else parents(node):
            depth[parent] = max(here + 1, depth.get(parent, 0))
    for node in inputs:
        if operation(node) not in depths:
            depths[operation(node)], rank[operation(node)] = 0, -1
    return sorted(depths, key=lambda op: (-depths[op], rank[op]))


def _walk(
    outputs: Sequence[Node],
    parents: Callable[[Node], Sequence[Node]],
    operation: Callable[[Node], Operation],
    ends: frozenset[Node],
) -> tuple[list[Node], dict[Operation, int]]:
    """Depth first from the outputs: nodes after what they read, and the operations' order of discovery."""
    finished: dict[Node, None] = {}
    rank: dict[Operation, int] = {}
    for output in outputs:
        stack: list[tuple[Node, bool]] = [(output, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                finished[node] = None
            elif node not in finished:
                rank.setdefault(operation(node), len(rank))
                stack.append((node, True))
                if node not in ends:
                    stack.extend((parent, False) for parent in reversed(parents(node)))
    return list(finished), rank
