"""How the reference's inputs come into the candidate: device, axis order, names, one by one or together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tfport.parity import golden, layouts
from tfport.parity.reference.targets import required


class Inputs:
    """The part of a replay that passes inputs; what it works on is the replay's."""

    device: str
    run: dict[str, Any]
    entry: dict[str, Any]
    given: golden.Tensors
    record: Mapping[str, Any]
    orders: list[tuple[int, ...]]
    carried: bool
    renamed: dict[str, str | None]
    where: tuple[str, ...]

    def inputs(
        self, function: Callable[..., Any], where: tuple[str, ...]
    ) -> tuple[list[Any], dict[str, Any]]:
        """The recorded inputs as the candidate takes them: device, axis order, way of passing."""
        import torch

        names = self.parameters(function)
        self.where, self.orders = where, []
        told_arguments = [a for a in self.record.get("arguments", []) if self.concerns(a)]
        changed = {str(a["argument"]): a["layout"] for a in told_arguments}
        given = []
        for i, told in enumerate(self.entry["inputs"]):
            tensor = torch.from_numpy(self.given[told["tensor"]].array.copy()).to(self.device)
            name = told["name"] or (names[i] if i < len(names) else str(i))
            if len(self.entry["inputs"]) > 1 and len(names) == 1 and not told["name"]:
                name = f"{names[0]}[{i}]" if f"{names[0]}[{i}]" in changed else names[0]
            layout = changed.get(name, changed.get(str(i)))
            if layout and tensor.ndim == len(layouts.permutation(layout)):
                order = layouts.permutation(layout)
                self.orders.append(order)
                tensor = tensor.permute(order)
            given.append((told["name"], tensor))
        if self.entry["kind"] in ("function", "graph", "savedmodel") and not self.takes_any(
            function, inspect.Parameter.VAR_KEYWORD
        ):
            self.rename(names, given)
            given = [(self.renamed.get(n, n), t) for n, t in given if self.renamed.get(n, n) or not n]
        named = {n: t for n, t in given if n}
        plain = [t for n, t in given if not n]
        if named and not set(named) <= set(names) and self.entry["pass_inputs"] == "mapping":
            return [named], {}
        if (
            self.entry["pass_inputs"] == "list"
            and len(required(function) or names) < len(plain)
            and not self.takes_any(function)
        ):
            return [plain], named
        return plain, named

    def rename(self, names: list[str], given: list[tuple[str, Any]]) -> None:
        """Finds arguments for inputs that a graph calls by other names than the candidate: `renamed`, told in notes.

        They take the arguments that are left, in their order; a single number for which none is left is not passed.
        """
        used = {name for name, _ in given if name}
        plain = sum(not name for name, _ in given)
        left = [name for name in names[plain:] if name not in used]
        for name, tensor in given:
            if not name or name in names:
                continue
            if left and not (
                tensor.numel() == 1 and sum(t.numel() > 1 for n, t in given if n not in names) >= len(left)
            ):
                self.renamed[name] = left.pop(0)
                told = f"input {name} is passed as {self.renamed[name]}"
            elif tensor.numel() == 1:
                self.renamed[name] = None
                told = f"{name}={tensor.item():g} is not passed: the candidate has no such argument"
            else:
                continue
            self.run["notes"] += [told] * (told not in self.run["notes"])

    @staticmethod
    def parameters(function: Callable[..., Any]) -> list[str]:
        """Names of the positional parameters."""
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        try:
            return [p.name for p in inspect.signature(function).parameters.values() if p.kind in kinds]
        except (TypeError, ValueError):
            return []

    @staticmethod
    def takes_any(function: Callable[..., Any], kind: Any = inspect.Parameter.VAR_POSITIONAL) -> bool:
        """Whether the function has a `*args` (or a `**kwargs`, by its `kind`)."""
        return any(p.kind is kind for p in inspect.signature(function).parameters.values())

    def concerns(self, told: Mapping[str, Any]) -> bool:
        """Whether an entry of the record is about the candidate; all of a carried record is."""
        return self.names(told, self.where)

    def names(self, told: Mapping[str, Any], where: tuple[str, ...]) -> bool:
        """Whether an entry of the record is about one of these functions; all of a carried record is."""
        return self.carried or told.get("where") in where
