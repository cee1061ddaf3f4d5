"""The torch run: feeds what a golden folder holds to the converted program and writes what comes out.

Runs in a process of its own, `python -m tfport.parity.replay REQUEST.json`, in which TensorFlow cannot be
imported. The request (see `Request`) names the golden folder, the candidate `model_torch.py:NAME`, dtypes and
devices; for each pair of them one safetensors file and an entry in `result.json` is written.
"""

from __future__ import annotations

import gc
import inspect
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np

from tfport.parity import golden, layouts, orders
from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.store import write_tensors
from tfport.parity.reference.targets import (
    alone,
    binds,
    describe,
    load_target,
    parse_call,
    required,
    split_target,
)
from tfport.parity.reference.values import Value, flatten
from tfport.parity.replay_inputs import Inputs
from tfport.parity.replay_weights import Weights


@dataclass
class Request:
    """What one replay process is asked to do."""

    golden: str
    candidate: str
    output: str
    call_args: str = ""
    dtypes: Sequence[str] = ("float32",)
    devices: Sequence[str] = ("cpu",)
    layers: str = "auto"
    """`auto` (when the outputs disagree), `all` or `none`."""
    map: str | None = None
    """A map of weights, `tfport.load_weights(map=...)`."""
    write_map: str | None = None
    """Where to write one in place of a comparison."""
    rtol: float | None = None
    atol: float | None = None


def _moved(value: Value, order: tuple[int, ...]) -> Value:
    return Value(np.asarray(value.array.transpose(order), order="C"), value.dtype)


class NoTensorFlow:
    """An import hook that refuses TensorFlow, which must not share a process with torch.

    Looking for it is allowed, as torch's own compiler does: the refusal comes when it is loaded.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """A spec that cannot be loaded for tensorflow; everything else is left to the other finders."""
        return ModuleSpec(name, self) if name.split(".")[0] == "tensorflow" else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Raises ImportError."""
        raise ImportError("the candidate imports TensorFlow: it is not converted", name=spec.name)

    def exec_module(self, module: Any) -> None:
        """Never reached; importlib asks for both methods."""


