"""What ``tfport weights`` does: list a checkpoint, write it out, or write it out as a module's state_dict."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.choosing import changed, chosen, size_in_bytes
from tfport.weights.detect import read_checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.module_file import build
from tfport.weights.progress import bar
from tfport.weights.report import Report
from tfport.weights.writers import ENDINGS, Tensor, Writing, write

__all__ = ["Options", "Outcome", "array_of", "compared", "run"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What to print, as text and as data for JSON, and the exit status."""

    text: str
    data: dict[str, Any]
    status: int = 0

    def show(self, format: str) -> str:
        """The outcome in ``format``, text or json."""
        return json.dumps(self.data, indent=2) if format == "json" else self.text


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line asks for besides the checkpoint; see ``tfport weights --help``."""

    output: str | None = None
    module: str | None = None
    input: tuple[str, ...] = ()
    listing: bool = False
    record: str | None = None
    strict: bool = True
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    dtype: str | None = None
    shard_size: str | None = None
    jobs: int = 2
    map: str | None = None
    write_map: str | None = None
    ema: bool = False
    optimizer: bool = False


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Arrays go by reference counts: a collection would look through torch's objects, some 40 ms each time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@_uncollected()
def run(path: str, **options: Any) -> Outcome:
    """The command's logic; ``options`` are the fields of `Options`. WeightsError says what is wrong.

    ``module`` is ``FILE.py:NAME``, a class or builder without arguments, or an instance; that file is then
    imported; ``input`` are the shapes of an example that it is called on. With it the output is the module's
    state_dict; without it the tensors keep TensorFlow's names and layouts.
    """
    given = Options(**options)
    if given.output is not None:
        _check_output(given.output, path)
    elif given.dtype or given.shard_size:
        raise WeightsError("--dtype and --shard-size change what is written: name a file with -o")
    _check_together(given)
    if given.module is None:
        wrong = [n for n in ("map", "write_map", "ema", "optimizer", "record", "input") if getattr(given, n)]
        if wrong:
            raise WeightsError(f"{_option(wrong[0])} is about a module: name it with --module FILE.py:NAME")
        checkpoint = read_checkpoint(path)
        if given.output is None or given.listing:
            return _listed(checkpoint, given)
        return _exported(checkpoint, given)
    return _converted(path, given)


def _check_together(given: Options) -> None:
    """No option is ignored in silence: those that another leaves without effect are refused."""
    for one, others in (
        ("listing", ("output", "module")),
        ("write_map", ("output", "select", "exclude", "ema", "optimizer")),
        ("optimizer", ("select", "exclude", "dtype", "shard_size", "ema")),
    ):
        for other in others:
            if getattr(given, one) and getattr(given, other):
                raise WeightsError(f"{_option(one)} and {_option(other)} do not go together")
    if given.module is not None and given.optimizer and given.output is None:
        raise WeightsError("--optimizer carries the state into a .pt file: name it with -o")
    if given.module is not None and given.output is None and (given.select or given.exclude):
        raise WeightsError("--select and --exclude choose what is written: name a file with -o")


def _option(field: str) -> str:
    return {"listing": "--list", "output": "-o"}.get(field, "--" + field.replace("_", "-"))


def compared(a: str, b: str) -> Outcome:
    """``--diff A B``. The outcome's status is 1 where they differ."""
    from tfport.weights.differing import diff

    found = diff(a, b)
    return Outcome(str(found), found.as_dict(), 0 if found.equal else 1)


