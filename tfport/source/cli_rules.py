"""The commands `tfport rules` and `tfport explain`."""

from __future__ import annotations

import json
import re
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
    """Say what a code means, or how a TensorFlow name is ported. Exit status 1 if there is no rule, 2 if no such code."""
    code = what.upper()
    if code in CODES:
        click.echo(f"{code}: {CODES[code]}")
        return
    if re.fullmatch(r"TFP\d*", code):
        click.echo(f"tfport: no code {what}; there are {', '.join(CODES)}", err=True)
        sys.exit(2)
    book = rulebook.load()
    name = _canonical(what, book)
    found = book.find(name)
    for rule in found:
        version = f" (TensorFlow {rule.version})" if rule.version else ""
        click.echo(f"{rule.primary}{version}({', '.join(rule.parameters)})\n\n{rule.docstring}\n")
        others = [n for n in rule.names if n != rule.primary]
        if others:
            click.echo(f"Also: {', '.join(others)}\n")
    if name in book.constants:
        click.echo(f"{name} is written {book.constants[name].text}")
    elif not found and book.is_namespace(name):
        click.echo(f"{name}: a module. Names with a rule: {', '.join(sorted(book.below(name)))}")
    elif not found:
        click.echo(f"{name}: no rule. {advice(name)}")
        sys.exit(1)


def _canonical(what: str, book: rulebook.Rulebook) -> str:
    """The name by which the rules know ``tf.x``, ``keras.x``, a tensor method ``x.numpy`` or ``numpy``."""
    rooted = "tensorflow" + what[2:] if what == "tf" or what.startswith("tf.") else what
    meaning = canonical(rooted)
    if isinstance(meaning, Canonical):
        return meaning.name
    last = what.rpartition(".")[2].removesuffix("()")
    return f"tf.Tensor.{last}" if last in book.methods else what
