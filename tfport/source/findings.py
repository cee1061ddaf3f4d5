"""What a conversion reports: marks, advice and the tier of every call."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

CODES = {
    "TFP101": "no rule for this name yet",
    "TFP102": "the name may or may not come from TensorFlow",
    "TFP103": "TensorFlow 1 and 2 differ here and the file does not say which it is",
    "TFP104": "the arguments do not fit the function's signature",
    "TFP105": "a TensorFlow module is used as a value",
    "TFP106": "a TensorFlow name is assigned to or deleted",
    "TFP107": "graph plumbing that cannot be restructured soundly",
    "TFP108": "the new text does not fit into an f-string",
    "TFP109": "a tensor of strings, which PyTorch does not have",
    "TFP201": "the layout of an argument changed from NHWC to NCHW",
    "TFP202": "code that has no counterpart in PyTorch was removed",
    "TFP203": "the output of a model has a mask, which Keras applies to loss and metrics",
    "TFP204": "a function makes the recurrent cell that it runs: its weights are new at every call",
    "TFP301": "the file does not use TensorFlow; it is left as it is",
    "TFP302": "the file is not Python 3 source",
    "TFP303": "the file cannot be read or written",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing to know about a place in the input. ``level`` is "mark", "note" or "error"; lines count from 1."""

    code: str
    level: str
    line: int
    column: int
    api: str
    message: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    def mark(self) -> str:
        """The comment that stands above the statement."""
        advice = f"; {self.advice}" if self.advice else ""
        return f"# tfport: TODO[{self.code}] {self.api}: {self.message}{advice}"


@dataclasses.dataclass
class Tiers:
    """How often each tier was chosen, and for which name."""

    inlined: Counter[str] = dataclasses.field(default_factory=Counter)
    compat: Counter[str] = dataclasses.field(default_factory=Counter)
    unported: Counter[str] = dataclasses.field(default_factory=Counter)

    def counts(self) -> dict[str, int]:
        """Calls and references by tier."""
        return {
            "inlined": self.inlined.total(),
            "compat": self.compat.total(),
            "unported": self.unported.total(),
        }


@dataclasses.dataclass(frozen=True)
class Conversion:
    """The result of `tfport.convert_source`: PyTorch source, findings, tiers and the record for weights and parity."""

    code: str
    findings: tuple[Finding, ...]
    tiers: Tiers
    record: dict[str, Any]
    changed: bool

    @property
    def marks(self) -> tuple[Finding, ...]:
        """The findings that stand as comments in the code."""
        return tuple(f for f in self.findings if f.level == "mark")
