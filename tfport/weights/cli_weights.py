"""The click command ``tfport weights``; its logic is in command.py, imported when it runs."""

from __future__ import annotations

import sys

import click

__all__ = ["weights"]


@click.command("weights")
@click.argument("checkpoint", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Write the tensors: FILE.safetensors, FILE.pt.")
@click.option(
    "--module",
    metavar="FILE.py:NAME",
    help="The torch module to fill: a class, a builder or an instance. Imports FILE.",
)
@click.option(
    "--record", type=click.Path(), help="The conversion's record, where it does not lie beside FILE."
)
@click.option(
    "--list", "listing", is_flag=True, help="List name, shape, dtype, bytes and layer of every tensor."
)
@click.option("--no-strict", is_flag=True, help="Let tensors be missing or left over, and say which.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def weights(
    checkpoint: str,
    output: str | None,
    module: str | None,
    record: str | None,
    listing: bool,
    no_strict: bool,
    format_: str,
) -> None:
    """Read a TensorFlow or Keras CHECKPOINT without TensorFlow.

    Formats: .weights.h5, .keras, .h5, V2 checkpoints (by prefix, index or folder), SavedModel folders.
    Without --module the tensors keep TensorFlow's names and layouts; with it they become the module's
    state_dict.
    """
    from tfport.weights.command import run
    from tfport.weights.errors import WeightsError

    try:
        outcome = run(
            checkpoint, output=output, module=module, listing=listing, record=record, strict=not no_strict
        )
    except WeightsError as error:
        click.echo(f"tfport weights: {error}", err=True)
        sys.exit(2)
    click.echo(outcome.show(format_))
