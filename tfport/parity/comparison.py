"""Elementwise comparison of two results: value, shape and dtype, never means.

Two tensors agree when every element satisfies |candidate - reference| <= atol + rtol * max|reference|, where
the maximum is taken over the finite elements of that tensor. NaN agrees with NaN and an infinity with the
same infinity at the same place, and with nothing else. Integers, booleans and strings must be equal. A
different shape or dtype, a missing or an extra tensor, and a comparison of nothing are disagreements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfport.parity.capture import Value, flatten

RTOL = {
    "float64": 1e-11,
    "complex128": 1e-11,
    "float32": 1e-5,
    "complex64": 1e-5,
    "float16": 4e-3,  # four units of 2**-10
    "bfloat16": 3e-2,  # four units of 2**-7
}
"""Default tolerance by dtype, relative to the largest value of the reference. What is not listed is exact."""

ULP_QUANTILES = (0.5, 0.99, 1.0)


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
    """The largest finite |reference|."""
    max_abs: float = 0.0
    max_rel: float = 0.0
    """`max_abs / scale`; infinite where the scale is zero and something differs."""
    worst: tuple[int, ...] | None = None
    """Index of the worst element, with the two values there."""
    reference_value: Any = None
    candidate_value: Any = None
    ulp: dict[str, float] | None = None
    """Distances in units of the last place, at the quantiles 0.5, 0.99 and 1; None for what is not real."""
    rtol: float = 0.0
    atol: float = 0.0

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
    python_dtype: str = "float32",
) -> Comparison:
    """Compares two results: arrays, TensorFlow or torch tensors, numbers, or nested dicts, lists and tuples.

    `rtol` (relative to the largest reference value) and `atol` override the defaults of `RTOL` for every
    floating tensor. Python numbers have no dtype: they agree with any dtype of their kind, within the
    tolerance of `python_dtype`, the precision that the program computes in. Raises CaptureError for a leaf
    that is neither a number, a tensor, a string nor None, ValueError for a negative tolerance.
    """
    for option, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance is not None and not tolerance >= 0:
            raise ValueError(f"{option}={tolerance}: a tolerance is a number of at least 0")
    wanted, given = _named(reference), _named(candidate)
    result = Comparison()
    for name, value in wanted.items():
        if name in given:
            result.tensors.append(compare_values(name, value, given[name], rtol, atol, python_dtype))
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
) -> TensorComparison:
    """Compares two values; the numbers are compared even where the dtypes differ."""
    a, b = reference.array, candidate.array
    result = TensorComparison(name, "equal", "", a.shape, reference.dtype, b.shape, candidate.dtype)
    if a.shape != b.shape:
        result.status, result.reason = "shape", f"shape {list(b.shape)} instead of {list(a.shape)}"
        return result
    drift = _drift(reference, candidate)
    result.elements = 0 if reference.dtype in ("none", "list") else int(a.size)
    if "O" in (a.dtype.kind, b.dtype.kind):
        _exact(result, a, b)
    else:
        precision = _precision(reference.dtype, candidate.dtype, python_dtype)
        default = RTOL.get(precision, 0.0)
        floating = a.dtype.kind in "fc" or b.dtype.kind in "fc"
        result.rtol = 0.0 if not floating else default if rtol is None else rtol
        result.atol = 0.0 if not floating or atol is None else atol
        if floating:
            _close(result, a, b, precision)
        else:
            _exact(result, a, b)
    if drift:
        also = f"; {result.reason}" if result.reason else ""
        result.status, result.reason = "dtype", drift + also
    return result


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
    wrong = np.asarray(a != b)
    result.differing = int(np.count_nonzero(wrong))
    numeric = a.dtype.kind in "biu" and b.dtype.kind in "biu"
    if numeric and a.size:
        result.scale = float(np.max(np.abs(a.astype(np.float64))))
    if not result.differing:
        return
    if numeric:
        gap = np.abs(a.astype(np.float64) - b.astype(np.float64))
        gap = np.where(wrong, np.maximum(gap, np.finfo(float).tiny), 0.0)
        _worst(result, a, b, gap)
        result.max_abs = float(gap[result.worst])
        result.max_rel = result.max_abs / result.scale if result.scale else float("inf")
    else:
        _worst(result, a, b, wrong.astype(float))
    _say(result)


def _close(result: TensorComparison, a: np.ndarray, b: np.ndarray, precision: str) -> None:
    if a.size == 0:
        return
    wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
    x, y = a.astype(wide), b.astype(wide)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    finite = np.isfinite(x) & np.isfinite(y)
    with np.errstate(all="ignore"):
        gap = np.where(same, 0.0, np.where(finite, np.abs(y - x), np.inf))
    sizes = np.abs(x[np.isfinite(x)])
    result.scale = float(sizes.max()) if sizes.size else 0.0
    limit = result.atol + result.rtol * result.scale
    result.differing = int(np.count_nonzero(gap > limit))
    _worst(result, a, b, gap)
    result.max_abs = float(gap[result.worst])
    if result.max_abs:
        result.max_rel = result.max_abs / result.scale if result.scale else float("inf")
        result.status = "close"
    if wide is np.float64:
        result.ulp = ulp_quantiles(a, b, precision)
    if result.differing:
        _say(result)


def _worst(result: TensorComparison, a: np.ndarray, b: np.ndarray, gap: np.ndarray) -> None:
    index = np.unravel_index(int(np.argmax(gap)), gap.shape) if gap.ndim else ()
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
    if 0 < result.scale < 1e-6 and result.max_abs < 1e-6 and result.dtype in RTOL:
        told = f"the largest value is {result.scale:.1e}: pass --atol if that is rounding"
        result.reason += f" ({told})"


def _show(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, (float, complex)) else repr(value)


def ulp_quantiles(a: np.ndarray, b: np.ndarray, dtype: str) -> dict[str, float] | None:
    """Distances between two real arrays in units of the last place of `dtype`, at `ULP_QUANTILES`.

    Elements that are not finite on either side are left out; None for other dtypes or where none is left.
    """
    finite = np.isfinite(a) & np.isfinite(b)
    if dtype not in ("float64", "float32", "float16", "bfloat16") or not finite.any():
        return None
    x, y = (_ordinals(v[finite], dtype) for v in (a, b))
    distance = np.where(x > y, x - y, y - x).astype(np.float64)  # uint64: the larger minus the smaller
    values = np.quantile(distance, ULP_QUANTILES, method="higher")
    return {f"{q:g}": float(v) for q, v in zip(ULP_QUANTILES, values, strict=True)}


def _ordinals(v: np.ndarray, dtype: str) -> np.ndarray:
    """Numbers such that neighbouring floats differ by one, as uint64."""
    if dtype == "bfloat16":
        bits = (np.ascontiguousarray(v, np.float32).view(np.uint32) >> 16).astype(np.uint64)
        width = 16
    else:
        v = np.ascontiguousarray(v, dtype)
        width = v.dtype.itemsize * 8
        bits = v.view(f"u{width // 8}").astype(np.uint64)
    sign = np.uint64(1 << (width - 1))
    magnitude = bits & np.uint64((1 << (width - 1)) - 1)
    return np.where(bits & sign, sign - magnitude, sign + magnitude)
