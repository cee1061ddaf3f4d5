"""The HTML report: one file that opens offline, made of what `--format json` tells and of nothing else.

No script and no link: the drawings are inline SVG (see `html_charts`), the style is in the page. A page of a model with 300
layers takes about 200 KB; plotly's script alone, inlined, would take 4.6 MB in every page, and a CI keeps many.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfport.parity import html_charts as charts

if TYPE_CHECKING:
    from tfport.parity.verification import Verification

ROWS = 400
"""Rows of a table before the rest that agree is summed up; what disagrees is always shown."""
NEAREST = 25
"""How many gradients that agree are shown, those nearest to what they are allowed."""
HISTOGRAMS = 6
"""How many of the worst tensors of a run are drawn."""


def write_html(done: Verification | Sequence[Verification], path: str | Path) -> None:
    """Writes one page for one verification or several. Raises OSError when `path` cannot be written."""
    from tfport.parity.report import as_json

    several = [done] if not isinstance(done, Sequence) else done
    save(render([json.loads(as_json(one)) for one in several]), path)


def save(page: str, path: str | Path) -> None:
    """Writes a page; raises OSError when it cannot be written, and then leaves no half of it."""
    path = Path(path)
    try:
        path.write_text(page, "utf-8", "backslashreplace")
    except OSError:
        if path.is_file():
            path.unlink(missing_ok=True)
        raise


def render(results: Sequence[Mapping[str, Any]]) -> str:
    """The page, from dicts as `report.as_json` writes them; a key `test` names the test that compared."""
    page = _template().render(results=[_view(result) for result in results])
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    source = resources.files("tfport.parity").joinpath("templates/report.html.j2").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["short"] = charts.short
    environment.filters["allowed"] = _allowed
    environment.filters["ulp"] = _ulp
    return environment.from_string(source)


def _allowed(t: Mapping[str, Any]) -> str:
    """What a tensor is allowed, relative to its largest value where it has one; `exact` for integers and texts."""
    limit, scale = charts.number(t["limit"]), charts.number(t["scale"])
    if not limit:
        return "exact"
    return charts.short(limit / scale) if scale else f"{charts.short(limit)} abs"


def _ulp(t: Mapping[str, Any]) -> str:
    """Units in the last place that half, 99 % and all of the elements do not exceed; a dash where there are none."""
    told = t.get("ulp") or {}
    values = [charts.number(value) for value in told.values()]
    return "/".join(f"{value:.0f}" if value < 1e5 else f"{value:.0e}" for value in values) or "-"


def _view(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of one verification."""
    runs = [_run(run) for run in result.get("runs", [])]
    rows = [(run["title"], run["layers"], (run["first"] or {}).get("layer")) for run in runs if run["layers"]]
    return {
        "title": result.get("test") or f"{result['reference']} against {result['candidate']}",
        "result": result,
        "ok": result["ok"],
        "runs": runs,
        "printed": result.get("printed"),
        "heat": charts.heat_map(rows) if rows else None,
        "versions": result.get("versions") or {},
    }


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    tensors = sorted(run["tensors"], key=_badness, reverse=True)
    shown = [t for i, t in enumerate(tensors) if i < ROWS or not t["ok"]]
    fits, tried = _causes(run.get("causes"))
    reasons: dict[str, list[str]] = {}
    for t in tensors:
        if t["why"] not in ("", "exact"):
            reasons.setdefault(t["why"], []).append(t["name"])
    return {
        "title": f"{run['dtype']} {run['device']}",
        "run": run,
        "layers": list(run.get("layers") or []),
        "counts": Counter(layer["status"] for layer in run.get("layers") or []),
        "allowed": [(why, names[:3], len(names) - 3) for why, names in reasons.items()],
        "tensors": shown,
        "more": len(tensors) - len(shown),
        "worst": [view for view in map(_histogram, tensors[:HISTOGRAMS]) if view],
        "first": run.get("first"),
        "causes": fits,
        "tried": tried,
        "gradients": _gradients(run.get("gradients")),
        "training": _training(run.get("training")),
        "compared": list(run.get("compared") or []),
        "not_compared": list(run.get("not_compared") or []),
    }


