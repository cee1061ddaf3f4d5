"""What load_weights did: every tensor's way."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfport.weights.checkpoint import Checkpoint
    from tfport.weights.fitting import Fitted

__all__ = ["Report", "Row", "report_of"]


@dataclasses.dataclass(frozen=True)
class Row:
    """One tensor carried: names, pattern, shapes, and how source and target were brought together."""

    source: str
    target: str
    pattern: str
    source_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    dtype: str
    matched_by: str


@dataclasses.dataclass(frozen=True)
class Report:
    """The result of load_weights.

    ``ignored`` are source tensors that are no weights, with the reason; ``kept`` are buffers of the module
    that no variable belongs to; ``missing`` (targets) and ``left_over`` (sources) can only be filled with
    ``strict=False``.
    """

    path: str
    format: str
    model: str
    record: str
    loaded: tuple[Row, ...]
    ignored: tuple[tuple[str, str], ...] = ()
    kept: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    left_over: tuple[str, ...] = ()

    @property
    def matched_by(self) -> tuple[str, ...]:
        """The ways of matching that were used, the safest first."""
        return tuple(dict.fromkeys(row.matched_by for row in self.loaded))

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{len(self.loaded)} tensors from {self.path} ({self.format}) into {self.model}",
            f"  record: {self.record}; matched by {', '.join(self.matched_by) or 'nothing'}",
        ]
        lines += [
            f"  {r.source} {list(r.source_shape)} -> {r.target} {list(r.target_shape)}  {r.pattern}"
            for r in self.loaded
        ]
        if self.ignored:
            reasons: dict[str, int] = {}
            for _, reason in self.ignored:
                reasons[reason] = reasons.get(reason, 0) + 1
            lines.append("  ignored: " + ", ".join(f"{n} x {reason}" for reason, n in reasons.items()))
        for title, names in (("kept", self.kept), ("missing", self.missing), ("left over", self.left_over)):
            if names:
                lines.append(f"  {title}: {', '.join(names)}")
        return "\n".join(lines)


def report_of(fitted: Fitted, checkpoint: Checkpoint) -> Report:
    """The report of a checkpoint that fits a module."""
    found, targets, matching = fitted.record, fitted.targets, fitted.matching
    missing = [way.target for _, way in matching.missing]
    gone = {m.way.target for m in matching.matches} | {way.target for way in matching.zeros} | set(missing)
    same = {id(targets[name].tensor) for name in gone if name in targets}  # a shared module's other names
    return Report(
        path=checkpoint.path, format=checkpoint.format, model=found.model, record=found.origin,
        loaded=tuple(
            Row(m.entry.key, m.way.target, m.way.pattern, m.entry.shape, moves.target, m.entry.dtype, m.level)
            for m, moves in zip(matching.matches, fitted.plans, strict=True)
        ),
        ignored=tuple((e.key, e.ignored) for e in checkpoint.entries.values() if e.ignored),
        kept=tuple(t for t, held in targets.items() if not held.parameter and id(held.tensor) not in same),
        missing=(*missing, *fitted.untold(gone)),
        left_over=tuple(entry.key for entry in matching.left_over),
    )  # fmt: skip
