"""The click command ``tfport weights``; its logic is in command.py, imported when it runs."""

from __future__ import annotations

import sys
from typing import Any

import click

__all__ = ["weights"]


@click.command("weights")
@click.argument("checkpoint", type=click.Path(), nargs=-1, required=True, metavar="CHECKPOINT")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="Write the tensors: FILE.safetensors, FILE.pt, FOLDER.dcp (torch.distributed.checkpoint).",
)
@click.option(
    "--module",
    metavar="FILE.py:NAME",
    help="The torch module to fill: a class, a builder or an instance. Imports FILE.",
)
@click.option(
    "--input",
    multiple=True,
    metavar="SHAPE",
    help="Call the module once on zeros of this shape (1x224x224x3, 4x10:int64) before it is filled, for layers that have "
    "no weights until then; once for each input.",
)
@click.option(
    "--record", type=click.Path(), help="The conversion's record, where it does not lie beside FILE."
)
@click.option(
    "--list", "listing", is_flag=True, help="List name, shape, dtype, bytes and layer of every tensor."
)
@click.option(
    "--diff",
    "differ",
    is_flag=True,
    help="Compare two checkpoints, TensorFlow's or torch's, tensor by tensor.",
)
@click.option(
    "--select",
    multiple=True,
    metavar="PATTERN",
    help="Only tensors whose name matches, such as 'encoder/*'; repeatable.",
)
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Not the tensors whose name matches; repeatable."
)
@click.option(
    "--dtype",
    type=click.Choice(["float16", "bfloat16", "float32", "float64"]),
    help="Write floating tensors in this dtype.",
)
@click.option("--shard-size", metavar="SIZE", help="Write shards of at most SIZE (2GB) and an index.")
@click.option("--jobs", type=click.IntRange(1, 256), default=2, show_default=True, help="Threads that write.")
@click.option(
    "--write-map",
    type=click.Path(),
    metavar="FILE.toml",
    help="Write which tensor goes where, and what is still open, to settle it by hand.",
)
@click.option("--map", type=click.Path(), metavar="FILE.toml", help="Place the tensors as this file says.")
@click.option("--ema", is_flag=True, help="Take the exponential moving averages of the weights.")
@click.option("--optimizer", is_flag=True, help="Carry the optimizer's state too, into a .pt file.")
@click.option("--no-strict", is_flag=True, help="Let tensors be missing or left over, and say which.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def weights(checkpoint: tuple[str, ...], differ: bool, format_: str, no_strict: bool, **options: Any) -> None:
    """Read a TensorFlow or Keras CHECKPOINT without TensorFlow.

    Formats, told by content: .weights.h5, .keras, .h5, V2 checkpoints (by prefix, index or folder), V1
    checkpoints, SavedModel and TF Hub folders, frozen graphs. Without --module the tensors keep TensorFlow's
    names and layouts; with it they become the module's state_dict. Exit status: 0, 1 where --diff finds a
    difference, 2 for wrong usage or what cannot be read.
    """
    from tfport.weights.command import compared, run
    from tfport.weights.errors import WeightsError

    if len(checkpoint) != (2 if differ else 1):
        raise click.UsageError("--diff compares two checkpoints" if differ else "one CHECKPOINT at a time")
    given = [name for name, value in options.items() if value and name != "jobs"]
    if differ and (given or no_strict):
        raise click.UsageError("--diff compares two whole checkpoints and takes no option but --format")
    try:
        outcome = compared(*checkpoint) if differ else run(checkpoint[0], strict=not no_strict, **options)
    except WeightsError as error:
        click.echo(f"tfport weights: {error}", err=True)
        sys.exit(2)
    click.echo(outcome.show(format_))
    sys.exit(outcome.status)
