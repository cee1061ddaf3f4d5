"""Keras: the calls of layers, watched and recorded."""

import collections
import contextlib

from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.keras_layers import plain_config
from tfport.parity.reference.values import as_value, flatten_pairs

LAYER_BUDGET = 64 * 2**20  # bytes of layer outputs kept with `--layers auto`


class Watch:
    """Replaces `call` of the layers while it is open: `with Watch(layers, seen): model(x)`.

    `seen(layer, call, args, kwargs)` makes the layer's call and returns its result.
    """

    def __init__(self, layers, seen):
        self.layers, self.seen = layers, seen
        self.own = {}  # of layers that hold a `call` of their own, as Keras 2's of a function of TensorFlow do

    def __enter__(self):
        for layer in self.layers:
            if "call" in vars(layer):
                self.own[id(layer)] = vars(layer)["call"]
            object.__setattr__(layer, "call", self._wrap(layer, layer.call))

    def __exit__(self, *error):
        for layer in self.layers:
            if id(layer) in self.own:
                object.__setattr__(layer, "call", self.own[id(layer)])
            else:
                object.__delattr__(layer, "call")

    def _wrap(self, layer, call):
        def watched(*args, **kwargs):
            return self.seen(layer, call, args, kwargs)

        return watched


class Record:
    """Writes every layer call into a Store: what went in, what came out, and how the layer is configured.

    Up to `budget` bytes are kept; calls whose outputs do not fit are counted in `left_out`. What runs inside
    of a recurrent layer, its cell at every time step, is not kept: the recurrent layer's own call is.
    """

    def __init__(self, paths, store, budget):
        self.paths, self.store, self.budget = paths, store, budget
        self.layers, self.left_out, self.inside = [], 0, 0
        self.calls, self.times, self.depth = 0, collections.Counter(), collections.OrderedDict()

    def __call__(self, layer, call, args, kwargs):
        if self.inside:
            return call(*args, **kwargs)
        recurrent = hasattr(layer, "cell") or hasattr(layer, "recurrent_activation")
        before = []
        self.inside += recurrent
        try:
            with listening(layer, before) if not recurrent else contextlib.nullcontext():
                result = call(*args, **kwargs)
        finally:
            self.inside -= recurrent
        name, attribute, place = self.paths.get(id(layer), (layer.name, None, None))
        time = self.times[name]
        self.times[name] += 1
        self.calls += 1
        key = "layers/" + name + ("#%d" % time if time else "")
        try:
            leaves = flatten_pairs(result, key)
            size = sum(v.array.nbytes for _, _, v in leaves)
        except (CaptureError, AttributeError, NotImplementedError):  # symbolic in a loop: no value to keep
            self.left_out += 1
            return result
        if size > self.budget or any(k in self.store for k, _, _ in leaves):
            self.left_out += 1
            return result
        for leaf, tensor, value in leaves:
            self.keep(leaf, tensor, value)
        activation = getattr(layer, "activation", None)
        entry = collections.OrderedDict([("name", name), ("class", type(layer).__name__)])
        entry["attribute"], entry["place"], entry["call"] = attribute, place, time
        entry["config"] = plain_config(layer)
        entry["activation"] = getattr(activation, "__name__", None) or getattr(activation, "name", None)
        parts = []
        entry["structure"] = self.structure(args, parts)
        entry["inputs"] = [self.given("%s:input/%d" % (key, i), part) for i, part in enumerate(parts)]
        entry["arguments"] = self.arguments(key, kwargs)
        entry["tensors"] = [leaf for leaf, _, _ in leaves]
        entry["before_activation"] = self.given(key + ":before", before[0]) if len(before) == 1 else None
        self.layers.append(entry)
        return result

    def add(self, layer, outputs, values, inputs, keys, before=None):
        """Stores a call of a graph's layer: its symbolic inputs and outputs, and the outputs' values.

        With `before`, what the activation is given, the last of the values is its. `keys` maps the names of tensors
        to their keys; those of this layer's outputs are added to it.
        """
        name, attribute, place = self.paths.get(id(layer), (layer.name, None, None))
        time = self.times[name]
        self.times[name] += 1
        self.calls += 1
        if sum(v.array.nbytes for v in values) > self.budget:
            self.left_out += 1
            return
        key = "layers/" + name + ("#%d" % time if time else "")
        names = [key if len(outputs) == 1 else "%s/%d" % (key, i) for i in range(len(outputs))]
        for tensor, leaf, value in zip(outputs, names, values):
            self.keep(leaf, None, value)
            keys.setdefault(tensor.name, leaf)
        if before is not None and before.name not in keys:
            self.keep(key + ":before", None, values[-1])
            keys[before.name] = key + ":before"
        activation = getattr(getattr(layer, "activation", None), "__name__", None)
        self.layers.append(collections.OrderedDict([
            ("name", name), ("class", type(layer).__name__), ("attribute", attribute), ("place", place),
            ("call", time),
            ("config", plain_config(layer)), ("activation", activation), ("structure", list(range(len(inputs)))),
            ("inputs", [keys.get(t.name) for t in inputs]), ("arguments", {}), ("tensors", names),
            ("before_activation", None if before is None else keys[before.name]),
        ]))  # fmt: skip

    def keep(self, key, tensor, value):
        self.depth[key] = self.calls
        size = self.store.size
        self.store.put(key, value, tensor)
        self.budget -= self.store.size - size

    def given(self, key, tensor):
        """The key of a tensor that a layer was given: where it is already, else stored now; None if not kept."""
        found = self.store.find(tensor)
        if found is not None or not self.store.wants(key):
            return found
        try:
            value = as_value(tensor)
        except (CaptureError, AttributeError, NotImplementedError):  # symbolic
            return None
        if value.dtype in ("string", "none") or value.array.nbytes > self.budget or key in self.store:
            return None
        self.depth[key] = self.calls
        size = self.store.size
        home = self.store.put(key, value, tensor)
        self.budget -= self.store.size - size
        if home != key and self.store.file is not None:
            self.store.same.pop(key)
            self.depth.pop(key)
        return home

    def structure(self, x, parts):
        """The positional arguments with every tensor replaced by its place in `inputs`, all else by null."""
        if isinstance(x, (list, tuple)):
            return [self.structure(part, parts) for part in x]
        if isinstance(x, dict):
            return {str(k): self.structure(part, parts) for k, part in x.items()}
        if not hasattr(x, "shape") or not hasattr(x, "dtype"):
            return None
        parts.append(x)
        return len(parts) - 1

    def arguments(self, key, kwargs):
        """Keyword arguments: the key of a tensor's data, or a number or bool as it is; nothing else."""
        told = collections.OrderedDict()
        for name, value in kwargs.items():
            if isinstance(value, (bool, int, float)):
                told[name] = value
                continue
            parts = []
            shape = self.structure(value, parts)
            for i, part in enumerate(parts):
                word = name if shape == 0 else "%s/%d" % (name, i)
                told[word] = self.given("%s:%s" % (key, word), part)
        return told


@contextlib.contextmanager
def listening(layer, heard):
    """While open, what the layer hands to its activation is added to `heard`; linear ones are not listened to."""
    activation = getattr(layer, "activation", None)
    if not callable(activation) or getattr(activation, "__name__", None) == "linear":
        yield
        return

    def told(x, *args, **kwargs):
        heard.append(x)
        return activation(x, *args, **kwargs)

    object.__setattr__(layer, "activation", told)
    try:
        yield
    finally:
        object.__setattr__(layer, "activation", activation)
