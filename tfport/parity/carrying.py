"""The reference's weights, carried into the candidate: by names, by the conversion's record, or by a map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfport.parity import golden
from tfport.parity.reference.errors import CaptureError, UsageError

MISFITS = 12
"""How many tensors that do not fit are named in the one-line error."""


@dataclass
class Asked:
    """How the weights are to be carried."""

    record: Mapping[str, Any] = field(default_factory=dict)
    """The conversion's record, empty where there is none."""
    name: str | None = None
    """The record's model, where it tells of the candidate by its name."""
    map: str | None = None
    """A file that settles by hand what goes where."""
    write_map: str | None = None
    """Where to write such a file in place of carrying anything."""


def carry(module: Any, weights: Mapping[str, str] | None, folder: Path, asked: Asked) -> None:
    """Loads the recorded weights by `tfport.load_weights`, which raises unless all fits."""
    if not weights:
        held = sum(p.numel() for p in module.parameters())
        if held:
            raise CaptureError(f"the candidate has {held} parameters, the reference has no weights")
        return
    from tfport.weights import WeightsError, load_weights

    path = folder / weights["file"]
    source: Any = path
    if weights["kind"] != "keras":
        source = {name: value.array for name, value in golden.read_tensors(path).items()}
    if asked.write_map:
        write_map(module, source, asked)
    if weights["kind"] == "variables" and not asked.map and same_names(module, source, asked.record):
        return
    try:
        load_weights(module, source, record=asked.record or None, name=asked.name, map=asked.map)
    except WeightsError as error:
        first = str(error).splitlines()[0].replace(f"{path}", path.name).replace("<mapping>", path.name)
        shown = "; ".join((first, *error.problems[:MISFITS]))
        more = f" ... and {len(error.problems) - MISFITS} more" if len(error.problems) > MISFITS else ""
        raise CaptureError(f"the weights do not fit: {shown}{more}") from error


def write_map(module: Any, source: Any, asked: Asked) -> None:
    """Writes which of the reference's weights go where, and what is open; UsageError says so and what to do."""
    from tfport.weights import WeightsError
    from tfport.weights.fitting import open_checkpoint, pair, untold
    from tfport.weights.mapping_file import write_map as write

    path = asked.write_map
    assert path is not None
    try:
        checkpoint = open_checkpoint(source, True)
        record = asked.record or None
        _, targets, matching = pair(module, checkpoint, record=record, name=asked.name, map=asked.map)
        told = {m.way.target for m in matching.matches} | {w.target for w in matching.zeros}
        told |= {way.target for _, way in matching.missing}
        rest = untold(targets, told)
        write(path, matching, rest, type(module).__name__, checkpoint)
    except (WeightsError, OSError) as error:
        raise CaptureError(f"--write-map {path}: {error}") from error
    still = len(matching.missing) + len(rest) + len(matching.left_over)
    what = f"{len(matching.matches)} weights matched, {still} still open"
    raise UsageError(f"wrote {path}: {what}; edit it, then verify with --map {path}")


def same_names(module: Any, source: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Copies a tf.Module's variables to the tensors of the same names and shapes.

    False, with nothing copied, when the record knows the class or when names or shapes differ.
    """
    import torch

    if record.get("models"):
        return False
    held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    given = {name.replace("/", "."): value for name, value in source.items()}
    if {n: tuple(t.shape) for n, t in held.items()} != {n: a.shape for n, a in given.items()}:
        return False
    with torch.no_grad():
        for name, array in given.items():
            held[name].copy_(torch.from_numpy(array))
    return True


def set_globals(module: Any, path: Path) -> None:
    """Gives the file's tensors the values of the reference's variables of the same names."""
    import torch

    for name, value in golden.read_tensors(path).items():
        held = getattr(module, name, None)
        if not isinstance(held, torch.Tensor) or tuple(held.shape) != value.array.shape:
            shape = list(held.shape) if isinstance(held, torch.Tensor) else "missing"
            told = f"variable {name} {list(value.array.shape)}, in the candidate {shape}"
            raise CaptureError(f"the weights do not fit: {told}")
        with torch.no_grad():
            held.copy_(torch.from_numpy(value.array))
