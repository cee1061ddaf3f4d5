"""Conversion of many files: one result a file, in parallel where asked."""

from __future__ import annotations

import ast
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfport.source.convert import ConversionError, convert_source
from tfport.source.files import InputError, Job, read
from tfport.source.findings import Conversion, Finding


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of one file: a conversion, or an error that says why there is none."""

    job: Job
    original: str = ""
    conversion: Conversion | None = None
    error: Finding | None = None

    @property
    def status(self) -> str:
        """ "error", "marked", "converted" or "unchanged"."""
        if self.conversion is None:
            return "error"
        if self.conversion.marks:
            return "marked"
        return "converted" if self.conversion.changed else "unchanged"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        findings = self.conversion.findings if self.conversion else ()
        tiers = self.conversion.tiers if self.conversion else None
        return {
            "path": str(self.job.source),
            "target": str(self.job.target),
            "status": self.status,
            "tiers": tiers.counts() if tiers else {},
            "findings": [f.as_dict() for f in ([self.error] if self.error else findings)],
        }


def convert_job(job: Job, layout: str, rules: Sequence[str]) -> Result:
    """Convert one file; what cannot be converted becomes an error and leaves nothing behind."""
    try:
        text = read(job.source)
    except InputError as error:
        return Result(job, error=Finding("TFP303", "error", 1, 1, "", str(error)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return Result(job, text, convert_source(text, layout=layout, path=job.source, rules=rules))
    except SyntaxError as error:
        return Result(job, text, error=_syntax_error(job.source, text, error))
    except (ValueError, RecursionError, ConversionError) as error:
        return Result(job, text, error=Finding("TFP302", "error", 1, 1, "", f"{job.source}: {error}"))


def _syntax_error(path: Path, text: str, error: SyntaxError) -> Finding:
    line = error.lineno or 1
    if _looks_like_python_2(error, text):
        message = f"{path}:{line}: Python 2 source ({error.msg})"
        return Finding(
            "TFP302",
            "error",
            line,
            error.offset or 1,
            "",
            message,
            "run 2to3 or python-modernize on it first",
        )
    return Finding(
        "TFP302",
        "error",
        line,
        error.offset or 1,
        "",
        f"{path}:{line}: syntax error: {error.msg}",
        "mend it first",
    )


def _looks_like_python_2(error: SyntaxError, text: str) -> bool:
    lines = text.splitlines()
    line = lines[error.lineno - 1].strip() if error.lineno and error.lineno <= len(lines) else ""
    signs = ("print ", "print>>", "exec ", "raise ", "except ")
    return (
        "Missing parentheses" in (error.msg or "")
        or (line.startswith(signs) and _fails(line))
        or "0777" in line
    )


def _fails(line: str) -> bool:
    try:
        ast.parse(line)
    except SyntaxError:
        return True
    return False


def convert_all(jobs: Sequence[Job], layout: str, rules: Sequence[str], workers: int) -> Iterator[Result]:
    """Results in the order of the jobs."""
    if workers == 1 or len(jobs) < 4:
        for job in jobs:
            yield convert_job(job, layout, rules)
        return
    from joblib import Parallel, delayed

    run = Parallel(n_jobs=workers, return_as="generator")
    yield from run(delayed(convert_job)(job, layout, tuple(rules)) for job in jobs)
