"""What a golden folder tells of the tolerance of its outputs: wander and depth, made safe against luck.

The wander of a tensor of one element is the rounding error of that element, which is less than a tenth of its deviation
in one run of twelve; then `FACTOR` times the wander is less than what a healthy port is off by. So an output of
few elements counts as wandering at least as far, relative to its size, as the larger tensors just before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from tfport.parity import golden
from tfport.parity.distance import scale_of
from tfport.parity.reference.values import Value
from tfport.parity.tolerance import FACTOR, RTOL

FEW = 8
"""Elements up to which a tensor's own wander is not trusted: of 9 the largest is below a sixth of their deviation
in one run of 10**8."""
BEFORE = 5
"""How many of the last larger layer tensors tell how far such an output may wander."""

T = TypeVar("T")


def calibration(reference: golden.Golden, entry: dict[str, Any]) -> tuple[dict[str, float], dict[str, int]]:
    """(wander, depth) of the outputs of a run, by the leaves' names; empty where the capture did not calibrate.

    A run in float64 has the wander of the run in float32. The depth of what is no Keras model is not known: one
    call of a function may be any number of operations.
    """
    runs: list[dict[str, Any]] = [entry, *(run for run in reference.runs if run["dtype"] == "float32")]
    source = next((run for run in runs if run.get("wander")), None)
    if source is None:
        return {}, {}
    values = reference.tensors(source)
    wander = dict(outputs_of(source["wander"]))
    for name, value in outputs_of(values).items():
        if name in wander and 0 < value.array.size <= FEW:
            wander[name] = max(wander[name], _around(source, values) * scale_of(value.array).largest)
    return wander, outputs_of(source.get("depth") or {}) if entry["kind"] == "keras" else {}


def _around(entry: Mapping[str, Any], values: Mapping[str, Value]) -> float:
    """The largest wander, relative to the scale, of the last larger tensors; what `RTOL` stands for without any."""
    last = [wander / scale for wander, scale in itertools.islice(_larger(entry, values), BEFORE)]
    return max(last) if last else RTOL["float32"] / FACTOR


def _larger(entry: Mapping[str, Any], values: Mapping[str, Value]) -> Iterator[tuple[float, float]]:
    """(wander, scale) of the layer tensors of more than a few elements, the last ones first."""
    for layer in reversed(entry.get("layers") or []):
        for key in layer["tensors"]:
            if key in entry["wander"] and key in values and values[key].array.size > FEW:
                scale = scale_of(values[key].array).largest
                if scale > 0:
                    yield entry["wander"][key], scale


def outputs_of(named: Mapping[str, T]) -> dict[str, T]:
    """The entries `outputs/...`, by the leaves' names."""
    prefix = "outputs/"
    return {name.removeprefix(prefix): named[name] for name in named if name.startswith(prefix)}
