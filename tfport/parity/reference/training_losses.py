"""Training: which loss is meant, targets that fit it, and its value."""

import inspect
import os

import numpy as np

from tfport.parity.reference.constants import in_full
from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.keras_layers import snake_case
from tfport.parity.reference.targets import binds, required
from tfport.parity.reference.training_optimizers import is_nested, parse_spec, plain_json

BUILTINS = ("mse", "sum", "binary_crossentropy", "sparse_categorical_crossentropy")
CLASSES = {
    "mse": "MeanSquaredError", "bce": "BinaryCrossentropy", "mae": "MeanAbsoluteError", "mape": "MeanAbsolutePercentageError",
    "msle": "MeanSquaredLogarithmicError", "kld": "KLDivergence", "kullback_leibler_divergence": "KLDivergence",
    "kl_divergence": "KLDivergence", "logcosh": "LogCosh", "log_cosh": "LogCosh",
}  # fmt: skip
# Keras' short names of losses whose class is called otherwise.


def loss_weights(model):
    """The weights of the losses that a model was compiled with, None where it was given none."""
    for holder in ("_compile_loss", "compiled_loss"):
        found = getattr(getattr(model, holder, None), "_user_loss_weights", None)
        if found is not None:
            return found
    return None


def is_library(x):
    """Whether a function, a class or an object is TensorFlow's or Keras' own."""
    name = getattr(x, "__module__", None) or type(x).__module__
    return name.split(".")[0] in ("keras", "tensorflow", "tf_keras", "keras_core")


def own_or_none(module, name):
    """What the user's file has under a name, None where it has it from Keras."""
    found = getattr(module, name, None)
    return None if found is None or is_library(found) else found


def losses_named(tf, name):
    """Keras' loss class of a name in any spelling: `Huber`, `huber`, `mae`; None where there is none."""
    wanted = CLASSES.get(name.lower(), name).lower().replace("_", "")
    for key in dir(tf.keras.losses):
        found = getattr(tf.keras.losses, key)
        if key.lower() == wanted and inspect.isclass(found) and key not in ("Loss", "Reduction"):
            return found
    return None


def named_loss(tf, module, path, text):
    """The loss that --loss names, as JSON: a formula of this file, a function or class of the user's, or Keras'.

    A name of Keras' whose class has a `from_logits` is `undecided`: `decide` looks at the outputs. A call, such as
    `BinaryCrossentropy(from_logits=True)`, says itself.
    """
    name, args, kwargs = parse_spec(text, "--loss")
    called = text.rstrip().endswith(")")
    if own_or_none(module, name) is not None:
        return users_loss(module, name, args if called else None, kwargs)
    if name in BUILTINS and not called:
        return {"builtin": name}
    cls = losses_named(tf, name)
    if cls is None:
        told = "--loss %s: %s has no such function, and Keras no such loss" % (name, os.path.basename(path))
        raise UsageError(told)
    if any(is_nested(a) for a in list(args) + list(kwargs.values())):
        raise UsageError("--loss %s: its arguments are numbers, names and switches" % text)
    try:
        made = cls(*args, **kwargs)
    except (TypeError, ValueError) as error:
        raise UsageError("--loss %s: %s" % (text, str(error).splitlines()[0]))
    told = keras_loss(made)
    bare = not called and name != cls.__name__ and "from_logits" in told["config"]
    return dict(told, undecided=True) if bare else told


def users_loss(module, name, args, kwargs):
    """A loss of the user's file: a function of (targets, outputs), or what a call of a factory or class makes."""
    found = getattr(module, name)
    if not callable(found):
        raise UsageError("--loss %s: it is no function" % name)
    factory = inspect.isclass(found) or (not binds(found, [0, 0], {}) and binds(found, [], {}))
    if args is None and not factory:
        return {"function": name}
    return {"function": name, "args": [a[0] if is_nested(a) else a for a in args or []], "kwargs": kwargs}


def keras_loss(loss):
    """A loss object of Keras' as its class and configuration, which Keras 3 does not tell in full (Huber's delta)."""
    config = dict(loss.get_config(), **(getattr(loss, "_fn_kwargs", None) or {}))
    config = {k: v for k, v in config.items() if k not in ("fn", "name", "dtype")}
    return {"keras": type(loss).__name__, "config": plain_json(config)}


