"""Training: what is recorded of it, and the gradients in inference mode."""

import os

import numpy as np

from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.keras_weights import save_weights
from tfport.parity.reference.store import Store
from tfport.parity.reference.training_steps import Steps
from tfport.parity.reference.training_tensors import dense, gap, tensors_of
from tfport.parity.reference.values import as_value


class Training:
    """Gradients and steps of training of one model in one dtype.

    `call(tensors, training)` makes the outputs, `variables` are pairs (name, variable) of all that the weights'
    file holds, `trainable` the variables that are trained. Values go to `DTYPE.training.safetensors` under
    `gradients/...` and `training/STEP/...`, a variable's under its number in `variables`. Which number went where
    on the torch side is told by a weights' file in which every variable is filled with its number + 1.
    """

    def __init__(self, run, kind, model, variables, trainable, call, inputs):
        self.run, self.tf, self.options = run, run.tf, run.options
        self.kind, self.model, self.call, self.inputs = kind, model, call, inputs
        self.names = [name for name, _ in variables]
        self.variables = [v for _, v in variables]
        chosen = {id(v) for v in trainable}
        self.trained = [i for i, v in enumerate(self.variables) if id(v) in chosen]
        self.store = self.made = self.plan = self.steps = None

    # -- what is asked, what is written

    @property
    def asked(self):
        return bool(self.options.gradients or self.options.steps)

    def write(self, folder, twin=None):
        """Records what is asked. `twin()` gives this Training in float64 with the same weights, or None."""
        options, run = self.options, self.run
        if not self.asked:
            return
        if not self.tf.executing_eagerly():
            raise CaptureError("--gradients and --steps of a model need eager execution, which is off")
        if options.gradients:
            self.made = self.gradients()
        if options.steps:
            self.plan = Steps(self)
            self.steps = self.plan.follow()
        run.entry["variables"] = self.map(folder)
        name = run.dtype + ".training.safetensors"
        with Store(os.path.join(folder, name)) as self.store:
            if self.made:
                run.entry["gradients"] = self.keep_gradients(self.made)
            if self.steps:
                run.entry["training"] = self.plan.keep(self.steps)
        run.entry["training_tensors"] = name
        other = twin() if twin is not None else None
        if other is not None and other.run.measures:
            try:
                other.measure(self)
            except CaptureError as error:  # a program that is bound to float32
                told = str(error).replace("the reference raised ", "in float64 the reference raises ")
                run.notes.append("training and gradients are not calibrated: " + told)
        for part in ("gradients", "training") if run.base is not None and run.measures else ():
            told = run.base.entry.get(part)
            if told:  # in units of float32, as the wander of layers
                run.entry[part]["wander"] = told["wander"]

    def measure(self, base):
        """Repeats what a float32 run recorded, in float64, and tells that run's entry how far it wandered."""
        if base.made:
            cotangents = [None if c is None else c.astype(np.float64) for c in base.made["cotangents"]]
            again = self.gradients(cotangents)
            base.run.entry["gradients"]["wander"] = {
                "weights": [gap(a, b) for a, b in zip(base.made["weights"], again["weights"])],
                "inputs": [gap(a, b) for a, b in zip(base.made["inputs"], again["inputs"])],
                "loss": gap(base.made["loss"], again["loss"]),
            }
        if base.steps:
            base.run.entry["training"]["wander"] = Steps(self, base.plan).wander(base.steps)

    def guard(self, action):
        return self.run.guard(action)

    def arrays(self):
        return [np.asarray(v.numpy()) for v in self.variables]

    def assign(self, arrays):
        for variable, array in zip(self.variables, arrays):
            if array is not None and np.asarray(array).dtype.kind in "fiu":
                variable.assign(np.asarray(array).astype(np.asarray(variable.numpy()).dtype))

    def map(self, folder):
        """Writes the weights' file in which each variable is filled with its number + 1."""
        told = {"names": self.names, "trained": self.trained, "container": None}
        if self.kind != "keras" or not self.variables:
            return told
        before = self.arrays()
        self.assign([np.full(a.shape, i + 1) for i, a in enumerate(before)])
        name = self.run.dtype + ".variables.weights.h5"
        try:
            self.guard(lambda: save_weights(self.model, os.path.join(folder, name)))
        finally:
            self.assign(before)
        told["container"] = {"kind": "keras", "file": name}
        return told

    def put(self, key, array):
        self.store.put(key, as_value(array))
        return key

    # -- gradients in inference mode

    def gradients(self, cotangents=None):
        """Of the sum of outputs times cotangents, by the trained variables and the floating inputs."""
        tf = self.tf
        tensors = [tf.constant(a) for _, a in self.inputs]
        watched = [t for t in tensors if t.dtype.is_floating]
        targets = [self.variables[i] for i in self.trained]
        if not targets and not watched:
            raise CaptureError("--gradients: %s has no weights and no floating input" % self.run.name)
        rng = np.random.RandomState(self.options.seed + 3)
        with tf.GradientTape() as tape:
            for tensor in watched:
                tape.watch(tensor)
            outputs = self.guard(lambda: self.call(tensors, False))
            leaves = self.leaves(outputs)
            if cotangents is None:
                cotangents = [None if t is None else self.cotangent(rng, t) for _, t in leaves]
            terms = [tf.reduce_sum(t * c) for (_, t), c in zip(leaves, cotangents) if t is not None]
            if not terms:
                raise CaptureError("--gradients: %s returns no floating tensor" % self.run.name)
            loss = tf.add_n(terms)
        found = self.guard(lambda: tape.gradient(loss, targets + watched))
        found = [dense(g, tf) for g in found]
        rest = iter(found[len(targets) :])
        inputs = [next(rest) if t.dtype.is_floating else None for t in tensors]
        if all(g is None for g in found):
            raise CaptureError("--gradients: no output of %s depends on weights or inputs" % self.run.name)
        weights = [None] * len(self.variables)
        for i, gradient in zip(self.trained, found):
            weights[i] = gradient
        names = [name for name, _ in leaves]
        return {"loss": np.asarray(loss.numpy()), "weights": weights, "inputs": inputs, "cotangents": cotangents,
                "leaves": names}  # fmt: skip

    def cotangent(self, rng, tensor):
        values = rng.standard_normal(tuple(int(n) for n in tensor.shape))
        return np.asarray(values, np.float32).astype(tensor.dtype.as_numpy_dtype)

    def leaves(self, outputs):
        """Pairs (leaf, tensor), None for one that is not floating; named as `flatten` names them."""
        return [
            (n, t if getattr(t.dtype, "is_floating", False) else None)
            for n, t in tensors_of(outputs, self.tf)
        ]

    def keep_gradients(self, made):
        pairs = zip(made["leaves"], made["cotangents"])
        told = {
            "cotangents": {n: self.put("gradients/cotangents/" + n, c) for n, c in pairs if c is not None},
            "loss": self.put("gradients/loss", made["loss"]),
            "inputs": [], "weights": [], "wander": None,
        }  # fmt: skip
        for kind in ("inputs", "weights"):
            for i, array in enumerate(made[kind]):
                key = "gradients/%s/%d" % (kind, i)
                told[kind].append(None if array is None else self.put(key, array))
        return told
