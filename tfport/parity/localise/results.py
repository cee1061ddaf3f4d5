"""What is told of each layer: whether it agrees, how it was paired, how far it is off."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tfport.parity.localise.judging import Measure
from tfport.parity.localise.matching import Found
from tfport.parity.localise.reference import Call
from tfport.parity.localise.walk import Event, Walk


@dataclass
class LayerResult:
    """One call of one layer."""

    name: str
    kind: str
    status: str
    """`agrees`, `differs` or `not compared`."""
    how: str | None = None
    """How it was paired: `record`, `name`, `order`, or `value` for a step without a module."""
    max_abs: float | None = None
    max_rel: float | None = None
    allowed: float | None = None
    """The largest absolute difference that agrees."""
    reason: str = ""
    module: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As it is written into `result.json`."""
        return asdict(self)


def layer_results(walk: Walk) -> list[LayerResult]:
    """Every layer call of the reference, in order, as one walk has seen it."""
    events = {e.call.index: e for e in walk.events if e.call is not None}
    return [_of(walk, call, events.get(call.index)) for call in walk.reference.calls]


def _of(walk: Walk, call: Call, event: Event | None) -> LayerResult:
    made = LayerResult(call.label, call.kind, "not compared", module=walk.pairing.path(call))
    behind = event is not None and event.agrees is None and all(k in walk.measures for k in call.tensors)
    if event is not None and not (behind and call.tensors):
        made.how = walk.pairing.how(call)
        _measure(made, event.found)
        if event.agrees is None:
            other = call.tensors and made.how != "record"
            told = f"module {made.module}, paired by {made.how}, is another step: {event.reason}"
            made.reason = told if other else event.reason
            return made
        made.status = "agrees" if event.agrees else "differs"
        made.reason = event.reason
        if walk.force and event.agrees is False and event.inputs == "differ":
            made.max_abs = made.max_rel = made.allowed = None
            made.status = {True: "agrees", False: "differs", None: "not compared"}[event.alone]
            made.reason = (
                "on the reference's input" if event.alone is not None else "its input differs already"
            )
            return made
        if event.agrees and event.found and event.found[0].stage == "before":
            done = all(key in walk.at for key in call.tensors)
            made.reason = "" if done else f"compared before its activation {call.activation}"
        elif event.agrees is False and event.inputs == "differ":
            made.reason = made.reason or "its input differs already"
        return made
    found = [walk.measures[k] for k in call.tensors if k in walk.measures]
    if found and len(found) == len(call.tensors):
        made.status, made.how = "agrees", "value"
        _measure(made, found)
        return made
    if call.tensors and all(key in walk.at for key in call.tensors):
        made.status, made.how, made.reason = "agrees", "value", "it hands on a value that agrees"
        made.max_abs = made.max_rel = made.allowed = 0.0
        return made
    made.reason = _why(walk, call)
    return made


def _why(walk: Walk, call: Call) -> str:
    path = walk.pairing.path(call)
    if not call.tensors:
        return "its output was not recorded"
    if path is not None and not walk.seen.get(path):
        return f"its module {path} was not called"
    if path is not None:
        return f"its module {path} was called less often"
    return "no module is paired with it, and no step gives its value"


def _measure(made: LayerResult, found: list[Found]) -> None:
    if found:
        worst: Measure = max((f.measure for f in found), key=lambda m: m.max_rel)
        made.max_abs, made.max_rel, made.allowed = worst.max_abs, worst.max_rel, worst.limit
