"""Names of variables: what TensorFlow and Keras call them, in one spelling; what is no weight."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from typing import Any

__all__ = [
    "canonical",
    "describe",
    "full_name",
    "is_automatic",
    "natural",
    "not_a_weight",
    "part_names",
    "slot_owner",
    "snake_case",
    "synonyms",
]

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
"""The end of the key of a variable that is stored by its place among the objects."""
_SLOTS = frozenset([
    "Adam", "Momentum", "RMSProp", "Adagrad", "Adadelta", "Ftrl", "AdaMax", "ExponentialMovingAverage", "AMSGrad", "LAMB",
    "adam_m", "adam_v",  # google-research/bert's AdamWeightDecayOptimizer
])  # fmt: skip
"""Last parts of slots' names; a counter may follow, of the slot or, with several optimizers, of the optimizer's."""
_COUNTERS = frozenset(
    [
        "global_step",
        "save_counter",
        "iter",
        "iteration",
        "iterations",
        "_iterations",
        "beta1_power",
        "beta2_power",
        "count",
        "ckpt_saved_epoch",  # of Keras' BackupAndRestore, with the three of Keras 2's Model
        "ckpt_saved_batch",
        "train_counter",
        "test_counter",
        "predict_counter",
    ]
)
_SYNONYMS = {
    "weights": ("kernel", "weight"),
    "weight": ("kernel", "weights"),
    "biases": ("bias",),
    "kernel": ("depthwise_kernel", "weights"),
    "depthwise_kernel": ("kernel", "depthwise_weights"),
    "depthwise_weights": ("depthwise_kernel", "kernel"),
    "pointwise_weights": ("pointwise_kernel",),
    "embedding": ("embeddings",),
}


def snake_case(name: str) -> str:
    """A class name as Keras spells it in paths: Conv2D is conv2d, ReLU is re_lu, BatchNormalization is
    batch_normalization.

    A capital that starts a run of small letters is set off from what stands before it, then every capital
    that follows a small letter (as Keras 3 names groups in `.weights.h5`).
    """
    name = re.sub(r"\W", "", name)
    name = re.sub(r"(?<=.)(?=[A-Z][a-z])", "_", name)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def is_automatic(name: str | None, class_name: str) -> bool:
    """Whether Keras made the name itself (class and counter), so that the number says nothing."""
    if name is None:
        return True
    last = name.rsplit("/", 1)[-1]
    return re.fullmatch(re.escape(snake_case(class_name)) + r"(_\d+)?", last) is not None


def canonical(name: str) -> str:
    """The variable's own name: ``conv1/kernel:0`` is kernel, ``_kernel`` is kernel."""
    return re.sub(r":\d+$", "", name).rsplit("/", 1)[-1].lstrip("_")


def synonyms(name: str) -> tuple[str, ...]:
    """Other names of the same variable, in TF1, slim and Keras 2."""
    return _SYNONYMS.get(name, ())


def not_a_weight(name: str) -> str:
    """Why a variable with this full name is no weight of a model; empty when it may be one."""
    parts = re.sub(r":\d+$", "", name).split("/")
    last = parts[-1]
    if len(parts) > 1 and re.sub(r"_\d+$", "", last) in _SLOTS:
        return f"optimizer slot {last}"
    if last in _COUNTERS or last.startswith(("beta1_power", "beta2_power")):
        return "counter of the optimizer, saver or an adapting layer"
    if last in ("seed_generator_state", "_state_var") or (last == "state" and "seed_generator" in parts[-2:]):
        return "state of a random seed generator"
    if parts[0] in ("optimizer", "optimizer_weights", "_CHECKPOINTABLE_OBJECT_GRAPH"):
        return "optimizer state" if parts[0].startswith("optimizer") else "description of the saved objects"
    return ""


_PARTS = {
    "forward_layer/cell": r"forward_\w+/\w+", "backward_layer/cell": r"backward_\w+/\w+",
    "query_dense": "query", "key_dense": "key", "value_dense": "value", "gate_dense": "gate",
    "output_dense": "attention_output", "cell": r"\w+", "layer": r"\w+",
}  # fmt: skip


def natural(name: str) -> list[Any]:
    """A key that sorts ``cell_2`` before ``cell_10``."""
    return [int(word) if word.isdecimal() else word for word in re.split(r"(\d+)", name)]


def part_names(part: str, layer: str, names: Iterable[str], single: bool) -> list[str]:
    """The variable scopes, of these in natural order, that an object inside a layer may have: ``cell`` of the layer
    ``lstm`` is ``lstm/lstm_cell``.

    ``single`` says that the layer has no other object with variables.
    """
    prefix = f"{layer}/"
    below = [name[len(prefix) :] for name in names if name.startswith(prefix)]
    stacked = re.fullmatch(r"(?:(forward|backward)_layer/)?cell/cells/(\w+?_cell)(?:_(\d+))?", part)
    if stacked:
        way = f"{stacked[1]}_\\w+/" if stacked[1] else ""
        same = [name for name in below if re.fullmatch(rf"{way}\w+/{stacked[2]}(_\d+)?", name)]
        return [prefix + name for name in same[int(stacked[3] or 0) :][:1]]
    form = _PARTS.get(part)
    if form is None:
        return [prefix + part] if part in below else []
    found = [prefix + name for name in below if re.fullmatch(form, name)]
    return found if single or form != r"\w+" or len(found) == 1 else []


def slot_owner(key: str, names: Container[str]) -> str | None:
    """The variable whose slot a name may be: ``w`` of ``w/my_adam_1`` where there is a ``w``; the longest."""
    parts = key.split("/")
    return next((o for at in range(len(parts) - 1, 0, -1) if (o := "/".join(parts[:at])) in names), None)


def describe(name: str) -> dict[str, Any]:
    """The fields of an Entry that a full variable name gives: layer names, variable, reason to ignore."""
    bare = re.sub(r":\d+$", "", name)
    scope, _, variable = bare.rpartition("/")
    return {"layers": tuple(suffixes(scope)), "variable": canonical(variable), "ignored": not_a_weight(bare)}


def full_name(key: str, layers: Sequence[str], variable: str | None) -> str:
    """TensorFlow's name of a variable, given an Entry's key, layers and variable; its place where none is known.

    A key that is a variable's name itself stays as it is but for ``:0``.
    """
    bare = re.sub(r":\d+$", "", key).removesuffix(VALUE)
    told = describe(bare)
    if not layers or not variable or (told["layers"], told["variable"]) == (tuple(layers), variable):
        return bare
    return f"{layers[0]}/{variable}"


def suffixes(scope: str) -> list[str]:
    """All names by which a scope may be called, longest first: a/b/c, b/c, c. Repeated parts (conv/conv)
    count once.
    """
    parts = [
        part
        for at, part in enumerate(scope.split("/"))
        if part and (at == 0 or part != scope.split("/")[at - 1])
    ]
    return ["/".join(parts[at:]) for at in range(len(parts))]
