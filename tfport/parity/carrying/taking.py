"""What a module of torch takes of a Keras layer: each of its tensors as an array, in torch's axis order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from tfport.parity.carrying.sources import Source

Taken = dict[str, np.ndarray]
"""Tensor of the module -> its value."""


def taken(module: nn.Module, sources: Sequence[Source]) -> Taken | None:
    """The value of every tensor of the module, or None where the layer is not of this kind or these sizes.

    There is one source, for each level of a recurrent module one.
    """
    levels = isinstance(module, nn.RNNBase)
    made = _recurrent(module, sources) if levels else _taken(module, sources[0])
    if not made:
        return None
    held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    if any(name not in held or tuple(held[name].shape) != made[name].shape for name in made):
        return None
    return made


def _taken(module: nn.Module, source: Source) -> Taken | None:
    v = source.variables
    if isinstance(module, nn.MultiheadAttention):
        return _attention(module, source)
    if isinstance(module, nn.Linear):
        return _affine(module, v, _matrix(source))
    if isinstance(module, _ConvNd):
        return _affine(module, v, _kernel(module, source))
    if isinstance(module, _NormBase):
        if source.kind != "BatchNormalization" or "moving_mean" not in v:
            return None
        return {**_scaled(module, v), "running_mean": v["moving_mean"], "running_var": v["moving_variance"]}
    if isinstance(module, nn.LayerNorm) and source.kind == "LayerNormalization":
        return {n: a.reshape(module.normalized_shape) if a.size == math.prod(module.normalized_shape) else a
                for n, a in _scaled(module, v).items()}  # fmt: skip
    if isinstance(module, nn.GroupNorm) and source.kind == "GroupNormalization":
        return _scaled(module, v)
    if type(module).__name__ == "RMSNorm" and source.kind == "RMSNormalization" and "gamma" in v:
        return {"weight": v["gamma"]}
    if isinstance(module, nn.Embedding) and source.kind == "Embedding":
        return {"weight": v["embeddings"]}
    if isinstance(module, nn.PReLU) and source.kind == "PReLU" and sum(n > 1 for n in v["alpha"].shape) < 2:
        return {"weight": v["alpha"].reshape(-1)}
    return None


def _scaled(module: Any, v: dict[str, np.ndarray]) -> Taken:
    """Scale and shift."""
    return {name: v[role] for name, role in (("weight", "gamma"), ("bias", "beta")) if role in v}


def neutral(module: nn.Module, made: Taken) -> dict[str, float]:
    """Scale and shift that a normalisation of torch has and Keras' has not: 1 and 0."""
    norm = isinstance(module, (_NormBase, nn.LayerNorm, nn.GroupNorm))
    own = {name: getattr(module, name, None) is not None and name not in made for name in ("weight", "bias")}
    return {name: float(name == "weight") for name, there in own.items() if norm and there}


def _affine(module: Any, v: dict[str, np.ndarray], kernel: np.ndarray | None) -> Taken | None:
    """Weight and bias; a bias on one side only is no match."""
    if kernel is None or kernel.shape != tuple(module.weight.shape):
        return None
    rest = [a for role, a in v.items() if role == "bias" or (role.startswith("variable") and a.ndim == 1)]
    if len(rest) != (module.bias is not None) or len(rest) + 1 != len(v):
        return None
    return {"weight": kernel, **({"bias": rest[0].reshape(-1)} if rest else {})}


def _first_kernel(source: Source) -> np.ndarray | None:
    """The kernel; of a layer of the user's own its one matrix."""
    if "kernel" in source.variables:
        return source.variables["kernel"]
    own = [a for role, a in source.variables.items() if role.startswith("variable") and a.ndim == 2]
    return own[0] if len(own) == 1 else None


def _matrix(source: Source) -> np.ndarray | None:
    """A kernel as (out, in): of a dense layer, of a convolution of width 1, of an EinsumDense that is a matrix product."""
    kernel = _first_kernel(source)
    if kernel is None or source.kind.startswith("Depthwise") or source.kind.endswith("Transpose"):
        return None
    if source.kind == "EinsumDense":
        ways = einsum_axes(str(source.config.get("equation")), kernel.ndim)
        if ways is None:
            return None
        outs, ins = ways
        out = math.prod(kernel.shape[i] for i in outs)
        return kernel.transpose(*outs, *ins).reshape(out, -1)
    if kernel.ndim > 2 and any(n != 1 for n in kernel.shape[:-2]):
        return None
    return kernel.reshape(kernel.shape[-2:]).T if kernel.ndim > 1 else None


