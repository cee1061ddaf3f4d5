"""Reference tensors beside the candidate's: in which reading they agree, or come closest; inputs inside a border."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tfport.parity.localise.judging import Judge, Measure
from tfport.parity.localise.readings import CHANNELS_FIRST, Reading, cropped, crops, readings
from tfport.parity.localise.reference import Reference
from tfport.parity.localise.slots import WHOLE, Slot

SAMPLES = 16
"""How many elements are looked at before all are."""


@dataclass
class Found:
    """One reference tensor beside one tensor of the candidate."""

    key: str
    stage: str
    """`output`, or `before` its activation."""
    measure: Measure
    slot: Slot
    reading: Reading


class Matcher:
    """Compares in every reading that the shapes allow; the one that held last is tried first."""

    def __init__(self, reference: Reference, judge: Judge) -> None:
        self.reference, self.judge = reference, judge
        self.liked: dict[int, Reading] = {}  # rank -> the reading that held last
        self.sampled: dict[tuple[int, ...], tuple[torch.Tensor, ...]] = {}  # shape -> places to look at first

    def recognise(self, key: str, stage: str, tensor: torch.Tensor) -> Found | None:
        """As `compare`, but None where nothing agrees, which a few elements tell at once."""
        if tensor.is_floating_point():
            shape = self.reference.shape(key)
            places = self._places(tuple(tensor.shape))
            given = tensor[places]
            wanted = self.judge.tensor(key)
            limit = self.judge.limit(key, self.judge.scale(key, wanted))
            options = readings(shape, tuple(tensor.shape), self.reference.flattened.get(key))
            for reading in options:
                held = reading.of(wanted, tensor.shape)[places]
                if not bool(((given - held).abs() > limit).any()):
                    break
            else:
                return None
        found = self.compare(key, stage, WHOLE, tensor)
        return found if found is not None and found.measure.ok else None

    def _places(self, shape: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
        """A few places in a tensor of this shape, always the same ones."""
        if shape not in self.sampled:
            size = math.prod(shape)
            flat = np.arange(min(size, SAMPLES)) * 2654435761 % max(size, 1)
            places = np.unravel_index(flat, shape) if shape else ()
            self.sampled[shape] = tuple(torch.from_numpy(p).to(self.judge.device) for p in places)
        return self.sampled[shape]

    def compare(
        self, key: str, stage: str, slot: Slot, tensor: torch.Tensor, time: bool = False, images: bool = False
    ) -> Found | None:
        """The reading of `tensor` in which it agrees with a reference tensor, else the closest; None where no
        shape fits. `images`: the module works on channels first, which decides between readings that differ.
        """
        shape = self.reference.shape(key)
        flattened = self.reference.flattened.get(key)
        options = list(readings(shape, tuple(tensor.shape), flattened, time))
        liked = self.liked.get(len(shape))
        if liked in options:
            options.remove(liked)
            options.insert(0, liked)
        wanted = self.judge.tensor(key) if options else None
        closest: tuple[Any, Found] | None = None
        for reading in options:
            held = reading.of(wanted, tensor.shape)  # type: ignore[arg-type]
            measure = self.judge.measure(key, held, tensor)
            found = Found(key, stage, measure, slot, reading)
            if measure.ok:
                if len(shape) > 2:
                    self.liked[len(shape)] = reading
                return found
            expected = reading.channels_first == images and reading.exact
            rank = (not reading.exact, measure.max_abs * (0.3 if expected else 1.0))
            if closest is None or rank < closest[0]:
                closest = (rank, found)
        return closest[1] if closest else None

    def match(self, key: str, given: Sequence[torch.Tensor]) -> tuple[str, Reading | None, str]:
        """Whether one of the tensors holds a reference tensor: (`equal`/`padded`/`differ`, how, border)."""
        for tensor in given:
            found = self.compare(key, "input", WHOLE, tensor)
            if found is not None and found.measure.ok:
                return "equal", found.reading, ""
        shape = self.reference.shape(key)
        wanted = self.judge.tensor(key)
        for tensor in given:
            for reading, place in crops(shape, tuple(tensor.shape)):
                inner = wanted.permute(reading.order)
                first = 2 if reading.channels_first else 1
                sizes = inner.shape[first : first + len(place)]
                part = cropped(tensor, reading, place, sizes)
                if self.judge.measure(key, inner, part).ok:
                    outer = tensor.shape[first : first + len(place)]
                    pads = [(a, o - a - n) for a, o, n in zip(place, outer, sizes, strict=True)]
                    return "padded", reading, str(pads[0] if len(set(pads)) == 1 else tuple(pads))
            if tensor.ndim == len(shape) and self._is_border_of(key, wanted, tensor):
                return "padded", None, ""
        return "differ", None, ""

    def _is_border_of(self, key: str, wanted: torch.Tensor, tensor: torch.Tensor) -> bool:
        """Whether the reference's input is the candidate's with a border: the module pads by itself."""
        order = CHANNELS_FIRST.get(wanted.ndim)
        if order is None:
            return False
        moved = wanted.permute(order)
        shape = [tensor.shape[i] for i in (0, *range(2, tensor.ndim), 1)]
        for reading, place in crops(shape, tuple(moved.shape)):
            if reading.channels_first:
                part = cropped(moved, reading, place, tensor.shape[2:])
                if part.shape == tensor.shape and self.judge.measure(key, part, tensor).ok:
                    return True
        return False
