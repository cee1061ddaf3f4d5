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
    if hasattr(x, "detach") and hasattr(x, "cpu"):
        array = _array_of_torch(x)
        if str(x.dtype) == "torch.bfloat16":
            return Value(array, "bfloat16")
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
    told = type(x).__name__ + (" of dtype %s" % array.dtype if isinstance(x, np.ndarray) else "")
    raise CaptureError("a value of type %s cannot be compared" % told)


def _array_of_torch(x):
    """A torch tensor as an array, one of bfloat16 as float32; CaptureError for what NumPy has no form of."""
    try:
        x = x.detach().cpu()
        if hasattr(x, "resolve_conj"):
            x = x.resolve_conj().resolve_neg()
        return x.float().numpy() if str(x.dtype) == "torch.bfloat16" else x.numpy()
    except Exception as error:  # a layout, a dtype or a device without data; each is another exception
        told = str(error).splitlines()[:1]
        raise CaptureError("a %s tensor cannot be compared: %s" % (x.dtype, "".join(told)))


def text_of(x):
    return x.decode("utf-8", "backslashreplace") if isinstance(x, bytes) else str(x)


def flatten(x, name="output"):
    """Names the leaves of a nested structure: `output`, `output/0`, `output/logits/1`.

    A list of scalars of one dtype (the losses of a loop) is one leaf of shape (n,). A sparse or ragged tensor is
    its parts. Returns an OrderedDict of name to `Value`; raises CaptureError on a leaf that is neither a number, a
    tensor, a string nor None, and where two leaves have one name (`{"a/b": x, "a": {"b": y}}`).
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
    if _is_mapping(x):
        for key, part in x.items():
            _owners(part, name + "/" + str(key), owners)
    elif isinstance(x, (list, tuple)):
        for i, part in enumerate(x):
            _owners(part, "%s/%d" % (name, i), owners)
    else:
        owners[name] = x


def _flatten(x, name, leaves):
    parts = tensor_parts(x)
    if isinstance(x, Value):
        _leaf(leaves, name, x)
    elif parts is not None:
        for key, part in parts:
            _flatten(part, name + "/" + key, leaves)
    elif _is_mapping(x):
        for key, part in x.items():
            _flatten(part, name + "/" + str(key), leaves)
    elif isinstance(x, (list, tuple)):
        numbers = _scalars(x) if x else Value(np.zeros((0,), np.uint8), "list")
        if numbers is not None:
            _leaf(leaves, name, numbers)
            return
        for i, part in enumerate(x):
            _flatten(part, "%s/%d" % (name, i), leaves)
    else:
        try:
            value = as_value(x)
        except CaptureError as error:
            raise CaptureError("%s: %s" % (name, error))
        _leaf(leaves, name, value)


def _leaf(leaves, name, value):
    if name in leaves:
        raise CaptureError("two values are called %s: give one of them another key" % name)
    leaves[name] = value


def _is_mapping(x):
    return hasattr(x, "items") and callable(x.items) and not hasattr(x, "dtype")


def tensor_parts(x):
    """The parts of TensorFlow's composite tensors and of torch's sparse ones, under the same names; else None."""
    kind = type(x).__name__
    if kind == "RaggedTensor":
        splits = [("row_splits_%d" % i, s) for i, s in enumerate(x.nested_row_splits)]
        return [("flat_values", x.flat_values)] + splits
    if kind == "SparseTensor":
        return [(key, getattr(x, key)) for key in ("indices", "values", "dense_shape")]
    if kind == "IndexedSlices":
        return [(key, getattr(x, key)) for key in ("indices", "values")]
    if str(getattr(x, "layout", "")).startswith("torch.sparse"):
        x = x.detach().to_sparse_coo().coalesce()
        return [
            ("indices", x.indices().t()),
            ("values", x.values()),
            ("dense_shape", np.array(x.shape, np.int64)),
        ]
    return None


def _scalars(parts):
    """A list of scalars of one dtype as one `Value` of shape (n,); None for any other list."""
    if all(type(part) is float for part in parts):
        return Value(np.array(parts), "python float")
    values = []
    for part in parts:
        nested = isinstance(part, (list, tuple, dict)) or _is_mapping(part) or tensor_parts(part) is not None
        if part is None or nested or len(getattr(part, "shape", ()) or ()):
            return None
        try:
            value = as_value(part)
        except CaptureError:  # told of it by its own name
            return None
        if value.array.ndim or (values and value.dtype != values[0].dtype):
            return None
        values.append(value)
    return Value(np.stack([value.array for value in values]), values[0].dtype)


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
