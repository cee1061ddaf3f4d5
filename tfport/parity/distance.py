"""How far two arrays of one shape lie apart, element by element, in pieces: no copy of a whole array is made.

An array that is not contiguous is made so, once; beyond that the memory in use is a few pieces of `CHUNK`
elements in float64, whatever the size of the arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

CHUNK = 1 << 16
"""Elements of one piece: in float64 it fits the cache of a core."""

ULP_QUANTILES = (0.5, 0.99, 1.0)

MASK = 1e4
"""From this size on numbers that all but coincide count as a mask's constant (-1e9 on masked logits)."""
MASK_GAP = 256.0
MASK_SPREAD = 1e-2


@dataclass
class Scale:
    """The size of what is judged. `constant` is that of a mask's constant among the values, 0 where there is none.

    Elements above `above` are the mask's; they are judged by their own size, the others by `largest`, so that
    a -1e9 among logits does not give the logits room for errors of 10,000.
    """

    largest: float
    constant: float = 0.0
    above: float = math.inf


@dataclass
class Distance:
    """What `measure` finds."""

    max_abs: float = 0.0
    worst: int = 0
    """Flat index of the element that is furthest off, for what it is allowed."""
    differing: int = 0
    """Elements outside the limit."""
    cosine: float | None = None
    """Cosine similarity over the elements that are finite on both sides; None where one side is all zero."""
    snr: float | None = None
    """Signal-to-noise ratio in decibels, infinite without noise; None where the reference is all zero."""
    ulp: Ulp | None = None


def pieces(*arrays: np.ndarray) -> Iterator[tuple[int, tuple[np.ndarray, ...]]]:
    """(first flat index, one piece of each array), in C order."""
    flat = [a.reshape(-1) for a in arrays]
    for start in range(0, flat[0].size, CHUNK):
        yield start, tuple(a[start : start + CHUNK] for a in flat)


def scale_of(a: np.ndarray) -> Scale:
    """The largest finite absolute value of a numeric array; a mask's constant apart."""
    largest = _extent(a, math.inf)
    if largest < MASK or a.size < 2 or a.dtype.kind != "f":
        return Scale(largest)
    below = largest * (1 - MASK_SPREAD)
    rest = _extent(a, below)
    if 0 < rest <= largest / MASK_GAP:
        return Scale(rest, largest, below)
    return Scale(largest)


def _extent(a: np.ndarray, below: float) -> float:
    """The largest finite |value| under `below`; 0 where there is none."""
    largest = 0.0
    wide = {"c": np.dtype("complex128"), "f": a.dtype}.get(a.dtype.kind, np.dtype("float64"))
    for _, (part,) in pieces(a):
        with np.errstate(all="ignore"):
            sizes = np.abs(part.astype(wide, copy=False))
        top = float(sizes.max())
        if not top < below or not math.isfinite(top):
            sizes = sizes[np.isfinite(sizes) & (sizes < below)]
            top = float(sizes.max()) if sizes.size else 0.0
        largest = max(largest, top)
    return largest


def measure(
    a: np.ndarray, b: np.ndarray, limit: float, scale: Scale, *, dtype: str = "", detail: bool = True
) -> Distance:
    """Compares floating or complex arrays of one shape. NaN equals NaN, an infinity its like, and nothing else;
    of complex numbers both parts do.

    `limit` is the largest difference that agrees, for the elements that `scale.largest` belongs to. With
    `detail` also cosine, signal-to-noise and, where `dtype` names a real floating type, units of the last place.
    """
    wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
    found = Distance()
    sums = _Sums(scale.constant or scale.largest) if detail else None
    units = Ulp(dtype) if detail and dtype in WIDTHS and wide is np.float64 else None
    far = -1.0
    for start, (p, q) in pieces(a, b):
        x, y = p.astype(wide), q.astype(wide)
        with np.errstate(all="ignore"):
            gap = np.abs(y - x)
            clean = bool(np.isfinite(gap.sum()))
            if not clean:
                finite = np.isfinite(x) & np.isfinite(y)
                gap = (
                    np.hypot(_gaps(x.real, y.real), _gaps(x.imag, y.imag))
                    if x.dtype.kind == "c"
                    else _gaps(x, y)
                )
            judged = gap
            if scale.constant:
                judged = np.where(np.abs(x) > scale.above, gap * (scale.largest / scale.constant), gap)
        at = int(judged.argmax())
        if judged[at] > far:
            far, found.worst = float(judged[at]), start + at
        found.max_abs = max(found.max_abs, float(gap.max()))
        if far > limit:
            found.differing += int(np.count_nonzero(judged > limit))
        if sums is not None:
            sums.add(x, y, gap) if clean else sums.add(x[finite], y[finite], gap[finite])
        if units is not None:
            units.add(p, q) if clean else units.add(p[finite], q[finite])
    if sums is not None:
        found.cosine, found.snr = sums.cosine(), sums.snr()
    found.ulp = units if units is not None and units.count else None
    return found


