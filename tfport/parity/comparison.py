"""Elementwise comparison of two results: value, shape and dtype, never means.

Two tensors agree when every element satisfies |candidate - reference| <= limit, one number for the tensor: see
`tolerance` for what it is and `distance` for how it is held against the elements. NaN agrees with NaN and an
infinity with the same infinity at the same place, and with nothing else. Integers, booleans and strings must be
equal. A different shape or dtype, a missing or an extra tensor, and a comparison of nothing are disagreements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfport.parity.distance import Scale, measure, pieces, scale_of
from tfport.parity.reference.values import Value, flatten
from tfport.parity.tolerance import CEILING, FACTOR, RTOL, Allowed, allowed


@dataclass
class TensorComparison:
    """One tensor of the reference beside the candidate's tensor of the same name."""

    name: str
    status: str
    """`equal` (bit for bit), `close`, `differs`, `shape`, `dtype`, `missing` or `extra`."""
    reason: str = ""
    """Why it does not agree, in words; empty where it does."""
    shape: tuple[int, ...] = ()
    dtype: str = ""
    candidate_shape: tuple[int, ...] | None = None
    candidate_dtype: str | None = None
    elements: int = 0
    """How many elements were compared."""
    differing: int = 0
    """How many elements are outside the tolerance."""
    scale: float = 0.0
    """The largest finite |reference|; a mask's constant (-1e9 on masked logits) is left out."""
    max_abs: float = 0.0
    max_rel: float = 0.0
    """`max_abs / scale`; infinite where the scale is zero and something differs."""
    worst: tuple[int, ...] | None = None
    """Index of the worst element, with the two values there."""
    reference_value: Any = None
    candidate_value: Any = None
    cosine: float | None = None
    """Cosine similarity over the elements finite on both sides; None for what is not floating or all zero."""
    snr: float | None = None
    """Signal-to-noise ratio in decibels, infinite where nothing differs; None as for `cosine`."""
    ulp: dict[str, float] | None = None
    """Distances in units of the last place, at the quantiles 0.5, 0.99 and 1; None for what is not real."""
    ulp_histogram: list[int] | None = None
    """How many elements are 0, 1, 2-3, 4-7, ... units of the last place off."""
    rtol: float = 0.0
    atol: float = 0.0
    limit: float = 0.0
    """The largest absolute difference that agrees: `atol + rtol * scale`."""
    why: str = ""
    """Where the tolerance comes from, in words."""
    undecided: bool = False
    """Whether the reference itself wanders so far in this precision that a failure may be rounding."""

    @property
    def ok(self) -> bool:
        """Whether the tensor agrees."""
        return self.status in ("equal", "close")


