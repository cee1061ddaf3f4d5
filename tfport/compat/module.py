"""``tf.Module`` as an ``nn.Module``: TensorFlow's names, and variables held in lists and dicts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn


class Module(nn.Module):
    """An ``nn.Module`` with the constructor and the properties of ``tf.Module``.

    Lists, tuples and dicts (with str keys) of modules or of variables that are assigned as attributes become
    ModuleList, ParameterList, ModuleDict or ParameterDict, so that ``parameters()`` and ``state_dict()`` hold them.
    A list that is empty when it is assigned is not followed: append modules first, then assign.
    Raises ValueError for a name that is no Python identifier.
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__()
        if name is not None and not name.isidentifier():
            raise ValueError(f"{name!r} is not a valid module name: it must be a Python identifier")
        self._name = (
            name
            or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(self).__name__).lower()
        )

    @property
    def name(self) -> str:
        """The name, by default the class's in snake case."""
        return self._name

    @property
    def name_scope(self) -> contextlib.AbstractContextManager[Any]:
        """A context without effect: parameters are named by attribute."""
        return contextlib.nullcontext()

    @classmethod
    def with_name_scope(cls, method: Any) -> Any:
        """The method as it is."""
        return method

    @property
    def variables(self) -> tuple[torch.Tensor, ...]:
        """All variables: those of this module by attribute name, then those of the modules inside."""
        return tuple(_variables(self))

    @property
    def trainable_variables(self) -> tuple[torch.Tensor, ...]:
        """The variables that require gradients, in the same order."""
        return tuple(v for v in _variables(self) if v.requires_grad)

    @property
    def non_trainable_variables(self) -> tuple[torch.Tensor, ...]:
        """The variables that do not require gradients, in the same order."""
        return tuple(v for v in _variables(self) if not v.requires_grad)

    @property
    def submodules(self) -> tuple[nn.Module, ...]:
        """All modules inside this one, at any depth."""
        return tuple(_submodules(self))

    def __setattr__(self, name: str, value: Any) -> None:
        items = (
            list(value.values())
            if isinstance(value, dict)
            else list(value)
            if type(value) in (list, tuple)
            else []
        )
        if items and all(isinstance(item, nn.Module) for item in items):
            value = nn.ModuleDict(value) if isinstance(value, dict) else nn.ModuleList(items)
        elif items and all(isinstance(item, nn.Parameter) for item in items):
            value = nn.ParameterDict(value) if isinstance(value, dict) else nn.ParameterList(items)
        super().__setattr__(name, value)


CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


def _attributes(module: nn.Module) -> Iterator[Any]:
    """What a module holds, containers opened, in the order of the attribute names."""
    held = {**module._parameters, **module._buffers, **module._modules}
    for name in held if isinstance(module, CONTAINERS) else sorted(held):
        item = held[name]
        if isinstance(item, CONTAINERS):
            yield from _attributes(item)
        elif item is not None:
            yield item


def _variables(module: nn.Module, seen: set[int] | None = None) -> Iterator[torch.Tensor]:
    seen = set() if seen is None else seen
    held = [item for item in _attributes(module) if id(item) not in seen]
    for item in held:
        if isinstance(item, torch.Tensor) and id(item) not in seen:
            seen.add(id(item))
            yield item
    for item in held:
        if isinstance(item, nn.Module) and id(item) not in seen:
            seen.add(id(item))
            yield from _variables(item, seen)


def _submodules(module: nn.Module, seen: set[int] | None = None) -> Iterator[nn.Module]:
    seen = {id(module)} if seen is None else seen
    held = [m for m in _attributes(module) if isinstance(m, nn.Module)]
    fresh = []
    for child in held:
        if id(child) not in seen:
            seen.add(id(child))
            fresh.append(child)
            yield child
    for child in fresh:
        yield from _submodules(child, seen)
