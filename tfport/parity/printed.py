"""Compares what two scripts print: line by line, words exactly, numbers by tolerance.

`tf.Tensor(1.5, shape=(), dtype=float32)`, `tensor(1.5000)`, `np.float32(1.5)` and `1.5` all print the number
1.5; an array that goes over several lines counts as one line. A number that was printed with few digits is
held to these digits: where one unit of its last place is at most a thousandth of the scale, half a unit is
allowed, or a whole one where both were rounded alike. Integers are compared exactly. The scale is the largest
number of the array that a number is printed in, or its own size outside an array.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?|nan|inf|infinity)(?![\w])", re.IGNORECASE
)
WRAPPED = re.compile(
    r"<tf\.(?:Tensor|Variable)[^<>]*?numpy=(?P<eager>[^<>]*)>"
    r"|(?:tf\.Tensor|tensor|array|np\.\w+|Parameter containing:\s*tensor)\((?P<body>(?:[^()]|\([^()]*\))*)\)",
    re.DOTALL,
)
TAIL = re.compile(
    r",\s*(?:shape|dtype|device|grad_fn|requires_grad|size)\s*=\s*(?:\([^()]*\)|<[^<>]*>|[^,()<>]+)"
)


@dataclass
class LineDifference:
    """One line that does not agree. Line numbers count the joined lines from 1."""

    line: int
    reference: str
    candidate: str
    reason: str


@dataclass
class PrintedComparison:
    """What two programs printed, compared. True in a condition when numbers were compared and all agreed."""

    numbers: int = 0
    lines: int = 0
    max_rel: float = 0.0
    differences: list[LineDifference] = field(default_factory=list)
    error: str | None = None
    """Why the candidate printed nothing that could be compared."""

    @property
    def reason(self) -> str:
        """Why the comparison fails, in one line; empty when it does not."""
        if self.error:
            return self.error
        if self.differences:
            first = self.differences[0]
            more = f" ({len(self.differences)} lines differ)" if len(self.differences) > 1 else ""
            return f"line {first.line}: {first.reason}{more}"
        return "" if self.numbers else "nothing was compared: the reference prints no number"

    @property
    def ok(self) -> bool:
        """Whether something was compared and all of it agreed."""
        return not self.reason

    def __bool__(self) -> bool:
        return self.ok


def compare_printed(
    reference: str, candidate: str, *, rtol: float = 1e-5, atol: float = 0.0
) -> PrintedComparison:
    """Compares two texts; `rtol` is relative to the largest number of an array, or to a number by itself."""
    wanted, given = logical_lines(reference), logical_lines(candidate)
    result = PrintedComparison(lines=len(wanted))
    for i in range(max(len(wanted), len(given))):
        a = wanted[i] if i < len(wanted) else None
        b = given[i] if i < len(given) else None
        if a is None or b is None:
            reason = "the candidate prints more" if a is None else "the candidate prints less"
        else:
            reason = _line(a, b, rtol, atol, result)
        if reason:
            result.differences.append(LineDifference(i + 1, a or "", b or "", reason))
    return result


def logical_lines(text: str) -> list[str]:
    """Lines that are not blank; an array over several lines is joined, a tensor's wrapping taken off."""
    lines: list[str] = []
    depth = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        if depth > 0:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line.strip())
        depth = max(0, depth + sum(line.count(c) for c in "([") - sum(line.count(c) for c in ")]"))
    return [_bare(line) for line in lines]


def _bare(line: str) -> str:
    for _ in range(3):  # <tf.Tensor: ..., numpy=array([...])> is wrapped twice
        line = WRAPPED.sub(lambda m: TAIL.sub("", m.group("eager") or m.group("body") or ""), line)
    return line


def _line(a: str, b: str, rtol: float, atol: float, result: PrintedComparison) -> str:
    words = [" ".join(re.sub(r"[\[\](),]", " ", NUMBER.sub(" # ", x)).split()) for x in (a, b)]
    x, y = NUMBER.findall(a), NUMBER.findall(b)
    if len(x) != len(y):
        return f"{len(y)} numbers instead of {len(x)}"
    if words[0] != words[1]:
        return f"text {words[1]!r} instead of {words[0]!r}"
    for p, q, scale in zip(x, y, _scales(a), strict=True):
        result.numbers += 1
        if not _agree(p, q, scale, rtol * scale + atol):
            return f"{q} instead of {p}"
        gap = abs(float(p) - float(q))
        if math.isfinite(gap) and scale:
            result.max_rel = max(result.max_rel, gap / scale)
    return ""


def _scales(line: str) -> list[float]:
    """For each number of a line the largest finite size in its outermost brackets, or its own size."""
    groups: list[int] = []
    largest: dict[int, float] = {}
    depth, group, at = 0, 0, 0
    for match in NUMBER.finditer(line):
        for c in line[at : match.start()]:
            depth = max(0, depth + (c == "[") - (c == "]"))
            group += depth == 0
        at = match.end()
        group += depth == 0
        size = abs(float(match.group()))
        largest[group] = max(largest.get(group, 0.0), size if math.isfinite(size) else 0.0)
        groups.append(group)
    return [largest[g] for g in groups]


def _agree(p: str, q: str, scale: float, tolerance: float) -> bool:
    a, b = float(p), float(q)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if math.isinf(a) or math.isinf(b) or a == b:
        return a == b
    units = [_unit(p), _unit(q)]
    coarse = max(units)
    if coarse == 0.0:
        return False
    room = 0.0
    if coarse <= 1e-3 * scale:
        room = coarse if units[0] == units[1] else coarse / 2
    return abs(a - b) <= tolerance + room * (1 + 1e-9)


def _unit(text: str) -> float:
    """The value of one in the last printed place; 0 for an integer, `1.` counts as a rounded 1.0."""
    mantissa, _, exponent = text.lower().partition("e")
    if "." not in mantissa and not exponent:
        return 0.0
    digits = len(mantissa.partition(".")[2])
    return 10.0 ** (int(exponent or 0) - digits) if digits or exponent else 0.0
