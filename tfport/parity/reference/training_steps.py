"""Training: steps with recorded batches, targets and masks."""

import inspect
import os
import re

import numpy as np

from tfport.parity.reference.environment import functions_run_eagerly, seed_all
from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.inputs import make_inputs, spec_of_model
from tfport.parity.reference.keras_calls import Watch
from tfport.parity.reference.keras_layers import is_keras, sublayers
from tfport.parity.reference.targets import binds, load_target, required, split_target
from tfport.parity.reference.training_losses import (
    LossValue,
    clear_penalties,
    compiled_loss,
    decide,
    is_library,
    loss_weights,
    mask_of,
    masked_weight,
    named_loss,
    penalty_of,
    regularizers_of,
    spread,
    target_for,
)
from tfport.parity.reference.training_optimizers import (
    describe_optimizer,
    inner,
    is_nested,
    is_v1,
    iterations_of,
    parse_spec,
    rate_of,
    set_slots,
    slots_of,
    undecayed,
)
from tfport.parity.reference.training_tensors import gap
from tfport.parity.reference.training_watch import MASKED, NOT_MASKED, ClipWatch, Masks, TapeWatch

BATCH = 8  # examples of a training batch when no --input says otherwise


def noise_rate(layer, name):
    """A rate among a layer's attributes; 0 where there is none, or where an own layer keeps another thing there."""
    rate = getattr(layer, name, 0)
    return rate if isinstance(rate, (int, float)) else 0


