"""``--write-map`` and ``--map``: which tensor becomes which parameter, in a TOML file that a person can settle by hand.

[[tensor]]
source = "bert/embeddings/word_embeddings"
target = "embeddings.word_embeddings.weight"
pattern = "n d -> n d"

[[ignore]]                      # a tensor of the checkpoint that belongs nowhere
source = "cls/predictions/output_bias"

[[keep]]                        # a parameter that keeps the module's own value
target = "pooler.dense.bias"

[[fill]]                        # a parameter that no tensor gives: one number for each equal block of its first axis
target = "lstm.bias_hh_l0"
values = [0, 1, 0, 0]
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from tfport.weights.checkpoint import Checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.matching import Match, Matching
from tfport.weights.proposing import Proposal
from tfport.weights.record import Layer, Record, Way

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Map", "matched", "read_map", "write_map"]

_SHOWN = 6
"""So many tensors that would fit a parameter are listed."""

FIELDS = {
    "tensor": {"source", "target", "pattern", "sizes"}, "ignore": {"source"}, "keep": {"target"},
    "fill": {"target", "values"},
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Map:
    """A map as it stands in its file."""

    path: str
    ways: tuple[Way, ...]
    """Each with the source as its variable."""
    ignored: frozenset[str]
    kept: frozenset[str]
    filled: tuple[Way, ...] = ()
    """Each with its numbers as the pattern."""


def read_map(path: str | os.PathLike[str]) -> Map:
    """Read a map; WeightsError names the entry that is wrong."""
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            told = tomllib.load(file)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: no TOML: {error}") from None
    for name, rows in told.items():
        if name not in FIELDS or not isinstance(rows, list):
            raise WeightsError(f"{path}: {name}: expected [[tensor]], [[ignore]], [[keep]] and [[fill]]")
        for number, row in enumerate(rows, start=1):
            _check(path, name, number, row)
    ways = tuple(Way(r["source"], r["target"], r["pattern"], _sizes(r)) for r in told.get("tensor", []))
    filled = tuple(
        Way("", r["target"], " ".join(format(v, "g") for v in r["values"]), {}) for r in told.get("fill", [])
    )
    targets = [w.target for w in (*ways, *filled)]
    twice = {target for target in targets if targets.count(target) > 1}
    if twice:
        raise WeightsError(f"{path}: more than one tensor for {', '.join(sorted(twice))}")
    ignored = frozenset(row["source"] for row in told.get("ignore", []))
    return Map(path, ways, ignored, frozenset(row["target"] for row in told.get("keep", [])), filled)


def _check(path: str, name: str, number: int, row: Any) -> None:
    wanted = FIELDS[name]
    given = set(row) if isinstance(row, dict) else set()
    missing, unknown = wanted - {"sizes"} - given, given - wanted
    if missing or unknown:
        told = f"lacks {', '.join(sorted(missing))}" if missing else f"has no {', '.join(sorted(unknown))}"
        raise WeightsError(f"{path}: [[{name}]] number {number} {told}")
    if not all(isinstance(row[field], str) for field in wanted - {"sizes", "values"}):
        raise WeightsError(f"{path}: [[{name}]] number {number}: its values are strings")
    values = row.get("values", [0])
    if not (isinstance(values, list) and values and all(type(v) in (int, float) for v in values)):
        raise WeightsError(f"{path}: [[{name}]] number {number}: its values are a list of numbers")


def _sizes(row: Mapping[str, Any]) -> dict[str, Any]:
    sizes = row.get("sizes", {})
    return {k: tuple(v) if isinstance(v, list) else v for k, v in sizes.items()}


def matched(told: Map, checkpoint: Checkpoint, model: str) -> tuple[Record, Matching]:
    """The map as a record and its matching to a checkpoint; WeightsError where it names a tensor that is not there."""
    entries = {**checkpoint.made, **checkpoint.entries}
    unknown = [w.variable for w in told.ways if w.variable not in entries]
    unknown += sorted(told.ignored - checkpoint.entries.keys())
    if unknown:
        raise WeightsError(f"{told.path}: {checkpoint.path} has no tensor of these names", unknown)
    layers = tuple(Layer(None, "tensor", "", None, (way,)) for way in (*told.ways, *told.filled))
    matches = [Match(way, entries[way.variable], "map") for way in told.ways]
    used = {key for m in matches for key in (m.entry.key, *m.entry.made_of)} | told.ignored
    left = [e for e in checkpoint.entries.values() if not e.ignored and e.key not in used]
    return Record(model, "map", layers, told.path), Matching(matches, [], left, [], list(told.filled))


def write_map(
    path: str, matching: Matching, proposed: Mapping[str, Proposal], model: str, checkpoint: Checkpoint
) -> None:
    """Write what was matched, and as comments what is still open on either side, with what would fit it."""
    from tfport.weights.writers.atomic import atomic_file

    lines = [f"# {checkpoint.path} -> {model}: tfport weights ... --map THIS_FILE", ""]
    for match in matching.matches:
        lines += ["[[tensor]]", f"source = {_text(match.entry.key)}", *_goes(match.way)]
        lines += [f"# {list(match.entry.shape)} {match.entry.dtype}, matched by {match.level}", ""]
    for way in matching.zeros:
        values = ", ".join(way.pattern.split())
        lines += ["[[fill]]", f"target = {_text(way.target)}", f"values = [{values}]", ""]
    if proposed or matching.left_over:
        lines += [
            "# Still open: give each parameter a source, or keep it; use each tensor, or ignore it.",
            "",
        ]
    for target, proposal in proposed.items():
        lines += [f"# {line}" for line in _open(target, proposal)] + [""]
    for entry in matching.left_over:
        lines += ["# [[ignore]]", f"# source = {_text(entry.key)}  # {list(entry.shape)} {entry.dtype}", ""]
    for line in matching.ambiguous:
        lines.append(f"# ambiguous: {line}")
    with atomic_file(path) as file:
        file.write("\n".join(lines).encode("utf-8") + b"\n")


def _goes(way: Way) -> list[str]:
    sizes = ", ".join(f"{k} = {json.dumps(v)}" for k, v in way.sizes.items())
    lines = [f"target = {_text(way.target)}", f"pattern = {_text(way.pattern)}"]
    return [*lines, f"sizes = {{ {sizes} }}"] if sizes else lines


def _open(target: str, proposal: Proposal) -> list[str]:
    """The entry of an open parameter: one tensor that fits is written in, several are listed."""
    source, *others = proposal.sources or ("",)
    lines = [proposal.note] if proposal.note else []
    if others:
        shown = [source, *others][:_SHOWN]
        more = f" and {len(others) + 1 - len(shown)} more" if len(others) + 1 > len(shown) else ""
        lines.append(f"fit by pattern and shape: {', '.join(shown)}{more}")
    elif source:
        lines.append("the one tensor that fits by pattern and shape")
    way = Way("", target, proposal.pattern, proposal.sizes)
    goes = _goes(way) if proposal.pattern else [f"target = {_text(target)}", "pattern = "]
    return [*lines, "[[tensor]]", f"source = {_text(source) if source and not others else ''}", *goes]


def _text(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False)
