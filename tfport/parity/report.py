"""What `tfport verify` tells: a table for a person, JSON for a program."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

from tfport.parity.comparison import TensorComparison
from tfport.parity.verification import Part, Verification

SHOWN = 40
"""Rows of a table before the rest is summed up in one line; disagreements are always shown."""


def as_json(done: Verification) -> str:
    """The whole result as JSON; numbers that JSON lacks are the strings "inf", "-inf" and "nan"."""
    return json.dumps(_plain(summary(done)), indent=1)


def summary(done: Verification) -> dict[str, Any]:
    """The whole result as plain dicts and lists."""
    told: dict[str, Any] = {
        "ok": done.ok,
        "reference": done.reference,
        "candidate": done.candidate,
        "seed": done.seed,
        "versions": done.versions,
        "seconds": {k: round(v, 3) for k, v in done.seconds.items()},
    }
    if done.printed is not None:
        told["printed"] = {**vars(done.printed), "reason": done.printed.reason}
        told["printed"]["differences"] = [vars(d) for d in done.printed.differences]
        return told
    told["runs"] = [_part(part) for part in done.parts]
    return told


def _part(part: Part) -> dict[str, Any]:
    compared = part.comparison
    return {
        "ok": part.ok,
        "dtype": part.dtype,
        "device": part.device,
        "error": part.error,
        "reason": compared.reason if compared else part.error,
        "elements": compared.elements if compared else 0,
        "tensors": [{**vars(t), "ok": t.ok} for t in compared] if compared else [],
        "layers": [vars(layer) for layer in part.layers],
        "layers_left_out": part.layers_left_out,
        "notes": part.notes,
    }


def _plain(x: Any) -> Any:
    if isinstance(x, dict):
        return {str(k): _plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [_plain(v) for v in x]
    if isinstance(x, float) and not math.isfinite(x):
        return str(x)
    return x if x is None or isinstance(x, (bool, int, float, str)) else str(x)


def print_table(done: Verification, console: Any) -> None:
    """Prints the result to a rich console."""
    if done.printed is not None:
        _print_printed(done, console)
    for part in done.parts:
        _print_part(done, part, console)


def _print_part(done: Verification, part: Part, console: Any) -> None:
    from rich.markup import escape
    from rich.table import Table

    title = f"{done.reference} against {done.candidate}  ({part.dtype}, {part.device})"
    if part.error or part.comparison is None:
        console.print(escape(title), soft_wrap=True)
        console.print(f"[red]not compared:[/] {escape(part.error or '')}", soft_wrap=True)
        return
    console.print(escape(title), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for head, side in _COLUMNS:
        table.add_column(head, justify=side, overflow="fold")
    tensors = part.comparison.tensors
    rows = [t for i, t in enumerate(tensors) if i < SHOWN or not t.ok]
    for tensor in rows:
        table.add_row(*(escape(cell) for cell in _cells(tensor)), style=None if tensor.ok else "red")
    console.print(table)
    if len(rows) < len(tensors):
        console.print(f"... and {len(tensors) - len(rows)} more that agree")
    for tensor in part.comparison.failures:
        console.print(f"[red]{escape(tensor.name)}:[/] {escape(tensor.reason)}", soft_wrap=True)
    for line in _layer_lines(part):
        console.print(escape(line), soft_wrap=True)
    for note in part.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True)
    verdict = "[green]agree[/]" if part.ok else "[red]disagree[/]"
    why = "" if part.ok or part.comparison.failures else f": {part.comparison.reason}"
    console.print(f"{verdict}{escape(why)} ({part.comparison.elements} elements compared)", soft_wrap=True)


_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("tensor", "left"),
    ("shape", "left"),
    ("dtype", "left"),
    ("largest", "right"),
    ("max abs", "right"),
    ("max rel", "right"),
    ("allowed", "right"),
    ("ulp 50/99/100 %", "right"),
    ("worst at", "left"),
    ("result", "left"),
)


def _cells(t: TensorComparison) -> list[str]:
    dtype = t.dtype
    if t.candidate_dtype not in (t.dtype, None) and not t.ok:
        dtype = f"{t.dtype or '-'} / {t.candidate_dtype}"
    shape = "x".join(map(str, t.shape)) or "scalar"
    if t.candidate_shape is not None and t.candidate_shape != t.shape:
        shape += " / " + ("x".join(map(str, t.candidate_shape)) or "scalar")
    if t.status in ("missing", "extra", "shape"):
        return [t.name, shape, dtype, "", "", "", "", "", "", t.status]
    allowed = f"{t.rtol:.0e}" + (f" + {t.atol:.0e}" if t.atol else "") if t.rtol or t.atol else "exact"
    ulp = "/".join(_short(v) for v in t.ulp.values()) if t.ulp else ""
    worst = str(list(t.worst)) if t.worst and t.max_abs else ""
    return [
        t.name, shape, dtype, f"{t.scale:.3g}", f"{t.max_abs:.2e}", f"{t.max_rel:.2e}", allowed, ulp, worst,
        t.status,
    ]  # fmt: skip


def _short(x: float) -> str:
    return f"{x:.0f}" if x < 1e5 else f"{x:.0e}"


def _layer_lines(part: Part) -> list[str]:
    compared = [layer for layer in part.layers if layer.status != "not compared"]
    if not part.layers:
        return []
    agree = sum(layer.status == "agrees" for layer in compared)
    lines = [f"layers: {agree} of {len(compared)} agree, {len(part.layers) - len(compared)} not compared"]
    if part.layers_left_out:
        lines[0] += f", {part.layers_left_out} not recorded for their size (--layers all)"
    first = next((layer for layer in compared if layer.status == "differs"), None)
    if first is not None and not part.ok:
        lines.append(f"first layer that differs: {first.name} ({first.kind}): {first.reason}")
    return lines


def _print_printed(done: Verification, console: Any) -> None:
    from rich.markup import escape

    printed = done.printed
    assert printed is not None
    console.print(escape(f"{done.reference} against {done.candidate}  (printed output)"), soft_wrap=True)
    for difference in printed.differences[:SHOWN]:
        console.print(f"[red]line {difference.line}:[/] {escape(difference.reason)}", soft_wrap=True)
        console.print(f"  reference: {escape(difference.reference[:200])}", soft_wrap=True)
        console.print(f"  candidate: {escape(difference.candidate[:200])}", soft_wrap=True)
    if len(printed.differences) > SHOWN:
        console.print(f"... and {len(printed.differences) - SHOWN} more lines that differ")
    verdict = "[green]agree[/]" if printed.ok else "[red]disagree[/]"
    why = "" if printed.ok or printed.differences else f": {printed.reason}"
    worst = f"worst {printed.max_rel:.2e}"
    counts = f"{printed.numbers} numbers on {printed.lines} lines, {worst}"
    console.print(f"{verdict}{escape(why)} ({counts})", soft_wrap=True)
