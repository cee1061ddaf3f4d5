"""The command line: commands and their options, no logic. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import importlib
from typing import Any

import click

COMMANDS = {
    "convert": "tfport.source.cli_convert:convert",
    "scan": "tfport.source.cli_convert:scan",
    "explain": "tfport.source.cli_rules:explain",
    "rules": "tfport.source.cli_rules:rules",
    "weights": "tfport.weights.cli_weights:weights",
    "capture": "tfport.parity.cli_verify:capture_command",
    "verify": "tfport.parity.cli_verify:verify_command",
}


class Lazy(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].partition(":")
        command: Any = getattr(importlib.import_module(module), attribute)
        return command if isinstance(command, click.Command) else None


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tfport")
def main() -> None:
    """Move TensorFlow programs, checkpoints and confidence to PyTorch."""


if __name__ == "__main__":
    main()
