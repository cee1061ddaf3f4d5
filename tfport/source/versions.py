"""Which TensorFlow a file is written for: 1, 2, or not decided by its text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tfport.source.canonical import Canonical
from tfport.source.names import Ambiguous
from tfport.source.text import Source

ONLY_1 = (
    "tf.placeholder", "tf.Session", "tf.InteractiveSession", "tf.get_variable", "tf.variable_scope", "tf.layers.",
    "tf.global_variables", "tf.local_variables", "tf.trainable_variables", "tf.contrib", "tf.app.", "tf.flags.",
    "tf.gfile.", "tf.to_float", "tf.to_int32", "tf.to_int64", "tf.log", "tf.logging.", "tf.ConfigProto", "tf.GPUOptions",
    "tf.random_normal", "tf.random_uniform", "tf.truncated_normal", "tf.train.AdamOptimizer", "tf.set_random_seed",
    "tf.train.GradientDescentOptimizer", "tf.train.MomentumOptimizer", "tf.train.RMSPropOptimizer", "tf.train.Saver",
    "tf.get_collection", "tf.add_to_collection", "tf.GraphKeys", "tf.AUTO_REUSE", "tf.assign", "tf.initialize_all_",
    "tf.losses.sparse_softmax_cross_entropy", "tf.losses.softmax_cross_entropy", "tf.enable_eager_execution",
    "tf.get_default_graph", "tf.mod",
    "tf.summary.merge_all", "tf.summary.FileWriter", "tf.nn.rnn_cell", "tf.nn.dynamic_rnn", "tf.reset_default_graph",
    "tf.disable_v2_behavior", "tf.disable_eager_execution", "tf.train.exponential_decay", "tf.python_io", "tf.div",
    "tf.train.get_or_create_global_step", "tf.image.resize_images", "tf.image.resize_bilinear", "tf.select",
)  # fmt: skip
ONLY_2 = (
    "tf.GradientTape", "tf.function", "tf.Module", "tf.data.AUTOTUNE", "tf.config.list_physical_devices",
    "tf.config.experimental", "tf.random.set_seed", "tf.keras.ops", "tf.summary.create_file_writer", "tf.experimental",
    "tf.random.Generator", "tf.keras.saving", "tf.keras.utils.register_keras_serializable",
    "tf.keras.random", "tf.losses.SparseCategoricalCrossentropy", "tf.optimizers", "tf.keras.layers.experimental",
     "tf.TensorSpec",
)  # fmt: skip


# Parameters that TensorFlow 1 and 2 call differently.
ROLES = {
    "value": "input", "filter": "filters", "dim": "axis", "keep_dims": "keepdims", "dilation_rate": "dilations",
    "Targmax": "output_dtype", "rate": "dilations",
}  # fmt: skip
# Names whose meaning differs between the versions although the arguments have the same names.
MEANS_ANOTHER = frozenset({"tf.where", "tf.while_loop", "tf.image.resize"})
# What is written where the file does not decide and both versions agree but for inputs that raise.
EITHER = {"tf.where": "tf.compat.either.where"}


def same_call(name: str, first: Mapping[str, object], second: Mapping[str, object]) -> bool:
    """Whether a call means the same in both versions: each argument plays the same part, and the function agrees."""
    if name in MEANS_ANOTHER:
        return False
    return {ROLES.get(k, k): v for k, v in first.items()} == {ROLES.get(k, k): v for k, v in second.items()}


def of_file(meanings: Iterable[Canonical | Ambiguous], source: Source) -> int | None:
    """1 if anything is TensorFlow 1's alone, else 2 if anything is TensorFlow 2's alone, else None."""
    second = False
    for meaning in meanings:
        if not isinstance(meaning, Canonical):
            continue
        if meaning.version == 1 or _among(meaning.name, ONLY_1):
            return 1
        second = second or meaning.version == 2 or _among(meaning.name, ONLY_2)
    if second or "import keras" in source.text or "from keras" in source.text:
        return 2
    return None


def of_neighbours(path: Path) -> int | None:
    """The version that the other files of the folder are written for, by the names that only one version has."""
    second = False
    for file in sorted(path.resolve().parent.glob("*.py"))[:200]:
        if file.name == path.name or not file.is_file():
            continue
        found = _of_text(file.read_text(encoding="utf-8", errors="replace"))
        if found == 1:
            return 1
        second = second or found == 2
    return 2 if second else None


def _of_text(text: str) -> int | None:
    if "import tensorflow" not in text:
        return None
    if "tensorflow.compat.v1" in text or any(
        f"{n}(" in text or (n.endswith(".") and n in text) for n in ONLY_1
    ):
        return 1
    return 2 if any(f"{n}(" in text for n in ONLY_2) or "@tf.function" in text else None


def _among(name: str, known: tuple[str, ...]) -> bool:
    """Whether a name is listed, lies below a listed module, or begins with a listed "prefix_"."""
    return any(name == k or name.startswith(k if k.endswith((".", "_")) else k + ".") for k in known)
