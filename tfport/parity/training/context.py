"""The candidate beside the reference's run: its tensors under their torch names, and how arrays reach it."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tfport.parity import golden, layouts
from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.targets import required

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass
class Context:
    """What a replay of gradients or training works on.

    `entry` is the golden's run, `module` the candidate with the reference's weights in it (an nn.Module, or None
    for a plain function, whose variables are `user`'s), `call` what makes its outputs, `user` the candidate's
    imported file, `record` the conversion's record, `parameters(function)` the names of its positional
    parameters, `concerns(told, where)` whether a line of the record is about one of the functions `where`.
    """

    entry: Mapping[str, Any]
    folder: Path
    module: torch.nn.Module | None
    call: Callable[..., Any]
    user: Any
    record: Mapping[str, Any]
    model: str | None
    device: str
    dtype: torch.dtype
    seed: int
    guard: Callable[..., Any]
    parameters: Callable[[Any], Sequence[str]]
    concerns: Callable[[Mapping[str, Any], tuple[str, ...]], bool]
    where: tuple[str, ...] = ()
    map: str | None = None
    renamed: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    orders: list[tuple[int, ...]] = dataclasses.field(default_factory=list)
    load: Callable[[torch.nn.Module, Any], list[str]] | None = None
    """Puts a checkpoint into a module of which no record tells; returns the tensors that it has set."""

    def __post_init__(self) -> None:
        self.stored = golden.read_tensors(self.folder / self.entry["training_tensors"])
        self.variables = self.entry["variables"]
        self._checkpoint: Any = None
        self._numbers: dict[str, int] = {}
        self._targets: dict[str, tuple[int, ...]] | None = None

    @property
    def kind(self) -> str | None:
        """The kind of the reference's weights: keras, variables, globals or None."""
        weights = self.entry.get("weights")
        return weights["kind"] if weights else None

    def array(self, key: str | None) -> np.ndarray | None:
        """A recorded array, None for none."""
        return None if key is None else self.stored[key].array

    # The candidate's tensors.

    def tensors(self) -> dict[str, torch.Tensor]:
        """Parameters and buffers by name, the live ones; of a function the file's variables."""
        if self.module is None:
            names = self.variables["names"]
            return {
                n: getattr(self.user, n)
                for n in names
                if isinstance(getattr(self.user, n, None), torch.Tensor)
            }
        named = dict(self.module.named_parameters(remove_duplicate=False))
        return {**named, **dict(self.module.named_buffers(remove_duplicate=False))}

    def parameters_of(self) -> dict[str, torch.Tensor]:
        """The tensors that can be trained, each once."""
        found: dict[str, torch.Tensor] = {}
        seen: set[int] = set()
        for name, tensor in self.tensors().items():
            if tensor.requires_grad and id(tensor) not in seen:
                seen.add(id(tensor))
                found[name] = tensor
        return found

    def targets(self) -> dict[str, tuple[int, ...]]:
        """Which of the reference's variables, by number, went into each of the candidate's tensors, in its order."""
        if self._targets is None:
            count = len(self.variables["names"])
            self._targets = {}
            filled = self.carried(dict.fromkeys(range(count)), fill=True)
            order = [name for name in self.tensors() if name in filled]
            for name in [*order, *(name for name in filled if name not in order)]:
                array = filled[name]
                numbers = (
                    {int(n) for n in np.unique(array[np.isfinite(array)].round())} if array.size else set()
                )
                self._targets[name] = tuple(sorted(n - 1 for n in numbers if 1 <= n <= count))
        return self._targets

    def carry(self, values: Mapping[int, np.ndarray | None]) -> Arrays:
        """Arrays of the reference, by the number of their variable, as arrays of the candidate's tensors.

        A variable without an array counts as zeros; tensors that take nothing of `values` are left out.
        """
        given = {i for i, value in values.items() if value is not None}
        made = self.carried(values)
        return {name: array for name, array in made.items() if given & set(self.targets().get(name, ()))}

    def carried(self, values: Mapping[int, np.ndarray | None], fill: bool = False) -> Arrays:
        """As `carry`, all tensors; with `fill` each variable is filled with its number + 1."""
        names = self.variables["names"]
        if self.kind == "keras":
            return self._by_checkpoint(values, fill)
        if not names:
            return {}
        weights = golden.read_tensors(self.folder / self.entry["weights"]["file"])
        mapping = {}
        for i, name in enumerate(names):
            like = weights[name].array
            value = np.full_like(like, i + 1) if fill else values.get(i)
            mapping[name] = np.zeros_like(like) if value is None else np.asarray(value).reshape(like.shape)
        if self.module is None:
            return mapping
        held = {n for n, _ in (*self.module.named_parameters(), *self.module.named_buffers())}
        dotted = {name.replace("/", "."): array for name, array in mapping.items()}
        if not self.record.get("models") and set(dotted) == held:
            return dotted
        return self._loaded(mapping)

    def _by_checkpoint(self, values: Mapping[int, np.ndarray | None], fill: bool) -> Arrays:
        """Loads the weights' file again, with the values in the place of the weights."""
        from tfport.weights import read_checkpoint

        if self._checkpoint is None:
            self._checkpoint = read_checkpoint(self.folder / self.variables["container"]["file"])
            for key, entry in self._checkpoint.entries.items():
                if not entry.ignored and entry.dtype != "string" and 0 not in entry.shape:
                    self._numbers[key] = int(np.asarray(self._checkpoint[key]).flat[0]) - 1
        old = self._checkpoint

        def reader(entry: Any) -> Callable[[], np.ndarray]:
            number = self._numbers.get(entry.key)
            value = None if number is None else values.get(number)
            if fill:
                return entry.read  # type: ignore[no-any-return]
            if value is None:
                return lambda: np.zeros_like(entry.read())
            return lambda: np.asarray(value).reshape(entry.shape)

        entries = [dataclasses.replace(e, read=reader(e)) for e in old.entries.values()]
        return self._loaded(old.having(entries))

    def _loaded(self, source: Any) -> Arrays:
        """What load_weights makes of a source, in a copy of the module."""
        from tfport.weights import WeightsError, load_weights

        try:
            holder = copy.deepcopy(self.module)
        except Exception as error:  # a module may hold anything, also what cannot be copied
            raise CaptureError(f"the candidate cannot be copied: {type(error).__name__}: {error}") from error
        told = self.record if "models" in self.record else None
        try:
            if self.load is not None and holder is not None:
                loaded = self.load(holder, source)
            else:
                report = load_weights(holder, source, record=told, name=self.model, map=self.map)
                loaded = [row.target for row in report.loaded]
        except WeightsError as error:
            said = "; ".join((str(error).splitlines()[0], *error.problems[:3]))
            raise CaptureError(f"gradients do not fit the candidate as the weights do: {said}") from error
        assert holder is not None
        named: dict[str, torch.Tensor] = {**dict(holder.named_parameters(remove_duplicate=False))}
        named |= dict(holder.named_buffers(remove_duplicate=False))
        return {target: _numpy(named[target]) for target in loaded if target in named}

    def set(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes arrays into the candidate's tensors of these names."""
        live = self.tensors()
        with torch.no_grad():
            for name, array in arrays.items():
                live[name].copy_(torch.from_numpy(np.asarray(array, order="C")))

    # Arrays on their way to the candidate, and back.

    def arrange(
        self, function: Any, where: tuple[str, ...], tensors: Sequence[torch.Tensor], skip: int = 0
    ) -> tuple[list[torch.Tensor], list[tuple[int, ...]]]:
        """Tensors in the axis order in which `function` takes them: (tensors, the permutations that were made).

        `skip` parameters come before them. The record's lines for the functions `where` decide.
        """
        names = list(self.parameters(function))[skip:]
        lines = [a for a in self.record.get("arguments", []) if self.concerns(a, where)]
        changed = {str(a["argument"]): a["layout"] for a in lines}
        made, orders = [], []
        for i, tensor in enumerate(tensors):
            name = names[i] if i < len(names) else str(i)
            if len(tensors) > 1 and len(names) == 1:
                name = f"{names[0]}[{i}]" if f"{names[0]}[{i}]" in changed else names[0]
            layout = changed.get(name, changed.get(str(i)))
            if layout and tensor.ndim == len(layouts.permutation(layout)):
                order = layouts.permutation(layout)
                orders.append(order)
                tensor = tensor.permute(order)
            made.append(tensor)
        return made, orders

    def forward(self, tensors: Sequence[torch.Tensor]) -> Any:
        """The candidate's outputs for the reference's inputs, which come in TensorFlow's axis order."""
        called = self.call if self.module is None else self.module.forward
        own_call = getattr(self.module, "call", None)
        if callable(own_call) and _takes_any(called):  # a Keras layer of compat hands its arguments on
            called = own_call
        arranged, orders = self.arrange(called, self.where, tensors)
        self.orders = orders
        names = [told["name"] for told in self.entry["inputs"]]
        pairs = [(self.renamed.get(n, n), t) for n, t in zip(names, arranged, strict=False) if n]
        named = {n: t for n, t in pairs if n}
        plain = [t for i, t in enumerate(arranged) if i >= len(names) or not names[i]]
        own = self.parameters(called)
        how = self.entry.get("pass_inputs")
        if how == "mapping" and named and not set(named) <= set(own):
            return self.guard(lambda: self.call(named))
        if how == "list" and len(required(called) or own) < len(plain) and not _takes_any(called):
            return self.guard(lambda: self.call(plain, **named))
        return self.guard(lambda: self.call(*plain, **named))

    def outputs(self, result: Any) -> list[tuple[str, torch.Tensor]]:
        """The floating leaves of a result, named as the reference's, in TensorFlow's axis order; differentiable."""
        made = []
        for index, (name, tensor) in enumerate(leaves(result)):
            if not tensor.is_floating_point():
                continue
            order = self._back(index, name, tensor)
            made.append((name, tensor.permute(order) if order else tensor))
        return made

    def _back(self, index: int, name: str, tensor: torch.Tensor) -> tuple[int, ...]:
        results = self.record.get("results")
        for told in results or []:
            if told.get("result") in (index, name) and self.concerns(told, self.where):
                order = layouts.inverse(layouts.permutation(told["layout"])) if told["layout"] else ()
                return order if tensor.ndim == len(order) else ()
        if results is not None:
            return ()
        shape = self.shapes.get(name)
        if not shape or len(shape) != tensor.ndim:
            return ()
        wanted = (tensor.shape[0], *shape[1:])  # the batch of a step may be another one
        return tuple(
            layouts.way_back(tuple(tensor.shape), wanted, self.orders, "models" not in self.record) or ()
        )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the reference's outputs, by leaf."""
        tensors = golden.read_tensors(self.folder / self.entry["tensors"])
        return {
            n: tensors[f"outputs/{n}"].array.shape for n in self.entry["outputs"] if f"outputs/{n}" in tensors
        }


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _takes_any(function: Any) -> bool:
    try:
        kinds = [p.kind for p in inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return False
    return inspect.Parameter.VAR_POSITIONAL in kinds


def leaves(result: Any, name: str = "output") -> list[tuple[str, torch.Tensor]]:
    """Tensors of a nested result, named as `capture.flatten` names them."""
    if isinstance(result, torch.Tensor):
        return [(name, result)]
    if isinstance(result, Mapping):
        return [pair for key, part in result.items() for pair in leaves(part, f"{name}/{key}")]
    if isinstance(result, (list, tuple)):
        return [pair for i, part in enumerate(result) for pair in leaves(part, f"{name}/{i}")]
    return []
