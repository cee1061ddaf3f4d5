"""Options of ``tfport weights`` that pick and change tensors: ``--select``, ``--exclude``, ``--dtype``, sizes."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence

from tfport.weights.errors import WeightsError
from tfport.weights.writers import Tensor, cast

__all__ = ["DTYPES", "changed", "chosen", "size_in_bytes"]

DTYPES = ("float16", "bfloat16", "float32", "float64")
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def size_in_bytes(text: str, option: str) -> int:
    """``500MB``, ``2GB``, ``1GiB`` or a number of bytes; WeightsError for anything else."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?i?B?)\s*", text, re.IGNORECASE)
    unit = (
        UNITS.get(
            match[2].upper() if match[2].upper().endswith("B") or not match[2] else match[2].upper() + "B"
        )
        if match
        else None
    )
    size = int(float(match[1]) * unit) if match and unit else 0
    if size <= 0:
        raise WeightsError(f"{option} {text}: expected a size such as 500MB, 2GB or 1GiB")
    return size


def chosen(names: Mapping[str, str], select: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """The names that a pattern of ``select`` matches (all without one) and none of ``exclude`` does.

    ``names`` gives each name's other one, which a pattern may match as well: the key in the file, and what it is
    written as. Patterns are shell patterns over the whole name (``encoder/*``, ``*kernel``). One that matches nothing
    raises WeightsError: it is a typing mistake more often than not.
    """

    def matching(pattern: str) -> set[str]:
        fits = re.compile(fnmatch.translate(pattern)).match
        found = {name for name, other in names.items() if fits(name) or fits(other)}
        if not found:
            near = ", ".join(list(names)[:5])
            raise WeightsError(f"the pattern {pattern!r} matches no tensor; the first are {near}")
        return found

    wanted = set().union(*map(matching, select)) if select else set(names)
    unwanted = set().union(*map(matching, exclude))
    kept = [name for name in names if name in wanted and name not in unwanted]
    if not kept:
        raise WeightsError("--select and --exclude leave no tensor")
    return kept


def changed(
    tensors: Mapping[str, Tensor],
    select: Sequence[str],
    exclude: Sequence[str],
    dtype: str | None,
    keys: Mapping[str, str] | None = None,
) -> dict[str, Tensor]:
    """The chosen tensors, floating ones in ``dtype`` where one is given. ``keys`` are their names in the checkpoint."""
    names = chosen({name: (keys or {}).get(name, name) for name in tensors}, select, exclude)
    return {n: tensors[n] if dtype is None else cast(n, tensors[n], dtype) for n in names}
