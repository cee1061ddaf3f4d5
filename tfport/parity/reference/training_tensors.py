"""Training: gradients and outputs as arrays, and how far two are apart."""

import numpy as np


def dense(x, tf):
    """A gradient as an array; None where the loss does not depend on the weight."""
    return None if x is None else np.asarray(tf.convert_to_tensor(x).numpy())


def tensors_of(outputs, tf, name="output"):
    """Pairs (name, tensor) of a nested structure, named as `flatten` names its leaves."""
    if hasattr(outputs, "items") and callable(outputs.items) and not hasattr(outputs, "dtype"):
        parts = [tensors_of(v, tf, name + "/" + str(k)) for k, v in outputs.items()]
    elif isinstance(outputs, (list, tuple)):
        parts = [tensors_of(v, tf, "%s/%d" % (name, i)) for i, v in enumerate(outputs)]
    elif outputs is None or isinstance(outputs, (str, bytes)) or not hasattr(outputs, "dtype"):
        return []
    else:
        return [(name, tf.convert_to_tensor(outputs))]
    return [pair for part in parts for pair in part]


def gap(a, b):
    """The largest absolute difference of two arrays; None where either is missing or not finite."""
    if a is None or b is None:
        return None
    with np.errstate(all="ignore"):
        d = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
    return float(d.max()) if d.size and np.isfinite(d).all() else None if d.size else 0.0
