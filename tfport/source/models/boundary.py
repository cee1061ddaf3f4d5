"""``--layout nhwc`` for models that run recorded: their constructor is told to keep TensorFlow's layout outside."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.models.builder import MODELS
from tfport.source.models.sequential import SEQUENTIAL
from tfport.source.text import Fragment

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

OPTION = 'boundary_layout="nhwc"'


def special(rewriter: Rewriter, node: ast.AST) -> Fragment | None:
    """``compat.keras.Model(inputs, outputs, boundary_layout="nhwc")``; None for anything else."""
    if not isinstance(node, ast.Call):
        return None
    meaning = rewriter.hits.get(node.func)
    if not isinstance(meaning, Canonical) or meaning.name not in MODELS | SEQUENTIAL:
        return None
    rules = rewriter.choice.rules_for(meaning)
    if not rules or (meaning.name in MODELS and not (node.args or node.keywords)):
        return None
    if rewriter.layout != "nhwc":
        message = "image inputs and outputs of the recorded model are NHWC -> NCHW; --layout nhwc keeps them"
        rewriter.note_once(node, "TFP201", meaning.name, message)
        return None
    text = rewriter.calls.compat_call(node, rules[0]).text
    inside = text[:-1].rstrip()
    separator = "" if inside.endswith("(") else " " if inside.endswith(",") else ", "
    return Fragment(f"{inside}{separator}{OPTION})")
