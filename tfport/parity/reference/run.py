"""One run in one dtype, and the runs of all dtypes."""

import collections
import inspect
import os
import re

from tfport.parity.reference.environment import constants_in_full, reset, seed_all, tune_precision
from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.graphs_built import feeds_of, graph_of, symbolic_parts, tensors_in
from tfport.parity.reference.keras_layers import is_keras
from tfport.parity.reference.run_functions import FunctionRun
from tfport.parity.reference.run_keras import KerasRun
from tfport.parity.reference.store import Store
from tfport.parity.reference.targets import binds, load_target, parse_call, required


class Run(KerasRun, FunctionRun):
    """One run of the program in one dtype. `write(folder)` leaves its files there, `entry` is its manifest entry.

    A float64 run with a float32 run as its `base` takes the base's weights and tells the base how far every
    tensor wanders by rounding; with `kept` false that is all it does. Files are complete after `close()`.
    """

    def write(self, folder):
        """Runs the program; raises CaptureError with what it raised."""
        if self.dtype != "float64":
            return self.made(folder)
        used = set()
        with constants_in_full(self.tf, used):
            entry = self.made(folder)
        for name in sorted(used):
            told = "%s of float64 was taken with its constants in full, which TensorFlow rounds to float32"
            if name not in ("gelu", "leaky_relu"):
                told = "%s of float64 was computed in float64, which TensorFlow does in float32 alone"
            self.notes.append(told % name)
        return entry

    def made(self, folder):
        """`write`, with TensorFlow as it is."""
        tf, options = self.tf, self.options
        self.folder = folder
        twin = self.base is not None and not self.kept
        self.rewritten = twin and not tf.executing_eagerly()  # a graph is built in float32, then rewritten
        path = os.path.join(folder, self.entry["tensors"])
        self.store = Store(path if self.kept else None, self.base.store if self.base else None)
        if not self.path.endswith(".py"):
            reset(tf, self.dtype, options.seed)
            tune_precision(tf)
            self.program()
            self.entry["notes"] = self.notes
            return self.entry
        args, kwargs = parse_call(options.call_args)
        model, outputs = self.load(args, kwargs)
        if not is_keras(model) and self.dtype == "float64" and not (self.rewritten or tf.executing_eagerly()):
            self.rewritten = True  # also where the run is asked for, and is no twin
            model, outputs = self.load(args, kwargs)
        if is_keras(model):
            self.keras(model)
        elif outputs is None:
            self.function(model, self.user_module, args, kwargs)
        else:
            self.keep(outputs)
            self.entry["kind"] = "function"
        self.entry["notes"] = self.notes
        self.model = None
        if self.pair is not None:
            self.pair.close()
        return self.entry

    def load(self, args, kwargs):
        """Imports the file into a fresh state and builds what is named: see `build`."""
        reset(self.tf, "float32" if self.rewritten else self.dtype, self.options.seed)
        tune_precision(self.tf)
        module, found = load_target(self.path, self.name)
        self.user_module, self.built = module, None
        tune_precision(self.tf)
        seed_all(self.tf, self.options.seed)
        return self.guard(lambda: self.build(found, args, kwargs))

    def build(self, found, args, kwargs):
        """-> (model or function, None), or (None, outputs) of a function that takes nothing more."""
        if is_keras(found) or isinstance(found, self.tf.Module) or not callable(found):
            if not callable(found):
                raise CaptureError("%s is a %s: nothing to call" % (self.name, type(found).__name__))
            return found, None
        if inspect.isclass(found):
            if not binds(found, args, kwargs):
                need = ", ".join(required(found) or [])
                raise CaptureError("%s needs arguments (%s): pass --call-args" % (self.name, need))
            made = found(*args, **kwargs)
            if not callable(made):
                raise CaptureError(self.advice(found, made))
            return made, None
        if binds(found, args, kwargs) and not (required(found) and self.takes_inputs(found, args, kwargs)):
            result = self.watched(lambda: found(*args, **kwargs))
            if is_keras(result) or (isinstance(result, self.tf.Module) and callable(result)):
                return result, None
            parts = symbolic_parts(self.tf, result)
            if not parts and not isinstance(result, (dict, list, tuple)) and tensors_in(self.tf, result):
                raise CaptureError(self.advice(type(result), result))
            if parts and (not self.options.input or self.is_fed(parts)):
                self.built = result
                return found, None
            if not self.options.input:
                return None, result
            if not self.tf.executing_eagerly():
                self.tf.compat.v1.reset_default_graph()
            seed_all(self.tf, self.options.seed)
        return found, None

    def takes_inputs(self, function, args, kwargs):
        """Whether a function has room for the inputs beside the arguments of --call-args: one that has none is a builder."""
        names = [
            spec.partition("=")[0] if re.match(r"[A-Za-z_]\w*=", spec) else None
            for spec in self.options.input
        ]
        plain = [None for name in names if not name]
        return bool(names) and binds(
            function, plain + list(args), dict(kwargs, **{n: None for n in names if n})
        )

    def is_fed(self, parts):
        """Whether a graph's tensors depend on placeholders."""
        graph = graph_of(self.tf, parts)
        return any(feeds_of(graph, parts))

    def advice(self, kind, made):
        """Why an object is nothing to compare, with the tensors that it holds."""
        held = tensors_in(self.tf, made)
        told = "a %s is nothing to call" % kind.__name__
        if not held:
            return told
        call = "%s(%s)" % (kind.__name__, self.options.call_args or "...")
        told += ": write a function that returns its tensors, def build(): return %s.%s, and name it; it has " % (
            call, "logits" if "logits" in held else held[-1])  # fmt: skip
        return told + ", ".join(held[:12])


def run_all(tf, options, folder):
    """Every dtype that is asked for; float32 comes first, and a run in float64 measures how far it wanders.

    Returns the manifest's entries in the order that was asked for.
    """
    asked, runs = options.dtype.split(","), collections.OrderedDict()
    opened, well = [], False
    try:
        for dtype in sorted(set(asked)):
            base = runs.get("float32") if dtype == "float64" and options.calibrate else None
            runs[dtype] = Run(tf, options, dtype, base)
            opened.append(runs[dtype])
            runs[dtype].write(folder)
        first, second = runs.get("float32"), runs.get("float64")
        if first is not None and options.calibrate and not first.entry["wander"]:
            if second is None or not second.measures or first.twin is not None:
                second = first.make_twin()
            if second is not None:
                second.measure()
        well = True
    finally:
        for run in opened:
            run.close(well)
    return [runs[dtype].entry for dtype in asked]