def replay(request: Request) -> dict[str, Any]:
    """Runs every dtype on every device. Returns what `result.json` holds; the files are beside it."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    reference = golden.read_golden(request.golden)
    runs = []
    for dtype in request.dtypes:
        for device in request.devices:
            run: dict[str, Any] = {"dtype": dtype, "device": device, "notes": []}
            run |= {"tensors": None, "error": None, "usage": False, "layers": [], "first": None, "causes": []}
            run |= {"gradients": None, "training": None}
            runs.append(run)
            try:
                if device.startswith("cuda") and not torch.cuda.is_available():
                    raise UsageError(f"--device {device}: torch finds no such device")
                Replay(request, reference, dtype, device, run).write()
            except CaptureError as error:
                run["error"], run["usage"] = str(error), isinstance(error, UsageError)
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "numpy": np.__version__}
    return {"runs": runs, "versions": versions, "threads": torch.get_num_threads()}


class Replay(Inputs, Weights):
    """The candidate in one dtype on one device."""

    def __init__(
        self, request: Request, reference: golden.Golden, dtype: str, device: str, run: dict[str, Any]
    ) -> None:
        import torch

        self.request, self.device, self.run, self.reference = request, device, run, reference
        self.folder = reference.folder
        self.seed = int(reference.manifest["seed"])
        self.source_sha256 = reference.manifest["source_sha256"]
        self.entry = reference.run(dtype)
        self.given = reference.tensors(self.entry)
        self.dtype = getattr(torch, dtype)
        self.path, self.name = split_target(request.candidate)
        self.args, self.kwargs = parse_call(request.call_args)
        self.record: Mapping[str, Any] = {}
        self.orders: list[tuple[int, ...]] = []
        self.carried = False  # whether the record is the model's own attribute
        self.renamed: dict[
            str, str | None
        ] = {}  # the reference's name of an input -> the candidate's, None: not passed
        self.where: tuple[str, ...] = ()  # how the record may name the candidate's forward
        self.model: Any = None  # the nn.Module, once it holds the reference's weights
        self.target: Any = None  # what was called
        self.carrier: Any = None  # who has told which layer's weights a module takes, without a record

    def write(self) -> None:
        """Runs the candidate and writes its outputs and layers."""
        import torch

        torch.set_default_dtype(self.dtype)
        self.seeds()
        zoo = sys.modules.get("tfport.compat.keras.zoo")
        if zoo is not None:  # each run of this process builds its own model: automatic names start again
            zoo.clear()
        module, found = load_target(self.path, self.name)
        self.seeds()
        start = time.perf_counter()
        outputs = self.call(module, found)
        self.run["seconds"] = round(time.perf_counter() - start, 3)
        flat = flatten(outputs).items()
        leaves = {name: self.back(i, name, value) for i, (name, value) in enumerate(flat)}
        tensors = {f"outputs/{name}": value for name, value in leaves.items()}
        self.run["tensors"] = f"{self.entry['dtype']}-{self.device.replace(':', '')}.safetensors"
        write_tensors(Path(self.request.output) / self.run["tensors"], tensors)
        if self.entry.get("gradients") or self.entry.get("training"):
            self.run |= self.train(module)

    def train(self, user: Any) -> Mapping[str, Any]:
        """Gradients and steps of training, where the golden holds them: `tfport.parity.training`."""
        from tfport.parity import training

        told = self.name if self.name in (self.record.get("models") or {}) else None
        context = training.Context(
            self.entry, self.folder, self.model, self.model or self.target, user, self.record, told, self.device,
            self.dtype, self.seed, self.guard, self.parameters, self.names, self.where, self.request.map, self.renamed,
            load=self.carrier and self.carrier.load,
        )  # fmt: skip
        made = training.replay_recorded(context, training.Tolerance(self.request.rtol, self.request.atol))
        self.run["notes"] += context.notes
        return made

    def seeds(self) -> None:
        """Seeds Python, NumPy and torch as the reference was seeded."""
        import torch

        random.seed(self.seed)
        np.random.seed(self.seed)
        torch.manual_seed(self.seed)

    def guard(self, action: Callable[[], Any], doing: str = "the candidate raised") -> Any:
        """Runs the user's code; whatever it raises becomes one line with the user's own file and line."""
        try:
            return action()
        except CaptureError:
            raise
        except (Exception, SystemExit) as error:  # the candidate may raise anything, and may end the program
            if os.environ.get("TFPORT_TRACEBACK"):
                traceback.print_exc()
            raise CaptureError(f"{doing} {describe(error, self.path)}") from error

    def call(self, module: Any, found: Any) -> Any:
        """Builds what is named, carries the weights and calls it with the recorded inputs."""
        import torch

        target = found
        weights = self.entry.get("weights")
        is_module = isinstance(found, torch.nn.Module)
        builds = self.entry["kind"] in ("keras", "module") or inspect.isclass(found)
        builds = builds or (not is_module and self.builds(found))
        if not is_module and builds:
            if not binds(found, self.args, self.kwargs):
                need = ", ".join(required(found) or [])
                raise UsageError(f"{self.name} needs arguments ({need}): pass --call-args")
            target = self.guard(lambda: found(*self.args, **self.kwargs))
            if not callable(target):
                raise CaptureError(f"{self.name} returns a {type(target).__name__}: nothing to call")
        args, kwargs = ([], {}) if builds or is_module else (self.args, self.kwargs)
        if isinstance(target, torch.nn.Module):
            return self.call_module(target, weights)
        if weights and weights["kind"] in ("keras", "variables"):
            raise CaptureError(f"{self.name} is a function, which has no place for the reference's weights")
        if weights and weights["kind"] == "graph":
            self.run["notes"].append(
                "the graph's variables are not carried: the candidate is a plain function; make it an nn.Module, or a "
                "function without arguments that returns one, to have them loaded"
            )
        elif weights:
            self.set_globals(module, self.folder / weights["file"])
        self.find_record(target)
        self.target = target
        plain, named = self.inputs(target, (self.name, self.name + ".forward"))
        return self.forward(None, lambda: target(*plain, *args, **{**kwargs, **named}))

    def builds(self, found: Any) -> bool:
        """Whether a function makes the candidate: it takes the builder's arguments, and no inputs beside them."""
        import torch

        inputs = [told["name"] for told in self.entry["inputs"]]
        if not callable(found) or not inputs or not binds(found, self.args, self.kwargs):
            return False
        named = dict.fromkeys(name for name in inputs if name)
        plain = [None for name in inputs if not name]
        if binds(found, [*plain, *self.args], {**self.kwargs, **named}):
            return False
        known = self.parameters(found)
        if plain and binds(found, [*plain, *self.args], {k: v for k, v in named.items() if k in known}):
            return False
        made = self.guard(lambda: found(*self.args, **self.kwargs))
        self.seeds()
        return isinstance(made, torch.nn.Module)

    def call_module(self, module: Any, weights: Mapping[str, str] | None) -> Any:
        """Inference of an nn.Module with the reference's weights."""
        import torch

        module = module.to(device=self.device, dtype=self.dtype).eval()
        self.model = module
        self.find_record(module)
        where = (type(module).__name__ + ".forward", type(module).__name__ + ".call", "forward", self.name)
        if not self.record and not self.is_unbuilt(module):
            self.try_orders(module, where)
        plain, named = self.inputs(called(module), where)
        with torch.no_grad():
            if weights and self.is_unbuilt(module):
                self.guard(lambda: module(*plain, **named))  # lazy modules take their sizes from a call
                if self.carried:
                    self.record = module.tfport_record  # it tells of the layers that the call has made
            self.model, self.called = module, lambda: module(*plain, **named)
            self.carry(module, weights)
            return self.forward(module, self.called)

    def try_orders(self, module: Any, where: tuple[str, ...]) -> None:
        """Finds in which axis order a module without a record takes its inputs, by running it."""
        import torch

        def run(taken: orders.Taken) -> None:
            self.record = orders.as_record(taken, where[0])
            plain, named = self.inputs(called(module), where)
            with torch.no_grad():
                module(*plain, **named)

        ranks = [self.given[told["tensor"]].array.ndim for told in self.entry["inputs"]]
        taken = orders.orders_taken(ranks, run)
        self.record = orders.as_record(taken, where[0])
        self.seeds()
        if taken:
            kept = "no conversion record: arguments keep TensorFlow's axis order"
            said = ", ".join(f"input {i} {layout}" for i, layout in taken.items())
            self.run["notes"] = [note for note in self.run["notes"] if note != kept]
            self.run["notes"].append(
                f"no conversion record: the candidate does not run on TensorFlow's axis order, but on {said}"
            )

    def find_record(self, target: Any) -> None:
        """The conversion's record: carried by the model, else the .tfport.json beside the file."""
        record = getattr(target, "tfport_record", None)
        self.carried = record is not None
        if record is None:
            record = self.beside() or None
        if record is None:
            self.run["notes"].append("no conversion record: arguments keep TensorFlow's axis order")
        self.record = record or {}
        told = self.record.get("source_sha256")
        if told and told != self.source_sha256:
            self.run["notes"].append("the conversion record was made from another version of the reference")

    def back(self, index: int, name: str, value: Value) -> Value:
        """An output in TensorFlow's axis order: as the record's `results` say, else as the arguments."""
        results = self.record.get("results")
        for told in results or []:
            if told.get("result") in (index, name) and self.concerns(told):
                order = layouts.inverse(layouts.permutation(told["layout"])) if told["layout"] else ()
                return _moved(value, order) if value.array.ndim == len(order) > 0 else value
        wanted = self.given.get(f"outputs/{name}")
        if wanted is None or results is not None:
            return value
        shape, free = value.array.shape, self.told is None
        order_back = layouts.way_back(shape, wanted.array.shape, self.orders, free)
        if order_back is None or value.array.ndim != wanted.array.ndim:
            return value
        why = "as the arguments' were changed" if self.orders else "the one that fits its shape"
        note = f"{name}: axes put back in TensorFlow's order, {why}"
        if note not in self.run["notes"]:
            self.run["notes"].append(note)
        return _moved(value, order_back)

    def localiser(self, module: Any) -> Any:
        """The reference's layers beside the candidate's modules (None: a plain function)."""
        from tfport.parity.localise import Localiser

        entry = self.calibrated()
        if self.request.layers == "none":
            entry["layers"] = []
        recorded = self.layers(module) if module is not None else ()
        request = self.request
        return Localiser(
            entry, self.given, module, recorded, self.device, request.rtol, request.atol, self.seeds
        )

    def forward(self, module: Any, action: Callable[[], Any]) -> Any:
        """Runs the candidate, its layers compared on the way; then finds the fault where there is one."""
        localiser = self.localiser(module)
        if not localiser.useful:
            return self.guard(action)
        try:
            outputs = self.guard(lambda: localiser.plain(action))
        except CaptureError as error:
            self.run["layers"] = [layer.as_dict() for layer in localiser.layers]
            return self.unwatched(action, error)
        given = self.tensors(outputs)
        agrees = localiser.agree(given)
        if self.request.layers == "all" or not agrees or localiser.doubtful:
            try:
                localiser.locate(action, self.tensors)
            except Exception as error:  # the candidate may not stand other values than its own
                if os.environ.get("TFPORT_TRACEBACK"):
                    traceback.print_exc()
                told = describe(error, self.path)
                self.run["notes"].append(f"layers: the search for the fault was stopped by {told}")
        self.run["layers"] = [layer.as_dict() for layer in localiser.layers]
        self.run["forced"] = [layer.as_dict() for layer in localiser.forced]
        if self.request.layers == "all" or not agrees or localiser.causes:
            self.run["first"], self.run["causes"] = localiser.first, localiser.causes
        return outputs

    def unwatched(self, action: Callable[[], Any], error: CaptureError) -> Any:
        """A candidate that raised while it was watched: once more without. Raises what it then raises, with the
        first layer that differed before.
        """
        self.seeds()
        try:
            outputs = self.guard(action)
        except CaptureError as own:
            differing = next((layer for layer in self.run["layers"] if layer["status"] == "differs"), None)
            if differing is None:
                raise
            told = f"layer {differing['name']} ({differing['kind']}) differs before that"
            raise CaptureError(
                f"{own}; {told}{': ' * bool(differing['reason'])}{differing['reason']}"
            ) from own
        self.run["notes"].append(f"layers were not compared: the candidate cannot be watched ({error})")
        self.run["layers"] = []
        return outputs

    def tensors(self, outputs: Any) -> dict[str, Any]:
        """The outputs as tensors by the reference's names, in TensorFlow's axis order; text is left out."""
        import torch

        made = {}
        for i, (name, value) in enumerate(flatten(outputs).items()):
            value = self.back(i, name, value)
            if value.array.dtype.kind in "fiub":
                made[f"outputs/{name}"] = torch.from_numpy(np.asarray(value.array, order="C")).to(self.device)
        return made