def einsum_axes(equation: str, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The axes of an EinsumDense kernel that are outputs, in their order there, and inputs: `abc,cde->abde`."""
    given, arrow, made = equation.replace(" ", "").replace("...", "").partition("->")
    x, comma, kernel = given.partition(",")
    if not arrow or not comma or len(kernel) != rank or len(set(kernel)) != rank:
        return None
    outs = [kernel.index(a) for a in made if a in kernel]
    ins = [kernel.index(a) for a in x if a in kernel]
    if sorted(outs + ins) != list(range(rank)):
        return None
    return tuple(outs), tuple(ins)


def _kernel(module: Any, source: Source) -> np.ndarray | None:
    """A kernel as torch's convolutions hold it."""
    kernel = _first_kernel(source)
    rank = len(module.kernel_size)
    if kernel is None:
        return None
    if source.kind in ("Dense", "EinsumDense") or kernel.ndim == 2:
        matrix = _matrix(source)
        return None if matrix is None or module.transposed else matrix.reshape(*matrix.shape, *(1,) * rank)
    if kernel.ndim != rank + 2 or module.transposed != source.kind.endswith("Transpose"):
        return None
    if source.kind.startswith("Depthwise"):
        moved = np.moveaxis(kernel, (-2, -1), (0, 1))
        return moved.reshape(moved.shape[0] * moved.shape[1], 1, *moved.shape[2:])
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _recurrent(module: Any, levels: Sequence[Source]) -> Taken | None:
    """All levels of a recurrent layer, each a Keras layer (or a Bidirectional of two); gates in torch's order."""
    kind = {"LSTM": "LSTM", "GRU": "GRU", "RNN_TANH": "SimpleRNN", "RNN_RELU": "SimpleRNN"}.get(module.mode)
    if kind is None or len(levels) != module.num_layers or getattr(module, "proj_size", 0):
        return None
    made: Taken = {}
    for level, source in enumerate(levels):
        if (source.kind == "Bidirectional") != module.bidirectional:
            return None
        ways = source.parts if module.bidirectional else [source]
        if len(ways) != 1 + module.bidirectional or any(way.kind != kind for way in ways):
            return None
        if module.bidirectional:
            ways = sorted(ways, key=lambda way: bool(way.config.get("go_backwards")))
        for way, suffix in zip(ways, ("", "_reverse"), strict=False):
            one = _level(way, kind, f"_l{level}{suffix}", module.bias)
            if one is None:
                return None
            made |= one
    return made


def _level(source: Source, kind: str, suffix: str, biased: bool) -> Taken | None:
    v = source.variables
    if not {"kernel", "recurrent_kernel"} <= v.keys() or ("bias" in v) > biased:
        return None

    def gates(a: np.ndarray) -> np.ndarray:
        if kind != "GRU":
            return a
        z, r, h = np.split(a, 3, -1)
        return np.concatenate([r, z, h], -1)

    made = {f"weight_ih{suffix}": gates(v["kernel"]).T, f"weight_hh{suffix}": gates(v["recurrent_kernel"]).T}
    if biased:
        rows = np.atleast_2d(v.get("bias", np.zeros(v["kernel"].shape[1], v["kernel"].dtype)))
        made[f"bias_ih{suffix}"] = gates(rows[0])
        made[f"bias_hh{suffix}"] = gates(rows[1]) if len(rows) > 1 else np.zeros_like(rows[0])
    return made


def levels_of(module: Any, first: Source, rest: Sequence[Source]) -> list[Source] | None:
    """The Keras layers of a recurrent module of several levels: the first, then the next ones of its kind."""
    chosen = [first]
    for source in rest:
        if len(chosen) < module.num_layers and source.kind == first.kind:
            chosen.append(source)
    return chosen if taken(module, chosen) is not None else None


def _attention(module: nn.MultiheadAttention, source: Source) -> Taken | None:
    """Keras' four projections in torch's packed ones."""
    if source.kind != "MultiHeadAttention" or module.bias_k is not None:
        return None
    parts = {part.name.rpartition("/")[2]: part for part in source.parts if part.variables}
    names = ("query", "key", "value", "attention_output")
    if not set(names) <= parts.keys():
        return None
    matrices = [m for m in (_matrix(parts[name]) for name in names) if m is not None]
    biases = [parts[name].variables["bias"].reshape(-1) for name in names if "bias" in parts[name].variables]
    if len(matrices) != 4 or len(biases) not in (0, 4) or bool(biases) != (module.in_proj_bias is not None):
        return None
    q, k, value, out = matrices
    made: Taken = {"out_proj.weight": out}
    if getattr(module, "in_proj_weight", None) is None:
        made |= {"q_proj_weight": q, "k_proj_weight": k, "v_proj_weight": value}
    elif q.shape[1] == k.shape[1] == value.shape[1]:
        made["in_proj_weight"] = np.concatenate([q, k, value])
    else:
        return None
    if biases:
        made |= {"in_proj_bias": np.concatenate(biases[:3]), "out_proj.bias": biases[3]}
    return made


__all__ = ["Taken", "einsum_axes", "levels_of", "neutral", "taken"]
