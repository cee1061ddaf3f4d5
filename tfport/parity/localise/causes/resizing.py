"""Resizing: bilinear or nearest, corners aligned or not."""

from __future__ import annotations

from collections.abc import Iterator

from tfport.parity.localise.causes.base import Context, Fix


def propose(context: Context) -> Iterator[Fix]:
    """All modes of `F.interpolate`, the reference's first."""
    operation = context.operation
    if operation is None or operation.name not in ("interpolate", "upsample"):
        return
    has, aligned = operation.get("mode", "nearest"), operation.get("align_corners")
    linear = {3: "linear", 4: "bilinear", 5: "trilinear"}.get(operation.get("input").ndim, "bilinear")
    told = context.told("interpolation")
    options = [("nearest", None), ("nearest-exact", None), (linear, False), (linear, True), ("bicubic", False),
               ("bicubic", True), ("area", None)]  # fmt: skip
    for mode, corners in options:
        if (mode, corners) != (has, aligned) and not (mode == "bicubic" and linear != "bilinear"):
            corner = "" if corners is None else f", align_corners={corners}"
            yield Fix("interpolation", f"mode={mode!r}{corner}", f"{has!r}, align_corners={aligned}",
                      lambda op, m=mode, c=corners: op.again(mode=m, align_corners=c, antialias=False),
                      told=mode == told)  # fmt: skip