def called(module: Any) -> Callable[..., Any]:
    """What takes a module's arguments: forward, or the `call` to which a Keras layer of compat hands them on."""
    own = getattr(module, "call", None)
    return own if callable(own) and Inputs.takes_any(module.forward) else module.forward  # type: ignore[no-any-return]


def main(argv: list[str]) -> int:
    """`python -m tfport.parity.replay`: reads the path of a request from stdin; 0 when `result.json` was written."""
    sys.meta_path.insert(0, NoTensorFlow())
    gc.disable()  # torch's objects stay: to look at them while they are made is a tenth of this import
    import torch  # noqa: F401  # while the capture runs

    gc.enable()
    gc.freeze()
    path = argv[0] if argv else sys.stdin.readline().strip()
    if not path:  # nothing could be captured
        return 0
    raw = json.loads(Path(path).read_text("utf-8"))
    request = Request(**raw)
    alone(request.candidate.rpartition(":")[0])
    try:
        result = replay(request)
    except CaptureError as error:
        sys.stderr.write(f"\ntfport: {error}\n")
        return 2
    (Path(request.output) / "result.json").write_text(json.dumps(result), "utf-8")
    return 0


if __name__ == "__main__":
    del sys.path[0]  # where verify was called: the reference's modules may lie there, under the same names
    sys.exit(main(sys.argv[1:]))
