"""``tfport weights --diff A B``: two checkpoints, TensorFlow's or torch's, tensor by tensor.

Names are paired when they are the same, or the same variable in the two frameworks' spelling (``conv1/kernel:0`` and
``conv1.weight``). Where the shapes differ, the standard move of a kernel (h w i o -> o i h w, i o -> o i) is tried and
said; nothing is ever reshaped.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfport.weights.bundle import GRAPH
from tfport.weights.checkpoint import Checkpoint
from tfport.weights.detect import read_checkpoint
from tfport.weights.dtypes import UNREADABLE
from tfport.weights.errors import WeightsError, brief
from tfport.weights.moving import blocks

__all__ = ["Difference", "Row", "diff", "open_any"]

SPELLINGS = {"kernel": "weight", "gamma": "weight", "embeddings": "weight", "beta": "bias", "moving_mean": "running_mean",
             "moving_variance": "running_var", "weights": "weight", "biases": "bias"}  # fmt: skip
NESTED = ("model", "state_dict", "model_state_dict", "module")
"""Where a file with an optimizer's state, too, keeps the state_dict."""
KERNELS = {2: (1, 0), 3: (2, 1, 0), 4: (3, 2, 0, 1), 5: (4, 3, 0, 1, 2)}
WORDS = {2: "i o -> o i", 3: "k i o -> o i k", 4: "h w i o -> o i h w", 5: "d h w i o -> o i d h w"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One pair of tensors, or a tensor that stands alone.

    ``status`` is equal (bit for bit), close (only numbers differ: see ``max_abs``), strings (they differ), shape, dtype,
    only in A or only in B.
    """

    a: str | None
    b: str | None
    status: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    move: str = ""
    differing: int = 0
    max_abs: float = 0.0
    note: str = ""
    weight: bool = True
    """False for optimizer state, counters and strings."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """All rows. ``equal`` when both hold the same tensors, bit for bit."""

    a: str
    b: str
    rows: tuple[Row, ...]
    left_out: tuple[int, int] = (0, 0)
    """Tensors of A and of B that are no weights (optimizer state, counters, strings) and not in the other file too."""

    @property
    def equal(self) -> bool:
        return bool(self.rows) and all(row.status == "equal" for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"equal": self.equal, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        lines = [_line(row) for row in self.rows if row.status != "equal"]
        weights = [row for row in self.rows if row.weight]
        count = sum(row.status == "equal" for row in weights)
        moved = sum(row.status == "equal" and bool(row.move) for row in weights)
        told = f"{count} of {len(weights)} tensors are equal, bit for bit"
        lines.append(told + (f" ({moved} of them after the move of a kernel)" if moved else ""))
        if state := [row.status == "equal" for row in self.rows if not row.weight]:
            lines.append(f"of what is no weight (optimizer, counters, strings): {sum(state)} of {len(state)}")
        if any(self.left_out):
            lines.append(
                f"no weights, and not in both: {self.left_out[0]} tensors of A, {self.left_out[1]} of B"
            )
        return "\n".join(lines)


def _line(row: Row) -> str:
    name = row.a if row.a == row.b or row.b is None else row.b if row.a is None else f"{row.a} | {row.b}"
    told = (
        f"{row.differing} values differ, at most by {row.max_abs:.3e}" if row.status == "close" else row.note
    )
    move = f" ({row.move})" if row.move else ""
    return f"{row.status:<9} {name} {list(row.shape)} {row.dtype}{move}: {told}"


def diff(a: str, b: str) -> Difference:
    """Compare two checkpoints; WeightsError where one cannot be read. Memory holds one pair of tensors' blocks."""
    left, right = open_any(a), open_any(b)
    pairs, alone = _paired(list(left), list(right))
    rows = [_compared(x, y, left[x], right[y]) for x, y in pairs]
    rows += [Row(x, None, "only in A", *_facts(left[x]), note=f"not in {b}") for x in alone[0]]
    rows += [Row(None, y, "only in B", *_facts(right[y]), note=f"not in {a}") for y in alone[1]]
    states = [held.state if isinstance(held, _Weights) else {} for held in (left, right)]
    both = [key for key in states[0] if key in states[1]]
    rows += [
        dataclasses.replace(_compared(key, key, states[0][key], states[1][key]), weight=False) for key in both
    ]
    left_out = len(states[0]) - len(both), len(states[1]) - len(both)
    return Difference(a, b, tuple(rows), left_out)


def _facts(array: np.ndarray) -> tuple[tuple[int, ...], str]:
    return array.shape, "string" if array.dtype == object else array.dtype.name


class _Weights(Mapping[str, np.ndarray]):
    """The numeric weights of a TensorFlow checkpoint, and what else it holds: optimizer state, counters, strings."""

    def __init__(self, path: str) -> None:
        self._checkpoint = read_checkpoint(path)
        self._names = self._checkpoint.numbers()
        weights = set(self._names.values())
        self.state = _State(self._checkpoint, [key for key in self._checkpoint if key not in weights])

    def __getitem__(self, name: str) -> np.ndarray:
        return self._checkpoint[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _State(Mapping[str, np.ndarray]):
    """The tensors of a checkpoint that are no weights, by key; without its description of the objects and the number
    of times that it was saved.
    """

    def __init__(self, checkpoint: Checkpoint, keys: list[str]) -> None:
        self._checkpoint = checkpoint
        self._keys = {
            key: None
            for key in keys
            if key != GRAPH
            and not key.startswith("save_counter/")
            and checkpoint.entries[key].dtype not in UNREADABLE
        }

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in self._keys:
            raise KeyError(key)
        return self._checkpoint[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def open_any(path: str) -> Mapping[str, np.ndarray]:
    """A TensorFlow or Keras checkpoint, a .safetensors file or its index, or a .pt state_dict (by torch's loader for
    weights alone, which runs no code)."""
    if path.endswith(".safetensors"):
        return _safetensors(path)
    if path.endswith(".safetensors.index.json"):
        return _shards(path)
    if path.endswith((".pt", ".pth")):
        return _pt(path)
    if os.path.isfile(os.path.join(path, ".metadata")):
        raise WeightsError(
            f"{path}: the description of a distributed checkpoint is a pickle, which is never loaded: compare the"
            " .safetensors or .pt file that is written instead of it"
        )
    return _Weights(path)


def _safetensors(path: str) -> Mapping[str, np.ndarray]:
    from tfport.weights.safetensors_file import read_safetensors

    return read_safetensors(path)


def _shards(path: str) -> Mapping[str, np.ndarray]:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            files = sorted(set(json.load(file)["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"{path}: no index of shards: {error}") from None
    found: dict[str, np.ndarray] = {}
    for name in files:
        if os.path.basename(name) != name:
            raise WeightsError(f"{path}: names a shard outside its folder: {name}")
        found |= _safetensors(os.path.join(os.path.dirname(path), name))
    return found


def _pt(path: str) -> Mapping[str, np.ndarray]:
    import torch

    from tfport.weights.command import array_of

    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # on a damaged file torch's loader raises whatever its parts do
        raise WeightsError(f"{path}: no state_dict of tensors alone: {brief(error)}") from None
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: holds a {type(state).__name__}, no state_dict")
    inside = [state[name] for name in NESTED if isinstance(state.get(name), dict)]
    if len(inside) == 1 and not any(isinstance(value, torch.Tensor) for value in state.values()):
        state = inside[0]
    if not any(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path}: holds no tensors, and no state_dict under {', '.join(NESTED)}")
    return {str(k): array_of(v) for k, v in state.items() if isinstance(v, torch.Tensor)}


def _paired(a: list[str], b: list[str]) -> tuple[list[tuple[str, str]], tuple[list[str], list[str]]]:
    both = set(a) & set(b)
    pairs = [(name, name) for name in a if name in both]
    left, right = [n for n in a if n not in both], [n for n in b if n not in both]
    spelled: dict[str, list[str]] = {}
    for name in right:
        spelled.setdefault(_spelling(name), []).append(name)
    mine = [_spelling(name) for name in left]
    for name, key in zip(list(left), mine, strict=True):
        if mine.count(key) == 1 and len(spelled.get(key, [])) == 1:
            other = spelled[key][0]
            pairs.append((name, other))
            left.remove(name)
            right.remove(other)
    return pairs, (left, right)


def _spelling(name: str) -> str:
    parts = re.split(r"[/.]", re.sub(r":\d+$", "", name))
    parts[-1] = SPELLINGS.get(parts[-1], parts[-1])
    return ".".join(parts)


def _compared(a: str, b: str, x: np.ndarray, y: np.ndarray) -> Row:
    shape, dtype = _facts(x)
    move = ""
    kernel = re.search(r"kernel(:\d+)?$|weights$", a) is not None and a != b
    if kernel and x.ndim in KERNELS and x.transpose(KERNELS[x.ndim]).shape == y.shape:
        x, move = x.transpose(KERNELS[x.ndim]), WORDS[x.ndim]
    if x.shape != y.shape:
        return Row(a, b, "shape", shape, dtype, note=f"{list(y.shape)} in B")
    if x.dtype != y.dtype:
        return Row(a, b, "dtype", shape, dtype, move, note=f"{y.dtype.name} in B")
    if x.dtype == object:
        differing = sum(one != other for one, other in zip(x.ravel(), y.ravel(), strict=True))
        return Row(a, b, "strings" if differing else "equal", shape, dtype, note=f"{differing} differ")
    differing, largest = 0, 0.0
    for left, right in zip(_pieces(x), _pieces(y), strict=True):
        bits = left.view(np.uint8).reshape(len(left), -1) != right.view(np.uint8).reshape(len(right), -1)
        rows = bits.any(axis=1)
        if rows.any():
            differing += int(rows.sum())
            with np.errstate(all="ignore"):
                gap = np.abs(_wide(left[rows]) - _wide(right[rows]))
            largest = max(largest, float(np.nan_to_num(gap, nan=np.inf).max()))
    return Row(a, b, "close" if differing else "equal", shape, dtype, move, differing, largest)


def _wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def _pieces(array: np.ndarray, size: int = 1 << 18) -> Iterator[np.ndarray]:
    """The elements in C order, ``size`` at a time whatever the strides are."""
    held = np.empty(0, array.dtype)
    for block in blocks(array):
        held = np.concatenate([held, block()]) if len(held) else block()
        while len(held) >= size:
            yield held[:size]
            held = held[size:]
    if len(held):
        yield held
