"""The commands `tfport rules` and `tfport explain`."""

from __future__ import annotations

import json
import sys

import click

from tfport.source import rulebook
from tfport.source.advice import advice
from tfport.source.canonical import Canonical, canonical
from tfport.source.findings import CODES
from tfport.source.rulebook import RuleText


@click.command()
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--rules", "folders", multiple=True, metavar="DIR", type=click.Path(exists=True, file_okay=False),
              help="A folder with rules of your own.")  # fmt: skip
@click.option(
    "--prove", metavar="DIR", type=click.Path(exists=True), help="Run the proofs of a rule file or folder."
)
def rules(form: str, folders: tuple[str, ...], prove: str | None) -> None:
    """List the TensorFlow names that have a rule, or prove rules of your own against TensorFlow."""
    if prove is not None:
        from tfport.proving.__main__ import main as run

        sys.exit(run([prove]))
    book = rulebook.load(tuple(folders))
    entries = [_entry(name, rule) for name, found in sorted(book.rules.items()) for rule in found]
    entries += [
        {"name": n, "kind": "constant", "tier": "inlined", "proofs": 1, "file": ""}
        for n in sorted(book.constants)
    ]
    if form == "json":
        click.echo(json.dumps(entries, indent=1))
        return
    for entry in entries:
        click.echo(f"{entry['name']:<60} {entry['kind']:<9} {entry['tier']:<8} {entry['proofs']:>3} proofs")


def _entry(name: str, rule: RuleText) -> dict[str, object]:
    proofs = sum(
        1 for d in rule.node.decorator_list if getattr(getattr(d, "func", None), "id", "") == "prove"
    )
    inlined = rule.kind in ("function", "method", "layer")
    return {
        "name": name,
        "kind": rule.kind,
        "tier": "inlined" if inlined else "compat",
        "proofs": proofs,
        "file": rule.file,
    }


@click.command()
@click.argument("what", metavar="CODE|API")
def explain(what: str) -> None:
    """Say what a code means, or how a TensorFlow name is ported."""
    if what.upper() in CODES:
        click.echo(f"{what.upper()}: {CODES[what.upper()]}")
        return
    meaning = canonical(
        "tensorflow" + what[2:] if what.startswith(("tf.", "tf")) and not what.startswith("tf_") else what
    )
    name = meaning.name if isinstance(meaning, Canonical) else what
    book = rulebook.load()
    found = book.find(name)
    for rule in found:
        version = f" (TensorFlow {rule.version})" if rule.version else ""
        click.echo(f"{rule.primary}{version}({', '.join(rule.parameters)})\n\n{rule.docstring}\n")
    if name in book.constants:
        click.echo(f"{name} is written {book.constants[name].text}")
    elif not found:
        click.echo(f"{name}: no rule. {advice(name)}")
        sys.exit(1)