def _gaps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distances of real numbers: none between two NaN or one infinity, infinite where only one side is finite."""
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    finite = np.isfinite(x) & np.isfinite(y)
    return np.where(same, 0.0, np.where(finite, np.abs(y - x), np.inf))


class _Sums:
    """Inner products over the pieces, in units of the scale so that they neither overflow nor vanish."""

    def __init__(self, scale: float) -> None:
        self.unit = 1.0 if 1e-100 < scale < 1e100 else scale or 1.0
        self.xx = self.yy = self.xy = self.noise = 0.0

    def add(self, x: np.ndarray, y: np.ndarray, gap: np.ndarray) -> None:
        """Adds one piece of finite numbers and their distances."""
        with np.errstate(all="ignore"):
            if self.unit != 1.0:
                x, y, gap = x / self.unit, y / self.unit, gap / self.unit
            self.xx += _inner(x, x)
            self.yy += _inner(y, y)
            self.xy += _inner(x, y)
            self.noise += _inner(gap, gap)

    def cosine(self) -> float | None:
        """Of the angle between both, as vectors."""
        norms = math.sqrt(self.xx) * math.sqrt(self.yy)
        if not 0 < norms < math.inf:
            return None
        return 1.0 if not self.noise else max(-1.0, min(1.0, self.xy / norms))

    def snr(self) -> float | None:
        """10 log10 of the reference's power over that of the difference."""
        if not 0 < self.xx < math.inf:
            return None
        if not self.noise:
            return math.inf
        return 10 * (math.log10(self.xx) - math.log10(self.noise)) if self.noise < math.inf else -math.inf


def _inner(x: np.ndarray, y: np.ndarray) -> float:
    """The real part of the inner product, in this thread: BLAS wakes all cores for a sum of microseconds."""
    return float(np.einsum("i,i->", x.conj() if x.dtype.kind == "c" else x, y).real)


WIDTHS = {"float64": 64, "float32": 32, "float16": 16, "bfloat16": 16}
_EXACT = 256
_STEPS = 128


@dataclass
class Ulp:
    """Counts of distances in units of the last place: exact below 256, in steps of 1/128 of a power of two above."""

    dtype: str
    count: int = 0
    largest: float = 0.0
    small: np.ndarray = field(default_factory=lambda: np.zeros(_EXACT, np.int64))
    large: np.ndarray = field(default_factory=lambda: np.zeros(66 * _STEPS, np.int64))

    def add(self, a: np.ndarray, b: np.ndarray) -> None:
        """Counts finite elements."""
        if not a.size:
            return
        x, y = _ordinals(a, self.dtype), _ordinals(b, self.dtype)
        if self.dtype == "float64":  # the distance of two int64 may be beyond int64
            distance = (np.maximum(x, y) - np.minimum(x, y)).view(np.uint64)
        else:
            distance = np.abs(np.subtract(x, y, dtype=np.int64))
        self.count += a.size
        top = int(distance.max())
        self.largest = max(self.largest, float(top))
        if top < _EXACT:
            self.small += np.bincount(distance.astype(np.intp), minlength=_EXACT)
            return
        low = distance < _EXACT
        self.small += np.bincount(distance[low].astype(np.intp), minlength=_EXACT)
        mantissa, exponent = np.frexp(distance[~low].astype(np.float64))
        index = exponent * _STEPS + np.floor((mantissa - 0.5) * (2 * _STEPS)).astype(np.intp)
        self.large += np.bincount(index, minlength=self.large.size)

    def quantiles(self, at: Sequence[float] = ULP_QUANTILES) -> dict[str, float]:
        """Distances that the given shares of the elements do not exceed; 1 is the largest, exactly."""
        counts = np.concatenate([self.small, self.large])
        reached = np.cumsum(counts)
        told = {}
        for q in at:
            index = int(np.searchsorted(reached, math.ceil(q * (self.count - 1)), side="right"))
            value = float(index) if index < _EXACT else _end(index - _EXACT)
            told[f"{q:g}"] = self.largest if q == 1 else min(value, self.largest)
        return told

    def histogram(self) -> list[int]:
        """How many elements are 0, 1, 2-3, 4-7, ... units off, as far as there are any."""
        counts = [int(self.small[0])]
        counts += [int(self.small[1 << k : 2 << k].sum()) for k in range(8)]
        powers = self.large.reshape(-1, _STEPS).sum(1)
        counts += [int(n) for n in powers[9:]]
        while len(counts) > 1 and not counts[-1]:
            counts.pop()
        return counts


def _end(index: int) -> float:
    """The upper end of a step."""
    exponent, step = divmod(index, _STEPS)
    return math.ldexp(0.5 + (step + 1) / (2 * _STEPS), exponent)


def ulp_quantiles(a: np.ndarray, b: np.ndarray, dtype: str) -> dict[str, float] | None:
    """Distances between two real arrays in units of the last place of `dtype`, at `ULP_QUANTILES`.

    Elements that are not finite on either side are left out; None for other dtypes or where none is left.
    """
    finite = np.isfinite(a) & np.isfinite(b)
    if dtype not in WIDTHS or not finite.any():
        return None
    units = Ulp(dtype)
    units.add(a[finite], b[finite])
    return units.quantiles()


def _ordinals(v: np.ndarray, dtype: str) -> np.ndarray:
    """Numbers such that neighbouring floats differ by one and both zeros are 0, as integers of the float's width."""
    if dtype == "bfloat16":
        bits = (np.ascontiguousarray(v, np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.int16)
    else:
        with np.errstate(over="ignore"):  # of a wider dtype: infinity is its place among the ordinals
            bits = np.ascontiguousarray(v, dtype).view(f"i{WIDTHS[dtype] // 8}")
    return np.where(bits < 0, np.iinfo(bits.dtype).min - bits, bits)
