"""What a cause proposes: a change that, applied, makes a layer agree if the cause is the right one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from tfport.parity.localise.reference import Call, Reference
from tfport.parity.localise.taps import Operation


@dataclass
class Fix:
    """One proposal. It holds what to change and the words for it; whether it helps is found by running it."""

    cause: str
    said: str
    """What is different with it, as in "with ... it agrees": `eps=0.001`."""
    has: str = ""
    """What the candidate has instead: `1e-05`."""
    run: Callable[..., Any] | None = None
    """Computes the operation that it was proposed for."""
    also: Mapping[int, Callable[..., Any]] = field(default_factory=dict)
    """Computes other operations, by their number."""
    swaps: Mapping[int, torch.Tensor] = field(default_factory=dict)
    """Tensors (by `id`) that are replaced wherever they are an argument."""
    attributes: Sequence[tuple[Any, str, Any]] = ()
    """Attributes of modules that are set while it is applied: (module, name, value)."""
    value: Callable[..., torch.Tensor] | None = None
    """Changes the value that was found to differ, after all operations."""
    whole: Callable[..., Any] | None = None
    """Computes the module's whole result from its arguments."""
    premise: Callable[..., Any] | None = None
    """Computes what the candidate's module should give if this is its fault; if it does not, the fix is not tried."""
    after: Callable[..., torch.Tensor] | None = None
    """Changes what the module of the layer at fault returns."""
    keywords: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the module's call that are set while it is applied."""
    integers: bool = False
    """Whether `value` is for integers (ids), not for floating values."""
    told: bool = False
    """Whether the reference's configuration says so: such proposals are tried first."""

    def words(self) -> str:
        """The sentence for a report."""
        return f"with {self.said} it agrees" + (f" (the candidate has {self.has})" if self.has else "")


@dataclass
class Context:
    """What a cause may look at. `operation` is None when weights and modules as a whole are in question."""

    call: Call | None
    """The reference's layer that is at fault, None for steps that belong to no layer."""
    chain: Sequence[Call]
    """That layer and those behind it whose values were not found either."""
    reference: Reference
    operation: Operation | None = None
    before: Sequence[Operation] = ()
    """The operations in question that came earlier (without their results)."""
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Parameters and buffers that the operations in question take, by name."""
    modules: Sequence[torch.nn.Module] = ()
    """The module at fault and all inside it."""
    others: Mapping[str, torch.nn.Module] = field(default_factory=dict)
    """Other modules of its class, by path."""

    @property
    def kind(self) -> str:
        """The class of the layer at fault, empty where there is none."""
        return self.call.kind if self.call is not None else ""

    def told(self, name: str, default: Any = None) -> Any:
        """A value of the reference's configuration: of the layer at fault, else of those behind it, of those that hold it."""
        for call in (self.call, *self.chain, *self.holders):
            if call is not None and call.config.get(name) is not None:
                return call.config[name]
        return default

    @property
    def holders(self) -> list[Call]:
        """The layers inside which the one at fault lies, the innermost first."""
        name = self.call.name if self.call is not None else ""
        found = [
            call for call in self.reference.calls if name.startswith(f"{call.name}/") and not call.number
        ]
        return sorted(found, key=lambda call: -len(call.name))

    @property
    def activations(self) -> list[str]:
        """The activations that the layers at fault have, likely ones first."""
        found = []
        for call in (self.call, *self.chain):
            if call is not None:
                found += [call.activation] if call.activation else []
                found += [call.kind] if call.kind in ("ReLU", "LeakyReLU", "ELU", "Softmax", "PReLU") else []
        return list(dict.fromkeys(found))


Propose = Callable[[Context], Iterator[Fix]]


def takes(module: torch.nn.Module, name: str) -> bool:
    """Whether a module's forward (or the `call` of a layer of compat) has a keyword argument of this name."""
    for function in (module.forward, getattr(module, "call", None)):
        try:
            if callable(function) and name in inspect.signature(function).parameters:
                return True
        except (TypeError, ValueError):
            continue
    return False


def numbers(x: Any, count: int) -> tuple[int, ...]:
    """`3`, `(3,)` or `(3, 3)` as `count` integers."""
    if isinstance(x, (tuple, list, torch.Size)):
        values = tuple(int(n) for n in x)
        return values if len(values) == count else values * count if len(values) == 1 else values[:count]
    return (int(x),) * count


def shown(x: Any) -> str:
    """A number or a setting as a person writes it."""
    return f"{x:g}" if isinstance(x, float) else str(x)
