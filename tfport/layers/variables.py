"""Which variables a Keras layer has with these arguments, and where each goes: the rule's table made concrete.

A place is (parameter, pattern, sizes), as in the model record; a variable that goes to several parameters has several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Place = tuple[str, str, dict[str, Any]]
Table = dict[str, list[Place]]

HEADS = {"h": "num_heads", "u": "num_query_heads", "v": "num_key_value_heads"}
FLAGS = {"bias": "use_bias", "gamma": "scale", "beta": "center"}  # variables that an argument leaves out


def places(value: Any) -> list[Place]:
    """One row of a rule's table: a place or a list of places; sizes may be left out."""
    rows = [value] if isinstance(value[0], str) else value
    return [(row[0], row[1], dict(row[2]) if len(row) > 2 else {}) for row in rows]


def table(
    weights: Mapping[str, Any] | None, unless: Mapping[str, Any] | None, arguments: Mapping[str, Any]
) -> Table:
    """The variables that these arguments make, in Keras' order."""
    rows = dict(weights or {})
    for argument, others in (unless or {}).items():
        if arguments.get(argument) is False:
            rows.update(others)
    return _heads({
        variable: places(row)
        for variable, row in rows.items()
        if row is not None and arguments.get(FLAGS.get(variable.rpartition("/")[2], ""), True) is not False
    }, arguments)  # fmt: skip


def _heads(found: Table, arguments: Mapping[str, Any]) -> Table:
    """The sizes that a composite such as ``(h d)`` needs: the number of heads."""
    for rows in found.values():
        for _, pattern, sizes in rows:
            match = re.search(r"\(([huv]) d\)", pattern)
            if match and isinstance(count := arguments.get(HEADS[match[1]]), int):
                sizes[match[1]] = count
    return found


def below(prefix: str, path: str, found: Table) -> Table:
    """The table of a layer inside another: variables under ``prefix``, parameters under ``path``."""
    return {
        "/".join(filter(None, (prefix, variable))): [
            (".".join(filter(None, (path, parameter))), pattern, sizes) for parameter, pattern, sizes in rows
        ]
        for variable, rows in found.items()
    }


def reverse(found: Table) -> Table:
    """The backward direction of a bidirectional torch layer: ``weight_ih_l0_reverse``."""
    return {
        v: [(f"{parameter}_reverse", pattern, sizes) for parameter, pattern, sizes in rows]
        for v, rows in found.items()
    }


def channels_in(found: Table, channels: int | None) -> Table:
    """The sizes that a composite such as ``(c m)`` needs: the channels of the input."""
    for rows in found.values():
        for _, pattern, sizes in rows:
            if re.search(r"\(c m\)", pattern) and channels is not None:
                sizes["c"] = channels
    return found


def record(found: Table) -> dict[str, Any]:
    """The table as the record writes it: one place as it is, several as a list."""
    listed = {variable: [[*row] for row in rows] for variable, rows in found.items()}
    return {variable: rows[0] if len(rows) == 1 else rows for variable, rows in listed.items()}


def numbered_cells(kinds: list[str]) -> list[str]:
    """The names of stacked cells in a ``.weights.h5``: ``cell/cells/lstm_cell``, ``cell/cells/lstm_cell_1``."""
    from tfport.layers.names import container_names

    return [f"cell/cells/{name}" for name in container_names(kinds)]
