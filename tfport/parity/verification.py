"""Both runs, each in its own process, and their comparison: what `tfport verify` does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfport.parity import bundle, golden
from tfport.parity.calibration import calibration, outputs_of
from tfport.parity.comparison import Comparison, compare
from tfport.parity.doubts import doubts
from tfport.parity.printed import PrintedComparison, compare_printed
from tfport.parity.processes import Unexplained, check_python, ended, python_at, ran, started
from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.targets import split_reference, split_target
from tfport.parity.scopes import unseen, vouched


@dataclass
class Part:
    """The comparison in one dtype on one device. `error` tells why there is none."""

    dtype: str
    device: str
    comparison: Comparison | None = None
    """The outputs."""
    layers: list[dict[str, Any]] = field(default_factory=list)
    """One for each layer call: name, kind, status (`agrees`, `differs`, `not compared`), how, max_abs, max_rel,
    allowed, reason; empty with `--layers none`."""
    layers_recorded: int = 0
    layers_left_out: int = 0
    first: dict[str, Any] | None = None
    """The first layer whose output differs given equal inputs: layer, kind, reason, between."""
    causes: list[dict[str, Any]] = field(default_factory=list)
    """Causes that were tested by applying them: cause, layer, agrees, said."""
    gradients: dict[str, Any] | None = None
    training: dict[str, Any] | None = None
    missing: list[str] = field(default_factory=list)
    """What was named and not compared, each with why."""
    must_agree: bool = False
    """Whether layers were asked for by name (`--layers all`), so that one that differs is a failure by itself."""
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    usage: bool = False
    """Whether the error is one of the request (a name or device that is not there), not of the candidate."""

    @property
    def reasons(self) -> list[str]:
        """Why it does not agree, a line for each kind of thing that was compared; empty where all agrees."""
        if self.error is not None:
            return [self.error]
        told = [] if self.comparison is None else [self.comparison.reason]
        if self.must_agree:
            wrong = [layer for layer in self.layers if layer["status"] == "differs"]
            told += [f"layer {layer['name']}: {layer['reason'] or 'differs'}" for layer in wrong[:1]]
        elif self.comparison is not None and self.comparison.ok:
            told += self._hidden()
        told += [part["reason"] for part in (self.gradients, self.training) if part is not None]
        return [line for line in [*told, *self.missing] if line]

    def _hidden(self) -> list[str]:
        """A layer that differs where the outputs agree and no later layer does: an argmax or a saturated
        activation hides it. (What a later layer makes good, as where a normalisation is folded into a convolution,
        is no fault.) Layers that were paired by their order alone do not count. A layer for whose difference a
        cause was found, applied and held is a fault wherever it lies: what comes behind it makes it small, not good.
        """
        tried = {cause["layer"]: cause for cause in self.causes if cause["agrees"]}
        for layer in self.layers:
            if layer["status"] == "differs" and layer["how"] != "order" and layer["name"] in tried:
                said = tried[layer["name"]]
                return [
                    f"layer {layer['name']} differs though the outputs agree: {said['cause']}, {said['said']}"
                ]
        at = [
            i
            for i, layer in enumerate(self.layers)
            if layer["status"] == "differs" and layer["how"] != "order"
        ]
        if not at or any(layer["status"] == "agrees" for layer in self.layers[at[-1] + 1 :]):
            return []
        layer = next(self.layers[i] for i in at)
        off = (
            f" by {layer['max_abs']:.3g} where {layer['allowed']:.2g} is allowed"
            if layer.get("allowed")
            else ""
        )
        return [
            f"layer {layer['name']} differs{off} though the outputs agree: what comes after it hides the difference"
        ]

    @property
    def ok(self) -> bool:
        """Whether everything that was named was compared and agreed."""
        parts = [part["ok"] for part in (self.gradients, self.training) if part is not None]
        compared = self.comparison is not None and self.comparison.ok
        return self.error is None and compared and all(parts) and not self.reasons


@dataclass
class Verification:
    """All parts of one `tfport verify`, or the printed numbers of two scripts."""

    reference: str
    candidate: str
    parts: list[Part] = field(default_factory=list)
    printed: PrintedComparison | None = None
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    seed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything named was compared and agreed."""
        if self.printed is not None:
            return self.printed.ok
        return bool(self.parts) and all(part.ok for part in self.parts)

    @property
    def exit_status(self) -> int:
        """0 agreed, 1 not, 2 the request was wrong."""
        return 2 if any(part.usage for part in self.parts) else 0 if self.ok else 1


