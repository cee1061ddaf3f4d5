"""The torch module that the command line names: ``FILE.py:NAME``."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, overload

from tfport.programs import look_above
from tfport.weights.errors import WeightsError

__all__ = ["build"]


@overload
def build(module: str, inputs: Sequence[str] = ()) -> tuple[Any, str, str | None]: ...
@overload
def build(module: str, inputs: Sequence[str] = (), *, meta: bool) -> tuple[Any, str, str | None] | None: ...
def build(
    module: str, inputs: Sequence[str] = (), *, meta: bool = False
) -> tuple[Any, str, str | None] | None:
    """Import ``FILE.py:NAME`` and make the module; returns it, the name its record has, and the record beside
    the file. On torch's meta device (``meta``) it has shapes and no values; None where it cannot be made so.

    ``inputs`` are shapes as ``1x224x224x3`` or ``4x10:int64``: the module is called once on zeros of them, which
    makes the weights of layers that have none before.
    """
    file, _, name = module.rpartition(":")
    if not file or not name.isidentifier():
        raise WeightsError(
            f"--module {module}: write FILE.py:NAME, a class, a builder without arguments or an instance"
        )
    if not os.path.isfile(file):
        raise WeightsError(f"--module {module}: {file}: no such file")
    import torch
    from torch import nn

    found = _found(module, file, name)
    if isinstance(found, nn.Module):
        if meta:
            return None
        target = found
    else:
        try:
            with torch.device("meta") if meta else contextlib.nullcontext():
                target = found()
        except Exception as error:  # whatever the user's code raises: said in one line, with its type
            if meta:
                return None
            raise WeightsError(f"--module {module}: {type(error).__name__}: {error}") from error
    if not isinstance(target, nn.Module):
        raise WeightsError(f"--module {module}: {name} gives a {type(target).__name__}, not a torch module")
    if inputs:
        shapes = [_shape(text) for text in inputs]
        try:
            with torch.no_grad(), torch.device("meta") if meta else contextlib.nullcontext():
                target.eval()(*(torch.zeros(shape, dtype=getattr(torch, dtype)) for shape, dtype in shapes))
        except Exception as error:  # whatever the user's code raises: said in one line, with its type
            if meta:
                return None
            told = str(error).strip().split("\n")[0]
            raise WeightsError(
                f"--module {module}: called on --input {' '.join(inputs)}: {type(error).__name__}: {told}"
            ) from error
    from tfport.weights.record import tells_of_models

    beside = os.path.splitext(file)[0] + ".tfport.json"
    if getattr(target, "tfport_record", None) is not None or not tells_of_models(beside):
        return target, type(target).__name__, None
    return target, _recorded(beside, (type(target).__name__, name)), beside


@functools.lru_cache(maxsize=4)
def _found(module: str, file: str, name: str) -> Any:
    """What a file binds a name to; the file is imported once."""
    stem = os.path.splitext(os.path.basename(file))[0]
    if stem in sys.modules:  # another module's name: its file and its record would be taken for this one's
        stem = f"{stem} of {os.path.abspath(file)}"
    spec = importlib.util.spec_from_file_location(stem, os.path.abspath(file))
    if spec is None or spec.loader is None:
        raise WeightsError(f"--module {module}: {file} is no Python file")
    loaded = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(os.path.abspath(file)))
    look_above(file)
    sys.modules[stem] = loaded
    try:
        spec.loader.exec_module(loaded)
    except Exception as error:  # whatever the user's code raises: said in one line, with its type
        raise WeightsError(f"--module {module}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(os.path.dirname(os.path.abspath(file)))
    if not hasattr(loaded, name):
        raise WeightsError(f"--module {module}: {file} defines no {name}")
    return getattr(loaded, name)


def _recorded(path: str, names: tuple[str, ...]) -> str:
    """The first of the names that the record knows: the class's, then the builder's."""
    from tfport.weights.record import load_record

    data = load_record(path)
    models = data.get("models") if isinstance(data, dict) else None
    return next((name for name in names if isinstance(models, dict) and name in models), names[0])


def _shape(text: str) -> tuple[tuple[int, ...], str]:
    """``4x10:int64`` -> ((4, 10), "int64")."""
    match = re.fullmatch(
        r"(\d+(?:x\d+)*)(?::(float(?:16|32|64)|bfloat16|u?int8|int(?:16|32|64)|bool))?", text
    )
    if match is None:
        raise WeightsError(f"--input {text}: expected a shape, such as 1x224x224x3 or 4x10:int64")
    return tuple(int(size) for size in match[1].split("x")), match[2] or "float32"
