"""The commands `tfport convert` and `tfport scan`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from tfport.source import files
from tfport.source.batch import Result, convert_all
from tfport.source.files import InputError, Job

EXIT_CONVERTED, EXIT_MARKED, EXIT_USAGE = 0, 1, 2


def _common(command):  # type: ignore[no-untyped-def]
    options = [
        click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="PATH..."),
        click.option("--layout", type=click.Choice(["nchw", "nhwc"]), default="nchw", show_default=True,
                     help="Layout of images inside converted models."),
        click.option("--rules", "rules", multiple=True, metavar="DIR", type=click.Path(exists=True, file_okay=False),
                     help="A folder with rules of your own."),
        click.option("--jobs", default=1, show_default=True, metavar="N", help="Processes; -1 for all cores."),
        click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True,
                     help="Form of the report."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_common
@click.option(
    "-o", "--out", metavar="OUT", type=click.Path(), help="Output file or folder [default: NAME_torch]."
)
@click.option("--diff", is_flag=True, help="Print what would change and write nothing.")
@click.option("--in-place", is_flag=True, help="Overwrite the input.")
@click.option(
    "--check", is_flag=True, help="Write nothing; exit status 1 if anything would change or is marked."
)
def convert(paths: Sequence[str], layout: str, rules: Sequence[str], jobs: int, form: str, out: str | None,
            diff: bool, in_place: bool, check: bool) -> None:  # fmt: skip
    """Rewrite TensorFlow source as PyTorch.

    model.py becomes model_torch.py, a folder src/ becomes src_torch/. Exit status: 0 everything converted, 1 something
    is marked, 2 wrong usage or unreadable input.
    """
    if diff + in_place + check > 1 or (out and (in_place or diff or check)):
        _refuse("choose one of -o, --diff, --in-place, --check")
    try:
        work = files.jobs(list(paths), out, in_place)
        results = [
            _written(r, diff or check) for r in _progress(convert_all(work, layout, rules, jobs), work, form)
        ]
    except InputError as error:
        _refuse(str(error))
    _report(results, form, diff, check)
    sys.exit(_status(results, check))


@click.command()
@_common
def scan(paths: Sequence[str], layout: str, rules: Sequence[str], jobs: int, form: str) -> None:
    """Tell what would convert, per name and file, without writing."""
    from tfport.source import report

    try:
        work = files.jobs(list(paths), None, in_place=True)
    except InputError as error:
        _refuse(str(error))
    results = list(_progress(convert_all(work, layout, rules, jobs), work, form))
    click.echo(report.scan_json(results) if form == "json" else report.scan_text(results))
    sys.exit(_status(results, check=False))


def _refuse(message: str) -> None:
    click.echo(f"tfport: {message}", err=True)
    sys.exit(EXIT_USAGE)


def _written(result: Result, dry: bool) -> Result:
    """Write one conversion and its record, unless only asked what would be."""
    if result.conversion is None or dry:
        return result
    in_place = result.job.source == result.job.target
    if not result.conversion.changed and (in_place or _single(result.job)):
        return result
    files.write(result.job.target, result.conversion.code)
    if result.conversion.changed and not in_place:
        record = json.dumps(result.conversion.record, indent=1) + "\n"
        files.write(record_path(result.job.target), record)
    return result


def _single(job: Job) -> bool:
    """A file that does not use TensorFlow is copied into an output folder, but not made a twin beside itself."""
    return job.target.parent.resolve() == job.source.parent.resolve()


def record_path(target: Path) -> Path:
    """Where the record of a converted file lies: ``model_torch.py`` -> ``model_torch.tfport.json``."""
    return target.with_suffix(".tfport.json")


def _progress(results: Iterable[Result], work: Sequence[Job], form: str) -> Iterator[Result]:
    """A bar on a terminal when there is more to do than a moment's work."""
    if form != "text" or len(work) < 20 or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(results, "converting", total=len(work), console=Console(stderr=True))


def _report(results: Sequence[Result], form: str, diff: bool, check: bool) -> None:
    from tfport.source import report

    if diff:
        click.echo(report.diff(results), nl=False)
    elif form == "json":
        click.echo(report.as_json(results))
    else:
        report.print_text(results, check)


def _status(results: Sequence[Result], check: bool) -> int:
    if any(r.status == "error" for r in results):
        return EXIT_USAGE
    if any(r.status == "marked" for r in results):
        return EXIT_MARKED
    return EXIT_MARKED if check and any(r.status == "converted" for r in results) else EXIT_CONVERTED