@dataclass
class Plan:
    """What to verify and how; the options of `tfport verify` and `tfport capture`, by the same names.

    `rtol` and `atol` override the calibrated tolerance when they are given. `gradients` and `steps` must be in a
    golden folder that is named; what the folder holds of them is compared also where they are not asked for.
    """

    reference: str
    candidate: str | None = None
    inputs: Sequence[str] = ()
    weights: str | None = None
    call_args: str = ""
    dtypes: Sequence[str] = ("float32",)
    devices: Sequence[str] = ("cpu",)
    seed: int = 0
    rtol: float | None = None
    atol: float | None = None
    python: str | None = None
    layers: str = "auto"
    calibrate: bool = True
    gradients: bool = False
    steps: int = 0
    loss: str | None = None
    optimizer: str | None = None
    train_step: str | None = None
    targets: Sequence[str] = ()
    batches: str | None = None
    tensors: Sequence[str] = ()
    signature: str | None = None
    map: str | None = None
    """A file that tells which tensor of the weights becomes which parameter of the candidate."""
    write_map: str | None = None
    """Where to write such a file in place of a comparison."""


def kind_of(reference: str) -> str:
    """What a reference is: `golden` (any folder that is no SavedModel), `savedmodel`, `graph` or `program`."""
    if os.path.isdir(reference):
        saved = os.path.isfile(os.path.join(reference, "saved_model.pb"))
        return "savedmodel" if saved else "golden"
    if os.path.basename(reference) == "saved_model.pb":
        return "savedmodel"
    return "graph" if reference.endswith(".pb") or ".pb:" in reference else "program"


def default_candidate(reference: str) -> str:
    """`model.py:build` -> `model_torch.py:build`, the name that `tfport convert` gives."""
    path, colon, name = reference.rpartition(":")
    if not colon:
        path, name = reference, ""
    stem, ext = os.path.splitext(path)
    return f"{stem}_torch{ext}{':' if name else ''}{name}"


def run_capture(plan: Plan, output: str | Path, *, update: bool = False) -> golden.Golden:
    """Captures the reference in its own process, in the Python that `plan.python` names.

    Leaves the golden folder `output` and returns it opened. Raises CaptureError in one line: no such file or
    name, no TensorFlow there, what the reference raised and where, a folder that exists (unless `update`).
    """
    split_reference(plan.reference)
    if plan.weights and not (os.path.exists(plan.weights) or os.path.exists(plan.weights + ".index")):
        raise CaptureError(f"--weights {plan.weights}: no such file")
    words = [plan.reference, "--output", str(output)]
    for option, values in (
        ("--input", plan.inputs),
        ("--tensor", plan.tensors),
        ("--target", plan.targets),
    ):
        for value in values:
            words += [option, value]
    for option, given in (
        ("--weights", plan.weights),
        ("--steps", plan.steps),
        ("--loss", plan.loss),
        ("--optimizer", plan.optimizer),
        ("--train-step", plan.train_step),
        ("--batches", plan.batches),
        ("--signature", plan.signature),
    ):
        if given:
            words += [option, str(given)]
    switches = {"--update": update, "--gradients": plan.gradients, "--no-calibrate": not plan.calibrate}
    words += [switch for switch, on in switches.items() if on]
    words += [f"--call-args={plan.call_args}", "--dtype", ",".join(plan.dtypes), "--layers", plan.layers]
    words += ["--seed", str(plan.seed)]
    before = _written(output)
    try:
        with bundle.written() as script:
            process = started([python_at(plan.python), script, *words], {"TF_CPP_MIN_LOG_LEVEL": "3"})
            try:
                ended(process, "capture")
            finally:
                _clear(Path(output), process.pid)
        if _written(output) == before:
            raise Unexplained(
                f"the capture in {python_at(plan.python)} ended well and wrote no golden folder"
            )
    except Unexplained:
        check_python(plan.python)
        raise
    return golden.read_golden(output)


