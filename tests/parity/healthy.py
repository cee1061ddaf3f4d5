"""Healthy twins over seeds and shapes: programs with other sizes, captured in one process, replayed, measured.

Images have odd and even sides, batches run from 1 to 8, sequences from 1 to 12 steps. Programs that the converter
writes are converted anew for each size, so that its output is what is tested; hand-written twins get the same sizes.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parity.planted import PROGRAM, PROGRAMS


@dataclass
class Healthy:
    """One run: a program with sizes of its own, its twin, its inputs."""

    name: str
    seed: int
    reference: str
    candidate: str
    inputs: str
    dtypes: tuple[str, ...]

    def job(self, golden: Path) -> list[Any]:
        """Arguments of `capture`."""
        options = ["--input", self.inputs, "--dtype", ",".join(self.dtypes), "--seed", self.seed]
        return [self.reference, "-o", golden, *options]


def made(root: Path, number: int) -> Healthy:
    """The run of that number: the same program, sizes, weights and inputs whenever it is asked for."""
    rng = random.Random(number)
    names = list(PROGRAM)
    name = names[number % len(names)]
    batch = rng.randint(1, 8)
    sizes, inputs = SIZES[name](rng)
    folder = root / str(number)
    folder.mkdir(parents=True)
    program = PROGRAM[name]
    source = _sized(PROGRAMS / f"{program.file}.py", sizes)
    (folder / f"{program.file}.py").write_text(source, "utf-8")
    twin = folder / f"{program.file}_torch.py"
    if name in CONVERTED or program.twin:
        _convert(source, twin)
    else:
        twin.write_text(_sized(PROGRAMS / f"{program.file}_torch.py", sizes), "utf-8")
        record = (PROGRAMS / f"{program.file}_torch.tfport.json").read_text("utf-8")
        twin.with_suffix(".tfport.json").write_text(record, "utf-8")
    exact = number % 7 == 3 and name not in ROUNDED
    dtypes = ("float32", "float64") if exact else ("float32",)
    reference = f"{folder / program.file}.py:{program.target}"
    return Healthy(name, number, reference, f"{twin}:{program.target}", f"{batch}x{inputs}", dtypes)


def _convert(source: str, twin: Path) -> None:
    import tfport

    done = tfport.convert_source(source)
    assert not [finding for finding in done.findings if finding.code.startswith("TFP1")], done.findings
    twin.write_text(done.code, "utf-8")
    twin.with_suffix(".tfport.json").write_text(json.dumps(done.record), "utf-8")


def _sized(path: Path, sizes: dict[str, str]) -> str:
    """The program with other sizes; every pattern must occur, so that a change of the programs is noticed."""
    code = path.read_text("utf-8")
    for old, new in sizes.items():
        code, times = re.subn(old, new, code)
        assert times, (path.name, old)
    return code


def _cnn(rng: random.Random) -> tuple[dict[str, str], str]:
    height, width = rng.randint(5, 17), rng.randint(5, 17)
    return {r"\(12, 12, 3\)": f"({height}, {width}, 3)"}, f"{height}x{width}x3"


def _words(rng: random.Random) -> tuple[dict[str, str], str]:
    words, units = rng.randint(2, 40), rng.randint(1, 12)
    return {
        r"WORDS, UNITS = 20, 8": f"WORDS, UNITS = {words}, {units}"
    }, f"{rng.randint(1, 12)}:int32<{words}"


def _transformer(rng: random.Random) -> tuple[dict[str, str], str]:
    length, words, heads, blocks = rng.randint(1, 9), rng.randint(2, 30), rng.randint(1, 4), 2
    width = heads * rng.randint(2, 5)  # a normalisation over one value is rounding alone
    new = f" = {length}, {words}, {width}, {heads}, {blocks}"
    return {r" = 6, 20, 8, 2, 2": new}, f"{length}:int32<{words}"


def _unet(rng: random.Random) -> tuple[dict[str, str], str]:
    height, width = 4 * rng.randint(1, 5), 4 * rng.randint(1, 5)
    return {r"WIDTH = 8, 12": f"WIDTH = {height}, {width}"}, f"{height}x{width}x3"


def _generator(rng: random.Random) -> tuple[dict[str, str], str]:
    noise, height, width = rng.randint(3, 16), rng.randint(1, 5), rng.randint(1, 5)
    new = {
        r"\(10,\)": f"({noise},)",
        r"3 \* 2 \* 8": f"{height} * {width} * 8",
        r"\(3, 2, 8\)": f"({height}, {width}, 8)",
    }
    return new, str(noise)


def _mlp(rng: random.Random) -> tuple[dict[str, str], str]:
    inputs, units = rng.randint(1, 20), rng.randint(1, 24)
    return {r"\(12,\)": f"({inputs},)", r"Dense\(16": f"Dense({units}"}, str(inputs)


SIZES = {
    "cnn": _cnn,
    "lstm": _words,
    "gru": _words,
    "lstm2": _words,
    "gru2": _words,
    "transformer": _transformer,
    "unet": _unet,
    "blocks": _unet,
    "generator": _generator,
    "mlp": _mlp,
}
ROUNDED = {"transformer", "mlp", "generator"}
"""Programs that are not run in float64, where TensorFlow keeps constants in float32: the root of 2 in gelu (off by
5e-9), the slope of leaky_relu (4e-8)."""
CONVERTED = {"cnn", "unet", "blocks", "generator", "mlp"}


def ratios(comparison: Any) -> list[tuple[float, str]]:
    """Largest error of each floating output over what was allowed there."""
    found = []
    for tensor in comparison.tensors:
        limit = tensor.atol + tensor.rtol * tensor.scale
        if limit > 0:
            found.append((tensor.max_abs / limit, tensor.name))
    return found
