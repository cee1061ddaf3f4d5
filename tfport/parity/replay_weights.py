"""How the reference's weights come into the candidate: by the conversion's record, by a map, by names, by running it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfport.parity import golden
from tfport.parity.reference.errors import CaptureError, UsageError

MISFITS = 12
"""How many tensors that do not fit are named in the one-line error."""


class Weights:
    """The part of a replay that carries weights; what it works on is the replay's."""

    request: Any
    device: str
    run: dict[str, Any]
    reference: golden.Golden
    folder: Path
    entry: dict[str, Any]
    given: golden.Tensors
    name: str
    record: Mapping[str, Any]
    called: Callable[[], Any]
    carrier: Any
    seeds: Callable[[], None]
    guard: Callable[..., Any]

    path: str

    def beside(self) -> Mapping[str, Any]:
        """The record beside the candidate's file; empty where there is none. A model may carry another, its own."""
        path = Path(self.path).with_suffix(".tfport.json")
        if not path.is_file():
            return {}
        try:
            return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]
        except ValueError as error:
            raise CaptureError(f"{path} is damaged: {error}") from None

    @property
    def told(self) -> Mapping[str, Any] | None:
        """The conversion's record, None where there is none."""
        return self.record if "models" in self.record else None

    @staticmethod
    def is_unbuilt(module: Any) -> bool:
        """Whether some parameters are made, or get their shapes, by the first call."""
        import torch

        tensors = [*module.parameters(), *module.buffers()]
        lazy = any(torch.nn.parameter.is_lazy(p) for p in tensors)
        return lazy or not tensors or any(getattr(m, "built", True) is False for m in module.modules())

    def carry(self, module: Any, weights: Mapping[str, str] | None) -> None:
        """Loads the recorded weights by `tfport.load_weights`, which raises unless all fits."""
        if not weights:
            held = sum(p.numel() for p in module.parameters())
            if held:
                raise CaptureError(f"the candidate has {held} parameters, the reference has no weights")
            return
        from tfport.weights import WeightsError, load_weights

        path = self.folder / weights["file"]
        source: Any = path
        if weights["kind"] != "keras":
            source = {name: value.array for name, value in golden.read_tensors(path).items()}
        told = self.name if self.name in (self.record.get("models") or {}) else None
        if self.request.write_map:
            self.write_map(module, source, told)
        if weights["kind"] == "variables" and not self.request.map and self.same_names(module, source):
            return
        try:
            load_weights(module, source, record=self.told, name=told, map=self.request.map)
        except WeightsError as error:
            by_hand = weights["kind"] != "keras" or self.request.map
            if not by_hand and (self.carry_by_parts(module, path) or self.carry_by_run(module, path)):
                return
            first = str(error).splitlines()[0].replace(f"{path}", path.name).replace("<mapping>", path.name)
            shown = "; ".join((first, *error.problems[:MISFITS]))
            more = f" ... and {len(error.problems) - MISFITS} more" if len(error.problems) > MISFITS else ""
            if self.told is None:
                more += self.by_hand(path)
            raise CaptureError(f"the weights do not fit: {shown}{more}") from error

    def write_map(self, module: Any, source: Any, name: str | None) -> None:
        """Writes which of the reference's weights go where, and what is open; UsageError says so and what to do."""
        from tfport.weights import WeightsError
        from tfport.weights.fitting import open_checkpoint
        from tfport.weights.mapping import propose_map

        path = self.request.write_map
        try:
            checkpoint = open_checkpoint(source, True)
            matched, still = propose_map(
                path, module, checkpoint, record=self.told, name=name, map=self.request.map
            )
        except (WeightsError, OSError) as error:
            raise CaptureError(f"--write-map {path}: {error}") from error
        what = f"{matched} weights matched, {still} still open"
        raise UsageError(f"wrote {path}: {what}; edit it, then verify with --map {path}")

    def by_hand(self, path: Path) -> str:
        """How a person says which tensor becomes which parameter, for a candidate without a record."""
        if self.request.map:
            return f"; correct {self.request.map}"
        first, place = "", str(path)
        if self.folder.parent.name.startswith(
            "tfport-"
        ):  # captured just now, into a folder that will be gone
            first, place = "tfport capture ... -o golden, ", f"golden/{path.name}"
        return (f"; tell which is which: {first}tfport weights {place} --module {self.request.candidate}"
                " --write-map map.toml, complete it, tfport verify ... --map map.toml")  # fmt: skip

    def carry_by_parts(self, module: Any, path: Path) -> bool:
        """Weights for a module that the record does not know, but whose parts it knows: a model that holds models.

        False, with every tensor as it was, where some tensor belongs to no such part.
        """
        from tfport.weights import WeightsError, load_weights
        from tfport.weights.detect import read_checkpoint

        record = self.beside()
        models = record.get("models") or {}
        parts = {p: part for p, part in module.named_modules() if p and type(part).__name__ in models}
        parts = {p: part for p, part in parts.items() if not any(p.startswith(f"{q}.") for q in parts)}
        held = sum(1 for part in parts.values() for _ in part.parameters())
        if self.layers(module) or not parts or held != sum(1 for _ in module.parameters()):
            return False
        checkpoint = read_checkpoint(path)
        before = [(tensor, tensor.clone()) for tensor in (*module.parameters(), *module.buffers())]
        used = 0
        try:
            for place, part in parts.items():
                inside = place.replace(".", "/") + "/"
                entries = [within(e, inside) for e in checkpoint.entries.values() if e.key.startswith(inside)]
                load_weights(part, checkpoint.having(entries), record=record, name=type(part).__name__)
                used += len(entries)
            if used == len(checkpoint.entries):
                return True
        except WeightsError:
            used = 0
        put_back(before)
        return False

    def carry_by_run(self, module: Any, path: Path) -> bool:
        """Weights for a module of which no record tells, by what its parts are given when it runs.

        False where the record tells of it or some tensor finds no counterpart; raises what the module raises.
        """
        if self.layers(module):
            return False
        from tfport.parity.carrying import carried

        self.carrier, raised = carried(module, *self.judged(), path, lambda: self.guard(self.called))
        self.seeds()
        if raised is not None:
            raise CaptureError(
                f"{raised}; it has no conversion record, and its weights were to be told by running it"
            )
        if self.carrier is not None:
            self.run["notes"].append(self.carrier.said)
        return self.carrier is not None

    def same_names(self, module: Any, source: Mapping[str, Any]) -> bool:
        """Copies a tf.Module's variables to the tensors of the same names and shapes.

        False, with nothing copied, when the record knows the class or when names or shapes differ.
        """
        import torch

        if self.record.get("models"):
            return False
        held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        given = {name.replace("/", "."): value for name, value in source.items()}
        if {n: tuple(t.shape) for n, t in held.items()} != {n: a.shape for n, a in given.items()}:
            return False
        with torch.no_grad():
            for name, array in given.items():
                held[name].copy_(torch.from_numpy(array))
        return True

    def set_globals(self, module: Any, path: Path) -> None:
        """Gives the file's tensors the values of the reference's variables of the same names."""
        import torch

        for name, value in golden.read_tensors(path).items():
            held = getattr(module, name, None)
            if not isinstance(held, torch.Tensor) or tuple(held.shape) != value.array.shape:
                shape = list(held.shape) if isinstance(held, torch.Tensor) else "missing"
                told = f"variable {name} {list(value.array.shape)}, in the candidate {shape}"
                raise CaptureError(f"the weights do not fit: {told}")
            with torch.no_grad():
                held.copy_(torch.from_numpy(value.array))

    def calibrated(self) -> dict[str, Any]:
        """The run's entry with what rounding does: a run in float64 has the wander of that in float32."""
        entry = dict(self.entry)
        if not entry.get("wander"):
            others = [run for run in self.reference.runs if run["dtype"] == "float32"]
            entry["wander"] = next((run["wander"] for run in others if run.get("wander")), {})
        if entry["kind"] != "keras":  # one call of a function may be any number of operations
            entry["depth"] = {}
        return entry

    def judged(self) -> tuple[Any, Any]:
        """The reference's layers, and the judge of what agrees with them."""
        from tfport.parity.localise.judging import Judge
        from tfport.parity.localise.reference import read_calls

        entry = self.calibrated()
        reference = read_calls(entry["layers"], self.given)
        return reference, Judge(reference, entry, self.device, self.request.rtol, self.request.atol)

    def layers(self, module: Any) -> list[Mapping[str, Any]]:
        """The record's layers of this model, or those whose weights its modules have taken."""
        if self.carrier is not None:
            return self.carrier.layers  # type: ignore[no-any-return]
        models = self.record.get("models") or {}
        for key in (self.name, type(module).__name__):
            if key in models:
                return models[key].get("layers", [])
        return next(iter(models.values())).get("layers", []) if len(models) == 1 else []


def within(entry: Any, inside: str) -> Any:
    """An entry of a checkpoint as the object at `inside` holds it."""
    depth = inside.count("/")
    return dataclasses.replace(
        entry,
        paths=tuple(p.removeprefix(inside) for p in entry.paths),
        layers=tuple("/".join(name.split("/")[depth:]) for name in entry.layers),
    )


def put_back(kept: list[tuple[Any, Any]]) -> None:
    """Gives tensors the values that they had: pairs (tensor, value)."""
    import torch

    with torch.no_grad():
        for tensor, value in kept:
            tensor.copy_(value)
