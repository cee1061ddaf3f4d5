"""Reports of a conversion: a summary that a person reads, JSON, a diff."""

from __future__ import annotations

import difflib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tfport.source.batch import Result

SHOWN = 20


def totals(results: Sequence[Result]) -> dict[str, int]:
    """Calls by tier over all files."""
    counts: Counter[str] = Counter({"inlined": 0, "compat": 0, "unported": 0})
    for result in results:
        if result.conversion:
            counts.update(result.conversion.tiers.counts())
    return dict(counts)


def as_json(results: Sequence[Result]) -> str:
    """The whole report as JSON: files with their findings, totals."""
    report = {"version": 1, "files": [r.as_dict() for r in results], "tiers": totals(results)}
    return json.dumps(report, indent=1)


def diff(results: Sequence[Result]) -> str:
    """A unified diff of every file that would change."""
    pieces: list[str] = []
    for result in results:
        if result.error:
            print(f"tfport: {_error(result)}", file=sys.stderr)
        if result.conversion and result.conversion.changed:
            before, after = result.original.splitlines(True), result.conversion.code.splitlines(True)
            pieces += difflib.unified_diff(before, after, str(result.job.source), str(result.job.target))
    return "".join(pieces)


def _error(result: Result) -> str:
    assert result.error is not None
    return f"{result.error.message}{'; ' + result.error.advice if result.error.advice else ''}"


def print_text(results: Sequence[Result], check: bool) -> None:
    """What was written, what is marked and where, what to do next."""
    errors = [r for r in results if r.status == "error"]
    for result in errors:
        print(f"tfport: {_error(result)}", file=sys.stderr)
    done = [r for r in results if r.status in ("converted", "marked")]
    unchanged = [r for r in results if r.status == "unchanged"]
    if not done:
        for result in unchanged[:SHOWN]:
            print(f"{result.job.source}: no TensorFlow in it, left as it is")
        return
    _table(done, results, check)
    if len(unchanged) and len(results) > 1:
        print(
            f"{len(unchanged)} without TensorFlow, left as {'it is' if len(unchanged) == 1 else 'they are'}"
        )


def _table(done: Sequence[Result], results: Sequence[Result], check: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    verb = "would become" if check else "->"
    for result in done[:SHOWN]:
        console.print(escape(f"{result.job.source} {verb} {result.job.target}"))
    if len(done) > SHOWN:
        console.print(f"... and {len(done) - SHOWN} more files")
    counts = totals(results)
    table = Table("tier", "calls", "what it is")
    table.add_row("inlined", str(counts["inlined"]), "plain torch")
    table.add_row("compat", str(counts["compat"]), "exact at run time, through tfport.compat")
    table.add_row("unported", str(counts["unported"]), "the original under a mark")
    console.print(table)
    _notes(done, console)
    _marks(done, console)
    _next(done, counts, console)


def _marks(done: Sequence[Result], console: Any) -> None:
    marks = [(r, m) for r in done if r.conversion for m in r.conversion.marks]
    for result, mark in marks[:SHOWN]:
        text = f"{result.job.source}:{mark.line}:{mark.column} {mark.code} {mark.api}: {mark.message}; {mark.advice}"
        console.print(text, markup=False)
    if len(marks) > SHOWN:
        console.print(f"... and {len(marks) - SHOWN} more marks; --format json lists them all")


def _notes(done: Sequence[Result], console: Any) -> None:
    notes = [
        (r, f)
        for r in done
        if r.conversion
        for f in r.conversion.findings
        if f.level == "note" and f.code in ("TFP201", "TFP204")
    ]
    for result, note in notes[:SHOWN]:
        console.print(f"{result.job.source}:{note.line} {note.code} {note.api}: {note.message}", markup=False)


def _next(done: Sequence[Result], counts: dict[str, int], console: Any) -> None:
    if counts["unported"]:
        console.print("Next: `grep -n 'tfport: TODO'` in the output; each mark says what to do.")
        return
    first = done[0].job
    models = done[0].conversion.record.get("models", {}) if done[0].conversion else {}
    name = next((m.get("builder") or n for n, m in models.items()), "NAME")
    console.print(f"Next: tfport verify {first.source}:{name} {first.target}:{name}", markup=False)


def _by_api(results: Sequence[Result]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for result in results:
        if result.conversion is None:
            continue
        tiers = result.conversion.tiers
        for tier, counter in (
            ("inlined", tiers.inlined),
            ("compat", tiers.compat),
            ("unported", tiers.unported),
        ):
            for api, uses in counter.items():
                row = table.setdefault(api, {"inlined": 0, "compat": 0, "unported": 0})
                row[tier] += uses
    return table


def scan_json(results: Sequence[Result]) -> str:
    """Uses by name and tier, over all files and for each with its status."""
    files = [{**r.as_dict(), "apis": _by_api([r])} for r in results]
    return json.dumps({"version": 1, "apis": _by_api(results), "files": files}, indent=1)


def scan_text(results: Sequence[Result]) -> str:
    """A line a name, those without a rule first, then a line a file with what is not ported there."""
    rows = sorted(
        _by_api(results).items(), key=lambda item: (-item[1]["unported"], -sum(item[1].values()), item[0])
    )
    lines = [f"{'name':<60} inlined  compat  unported"]
    lines += [f"{api:<60} {c['inlined']:>7} {c['compat']:>7} {c['unported']:>9}" for api, c in rows]
    lines += [f"{r.job.source}: {_error(r) if r.error else _scanned(r)}" for r in results]
    return "\n".join(lines)


def _scanned(result: Result) -> str:
    """The status of a file, how many uses fall into which tier, and the names without a port."""
    if result.conversion is None or not result.conversion.changed:
        return result.status
    tiers = result.conversion.tiers
    counts = ", ".join(f"{n} {tier}" for tier, n in tiers.counts().items() if n)
    missing = f" ({', '.join(sorted(tiers.unported))})" if tiers.unported else ""
    return f"{result.status}: {counts or 'imports only'}{missing}"
