"""What every reader returns: a lazy, read-only mapping from tensor name to array."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from tfport.weights.errors import WeightsError

__all__ = ["ELSEWHERE", "Checkpoint", "Entry", "Unchecked", "plain", "with_slots"]

T = TypeVar("T")
ELSEWHERE = "of another part"
"""Begins the reason to ignore a weight that another model's part of the file holds."""


@dataclasses.dataclass(frozen=True)
class Unchecked:
    """Reading and checking a tensor apart: ``check`` raises WeightsError where the values are damaged."""

    read: Callable[[], np.ndarray]
    check: Callable[[], None]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor of a checkpoint.

    ``layers`` are names of the owning layer ("block1/conv1"), ``paths`` its places among the objects
    ("layers/conv2d_1", "encoder/conv"), ``variable`` the variable's name in the layer ("kernel") where the
    format tells it, ``index`` its position there. ``ignored`` is empty for a weight, else why it is none
    (optimizer slot, counter, seed). ``not_for`` ends the names of classes whose tensor it cannot be.
    """

    key: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray] = dataclasses.field(repr=False, compare=False)
    layers: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    variable: str | None = None
    index: int | None = None
    ignored: str = ""
    unchecked: Unchecked | None = dataclasses.field(default=None, repr=False, compare=False)
    not_for: str = ""

    made_of: tuple[str, ...] = ()
    """The tensors of the file that this one is put together from; empty for one that stands in the file."""

    @property
    def nbytes(self) -> int | None:
        """Size of the values in bytes; None for strings."""
        if self.dtype == "string":
            return None
        from tfport.weights.dtypes import dtype_of

        return int(np.prod(self.shape, dtype=object)) * dtype_of(self.dtype).itemsize


class Checkpoint(Mapping[str, np.ndarray]):
    """Tensors by name, each read when it is asked for; arrays are read-only views of the file where possible.

    ``format`` names the format; ``entries`` holds shape and dtype without reading values; ``orders`` are
    lists of keys in the order in which the model itself lists its variables, each for one list that the file
    stores; ``layers`` are the places of its layers in that order, where a configuration tells it. ``optimizer`` is
    the configuration of the optimizer that the model was compiled with (of the one inside a LossScaleOptimizer):
    class_name and config. ``trained`` are the keys of the weights that an optimizer of the object graph lists, in
    its order, by the optimizer's place ("generator_optimizer").
    """

    def __init__(
        self,
        path: str,
        format: str,
        entries: Sequence[Entry],
        orders: Sequence[Sequence[str]] = (),
        layers: Sequence[str] = (),
        optimizer: Mapping[str, Any] | None = None,
        trained: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.path = path
        self.format = format
        from tfport.weights.cudnn import without_buffers

        self.entries: dict[str, Entry] = {entry.key: entry for entry in without_buffers(entries)}
        self.orders = tuple(tuple(order) for order in orders)
        self.layers = tuple(layers)
        self.optimizer = optimizer
        self.trained = {place: tuple(keys) for place, keys in (trained or {}).items()}
        self.config: Any = None
        """The model's configuration, as Keras wrote it, where the file has one."""

    def having(self, entries: Sequence[Entry], format: str | None = None) -> Checkpoint:
        """The same file with other tensors."""
        other = Checkpoint(
            self.path, format or self.format, entries, self.orders, self.layers, self.optimizer, self.trained
        )
        other.config = self.config
        return other

    def part(self, name: str) -> Checkpoint:
        """The same file with the weights of one of its models ("generator"): the others are there and ignored.

        ``name`` is the model's place among the saved objects, or the first scopes of its variables' names. Raises
        WeightsError where nothing stands there.
        """
        entries, found = [], False
        for entry in self.entries.values():
            inside = tuple(p[len(name) :].lstrip("/") for p in entry.paths if _below(p, name))
            if entry.ignored:
                entries.append(entry)
            elif inside or _below(entry.key, name) or any(_below(layer, name) for layer in entry.layers):
                entries.append(dataclasses.replace(entry, paths=inside or entry.paths))
                found = True
            else:
                entries.append(dataclasses.replace(entry, ignored=f"{ELSEWHERE} than {name}"))
        if not found:
            tops = {(e.paths or (e.key,))[0].split("/")[0] for e in self.entries.values() if not e.ignored}
            raise WeightsError(
                f"{self.path}: holds no weights of {name!r}; its parts are {', '.join(sorted(tops))}"
            )
        kept = {entry.key for entry in entries if not entry.ignored}
        orders = [[key for key in order if key in kept] for order in self.orders]
        layers = [p[len(name) :].lstrip("/") for p in self.layers if _below(p, name)]
        return Checkpoint(self.path, self.format, entries, orders, layers, self.optimizer, self.trained)

    @property
    def averages(self) -> bool | None:
        """Whether the optimizer keeps averages of the weights (``use_ema``); None where no configuration tells."""
        told = None if self.optimizer is None else self.optimizer["config"].get("use_ema")
        return told if isinstance(told, bool) else None

    @functools.cached_property
    def made(self) -> dict[str, Entry]:
        """Tensors that are not in the file but can be put together from it, by name: torch's of a cuDNN layer."""
        from tfport.weights.cudnn import torch_layers

        return {entry.key: entry for entry in torch_layers(self)}

    def numbers(self) -> dict[str, str]:
        """The weights that are numbers, by TensorFlow's names where those are known and unique: name -> key."""
        from tfport.weights.names import VALUE, full_name

        kept = [e for e in self.entries.values() if not e.ignored and e.dtype != "string"]
        names = {e.key: full_name(e.key, e.layers, e.variable) for e in kept}
        count = Counter(names.values())
        own = {key: name if count[name] == 1 else key.removesuffix(VALUE) for key, name in names.items()}
        if len(set(own.values())) < len(own):  # a name that is another tensor's key
            own = {key: key for key in own}
        return {name: key for key, name in own.items()}

    def _entry(self, key: str) -> Entry:
        return self.entries[key] if key in self.entries else self.made[key]

    def __getitem__(self, key: str) -> np.ndarray:
        entry = self._entry(key)
        array = self._said(key, entry.read)
        if array.shape != entry.shape:
            raise WeightsError(f"{self.path}: {key}: holds shape {array.shape}, its entry says {entry.shape}")
        return array

    def apart(self, key: str) -> tuple[Callable[[], np.ndarray], Callable[[], None] | None]:
        """How to read a tensor, and how to check it beside that, for who does both at once; None where reading
        checks."""
        entry = self._entry(key)
        if entry.unchecked is None:
            return (lambda: self[key]), None
        unchecked = entry.unchecked
        return (lambda: self._said(key, unchecked.read)), (lambda: self._said(key, unchecked.check))

    def _said(self, key: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except WeightsError as error:
            raise WeightsError(f"{self.path}: {key}: {error}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"<Checkpoint {self.format} {self.path!r}, {len(self)} tensors>"


def _below(path: str, name: str) -> bool:
    return path == name or path.startswith(name + "/")


def _native(array: np.ndarray) -> np.ndarray:
    """The array in the machine's order of bytes."""
    array = np.asarray(array)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def with_slots(entries: Sequence[Entry]) -> list[Entry]:
    """Entries of a checkpoint by name in which ``w/my_adam`` is a slot of ``w``, of its shape and dtype, not a weight: an
    optimizer may have any name."""
    from tfport.weights.names import slot_owner

    held = {entry.key: entry for entry in entries if not entry.ignored}
    found = []
    for entry in entries:
        owner = None if entry.ignored else held.get(slot_owner(entry.key, held) or "")
        if owner is not None and entry.shape and (owner.shape, owner.dtype) == (entry.shape, entry.dtype):
            entry = dataclasses.replace(entry, ignored=f"optimizer slot {entry.key[len(owner.key) + 1 :]}")
        found.append(entry)
    return found


def plain(arrays: Mapping[str, np.ndarray]) -> Checkpoint:
    """A checkpoint made of any mapping of names to arrays: TensorFlow variable names such as
    ``conv1/kernel:0``.
    """
    from tfport.weights.names import describe

    entries = []
    for key in arrays:
        array = np.asarray(arrays[key])
        dtype = "string" if array.dtype.kind in "OSU" else array.dtype.name
        entries.append(Entry(key, array.shape, dtype, lambda k=key: _native(arrays[k]), **describe(key)))  # type: ignore[misc]
    weights = [entry.key for entry in entries if not entry.ignored]
    return Checkpoint("<mapping>", "mapping", entries, [weights])
