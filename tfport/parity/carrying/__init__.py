"""Weights for a port without a conversion's record: which layer a module stands for is told by what it is given.

Names and the order of definition cannot tell two layers of one kind and size apart, and a converter of weights
must not guess. A comparison may look: the port runs once on the reference's inputs, and each of its modules, when
it is called, takes the weights of the layer that was given the same values. What it then gives is replaced by what the
reference's layer gave, so that one fault does not hide the layers behind it. Modules that are given what no layer was
given (behind a fault) take the next layer of their kind and sizes. Nothing is proved by this: the comparison
that follows proves it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tfport.parity.carrying.sources import Source, sources_of
from tfport.parity.carrying.taking import Taken, levels_of, neutral, taken
from tfport.parity.localise.judging import Judge
from tfport.parity.localise.pairing import Pairing
from tfport.parity.localise.reference import Reference
from tfport.parity.localise.taps import tensors_of
from tfport.parity.localise.walk import Walk

COUNTERS = ("num_batches_tracked",)


@dataclass
class Step:
    """What one module took: of these layers, by their place among the sources."""

    path: str
    sources: list[int]


class Carrier:
    """Carries a checkpoint's weights into a module while it runs. `run(forward)` does it; what was found is in the fields."""

    def __init__(self, module: nn.Module, reference: Reference, judge: Judge, checkpoint: Any) -> None:
        self.module, self.reference = module, reference
        self.sources, self.own = sources_of(reference, checkpoint)
        self.free = list(self.sources)
        self.pairing = Pairing()
        self.walk = Walk(reference, self.pairing, judge, module, force=True)
        self.owners = _owners(module)
        self.walk.calls = {path: [] for path in self.owners}
        self.told: set[int] = set()  # ids of the tensors that have their values
        self.steps: list[Step] = []
        self.rest: list[tuple[str, int, str]] = []  # (tensor, place of the layer or -1, variable)
        self.by_order: list[str] = []  # paths that took the next layer of their kind
        self.alike: list[str] = []  # paths that were given what several layers were given

    def run(self, forward: Callable[[], Any]) -> None:
        """Runs the module, its weights filled in on the way; raises what the module raises."""
        handles = [
            part.register_forward_pre_hook(self._hook(path), with_kwargs=True)
            for path, part in self.owners.items()
        ]
        try:
            self.walk.run(forward)
        finally:
            for handle in handles:
                handle.remove()
        self._rest()

    @property
    def missing(self) -> list[str]:
        """Tensors of the module that took no value."""
        return [name for name, tensor in _tensors(self.module) if id(tensor) not in self.told]

    @property
    def left(self) -> list[str]:
        """Layers whose weights went nowhere, and the shapes of variables of no layer."""
        return [source.name for source in self.free] + [f"variable {list(a.shape)}" for a in self.own]

    @property
    def layers(self) -> list[dict[str, str]]:
        """Which layer became which module, as a conversion's record tells it."""
        return [{"name": name, "path": path, "how": how} for name, (path, how) in self.pairing.paths.items()]

    # -- one module

    def _hook(self, path: str) -> Callable[..., None]:
        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            if not self.walk.off and not self.walk.calls[path] and path not in self.by_order:
                with self.walk.unwatched():
                    self._identify(path, module, list(tensors_of((args, kwargs))))

        return enter

    def _identify(self, path: str, module: nn.Module, given: Sequence[torch.Tensor]) -> None:
        fitting = [source for source in self.free if self._chosen(module, source) is not None]
        options = [
            source
            for source in fitting
            if any(self.walk.matcher.match(key, given)[0] != "differ" for key in source.inputs[:1])
        ]
        if not fitting:
            return
        how = "value" if options else "order"
        if not options:
            self.by_order.append(path)
        elif len(options) > 1:
            self.alike.append(path)
        source = min(options or fitting, key=lambda option: _unlike(path, option))
        self._fill(path, module, self._chosen(module, source) or [source], how)

    def _chosen(self, module: nn.Module, source: Source) -> list[Source] | None:
        """The layers that the module takes, this one first; None where it does not fit."""
        if isinstance(module, nn.RNNBase) and module.num_layers > 1:
            at = next(i for i, one in enumerate(self.free) if one is source)
            return levels_of(module, source, self.free[at + 1 :])
        return None if taken(module, [source]) is None else [source]

    def _fill(self, path: str, module: nn.Module, used: list[Source], how: str) -> None:
        places = [next(i for i, one in enumerate(self.sources) if one is source) for source in used]
        made = taken(module, used)
        if made is None:
            return
        self.steps.append(Step(path, places))
        self.told |= {id(tensor) for _, tensor in _put(module, made)}
        gone = [*used, *(part for one in used for part in one.parts)]
        self.free = [s for s in self.free if not any(s is one for one in gone)]
        source = used[0]
        half = source.kind != source.calls[0].kind  # of a separable convolution
        if len(used) == 1 and source.name not in self.pairing.paths and not half:
            self.pairing.paths[source.name] = (path, how)
            self.walk.calls[path] = list(source.calls)

    def _rest(self) -> None:
        """Tensors of the user's own modules: by their shapes, one after the other."""
        free = {id(source) for source in self.free}
        pool = [
            (i, role, array)
            for i, source in enumerate(self.sources) if id(source) in free
            for role, array in source.variables.items()
        ] + [(-1, str(i), array) for i, array in enumerate(self.own)]  # fmt: skip
        for name, tensor in _tensors(self.module):
            at = next((i for i, (_, _, a) in enumerate(pool) if _same(a, tensor)), None)
            if id(tensor) not in self.told and at is not None:
                place, role, array = pool.pop(at)
                self.rest.append((name, place, role))
                _write(tensor, array)
                self.told.add(id(tensor))
        held = {place for place, _, _ in pool}
        self.free = [source for i, source in enumerate(self.sources) if i in held]
        self.own = [array for place, _, array in pool if place == -1]

    # -- the same again

    def load(self, module: nn.Module, checkpoint: Any) -> list[str]:
        """Puts another checkpoint of the model into a copy of the module, each tensor where this one's went.

        Returns the names of the tensors that hold a value of it.
        """
        sources, own = sources_of(self.reference, checkpoint)
        names = {id(tensor): name for name, tensor in _tensors(module)}
        loaded = []
        for step in self.steps:
            part = module.get_submodule(step.path)
            made = taken(part, [sources[i] for i in step.sources])
            loaded += [names[id(tensor)] for name, tensor in _put(part, made or {}) if name in (made or {})]
        held = dict(_tensors(module))
        for name, place, role in self.rest:
            _write(held[name], own[int(role)] if place < 0 else sources[place].variables[role])
            loaded.append(name)
        return loaded

    @property
    def said(self) -> str:
        """How the weights came to the module, for a report."""
        parts = [f"{len(self.steps) - len(self.by_order)} by the values that they are given"]
        if self.by_order:
            parts.append(f"in order, since no layer is given what they are: {', '.join(self.by_order[:4])}"
                         f"{' ...' if len(self.by_order) > 4 else ''}")  # fmt: skip
        if self.alike:
            parts.append(f"of these more than one layer fits: {', '.join(self.alike[:4])}"
                         f"{' ...' if len(self.alike) > 4 else ''}")  # fmt: skip
        if self.rest:
            parts.append(f"by shape: {', '.join(name for name, _, _ in self.rest[:4])}")
        return f"no conversion record: modules took their weights {'; '.join(parts)}"


