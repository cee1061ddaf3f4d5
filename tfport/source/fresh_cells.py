"""A recurrent cell that is made where it is run: TensorFlow 1 makes its variables once, with the graph, torch at every call.

    def model(x):
        cell = tf.nn.rnn_cell.GRUCell(8)
        return tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)

runs as it stands, with new weights each time. Where the cell comes from outside (an argument, an attribute, a global
name) nothing is said.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfport.source.rewrite import Rewriter

_BOTH = ("cell_fw", "cell_bw")
LOOPS = {
    "tf.nn.dynamic_rnn": ("cell",), "tf.nn.static_rnn": ("cell",), "tf.nn.bidirectional_dynamic_rnn": _BOTH,
    "tf.nn.static_bidirectional_rnn": _BOTH, "tf.contrib.rnn.stack_bidirectional_dynamic_rnn": ("cells_fw", "cells_bw"),
}  # fmt: skip
Function = ast.FunctionDef | ast.AsyncFunctionDef


def note_fresh_cells(
    rewriter: Rewriter, node: ast.Call, name: str, arguments: Mapping[str, ast.expr]
) -> None:
    """Note TFP204 for a loop over a cell that the same function makes; ``__init__`` runs once, as the graph is built once."""
    at: ast.AST | None = node
    while at is not None and not isinstance(at, Function):
        at = rewriter.names.parent.get(at)
    if at is None or at.name == "__init__":
        return
    cells = [arguments[p] for p in LOOPS.get(name, ()) if p in arguments]
    if any(_is_made_in(at, cell) for cell in cells):
        rewriter.note_once(
            node, "TFP204", name, f"{at.name} makes the cell that it runs: its weights are new at every call,"
            " TensorFlow 1's were made once, with the graph; make the cell once, in a module's __init__",
        )  # fmt: skip


def _is_made_in(function: Function, cell: ast.expr) -> bool:
    if not isinstance(cell, ast.Name):
        return isinstance(cell, ast.Call | ast.List | ast.ListComp)
    given = function.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    if any(parameter.arg == cell.id for parameter in parameters):
        return False
    stored = (n for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    return any(n.id == cell.id for n in stored)