def _clear(output: Path, pid: int) -> None:
    """Takes away what a capture left beside its output when it was killed; gives an old golden its name back."""
    output = output.resolve()
    for left in output.parent.glob(f".tfport-{pid}-*"):
        if left.name.endswith("-old") and not output.exists():
            left.rename(output)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _written(folder: str | Path) -> tuple[int, int] | None:
    """What tells one writing of a golden folder from another; None where there is none."""
    try:
        found = os.stat(os.path.join(folder, "manifest.json"))
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


@contextlib.contextmanager
def replayer() -> Iterator[subprocess.Popen[str]]:
    """A process that imports torch and waits for its request: started before the capture, it costs no time after it."""
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    process = started([sys.executable, "-m", "tfport.parity.replay"], {"PYTHONPATH": paths})
    with process:  # closes its pipes and waits
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def run_replay(
    reference: golden.Golden, candidate: str, output: str | Path, plan: Plan, process: subprocess.Popen[str]
) -> dict[str, Any]:
    """Runs the candidate in the torch process; returns its `result.json`, whose files lie in `output`."""
    split_target(candidate)
    request = {
        "golden": str(reference.folder),
        "candidate": candidate,
        "output": str(output),
        "call_args": plan.call_args or reference.manifest["call_args"],
        "dtypes": list(plan.dtypes),
        "devices": list(plan.devices),
        "layers": "all" if plan.tensors else plan.layers,
        "rtol": plan.rtol,
        "atol": plan.atol,
        "map": plan.map,
        "write_map": plan.write_map and os.path.abspath(plan.write_map),
    }
    path = Path(output) / "request.json"
    path.write_text(json.dumps(request), "utf-8")
    ended(process, "replay", f"{path}\n")
    made = Path(output) / "result.json"
    if not made.is_file():
        raise CaptureError(f"the candidate {candidate} ended the process before anything was compared")
    return json.loads(made.read_text("utf-8"))


def verify(plan: Plan) -> Verification:
    """Captures (or opens a golden folder), replays, compares; CaptureError when nothing could be run."""
    candidate = plan.candidate
    kind = kind_of(plan.reference)
    if candidate is None:
        if kind != "program":
            what = {"golden": "golden folder", "savedmodel": "SavedModel", "graph": "graph"}[kind]
            raise CaptureError(
                f"a {what} needs the candidate too: tfport verify {plan.reference} model_torch.py:NAME"
            )
        split_target(plan.reference)
        candidate = default_candidate(plan.reference)
    split_target(candidate)
    if plan.map and not os.path.isfile(plan.map):
        raise CaptureError(f"--map {plan.map}: no such file (tfport weights --write-map writes one)")
    done = Verification(plan.reference, candidate, seed=plan.seed)
    with tempfile.TemporaryDirectory(prefix="tfport-") as temporary, replayer() as process:
        start = time.perf_counter()
        if kind == "golden":
            reference = golden.read_golden(plan.reference)
            done.seed = reference.manifest["seed"]
        else:
            reference = run_capture(plan, Path(temporary) / "golden")
            done.seconds["capture"] = time.perf_counter() - start
        for dtype in plan.dtypes:
            holds(reference, reference.run(dtype), plan)
        start = time.perf_counter()
        result = run_replay(reference, candidate, temporary, plan, process)
        done.seconds["replay"] = time.perf_counter() - start
        done.versions = {"reference": reference.manifest["versions"], "candidate": result["versions"]}
        start = time.perf_counter()
        for run in result["runs"]:
            done.parts.append(part_of(reference, run, Path(temporary), plan))
        done.seconds["compare"] = time.perf_counter() - start
    return done


