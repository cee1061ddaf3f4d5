"""The drawings of the HTML report as inline SVG: heat map of layers, histogram, two curves over each other.

Drawn here and not by a plotting library: a page with plotly's script inside takes 4.6 MB before the first number,
and a page that loads it needs the network. These drawings are text: a few kilobytes, no script, sharp at any
size; what a point means stands in its <title>, which browsers show under the pointer.

All numbers come as JSON has them: the strings "inf" and "nan" stand for what JSON lacks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

PALETTE = ("#fff7d6", "#fbd38a", "#f08c5a", "#c83e5e", "#6a1a64", "#1d0b36")
"""From no error to a large one, of layers that differ; lightness falls all the way, so that it reads without colour too."""
CALM = ("#eef7f4", "#b9dfd3", "#7cc1ae", "#3f9b86", "#1d6f5f", "#0e463c")
"""The same of layers that agree: what rounding does in float32 is not to look like a fault beside float64."""
POINTS = 1500
"""Points of a curve; of a longer one, evenly spaced points are drawn, the first and the last among them."""


def number(x: Any) -> float:
    """A number of the report: float("inf"), float("nan") for the strings, nan for None."""
    return math.nan if x is None else float(x)


def short(x: Any) -> str:
    """A number in few characters: `3.1e-07`, `0.25`, `inf`; a dash for None."""
    if x is None:
        return "-"
    value = number(x)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e5 else f"{value:.2e}"


def colour(t: float, palette: Sequence[str] = PALETTE) -> str:
    """The palette at `t` between 0 and 1."""
    at = min(max(t, 0.0), 1.0) * (len(palette) - 1)
    low = min(int(at), len(palette) - 2)
    ends = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in palette[low : low + 2]]
    return "#" + "".join(f"{round(a + (b - a) * (at - low)):02x}" for a, b in zip(*ends))


def decades(values: Sequence[float]) -> tuple[int, int] | None:
    """The powers of ten that enclose the positive finite values; None where there is none."""
    logs = [math.log10(v) for v in values if math.isfinite(v) and v > 0]
    if not logs:
        return None
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    return low, max(high, low + 1)


Row = tuple[str, Sequence[Mapping[str, Any]], str | None]


def heat_map(rows: Sequence[Row]) -> Markup:
    """Rows (`float32 cpu`) of layers in the order of their calls; the shade is log10 of the relative error, the hue
    whether the layer agrees.

    A layer is a dict with name, kind, status (`agrees`, `differs`, `not compared`), max_rel and reason. Layers that
    were not compared are hatched, those that differ have a frame and a cross: neither is said by colour alone.
    A row is (label, layers, the first layer that differs on equal inputs or None); that layer has a heavy frame. A row
    may lack a layer of another row; that place stays empty.
    """
    names = _columns(rows)
    found = [dict(zip(_keys(layers), layers)) for _, layers, _ in rows]
    errors = [number(layer.get("max_rel")) for _, layers, _ in rows for layer in layers]
    scale = decades(errors)
    cell = max(7.0, min(34.0, 1000 / max(len(names), 1)))
    height, left = 26, 14 + 7 * max((len(label) for label, _, _ in rows), default=0)
    labelled = cell >= 13
    top = 6 + (6 * min(max((len(n) for n, _ in names), default=0), 24) if labelled else 0)
    width = left + cell * len(names) + 8
    bottom = top + height * len(rows)
    parts = [Markup('<g font-size="11">')]
    for column, (name, call) in enumerate(names):
        x = left + cell * (column + 0.5)
        if labelled:
            told = (name if len(name) <= 24 else "…" + name[-23:]) + (f" #{call}" if call else "")
            parts.append(
                Markup('<text class="ink" transform="translate({:.1f} {}) rotate(-60)">{}</text>').format(
                    x + 3, top - 4, told
                )
            )
    for row, (label, _, first) in enumerate(rows):
        y = top + height * row
        parts.append(
            Markup('<text class="ink" x="{}" y="{}" text-anchor="end">{}</text>').format(
                left - 6, y + 17, label
            )
        )
        for column, key in enumerate(names):
            layer = found[row].get(key)
            if layer is not None:
                box = (left + cell * column, y, cell, height)
                parts.append(_cell(layer, key[1], first == layer["name"], box, scale))
    parts.append(Markup("</g>"))
    legend, right = _legend(scale, left, bottom + 16)
    slanted = 80 if labelled else 0  # the last label leans out
    return _svg(max(width + slanted, right), bottom + 64, "Error of every layer", *parts, legend)


def _keys(layers: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    calls: dict[str, int] = {}
    keys = []
    for layer in layers:
        name = str(layer["name"])
        keys.append((name, calls.get(name, 0)))
        calls[name] = calls.get(name, 0) + 1
    return keys


def _columns(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """(name, call) of every layer of every row, in the order in which they are met."""
    return list(dict.fromkeys(key for _, layers, _ in rows for key in _keys(layers)))


def _cell(
    layer: Mapping[str, Any],
    call: int,
    first: bool,
    box: tuple[float, float, float, float],
    scale: tuple[int, int] | None,
) -> Markup:
    x, y, width, height = box
    error, status = number(layer.get("max_rel")), layer["status"]
    told = f"{layer['name']}{f' (call {call + 1})' if call else ''} ({layer.get('kind', '')}): {status}"
    if not math.isnan(error):
        told += f", max rel {short(error)}"
    if layer.get("how"):
        told += f", paired by {layer['how']}"
    if first:
        told += ", the first that differs on equal inputs"
    if layer.get("reason"):
        told += f"; {layer['reason']}"
    palette = PALETTE if status == "differs" else CALM
    if status == "not compared":
        fill = "url(#hatch)"
    elif scale is None or error == 0 or math.isnan(error):
        fill = palette[0]
    elif math.isinf(error):
        fill = palette[-1]
    else:
        fill = colour((math.log10(error) - scale[0]) / (scale[1] - scale[0]), palette)
    drawn = Markup(
        '<g class="cell {}"><title>{}</title><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}" fill="{}"/>'
    ).format(
        status.replace(" ", "-") + (" first" if first else ""),
        told,
        x + 0.5,
        y + 0.5,
        max(width - 1, 1),
        height - 1,
        fill,
    )
    if status == "differs":
        cx, cy, r = x + width / 2, y + height / 2, min(width, height) / 4
        drawn += Markup(
            '<path class="cross" d="M{:.1f} {:.1f}l{d:.1f} {d:.1f}m0 -{d:.1f}l-{d:.1f} {d:.1f}"/>'
        ).format(cx - r, cy - r, d=2 * r)
    return drawn + Markup("</g>")


def _legend(scale: tuple[int, int] | None, x: float, y: float) -> tuple[Markup, float]:
    """The colour scales with their decades, the sign of what differs and the hatch; -> (drawing, its right edge)."""
    parts, at = [Markup('<g font-size="11">')], x
    if scale is not None:
        steps = scale[1] - scale[0]
        step = max(18.0, min(60.0, 480 / steps))
        every = math.ceil(42 / step)
        bar = Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="11" fill="{}"/>')
        for i in range(steps * 4):
            shade, left = i / max(steps * 4 - 1, 1), at + step * i / 4
            parts.append(bar.format(left, y, step / 4 + 0.3, colour(shade, CALM)))
            parts.append(bar.format(left, y + 15, step / 4 + 0.3, colour(shade)))
        for i in range(0, steps + 1, every):
            parts.append(
                Markup('<text class="ink" x="{:.1f}" y="{}" text-anchor="middle">1e{}</text>').format(
                    at + step * i, y + 39, scale[0] + i
                )
            )
        at += step * steps + 8
    rows = (
        ((CALM[1], "agrees", False), ("url(#hatch)", "not compared", False)),
        ((PALETTE[3], "differs", True), (CALM[0], "no error", False)),
    )
    right = at
    for row, signs in enumerate(rows):
        left, top = at, y + 15 * row
        for fill, told, crossed in signs:
            parts.append(
                Markup('<rect class="key" x="{:.1f}" y="{}" width="18" height="11" fill="{}"/>').format(
                    left, top, fill
                )
            )
            if crossed:
                parts.append(
                    Markup('<path class="cross" d="M{:.1f} {}l6 6m0 -6l-6 6"/>').format(left + 6, top + 2.5)
                )
            parts.append(
                Markup('<text class="ink" x="{:.1f}" y="{}">{}</text>').format(left + 23, top + 10, told)
            )
            left += 80
            right = max(right, left + 6.2 * len(told) - 50)
    return Markup("").join([*parts, Markup("</g>")]), right


def histogram(bars: Sequence[tuple[str, int]], title: str) -> Markup:
    """Counts as bars on a logarithmic scale, so that one element far out is seen; each bar has its count."""
    width, height, left, top = 34, 110, 8, 18
    tallest = math.log10(1 + max((count for _, count in bars), default=1)) or 1.0
    parts = [Markup('<g font-size="10">')]
    for i, (label, count) in enumerate(bars):
        x, size = left + width * i, height * math.log10(1 + count) / tallest
        bar = '<rect class="bar" x="{}" y="{:.1f}" width="{}" height="{:.1f}"/>'
        parts.append(
            Markup("<g><title>{} elements at {} ULP</title>" + bar + "</g>").format(
                count, label, x + 2, top + height - size, width - 4, max(size, 0.5)
            )
        )
        middle = x + width / 2
        text = Markup('<text class="ink" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>')
        if count:
            parts.append(text.format(middle, top + height - size - 4, _count(count)))
        parts.append(text.format(middle, top + height + 13, label))
    parts.append(Markup("</g>"))
    return _svg(left * 2 + width * len(bars), top + height + 20, title, *parts)


def _count(n: int) -> str:
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if n >= limit:
            return f"{n * 10 // limit / 10:g}{unit}" if limit != 10**4 else f"{n // 1000}k"
    return str(n)


def curves(
    reference: Sequence[Any], candidate: Sequence[Any], title: str, leaves: int | None = None
) -> Markup:
    """Two curves over the steps, the reference a broad band and the candidate a thin line on it.

    The y axis is logarithmic where all values are positive and span more than a decade. `leaves` marks the step
    (from 0) at which the candidate leaves the reference.
    """
    series = [[number(v) for v in values] for values in (reference, candidate)]
    finite = [v for values in series for v in values if math.isfinite(v)]
    width, height, left, top = 760, 240, 70, 14
    if not finite:
        return Markup("<p>No finite value to draw.</p>")
    logarithmic = min(finite) > 0 and max(finite) > 10 * min(finite)
    scale = (lambda v: math.log10(v)) if logarithmic else (lambda v: v)
    low, high = scale(min(finite)), scale(max(finite))
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    steps = max(len(values) for values in series)

    def place(i: int, v: float) -> tuple[float, float]:
        x = left + width * (i / (steps - 1) if steps > 1 else 0.5)
        return x, top + height * (1 - (scale(v) - low) / (high - low))

    parts = [Markup('<g font-size="11">'), *_axes(low, high, steps, logarithmic, (left, top, width, height))]
    if leaves is not None and 0 <= leaves < steps:
        x = place(leaves, finite[0])[0]
        parts.append(
            Markup(
                '<line class="leave" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/><text class="leave-text" x="{:.1f}" y="{}">'
                "leaves at step {}</text>"
            ).format(top, top + height, x + 4, top + 11, leaves + 1, x=x)
        )
    for kind, values in zip(("reference", "candidate"), series):
        chosen = _sampled(len(values))
        lines, gap = [], True
        for i in chosen:
            if not math.isfinite(values[i]):
                gap = True
                continue
            x, y = place(i, values[i])
            lines.append(f"{'M' if gap else 'L'}{x:.1f} {y:.1f}")
            gap = False
            if len(values) <= 60:
                parts.append(
                    Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{} step {}: {}</title></circle>').format(
                        kind, x, y, 4 if kind == "reference" else 2, kind, i + 1, f"{values[i]:.9g}"
                    )
                )  # fmt: skip
        parts.append(Markup('<path class="line {}" d="{}"/>').format(kind, "".join(lines)))
    parts.append(Markup("</g>"))
    return _svg(left + width + 14, top + height + 30, title, *parts)


def _sampled(count: int) -> list[int]:
    if count <= POINTS:
        return list(range(count))
    return sorted({round(i * (count - 1) / (POINTS - 1)) for i in range(POINTS)})


def _axes(
    low: float, high: float, steps: int, logarithmic: bool, box: tuple[int, int, int, int]
) -> list[Markup]:
    left, top, width, height = box
    parts = []
    for i in range(5):
        y = top + height * (1 - i / 4)
        value = low + (high - low) * i / 4
        told = short(10**value if logarithmic else value)
        parts.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/><text class="ink" x="{}" y="{:.1f}" '
                'text-anchor="end">{}</text>'
            ).format(left, left + width, left - 6, y + 4, told, y=y)
        )
    marks = sorted(
        {round(i * (steps - 1) / min(steps - 1, 8)) for i in range(min(steps - 1, 8) + 1)}
        if steps > 1
        else {0}
    )
    for i in marks:
        x = left + width * (i / (steps - 1) if steps > 1 else 0.5)
        parts.append(
            Markup('<text class="ink" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                x, top + height + 16, i + 1
            )
        )
    return parts


def _svg(width: float, height: float, title: str, *parts: Markup) -> Markup:
    head = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{t}" width="{w:.0f}" height="{h:.0f}" '
        'viewBox="0 0 {w:.0f} {h:.0f}">'
    ).format(t=escape(title), w=width, h=height)
    return head + Markup("").join(parts) + Markup("</svg>")
