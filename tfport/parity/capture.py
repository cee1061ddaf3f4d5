"""The reference run: calls a TensorFlow program once and writes what went in and what came out.

This file stands alone. It needs NumPy and TensorFlow (1.15 or later), Python 3.7 or later, and no other
file of tfport, so it runs by path in whatever environment the program lives in:

    python capture.py model.py:build --input 2x28x28x1:float32 --output golden/

The folder it leaves holds `manifest.json` (versions, seeds, names, checksums), one safetensors file per
dtype with `inputs/...`, `outputs/...` and `layers/...`, and the weights as Keras saves them. It is read
without TensorFlow. tfport's torch side imports the parts of this file that need no TensorFlow (`flatten`,
`write_tensors`, `load_target`, ...), so that both sides name and store values by the same code.

Weights are random under the seed, and made so that faults show: constants (biases, scales) get noise,
kernels are scaled until activations have a standard deviation near one, and BatchNormalization layers get
moving statistics near those of the data with variances between 0.01 and 1, where epsilon is visible.
"""

# Python 3.7 and old habits: percent formats, classes as Python 2 wrote them are fine here.
# ruff: noqa: UP031, B904
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, check-untyped-defs=False

import argparse
import ast
import collections
import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import platform
import random
import re
import shutil
import struct
import sys
import tempfile
import traceback

try:
    import numpy as np
except ImportError:
    sys.stderr.write("tfport: NumPy is not installed for %s: pip install tfport[tf]\n" % sys.executable)
    sys.exit(2)

MANIFEST_VERSION = 1
LAYER_BUDGET = 64 * 2**20  # bytes of layer outputs kept with `--layers auto`
CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
    "bool": "BOOL",
}  # fmt: skip

Value = collections.namedtuple("Value", "array dtype")
Value.__doc__ = """An array and the name of its dtype.

`dtype` is NumPy's name, or `bfloat16` (the array then holds the same numbers as float32), `string`, `none`,
`list` (an empty list), or `python float`, `python int`, `python bool`, `python complex` (numbers that have no
dtype of their own).
"""


class CaptureError(Exception):
    """A fault of the request or of the program, told in one line."""


class UsageError(CaptureError):
    """A fault of the request alone: a name, a device, an argument that is not there."""


# ---------------------------------------------------------------- values and their files


def as_value(x):
    """Turns a number, array, TensorFlow or torch tensor, string or None into a `Value` on the CPU."""
    if isinstance(x, Value):
        return x
    if x is None:
        return Value(np.zeros((), np.uint8), "none")
    if not isinstance(x, np.generic):
        for kind in (bool, int, float, complex):
            if isinstance(x, kind):
                array = np.array(x)
                if array.dtype.kind == "O":  # an integer beyond 64 bits
                    return Value(np.array(repr(x), dtype=object), "string")
                return Value(array, "python " + kind.__name__)
    if isinstance(x, (str, bytes)):
        return Value(np.array(_text(x), dtype=object), "string")
    if hasattr(x, "detach") and hasattr(x, "cpu"):  # torch
        x = x.detach().cpu()
        if hasattr(x, "resolve_conj"):
            x = x.resolve_conj().resolve_neg()
        if str(x.dtype) == "torch.bfloat16":
            return Value(x.float().numpy(), "bfloat16")
        array = x.numpy()
    elif callable(getattr(x, "numpy", None)):
        array = np.asarray(x.numpy())
    else:
        array = np.asarray(x)
    if array.dtype.name == "bfloat16":
        return Value(array.astype(np.float32), "bfloat16")
    if array.dtype.kind in "biufc":
        return Value(array, array.dtype.name)
    texts = array.dtype.kind == "O" and all(isinstance(v, (str, bytes)) for v in array.flat)
    if array.dtype.kind in "SU" or texts:
        return Value(np.array([_text(v) for v in array.flat], dtype=object).reshape(array.shape), "string")
    raise CaptureError("a value of type %s cannot be compared" % type(x).__name__)


def _text(x):
    return x.decode("utf-8", "backslashreplace") if isinstance(x, bytes) else str(x)


def flatten(x, name="output"):
    """Names the leaves of a nested structure: `output`, `output/0`, `output/logits/1`.

    A list of scalars of one dtype (the losses of a loop) is one leaf of shape (n,). Returns an OrderedDict
    of name to `Value`; raises CaptureError on a leaf that is neither a number, a tensor, a string nor None.
    """
    leaves = collections.OrderedDict()
    _flatten(x, name, leaves)
    return leaves


