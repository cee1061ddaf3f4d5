"""Faults planted in the torch twins of the reference programs: how they are written, run and scored."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).parent / "programs"

Change = Callable[[str, dict[str, Any]], str]
"""Takes the twin's source and its record, changes the record in place, returns the source."""


@dataclass(frozen=True)
class Program:
    """A reference beside its twin: `file.py:target` and the inputs that it is captured with."""

    file: str
    target: str
    inputs: tuple[str, ...]
    twin: str = ""
    """The twin's file without `_torch.py`, where it is not the reference's."""

    @property
    def reference(self) -> str:
        """What `tfport capture` is given."""
        return f"{PROGRAMS / self.file}.py:{self.target}"


PROGRAM = {
    "cnn": Program("cnn", "build", ("3x12x12x3",)),
    "lstm": Program("text_lstm", "Text", ("3x7:int32<20",)),
    "gru": Program("text_gru", "Text", ("3x7:int32<20",)),
    "lstm2": Program("text_lstm", "Text", ("3x7:int32<20",), "text_lstm_converted"),
    "gru2": Program("text_gru", "Text", ("3x7:int32<20",), "text_gru_converted"),
    "transformer": Program("transformer", "Transformer", ("3x6:int32<20",)),
    "unet": Program("unet", "build", ("2x8x12x3",)),
    "blocks": Program("unet_blocks", "build", ("2x8x12x3",)),
    "generator": Program("generator", "build", ("3x10",)),
    "mlp": Program("mlp", "build", ("4x12",)),
}
"""The six architectures; recurrent ones as LSTM and GRU, each ported by hand and (2) converted; the U-Net as a class and
as a recorded model."""


@dataclass(frozen=True)
class Fault:
    """One fault: where it sits, how it is planted, and what the catalogue calls it."""

    layer: str
    """The Keras layer, by its name or attribute path; `output/0` for what is done after the last layer.

    Two, `a | b`, where either is right: the order of a flattened image is wrong in the program or in the weights.
    """
    change: Change
    cause: str | None = None


def text(old: str, new: str, times: int = 1) -> Change:
    """Replaces a piece of the twin's source, which must occur `times` times."""

    def change(code: str, record: dict[str, Any]) -> str:
        assert code.count(old) == times, f"{old!r} occurs {code.count(old)} times"
        return code.replace(old, new)

    return change


def both(*changes: Change) -> Change:
    """Several changes, one after the other."""

    def change(code: str, record: dict[str, Any]) -> str:
        for one in changes:
            code = one(code, record)
        return code

    return change


def moved(layer: str, variable: str, pattern: str, **sizes: int) -> Change:
    """Gives a variable of the record another pattern; the layer by its name or keras_path."""

    def change(code: str, record: dict[str, Any]) -> str:
        ways = _layer(record, layer)["weights"]
        assert ways[variable][1] != pattern
        ways[variable][1:] = [pattern, sizes]
        return code

    return change


def swapped(first: tuple[str, str], second: tuple[str, str]) -> Change:
    """Exchanges the parameters that two variables of the record, each (layer, variable), go to."""

    def change(code: str, record: dict[str, Any]) -> str:
        layers = [_layer(record, name) for name, _ in (first, second)]
        places = [(layer["path"], layer["weights"][v][0]) for layer, (_, v) in zip(layers, (first, second))]
        assert places[0] != places[1]
        if layers[0] is layers[1]:
            layers[0]["weights"][first[1]][0] = places[1][1]
            layers[1]["weights"][second[1]][0] = places[0][1]
            return code
        for layer, place, (_, variable) in zip(layers, reversed(places), (first, second)):
            layer["path"], layer["weights"][variable][0] = place
        return code

    return change


def _layer(record: dict[str, Any], name: str) -> dict[str, Any]:
    layers = [layer for model in record["models"].values() for layer in model["layers"]]
    found = [layer for layer in layers if name in (layer["name"], layer["keras_path"])]
    assert len(found) == 1, (name, found)
    return found[0]


def candidate(folder: Path, program: Program, *changes: Change, name: str = "") -> str:
    """Writes a twin and its record into a new folder, changed; returns `file.py:target`."""
    folder.mkdir(parents=True)
    code = (PROGRAMS / f"{program.twin or program.file}_torch.py").read_text("utf-8")
    record = json.loads((PROGRAMS / f"{program.twin or program.file}_torch.tfport.json").read_text("utf-8"))
    before = code, copy.deepcopy(record)
    for change in changes:
        code = change(code, record)
    assert not changes or (code, record) != before, "nothing was planted"
    path = folder / f"{name or program.file}_torch.py"
    path.write_text(code, "utf-8")
    path.with_suffix(".tfport.json").write_text(json.dumps(record), "utf-8")
    return f"{path}:{program.target}"


def names_of(layers: list[dict[str, Any]], layer: str) -> set[str]:
    """The names under which a report may speak of a layer of the manifest: its name and attribute path."""
    found = set(layer.split(" | "))
    for wanted in tuple(found):
        for entry in layers:
            attribute = entry["attribute"]
            if wanted in (entry["name"], attribute):
                found |= {entry["name"], attribute}
            elif attribute and wanted.startswith(attribute + "/"):  # a layer held under a private name
                found.add(entry["name"] + wanted[len(attribute) :])
    return found - {None}


EXCHANGED = '''
def exchanged(model, first, second):
    """The model with the weights of two of its modules exchanged, from its first call on."""

    def exchange(module, arguments):
        if not hasattr(module, "done"):
            module.done = True
            with torch.no_grad():
                for a, b in zip(first.parameters(), second.parameters()):
                    a.data, b.data = b.data, a.data

    model.register_forward_pre_hook(exchange)
    return model
'''


def inserted(code: str) -> Change:
    """Adds definitions before the first class of the twin."""

    def change(source: str, record: dict[str, Any]) -> str:
        at = re.search(r"^class ", source, re.MULTILINE)
        assert at
        return source[: at.start()] + code.strip() + "\n\n\n" + source[at.start() :]

    return change
