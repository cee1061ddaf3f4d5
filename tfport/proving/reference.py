"""The TensorFlow side of a proof: the functions that a rule's names mean, and their calls.

The only file of this folder that imports TensorFlow; Triton, if installed, is imported before it (a CUDA build of
torch carries it, and the other order ends the process).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tfport.proving.calls import Call
from tfport.proving.trees import leaves, tree_map
from tfport.proving.values import Array, Result, output_weights
from tfport.rule import Rule

METHOD = "tf.Tensor."


@functools.cache
def tensorflow() -> Any:
    """TensorFlow, quiet, imported once."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if importlib.util.find_spec("triton"):
        importlib.import_module("triton")
    tf = importlib.import_module("tensorflow")
    tf.get_logger().setLevel("ERROR")
    return tf


@dataclasses.dataclass(frozen=True)
class Reference:
    """A TensorFlow function under one of a rule's names; ``version`` 1 is that of tf.compat.v1."""

    name: str
    version: int
    function: Any

    def __str__(self) -> str:
        return self.name if self.version == 2 else f"{self.name} (compat.v1)"


def references(rule: Rule) -> list[Reference]:
    """The distinct functions that the rule's names mean, in the versions that the rule is for.

    A name that this TensorFlow no longer has is left out; an empty list means that none is left.
    """
    for keras2 in (False, True):  # Keras 2 (tf_keras) only for rules that Keras 3 knows no name of
        found: list[Reference] = []
        for version in (2, 1) if rule.version is None else (rule.version,):
            for name in rule.names:
                function = resolve(name, version, keras2)
                if function is not None and all(function is not known.function for known in found):
                    found.append(Reference(name, version, function))
        if found:
            break
    return found


def resolve(name: str, version: int, keras2: bool = False) -> Any:
    """What ``name`` is in TensorFlow of this version, or None; ``keras2`` also looks into tf_keras."""
    if name.startswith(METHOD):
        return _method(name.removeprefix(METHOD)) if version == 2 or name.endswith(".eval") else None
    if name.startswith("tf.contrib."):
        return _slim(name) if version == 1 else None
    tf = tensorflow()
    path = name.removeprefix("tf.")
    if path.startswith("compat.either."):
        path = path.removeprefix("compat.either.")
    if path.startswith("compat.v1."):
        return _walk(tf.compat.v1, path.removeprefix("compat.v1.")) if version == 1 else None
    found = _walk(tf if version == 2 else tf.compat.v1, path)
    if keras2 and found is None and path.startswith("keras.") and importlib.util.find_spec("tf_keras"):
        found = _walk(importlib.import_module("tf_keras"), path.removeprefix("keras."))
    if found is None and version == 2 and path.startswith("keras."):
        found = _inside(f"keras.src.{path.removeprefix('keras.')}")
    if found is None and version == 1 and path.startswith("python."):
        found = _inside(f"tensorflow.{path}")
    return found


def _inside(dotted: str) -> Any:
    """A name of a module that is not part of the public interface but is imported by programs; None if there is none."""
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError:
        return None


def _walk(root: Any, path: str) -> Any:
    for part in path.split("."):
        root = getattr(root, part, None)
        if root is None:
            return None
    return root


def _slim(name: str) -> Any:
    """tf_slim under its old home: tf.contrib.slim.x, tf.contrib.layers.x, tf.contrib.framework.x."""
    if not importlib.util.find_spec("tf_slim"):
        return None
    path = name.removeprefix("tf.contrib.").removeprefix("slim.").removeprefix("framework.")
    return _walk(importlib.import_module("tf_slim"), path)


def _method(name: str) -> Callable[..., Any]:
    """``x.name`` with the receiver as first argument; a Variable receives what a tensor does not have."""
    tf = tensorflow()

    def invoke(receiver: Any, *args: Any, **kwargs: Any) -> Any:
        owner = receiver if hasattr(receiver, name) else tf.Variable(receiver)
        member = getattr(owner, name)
        return member(*args, **kwargs) if callable(member) else member

    return invoke


def is_property(name: str) -> bool:
    """Whether a method rule stands for an attribute that is read, not called (``x.shape``)."""
    tf = tensorflow()
    probe = tf.constant(0.0)
    return not callable(getattr(probe if hasattr(probe, name) else tf.Variable(probe), name, len))


