"""Which variable of its layer a constant of a frozen graph is, by the operation that reads it.

A kernel is the second input of a convolution or matrix product, a bias that of BiasAdd. Batch normalisation in
inference is ``inv = gamma * rsqrt(variance + epsilon); x * inv + (beta - mean * inv)`` (the documentation of
tf.nn.batch_normalization), or one FusedBatchNorm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

__all__ = ["Node", "Roles"]

PASSES = frozenset({"Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "ReadVariableOp"})
ROLES = {
    ("MatMul", 1): "kernel", ("BatchMatMulV2", 1): "kernel", ("Conv2D", 1): "kernel", ("Conv3D", 1): "kernel",
    ("DepthwiseConv2dNative", 1): "depthwise_kernel", ("Conv2DBackpropInput", 1): "kernel", ("BiasAdd", 1): "bias",
    ("FusedBatchNormV3", 1): "gamma", ("FusedBatchNormV3", 2): "beta", ("FusedBatchNormV3", 3): "moving_mean",
    ("FusedBatchNormV3", 4): "moving_variance", ("GatherV2", 0): "embeddings", ("ResourceGather", 0): "embeddings",
}  # fmt: skip
"""(op, place among its inputs) -> the variable that a Keras layer has there."""


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """A NodeDef: name, operation, names of its inputs (``^name`` where only the order of execution depends on it),
    and its attributes ``value`` and ``dtype`` where it has them."""

    name: str
    op: str
    inputs: list[str]
    value: memoryview | None
    dtype: int | None = None


class Roles:
    """The readers of every node of a graph."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._readers: dict[str, list[tuple[Node, int]]] = {}
        for node in nodes:
            for place, name in enumerate(node.inputs):
                self._readers.setdefault(name, []).append((node, place))

    def of(self, name: str) -> str | None:
        """The variable that a constant is; None where its readers do not tell, or tell different things."""
        found = {self._role(node, place) for node, place in self._reading(name)}
        return found.pop() if len(found) == 1 else None

    def _reading(self, name: str) -> list[tuple[Node, int]]:
        """What reads a value, seen through operations that keep its numbers."""
        found, waiting, seen = [], [name], set()
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            for node, place in self._readers.get(current, []):
                if node.op in PASSES and place == 0:
                    waiting.append(node.name)
                else:
                    found.append((node, place))
        return found

    def _role(self, node: Node, place: int) -> str | None:
        if (node.op, place) in ROLES:
            return ROLES[node.op, place]
        next_ops = {(reader.op, at) for reader, at in self._reading(node.name)}
        others = {self._op(name) for at, name in enumerate(node.inputs) if at != place}
        if node.op in ("Add", "AddV2") and next_ops == {("Rsqrt", 0)}:
            return "moving_variance"
        if node.op == "Mul" and others == {"Rsqrt"}:
            return "gamma"
        if node.op == "Mul" and next_ops == {("Sub", 1)}:
            return "moving_mean"
        if node.op == "Sub" and place == 0 and others == {"Mul"}:
            return "beta"
        return None

    def _op(self, name: str) -> str:
        node = self._nodes.get(name)
        return "" if node is None else node.op