def _causes(told: Sequence[Mapping[str, Any]] | None) -> tuple[list[tuple[str, str]], list[str]]:
    """((what it is, what was said) of each cause that made the port agree, what was tried without success)."""
    fits: dict[tuple[str, str], None] = {}
    tried: dict[str, None] = {}
    for cause in told or []:
        if cause["agrees"]:
            what = f"{cause['cause']} of {cause['layer']}" if cause.get("layer") else cause["cause"]
            fits[what, cause["said"]] = None
        else:
            tried[cause["cause"]] = None
    return list(fits), list(tried)


def _badness(t: Mapping[str, Any]) -> tuple[bool, float]:
    error = charts.number(t.get("max_rel"))
    return not t["ok"], error if error == error else -1.0


def _histogram(t: Mapping[str, Any]) -> dict[str, Any] | None:
    """The ULP histogram of a tensor as a drawing; None where nothing of it was off or it has no ULP."""
    counts = t.get("ulp_histogram")
    if not counts or not charts.number(t.get("max_abs")) > 0:
        return None
    labels = ["0", *(_power(i) for i in range(len(counts) - 1))]
    bars = [(label, int(count)) for label, count in zip(labels, counts, strict=True)]
    return {"tensor": t, "drawing": charts.histogram(bars, f"ULP histogram of {t['name']}")}


def _power(i: int) -> str:
    """The lower end of the bar of distances from 2**i up to the next power."""
    return str(2**i) if i < 10 else f"2^{i}"


def _gradients(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The gradients that differ, then those nearest to what they are allowed."""
    if told is None:
        return None
    rows = [*told["parameters"], *told["inputs"]]
    rows.sort(key=_strain, reverse=True)
    shown = [row for i, row in enumerate(rows) if i < NEAREST or row["status"] == "differs"]
    return {"told": told, "rows": shown, "more": len(rows) - len(shown)}


def _strain(row: Mapping[str, Any]) -> tuple[bool, float]:
    """How much of what it is allowed a row uses; what differs comes first."""
    error, allowed = charts.number(row.get("max_abs")), charts.number(row.get("allowed"))
    strain = error / allowed if allowed and allowed == allowed else error
    return row["status"] == "differs", strain if strain == strain else -1.0


def _training(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The loss curves, where they part, and what parted first."""
    if told is None:
        return None
    view: dict[str, Any] = {"told": told, "drawing": None, "said": [], "steps": []}
    view["causes"], view["tried"] = _causes(told.get("causes"))
    losses, left = told.get("losses"), told.get("left")
    if losses:
        at = left["step"] if left else None
        curves = losses["reference"], losses["candidate"]
        view["drawing"] = charts.curves(*curves, "Loss of the reference and of the candidate", at)
    if left:
        apart = f"{charts.number(left['candidate']):.7g} instead of {charts.number(left['reference']):.7g}"
        view["said"].append(f"The loss leaves the reference's at step {left['step'] + 1}: {apart}.")
    if told.get("first_parameter"):
        first = told["first_parameter"]
        off = f"{charts.short(first['max_abs'])} off, {charts.short(first['allowed'])} allowed"
        view["said"].append(
            f"The weight that leaves first is {first['name']}, at step {first['step'] + 1}: {off}."
        )
    if told.get("fault"):
        fault = told["fault"]
        what = f"{fault['in']} of {fault['parameter']}: {fault['reason']}"
        view["said"].append(
            f"Begun from equal state, step {fault['step'] + 1} is the first to differ: {what}."
        )
    view["steps"] = [step for step in told.get("per_step") or [] if step["in"]][:NEAREST]
    return view