def _flatten(x, name, leaves):
    kind = type(x).__name__
    if isinstance(x, Value):
        leaves[name] = x
    elif kind == "RaggedTensor":
        parts = [("flat_values", x.flat_values)]
        parts += [("row_splits_%d" % i, s) for i, s in enumerate(x.nested_row_splits)]
        for key, part in parts:
            _flatten(part, name + "/" + key, leaves)
    elif kind == "SparseTensor":
        for key in ("indices", "values", "dense_shape"):
            _flatten(getattr(x, key), name + "/" + key, leaves)
    elif kind == "IndexedSlices":
        for key in ("indices", "values"):
            _flatten(getattr(x, key), name + "/" + key, leaves)
    elif hasattr(x, "items") and callable(x.items) and not hasattr(x, "dtype"):
        for key, part in x.items():
            _flatten(part, name + "/" + str(key), leaves)
    elif isinstance(x, (list, tuple)):
        if not x:
            leaves[name] = Value(np.zeros((0,), np.uint8), "list")
            return
        parts = [None if isinstance(p, (list, tuple, dict)) or p is None else as_value(p) for p in x]
        if all(p is not None and p.array.ndim == 0 and p.dtype == parts[0].dtype for p in parts):
            leaves[name] = Value(np.stack([p.array for p in parts]), parts[0].dtype)
            return
        for i, part in enumerate(x):
            _flatten(part, "%s/%d" % (name, i), leaves)
    else:
        leaves[name] = as_value(x)


def write_tensors(path, values):
    """Writes name -> `Value` as a safetensors file; dtypes that the format lacks are told in its metadata."""
    header = collections.OrderedDict()
    labels, blobs, at = {}, [], 0
    for name, value in values.items():
        array, label = value
        shape = list(array.shape)
        if label == "string":
            text = json.dumps([list(array.shape), [str(v) for v in array.flat]])
            array = np.frombuffer(text.encode("utf-8"), np.uint8)
            shape = list(array.shape)
        elif label == "bfloat16":
            array = (np.ascontiguousarray(array, "<f4").view("<u4") >> 16).astype("<u2")
        elif array.dtype.kind == "c":
            part = np.float32 if array.dtype.itemsize == 8 else np.float64
            array = np.stack([array.real, array.imag], -1).astype(part)
            shape = list(array.shape)
        code = CODES["bfloat16" if label == "bfloat16" else array.dtype.name]
        if CODES.get(label) != code:
            labels[name] = label
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [at, at + len(data)]}
        blobs.append(data)
        at += len(data)
    if labels:
        header["__metadata__"] = {"labels": json.dumps(labels, sort_keys=True)}
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for data in blobs:
            f.write(data)


