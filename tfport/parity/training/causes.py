"""Why training parts: likely causes, each applied to the candidate and tried on the recorded steps.

A cause is only reported as one when the steps agree with it. What was tried and did not help is listed too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfport.parity.reference.errors import CaptureError
from tfport.parity.training.loop import Loop, Observed, Trial

if TYPE_CHECKING:
    from tfport.parity.training.steps import Judge

DROPOUT = "dropout"
MOST = 24
"""How many changes are tried at most: each costs the recorded steps once."""


@dataclass
class Proposal:
    """A change to try: its name in the catalogue, and what to say when the steps agree with it."""

    cause: str
    trial: Trial
    said: str


def tried(loop: Loop, judge: Judge, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tries the causes that fit where the steps differ, up to the first that makes all of them agree.

    Returns dicts {"cause", "agrees", "said"}, the agreeing one first. A trial that raises does not agree.
    """
    fault = result["fault"]
    place = fault["in"] if fault else "update"
    done: list[dict[str, Any]] = []
    if fault and fault["parameter"] == DROPOUT:
        rows = [row for step in result["per_step"] for row in step["differing"]]
        said = "with the reference's masks all else agrees"
        fed = all(row["name"] == DROPOUT for row in rows)
        done.append({"cause": "dropout", "agrees": fed, "said": said if fed else ""})
        if fed:
            return done
    if loop.told.get("dense") and place == "update":
        told = _slices(loop, judge)
        if told["agrees"]:
            return [told]
        done.append(told)
    for proposal in proposals(loop, judge, result, place):
        if len(done) >= MOST:
            break
        agrees = settles(loop, judge, proposal.trial, free=fault is None)
        told = {"cause": proposal.cause, "agrees": agrees, "said": proposal.said if agrees else ""}
        if agrees:
            return [told, *done]
        done.append(told)
    return done


def _slices(loop: Loop, judge: Judge) -> dict[str, Any]:
    """Whether the steps agree with what the reference does when gradients of embeddings do not come as slices."""
    judge.dense = True
    try:
        agrees = settles(loop, judge, Trial())
    finally:
        judge.dense = False
    names = ", ".join(loop.context.variables["names"][i] for i in loop.told["dense"]["variables"])
    said = (
        f"with the reference's gradient of {names} as a tensor it agrees: it comes in slices, and where an id"
    )
    said += f" repeats {loop.told['optimizer']['class']} squares each slice and not their sum"
    return {"cause": "gradient in slices", "agrees": agrees, "said": said if agrees else ""}


def proposals(loop: Loop, judge: Judge, result: Mapping[str, Any], place: str) -> Iterator[Proposal]:
    """The changes worth a try, the most likely first."""
    from tfport.parity.training import trials_module, trials_optimizer

    if place == "update":
        yield from trials_module.of_frozen(loop)
        yield from trials_optimizer.proposals(loop, result)
    elif place == "statistics":
        yield from trials_module.of_statistics(loop)
        yield from trials_module.of_mode(loop)
    else:
        if place == "gradient":
            yield from trials_module.of_frozen(loop)
        yield from trials_module.of_penalties(loop, result)
        yield from trials_module.of_loss(loop, result)
        yield from trials_module.of_mode(loop)
        yield from trials_module.of_epsilon(loop)
        yield from trials_module.of_gradients(loop, result)
    if place in ("forward", "gradient"):
        yield from trials_module.of_statistics(loop)


def settles(loop: Loop, judge: Judge, trial: Trial, *, free: bool = False) -> bool:
    """Whether every recorded step agrees with the change; with `free`, whether the free-running curve does."""
    from tfport.parity.training.steps import Curve

    if free:
        curve = Curve(loop, judge.asked)

        def follow(seen: Observed) -> bool:
            curve.step(seen)
            return curve.left is None

        try:
            loop.follow(follow, equal=False, trial=trial)
        except CaptureError:  # the change does not fit the candidate
            return False
        return curve.left is None
    right: list[bool] = []

    def look(seen: Observed) -> bool:
        right.append(judge.step(seen)["status"] == "agrees")
        return right[-1]

    try:
        loop.follow(look, equal=True, trial=trial)
    except CaptureError:  # the change does not fit the candidate
        return False
    return len(right) == loop.told["steps"] and all(right)