def parameters(function: Any) -> Mapping[str, inspect.Parameter] | None:
    """The parameters of a TensorFlow function, None where it hides them."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None


def run(reference: Reference, rule: Rule, call: Call, grad: bool) -> Result:
    """Call TensorFlow eagerly, or in a graph and a session where the function demands it."""
    spelled = _spelled(reference.function, rule, call)
    tf = tensorflow()
    try:
        return _eager(reference.function, spelled, grad)
    except (RuntimeError, ValueError, NotImplementedError, AttributeError) as problem:
        text = str(problem).lower()
        graph_only = "eager" in text or "default graph" in text or "session" in text
        if not graph_only or isinstance(problem, tf.errors.OpError):
            raise
    return _graph(reference.function, spelled, grad)


def _spelled(function: Any, rule: Rule, call: Call) -> Call:
    """The call with keywords as this function spells them, where the rule knows other spellings."""
    known = parameters(function)
    if known is None or any(p.kind is p.VAR_KEYWORD for p in known.values()) or len(rule.names[0]) == 0:
        return call
    kwargs = {}
    for key, value in call.kwargs.items():
        others = [old for old, new in rule.renamed.items() if new == key and old in known]
        kwargs[others[0] if key not in known and others else key] = value
    return dataclasses.replace(call, kwargs=kwargs)


def _tensor(array: np.ndarray, dtype: str) -> Any:
    tf = tensorflow()
    return tf.cast(tf.constant(array), dtype) if dtype == "bfloat16" else tf.constant(array, dtype)


def _other(value: Any) -> Any:
    """A torch dtype as TensorFlow's; anything else as it is."""
    if type(value).__module__ == "torch" and type(value).__name__ == "dtype":
        return tensorflow().as_dtype(str(value).removeprefix("torch."))
    return value


def _eager(function: Any, call: Call, grad: bool) -> Result:
    tf = tensorflow()
    tensors = {d.place: _tensor(d.array, d.dtype) for d in call.inputs}
    floating = [tensors[d.place] for d in call.inputs if d.floating]
    if not (grad and floating):
        return Result(tree_map(plain, call.run(function, tensors, _other)))
    with tf.GradientTape() as tape:
        tape.watch(floating)
        output = call.run(function, tensors, _other)
        total = _total(output)
    value = tree_map(plain, output)
    try:
        found = tape.gradient(total, floating) if total is not None else [None] * len(floating)
    except LookupError:  # TensorFlow has no gradient for this operation
        return Result(value)
    return Result(value, tuple(plain(_filled(g, x)) for g, x in zip(found, floating, strict=True)))


def _graph(function: Any, call: Call, grad: bool) -> Result:
    tf = tensorflow()
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        tensors = {d.place: _tensor(d.array, d.dtype) for d in call.inputs}
        floating = [tensors[d.place] for d in call.inputs if d.floating]
        output = call.run(function, tensors, _other)
        total = _total(output) if grad and floating else None
        found = []
        if total is not None:
            found = [_filled(g, x) for g, x in zip(v1.gradients(total, floating), floating, strict=True)]
        session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])

        def fetch(leaf: Any) -> Any:
            return session.run(leaf) if isinstance(leaf, tf.Tensor | tf.Variable) else leaf

        value, gradients = tree_map(fetch, output), [fetch(g) for g in found]
    return Result(tree_map(plain, value), tuple(plain(g) for g in gradients) if total is not None else None)


def _total(output: Any) -> Any:
    """The outputs times fixed weights, summed in float64; None if no output is floating."""
    tf = tensorflow()
    terms: list[Any] = []
    for _, leaf in leaves(output):
        if isinstance(leaf, tf.IndexedSlices):
            leaf = tf.convert_to_tensor(leaf)
        if isinstance(leaf, tf.Tensor | tf.Variable) and leaf.dtype.is_floating:
            weights = tf.constant(output_weights(len(terms), tuple(leaf.shape)))
            terms.append(tf.cast(tf.reduce_sum(leaf * tf.cast(weights, leaf.dtype)), tf.float64))
    return tf.add_n(terms) if terms else None


def _filled(gradient: Any, like: Any) -> Any:
    tf = tensorflow()
    return tf.zeros_like(like) if gradient is None else tf.convert_to_tensor(gradient)


def plain(value: Any) -> Any:
    """A tensor as an Array, a dtype as its name, a TensorShape as a tuple; anything else as it is."""
    tf = tensorflow()
    if isinstance(value, tf.IndexedSlices):
        value = tf.convert_to_tensor(value)
    if isinstance(value, tf.Variable):
        value = value.value()
    if isinstance(value, tf.Tensor):
        if value.dtype == tf.string:
            return tree_map(lambda b: b.decode() if isinstance(b, bytes) else b, value.numpy().tolist()
                            if value.shape.rank else value.numpy())  # fmt: skip
        name = value.dtype.name
        return Array((tf.cast(value, tf.float32) if name == "bfloat16" else value).numpy(), name)
    if isinstance(value, tf.TensorShape):
        return tuple(value) if value.rank is not None else None
    if isinstance(value, tf.DType):
        return value.name
    if isinstance(value, np.ndarray | np.generic):
        return Array(np.asarray(value), str(np.asarray(value).dtype))
    return value


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Deprecation messages of TensorFlow's Python side are not part of a proof's result."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
