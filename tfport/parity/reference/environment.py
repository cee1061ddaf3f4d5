"""TensorFlow's state: imported, seeded, deterministic, and what the numbers depend on."""

import collections
import contextlib
import functools
import gc
import os
import platform
import random
import sys

import numpy as np

from tfport.parity.reference.constants import in_full
from tfport.parity.reference.doubles import places_of
from tfport.parity.reference.errors import CaptureError


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
            with contextlib.suppress(ValueError):  # with TensorFlow 1's behaviour floatx is all there is
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
def constants_in_full(tf, used):
    """Inside, what TensorFlow and Keras round to float32 in float64 keeps its digits; the names of what ran are added to `used`.

    TensorFlow rounds the root of 2 (gelu) and the slope (leaky_relu), Keras the logarithm of 2 (log_cosh) and the factors
    of L1 and L2, off by up to 4e-8, and torch does not; for what TensorFlow has in float32 alone see `doubles`. A float32
    run computes with the same numbers either way.
    """
    try:
        from tensorflow.python.ops import gen_nn_ops
    except ImportError:
        yield
        return
    keras_loss = getattr(getattr(getattr(tf, "keras", None), "losses", None), "LogCosh", None)
    places = [(tf.nn, "gelu"), (gen_nn_ops, "leaky_relu"),
              (sys.modules.get(getattr(keras_loss, "__module__", None)), "log_cosh")]  # fmt: skip
    places = [(place, name, getattr(place, name)) for place, name in places if hasattr(place, name)]

    def full_gelu(before, x, approximate=False, name=None):
        if getattr(x, "dtype", None) != tf.float64:
            return before(x, approximate, name)
        used.add("gelu")
        if approximate:
            return 0.5 * x * (1.0 + tf.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x * x * x)))
        return 0.5 * x * (1.0 + tf.math.erf(x / np.sqrt(2.0)))

    def full_leaky_relu(before, features, alpha=0.2, name=None):
        if getattr(features, "dtype", None) != tf.float64:
            return before(features, alpha=alpha, name=name)
        used.add("leaky_relu")
        return tf.where(features > 0, features, features * tf.constant(alpha, tf.float64))

    def full_log_cosh(before, y_true, y_pred):
        y_true, y_pred = tf.convert_to_tensor(y_true), tf.convert_to_tensor(y_pred)
        if y_pred.dtype != tf.float64 or tuple(y_true.shape) != tuple(y_pred.shape):
            return before(y_true, y_pred)
        used.add("log_cosh")
        x = y_pred - tf.cast(y_true, tf.float64)
        return tf.reduce_mean(x + tf.nn.softplus(-2.0 * x) - tf.constant(np.log(2.0), tf.float64), axis=-1)

    def full_penalty(before, regularizer, x):
        if getattr(x, "dtype", None) not in (tf.float64, "float64"):
            return before(regularizer, x)
        used.add("regularizers")
        l1, l2 = (tf.constant(in_full(getattr(regularizer, k, 0.0)), tf.float64) for k in ("l1", "l2"))
        x = tf.convert_to_tensor(x)
        return l1 * tf.reduce_sum(tf.abs(x)) + l2 * tf.reduce_sum(tf.square(x))

    full = {"gelu": full_gelu, "leaky_relu": full_leaky_relu, "log_cosh": full_log_cosh}
    changes = [(place, name, functools.partial(full[name], before)) for place, name, before in places]
    for place, name, made in places_of(tf):
        before = getattr(place, name)
        places.append((place, name, before))
        changes.append((place, name, telling(tf, used, name, functools.partial(made, before))))
    regularizers = getattr(getattr(tf, "keras", None), "regularizers", None)
    for name in ("L1", "L2", "L1L2"):
        cls = getattr(regularizers, name, None)
        if cls is not None and "__call__" in vars(cls):
            before = cls.__call__
            places.append((cls, "__call__", before))
            changes.append((cls, "__call__", lambda self, x, before=before: full_penalty(before, self, x)))
    for place, name, change in changes:
        setattr(place, name, change)
    try:
        yield
    finally:
        for place, name, before in places:
            setattr(place, name, before)


def telling(tf, used, name, operation):
    """The operation, which adds its name to `used` where its first argument is float64."""

    def called(*args, **kwargs):
        first = args[0] if args else next(iter(kwargs.values()), None)
        if getattr(first, "dtype", None) == tf.float64:
            used.add(name)
        return operation(*args, **kwargs)

    return called


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


@contextlib.contextmanager
def graphs_seeded(tf, seed):
    """Inside, a graph that the program makes begins with this seed, as the default graph does."""
    before = tf.Graph.__init__

    def seeded(graph, *args, **kwargs):
        before(graph, *args, **kwargs)
        graph.seed = seed

    tf.Graph.__init__ = seeded
    try:
        yield
    finally:
        tf.Graph.__init__ = before


def set_determinism(tf, on):
    """Asks TensorFlow for operations that give the same numbers every time; returns whether they are on."""
    switch = getattr(tf.config.experimental, "enable_op_determinism", None)
    if on and switch is not None:
        switch()
        return True
    if on:  # TensorFlow 1.15 to 2.8 read these when a kernel is made
        os.environ["TF_DETERMINISTIC_OPS"] = os.environ["TF_CUDNN_DETERMINISTIC"] = "1"
        return True
    try:
        from tensorflow.python.framework import config

        config.disable_op_determinism()
    except (ImportError, AttributeError):  # it cannot be turned off here
        return switch is not None
    return False


def machine_of(tf):
    """What the numbers depend on beside the program: devices, threads, oneDNN."""
    threading = getattr(tf.config, "threading", None)
    listed = getattr(tf.config, "list_physical_devices", None)
    listed = listed or getattr(tf.config.experimental, "list_physical_devices", None)
    intra = getattr(threading, "get_intra_op_parallelism_threads", int)()
    inter = getattr(threading, "get_inter_op_parallelism_threads", int)()
    return collections.OrderedDict(
        devices=[d.name.replace("/physical_device:", "") for d in (listed() if listed else [])],
        intra_op_threads=intra, inter_op_threads=inter,  # 0: as many as TensorFlow likes
        onednn=os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    )  # fmt: skip


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


def import_tensorflow():
    """TensorFlow, quiet; raises CaptureError saying how to install it.

    Its 270,000 objects stay: the garbage collector does not look at them while they are made (a fifth of the time of
    this import) nor afterwards (0.13 s of each `clear_session`, of which Keras makes several).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    gc.disable()
    try:
        import tensorflow as tf
    except ImportError as error:
        missing = getattr(error, "name", None) == "tensorflow"
        why = "TensorFlow is not installed" if missing else "TensorFlow cannot be imported (%s)" % error
        advice = "pip install 'tfport[tf]', or name an environment that has it with --python"
        raise CaptureError("%s for %s: %s" % (why, sys.executable, advice))
    finally:
        gc.enable()
    gc.freeze()
    return tf
