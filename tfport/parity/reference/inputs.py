"""Inputs: from specs, files and the user's functions."""

import random
import re

import numpy as np

from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.keras_layers import sublayers
from tfport.parity.reference.targets import binds, describe, load_target, split_target
from tfport.parity.reference.values import CODES, as_value

NUMBER = r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
SPEC = re.compile(
    r"^(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>\d+(?:x\d+)*|scalar)(?::(?P<dtype>[a-z]+\d*))?"
    r"(?:>=(?P<low>" + NUMBER + r"))?(?:<(?P<high>" + NUMBER + r"))?$"
)
LITERAL = re.compile(r"^(?:(?P<name>[A-Za-z_]\w*)=)?(?P<value>True|False|-?\d+\.\d*(?:[eE][-+]?\d+)?)$")
DTYPES = tuple(n for n in CODES if n != "bfloat16") + ("complex64", "complex128")


def make_inputs(specs, seed, dtype):
    """Makes arrays from specs: `2x28x28x1:float32`, `ids=4x10:int32<100`, `keep_prob=1.0`, `training=False`, `x.npy`,
    `batch.npz:x`, and `@FILE.py:NAME`, what a function returns.

    Without bounds floats are standard normal, integers lie in [0, 10). float32 becomes the run's dtype (with
    the same values). Returns a list of (name or None, array).
    """
    rng = np.random.RandomState(seed)
    made = []
    for text in specs:
        match = SPEC.match(text)
        if match:
            made.append((match.group("name"), _random(match, rng, text)))
            continue
        match = LITERAL.match(text)
        if match:
            value = match.group("value")
            array = np.array(value == "True" if value in ("True", "False") else np.float32(value))
            made.append((match.group("name"), array))
            continue
        head, _, tail = text.partition("=")
        name, path = (head, tail) if tail and head.isidentifier() else (None, text)
        made.extend(
            _from_function(name, path[1:], text, seed) if path[:1] == "@" else _from_file(name, path, text)
        )
    return [(n, a.astype(dtype) if a.dtype == np.float32 else a) for n, a in made]


def _random(match, rng, text):
    shape = () if match.group("shape") == "scalar" else tuple(int(n) for n in match.group("shape").split("x"))
    dtype = match.group("dtype") or "float32"
    if dtype not in DTYPES:
        raise CaptureError("--input %s: no dtype %s; one of %s" % (text, dtype, ", ".join(DTYPES)))
    low, high = match.group("low"), match.group("high")
    low = None if low is None else float(low)
    high = None if high is None else float(high)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return rng.randint(0, 2, shape).astype(dtype) if shape else np.array(bool(rng.randint(0, 2)))
    if kind in "iu":
        low, high = int(low or 0), int(10 if high is None else high)
        if high <= low:
            raise CaptureError("--input %s: no integer is at least %d and below %d" % (text, low, high))
        values = np.asarray(rng.randint(low, high, shape, np.int64))
        if values.size > 1:  # the ends have meanings of their own: 0 is padding, the last id a border
            values.ravel()[rng.permutation(values.size)[:2]] = low, high - 1
        return values.astype(dtype)
    if low is None and high is None:
        values = rng.standard_normal(shape)
        if kind == "c":
            values = values + 1j * rng.standard_normal(shape)
    else:
        low = (0.0 if high > 0 else high - 1.0) if low is None else low
        values = rng.uniform(low, low + 1.0 if high is None else high, shape)
    values = np.asarray(values)
    return values.astype(np.float32).astype(dtype) if dtype == "float64" else values.astype(dtype)


GIVEN = {}  # type: dict  # what functions of --input returned: called once for all dtypes


def _from_function(name, target, text, seed):
    """`@FILE.py:NAME`: what the function returns: an array, a tuple or list of arrays, or a dict of them by name."""
    if target not in GIVEN:
        path, what = split_target(target)
        _, function = load_target(path, what)
        if not callable(function) or not binds(function, [], {}):
            raise UsageError("--input %s: expected a function without required arguments" % text)
        random.seed(seed)
        np.random.seed(seed)
        try:
            GIVEN[target] = function()
        except Exception as error:  # the user's function may raise anything
            raise CaptureError("--input %s raised %s" % (text, describe(error, path)))
    value = GIVEN[target]
    if isinstance(value, dict):
        pairs = [(str(k), v) for k, v in value.items()]
    else:
        pairs = [(None, v) for v in value] if isinstance(value, (tuple, list)) else [(None, value)]
    if name is not None and len(pairs) != 1:
        raise UsageError(
            "--input %s: the function returns %d arrays, which one name cannot call" % (text, len(pairs))
        )
    arrays = [(name or key, as_value(array).array) for key, array in pairs]
    if not arrays:
        raise CaptureError("--input %s: the function returned nothing" % text)
    wrong = [str(key or i) for i, (key, array) in enumerate(arrays) if array.dtype.kind == "O"]
    if wrong:
        raise CaptureError("--input %s: input %s is no array of numbers" % (text, wrong[0]))
    return arrays


def _from_file(name, path, text):
    key = None
    if ".npz:" in path:
        path, _, key = path.rpartition(":")
    if not path.endswith((".npy", ".npz")):
        known = "2x28x28x1:float32, ids=4x10:int32<100, rate=0.5, x.npy, batch.npz or @FILE.py:NAME"
        raise CaptureError("--input %s: expected %s" % (text, known))
    try:
        loaded = np.load(path, allow_pickle=False)
        if path.endswith(".npy"):
            return [(name, loaded)]
        if key is not None:
            return [(name, loaded[key])]
        return [(None, loaded[k]) for k in loaded.files]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise CaptureError("--input %s: %s" % (text, str(error).splitlines()[0]))


def spec_of_model(model):
    """Input specs from what Keras knows of the model, batch 2; raises CaptureError saying what to pass."""
    try:
        shapes = model.input_shape
    except (AttributeError, RuntimeError, ValueError):
        shapes = getattr(model, "_build_input_shape", None)
    try:
        inputs = list(model.inputs or [])
    except (AttributeError, TypeError, ValueError):
        inputs = []
    if inputs:
        shapes = [tuple(x.shape.as_list() if hasattr(x.shape, "as_list") else x.shape) for x in inputs]
        names = [getattr(x, "dtype", "float32") for x in inputs]
        dtypes = [getattr(d, "name", d) for d in names]
    elif (
        shapes and isinstance(shapes, (tuple, list)) and all(isinstance(n, (int, type(None))) for n in shapes)
    ):
        shapes, dtypes = [tuple(shapes)], ["float32"]
    else:
        example = "--input 2x28x28x1:float32"
        raise CaptureError("the model does not tell its input's shape: pass --input, such as " + example)
    limits = [layer.input_dim for layer in sublayers(model) if type(layer).__name__ == "Embedding"]
    specs = []
    for shape, dtype in zip(shapes, dtypes):
        sizes = [int(n) if n else None for n in shape]
        sizes[:1] = [sizes[0] or 2] if sizes else []
        ids = limits and len(sizes) < 3 and (len(shapes) == 1 or dtype.startswith("int"))  # for an Embedding
        dtype = "int32" if ids and dtype.startswith("float") else dtype
        if None in sizes:
            shown = "x".join(str(n or 64) for n in sizes)
            told = (tuple(shape), shown, dtype)
            raise CaptureError("the model's input %s has free sizes: pass --input %s:%s" % told)
        spec = "%s:%s" % ("x".join(str(n) for n in sizes), "float32" if dtype == "float64" else dtype)
        specs.append(spec + "<%d" % min(limits) if ids else spec)
    return specs