def compiled_loss(tf, module, loss, weights=None, names=()):
    """The loss that a model was compiled with, as JSON; several, in the order of the outputs, each with its weight."""
    if isinstance(loss, dict):
        unknown = [k for k in loss if k not in names]
        if unknown:
            told = (
                "the model was compiled with a loss for %s, its outputs are %s: name one function with --loss"
            )
            raise CaptureError(told % (unknown[0], ", ".join(names) or "without names"))
        loss = [loss.get(name) for name in names]
        weights = [weights.get(name, 1.0) for name in names] if isinstance(weights, dict) else weights
    if isinstance(loss, (list, tuple)):
        weights = list(weights) if isinstance(weights, (list, tuple)) else [1.0] * len(loss)
        parts = [None if part is None else compiled_loss(tf, module, part) for part in loss]
        return {"each": parts, "weights": [1.0 if w is None else float(w) for w in weights]}
    if isinstance(loss, str):
        loss = tf.keras.losses.get(loss)
    if inspect.isclass(loss):
        loss = loss()
    name = getattr(loss, "__name__", type(loss).__name__)
    if hasattr(loss, "get_config") and not inspect.isfunction(loss):
        if is_library(type(loss)) and hasattr(tf.keras.losses, name):
            return keras_loss(loss)
        if getattr(module, name, None) is type(loss):
            need = inspect.signature(type(loss).__init__).parameters
            config = {k: v for k, v in plain_json(loss.get_config()).items() if k in need}
            return {"function": name, "args": [], "kwargs": config}
    if getattr(module, name, None) is loss:
        return {"function": name}
    if not is_library(loss):
        told = "the model was compiled with the loss %s, which its file does not name: name one with --loss"
        raise CaptureError(told % name)
    return {"keras_function": name}


def spread(told, leaves, targets):
    """The loss of a model with several floating outputs or with sample weights: one for each output.

    `targets` is the number of arrays beside the inputs: as many as outputs, and once more as many weights of the
    examples. None where a function of the user's takes all of them as they come.
    """
    outputs = len(leaves)
    if "function" in told or told.get("builtin") == "sum":
        return told
    if "each" in told:
        if len(told["each"]) != outputs:
            raise CaptureError("%d losses for %d outputs" % (len(told["each"]), outputs))
        made = told
    else:
        alone = 1 if told.get("builtin") != "mse" else outputs
        if outputs == alone == targets:
            return told
        made = {"each": [dict(told) for _ in leaves], "weights": [1.0] * outputs}
    if targets not in (outputs, 2 * outputs):
        told = "--steps: %d arrays beside the inputs for %d outputs: expected a target for each, and then maybe a"
        raise UsageError((told + " weight of the examples for each") % (targets, outputs))
    if targets == 2 * outputs:
        made = dict(made, each=[part and as_class(part) for part in made["each"]], weighted=True)
    return made


def as_class(told):
    """A loss under the class that takes sample weights."""
    if "builtin" in told or "keras_function" in told:
        name = told.get("builtin") or told["keras_function"]
        config = {k: told[k] for k in ("from_logits",) if k in told}
        cls = CLASSES.get(name) or "".join(word.capitalize() for word in name.split("_"))
        return {"keras": cls, "config": config, "undecided": "crossentropy" in name and not config}
    if "function" in told and "args" not in told:
        raise UsageError("--steps: sample weights for %s, which is a plain function" % told["function"])
    return told


def decide(told, leaf):
    """Tells whether the outputs are logits, where the loss leaves it open: by their values, which probabilities betray."""
    name = told.get("builtin", "")
    if not told.pop("undecided", False) and (not name.endswith("crossentropy") or "from_logits" in told):
        return told
    a = np.asarray(leaf.numpy(), np.float64)
    inside = a.size > 0 and a.min() >= 0 and a.max() <= 1
    kind = name or told["keras"].lower()
    if "binary" not in kind:
        inside = inside and np.allclose(a.sum(-1), 1, atol=1e-3)
    if name:
        told["from_logits"] = not inside
    else:
        told["config"] = dict(told["config"], from_logits=not inside)
    return told


