"""Symbolic tensors: what ``Input`` returns and layers pass on while a model is being described.

A symbol knows its shape (TensorFlow's order, None for the batch), its dtype and the node that made it. Layers,
rules of ``compat``, torch functions and operators called on one record a node; nothing is computed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from tfport import rule
from tfport.layers.layouts import ELEMENTWISE_OPS
from tfport.layers.names import Namer

NAMES = Namer()


class Shape(tuple[Any, ...]):
    """A tuple of sizes with the few methods that TensorFlow's TensorShape has."""

    __slots__ = ()

    @property
    def rank(self) -> int:
        return len(self)

    ndims = rank

    def as_list(self) -> list[Any]:
        return list(self)


class Node:
    """One recorded call: a layer, a function, or an input; with its arguments, which may hold symbols."""

    def __init__(
        self, kind: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: str
    ) -> None:
        self.kind, self.target, self.args, self.kwargs, self.name = kind, target, args, kwargs, name
        self.outputs: Any = None
        self.masks: list[Symbol] = []  # of the inputs, where an own layer may look at them

    @property
    def inputs(self) -> list[Symbol]:
        return [*symbols_in((self.args, self.kwargs)), *self.masks]


class Symbol:
    """A value of the model that is being described."""

    def __init__(
        self, shape: Sequence[int | None], dtype: str = "float32", node: Node | None = None, name: str = ""
    ) -> None:
        self.shape, self.dtype, self.node, self.name = Shape(shape), dtype, node, name

    def __repr__(self) -> str:
        return f"<Symbol {self.name!r} shape={tuple(self.shape)} dtype={self.dtype}>"

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def get_shape(self) -> Shape:
        return self.shape

    def dim(self) -> int:
        return len(self.shape)

    def set_shape(self, shape: Sequence[int | None]) -> None:
        """Fill in sizes that are unknown."""
        self.shape = Shape(b if a is None else a for a, b in zip(self.shape, shape))

    def is_floating_point(self) -> bool:
        return "float" in str(self.dtype)

    def __bool__(self) -> bool:
        raise TypeError(f"the value of {self!r} is not known while the model is being described")

    def __iter__(self) -> Iterator[Any]:
        size = self.shape[0] if self.shape else None
        if size is None:
            raise TypeError(f"{self!r} cannot be iterated over: its first axis has no known size")
        return (self[i] for i in range(size))

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return record_function(function, args, kwargs or {})

    def __getitem__(self, index: Any) -> Symbol:
        return record_function(operator.getitem, (self, index), {})  # type: ignore[no-any-return]


def _binary(function: Callable[..., Any], swapped: bool = False) -> Any:
    def method(self: Symbol, other: Any) -> Any:
        return record_function(function, (other, self) if swapped else (self, other), {})

    return method


def _unary(function: Callable[..., Any]) -> Any:
    def method(self: Symbol) -> Any:
        return record_function(function, (self,), {})

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    setattr(Symbol, f"__{_name}__", _binary(getattr(operator, _name)))
    setattr(Symbol, f"__r{_name}__", _binary(getattr(operator, _name), swapped=True))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Symbol, f"__{_name}__", _binary(getattr(operator, _name)))
for _name in ("neg", "abs"):
    setattr(Symbol, f"__{_name}__", _unary(getattr(operator, _name)))

_ELEMENTWISE_FUNCTIONS = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.abs, torch.add, torch.mul,
    torch.relu, torch.sigmoid, torch.tanh, torch.exp, torch.nn.functional.relu, torch.nn.functional.relu6,
    torch.nn.functional.silu, torch.nn.functional.gelu, torch.nn.functional.elu, torch.nn.functional.leaky_relu,
}  # fmt: skip


def symbols_in(value: Any) -> Iterator[Symbol]:
    """All symbols in nested lists, tuples and dictionaries, in order."""
    if isinstance(value, Symbol):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from symbols_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from symbols_in(item)
    elif isinstance(value, slice):
        yield from symbols_in((value.start, value.stop, value.step))


def is_symbolic(*values: Any) -> bool:
    """Whether a symbol is anywhere in the values."""
    return next(symbols_in(values), None) is not None


def replaced(value: Any, function: Callable[[Symbol], Any]) -> Any:
    """The nested value with every symbol replaced by ``function(symbol)``."""
    if isinstance(value, Symbol):
        return function(value)
    if isinstance(value, list | tuple):
        made = [replaced(item, function) for item in value]
        return made if isinstance(value, list) else tuple(made)
    if isinstance(value, dict):
        return {key: replaced(item, function) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(replaced(item, function) for item in (value.start, value.stop, value.step)))
    return value


def stand_ins(value: Any, batch: int, order: Callable[[Sequence[Any]], Sequence[Any]] = tuple) -> Any:
    """The nested value with zeros for symbols; unknown sizes become ``batch``, float32 is torch's default dtype."""

    def zeros(symbol: Symbol) -> torch.Tensor:
        name = str(symbol.dtype).removeprefix("torch.")
        dtype = torch.get_default_dtype() if name == "float32" else getattr(torch, name)
        return torch.zeros([batch if n is None else n for n in order(symbol.shape)], dtype=dtype)

    return replaced(value, zeros)


def results(run: Callable[[int], Any]) -> Any:
    """Shapes and dtypes of what ``run(size of unknown axes)`` returns, from two runs: what differs is None."""
    with torch.no_grad():
        return _compared(run(2), run(3))


def _compared(one: Any, two: Any) -> Any:
    if isinstance(one, torch.Tensor):
        shape = tuple(a if a == b else None for a, b in zip(one.shape, two.shape))
        return Symbol(shape, str(one.dtype).removeprefix("torch."))
    if isinstance(one, list | tuple):
        return type(one)(_compared(a, b) for a, b in zip(one, two))
    if isinstance(one, dict):
        return {key: _compared(one[key], two[key]) for key in one}
    return one


def attach(outputs: Any, node: Node) -> Any:
    """Make ``node`` the maker of the symbols in ``outputs``."""
    node.outputs = outputs
    for symbol in symbols_in(outputs):
        symbol.node, symbol.name = node, node.name
    return outputs


def record_function(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Record a call of a function on symbols; its arguments and axes are in TensorFlow's order."""
    entry = getattr(function, "rule", None)
    name = entry.primary.rsplit(".", 1)[1] if entry is not None else getattr(function, "__name__", "op")
    node = Node("function", function, tuple(args), dict(kwargs), NAMES.name(name))

    def run(batch: int) -> Any:
        real_args, real_kwargs = stand_ins((node.args, node.kwargs), batch)
        return function(*real_args, **real_kwargs)

    return attach(results(run), node)


def is_elementwise(function: Callable[..., Any]) -> bool:
    """Whether a recorded function treats every element alike."""
    entry = getattr(function, "rule", None)
    if entry is not None:
        return bool(set(entry.names) & ELEMENTWISE_OPS)
    return function in _ELEMENTWISE_FUNCTIONS


rule.SYMBOLIC[:] = [(is_symbolic, record_function)]
