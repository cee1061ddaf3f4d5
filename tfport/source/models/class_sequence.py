"""A Sequential that a class holds: nn.Sequential of the modules that its layers become."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfport.layers.layouts import to_first, to_last
from tfport.source.models import activations
from tfport.source.models.class_call import CallReader
from tfport.source.models.class_init import Held
from tfport.source.models.class_trace import ClassTrace, with_rank
from tfport.source.models.spec import Bail, LayerSpec
from tfport.source.models.trace import Value
from tfport.source.text import Fragment

MODULES = {
    "relu": "nn.ReLU()", "sigmoid": "nn.Sigmoid()", "tanh": "nn.Tanh()", "elu": "nn.ELU()", "selu": "nn.SELU()",
    "gelu": "nn.GELU()", "relu6": "nn.ReLU6()", "softplus": "nn.Softplus()", "softsign": "nn.Softsign()",
    "silu": "nn.SiLU()", "swish": "nn.SiLU()", "mish": "nn.Mish()", "leaky_relu": "nn.LeakyReLU(0.2)",
    "hard_sigmoid": "nn.Hardsigmoid()", "softmax": "nn.Softmax(dim={dim})", "log_softmax": "nn.LogSoftmax(dim={dim})",
}  # fmt: skip


def sequence(reader: CallReader, held: Held, value: Value) -> Value:
    """Apply a Sequential attribute, layer by layer; its modules' texts are left in ``held.texts``."""
    trace, rewriter = reader.trace, reader.rewriter
    nn = rewriter.imports.use("nn")
    texts: list[str] = []
    if value.mask is not None:
        raise Bail("a Sequential on a masked value")
    given = held.items[0].spec.input_shape if held.items[0].spec is not None else None
    if given is not None:
        value = with_rank(value, len(given) + 1)
        if len(value.shape) == len(given) + 1:  # Keras builds a Sequential for its first layer's input_shape
            value = dataclasses.replace(value, shape=(None, *given))
    result = value
    for item in held.items:
        item.used = True
        if item.kind == "own":
            raise Bail("a Sequential that holds own layers")
        assert item.spec is not None
        spec = item.spec
        item.path = trace.attributes[spec] = f"{held.path}.{len(texts)}"
        trace.spelling[spec] = "module"
        reader.sensitive = reader.sensitive or spec.class_name in ("BatchNormalization", "Dropout")
        before = dataclasses.replace(result, text=Fragment("x"))
        trace.alone = True
        try:
            made = trace.apply(spec, [before])
        finally:
            trace.alone = False
        function = activations.name_of(rewriter, spec.given.get("activation"))
        if (order := _permuted(made.text.text, len(before.shape))) is not None:
            compat = rewriter.imports.use("compat")
            texts.append(f"{compat}.keras.modules.Permute({order})")
            item.path = trace.attributes[spec] = f"{held.path}.{len(texts)}"
            if spec in trace.modules:
                trace.modules[spec].attribute = trace.recorded[spec]["path"] = item.path
        above, beside = reader.walk.comments_of(item.node)
        new = _module_texts(trace, rewriter, spec, made, nn)
        texts += new
        if new and (above or beside):
            held.comments[len(texts) - 1] = (above, beside)
        if function is not None and spec.class_name != "Activation":
            dim = 1 if made.layout == "first" and len(made.shape) > 2 else -1
            texts.append(_activation(function, nn, dim))
        result = made
    if held.texts and held.texts != texts:
        raise Bail("a Sequential on inputs of different kinds")
    held.texts = texts
    inside = value.text.text
    return dataclasses.replace(result, text=Fragment(f"{held.spelling}({inside})"))


def _permuted(text: str, rank: int) -> str | None:
    """The permutation that a layer's expression begins with, as Keras' dims."""
    for order in (to_first(rank), to_last(rank)) if rank > 2 else ():
        if f"x.permute({', '.join(map(str, order))})" in text:
            return repr(order[1:])
    return None


def _module_texts(trace: ClassTrace, rewriter: Any, spec: LayerSpec, made: Value, nn: str) -> list[str]:
    module = trace.modules.get(spec)
    if module is not None:
        return [module.constructor]
    compat = rewriter.imports.use("compat")
    if spec.class_name == "Flatten":
        return [f"{nn}.Flatten()"]
    if spec.class_name == "ReLU":
        return [f"{nn}.ReLU()"]
    if spec.class_name == "Reshape":
        target = spec.values["target_shape"]
        return [
            f"{compat}.keras.modules.Reshape({tuple(target) if isinstance(target, list | tuple) else (target,)!r})"
        ]
    if spec.class_name == "Activation":
        name = activations.name_of(rewriter, spec.given.get("activation"))
        dim = 1 if made.layout == "first" and len(made.shape) > 2 else -1
        return [_activation(name, nn, dim)] if name else []
    if spec.class_name == "Identity":
        return []
    raise Bail(f"{spec.class_name} in a Sequential")


def _activation(name: str, nn: str, dim: int) -> str:
    if name not in MODULES:
        raise Bail(f"the activation {name} in a Sequential")
    return MODULES[name].format(dim=dim).replace("nn.", f"{nn}.", 1)
