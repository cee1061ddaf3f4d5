"""Activations by Keras' name as torch text."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.layers.layouts import ELEMENTWISE_ACTIVATIONS
from tfport.source.canonical import Canonical
from tfport.source.models.spec import Bail

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

TEXT = {
    "relu": ("torch", "relu({})"), "sigmoid": ("torch", "sigmoid({})"), "tanh": ("torch", "tanh({})"),
    "softmax": ("torch", "softmax({}, dim={dim})"), "log_softmax": ("torch", "log_softmax({}, dim={dim})"),
    "elu": ("F", "elu({})"), "selu": ("F", "selu({})"), "gelu": ("F", "gelu({})"), "relu6": ("F", "relu6({})"),
    "softplus": ("F", "softplus({})"), "softsign": ("F", "softsign({})"), "silu": ("F", "silu({})"),
    "swish": ("F", "silu({})"), "mish": ("F", "mish({})"), "leaky_relu": ("F", "leaky_relu({}, 0.2)"),
    "exponential": ("torch", "exp({})"), "hard_sigmoid": ("F", "hardsigmoid({})"),
}  # fmt: skip
MODULES = ("tf.nn.", "tf.keras.activations.", "tf.keras.ops.", "tf.math.", "tf.")


def name_of(rewriter: Rewriter, node: ast.expr | None) -> str | None:
    """Keras' name of an activation argument; None for the identity. Raises `Bail` for any other function."""
    if node is None:
        return None
    value = rewriter.facts.of(node).value
    if value is None or value == "linear":
        return None
    name = value if isinstance(value, str) else _function(rewriter, node)
    if name == "linear":
        return None
    if name not in TEXT:
        raise Bail(f"the activation {rewriter.source.segment(node)}")
    return name


def _function(rewriter: Rewriter, node: ast.expr) -> str:
    meaning = rewriter.names.resolve(node)
    if isinstance(meaning, Canonical):
        for module in MODULES:
            if meaning.name.startswith(module):
                return meaning.name.removeprefix(module)
    raise Bail(f"the activation {rewriter.source.segment(node)}")


def is_elementwise(name: str | None) -> bool:
    """Whether layout and order do not matter to it."""
    return name in ELEMENTWISE_ACTIVATIONS


def text(rewriter: Rewriter, name: str, inner: str, dim: int) -> str:
    """The call of an activation on ``inner``; ``dim`` is the channel axis for softmax."""
    module, form = TEXT[name]
    return f"{rewriter.imports.use(module)}.{form.format(inner, dim=dim)}"
