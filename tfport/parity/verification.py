"""Both runs, each in its own process, and their comparison: what `tfport verify` does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfport.parity import capture as capture_file
from tfport.parity import golden
from tfport.parity.aligned import LayerComparison, compare_layers
from tfport.parity.capture import CaptureError, split_target
from tfport.parity.comparison import Comparison, compare
from tfport.parity.printed import PrintedComparison, compare_printed


@dataclass
class Part:
    """The comparison in one dtype on one device. `error` tells why there is none."""

    dtype: str
    device: str
    comparison: Comparison | None = None
    layers: list[LayerComparison] = field(default_factory=list)
    layers_left_out: int = 0
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    usage: bool = False
    """Whether the error is one of the request (a name or device that is not there), not of the candidate."""

    @property
    def ok(self) -> bool:
        """Whether it was compared and agreed."""
        return self.error is None and self.comparison is not None and self.comparison.ok


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
    """What to verify and how. `rtol` and `atol` override the tolerance by dtype when they are given."""

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
    split_target(plan.reference)
    if plan.weights and not os.path.isfile(plan.weights):
        raise CaptureError(f"--weights {plan.weights}: no such file")
    command = [_python(plan.python), capture_file.__file__, plan.reference, "--output", str(output)]
    for spec in plan.inputs:
        command += ["--input", spec]
    if plan.weights:
        command += ["--weights", plan.weights]
    if update:
        command += ["--update"]
    command += [f"--call-args={plan.call_args}", "--dtype", ",".join(plan.dtypes), "--layers", plan.layers]
    _run([*command, "--seed", str(plan.seed)], "capture", {"TF_CPP_MIN_LOG_LEVEL": "3"})
    return golden.read_golden(output)


def run_replay(reference: golden.Golden, candidate: str, output: str | Path, plan: Plan) -> dict[str, Any]:
    """Runs the candidate in its own torch process; returns its `result.json`, whose files lie in `output`."""
    split_target(candidate)
    request = {
        "golden": str(reference.folder),
        "candidate": candidate,
        "output": str(output),
        "call_args": plan.call_args or reference.manifest["call_args"],
        "dtypes": list(plan.dtypes),
        "devices": list(plan.devices),
        "layers": plan.layers != "none",
    }
    path = Path(output) / "request.json"
    path.write_text(json.dumps(request), "utf-8")
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    _run([sys.executable, "-m", "tfport.parity.replay", str(path)], "replay", {"PYTHONPATH": paths})
    return json.loads((Path(output) / "result.json").read_text("utf-8"))


def verify(plan: Plan) -> Verification:
    """Captures (or opens a golden folder), replays, compares; CaptureError when nothing could be run."""
    candidate = plan.candidate
    is_golden = os.path.isdir(plan.reference)
    if candidate is None:
        if is_golden:
            raise CaptureError(
                "a golden folder needs the candidate too: tfport verify GOLDEN model_torch.py:NAME"
            )
        split_target(plan.reference)
        candidate = default_candidate(plan.reference)
    split_target(candidate)
    done = Verification(plan.reference, candidate, seed=plan.seed)
    with tempfile.TemporaryDirectory(prefix="tfport-") as temporary:
        start = time.perf_counter()
        if is_golden:
            reference = golden.read_golden(plan.reference)
            done.seed = reference.manifest["seed"]
        else:
            reference = run_capture(plan, Path(temporary) / "golden")
            done.seconds["capture"] = time.perf_counter() - start
        for dtype in plan.dtypes:
            reference.run(dtype)
        start = time.perf_counter()
        result = run_replay(reference, candidate, temporary, plan)
        done.seconds["replay"] = time.perf_counter() - start
        done.versions = {"reference": reference.manifest["versions"], "candidate": result["versions"]}
        start = time.perf_counter()
        for run in result["runs"]:
            done.parts.append(part_of(reference, run, Path(temporary), plan))
        done.seconds["compare"] = time.perf_counter() - start
    return done


def part_of(reference: golden.Golden, run: dict[str, Any], folder: Path, plan: Plan) -> Part:
    """One entry of a replay's `result.json` beside the reference; its tensors are read from `folder`."""
    part = Part(run["dtype"], run["device"], notes=run["notes"])
    part.error, part.usage = run["error"], run["usage"]
    if part.error:
        return part
    entry = reference.run(part.dtype)
    part.notes = [*entry["notes"], *part.notes]
    wanted, given = reference.tensors(entry), golden.read_tensors(folder / run["tensors"])
    outputs = [
        {name.removeprefix("outputs/"): v for name, v in side.items() if name.startswith("outputs/")}
        for side in (wanted, given)
    ]
    part.comparison = compare(outputs[0], outputs[1], rtol=plan.rtol, atol=plan.atol, python_dtype=part.dtype)
    part.layers_left_out = entry.get("layers_left_out", 0)
    part.layers = compare_layers(entry.get("layers", []), wanted, given, plan.rtol)
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
    wanted = _run([_python(plan.python), reference], os.path.basename(reference), quiet)
    between = time.perf_counter()
    try:
        given = _run([sys.executable, candidate], os.path.basename(candidate), quiet)
    except CaptureError as error:
        done.printed = PrintedComparison(error=str(error))
        return done
    done.seconds = {"reference": between - start, "candidate": time.perf_counter() - between}
    rtol = 1e-5 if plan.rtol is None else plan.rtol
    done.printed = compare_printed(wanted, given, rtol=rtol, atol=plan.atol or 0.0)
    return done


def _python(named: str | None) -> str:
    if not named:
        return sys.executable
    found = shutil.which(named)
    if not found:
        raise CaptureError(f"--python {named}: no such program")
    return found


def _run(command: list[str], what: str, environment: dict[str, str]) -> str:
    """Runs a process, returns its stdout; raises CaptureError with the one line it gives as its error."""
    env = {**environment, **os.environ} | {k: v for k, v in environment.items() if k == "PYTHONPATH"}
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise CaptureError(f"{command[0]}: {error.strerror}") from None
    if os.environ.get("TFPORT_TRACEBACK"):
        sys.stderr.write(done.stderr)
    if done.returncode == 0:
        return done.stdout
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    told = [line.removeprefix("tfport: ") for line in lines if line.startswith("tfport: ")]
    if told:
        raise CaptureError(told[-1])
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
    frames = [line for line in lines if line.startswith('File "') and os.path.basename(command[1]) in line]
    place = f" ({frames[-1].split(', in ')[0]})" if frames else ""
    raise CaptureError(f"{what} ended with {ended}: {lines[-1] if lines else 'it printed no error'}{place}")
