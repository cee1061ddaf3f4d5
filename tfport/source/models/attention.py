"""Attention layers in a written class: ``self.attention1(x, x, use_causal_mask=True)``. Masked values stay recorded."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tfport.layers.masks import call_names
from tfport.source.models.spec import Bail, LayerSpec
from tfport.source.models.trace import Trace, Value
from tfport.source.text import Fragment
from tfport.source.values import is_known

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

HEADS = frozenset({"MultiHeadAttention", "GroupedQueryAttention"})
KINDS = HEADS | {"Attention", "AdditiveAttention"}
FLAGS = ("return_attention_scores", "use_causal_mask")
FREE = ("seed", "kernel_initializer", "bias_initializer")


def called(
    rewriter: Rewriter, trace: Trace, spec: LayerSpec, node: ast.Call, evaluate: Callable[[ast.expr], Value]
) -> Value:
    """The layer's call. Raises `Bail` for masks, scores, and sizes that the source does not tell."""
    names = call_names(spec.class_name)
    given = dict(zip(names, node.args)) | {k.arg: k.value for k in node.keywords if k.arg}
    if len(node.args) > len(names) or set(given) - set(names) or any(k.arg is None for k in node.keywords):
        raise Bail(f"a call of {spec.class_name} that is not plain")
    flags = {name: rewriter.facts.of(given[name]).value for name in FLAGS if name in given}
    if any(not isinstance(value, bool) for value in flags.values()) or flags.get("return_attention_scores"):
        raise Bail(f"{spec.class_name} with its scores")
    wanted = ("query", "value", "key") if spec.class_name in HEADS else ("inputs",)
    if set(given) - {*wanted, *FLAGS, "attention_mask"} or any(n not in given for n in wanted if n != "key"):
        raise Bail(f"{spec.class_name} with masks")
    if any(not is_known(v) for n, v in spec.values.items() if n not in FREE):
        raise Bail(f"arguments of {spec.class_name} are not known")
    if spec.class_name in HEADS:
        values = [evaluate(given[n]) for n in wanted if n in given]
    else:
        values = [evaluate(e) for e in _listed(given["inputs"])]
    more = {n: "True" for n, value in flags.items() if value}
    if "attention_mask" in given:
        more["attention_mask"] = _plain(evaluate(given["attention_mask"])).text.text
    return attend(trace, spec, [_plain(v) for v in values], more)


def _listed(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, ast.List | ast.Tuple) or len(node.elts) not in (2, 3):
        raise Bail("attention on inputs that are no plain list")
    return list(node.elts)


def _plain(value: Value) -> Value:
    if value.flat is not None or value.mask is not None:
        raise Bail("attention on a masked or flattened value")
    return value.moved("last")


def attend(trace: Trace, spec: LayerSpec, values: list[Value], more: Mapping[str, str]) -> Value:
    """The layer on query, value and key, with further keywords as text."""
    shapes = [v.shape for v in values]
    if any(len(s) != 3 or not isinstance(s[-1], int) for s in shapes):
        raise Bail("attention on values of unknown size")
    query, value = shapes[0][-1], shapes[1][-1]
    sizes = (query, value, shapes[2][-1] if len(shapes) > 2 else value)
    if trace.sizes.setdefault(spec.node, sizes) != sizes:
        raise Bail(f"one {spec.class_name} on inputs of different sizes")
    call = trace.module_call(spec, values)
    if spec.class_name not in HEADS:
        inside = call[call.index("(") + 1 : -1]
        call = f"{call[: call.index('(')]}([{inside}])"
    keywords = "".join(f", {name}={text}" for name, text in more.items())
    output: Any = (spec.values.get("output_shape") or query) if spec.class_name in HEADS else value
    if not isinstance(output, int):
        raise Bail("an output shape of several axes")
    return Value(
        Fragment(f"{call[:-1]}{keywords})"), (*shapes[0][:-1], output), node=trace.called(spec, values)
    )