def sha256(path):
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for chunk in iter(lambda: f.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


# ---------------------------------------------------------------- finding and calling what is named


def split_target(text):
    """`FILE.py:NAME` -> (absolute file, NAME). NAME may be dotted. Raises CaptureError."""
    path, colon, name = text.rpartition(":")
    if not colon or not path or not re.match(r"[^\W\d][\w.]*$", name):
        raise CaptureError("%s: expected FILE.py:NAME, such as model.py:build" % text)
    if not os.path.isfile(path):
        raise CaptureError("%s: no such file" % path)
    return os.path.abspath(path), name


def load_target(path, name):
    """Imports a file and returns (module, what NAME is bound to). Errors say file and line."""
    forget(os.path.dirname(path))
    before = set(sys.modules)
    try:
        module = _import_file(path)
    except Exception as error:  # the user's file may raise anything
        if os.environ.get("TFPORT_TRACEBACK"):
            traceback.print_exc()
        raise CaptureError("%s cannot be imported: %s" % (os.path.basename(path), describe(error, path)))
    finally:
        _LOADED.update(set(sys.modules) - before)
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            have = [k for k, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__]
            listed = ", ".join(sorted(have)[:12])
            raise UsageError("%s has no %s%s" % (path, name, "; it defines " + listed if listed else ""))
        found = getattr(found, part)
    return module, found


def _import_file(path):
    folder, stem = os.path.dirname(path), os.path.splitext(os.path.basename(path))[0]
    with open(path, "rb") as f:
        tree = ast.parse(f.read(), path)
    relative = any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
    if relative:  # part of a package: import it by its dotted name
        parts = [stem]
        while os.path.isfile(os.path.join(folder, "__init__.py")):
            parts.insert(0, os.path.basename(folder))
            folder = os.path.dirname(folder)
        sys.path.insert(0, folder)
        return importlib.import_module(".".join(parts))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = stem if stem not in sys.modules else "tfport_target_" + stem
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_LOADED = set()  # type: set  # names of the user's modules that load_target imported


def forget(folder):
    """Drops the user's modules that were imported from `folder` before, so that the next run builds anew."""
    for name in sorted(_LOADED):
        path = getattr(sys.modules.get(name), "__file__", None) or ""
        if (
            path.startswith(folder + os.sep)
            and "site-packages" not in path
            and name.split(".")[0] != "tfport"
        ):
            del sys.modules[name]
    _LOADED.clear()


def describe(error, path=""):
    """`ValueError: bad shape (model.py:12)`: an exception in one line, with the user's own line."""
    text = str(error).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    text = re.sub(r"\{\{.*?\}\} ?", "", lines[0]) if lines else ""
    if len(lines) > 1 and text.endswith(":"):
        text += " " + lines[1]
    place = ""
    if isinstance(error, SyntaxError) and error.lineno:
        text = "%s (%s:%d)" % (error.msg, os.path.basename(error.filename or path), error.lineno)
    else:
        frames = traceback.extract_tb(error.__traceback__)
        files = [(os.path.abspath(f.filename), f) for f in frames]
        beside = os.path.dirname(path) if path else None
        own = [f for p, f in files if os.path.dirname(p) == beside and p != os.path.abspath(__file__)]
        if own:
            place = " (%s:%d)" % (os.path.basename(own[-1].filename), own[-1].lineno)
    return "%s: %s%s" % (type(error).__name__, text[:300], place)


def parse_call(text):
    """`3, weights=None` -> ([3], {"weights": None}); literals only."""
    try:
        call = ast.parse("f(%s)" % (text or ""), mode="eval").body
        args = [ast.literal_eval(a) for a in call.args]
        return args, {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
    except (SyntaxError, ValueError):
        raise CaptureError('--call-args %r: expected Python literals, such as "10, weights=None"' % text)


def required(function):
    """Names of the parameters that a call must give, or None where Python cannot tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    kinds = positional + (inspect.Parameter.KEYWORD_ONLY,)
    return [p.name for p in parameters if p.kind in kinds and p.default is p.empty]


def binds(function, args, kwargs):
    """Whether a call with these arguments is complete."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return False
    return True


# ---------------------------------------------------------------- inputs

NUMBER = r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
SPEC = re.compile(
    r"^(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>\d+(?:x\d+)*|scalar)(?::(?P<dtype>[a-z]+\d*))?"
    r"(?:>=(?P<low>" + NUMBER + r"))?(?:<(?P<high>" + NUMBER + r"))?$"
)
DTYPES = tuple(n for n in CODES if n != "bfloat16") + ("complex64", "complex128")


def make_inputs(specs, seed, dtype):
    """Makes arrays from specs: `2x28x28x1:float32`, `ids=4x10:int32<100`, `x.npy`, `batch.npz:x`.

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
        head, _, tail = text.partition("=")
        name, path = (head, tail) if tail and head.isidentifier() else (None, text)
        made.extend(_from_file(name, path, text))
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
        return np.asarray(rng.randint(low, high, shape, np.int64)).astype(dtype)
    if low is None and high is None:
        values = rng.standard_normal(shape)
        if kind == "c":
            values = values + 1j * rng.standard_normal(shape)
    else:
        low = (0.0 if high > 0 else high - 1.0) if low is None else low
        values = rng.uniform(low, low + 1.0 if high is None else high, shape)
    values = np.asarray(values)
    return values.astype(np.float32).astype(dtype) if dtype == "float64" else values.astype(dtype)


def _from_file(name, path, text):
    key = None
    if ".npz:" in path:
        path, _, key = path.rpartition(":")
    if not path.endswith((".npy", ".npz")):
        known = "2x28x28x1:float32, ids=4x10:int32<100, x.npy or batch.npz"
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
        shapes = [tuple(x.shape) for x in inputs]
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
        ids = limits and (len(shapes) == 1 or dtype.startswith("int"))  # what an Embedding takes
        dtype = "int32" if ids and dtype.startswith("float") else dtype
        if None in sizes:
            shown = "x".join(str(n or 64) for n in sizes)
            told = (tuple(shape), shown, dtype)
            raise CaptureError("the model's input %s has free sizes: pass --input %s:%s" % told)
        spec = "%s:%s" % ("x".join(str(n) for n in sizes), "float32" if dtype == "float64" else dtype)
        specs.append(spec + "<%d" % min(limits) if ids else spec)
    return specs


# ---------------------------------------------------------------- Keras: layers, weights, calls


def is_keras(x):
    """Whether x is a Keras layer or model, of any Keras."""
    roots = [c.__module__ for c in type(x).__mro__]
    return hasattr(x, "get_weights") and any(
        m.split(".")[0] in ("keras", "tf_keras") or m.startswith("tensorflow.python.keras") for m in roots
    )


def sublayers(model):
    """Every layer inside a model, nested ones included, without the model itself."""
    if hasattr(model, "_flatten_layers"):
        return list(model._flatten_layers(include_self=False))
    found = []
    for layer in getattr(model, "layers", []):
        found += [layer] + sublayers(layer)
    return found


def snake_case(name):
    """`Conv2DTranspose` -> `conv2d_transpose`, as Keras names layers."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def layer_paths(model):
    """Names each layer in two ways: id(layer) -> (`outer/inner` by Keras name, attribute path or None).

    The attribute path is the one in a `.weights.h5` file: `encoder/blocks/dense_1` is the second Dense of
    the list `blocks` of the attribute `encoder`.
    """
    paths = {}

    def visit(owner, names, attributes):
        held = {}
        for key, value in vars(owner).items():
            if key.startswith("_"):
                continue
            if is_keras(value):
                held.setdefault(id(value), key)
            elif isinstance(value, (list, tuple)):
                counts = collections.Counter()
                for part in value:
                    if is_keras(part):
                        kind = snake_case(type(part).__name__)
                        number = "_%d" % counts[kind] if counts[kind] else ""
                        held.setdefault(id(part), "%s/%s%s" % (key, kind, number))
                        counts[kind] += 1
        own = getattr(owner, "layers", None)
        own = own if own is not None else getattr(owner, "_layers", None) or []
        for layer in own:
            if not is_keras(layer) or id(layer) in paths:
                continue
            attribute = held.get(id(layer))
            attribute = None if attribute is None or attributes is None else attributes + [attribute]
            paths[id(layer)] = ("/".join(names + [layer.name]), "/".join(attribute) if attribute else None)
            visit(layer, names + [layer.name], attribute)

    visit(model, [], [])
    return paths


class Watch:
    """Replaces `call` of the layers while it is open: `with Watch(layers, seen): model(x)`.

    `seen(layer, call, args, kwargs)` makes the layer's call and returns its result.
    """

    def __init__(self, layers, seen):
        self.layers, self.seen = layers, seen

    def __enter__(self):
        for layer in self.layers:
            object.__setattr__(layer, "call", self._wrap(layer, layer.call))

    def __exit__(self, *error):
        for layer in self.layers:
            object.__delattr__(layer, "call")

    def _wrap(self, layer, call):
        def watched(*args, **kwargs):
            return self.seen(layer, call, args, kwargs)

        return watched


def assign(variable, array, tf):
    """Sets a variable, in eager mode or in a graph's session."""
    if tf.executing_eagerly():
        variable.assign(array)
    else:
        tf.keras.backend.set_value(variable, array)


def roughen(model, rng, tf):
    """Adds noise of up to 0.2 to variables that hold one constant (zero biases, unit scales)."""
    trainable = {id(v) for v in model.trainable_weights}
    for variable, array in zip(model.weights, model.get_weights()):
        array = np.asarray(array)
        statistic = any(word in variable.name for word in ("mean", "variance"))
        if array.dtype.kind != "f" or array.size == 0 or not (id(variable) in trainable or statistic):
            continue
        if np.all(array == array.flat[0]):
            assign(variable, (array + rng.uniform(-0.2, 0.2, array.shape)).astype(array.dtype), tf)


class Tune:
    """Scales kernels and sets BatchNormalization's statistics from the data that reach each layer."""

    def __init__(self, rng, tf):
        self.rng, self.tf, self.done = rng, tf, set()

    def __call__(self, layer, call, args, kwargs):
        if id(layer) not in self.done and args and hasattr(args[0], "numpy"):
            self.done.add(id(layer))
            if hasattr(layer, "moving_variance") and hasattr(layer, "epsilon"):
                self.statistics(layer, np.asarray(args[0].numpy(), np.float64))
            elif not type(layer).__name__.endswith("Cell"):
                self.scale(layer, call, args, kwargs)
        return call(*args, **kwargs)

    def set(self, variable, array):
        assign(variable, np.asarray(array).astype(np.asarray(variable.numpy()).dtype), self.tf)

    def statistics(self, layer, x):
        axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
        axes = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
        mean, variance = x.mean(axes), x.var(axes)
        variance = np.maximum(variance, 1e-3 * variance.mean() + 1e-12)
        stored = 10.0 ** self.rng.uniform(-2, 0, mean.shape)
        if getattr(layer, "gamma", None) is not None:
            gain = self.rng.uniform(0.5, 1.5, mean.shape)
            self.set(layer.gamma, gain * np.sqrt(stored / variance))
        else:
            stored = variance * self.rng.uniform(0.7, 1.4, mean.shape)
        if getattr(layer, "beta", None) is not None:
            self.set(layer.beta, 0.3 * self.rng.standard_normal(mean.shape))
        self.set(layer.moving_mean, mean + 0.1 * np.sqrt(variance) * self.rng.standard_normal(mean.shape))
        self.set(layer.moving_variance, stored)

    def scale(self, layer, call, args, kwargs):
        names = ("pointwise_kernel", "depthwise_kernel", "kernel")
        kernel = next((v for v in (getattr(layer, n, None) for n in names) if hasattr(v, "assign")), None)
        if kernel is None or not hasattr(layer, "activation"):
            return
        activation = layer.activation
        object.__setattr__(layer, "activation", lambda v: v)
        try:
            deviation = float(np.std(np.asarray(call(*args, **kwargs).numpy(), np.float64)))
        finally:
            object.__setattr__(layer, "activation", activation)
        # The relative error of a softmax is the absolute one of its logits: small ones keep rounding small.
        softmax = getattr(activation, "__name__", None) == "softmax"
        low, aim, high = (0.2, 0.5, 0.5) if softmax else (0.3, 1.0, 3.0)
        if np.isfinite(deviation) and deviation > 0 and not low <= deviation <= high:
            self.set(kernel, np.asarray(kernel.numpy()) * (aim / deviation))


class Record:
    """Keeps the outputs of the layers, in the order of the calls, up to `budget` bytes."""

    def __init__(self, paths, budget):
        self.paths, self.budget = paths, budget
        self.values, self.layers, self.left_out = collections.OrderedDict(), [], 0

    def __call__(self, layer, call, args, kwargs):
        result = call(*args, **kwargs)
        name, attribute = self.paths.get(id(layer), (layer.name, None))
        calls = sum(1 for entry in self.layers if entry["name"] == name)
        key = "layers/" + name + ("#%d" % calls if calls else "")
        try:
            leaves = flatten(result, key)
        except (
            CaptureError,
            AttributeError,
            NotImplementedError,
        ):  # symbolic inside a loop: no value to keep
            self.left_out += 1
            return result
        size = sum(v.array.nbytes for v in leaves.values())
        if size > self.budget:
            self.left_out += 1
            return result
        self.budget -= size
        self.values.update(leaves)
        activation = getattr(getattr(layer, "activation", None), "__name__", None)
        self.layers.append({"name": name, "class": type(layer).__name__, "attribute": attribute,
                            "activation": activation, "tensors": list(leaves)})  # fmt: skip
        return result


# ---------------------------------------------------------------- the run


class Run:
    """One capture in one dtype; `write(folder)` leaves its files there and returns its manifest entry."""

    def __init__(self, tf, options, dtype):
        self.tf, self.options, self.dtype = tf, options, dtype
        self.path, self.name = split_target(options.target)
        self.notes, self.tensors, self.entry = [], collections.OrderedDict(), {}
        self.graph = collections.OrderedDict()  # initial values of a graph's variables

    def write(self, folder):
        tf, options = self.tf, self.options
        reset(tf, self.dtype, options.seed)
        module, found = load_target(self.path, self.name)
        tune_precision(tf)
        seed_all(tf, options.seed)
        args, kwargs = parse_call(options.call_args)
        model, outputs = self.guard(lambda: self.build(found, args, kwargs))
        if is_keras(model):
            self.keras(model, folder)
        elif outputs is None:
            self.function(model, module, folder, args, kwargs)
        else:
            self.keep(outputs)
            self.entry["kind"] = "function"
        name = self.dtype + ".safetensors"
        write_tensors(os.path.join(folder, name), self.tensors)
        self.entry.update(dtype=self.dtype, tensors=name, notes=self.notes)
        return self.entry

    def guard(self, action):
        try:
            return action()
        except CaptureError:
            raise
        except Exception as error:  # the reference may raise anything
            if os.environ.get("TFPORT_TRACEBACK"):
                traceback.print_exc()
            raise CaptureError("the reference raised %s" % describe(error, self.path))

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
            return found(*args, **kwargs), None
        if binds(found, args, kwargs) and not (self.options.input and required(found)):
            result = found(*args, **kwargs)
            if is_keras(result) or (isinstance(result, self.tf.Module) and callable(result)):
                return result, None
            if not self.options.input:
                return None, self.evaluate(result)
            seed_all(self.tf, self.options.seed)
        return found, None

    def keep(self, outputs, inputs=(), how="arguments"):
        leaves = flatten(outputs)
        if not leaves:
            raise CaptureError("%s returned nothing to compare" % self.name)
        names = []
        for i, (name, array) in enumerate(inputs):
            key = "inputs/%s" % (name or i)
            self.tensors[key] = as_value(array)
            names.append({"name": name, "tensor": key})
        for name, value in leaves.items():
            self.tensors["outputs/" + name] = value
        self.entry.update(inputs=names, pass_inputs=how, outputs=list(leaves))

    def inputs(self, model=None):
        specs = self.options.input or (spec_of_model(model) if model is not None else [])
        return make_inputs(specs, self.options.seed, self.dtype)

    # -- Keras

    def keras(self, model, folder):
        tf, options = self.tf, self.options
        inputs = self.inputs(model)
        how = self.passing(model, inputs)
        forward = lambda: self.guard(lambda: self.forward(model, inputs, how))  # noqa: E731
        with functions_run_eagerly(tf):
            outputs = forward()  # builds a model that had no shapes yet
        rng = np.random.RandomState(options.seed + 1)
        if options.weights:
            self.guard(lambda: model.load_weights(options.weights))
        else:
            roughen(model, rng, tf)
            if tf.executing_eagerly():
                with Watch(sublayers(model), Tune(rng, tf)), functions_run_eagerly(tf):
                    forward()
        budget = {"none": -1, "auto": LAYER_BUDGET, "all": float("inf")}[options.layers]
        record = Record(layer_paths(model), budget)
        if tf.executing_eagerly() and budget >= 0:
            with Watch(sublayers(model), record):
                outputs = forward()
        else:
            outputs = forward()
        self.keep(outputs, inputs, how)
        self.tensors.update(record.values)
        self.entry.update(kind="keras", layers=record.layers, layers_left_out=record.left_out, weights=None)
        if model.weights:
            name = self.dtype + ".weights.h5"
            self.guard(lambda: model.save_weights(os.path.join(folder, name)))
            self.entry["weights"] = {"kind": "keras", "file": name}

    def passing(self, model, inputs):
        if inputs and all(name for name, _ in inputs):
            names = [getattr(x, "name", "").split(":")[0] for x in getattr(model, "inputs", None) or []]
            return "mapping" if {n for n, _ in inputs} <= set(names) else "keywords"
        if len(inputs) < 2:
            return "arguments"
        need = [p for p in required(model.call) or [] if p not in ("training", "mask")]
        functional = "Functional" in [c.__name__ for c in type(model).__mro__] or getattr(
            model, "inputs", None
        )
        return "arguments" if not functional and len(need) >= len(inputs) else "list"

    def forward(self, model, inputs, how):
        tf = self.tf
        if not tf.executing_eagerly():
            arrays = [a for _, a in inputs]
            return model.predict_on_batch(arrays[0] if len(arrays) == 1 else arrays)
        tensors = [tf.constant(a) for _, a in inputs]
        names = [n for n, _ in inputs]
        parameters = inspect.signature(model.call).parameters
        extra = {"training": False} if "training" in parameters else {}
        if how == "keywords":
            extra.update(zip(names, tensors))
            return model(**extra)
        if how == "mapping":
            return model(dict(zip(names, tensors)), **extra)
        if how == "list":
            return model(tensors, **extra)
        return model(*tensors, **extra)

    # -- functions and tf.Module

    def function(self, function, module, folder, args, kwargs):
        tf = self.tf
        inputs = self.inputs()
        named = {n: a for n, a in inputs if n}
        plain = [a for n, a in inputs if not n]
        if isinstance(function, tf.Module):  # the arguments were its constructor's
            args, kwargs = [], {}
        if not binds(function, plain + list(args), dict(kwargs, **named)):
            told = (self.name, ", ".join(required(function) or []), len(inputs))
            raise CaptureError("%s(%s) got %d input(s): pass one --input for each" % told)
        arrays = self.wants_arrays(function)
        give = (lambda a: a) if arrays else tf.constant
        keys = dict(kwargs, **{n: give(a) for n, a in named.items()})
        call = lambda: function(*([give(a) for a in plain] + list(args)), **keys)  # noqa: E731
        variables = self.variables(function, module)
        outputs = self.guard(lambda: self.evaluate(call()))
        self.keep(outputs, inputs, "arguments")
        kind = "module" if isinstance(function, tf.Module) else "function"
        if kind == "module":
            variables = self.variables(function, module)  # made by the first call
        self.entry.update(kind=kind, weights=None)
        variables = self.graph or variables
        if variables:
            name = self.dtype + ".weights.safetensors"
            write_tensors(os.path.join(folder, name), variables)
            kind = "graph" if self.graph else "variables" if kind == "module" else "globals"
            self.entry["weights"] = {"kind": kind, "file": name}

    def wants_arrays(self, function):
        if self.tf.executing_eagerly():
            return False
        try:
            source = inspect.getsource(function)
        except (OSError, TypeError):
            return False
        return "feed_dict" in source or ".run(" in source

    def variables(self, function, module):
        """Variables before the call: of a tf.Module by attribute path, else the file's own by their name."""
        tf, found = self.tf, collections.OrderedDict()
        if not tf.executing_eagerly():
            return found
        if isinstance(function, tf.Module):
            walk = function._flatten(predicate=lambda v: isinstance(v, tf.Variable), with_path=True)
            pairs = [("/".join(str(p) for p in path), v) for path, v in walk]
        else:
            pairs = [(k, v) for k, v in vars(module).items() if isinstance(v, tf.Variable)]
        for name, variable in pairs:
            found[name] = as_value(variable)
        return found

    def evaluate(self, result):
        """Values of symbolic tensors (graph mode); anything else is returned as it is."""
        tf = self.tf
        if tf.executing_eagerly():
            return result
        flat = tf.nest.flatten(result)
        if not any(isinstance(x, (tf.Tensor, tf.Variable)) for x in flat):
            return result
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            session.run(tf.compat.v1.local_variables_initializer())
            for variable in tf.compat.v1.global_variables():
                self.graph[variable.op.name] = as_value(session.run(variable))
            values = [session.run(x) if isinstance(x, (tf.Tensor, tf.Variable)) else x for x in flat]
        return tf.nest.pack_sequence_as(result, values)


def reset(tf, dtype, seed):
    """A fresh graph and Keras state, with `dtype` as Keras' default float."""
    try:
        import keras
    except ImportError:
        keras = None
    for module in (tf.keras, keras):
        if module is None:
            continue
        module.backend.clear_session()
        module.backend.set_floatx(dtype)
        if hasattr(getattr(module, "config", None), "set_dtype_policy"):
            module.config.set_dtype_policy(dtype)
        elif hasattr(getattr(module, "mixed_precision", None), "set_global_policy"):
            module.mixed_precision.set_global_policy(dtype)
    if not tf.executing_eagerly():
        tf.compat.v1.reset_default_graph()
    seed_all(tf, seed)


def seed_all(tf, seed):
    """Seeds Python, NumPy and TensorFlow."""
    random.seed(seed)
    np.random.seed(seed)
    getattr(tf.random, "set_seed", None) and tf.random.set_seed(seed)
    tf.compat.v1.set_random_seed(seed)


@contextlib.contextmanager
def functions_run_eagerly(tf):
    """Inside, what `@tf.function` decorates runs as plain Python.

    Keras 3 builds a model by running its call() with fresh initial values in place of the variables. A call() that
    is a tf.function is traced by that run, and the traced graph, which draws new weights at every call and holds
    no variable, is what later calls with the same arguments use. A model that was built eagerly is traced right.
    """
    config = tf.config
    switch = getattr(config, "run_functions_eagerly", None)
    switch = switch or getattr(config, "experimental_run_functions_eagerly", None)
    if switch is None or not tf.executing_eagerly():
        yield
        return
    asked = getattr(
        config, "functions_run_eagerly", getattr(config, "experimental_functions_run_eagerly", bool)
    )
    before = asked()
    switch(True)
    try:
        yield
    finally:
        switch(before)


def tune_precision(tf):
    """Turns TF32 off, which TensorFlow uses on GPUs by default."""
    switch = getattr(tf.config.experimental, "enable_tensor_float_32_execution", None)
    if switch is not None:
        switch(False)


def versions(tf):
    """Versions of what computed the reference."""
    found = {"python": platform.python_version(), "numpy": np.__version__, "tensorflow": tf.__version__}
    keras = sys.modules.get("keras") or getattr(tf, "keras", None)
    found["keras"] = getattr(keras, "__version__", "unknown")
    return found


def capture(options):
    """Runs every dtype into a temporary folder, which takes its final name only when all went well."""
    target, _ = split_target(options.target)
    final = os.path.abspath(options.output)
    if os.path.exists(final) and not options.update:
        raise CaptureError("%s exists: pass --update to replace it" % options.output)
    if os.path.exists(final) and not os.path.isfile(os.path.join(final, "manifest.json")):
        raise CaptureError("%s exists and is no golden folder: choose another name" % options.output)
    parent = os.path.dirname(final)
    if not os.path.isdir(parent):
        raise CaptureError("%s: no such folder" % parent)
    parse_call(options.call_args)
    make_inputs(options.input, options.seed, "float32")
    tf = import_tensorflow()
    try:
        folder = tempfile.mkdtemp(prefix=".tfport-", dir=parent)
    except OSError as error:
        raise CaptureError("%s cannot be written: %s" % (parent, error.strerror))
    try:
        runs = [Run(tf, options, dtype).write(folder) for dtype in options.dtype.split(",")]
        manifest = collections.OrderedDict(
            format="tfport golden", version=MANIFEST_VERSION,
            target=os.path.basename(target) + ":" + options.target.rpartition(":")[2],
            source_sha256=sha256(target), seed=options.seed, call_args=options.call_args or "", layout="NHWC",
            versions=versions(tf), machine=platform.machine(), threads=os.cpu_count(),
            tf32=False, onednn=os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"), runs=runs,
        )  # fmt: skip
        manifest["sha256"] = {n: sha256(os.path.join(folder, n)) for n in sorted(os.listdir(folder))}
        with open(os.path.join(folder, "manifest.json"), "w") as f:
            json.dump(manifest, f, indent=1)
            f.write("\n")
        os.chmod(folder, 0o755)
        if os.path.exists(final):
            shutil.rmtree(final)
        os.rename(folder, final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def import_tensorflow():
    """TensorFlow, quiet; raises CaptureError saying how to install it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow as tf
    except ImportError as error:
        missing = getattr(error, "name", None) == "tensorflow"
        why = "TensorFlow is not installed" if missing else "TensorFlow cannot be imported (%s)" % error
        advice = "pip install 'tfport[tf]', or name an environment that has it with --python"
        raise CaptureError("%s for %s: %s" % (why, sys.executable, advice))
    return tf


def main(argv=None):
    """Command line; exit status 0 when the folder was written, 2 otherwise, with one line on stderr."""
    parser = argparse.ArgumentParser(prog="capture.py", description="Record a TensorFlow program's run.")
    parser.add_argument("target", help="FILE.py:NAME")
    parser.add_argument("-o", "--output", required=True, help="folder to write")
    spec = "2x28x28x1:float32, ids=4x10:int32<100, x.npy"
    parser.add_argument("--input", action="append", default=[], help=spec)
    parser.add_argument("--call-args", default="", help='arguments of the builder: "10, weights=None"')
    parser.add_argument("--weights", help="load these weights instead of random ones")
    parser.add_argument("--dtype", default="float32", help="float32,float64")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", choices=("auto", "all", "none"), default="auto")
    parser.add_argument("--update", action="store_true", help="replace an existing folder")
    options = parser.parse_args(argv)
    try:
        capture(options)
    except CaptureError as error:
        sys.stderr.write("\ntfport: %s\n" % " ".join(str(error).split()))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