def _check_output(output: str, path: str) -> None:
    folder = os.path.dirname(output) or "."
    if not output.endswith(ENDINGS):
        raise WeightsError(f"{output}: the output must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    if not os.path.isdir(folder):
        raise WeightsError(f"{output}: there is no folder {folder}")
    if os.path.isdir(output) or (
        os.path.exists(output) and os.path.exists(path) and os.path.samefile(output, path)
    ):
        raise WeightsError(f"{output}: is a folder, or the checkpoint itself")


def _write(
    given: Options, tensors: dict[str, Tensor], metadata: dict[str, str], keys: dict[str, str] | None = None
) -> tuple[list[str], int, list[str]]:
    """Write what is chosen; the names, the bytes of the values and the files."""
    assert given.output is not None
    size = None if given.shard_size is None else size_in_bytes(given.shard_size, "--shard-size")
    kept = changed(tensors, given.select, given.exclude, given.dtype, keys)
    total = sum(tensor.nbytes for tensor in kept.values())
    with bar(total, os.path.basename(given.output)) as told:
        files = write(given.output, kept, metadata, Writing(size, given.jobs, told))
    return list(kept), total, files


def _listed(checkpoint: Checkpoint, given: Options) -> Outcome:
    rows = []
    written = {key: name for name, key in checkpoint.numbers().items()}
    names = chosen({key: written.get(key, key) for key in checkpoint.entries}, given.select, given.exclude)
    for entry in (checkpoint.entries[name] for name in names):
        rows.append({
            "name": entry.key, "written_as": written.get(entry.key), "shape": list(entry.shape),
            "dtype": entry.dtype, "bytes": _bytes(entry),
            "layer": entry.layers[0] if entry.layers else None, "variable": entry.variable,
            "ignored": entry.ignored,
        })  # fmt: skip
    shown = [
        {**row, "name": _printable(row["name"]), "layer": _printable(row["layer"] or "")} for row in rows
    ]
    widths = [max((len(str(row[field])) for row in shown), default=0) for field in ("name", "shape", "dtype")]
    lines = [
        f"{row['name']:<{widths[0]}}  {row['shape']!s:<{widths[1]}}  {row['dtype']:<{widths[2]}}  "
        f"{row['bytes'] if row['bytes'] is not None else '?':>10}"
        + (f"  ({row['ignored']})" if row["ignored"] else f"  {row['layer']}" if row["layer"] else "")
        for row in shown
    ]
    total = sum(row["bytes"] or 0 for row in rows)  # type: ignore[misc]
    weights = sum(not row["ignored"] for row in rows)
    lines.append(f"{checkpoint.format}: {len(rows)} tensors, {weights} of them weights, {total:,} bytes")
    return Outcome("\n".join(lines), {"path": checkpoint.path, "format": checkpoint.format, "tensors": rows})


def _printable(name: Any) -> str:
    """The name, control characters escaped: a file must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name or "")


def _bytes(entry: Entry) -> int | None:
    try:
        return entry.nbytes
    except WeightsError:  # a dtype that is listed and cannot be read
        return None


def _others(checkpoint: Checkpoint) -> str:
    """What a checkpoint without weights holds, for its error."""
    why = Counter(entry.ignored or entry.dtype for entry in checkpoint.entries.values())
    return f" (it has {', '.join(f'{n} x {what}' for what, n in why.most_common(4))})" if why else ""


def _exported(checkpoint: Checkpoint, given: Options) -> Outcome:
    """The weights under TensorFlow's names, in its layouts."""
    kept = checkpoint.numbers()
    if not kept:
        raise WeightsError(f"{checkpoint.path}: holds no weights{_others(checkpoint)}")
    tensors = {
        name: Tensor(entry.shape, entry.dtype, *checkpoint.apart(key))
        for name, key in kept.items()
        for entry in (checkpoint.entries[key],)
    }
    written, size, files = _write(given, tensors, {"source": "tensorflow", "layout": "tensorflow"}, kept)
    left = len(checkpoint) - len(kept)
    text = (
        f"{given.output}: {len(written)} tensors, {size:,} bytes, under TensorFlow's names and in TensorFlow's layouts"
        f" (for a state_dict: --module FILE.py:NAME); {left} left out (optimizer, counters, strings)"
    )
    data = {
        "output": given.output,
        "files": files,
        "layout": "tensorflow",
        "tensors": written,
        "bytes": size,
    }
    return Outcome(text, data)


def _converted(path: str, given: Options) -> Outcome:
    """The weights as the module's state_dict."""
    assert given.module is not None
    if given.write_map is not None:
        return _mapped(path, given)
    if given.output is not None and not given.optimizer and given.strict:
        streamed = _streamed(path, given)
        if streamed is not None:
            return streamed
    from tfport.weights.loading import load_weights

    target, name, beside = build(given.module, given.input)
    record = given.record or beside
    report = load_weights(
        target, path, strict=given.strict, record=record, name=name, map=given.map, ema=given.ema
    )
    data = report.as_dict()
    text = str(report)
    if given.optimizer:
        from tfport.weights.optimizer.exporting import export

        assert given.output is not None
        told, more = export(given.output, target, path, record=record, name=name, map=given.map)
        return Outcome(f"{text}\n{told}", data | more)
    if given.output is not None:
        state = target.state_dict()
        return _written(given, {key: _tensor(t) for key, t in state.items()}, report)
    return Outcome(text, data)


def _written(given: Options, tensors: dict[str, Tensor], report: Report) -> Outcome:
    written, size, files = _write(given, tensors, {"format": "pt"})
    data = report.as_dict() | {"output": given.output, "files": files, "layout": "torch", "bytes": size}
    told = f"{given.output}: the state_dict of {report.model}, {len(written)} tensors, {size:,} bytes"
    return Outcome(f"{report}\n{told}", data)


def _streamed(path: str, given: Options) -> Outcome | None:
    """The state_dict written from a module that has shapes only; None where it must be built with its values."""
    from tfport.weights.averages import lone_averages, with_averages
    from tfport.weights.fitting import fit
    from tfport.weights.report import report_of
    from tfport.weights.streaming import state_tensors

    assert given.module is not None
    made = build(given.module, given.input, meta=True)
    if made is None:
        return None
    target, name, beside = made
    checkpoint = read_checkpoint(path)
    if given.ema:
        checkpoint = lone_averages(checkpoint)
    fitted = fit(target, checkpoint, record=given.record or beside, name=name, map=given.map)
    if given.ema:
        checkpoint = with_averages(checkpoint, fitted.trainable(), fitted.ordered)
    tensors = state_tensors(target, fitted, checkpoint)
    if tensors is None:
        return None
    return _written(given, tensors, report_of(fitted, checkpoint))


def _mapped(path: str, given: Options) -> Outcome:
    """``--write-map``: what goes where, with what is still open."""
    from tfport.weights.mapping import propose_map

    assert given.module is not None and given.write_map is not None
    target, name, beside = build(given.module, given.input)
    record = given.record or beside
    matched, still = propose_map(
        given.write_map, target, read_checkpoint(path), record=record, name=name, map=given.map
    )
    text = f"{given.write_map}: {matched} tensors matched, {still} still open; edit it and pass --map"
    return Outcome(text, {"map": given.write_map, "matched": matched, "open": still})


def _tensor(tensor: Any) -> Tensor:
    return Tensor(tuple(tensor.shape), _dtype(tensor), lambda: array_of(tensor))


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def array_of(tensor: Any) -> Any:
    """A torch tensor as an array of the same bits."""
    import torch

    from tfport.weights.dtypes import dtype_of

    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return flat.view(dtype_of(_dtype(tensor))).reshape(tuple(tensor.shape))