def target_for(told, leaf, rng, dtype):
    """A random target that fits the loss of one output: values like the output, class ids, rows of probabilities ..."""
    shape, config = tuple(int(n) for n in leaf.shape), told.get("config", {})
    kind = told.get("builtin") or told.get("keras_function") or snake_case(told.get("keras", ""))
    kind = snake_case(CLASSES.get(kind, kind))
    axis = config.get("axis", -1)
    axis = axis if isinstance(axis, int) else -1
    classes = shape[axis] if shape else 1
    if kind == "ctc":
        raise UsageError("--loss CTC: pass the labels with --target, such as 8x5:int32<10")
    if kind == "circle" or kind.startswith("sparse") or "generalized" in kind:
        rest = shape[:axis] + shape[axis + 1 :] if axis != -1 else shape[:-1]
        ids = np.asarray(rng.randint(0, classes, rest), np.int64)
        ignored = config.get("ignore_class")
        if ignored is not None:
            ids[rng.random_sample(rest) < 0.25] = ignored
        return ids
    normal = rng.standard_normal(shape)
    if kind.startswith("categorical"):
        ids = rng.randint(0, classes, shape[:axis] + shape[axis + 1 :] if axis != -1 else shape[:-1])
        return np.moveaxis(np.eye(classes)[ids], -1, axis).astype(dtype)
    if kind.startswith("binary") or kind in ("dice", "tversky"):
        return (normal > 0).astype(dtype)
    if kind in ("hinge", "squared_hinge"):
        return np.where(normal > 0, 1, -1).astype(dtype)
    if kind == "kldivergence":
        e = np.exp(normal)
        normal = e / e.sum(-1, keepdims=True)
    elif kind == "poisson":
        normal = np.abs(np.round(2 * normal))
    elif kind.startswith("mean_absolute_percentage") or kind.startswith("mean_squared_logarithmic"):
        normal = 0.5 + np.abs(normal)
    return normal.astype(np.float32).astype(dtype)


def mask_of(leaf):
    """The mask that Keras attached to an output, as an array; None where there is none."""
    mask = getattr(leaf, "_keras_mask", None)
    return None if mask is None else np.asarray(mask.numpy())


def masked_weight(told, leaf, weight, dtype):
    """What a Keras loss makes of a mask: a weight of each example, which spreads what it hides over the rest."""
    mask = mask_of(leaf)
    if mask is None:
        return np.ones(tuple(leaf.shape)[:1], dtype) if weight is None else weight
    shown = mask.astype(dtype)
    if told.get("config", {}).get("reduction") != "sum" and mask.any():
        shown = shown * (mask.size / shown.sum())
    if weight is not None:
        shown = shown * weight.reshape(weight.shape + (1,) * (shown.ndim - weight.ndim))
    return shown.astype(dtype)


def clear_penalties(model):
    """Drops what `add_loss` left of earlier calls, which Keras 3 does in `fit` only."""
    clear = getattr(model, "_clear_losses", None)
    if callable(clear):
        clear()


def penalty_of(model, tf):
    """The sum of a model's `losses` (regularisers, `add_loss`), which `fit` adds to the loss; None where it has none."""
    terms = list(getattr(model, "losses", None) or [])
    return tf.add_n([tf.convert_to_tensor(term) for term in terms]) if terms else None


def regularizers_of(variables, layers):
    """Number of each variable that has an L1 or L2 regulariser -> [l1, l2]."""
    numbers, found = {id(v): i for i, v in enumerate(variables)}, {}
    pairs = [(v, getattr(v, "regularizer", None)) for v in variables]
    for layer in [
        x for held in layers for x in (held, getattr(held, "cell", None)) if x is not None
    ]:  # Keras 2
        for key in [k for k in vars(layer) if k.endswith("_regularizer")]:
            name = key[: -len("_regularizer")]
            for place in (name, name + "_kernel"):
                pairs.append((getattr(layer, place, None), getattr(layer, key)))
    for variable, regularizer in pairs:
        config = regularizer.get_config() if hasattr(regularizer, "get_config") else {}
        if config and set(config) <= {"l1", "l2"} and id(variable) in numbers:
            found[numbers[id(variable)]] = [in_full(config.get(k, 0.0)) for k in ("l1", "l2")]
    return found


