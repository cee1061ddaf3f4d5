"""The commands `tfport capture` and `tfport verify`."""

from __future__ import annotations

import sys
from typing import Any

import click

DTYPES = ("float32", "float64")


def _listed(text: str, option: str, allowed: tuple[str, ...] = ()) -> tuple[str, ...]:
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    wrong = [part for part in parts if allowed and part not in allowed]
    if wrong or not parts:
        raise click.UsageError(f"{option} {text}: expected a list of {', '.join(allowed) or 'names'}")
    return parts


def _shared(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--input", "inputs", multiple=True, metavar="SPEC",
                help="2x28x28x1:float32, ids=4x10:int32<100, x.npy, batch.npz; once for each input.",
            ),
            click.option("--weights", metavar="FILE", help="Load these weights, not random ones."),
            click.option("--call-args", default="", metavar="ARGS",
                         help='Arguments of the builder: "10, weights=None".'),
            click.option("--dtype", default="float32", show_default=True, help="float32,float64"),
            click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31)),
            click.option("--layers", type=click.Choice(("auto", "all", "none")), default="auto",
                         show_default=True, help="Keep layer outputs: up to 64 MiB, all, or none."),
            click.option("--python", metavar="PY", help="Python that has TensorFlow; this one unless named."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def _fail(error: Exception) -> None:
    click.echo(f"tfport: {error}", err=True)
    sys.exit(2)


@click.command("capture")
@click.argument("reference", metavar="FILE.py:NAME")
@click.option("-o", "--output", required=True, metavar="GOLDEN", help="Folder to write.")
@click.option("--update", is_flag=True, help="Replace the folder when it exists.")
@_shared
def capture_command(reference: str, output: str, update: bool, dtype: str, **options: Any) -> None:
    """Record what a TensorFlow model or function computes, for `tfport verify GOLDEN`.

    NAME is a Keras model, a class or function that builds one, or a plain function of arrays.
    """
    from tfport.parity.capture import CaptureError
    from tfport.parity.verification import Plan, run_capture

    plan = Plan(reference, dtypes=_listed(dtype, "--dtype", DTYPES), **options)
    try:
        made = run_capture(plan, output, update=update)
    except CaptureError as error:
        return _fail(error)
    size = sum(path.stat().st_size for path in made.folder.iterdir())
    for run in made.runs:
        layers = f", {len(run['layers'])} layers" if run.get("layers") else ""
        left = f" ({run['layers_left_out']} left out)" if run.get("layers_left_out") else ""
        click.echo(
            f"{run['dtype']}: {len(run['inputs'])} inputs, {len(run['outputs'])} outputs{layers}{left}"
        )
    click.echo(f"wrote {output} ({size / 2**20:.1f} MiB)")


@click.command("verify")
@click.argument("reference", metavar="REFERENCE")
@click.argument("candidate", required=False, metavar="[MODEL_torch.py:NAME]")
@click.option("--device", default="cpu", show_default=True, help="cpu,cuda")
@click.option("--rtol", type=float, help="Allowed error relative to the largest output.")
@click.option("--atol", type=float, help="Allowed absolute error, added to it; none unless given.")
@click.option("--script", is_flag=True, help="Run both files as scripts and compare what they print.")
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True)
@_shared
def verify_command(
    reference: str, candidate: str | None, device: str, script: bool, form: str, dtype: str, **options: Any
) -> None:
    """Run a TensorFlow program and its port on the same inputs and weights, and compare all they return.

    REFERENCE is FILE.py:NAME (a Keras model, a class or function that builds one, or a plain function), or a
    folder made by `tfport capture`. The port is model_torch.py:NAME unless named. Exit status: 0 everything
    was compared and agreed, 1 something disagreed, 2 wrong usage or unreadable input.
    """
    from tfport.parity.capture import CaptureError
    from tfport.parity.verification import Plan, verify, verify_scripts

    for name in ("rtol", "atol"):
        if options[name] is not None and not options[name] >= 0:
            raise click.UsageError(f"--{name} {options[name]}: a tolerance is a number of at least 0")
    dtypes, devices = _listed(dtype, "--dtype", DTYPES), _listed(device, "--device")
    plan = Plan(reference, candidate, dtypes=dtypes, devices=devices, **options)
    try:
        done = verify_scripts(reference, candidate, plan) if script else verify(plan)
    except CaptureError as error:
        return _fail(error)
    if form == "json":
        from tfport.parity.report import as_json

        click.echo(as_json(done))
    else:
        from rich.console import Console

        from tfport.parity.report import print_table

        print_table(done, Console(width=None if sys.stdout.isatty() else 160, highlight=False))
    sys.exit(done.exit_status)
