"""The text of ``model.summary()``."""

from __future__ import annotations

from typing import Any

from torch import nn


def summary_text(model: Any) -> str:
    """A table of layers with output shape and number of parameters, and the totals."""
    rows = [("Layer (type)", "Output shape", "Parameters")]
    for layer in model.layers:
        try:
            shape = str(layer.output_shape)
        except AttributeError:
            shape = "?"
        rows.append((f"{layer.name} ({layer.class_name})", shape, f"{_count(layer):,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f'Model "{model.name}"']
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    total = sum(p.numel() for p in model.parameters()) + sum(b.numel() for b in model.buffers())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    lines.append(f"Total parameters: {total:,} (trained {trained:,}, not trained {total - trained:,})")
    return "\n".join(lines)


def _count(layer: nn.Module) -> int:
    return sum(p.numel() for p in layer.parameters()) + sum(b.numel() for b in layer.buffers())
