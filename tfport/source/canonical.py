"""Canonical names: one spelling for each TensorFlow function, however it was imported.

``tensorflow.compat.v1.x``, ``tensorflow.x`` -> ``tf.x``; ``keras.x``, ``keras.src.x``, ``tensorflow.python.keras.x``
-> ``tf.keras.x``; ``tensorflow.python.ops.array_ops.x`` -> ``tf.x``; ``tf_slim.x`` -> ``tf.contrib.slim.x``.
"""

from __future__ import annotations

from typing import NamedTuple


class Canonical(NamedTuple):
    """A canonical name and the TensorFlow version (1 or 2) that its spelling names, None where it names none."""

    name: str
    version: int | None = None


COMPANIONS = {
    "tensorflow_addons": "tfa", "tensorflow_probability": "tfp", "tensorflow_hub": "tfhub",
    "tensorflow_datasets": "tfds", "sonnet": "snt", "tensorflow_text": "tftext", "tensorflow_estimator": "tf.estimator",
    "tensorflow_io": "tfio", "tensorflow_model_optimization": "tfmot", "tensorflow_graphics": "tfg",
    "tensorflow_transform": "tft", "tensorflow_recommenders": "tfrs", "keras_preprocessing": "tf.keras.preprocessing",
    "keras_applications": "tf.keras.applications", "keras_contrib": "keras_contrib", "keras_cv": "keras_cv",
    "keras_nlp": "keras_nlp", "keras_hub": "keras_hub", "tensorflow_models": "tfm", "tensorflow_gan": "tfgan",
    "tensorflow_federated": "tff", "tensorflow_ranking": "tfr", "tensorflow_lattice": "tfl",
    "tensorflow_docs": "tfdocs", "tensorflow_serving": "tfserving", "keras_tuner": "keras_tuner",
    "kerastuner": "keras_tuner", "tf_agents": "tf_agents", "dopamine": "dopamine", "tflearn": "tflearn",
}  # fmt: skip
ROOTS = {
    "tensorflow": "tf", "tensorflow_core": "tf", "keras": "tf.keras", "tf_keras": "tf.keras",
    "tf_slim": "tf.contrib.slim", **COMPANIONS,
}  # fmt: skip

# Modules of tensorflow.python whose functions are TensorFlow 1's public ones.
_PRIVATE = {
    "array_ops": "tf", "math_ops": "tf", "control_flow_ops": "tf", "control_flow_assert": "tf", "check_ops": "tf",
    "init_ops": "tf", "variable_scope": "tf", "variables": "tf", "state_ops": "tf", "random_ops": "tf", "ops": "tf",
    "dtypes": "tf", "tensor_shape": "tf", "constant_op": "tf", "clip_ops": "tf", "linalg_ops": "tf", "tensor": "tf",
    "gradients": "tf", "gradients_impl": "tf", "string_ops": "tf.strings", "parsing_ops": "tf", "while_loop": "tf",
    "cond": "tf", "map_fn": "tf", "functional_ops": "tf", "tensor_array_ops": "tf", "script_ops": "tf",
    "data_flow_ops": "tf", "lookup_ops": "tf.lookup", "logging_ops": "tf", "sparse_ops": "tf.sparse",
    "nn": "tf.nn", "nn_ops": "tf.nn", "nn_impl": "tf.nn", "embedding_ops": "tf.nn", "rnn": "tf.nn", "stack": "tf",
    "rnn_cell_impl": "tf.nn.rnn_cell", "rnn_cell": "tf.nn.rnn_cell", "image_ops": "tf.image", "image_ops_impl": "tf.image",
    "losses": "tf.losses", "losses_impl": "tf.losses", "metrics": "tf.metrics", "tf_logging": "tf.logging",
    "nest": "tf.nest", "resource_variable_ops": "tf", "special_math_ops": "tf", "histogram_ops": "tf",
    "partitioned_variables": "tf", "template": "tf", "session": "tf", "random_seed": "tf", "sparse_tensor": "tf",
    "indexed_slices": "tf", "gfile": "tf.gfile", "app": "tf.app", "flags": "tf.flags", "tf_export": "tf.tf_export",
    "custom_gradient": "tf", "moving_averages": "tf.train", "training_util": "tf.train", "array_ops_stack": "tf",
}  # fmt: skip
_PRIVATE_ROOMS = frozenset({"ops", "framework", "training", "platform", "util", "client", "eager", "lib"})
_KERAS_ROOMS = frozenset(
    [
        "layers",
        "models",
        "losses",
        "metrics",
        "optimizers",
        "callbacks",
        "initializers",
        "regularizers",
        "constraints",
    ]
)


def canonical(dotted: str) -> Canonical | None:
    """The canonical form of an absolute import path, None when it does not belong to TensorFlow or a companion."""
    root, _, rest = dotted.partition(".")
    if root not in ROOTS:
        return None
    return extend(Canonical(ROOTS[root]), rest)


def extend(base: Canonical, rest: str) -> Canonical:
    """The canonical name of ``base.rest``."""
    name = f"{base.name}.{rest}" if rest else base.name
    return Canonical(*_normal(name, base.version))


def _normal(name: str, version: int | None) -> tuple[str, int | None]:
    if not name.startswith("tf."):
        return name, version
    if name.startswith("tf.contrib.slim.") and name.count(".") > 3:
        return _slim(name), version
    if name.startswith("tf.compat.v") and len(name) > 10:
        version = 1 if name[11] == "1" else 2
        return _normal("tf" + name[12:], version)
    if name.startswith("tf._api.v") and len(name) > 9:
        return _normal("tf" + name[10:], 1 if name[9] == "1" else 2)
    if name.startswith("tf.python.keras"):
        return _normal("tf.keras" + name[15:], version)
    if name.startswith(("tf.keras.src", "tf.keras._tf_keras.keras", "tf.keras.api", "tf.keras.engine")):
        return _keras_source(name), version
    if name.startswith("tf.python."):
        return _private(name), 1
    if name.startswith("tf.contrib.keras"):
        return "tf.keras" + name[16:], 1
    if name.startswith("tf.contrib."):
        return name, 1
    if name.startswith("tf.app.flags"):
        return "tf.flags" + name[12:], version
    return name, version


def _keras_source(name: str) -> str:
    """``tf.keras.src.layers.core.dense`` -> ``tf.keras.layers``: the room, without the file that defines the name."""
    for prefix in ("tf.keras.src", "tf.keras._tf_keras.keras", "tf.keras.api"):
        if name == prefix or name.startswith(prefix + "."):
            name = "tf.keras" + name[len(prefix) :]
    parts = name.split(".")
    if len(parts) > 3 and parts[2] in _KERAS_ROOMS:
        return ".".join([*parts[:3], *(p for p in parts[3:] if p == "schedules" or p[:1].isupper())])
    return name


def _private(name: str) -> str:
    parts = name.split(".")[2:]
    if len(parts) >= 2 and parts[0] in _PRIVATE_ROOMS and parts[1] in _PRIVATE:
        return ".".join([_PRIVATE[parts[1]], *parts[2:]])
    return name


def _slim(name: str) -> str:
    """``tf_slim.layers.layers.conv2d`` and ``tf_slim.ops.arg_scope.arg_scope`` -> ``tf.contrib.slim.x``."""
    parts = name.split(".")[3:]
    while len(parts) > 1 and parts[0] in {"layers", "ops", "arg_scope", "variables", "utils", "initializers"}:
        if parts[0] in {"utils", "initializers"} and len(parts) == 2:
            break
        parts = parts[1:]
    return ".".join(["tf.contrib.slim", *parts])
