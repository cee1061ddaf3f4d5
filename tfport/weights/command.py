"""What ``tfport weights`` does: list a checkpoint, write it out, or write it out as a module's state_dict."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import sys
from typing import Any

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.detect import read_checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.writing import Tensor, write

__all__ = ["Outcome", "run"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What to print: as text and as data for JSON."""

    text: str
    data: dict[str, Any]

    def show(self, format: str) -> str:
        """The outcome in ``format``, text or json."""
        return json.dumps(self.data, indent=2) if format == "json" else self.text


def run(path: str, *, output: str | None = None, module: str | None = None, listing: bool = False,
        record: str | None = None, strict: bool = True) -> Outcome:  # fmt: skip
    """The command's logic; WeightsError says what is wrong.

    ``module`` is ``FILE.py:NAME``, a class or builder without arguments, or an instance; that file is then
    imported. With it the output is the module's state_dict; without it the tensors keep TensorFlow's names
    and layouts.
    """
    if output is not None:
        _check_output(output, path)
    if module is None:
        checkpoint = read_checkpoint(path)
        if output is None or listing:
            return _listed(checkpoint)
        return _exported(checkpoint, output)
    return _converted(path, output, module, record, strict)


def _check_output(output: str, path: str) -> None:
    folder = os.path.dirname(output) or "."
    if not output.endswith((".safetensors", ".pt", ".pth")):
        raise WeightsError(f"{output}: the output must end in .safetensors, .pt or .pth")
    if not os.path.isdir(folder):
        raise WeightsError(f"{output}: there is no folder {folder}")
    if os.path.isdir(output) or (
        os.path.exists(output) and os.path.exists(path) and os.path.samefile(output, path)
    ):
        raise WeightsError(f"{output}: is a folder, or the checkpoint itself")


def _listed(checkpoint: Checkpoint) -> Outcome:
    rows = []
    for entry in checkpoint.entries.values():
        rows.append({
            "name": entry.key, "shape": list(entry.shape), "dtype": entry.dtype, "bytes": _bytes(entry),
            "layer": entry.layers[0] if entry.layers else None, "variable": entry.variable,
            "ignored": entry.ignored,
        })  # fmt: skip
    widths = [max((len(str(row[field])) for row in rows), default=0) for field in ("name", "shape", "dtype")]
    lines = [
        f"{row['name']:<{widths[0]}}  {row['shape']!s:<{widths[1]}}  {row['dtype']:<{widths[2]}}  "
        f"{row['bytes'] if row['bytes'] is not None else '?':>10}"
        + (f"  ({row['ignored']})" if row["ignored"] else f"  {row['layer']}" if row["layer"] else "")
        for row in rows
    ]
    total = sum(row["bytes"] or 0 for row in rows)  # type: ignore[misc]
    weights = sum(not row["ignored"] for row in rows)
    lines.append(f"{checkpoint.format}: {len(rows)} tensors, {weights} of them weights, {total:,} bytes")
    return Outcome("\n".join(lines), {"path": checkpoint.path, "format": checkpoint.format, "tensors": rows})


def _bytes(entry: Entry) -> int | None:
    try:
        return entry.nbytes
    except WeightsError:  # a dtype that is listed and cannot be read
        return None


def _exported(checkpoint: Checkpoint, output: str) -> Outcome:
    """The weights under TensorFlow's names, in its layouts."""
    kept = [entry for entry in checkpoint.entries.values() if not entry.ignored and entry.dtype != "string"]
    if not kept:
        raise WeightsError(f"{checkpoint.path}: holds no weights")
    full = [f"{e.layers[0]}/{e.variable}" if e.layers and e.variable else "" for e in kept]
    names = full if all(full) and len(set(full)) == len(full) else [e.key for e in kept]
    tensors = {
        name: Tensor(entry.shape, entry.dtype, lambda key=entry.key: checkpoint[key])  # type: ignore[misc]
        for name, entry in zip(names, kept, strict=True)
    }
    size = write(output, tensors, {"source": "tensorflow", "layout": "tensorflow"})
    left = len(checkpoint) - len(kept)
    text = (
        f"{output}: {len(kept)} tensors, {size:,} bytes, under TensorFlow's names and in TensorFlow's layouts"
        f" (for a state_dict: --module FILE.py:NAME); {left} left out (optimizer, counters, strings)"
    )
    return Outcome(text, {"output": output, "layout": "tensorflow", "tensors": list(tensors), "bytes": size})


def _converted(path: str, output: str | None, module: str, record: str | None, strict: bool) -> Outcome:
    """The weights as the module's state_dict."""
    from tfport.weights.loading import load_weights

    target, name, beside = build(module)
    report = load_weights(target, path, strict=strict, record=record or beside, name=name)
    data = report.as_dict()
    text = str(report)
    if output is not None:
        state = target.state_dict()
        tensors = {key: Tensor(tuple(t.shape), _dtype(t), lambda t=t: _array(t)) for key, t in state.items()}  # type: ignore[misc]
        size = write(output, tensors, {"format": "pt"})
        data |= {"output": output, "layout": "torch", "bytes": size}
        text += f"\n{output}: the state_dict of {report.model}, {len(tensors)} tensors, {size:,} bytes"
    return Outcome(text, data)


def _dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _array(tensor: Any) -> Any:
    """A torch tensor as an array of the same bits."""
    import torch

    from tfport.weights.dtypes import dtype_of

    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return flat.view(dtype_of(_dtype(tensor))).reshape(tuple(tensor.shape))


def build(module: str) -> tuple[Any, str, str | None]:
    """Import ``FILE.py:NAME`` and make the module; returns it, the name its record has, and the record beside
    the file.
    """
    file, _, name = module.rpartition(":")
    if not file or not name.isidentifier():
        raise WeightsError(
            f"--module {module}: write FILE.py:NAME, a class, a builder without arguments or an instance"
        )
    if not os.path.isfile(file):
        raise WeightsError(f"--module {module}: {file}: no such file")
    from torch import nn

    stem = os.path.splitext(os.path.basename(file))[0]
    spec = importlib.util.spec_from_file_location(stem, os.path.abspath(file))
    if spec is None or spec.loader is None:
        raise WeightsError(f"--module {module}: {file} is no Python file")
    loaded = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    sys.modules.setdefault(stem, loaded)
    try:
        spec.loader.exec_module(loaded)
        found = getattr(loaded, name, None)
        if found is None:
            raise WeightsError(f"--module {module}: {file} defines no {name}")
        target = found if isinstance(found, nn.Module) else found()
    except WeightsError:
        raise
    except Exception as error:  # whatever the user's code raises: said in one line, with its type
        raise WeightsError(f"--module {module}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(os.path.dirname(os.path.abspath(file)))
    if not isinstance(target, nn.Module):
        raise WeightsError(f"--module {module}: {name} gives a {type(target).__name__}, not a torch module")
    beside = os.path.splitext(file)[0] + ".tfport.json"
    if getattr(target, "tfport_record", None) is not None or not os.path.isfile(beside):
        return target, type(target).__name__, None
    return target, _recorded(beside, (type(target).__name__, name)), beside


def _recorded(path: str, names: tuple[str, ...]) -> str:
    """The first of the names that the record knows: the class's, then the builder's."""
    from tfport.weights.record import load_record

    data = load_record(path)
    models = data.get("models") if isinstance(data, dict) else None
    return next((name for name in names if isinstance(models, dict) and name in models), names[0])