def holds(reference: golden.Golden, entry: Mapping[str, Any], plan: Plan) -> None:
    """Raises CaptureError unless the golden folder holds what the plan names."""
    place = str(reference.folder)
    again = f"capture again: tfport capture {reference.target} -o {place} --update"
    if kind_of(plan.reference) != "golden":  # captured just now, into a folder that is gone when this is read
        place, again = f"the run of {plan.reference}", "the capture cannot record it: leave out"
    recorded = (entry.get("training") or {}).get("steps", 0)
    layers = entry.get("layers") or []
    lacking = []
    if plan.gradients and not entry.get("gradients"):
        lacking.append(("--gradients", "no gradients"))
    if plan.steps > recorded:
        lacking.append(
            (f"--steps {plan.steps}", f"{recorded or 'no'} step{'s' * (recorded != 1)} of training")
        )
    for name in plan.tensors:
        if not any(names(name, layer) for layer in layers):
            lacking.append((f"--tensor {name}", "none of this name"))
    if plan.layers == "all" and entry["kind"] == "keras" and not layers:
        lacking.append(("--layers all", "no layers"))
    for option, what in lacking:
        raise CaptureError(f"{option}: {place} holds {what}; {again} {option}")


def names(tensor: str, layer: Mapping[str, Any]) -> bool:
    """Whether `--tensor` means this layer: its name, with or without `:0`, or a scope that it is in."""
    wanted, name = tensor.removesuffix(":0").rstrip("/"), layer["name"].removesuffix(":0")
    return name == wanted or name.startswith((wanted + "/", wanted + ":"))


def part_of(reference: golden.Golden, run: dict[str, Any], folder: Path, plan: Plan) -> Part:
    """One entry of a replay's `result.json` beside the reference; its tensors are read from `folder`."""
    part = Part(
        run["dtype"], run["device"], notes=run["notes"], must_agree=plan.layers == "all" or bool(plan.tensors)
    )
    part.error, part.usage = run["error"], run["usage"]
    if part.error:
        if part.error.startswith("the weights do not fit"):
            part.error += f" (the golden is a run of {reference.target}: is it this model's?)"
        return part
    entry = reference.run(part.dtype)
    part.notes = [*entry["notes"], *part.notes, *doubts(entry, reference.tensors(entry))]
    wander, depth = calibration(reference, entry)
    part.comparison = compare(
        outputs_of(reference.tensors(entry)),
        outputs_of(golden.read_tensors(folder / run["tensors"])),
        rtol=plan.rtol,
        atol=plan.atol,
        wander=wander,
        depth=depth,
        python_dtype=part.dtype,
    )
    part.layers_left_out = entry.get("layers_left_out", 0)
    part.layers, part.first, part.causes = run.get("layers") or [], run.get("first"), run.get("causes") or []
    part.gradients, part.training = run.get("gradients"), run.get("training")
    for what, recorded, compared in (
        ("gradients", entry.get("gradients"), part.gradients),
        ("training", entry.get("training"), part.training),
    ):
        if recorded and compared is None:
            part.missing.append(f"{what}: recorded in the reference and not compared")
    part.layers_recorded = len(entry.get("layers") or [])
    if plan.layers == "all" and part.layers_recorded and not part.layers:
        part.missing.append("layers: --layers all was asked for and none was compared")
    for tensor in plan.tensors:
        found = [layer for layer in part.layers if names(tensor, layer)]
        excused = vouched(entry.get("layers") or [], part.layers, tensor)
        lost = [
            x
            for i, x in enumerate(part.layers)
            if x in found and x["status"] == "not compared" and i not in excused
        ]
        if lost:
            part.missing.append(f"--tensor {tensor}: {unseen(tensor, lost)}")
        if not found:
            part.missing.append(f"--tensor {tensor}: it was not compared")
    return part


def verify_scripts(reference: str, candidate: str | None, plan: Plan) -> Verification:
    """Runs two scripts, each in its own process, and compares what they print."""
    candidate = candidate or default_candidate(reference)
    for path in (reference, candidate):
        if not os.path.isfile(path):
            raise CaptureError(f"{path}: no such file")
    done = Verification(reference, candidate, seed=plan.seed)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONHASHSEED": "0"}
    start = time.perf_counter()
    wanted = ran([python_at(plan.python), reference], os.path.basename(reference), quiet)
    between = time.perf_counter()
    try:
        given = ran([sys.executable, candidate], os.path.basename(candidate), quiet)
    except CaptureError as error:
        done.printed = PrintedComparison(error=str(error))
        return done
    done.seconds = {"reference": between - start, "candidate": time.perf_counter() - between}
    rtol = 1e-5 if plan.rtol is None else plan.rtol
    done.printed = compare_printed(wanted, given, rtol=rtol, atol=plan.atol or 0.0)
    return done
