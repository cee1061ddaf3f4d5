"""What `tfport verify` tells: a table for a person, JSON for a program."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tfport.parity.comparison import Comparison, TensorComparison
from tfport.parity.verification import Part, Verification

SHOWN = 40
"""Rows of a table before the rest is summed up in one line; disagreements are always shown."""
WIDE = 1e-4
"""A tolerance, relative to the scale, from which on the table says that float32 hides small faults."""
UNSAID = 8
"""How many things that were not compared are named in the terminal."""


SCHEMA = 1
"""The version of what `--format json` tells: a key that is taken away or changes its meaning counts it up."""


def as_json(done: Verification) -> str:
    """The whole result as JSON; numbers that JSON lacks are the strings "inf", "-inf" and "nan"."""
    return json.dumps(_plain(summary(done)), indent=1)


def summary(done: Verification) -> dict[str, Any]:
    """The whole result as plain dicts and lists."""
    told: dict[str, Any] = {
        "schema": SCHEMA,
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
    said, unsaid = coverage(part)
    return {
        "ok": part.ok,
        "dtype": part.dtype,
        "device": part.device,
        "error": part.error,
        "reason": "; ".join(part.reasons),
        "compared": said,
        "not_compared": unsaid,
        "elements": compared.elements if compared is not None else 0,
        "tensors": [{**vars(t), "ok": t.ok} for t in compared] if compared is not None else [],
        "layers": part.layers,
        "layers_left_out": part.layers_left_out,
        "first": part.first,
        "causes": part.causes,
        "gradients": part.gradients,
        "training": part.training,
        "notes": part.notes,
    }


def coverage(part: Part) -> tuple[list[str], list[str]]:
    """(what was compared, what was not and why), in words."""
    if part.comparison is None:
        return [], [part.error or "everything"]
    tensors = [t for t in part.comparison if t.status not in ("missing", "extra", "shape")]
    said = [f"{_count(len(tensors), 'output')} ({_count(part.comparison.elements, 'element')})"]
    unsaid = [f"{t.name}: {t.status}" for t in part.comparison if t.status in ("missing", "extra", "shape")]
    layers = [layer for layer in part.layers if layer["status"] != "not compared"]
    if part.layers:
        said.append(f"{len(layers)} of {_count(len(part.layers), 'layer')}")
        unsaid += [f"layer {x['name']}: {x['reason']}" for x in part.layers if x["status"] == "not compared"]
    elif part.layers_recorded:
        unsaid.append("layers (--layers all)")
    if part.layers_left_out:
        unsaid.append(f"{_count(part.layers_left_out, 'layer')} that the capture left out (--layers all)")
    if part.gradients is None:
        unsaid.append("gradients (--gradients)")
    else:
        rows = [*part.gradients["parameters"], *part.gradients["inputs"]]
        said.append(_count(sum(row["status"] != "not compared" for row in rows), "gradient"))
        unsaid += [f"gradient of {r['name']}: {r['reason']}" for r in rows if r["status"] == "not compared"]
    if part.training is None:
        unsaid.append("training (--steps K)")
    else:
        steps = 0 if part.training.get("error") else part.training["steps"]
        said.append(f"{_count(steps, 'step')} of training")
        unsaid += part.training["not_compared"]
    return said, unsaid + part.missing


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


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

    def line(text: str, style: str = "") -> None:
        console.print(escape(text), style=style or None, soft_wrap=True)

    line(f"{done.reference} against {done.candidate}  ({part.dtype}, {part.device})")
    if part.error or part.comparison is None:
        console.print(f"[red]not compared:[/] {escape(part.error or '')}", soft_wrap=True)
        for note in part.notes:
            line(f"note: {note}")
        return
    _print_tensors(part, console)
    for text in (*_tolerance_lines(part.comparison), *_layer_lines(part)):
        line(text)
    if part.gradients is not None:
        rows = [*part.gradients["parameters"], *part.gradients["inputs"]]
        _print_rows("gradients", rows, part.gradients, console)
    if part.training is not None:
        for text in _training_lines(part.training):
            line(text)
    for note in part.notes:
        line(f"note: {note}")
    said, unsaid = coverage(part)
    line(f"compared: {', '.join(said)}")
    shown = unsaid[:UNSAID] + (
        [f"{len(unsaid) - UNSAID} more (--format json)"] if len(unsaid) > UNSAID else []
    )
    line(f"not compared: {'; '.join(shown) or 'nothing is left'}")
    verdict = "[green]agree[/]" if part.ok else "[red]disagree[/]"
    outputs = part.comparison.reason if part.comparison.failures else ""
    why = [reason for reason in part.reasons if reason != outputs]
    told = f": {'; '.join(why)}" if why else ""
    console.print(
        f"{verdict}{escape(told)} ({part.comparison.elements} elements of outputs compared)", soft_wrap=True
    )


def _print_tensors(part: Part, console: Any) -> None:
    from rich.markup import escape
    from rich.table import Table

    assert part.comparison is not None
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


_COLUMNS: tuple[tuple[str, Literal["left", "right"]], ...] = (
    ("tensor", "left"),
    ("shape", "left"),
    ("dtype", "left"),
    ("largest", "right"),
    ("max abs", "right"),
    ("max rel", "right"),
    ("allowed", "right"),
    ("cosine", "right"),
    ("SNR dB", "right"),
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
        return [t.name, shape, dtype, *[""] * 8, t.status]
    allowed = "exact" if not t.limit else f"{t.limit / t.scale:.1e}" if t.scale else f"{t.limit:.1e} abs"
    cosine = "" if t.cosine is None else f"{t.cosine:.6f}"
    snr = "" if t.snr is None else f"{t.snr:.0f}"
    ulp = "/".join(_short(v) for v in t.ulp.values()) if t.ulp else ""
    worst = str(list(t.worst)) if t.worst and t.max_abs else ""
    return [
        t.name, shape, dtype, f"{t.scale:.3g}", f"{t.max_abs:.1e}", f"{t.max_rel:.1e}", allowed, cosine, snr,
        ulp, worst, t.status,
    ]  # fmt: skip


def _short(x: float) -> str:
    return f"{x:.0f}" if x < 1e5 else f"{x:.0e}"


def _tolerance_lines(comparison: Comparison) -> list[str]:
    """Where the tolerances come from; one line for all tensors of the same reason."""
    named: dict[str, list[str]] = {}
    for t in comparison:
        if t.why and t.why != "exact":
            named.setdefault(t.why, []).append(t.name)
    lines = []
    for why, names in named.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        lines.append(f"allowed ({shown}): {why}")
    room = [t.limit / t.scale for t in comparison if t.dtype == "float32" and t.scale and t.why != "as asked"]
    if room and max(room) > WIDE:
        far = max(room)
        lines.append(
            f"float32 alone moves this model far: faults below {far:.1e} show in --dtype float64 only"
        )
    return lines


def _layer_lines(part: Part) -> list[str]:
    if not part.layers:
        return []
    compared = [layer for layer in part.layers if layer["status"] != "not compared"]
    agree = sum(layer["status"] == "agrees" for layer in compared)
    lines = [f"layers: {agree} of {len(compared)} agree, {len(part.layers) - len(compared)} not compared"]
    ways = Counter(layer["how"] for layer in compared if layer.get("how"))
    if ways:
        lines[0] += f" (paired by {', '.join(f'{way}: {n}' for way, n in ways.most_common())})"
    first = part.first
    if first is not None:
        others = [name for name in first.get("between") or () if name != first["layer"]]
        between = f", after {', '.join(others)}" if others else ""
        told = f"{first['layer']} ({first['kind']}{between}): {first['reason']}"
        lines.append(f"first layer that differs given equal inputs: {told}")
    elif agree < len(compared):
        wrong = [layer for layer in compared if layer["status"] == "differs"]
        lines += [
            f"layer {x['name']} differs, given what the layers before it made: {x['reason']}"
            for x in wrong[:3]
        ]
    fits = [cause for cause in part.causes if cause["agrees"]]
    lines += [f"likely cause: {cause['cause']} of {cause['layer']}: {cause['said']}" for cause in fits]
    tried = Counter(cause["cause"] for cause in part.causes if not cause["agrees"])
    if tried:
        lines.append(f"tried without success: {', '.join(tried)}")
    return lines


def _print_rows(what: str, rows: Sequence[Mapping[str, Any]], told: Mapping[str, Any], console: Any) -> None:
    """Gradients: one line of counts, one for each that does not agree."""
    from rich.markup import escape

    compared = [row for row in rows if row["status"] != "not compared"]
    agree = [row for row in compared if row["status"] == "agrees"]
    line = f"{what}: {len(agree)} of {len(compared)} agree"
    if agree:
        worst = max(agree, key=lambda row: row["max_abs"] / row["allowed"] if row["allowed"] else 0.0)
        line += f", nearest to its limit {worst['name']}: {worst['max_abs']:.1e} of {worst['allowed']:.1e} allowed"
    console.print(escape(line), soft_wrap=True)
    for row in [row for row in compared if row["status"] == "differs"][:SHOWN]:
        console.print(
            f"[red]{what[:-1]} of {escape(row['name'])}:[/] {escape(row['reason'])}", soft_wrap=True
        )
    for note in told.get("notes") or []:
        console.print(f"note: {escape(note)}", soft_wrap=True)


def _training_lines(told: Mapping[str, Any]) -> list[str]:
    """Steps, losses at both ends, where the curve leaves the reference, which weight left first, the cause."""
    if told.get("error"):
        return [f"training: not compared: {told['error']}"]
    agree = sum(step["status"] == "agrees" for step in told["per_step"])
    counted = ", ".join(f"{n} of {place}" for place, n in told["compared"].items() if n)
    steps = _count(told["steps"], "step")
    lines = [f"training: {agree} of {steps} agree given equal weights (values compared: {counted})"]
    losses = told["losses"]
    ends = [f"{losses[side][0]:.6g} to {losses[side][-1]:.6g}" for side in ("reference", "candidate")]
    lines.append(f"loss over {steps}: reference {ends[0]}, candidate {ends[1]}")
    left, first = told["left"], told["first_parameter"]
    if left is not None:
        apart = f"{left['candidate']:.7g} instead of {left['reference']:.7g}"
        lines.append(f"the loss leaves the reference's at step {left['step'] + 1}: {apart}")
    if first is not None:
        lines.append(f"the first weight to leave: {first['name']} at step {first['step'] + 1}")
    fits = [cause for cause in told["causes"] if cause["agrees"]]
    lines += [f"likely cause: {cause['said']}" for cause in fits]
    if told["causes"] and not fits:
        lines.append(f"tried without success: {', '.join(dict.fromkeys(c['cause'] for c in told['causes']))}")
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