class Steps:
    """K steps of training with recorded batches, targets and dropout masks.

    A step of a second plan (`of` given) uses the first one's batches and masks in this run's dtype.
    """

    def __init__(self, training, of=None):
        self.t, self.tf, self.options, self.run = training, training.tf, training.options, training.run
        self.count = int(self.options.steps)
        if not training.trained:
            raise CaptureError("--steps: %s has no trainable weights" % self.run.name)
        self.path = self.run.path
        self.of = of
        self.start = training.arrays()
        self.clips, self.repeated = ClipWatch(self.tf), set()
        self.slices = set()  # numbers of variables whose gradient came as slices, some of them of one row
        self.layers = sublayers(training.model) if is_keras(training.model) else []
        noisy = [x.name for x in self.layers if type(x).__name__ in NOT_MASKED]
        noisy += [x.name for x in self.layers
                  if noise_rate(x, "recurrent_dropout") > 0
                  or (noise_rate(x, "dropout") > 0 and hasattr(x, "recurrent_activation"))]  # fmt: skip
        if noisy:
            told = "--steps: the noise of layer %s cannot be captured: build the model with its rate 0"
            raise CaptureError(told % noisy[0])
        self.user = self.named(self.options.train_step, "--train-step") if self.options.train_step else None
        self.choose()
        self.batches = self.make_batches()
        if of is not None:
            self.loss = of.loss
        elif not self.user:
            leaves = self.floating(self.batches[0][0])
            self.settle(leaves, len(self.batches[0][1]))
            self.weigh_masks(leaves)
        self.value = LossValue(self.tf, self.run.user_module, self.loss)

    def named(self, name, option):
        found = getattr(self.run.user_module, name, None)
        if not callable(found):
            raise UsageError("%s %s: %s has no such function" % (option, name, os.path.basename(self.path)))
        return found

    # -- loss and optimizer

    def choose(self):
        """Which loss and which optimizer: those named, else those the model was compiled with, else mse, SGD."""
        options, model = self.options, self.t.model
        compiled = getattr(model, "optimizer", None) is not None and getattr(model, "loss", None) is not None
        self.loss = {"train_step": options.train_step} if self.user else None
        if self.loss is None and (options.loss or not compiled):
            self.loss = named_loss(self.tf, self.run.user_module, self.path, options.loss or "mse")
        elif self.loss is None:
            names = getattr(model, "output_names", None) or ()
            self.loss = compiled_loss(self.tf, self.run.user_module, model.loss, loss_weights(model), names)
        if options.optimizer:
            self.spec = parse_spec(options.optimizer, "--optimizer")
        elif getattr(model, "optimizer", None) is not None:
            self.spec = None
        else:
            self.spec = ("sgd", [], {"learning_rate": 0.01})
        own = getattr(self.run.user_module, self.spec[0], None) if options.optimizer else None
        library = inspect.isclass(own) and is_library(own)
        self.factory = own is not None and not library  # `from keras.optimizers import Adam` names no factory

    def make_optimizer(self):
        tf = self.tf
        if self.spec is None:
            given = self.t.model.optimizer
            return type(given).from_config(given.get_config())
        name, args, kwargs = self.spec
        if self.factory:
            found = getattr(self.run.user_module, name)
            if not callable(found):
                return found
            args = [a[0] if is_nested(a) else a for a in args]
            if not binds(found, args, kwargs) and binds(found, args + [self.t.model], kwargs):
                args = args + [self.t.model]
            return self.run.guard(lambda: found(*args, **kwargs))
        places = [tf.keras.optimizers, tf.compat.v1.train]
        legacy = getattr(tf.keras.optimizers, "legacy", None)
        wanted = name.lower().replace("_", "")
        for place in places + ([legacy] if legacy else []):
            keys = [key for key in dir(place) if key.lower() == wanted != "optimizer"]
            found = getattr(place, keys[0]) if keys else None
            if inspect.isclass(found):
                break
        else:
            told = "--optimizer %s: neither a Keras optimizer nor a name in %s"
            raise UsageError(told % (name, os.path.basename(self.path)))
        args = [self.schedule(v) for v in args]
        kwargs = {k: self.schedule(v) for k, v in kwargs.items()}
        return self.run.guard(lambda: found(*args, **kwargs))

    def schedule(self, x):
        if not is_nested(x):
            return x
        name, args, kwargs = x
        made = getattr(self.tf.keras.optimizers.schedules, name, None)
        if made is None:
            raise UsageError("--optimizer: Keras has no schedule %s" % name)
        return self.run.guard(lambda: made(*args, **kwargs))

    # -- batches

    def make_batches(self):
        """[(inputs, targets)] of arrays, one pair per step."""
        options, dtype = self.options, self.run.dtype
        if self.of is not None:
            cast = lambda a: a.astype(dtype) if a.dtype.kind == "f" else a  # noqa: E731
            return [([cast(a) for a in x], [cast(a) for a in y]) for x, y in self.of.batches]
        given = list(options.input)
        targets = list(options.targets)
        if options.batches:
            return self.from_function("--batches", options.batches)
        if len(given) == 1 and given[0].startswith("@") and not targets:
            return self.from_function("--input", given[0])
        specs = given
        if not given:
            specs = [re.sub(r"^\d+", str(BATCH), s) for s in spec_of_model(self.t.model)]
        made = []
        for step in range(self.count):
            seed = self.options.seed + 101 * (step + 1)
            x = [a for _, a in make_inputs(specs, seed, dtype)]
            y = (
                [a for _, a in make_inputs(targets, seed + 1, dtype)]
                if targets
                else self.targets(x, seed + 1)
            )
            made.append((x, y))
        return made

    def from_function(self, option, text):
        """Batches of a function of the user's: a generator of them, or one at each call.

        A batch is the model's inputs, then the targets: flat, or as a pair of tuples. The function may take the
        number of steps.
        """
        path, name = split_target(text.lstrip("@"))
        module = self.run.user_module if os.path.abspath(path) == self.path else load_target(path, name)[0]
        found = getattr(module, name, None)
        need = required(found) if callable(found) else None
        if need is None or len(need) > 1:
            told = "%s %s: expected a function that takes nothing, or the number of steps"
            raise UsageError(told % (option, text))
        call = lambda: self.run.guard(lambda: found(self.count) if need else found())  # noqa: E731
        result, made = call(), []
        for step in range(self.count):
            if hasattr(result, "__next__"):
                batch = self.run.guard(lambda: next(result, None))
                if batch is None:
                    raise CaptureError("%s %s: it gave %d batches of %d" % (option, text, step, self.count))
            else:
                batch = result if step == 0 else call()
            flat = []
            for part in batch if isinstance(batch, (tuple, list)) else [batch]:
                flat += [self.cast(a) for a in (part if isinstance(part, (tuple, list)) else [part])]
            more = len(self.t.inputs) or 1
            x, y = (flat, []) if self.user else (flat[:more], flat[more:])
            if not y and not self.user:
                y = self.targets(x, self.options.seed + 101 * (step + 1) + 1)
            made.append((x, y))
        return made

    def cast(self, a):
        a = np.asarray(a.numpy() if hasattr(a, "numpy") else a)
        return a.astype(self.run.dtype) if a.dtype in (np.float32, np.float64) else a

    def targets(self, x, seed):
        """Random targets that fit the loss: values like the outputs, class ids, rows of probabilities, signs, masks."""
        if self.user or self.loss.get("builtin") == "sum":
            return []
        if "function" in self.loss:
            told = "--loss %s needs targets: pass --target SPEC, or --batches FILE.py:FUNCTION"
            raise UsageError(told % self.loss["function"])
        leaves = self.floating(x)
        if not leaves:
            raise CaptureError("--steps: %s returns no floating tensor to train on" % self.run.name)
        self.settle(leaves, len(leaves))
        parts = self.loss.get("each") or [self.loss] * len(leaves)
        if any(part and "function" in part for part in parts):
            raise UsageError(
                "a loss of your own needs targets: pass --target SPEC, or --batches FILE.py:FUNCTION"
            )
        rng = np.random.RandomState(seed)
        return [target_for(part or {}, leaf, rng, self.run.dtype) for part, leaf in zip(parts, leaves)]

    def floating(self, x):
        """The floating outputs for one batch, in inference mode."""
        outputs = self.run.guard(lambda: self.t.call([self.tf.constant(a) for a in x], False))
        return [t for _, t in self.t.leaves(outputs) if t is not None]

    def settle(self, leaves, targets):
        """What of the loss the outputs tell: one for each of them, whether they are logits."""
        if not self.user and "function" not in self.loss:
            self.loss = spread(self.loss, leaves, targets)
            for part, leaf in zip(self.loss.get("each") or [self.loss], leaves):
                if part is not None:
                    decide(part, leaf)

    def weigh_masks(self, leaves):
        """Writes the masks that outputs carry (Embedding's mask_zero) as weights of the examples, as Keras' losses do."""
        parts = self.loss.get("each") or [self.loss] * len(leaves)
        if "function" in self.loss or not any(mask_of(leaf) is not None for leaf in leaves):
            return
        for n, (x, y) in enumerate(self.batches):
            y, given = list(y[: len(leaves)]), list(y[len(leaves) :]) or [None] * len(leaves)
            found = self.floating(x) if n else leaves
            for part, leaf, weight in zip(parts, found, given):
                y.append(masked_weight(part or {}, leaf, weight, self.run.dtype))
            self.batches[n] = x, y
        self.settle(leaves, 2 * len(leaves))

    # -- one step

    def follow(self, teacher=None, masks=None, dense=False):
        """Trains from the start; with a `teacher` each step begins from its weights and applies its gradients.

        `dense` makes tensors of gradients that come as slices (of an Embedding).
        """
        t, made, self.penalties = self.t, [], []
        t.assign(self.start)
        optimizer = self.make_optimizer()
        if not hasattr(optimizer, "apply_gradients"):
            kind = type(optimizer).__name__
            raise CaptureError("--optimizer: a %s is no optimizer that applies gradients" % kind)
        try:
            for step, (x, y) in enumerate(self.batches):
                told = teacher[step] if teacher else None
                if teacher and step:
                    t.assign(teacher[step - 1]["weights"])
                    set_slots(optimizer, self.trainables(), teacher[step - 1]["slots"])
                dropout = Masks(self.tf, masks[step] if masks else None)
                layers = [layer for layer in self.layers if type(layer).__name__ in MASKED]
                with Watch(layers, dropout), functions_run_eagerly(self.tf):
                    seed_all(self.tf, self.options.seed + step)
                    made.append(self.step(optimizer, x, y, told, dense))
                if self.of is None and not step and not np.isfinite(made[-1]["loss"]):
                    self.refuse(made[-1]["loss"])
                made[-1].update(masks=dropout.seen, weights=t.arrays(),
                                slots=slots_of(optimizer, self.trainables()))  # fmt: skip
        finally:
            t.assign(self.start)
        self.optimizer = describe_optimizer(optimizer)
        self.optimizer["undecayed"] = [t.trained[i] for i in undecayed(optimizer, self.trainables())]
        return made

    def refuse(self, loss):
        """Raises CaptureError for a first loss that is no number: such steps compare nothing."""
        name = self.options.train_step or self.loss.get("keras") or self.loss.get("builtin") or "the loss"
        told = "--steps: %s of the first batch is %s: do the outputs and targets fit it? Poisson, for one, wants "
        told += "outputs above 0"
        raise CaptureError(told % (name, float(loss)))

    def trainables(self):
        return [self.t.variables[i] for i in self.t.trained]

    def step(self, optimizer, x, y, told, dense=False):
        tf, t, run = self.tf, self.t, self.run
        give = [tf.constant(a) for a in x], [tf.constant(a) for a in y]
        feed = None if told is None else told["gradients"]
        rate = rate_of(optimizer)
        tape_watch = TapeWatch(tf, t.variables, feed, dense, (self.of or self).repeated)
        with tape_watch:
            if self.user:
                with self.clips:
                    loss = run.guard(lambda: self.user_step(optimizer, give[0] + give[1]))
            else:
                loss = run.guard(lambda: self.plain_step(optimizer, give))
        array = np.asarray(loss.numpy() if hasattr(loss, "numpy") else loss)
        if array.size != 1:
            raise CaptureError("--steps: the loss is not a scalar, its shape is %s" % list(array.shape))
        self.repeated |= tape_watch.repeated
        self.slices |= tape_watch.slices & set(t.trained)
        found = {i: g for i, g in tape_watch.found.items() if i in set(t.trained)}
        return {"loss": np.asarray(array, np.float64).reshape(()), "gradients": found, "rate": rate,
                "iterations": iterations_of(optimizer)}  # fmt: skip

    def plain_step(self, optimizer, give):
        tf, targets = self.tf, self.trainables()
        clear_penalties(self.t.model)
        with tf.GradientTape() as tape:
            outputs = self.t.call(give[0], True)
            leaves = [
                tf.identity(x) for _, x in self.t.leaves(outputs) if x is not None
            ]  # without their masks
            loss = self.value(leaves, outputs, give[1])
            penalty = penalty_of(self.t.model, tf) if is_keras(self.t.model) else None
            if penalty is not None:
                loss = loss + tf.cast(penalty, loss.dtype)
                self.penalties.append(float(penalty.numpy()))
        if getattr(loss, "shape", None) is not None and tuple(loss.shape) != ():
            raise CaptureError("--steps: the loss is not a scalar, its shape is %s" % list(loss.shape))
        gradients = tape.gradient(loss, targets)
        if all(g is None for g in gradients):
            raise CaptureError("--steps: the loss depends on no trainable weight")
        pairs = list(zip(gradients, targets))
        if is_v1(optimizer):
            pairs = [(g, inner(v)) for g, v in pairs if g is not None]
        optimizer.apply_gradients(pairs)
        return loss

    def user_step(self, optimizer, batch):
        model = self.t.model
        for head in ([model, optimizer], [model]):
            if binds(self.user, head + batch, {}):
                result = self.user(*(head + batch))
                break
        else:
            need = ", ".join(required(self.user) or [])
            told = (self.options.train_step, need, len(batch))
            raise UsageError("--train-step %s(%s) does not take (model, optimizer, *batch of %d)" % told)
        if isinstance(result, dict):
            result = result.get("loss")
        if isinstance(result, (tuple, list)) and result:
            result = result[0]
        if result is None:
            raise CaptureError("--train-step %s returns no loss" % self.options.train_step)
        return result

    # -- what is written

    def keep(self, steps):
        put, regularized = self.t.put, {}
        if self.penalties:
            regularized = regularizers_of(self.t.variables, self.layers)
            told = "the loss has the model's own terms beside it (losses: regularisers, add_loss), as fit adds them"
            self.run.notes.append(told)
        told = {
            "steps": self.count, "loss": self.loss, "optimizer": self.optimizer, "train_step": self.options.train_step,
            "factory": self.options.optimizer if self.factory else None, "batches": [], "targets": [], "gradients": [],
            "repeated": sorted(self.repeated), "norms": self.norms(), "clips": self.clips.found, "penalties": list(self.penalties),
            "regularizers": {str(i): r for i, r in regularized.items()},
            "weights": [], "slots": [], "masks": [], "iterations": [s["iterations"] for s in steps],
            "learning_rates": [s["rate"] for s in steps], "wander": None,
            "losses": put("training/losses", np.array([s["loss"] for s in steps], self.run.dtype)),
        }  # fmt: skip
        told["dense"] = self.keep_dense(steps) if self.slices else None
        for n, (step, (x, y)) in enumerate(zip(steps, self.batches)):
            at = "training/%d/" % n
            told["batches"].append([put(at + "inputs/%d" % i, a) for i, a in enumerate(x)])
            told["targets"].append([put(at + "targets/%d" % i, a) for i, a in enumerate(y)])
            told["gradients"].append({str(i): None if g is None else put(at + "gradients/%d" % i, g)
                                      for i, g in sorted(step["gradients"].items())})  # fmt: skip
            told["weights"].append([put(at + "weights/%d" % i, a) if a.dtype.kind == "f" else None
                                    for i, a in enumerate(step["weights"])])  # fmt: skip
            told["slots"].append({slot: {str(self.t.trained[i]): put(at + "slots/%s/%d" % (slot, self.t.trained[i]), a)
                                         for i, a in sorted(held.items())}
                                  for slot, held in sorted(step["slots"].items())})  # fmt: skip
            told["masks"].append([{"layer": name, "rate": rate, "tensor": put(at + "masks/%d" % i, a)}
                                  for i, (name, rate, a) in enumerate(step["masks"])])  # fmt: skip
        return told

    def norms(self):
        """The settings of each normalisation, also where no layer is recorded by its outputs."""
        made = []
        for layer in self.layers:
            found = {k: getattr(layer, k, None) for k in ("epsilon", "momentum")}
            found = {k: float(v) for k, v in found.items() if isinstance(v, (float, np.floating))}
            if found:
                made.append({"name": layer.name, "attribute": None, "config": found})
        return made

    def keep_dense(self, steps):
        """Weights and state after each step, had the gradients of embeddings not come as slices."""
        numbers, put = sorted(self.slices), self.t.put
        told = {"variables": numbers, "weights": [], "slots": []}
        for n, step in enumerate(self.follow(steps, [s["masks"] for s in steps], dense=True)):
            at = "training/%d/dense/" % n
            told["weights"].append({str(i): put(at + "weights/%d" % i, step["weights"][i]) for i in numbers})
            places = {i: self.t.trained.index(i) for i in numbers}
            told["slots"].append({slot: {str(i): put(at + "slots/%s/%d" % (slot, i), held[p])
                                         for i, p in places.items() if p in held}
                                  for slot, held in sorted(step["slots"].items())})  # fmt: skip
        return told

    def wander(self, steps):
        """How far float32 is from float64: along the free run, and step by step from equal state."""
        masks = [step["masks"] for step in steps]
        told = {}
        for name, teacher in (("free", None), ("equal", steps)):
            again = self.follow(teacher, masks)
            told[name] = [
                {
                    "loss": gap(a["loss"], b["loss"]),
                    "gradients": {str(i): gap(g, b["gradients"].get(i)) for i, g in a["gradients"].items()},
                    "weights": [gap(u, v) for u, v in zip(a["weights"], b["weights"])],
                    "slots": {slot: {str(self.t.trained[i]): gap(u, b["slots"].get(slot, {}).get(i))
                                     for i, u in held.items()} for slot, held in a["slots"].items()},
                }
                for a, b in zip(steps, again)
            ]  # fmt: skip
        return told
