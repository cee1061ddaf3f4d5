"""Values: how numbers, arrays and tensors are named, flattened and stored."""

import collections
import json

import numpy as np

from tfport.parity.reference.errors import CaptureError

CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
    "bool": "BOOL",
}  # fmt: skip
NAMES = {code: name for name, code in CODES.items()}
Value = collections.namedtuple("Value", "array dtype")
Value.__doc__ = """An array and the name of its dtype.

`dtype` is NumPy's name, or `bfloat16` (the array then holds the same numbers as float32), `string`, `none`,
`list` (an empty list), or `python float`, `python int`, `python bool`, `python complex` (numbers that have no
dtype of their own).
"""


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
        return Value(np.array(text_of(x), dtype=object), "string")
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
        return Value(np.array([text_of(v) for v in array.flat], dtype=object).reshape(array.shape), "string")
    raise CaptureError("a value of type %s cannot be compared" % type(x).__name__)


def text_of(x):
    return x.decode("utf-8", "backslashreplace") if isinstance(x, bytes) else str(x)


def flatten(x, name="output"):
    """Names the leaves of a nested structure: `output`, `output/0`, `output/logits/1`.

    A list of scalars of one dtype (the losses of a loop) is one leaf of shape (n,). Returns an OrderedDict
    of name to `Value`; raises CaptureError on a leaf that is neither a number, a tensor, a string nor None.
    """
    leaves = collections.OrderedDict()
    _flatten(x, name, leaves)
    return leaves


def flatten_pairs(x, name):
    """As `flatten`, with the tensor that each leaf is: a list of (name, tensor, `Value`)."""
    if isinstance(x, (list, tuple, dict)) or not hasattr(x, "shape"):
        leaves = flatten(x, name)
        owners = {}
        _owners(x, name, owners)
        return [(key, owners.get(key), value) for key, value in leaves.items()]
    return [(key, x if key == name else None, value) for key, value in flatten(x, name).items()]


def owners_of(x, name="output"):
    """The leaves of a nested structure by the names that `flatten` gives them."""
    owners = collections.OrderedDict()
    _owners(x, name, owners)
    return owners


def _owners(x, name, owners):
    if hasattr(x, "items") and callable(x.items) and not hasattr(x, "dtype"):
        for key, part in x.items():
            _owners(part, name + "/" + str(key), owners)
    elif isinstance(x, (list, tuple)):
        for i, part in enumerate(x):
            _owners(part, "%s/%d" % (name, i), owners)
    else:
        owners[name] = x


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


def encode(value):
    """A `Value` as safetensors stores it: (code, shape, array, label or None).

    The label tells a dtype that the format lacks: strings are stored as the bytes of a JSON text, complex
    numbers as pairs, Python's own numbers as arrays.
    """
    array, label = value
    shape = list(array.shape)
    if label == "string":
        text = json.dumps([shape, [str(v) for v in array.flat]])
        array = np.frombuffer(text.encode("utf-8"), np.uint8)
        shape = list(array.shape)
    elif label == "bfloat16":
        array = (np.ascontiguousarray(array, "<f4").view("<u4") >> 16).astype("<u2")
    elif array.dtype.kind == "c":
        part = np.float32 if array.dtype.itemsize == 8 else np.float64
        array = np.stack([array.real, array.imag], -1).astype(part)
        shape = list(array.shape)
    code = CODES["bfloat16" if label == "bfloat16" else array.dtype.name]
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(shape)
    return code, shape, array, None if CODES.get(label) == code else label


def decode(code, shape, label, data):
    """The `Value` that `encode` made these bytes of (an array of uint8); a view of them where possible."""
    stored = np.dtype("<u2") if code == "BF16" else np.dtype(NAMES[code]).newbyteorder("<")
    array = data.view(stored) if data.size else np.zeros((0,), stored)
    array = array.reshape(tuple(shape)).astype(stored.newbyteorder("="), copy=False)
    if code == "BF16":
        return Value((array.astype(np.uint32) << 16).view(np.float32), "bfloat16")
    if label == "string":
        sizes, texts = json.loads(array.tobytes().decode("utf-8"))
        return Value(np.array(texts, dtype=object).reshape(tuple(sizes)), label)
    if label is not None and "complex" in label:
        array = array.view(np.complex64 if code == "F32" else np.complex128)[..., 0]
    return Value(array, label or NAMES[code])
