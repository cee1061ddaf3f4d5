"""Finds the layer at fault: layers beside modules, teacher forcing, and causes that are tried, not guessed.

`Localiser` is all that the replay needs: `plain` runs the candidate once and compares each layer on the way,
`locate` repeats the run with the reference's values put in place of what differs, names the first layer that is
off on equal inputs, and applies the catalogue of causes to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any

import torch

from tfport.parity.localise.blame import Fault, fault_of
from tfport.parity.localise.judging import Judge
from tfport.parity.localise.pairing import pair
from tfport.parity.localise.reference import Call, read_calls
from tfport.parity.localise.results import LayerResult, layer_results
from tfport.parity.localise.taps import tensors_of
from tfport.parity.localise.trials import Trial
from tfport.parity.localise.walk import Event, Walk
from tfport.parity.reference.values import Value

FAULTS = 6
"""For how many layers causes are looked for."""


class Localiser:
    """The layers of one run beside a candidate.

    `module` is None for a plain function, whose steps are then matched by value alone. `recorded` are the layers of
    the conversion's record, `quiet` is called before every repeated run (it sets the seeds).
    """

    def __init__(
        self,
        entry: Mapping[str, Any],
        values: Mapping[str, Value],
        module: torch.nn.Module | None,
        recorded: Iterable[Mapping[str, Any]] = (),
        device: str = "cpu",
        rtol: float | None = None,
        atol: float | None = None,
        quiet: Callable[[], None] = lambda: None,
    ) -> None:
        self.reference = read_calls(entry.get("layers"), values, entry.get("behind"))
        self.judge = Judge(self.reference, entry, device, rtol, atol)
        self.module, self.quiet = module, quiet
        # operations of a graph are no layers: a module does several of them, and they are found by their values
        operations = any("behind" in layer for layer in entry.get("layers") or ())
        layered = torch.nn.Module() if module is None or operations else module
        self.pairing = pair(self.reference.calls, layered, recorded)
        self.kept = [] if module is None else [(b, b.clone()) for b in module.buffers()]
        self.versions = [b._version for b, _ in self.kept]
        self.layers: list[LayerResult] = []
        self.forced: list[LayerResult] = []
        self.first: dict[str, Any] | None = None
        self.causes: list[dict[str, Any]] = []
        self.cut: frozenset[int] = frozenset()

    @property
    def useful(self) -> bool:
        """Whether the reference told of any layer."""
        return bool(self.reference.calls)

    @property
    def doubtful(self) -> bool:
        """Whether a layer differed that is not paired by its order alone."""
        return any(layer.status == "differs" and layer.how != "order" for layer in self.layers)

    def walk(self, force: bool = False) -> Walk:
        """A new walk under the same seeds, with the statistics that the candidate began with."""
        self.restore()
        self.quiet()
        return Walk(self.reference, self.pairing, self.judge, self.module, force)

    def restore(self) -> None:
        """Undoes what a forward pass in training mode did to running statistics."""
        for i, (buffer, value) in enumerate(self.kept):
            if buffer._version != self.versions[i]:
                with torch.no_grad():
                    buffer.copy_(value)
                self.versions[i] = buffer._version

    def plain(self, forward: Callable[[], Any]) -> Any:
        """Runs the candidate as it is, comparing layers on the way; returns what it returns."""
        walk = self.walk()
        try:
            return walk.run(forward)
        finally:
            self.layers = layer_results(walk)
            self.restore()

    def locate(
        self, forward: Callable[[], Any], outputs: Callable[[Any], Mapping[str, torch.Tensor]]
    ) -> None:
        """Finds the first fault and its causes. `outputs` turns what `forward` returns into tensors by their names
        `outputs/...` in TensorFlow's axis order.
        """
        walk = self.walk(force=True)
        faults: list[Fault] = []

        def seen(event: Event) -> None:
            fault = fault_of(walk, event, walk.open)
            if fault is not None:
                faults.append(fault)

        walk.on_event = seen
        result = walk.run(forward)
        self.forced = layer_results(walk)
        last = self._outputs(walk, result, outputs)
        fault = fault_of(walk, last) if last is not None else None
        faults += [fault] if fault is not None else []
        if not faults:
            return
        self.cut = frozenset(e.call.index for e in walk.events if e.call is not None and e.agrees is None)
        certain = [f for f in faults[1:] if f.inside and f.event.inputs in ("equal", "padded")]
        for fault in [faults[0], *certain][:FAULTS]:
            self._try(fault, forward, outputs)
        self.first = faults[0].first.as_dict()

    def agree(self, given: Mapping[str, torch.Tensor]) -> bool:
        """Whether all of the reference's outputs are there and agree; dtypes are not looked at."""
        with torch.no_grad():
            return not self._missing(given)

    def _missing(self, given: Mapping[str, torch.Tensor]) -> list[str]:
        missing = []
        for key in [k for k in self.reference.values if k.startswith("outputs/")]:
            if self.reference.array(key).dtype.kind not in "fiub":  # text, complex: not a matter of layers
                continue
            tensor = given.get(key)
            if (
                tensor is None
                or tuple(tensor.shape) != self.reference.shape(key)
                or not self.judge.measure(key, self.judge.tensor(key), tensor).ok
            ):
                missing.append(key)
        return missing

    def _outputs(
        self, walk: Walk, result: Any, outputs: Callable[[Any], Mapping[str, torch.Tensor]]
    ) -> Event | None:
        """The model's outputs after a forced run, as an event; None where they agree."""
        with walk.unwatched():
            event = Event(None, agrees=False, inputs="differ", missing=self._missing(outputs(result)))
            made = {getattr(t, "_tfport_made", -1) for t in tensors_of(result)} - {-1}
            event.feeding = walk.slice_of(made)
        return event if event.missing else None

    def _try(
        self, fault: Fault, forward: Callable[[], Any], outputs: Callable[[Any], Mapping[str, torch.Tensor]]
    ) -> None:
        with torch.no_grad():
            trial = Trial(
                lambda: self.walk(force=True),
                forward,
                fault.event,
                fault.layers,
                fault.inside,
                outputs,
                self.cut,
                self.restore,
            )
            self.causes += [asdict(cause) for cause in trial.causes()]
            self.restore()
        fault.first.tried = trial.tried
        call = fault.event.call
        if (
            call is not None
            and not fault.first.between
            and any(c["cause"] == "flatten order" for c in self.causes)
        ):
            makers = [self.reference.makers.get(key or "") for key in call.inputs]
            flat = [m.name for m in makers if m is not None and m.kind in ("Flatten", "Reshape")]
            fault.first.between = [*flat, call.name] if flat else []


__all__ = ["Call", "LayerResult", "Localiser"]
