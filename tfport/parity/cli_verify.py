"""The commands `tfport capture` and `tfport verify`."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from tfport.parity.verification import Verification

DTYPES = ("float32", "float64")
CAPTURED = {
    "inputs": "--input", "weights": "--weights", "seed": "--seed", "loss": "--loss", "optimizer": "--optimizer",
    "train_step": "--train-step", "targets": "--target", "batches": "--batches", "signature": "--signature",
    "calibrate": "--no-calibrate",
}  # fmt: skip
"""Options that a golden folder has settled when it was captured."""
UNSCRIPTED = CAPTURED | {
    "dtype": "--dtype", "device": "--device", "layers": "--layers", "tensors": "--tensor", "steps": "--steps",
    "gradients": "--gradients", "call_args": "--call-args", "map": "--map", "write_map": "--write-map",
}  # fmt: skip
"""Options that say nothing about two scripts."""
STEPPED = {
    "loss": "--loss", "optimizer": "--optimizer", "train_step": "--train-step", "targets": "--target",
    "batches": "--batches",
}  # fmt: skip


def _listed(text: str, option: str, allowed: str) -> tuple[str, ...]:
    """`float32,float64` -> both, once each; a name is one of `allowed` (a list; `:N` stands for a number)."""
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    forms = [re.escape(form).replace(":N", r":\d+") for form in allowed.split(", ")]
    wrong = [part for part in parts if not any(re.fullmatch(form, part) for form in forms)]
    if wrong or not parts:
        raise click.UsageError(f"{option} {text}: expected a list of {allowed}")
    return parts


def _shared(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--input", "--inputs", "inputs", multiple=True, metavar="SPEC",
                help="2x28x28x1:float32, ids=4x10:int32<100, x.npy, batch.npz, @FILE.py:NAME (a function that returns "
                "arrays or a dict of them); once for each input.",
            ),
            click.option("--weights", metavar="FILE", help="Load these weights, not random ones."),
            click.option("--call-args", default="", metavar="ARGS",
                         help='Arguments of the builder: "10, weights=None".'),
            click.option("--signature", metavar="NAME", help="Signature of a SavedModel."),
            click.option("--tensor", "tensors", multiple=True, metavar="NAME",
                         help="A tensor of a graph, or all of a scope; repeatable."),
            click.option("--dtype", default="float32", show_default=True, help="float32,float64"),
            click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31)),
            click.option("--gradients", is_flag=True, help="Gradients of weights and inputs too."),
            click.option("--steps", default=0, metavar="K", type=click.IntRange(0), help="K steps of training too."),
            click.option("--loss", metavar="SPEC", help="Loss of --steps: any of Keras', such as mse or "
                         '"BinaryCrossentropy(from_logits=True)", sum, or a function or class of both files.'),
            click.option("--optimizer", metavar="SPEC",
                         help='Optimizer of --steps: any of Keras\', such as "Adam(learning_rate=0.01)", of tf.train, or a '
                         "function of both files."),
            click.option("--target", "targets", multiple=True, metavar="SPEC",
                         help="Targets of --steps, written as --input; random ones unless given."),
            click.option("--batches", metavar="FILE.py:NAME",
                         help="Function that gives the batches of --steps: inputs, then targets."),
            click.option("--train-step", metavar="NAME", help="Function of both files that makes one step."),
            click.option("--no-calibrate", "calibrate", is_flag=True, flag_value=False, default=True,
                         help="No run of the reference in float64, which tells what rounding alone does."),
            click.option("--python", metavar="PY", help="Python that has TensorFlow; this one unless named."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


def _check(options: dict[str, Any]) -> None:
    """Raises UsageError where options do not go together."""
    for name, option in STEPPED.items():
        if options[name] and not options["steps"]:
            raise click.UsageError(f"{option} is for training: say how many steps with --steps K")
    if options["train_step"] and options["loss"]:
        raise click.UsageError("--train-step computes its own loss: leave out --loss")


def _refuse(options: Mapping[str, str], why: str) -> None:
    """Raises UsageError for the first of these options that is on the command line."""
    context = click.get_current_context()
    for name, option in options.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option} has no place here: {why}")


def _write_html(done: Verification, path: str) -> None:
    from tfport.parity.html import write_html

    try:
        write_html(done, path)
    except OSError as error:
        _fail(OSError(f"--html {path}: {error.strerror}"))


def _write_script(path: str, update: bool) -> None:
    from tfport.parity import bundle

    named = {p.name: p.opts[-1] for p in click.get_current_context().command.params if p.name is not None}
    named["reference"] = "REFERENCE"
    _refuse({name: option for name, option in named.items() if name not in ("script", "update")},
            "--script writes the capture as a file, which is given its options where it runs")  # fmt: skip
    if os.path.exists(path) and not update:
        return _fail(FileExistsError(f"{path} exists: pass --update to replace it"))
    try:
        Path(path).write_text(bundle.script(), "utf-8")
    except OSError as error:
        return _fail(OSError(f"--script {path}: {error.strerror}"))
    click.echo(f"wrote {path}: python {path} REFERENCE -o GOLDEN")


def _interrupted(told: str) -> None:
    """Ends as programs do that Ctrl-C ended: 1 would say that something disagreed."""
    click.echo(f"tfport: interrupted: {told}", err=True)
    sys.exit(130)


def _fail(error: Exception) -> None:
    click.echo(f"tfport: {error}", err=True)
    sys.exit(2)


@click.command("capture")
@click.argument("reference", metavar="REFERENCE", required=False)
@click.option("-o", "--output", metavar="GOLDEN", help="Folder to write.")
@click.option("--update", is_flag=True, help="Replace the folder, or the file of --script, when it exists.")
@click.option(
    "--script",
    metavar="FILE.py",
    help="Capture nothing, but write the capture itself, a program in one file "
    "that needs NumPy and TensorFlow alone: python FILE.py REFERENCE -o GOLDEN.",
)
@click.option("--layers", type=click.Choice(("auto", "all", "none")), default="auto", show_default=True,
              help="Keep the outputs of layers: up to 64 MiB, all, or none.")  # fmt: skip
@_shared
def capture_command(
    reference: str | None, output: str | None, update: bool, script: str | None, dtype: str, **options: Any
) -> None:
    """Record what a TensorFlow model or function computes, for `tfport verify GOLDEN`.

    REFERENCE is FILE.py:NAME (a Keras model, a class or function that builds one, or a plain function of
    arrays), a SavedModel folder, or a frozen graph.pb.
    """
    from tfport.parity.reference.errors import CaptureError
    from tfport.parity.verification import Plan, run_capture

    if script is not None:
        return _write_script(script, update)
    for kind, told, given in (("argument", "REFERENCE", reference), ("option", "-o / --output", output)):
        if given is None:
            raise click.MissingParameter(param_hint=f"'{told}'", param_type=kind)
    assert reference is not None and output is not None
    _check(options)
    plan = Plan(reference, dtypes=_listed(dtype, "--dtype", ", ".join(DTYPES)), **options)
    try:
        made = run_capture(plan, output, update=update)
    except (CaptureError, OSError) as error:  # the latter of a temporary folder that is full or not there
        return _fail(error)
    except KeyboardInterrupt:
        return _interrupted(f"{output} was not written")
    size = sum(path.stat().st_size for path in made.folder.iterdir())
    for run in made.runs:
        layers = f", {len(run['layers'])} layers" if run.get("layers") else ""
        left = f" ({run['layers_left_out']} left out)" if run.get("layers_left_out") else ""
        more = ", gradients" if run.get("gradients") else ""
        if run.get("training"):
            more += f", {run['training']['steps']} steps of training"
        click.echo(
            f"{run['dtype']}: {len(run['inputs'])} inputs, {len(run['outputs'])} outputs{layers}{left}{more}"
        )
    click.echo(f"wrote {output} ({size / 2**20:.1f} MiB)")


@click.command("verify")
@click.argument("reference", metavar="REFERENCE")
@click.argument("candidate", required=False, metavar="[MODEL_torch.py:NAME]")
@click.option("--device", default="cpu", show_default=True, help="cpu,cuda")
@click.option(
    "--rtol", type=float, help="Allowed error relative to the largest output, not the calibrated one."
)
@click.option("--atol", type=float, help="Allowed absolute error, added to it; none unless given.")
@click.option(
    "--layers",
    type=click.Choice(("auto", "all", "none")),
    default="auto",
    show_default=True,
    help="Compare the layers: for information (auto), as a condition that each of them meets (all), not (none).",
)
@click.option("--map", "map", metavar="FILE.toml",
              help="Which tensor of the weights becomes which parameter of a port without a conversion's record, as "
              "`tfport weights --write-map` writes it.")  # fmt: skip
@click.option(
    "--write-map",
    metavar="FILE.toml",
    help="Compare nothing, but write which weight goes where and what is open, to settle it by hand.",
)
@click.option("--script", is_flag=True, help="Run both files as scripts and compare what they print.")
@click.option("--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True)
@click.option("--html", metavar="FILE", help="Write the result as one HTML page too.")
@_shared
def verify_command(
    reference: str,
    candidate: str | None,
    device: str,
    script: bool,
    form: str,
    html: str | None,
    dtype: str,
    **options: Any,
) -> None:  # fmt: skip
    """Run a TensorFlow program and its port on the same inputs and weights, and compare all they return.

    REFERENCE is FILE.py:NAME (a Keras model, a class or function that builds one, or a plain function), a folder
    made by `tfport capture`, a SavedModel folder, or a frozen graph.pb. The port is model_torch.py:NAME unless
    named. The tolerance comes from how far the reference itself wanders between float32 and float64. Exit status:
    0 everything named was compared and agreed, 1 something did not, 2 wrong usage or unreadable input.
    """
    from tfport.parity.reference.errors import CaptureError
    from tfport.parity.verification import Plan, kind_of, verify, verify_scripts

    for name in ("rtol", "atol"):
        if options[name] is not None and not 0 <= options[name] < float("inf"):
            raise click.UsageError(f"--{name} {options[name]}: a tolerance is a finite number of at least 0")
    _check(options)
    if script:
        _refuse(UNSCRIPTED, "--script runs both files as they are and compares what they print")
    elif kind_of(reference) == "golden":
        _refuse(CAPTURED, f"{reference} is a captured run, whose inputs and weights are settled")
    if html and (os.path.isdir(html) or not os.path.isdir(os.path.dirname(os.path.abspath(html)))):
        code = errno.EISDIR if os.path.isdir(html) else errno.ENOENT  # known before the run, not after it
        return _fail(OSError(f"--html {html}: {os.strerror(code)}"))
    devices = _listed(device, "--device", "cpu, cuda, cuda:N")
    plan = Plan(
        reference, candidate, dtypes=_listed(dtype, "--dtype", ", ".join(DTYPES)), devices=devices, **options
    )
    try:
        done = verify_scripts(reference, candidate, plan) if script else verify(plan)
    except (CaptureError, OSError) as error:  # the latter of a temporary folder that is full or not there
        return _fail(error)
    except KeyboardInterrupt:
        return _interrupted("not everything was compared")
    if form == "json":
        from tfport.parity.report import as_json

        click.echo(as_json(done))
    else:
        from rich.console import Console

        from tfport.parity.report import print_table

        if isinstance(sys.stdout, io.TextIOWrapper):  # names that the terminal's encoding lacks
            sys.stdout.reconfigure(errors="backslashreplace")
        print_table(done, Console(width=None if sys.stdout.isatty() else 160, highlight=False))
    if html:
        _write_html(done, html)
    sys.exit(done.exit_status)