@dataclass
class Comparison:
    """All tensors of a reference and a candidate. True in a condition when everything agreed."""

    tensors: list[TensorComparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def elements(self) -> int:
        """How many elements were compared in all."""
        return sum(t.elements for t in self.tensors)

    @property
    def failures(self) -> list[TensorComparison]:
        """The tensors that do not agree."""
        return [t for t in self.tensors if not t.ok]

    @property
    def reason(self) -> str:
        """Why the comparison fails, in one line; empty when it does not."""
        if self.failures:
            return "; ".join(f"{t.name}: {t.reason}" for t in self.failures)
        if not self.elements:
            return "nothing was compared" + ("" if not self.tensors else ": every tensor is empty")
        return ""

    @property
    def ok(self) -> bool:
        """Whether something was compared and all of it agreed."""
        return not self.reason

    def __bool__(self) -> bool:
        return self.ok

    def __iter__(self) -> Iterator[TensorComparison]:
        return iter(self.tensors)

    def __str__(self) -> str:
        if not self.ok:
            return f"disagree: {self.reason}"
        worst = max(self.tensors, key=lambda t: t.max_rel)
        counted = f"{len(self.tensors)} tensors, {self.elements} elements"
        return f"agree: {counted}, worst {worst.max_rel:.2e} ({worst.name})"


def compare(
    reference: Any,
    candidate: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    wander: Mapping[str, float] | None = None,
    depth: Mapping[str, int] | None = None,
    python_dtype: str = "float32",
) -> Comparison:
    """Compares two results: arrays, TensorFlow or torch tensors, numbers, or nested dicts, lists and tuples.

    `wander` and `depth`, by the leaves' names (`output`, `output/0`, `output/logits`), calibrate the tolerance of
    each tensor, see `tolerance.allowed`; `rtol` (relative to the largest reference value) and `atol` override it for
    every floating tensor. Python numbers have no dtype: they agree with any dtype of their kind, within the
    tolerance of `python_dtype`, the precision that the program computes in. Raises CaptureError for a leaf
    that is neither a number, a tensor, a string nor None, ValueError for a negative tolerance.
    """
    for option, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance is not None and not 0 <= tolerance < float("inf"):
            raise ValueError(f"{option}={tolerance}: a tolerance is a finite number of at least 0")
    wanted, given = _named(reference), _named(candidate)
    result = Comparison()
    for name, value in wanted.items():
        if name in given:
            known = {"wander": (wander or {}).get(name), "depth": (depth or {}).get(name)}
            one = compare_values(
                name, value, given[name], rtol, atol, python_dtype, **known  # type: ignore[arg-type]
            )  # fmt: skip
            result.tensors.append(one)
        else:
            why = "the candidate does not return it"
            result.tensors.append(TensorComparison(name, "missing", why, value.array.shape, value.dtype))
    for name, value in given.items():
        if name not in wanted:
            extra = TensorComparison(name, "extra", "the reference does not return it")
            extra.candidate_shape, extra.candidate_dtype = value.array.shape, value.dtype
            result.tensors.append(extra)
    return result


def _named(x: Any) -> Mapping[str, Value]:
    if isinstance(x, Mapping) and x and all(isinstance(v, Value) for v in x.values()):
        return x
    return flatten(x)


def compare_values(
    name: str,
    reference: Value,
    candidate: Value,
    rtol: float | None = None,
    atol: float | None = None,
    python_dtype: str = "float32",
    *,
    wander: float | None = None,
    depth: int | None = None,
    detail: bool = True,
) -> TensorComparison:
    """Compares two values; the numbers are compared even where the dtypes differ.

    Without `detail` there is no cosine, no signal-to-noise ratio and no ULP: a third of the time.
    """
    a, b = reference.array, candidate.array
    result = TensorComparison(name, "equal", "", a.shape, reference.dtype, b.shape, candidate.dtype)
    if "none" in (reference.dtype, candidate.dtype) and reference.dtype != candidate.dtype:
        result.status = "missing" if candidate.dtype == "none" else "extra"
        result.reason = f"{_kind_of(candidate)} instead of {_kind_of(reference)}"
        return result
    if a.shape != b.shape:
        result.status, result.reason = "shape", f"shape {list(b.shape)} instead of {list(a.shape)}"
        return result
    drift = _drift(reference, candidate)
    result.elements = 0 if reference.dtype in ("none", "list") else int(a.size)
    kinds = a.dtype.kind + b.dtype.kind
    if "O" not in kinds and set(kinds) & set("fc"):
        precision = _precision(reference.dtype, candidate.dtype, python_dtype)

        def tolerance(scale: Scale) -> Allowed:
            masked = scale.constant and FACTOR * (wander or 0.0) > CEILING * scale.largest
            known = (
                None if masked else wander
            )  # where it is the mask's own rounding it says nothing of the rest
            return allowed(precision, scale.largest, known, depth, rtol=rtol, atol=atol)

        _close(result, a, b, precision, tolerance, detail)
    else:
        _exact(result, a, b)
    if drift:
        also = f"; {result.reason}" if result.reason else ""
        result.status, result.reason = "dtype", drift + also
    return result


def _kind_of(value: Value) -> str:
    return "None" if value.dtype == "none" else f"{value.dtype} {list(value.array.shape)}"


def _drift(reference: Value, candidate: Value) -> str:
    a, b = reference.dtype, candidate.dtype
    if a == b:
        return ""
    free = a.startswith("python ") or b.startswith("python ")
    if free and _kind(reference) == _kind(candidate):
        return ""
    return f"dtype {b} instead of {a}"


def _kind(value: Value) -> str:
    if value.dtype in ("string", "none", "list"):
        return value.dtype
    return {"u": "i"}.get(value.array.dtype.kind, value.array.dtype.kind)


def _precision(reference: str, candidate: str, python_dtype: str) -> str:
    """The dtype whose tolerance holds: the reference's; of a Python number the coarser of what is known."""
    known = [d for d in (reference, candidate) if d in RTOL]
    if reference in RTOL:
        return reference
    if reference.startswith("python ") and reference.split()[1] in ("float", "complex"):
        return max([*known, python_dtype], key=lambda d: RTOL.get(d, 0.0))
    return known[0] if known else reference


def _exact(result: TensorComparison, a: np.ndarray, b: np.ndarray) -> None:
    numeric = a.dtype.kind in "biu" and b.dtype.kind in "biu"
    result.why = "exact"
    far = -1.0
    at = 0
    for start, (p, q) in pieces(a, b):
        wrong = np.asarray(p != q)
        count = int(np.count_nonzero(wrong))
        result.differing += count
        if not count:
            continue
        gap = _integer_gaps(p, q) if numeric else wrong
        if float(gap.max()) > far:
            far, at = float(gap.max()), start + int(gap.argmax())
    if numeric:
        result.scale = scale_of(a).largest
    if not result.differing:
        return
    _place(result, a, b, at)
    if numeric:
        result.max_abs = far
        result.max_rel = far / result.scale if result.scale else float("inf")
    _say(result)


def _integer_gaps(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """|p - q| of integers or booleans, exactly: as uint64, beyond which there is only int64 against large uint64."""
    if np.uint64 in (p.dtype, q.dtype) and p.dtype != q.dtype:
        p, q = p.astype(object), q.astype(object)
        return np.abs(p - q).astype(np.float64)  # type: ignore[no-any-return]
    wide = np.uint64 if p.dtype == np.uint64 else np.int64
    p, q = p.astype(wide), q.astype(wide)
    return (np.maximum(p, q) - np.minimum(p, q)).view(np.uint64)


def _close(
    result: TensorComparison,
    a: np.ndarray,
    b: np.ndarray,
    precision: str,
    tolerance: Callable[[Scale], Allowed],
    detail: bool,
) -> None:
    scale = scale_of(a)
    told = tolerance(scale)
    result.scale, result.limit = scale.largest, told.limit(scale.largest)
    result.rtol, result.atol, result.why = told.rtol, told.atol, told.why
    result.undecided = told.undecided
    if not a.size:
        return
    found = measure(a, b, result.limit, scale, dtype=precision, detail=detail)
    result.max_abs, result.differing = found.max_abs, found.differing
    result.cosine, result.snr = found.cosine, found.snr
    if result.max_abs:
        result.max_rel = result.max_abs / result.scale if result.scale else float("inf")
        result.status = "close"
    if found.ulp is not None:
        result.ulp, result.ulp_histogram = found.ulp.quantiles(), found.ulp.histogram()
    _place(result, a, b, found.worst)
    if scale.constant:
        result.why += f"; {scale.constant:.3g} is taken for a mask's constant and judged by its own size"
    if result.differing:
        _say(result)


def _place(result: TensorComparison, a: np.ndarray, b: np.ndarray, flat: int) -> None:
    index = np.unravel_index(flat, a.shape) if a.ndim else ()
    result.worst = tuple(int(i) for i in index)
    result.reference_value, result.candidate_value = a[result.worst], b[result.worst]
    if isinstance(result.reference_value, np.generic):
        result.reference_value = result.reference_value.item()
    if isinstance(result.candidate_value, np.generic):
        result.candidate_value = result.candidate_value.item()


def _say(result: TensorComparison) -> None:
    result.status = "differs"
    place = f" at {list(result.worst)}" if result.worst else ""
    a, b = _show(result.reference_value), _show(result.candidate_value)
    count = (
        f"{result.differing} of {result.elements} differ, worst{place}" if result.elements > 1 else "differs"
    )
    result.reason = f"{count}: {b} instead of {a}"
    if result.undecided:
        advice = "--dtype float64 decides" if "64" not in result.dtype and "128" not in result.dtype else ""
        result.reason += f" ({result.why}{': ' if advice else ''}{advice})"
    elif 0 < result.scale < 1e-6 and result.max_abs < 1e-6 and result.dtype in RTOL:
        told = f"the largest value is {result.scale:.1e}: pass --atol if that is rounding"
        result.reason += f" ({told})"


def _show(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, (float, complex)) else repr(value)
