"""A run's state, and what runs of every kind do."""

import collections
import os
import traceback

from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.inputs import make_inputs, spec_of_model
from tfport.parity.reference.manifest import new_entry
from tfport.parity.reference.targets import describe, split_reference
from tfport.parity.reference.training import Training
from tfport.parity.reference.values import as_value, flatten


class BaseRun:
    """The state of a run, what goes into its files, and its twin in float64."""

    def __init__(self, tf, options, dtype, base=None, kept=True):
        self.tf, self.options, self.dtype, self.base, self.kept = tf, options, dtype, base, kept
        self.path, self.name = split_reference(options.target)
        self.notes, self.entry = [], new_entry(dtype)
        self.folder = self.store = self.model = self.how = None
        self.given = []  # the inputs, (name or None, array)
        self.tensors = []  # the same as tensors
        self.weights = None  # arrays of a Keras model's weights, for the twin in float64
        self.variables = collections.OrderedDict()  # name -> `Value` of a function's or module's variables
        self.graph = collections.OrderedDict()  # initial values of a graph's variables
        self.user_module = self.training = self.twin = None
        self.depth, self.times, self.keys = 1, collections.Counter(), {}  # of a graph's tensors
        self.built = None  # what a function that takes no arguments has built in a graph
        self.rewritten, self.pair = False, None
        self.measures = True  # whether this run has the weights of its base

    def measure(self):
        """Gives the base what its tensors wandered, as far as this run had the same weights."""
        entry = self.base.entry
        if not self.measures:
            entry["notes"].append("not calibrated: the run in float64 has other weights")
            return
        entry["wander"] = self.store.wander
        for name, why in self.store.unlike.items():
            if name.startswith("outputs/"):
                entry["notes"].append("%s is not calibrated: %s" % (name[8:], why))

    def close(self, well=True):
        """Completes the file of tensors, or clears it away."""
        if self.store is not None:
            self.store.close(well)

    def guard(self, action):
        try:
            return action()
        except CaptureError:
            raise
        except (Exception, SystemExit) as error:  # the reference may raise anything, and may end the program
            if os.environ.get("TFPORT_TRACEBACK"):
                traceback.print_exc()
            raise CaptureError("the reference raised %s" % describe(error, self.path))

    def put_inputs(self, inputs, how="arguments", tensors=()):
        """Stores the inputs, before the program runs, so that what passes them on is known again."""
        self.given, self.how, self.tensors = inputs, how, list(tensors)
        for i, (name, array) in enumerate(inputs):
            key = "inputs/%s" % (name or i)
            self.store.put(key, as_value(array), self.tensors[i] if self.tensors else None)
            self.entry["inputs"].append({"name": name, "tensor": key})
            self.entry["depth"][key] = 0
        self.entry["pass_inputs"] = how

    def keep(self, outputs, depth=1):
        """Stores what the program returned; `depth` is the number of layer calls behind it."""
        leaves = flatten(outputs)
        if all(value.dtype in ("none", "list") for value in leaves.values()):
            raise CaptureError("%s returned nothing to compare" % self.name)
        for name, value in leaves.items():
            self.store.put("outputs/" + name, value)
            self.entry["depth"]["outputs/" + name] = depth
        self.entry["outputs"] = list(leaves)

    def inputs(self, model=None):
        specs = self.options.input or (spec_of_model(model) if model is not None else [])
        return make_inputs(specs, self.options.seed, self.dtype)

    def train(self, kind, model, variables, trainable, call):
        """Records gradients and steps where they are asked for. `call(tensors, training)` makes the outputs."""
        self.training = Training(self, kind, model, variables, trainable, call, self.given)
        if self.kept:
            calibrated = self.dtype == "float32" and self.options.calibrate
            self.training.write(self.folder, self.twin_training if calibrated else None)

    def twin_training(self):
        """The same training in float64 with this run's weights, or None where there is none."""
        twin = self.make_twin()
        return twin.training if twin is not None else None

    def make_twin(self):
        """Runs the program in float64 with this run's weights, to measure; None, and a note, if it cannot run."""
        if self.twin is None:
            self.twin = type(self)(self.tf, self.options, "float64", self, kept=False)
            try:
                self.twin.write(self.folder)
            except CaptureError as error:
                told = str(error).replace("the reference raised ", "in float64 the reference raises ")
                self.notes.append("not calibrated: " + told)
                self.twin.measures = None
        return None if self.twin.measures is None else self.twin
