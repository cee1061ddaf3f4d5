"""What `--tensor SCOPE` demands of the tensors of a scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Conv2D", "Conv3D", "DepthwiseConv2dNative",
            "Conv2DBackpropInput", "Conv3DBackpropInputV2")  # fmt: skip
ADDED = ("BiasAdd", "Add", "AddV2")


def vouched(
    recorded: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, Any]], tensor: str
) -> set[int]:
    """Which of a scope's tensors, by their place, are products whose bias is added next, where that sum agrees.

    A module does both at once, so the value between them is nowhere. A tensor that is named by itself is not excused.
    """
    if len(recorded) != len(layers) or any(layer["name"] == tensor.removesuffix(":0") for layer in recorded):
        return set()
    sums = [
        r for r, x in zip(recorded, layers, strict=True) if r["class"] in ADDED and x["status"] == "agrees"
    ]
    summed = {key for layer in sums for key in layer["inputs"] if key}
    return {i for i, r in enumerate(recorded) if r["class"] in PRODUCTS and summed & set(r["tensors"])}


def unseen(tensor: str, layers: Sequence[Mapping[str, Any]]) -> str:
    """Why tensors that `--tensor` names were not compared, and what to name where they lie inside a module."""
    names_of = [str(layer["name"]) for layer in layers]
    if names_of == [tensor.removesuffix(":0")]:
        return str(layers[0]["reason"])
    more = f" and {len(names_of) - 4} more" if len(names_of) > 4 else ""
    told = f"{', '.join(names_of[:4])}{more} not compared: {layers[0]['reason']}"
    return told + "; where a module does several operations at once, name what leaves it"