class LossValue:
    """The value of a recorded loss on TensorFlow's tensors."""

    def __init__(self, tf, module, told):
        self.tf, self.module, self.told = tf, module, told
        self.made = {}

    def __call__(self, leaves, outputs, targets):
        """A scalar for the floating leaves of the outputs, or for the outputs as they are where a function takes them."""
        told = self.told
        if "function" in told:
            return self.users(told, targets, outputs)
        if "each" not in told:
            return self.one(told, leaves, targets)
        terms, count = [], len(told["each"])
        for i, (part, weight) in enumerate(zip(told["each"], told["weights"])):
            if part is not None:
                given = targets[count + i] if told.get("weighted") else None
                terms.append(weight * self.one(part, leaves[i : i + 1], targets[i : i + 1], given))
        return self.tf.add_n(terms)

    def one(self, told, leaves, targets, weight=None):
        tf, kind = self.tf, told.get("builtin")
        if kind == "sum":
            return tf.add_n([tf.reduce_sum(o) for o in leaves])
        if kind == "mse":
            return tf.add_n([tf.reduce_mean(tf.square(o - like(o, t, tf))) for o, t in zip(leaves, targets)])
        if kind:
            return cross_entropy(tf, told, leaves[0], targets[0])
        if "function" in told:
            return self.users(told, targets, leaves[0], weight)
        if "keras" in told:
            made = self.object_of(told, lambda: getattr(tf.keras.losses, told["keras"])(**told["config"]))
            value = made(targets[0], leaves[0], **({} if weight is None else {"sample_weight": weight}))
            return value if len(value.shape) == 0 else tf.reduce_mean(value)
        return tf.reduce_mean(tf.keras.losses.get(told["keras_function"])(targets[0], leaves[0]))

    def object_of(self, told, make):
        key = id(told)
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def users(self, told, targets, outputs, weight=None):
        """The user's function; where it gives a loss per example their mean is taken, as Keras does."""
        function = getattr(self.module, told["function"])
        if "args" in told:
            found = function
            function = self.object_of(told, lambda: found(*told["args"], **told["kwargs"]))
        y, need = targets[0] if len(targets) == 1 else targets, required(function)
        if not targets and need is not None and len(need) == 1:
            loss = function(outputs)
        elif weight is not None:
            loss = function(y, outputs, sample_weight=weight)
        else:
            loss = function(y, outputs)
        shape = getattr(loss, "shape", None)
        if shape is None or len(shape) == 0:
            return loss
        told["mean"] = True
        return self.tf.reduce_mean(loss)


def like(output, target, tf):
    """A target as an output: of its dtype, with its last axis of size 1 where the target lacks it."""
    target = tf.cast(target, output.dtype)
    if len(target.shape) + 1 == len(output.shape) and output.shape[-1] == 1:
        target = target[..., None]
    if tuple(target.shape) != tuple(output.shape):
        told = "--steps: a target has the shape %s, the output %s"
        raise UsageError(told % (list(target.shape), list(output.shape)))
    return target


def cross_entropy(tf, told, x, y):
    """The formulas of `binary_crossentropy` and `sparse_categorical_crossentropy`: the mean over all but the classes."""
    if told["builtin"].startswith("sparse"):
        if len(y.shape) == len(x.shape) and y.shape[-1] == 1:
            y = y[..., 0]
        if tuple(y.shape) != tuple(x.shape[:-1]):
            said = "--steps: class ids of the shape %s for outputs of the shape %s"
            raise UsageError(said % (list(y.shape), list(x.shape)))
        ids = np.asarray(y.numpy())
        if ids.size and (ids.min() < 0 or ids.max() >= int(x.shape[-1])):
            raise UsageError("--steps: a target is %d, the output has %d classes" % (
                ids.min() if ids.min() < 0 else ids.max(), x.shape[-1]))  # fmt: skip
        hot = tf.one_hot(tf.cast(y, tf.int64), x.shape[-1], dtype=x.dtype)
        if told["from_logits"]:
            return -tf.reduce_mean(tf.reduce_sum(hot * tf.nn.log_softmax(x), -1))
        return -tf.reduce_mean(tf.math.log(tf.maximum(tf.reduce_sum(hot * x, -1), 1e-7)))
    y = like(x, y, tf)
    if told["from_logits"]:
        return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x))
    x = tf.clip_by_value(x, 1e-7, 1 - 1e-7)
    return -tf.reduce_mean(y * tf.math.log(x) + (1 - y) * tf.math.log(1 - x))