def carried(
    module: nn.Module, reference: Reference, judge: Judge, path: Path, forward: Callable[[], Any]
) -> tuple[Carrier | None, str | None]:
    """Carries the weights of a file. None, with every tensor as it was, where some tensor or layer finds no partner, and
    what the module has raised.
    """
    from tfport.weights.detect import read_checkpoint

    before = [(tensor, tensor.clone()) for tensor in (*module.parameters(), *module.buffers())]
    carrier = Carrier(module, reference, judge, read_checkpoint(path))
    try:
        carrier.run(forward)
        if not carrier.missing and not carrier.left:
            return carrier, None
        told = None
    except Exception as error:  # the candidate may raise anything
        told = str(error)
    with torch.no_grad():
        for tensor, value in before:
            tensor.copy_(value)
    return None, told


def _write(tensor: torch.Tensor, array: np.ndarray) -> None:
    with torch.no_grad():
        value = torch.from_numpy(np.array(array, order="C"))
        tensor.copy_(value.reshape(tensor.shape).to(tensor.dtype))


def _put(module: nn.Module, made: Taken) -> list[tuple[str, torch.Tensor]]:
    """Writes the values into a module; returns the tensors that are told by them."""
    held = dict(_tensors(module))
    for name, array in made.items():
        _write(held[name], array)
    told = [(name, held[name]) for name in made]
    for name, value in neutral(module, made).items() if made else ():
        with torch.no_grad():
            held[name].fill_(value)
        told.append((name, held[name]))
    return told


def _same(array: np.ndarray, tensor: torch.Tensor) -> bool:
    """Whether only axes of size one differ."""
    return [n for n in array.shape if n != 1] == [n for n in tensor.shape if n != 1]


def _tensors(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters and saved buffers that stand for variables."""
    found: list[tuple[str, torch.Tensor]] = list(module.named_parameters())
    for path, part in module.named_modules():
        for name, tensor in part._buffers.items():
            if tensor is not None and name not in part._non_persistent_buffers_set and name not in COUNTERS:
                found.append((f"{path}.{name}" if path else name, tensor))
    return found


def _owners(module: nn.Module) -> dict[str, nn.Module]:
    """The modules of torch that hold tensors, attention as a whole; path -> module."""
    found: dict[str, nn.Module] = {}
    for path, part in module.named_modules():
        if any(path.startswith(f"{outer}.") for outer, held in found.items() if _whole(held)):
            continue
        if any(tensor is not None for tensor in (*part._parameters.values(), *part._buffers.values())):
            found[path] = part
    return found


def _whole(module: nn.Module) -> bool:
    return isinstance(module, nn.MultiheadAttention)


def _unlike(path: str, source: Source) -> int:
    """How little two names have to do with each other, where values do not tell: 0 for `q` and `query`."""
    one = path.rpartition(".")[2].lower().strip("_")
    two = source.name.rpartition("/")[2].lower()
    words = [
        word for word in one.replace("-", "_").split("_") if word not in ("proj", "to", "w", "fc", "linear")
    ]
    return 0 if any(word and two.startswith(word) for word in words) else 1


__all__ = ["Carrier"]
