"""The layers of a torch module that is one chain, in the order in which they run: its forward followed with torch.fx.

No value is computed. A forward that fx cannot follow, a layer that runs twice, or one that does not depend on the layer
before it: no chain, and nothing is told.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import re
from collections.abc import Collection, Sequence
from typing import Any

__all__ = ["Step", "chain_of"]

_SAME = re.compile(
    r"relu[6_]?|leaky_?relu|[csrp]?r?elu|gelu|silu|mish|softplus|softsign|tanh|sigmoid|hard(tanh|swish|sigmoid)_?|clamp"
    r"|contiguous|float|to|detach|clone|identity|(feature_?)?(alpha_?)?dropout[123]?d?"
    r"|(adaptive_?)?(max|avg)_?pool[123]d|batchnorm[123]d|(zero|constant)pad[123]d"
)
"""Functions, methods and classes (in small letters) that leave the order of the axes as it is."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One layer with parameters, and how what the layer before gives reaches it: "" as it is, "c h w" or "h w c" for an
    image that is flattened so, "view" for rows that become an image of ``shape`` (c, h, w), "?" where that is not told.
    """

    path: str
    order: str
    shape: tuple[int, ...] = ()


def chain_of(module: Any, paths: Collection[str]) -> list[Step]:
    """The layers at these paths in the order in which they run; empty where they are no chain."""
    import torch

    try:
        graph = torch.fx.Tracer().trace(module)
    except Exception:  # whatever a forward does when it is given no numbers
        return []
    nodes = [n for n in graph.nodes if n.op == "call_module" and n.target in paths]
    direct = [n for n in graph.nodes if n.op == "get_attr" and any(_owns(n.target, p) for p in paths)]
    if direct or len(nodes) != len(paths) or len({n.target for n in nodes}) != len(nodes):
        return []
    above: dict[Any, frozenset[Any]] = {}
    for node in graph.nodes:
        above[node] = frozenset(node.all_input_nodes).union(*(above[n] for n in node.all_input_nodes))
    if any(one not in above[other] for one, other in itertools.pairwise(nodes)):
        return []
    modules, rank, before = dict(module.named_modules()), 0, None
    steps = []
    for node in nodes:
        steps.append(Step(node.target, *_order(node, before, modules, rank)))
        before, rank = node, len(getattr(modules[node.target], "kernel_size", "")) + 2 or rank
    return steps


def _owns(attribute: str, path: str) -> bool:
    """Whether a tensor that forward takes by itself belongs to the layer of that path, or one in it."""
    return attribute.startswith(f"{path}.") if path else True


def _order(node: Any, before: Any, modules: dict[str, Any], rank: int) -> tuple[str, tuple[int, ...]]:
    """How the axes of what ``before`` gives, of so many axes, lie when ``node`` takes it, and the shape they are given."""
    found: list[Any] = []
    at = node
    while True:
        inputs = at.all_input_nodes
        if not inputs or any(not _is_size(n) for n in inputs[1:]) or len(found) > 1000:
            return "?", ()
        at = inputs[0]
        if at is before:
            break
        found.append(at)
    order: str = ""
    shape: tuple[int, ...] = ()
    for at in reversed(found):
        name = _name(at, modules)
        if _SAME.fullmatch(name):
            continue
        if _last(at, name, rank) and not order:
            order = "last"
        elif order in ("", "last") and (_flat(at, modules) if name == "flatten" else _rows(at, name)):
            order = "h w c" if order else "c h w"
        elif not order and (shape := _image(at, name, modules)):
            order = "view"
        else:
            return "?", ()
    return ("?" if order == "last" else order), shape


def _last(node: Any, name: str, rank: int) -> bool:
    """Whether the channels of an image of so many axes become its last axis."""
    axes = _numbers(node) if node.op != "call_module" else ()
    if name == "transpose":
        return rank == 3 and sorted(axes, key=str) in ([1, 2], [-1, 1], [-1, -2], [-2, 2])
    return (name == "permute" and axes == (0, *range(2, rank), 1)) or (name == "movedim" and axes == (1, -1))


def _image(node: Any, name: str, modules: dict[str, Any]) -> tuple[int, ...]:
    """The shape (c, h, w) that a view gives to each row; empty where a node is no such view."""
    if name == "unflatten":
        layer = modules[node.target] if node.op == "call_module" else None
        dim, shape = (layer.dim, layer.unflattened_size) if layer else (*node.args[1:], None, ())[:2]
        sizes = tuple(shape) if dim == 1 and isinstance(shape, (tuple, list)) else ()
    elif name in ("view", "reshape") and not node.kwargs and len(_numbers(node)) > 2:
        first, *rest = _numbers(node)
        sizes = tuple(rest) if _is_size(first) or first == -1 else ()
    else:
        sizes = ()
    return sizes if len(sizes) > 1 and all(type(n) is int and n > 0 for n in sizes) else ()


def _name(node: Any, modules: dict[str, Any]) -> str:
    if node.op == "call_module":
        return type(modules[node.target]).__name__.lower()
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "?")


def _numbers(node: Any) -> tuple[Any, ...]:
    """The axes that a permute is called with: several arguments or one list."""
    given = node.args[1:]
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else tuple(given)


def _flat(node: Any, modules: dict[str, Any]) -> bool:
    """Whether all axes but the first become one."""
    if node.op == "call_module":
        layer = modules[node.target]
        return (layer.start_dim, layer.end_dim) == (1, -1)
    given = dict(zip(("start_dim", "end_dim"), node.args[1:], strict=False)) | dict(node.kwargs)
    return (given.get("start_dim", 0), given.get("end_dim", -1)) == (1, -1)


def _rows(node: Any, name: str) -> bool:
    """Whether a node is a view that has two axes, the first those of the batch: ``view(x.size(0), -1)``, ``view(-1, 400)``."""
    shape: Sequence[Any] = _numbers(node)
    if name not in ("view", "reshape") or len(shape) != 2 or node.kwargs:
        return False
    first, second = shape
    return (_is_size(first) and second == -1) or (first == -1 and type(second) is int and second > 1)


def _is_size(item: Any) -> bool:
    """Whether a value of the graph is the number of rows: ``x.size(0)``, ``x.shape[0]``, ``len(x)``."""
    import torch

    if not isinstance(item, torch.fx.Node):
        return False
    if item.op == "call_method" and item.target == "size":
        return tuple(item.args[1:]) == (0,)
    if item.op == "call_function" and item.target is operator.getitem and item.args[1] == 0:
        of = item.args[0]
        return isinstance(of, torch.fx.Node) and (
            (of.op == "call_function" and of.target is getattr and of.args[1] == "shape")
            or (of.op == "call_method" and of.target == "size" and len(of.args) == 1)
        )
    return False
