"""Training beside the reference: the curve that runs free, and every step judged on equal state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfport.parity.training import optimizers
from tfport.parity.training.context import Arrays, Context
from tfport.parity.training.gradients import is_noise, worst
from tfport.parity.training.limits import GRADIENT, UNITS, Tolerance, compared, limit, scale_of
from tfport.parity.training.loop import Loop, Observed
from tfport.parity.training.slots import candidate_roles, reference_roles

UPDATE = 2.0
"""Units of rounding that one update may differ by, of the weight's largest value: it is a handful of operations."""

PLACES = ("forward", "gradient", "statistics", "update")
"""Where a step can go wrong, in the order of what depends on what."""

FREE, UNKNOWN = 4.0, 100.0
"""How much wider the free-running curve is judged than a step on equal state: differences grow from step to step;
and how much where the reference's wander is not known."""

CLIPPED = 3.0
"""How much wider an update is judged where a norm over all gradients, or the user's own code, comes before it."""


def replay_training(
    context: Context, asked: Tolerance | None = None, *, causes: bool = True
) -> dict[str, Any]:
    """Trains the candidate on the recorded batches, twice, and compares: returns a plain dict.

    `losses` holds the curves, `left` where the free-running one leaves the reference, `first_parameter` the
    weight that left first, `per_step` the judgement of each step on equal state (its `in` is forward, gradient,
    statistics, update or None), `fault` the first of those that differs, `causes` what was tried and whether the
    steps agree with it. Raises CaptureError, in one line, when the candidate cannot be trained so.
    """
    asked = asked or Tolerance()
    loop = Loop(context)
    judge = Judge(loop, asked)
    per_step: list[dict[str, Any]] = []
    loop.follow(lambda seen: per_step.append(judge.step(seen)), equal=True)
    used = loop.optimizer
    free = Curve(loop, asked)
    loop.follow(free.step, equal=False)
    if loop.rounds:
        judge.notes.add(
            "rate and momentum of the port's optimizer are rounded to float32, as TensorFlow has them"
        )
    fault = next((_fault(told) for told in per_step if told["in"]), None)
    told = context.entry["training"]
    result: dict[str, Any] = {
        "ok": False, "reason": "", "steps": told["steps"],
        "loss": dict(told["loss"]), "optimizer": _optimizers(told, used),
        "losses": {"reference": free.wanted.tolist(), "candidate": free.found, "allowed": free.allowed,
                   "equal": [step["loss"]["candidate"] for step in per_step]},
        "left": free.left, "first_parameter": free.first, "per_step": per_step, "fault": fault, "causes": [],
        "compared": {place: sum(step["compared"][place] for step in per_step) for place in PLACES},
        "not_compared": judge.left_out(used), "notes": sorted({*context.notes, *judge.notes}),
    }  # fmt: skip
    result["reason"] = _reason(result)
    result["ok"] = not result["reason"]
    if result["ok"]:
        result["first_parameter"] = None
    elif causes:
        from tfport.parity.training.causes import tried

        result["causes"] = tried(loop, judge, result)
        agreed = [c["said"] for c in result["causes"] if c["agrees"]]
        if agreed:
            result["reason"] += f"; {agreed[0]}"
    return result


def _fault(step: Mapping[str, Any]) -> dict[str, Any]:
    """The first thing that differs in a step."""
    rows = [r for r in step["differing"] if r["in"] == step["in"]] or step["differing"]
    row = rows[
        -1 if step["in"] == "gradient" else 0
    ]  # gradients come from the end: the last that is off is nearest
    told = {"step": step["step"], "in": step["in"], "parameter": row["name"], "reason": row["reason"]}
    if "slot" in row:
        told["slot"] = row["slot"]
    return told


def _reason(result: Mapping[str, Any]) -> str:
    fault, left = result["fault"], result["left"]
    if fault and fault["parameter"] == "dropout":
        return f"training, step {fault['step'] + 1}: dropout: {fault['reason']}"
    if fault:
        blame = {
            "forward": "the loss of equal weights differs",
            "gradient": "the loss agrees and the gradient does not",
            "statistics": "the gradients agree and the running statistics do not",
            "update": "the gradient agrees and the weight does not: the optimizer is at fault",
        }[fault["in"]]
        if fault["in"] == "update" and not result["per_step"][fault["step"]]["compared"]["gradient"]:
            blame = "the loss agrees and the weight does not, no gradient was compared"
        return f"training, step {fault['step'] + 1}: {blame}: {fault['parameter']}: {fault['reason']}"
    if left:
        a, b = left["candidate"], left["reference"]
        return f"training: the loss leaves the reference's at step {left['step'] + 1}: {a:.7g} instead of {b:.7g}"
    if not any(result["compared"].values()):
        return "training: nothing was compared"
    return ""


def _optimizers(told: Mapping[str, Any], used: Any) -> dict[str, Any]:
    package = type(used).__module__.split(".")[0]
    module = (
        "torch.optim"
        if package == "torch"
        else "tfport.compat"
        if package in ("tfport", "rules")
        else "candidate"
    )
    return {"reference": told["optimizer"], "candidate": {"class": type(used).__name__, "from": module},
            "learning_rates": told["learning_rates"], "factory": told.get("factory")}  # fmt: skip


class Judge:
    """Compares one step that began from the reference's state."""

    def __init__(self, loop: Loop, asked: Tolerance) -> None:
        self.loop, self.asked = loop, asked
        self.context, self.told = loop.context, loop.told
        self.dtype = str(self.context.dtype).removeprefix("torch.")
        self.targets = self.context.targets()
        self.trained = set(self.context.variables["trained"])
        self.notes: set[str] = set()
        self.dense = False  # whether weights and state are those of gradients that did not come in slices
        wander = self.told.get("wander") or {}
        self.wander: list[Mapping[str, Any]] = wander.get("equal") or [{}] * self.told["steps"]
        self.losses = self.context.stored[self.told["losses"]].array
        config = self.told["optimizer"]["config"]
        clips = any(config.get(k) for k in ("clipnorm", "global_clipnorm"))
        self.slack = CLIPPED if clips or self.told["train_step"] else 1.0

    def step(self, seen: Observed) -> dict[str, Any]:
        """One step as a dict: its place of fault (`in`), the worst row of each place and all that differ."""
        loss = self._loss(seen)
        rows = [_row("forward", "dropout", note) for note in seen.notes]
        extra = "it is trained here, and no weight of the reference belongs to it"
        rows += [_row("update", name, extra) for name in seen.extra]
        rows += [loss, *self._gradients(seen), *self._weights(seen), *self._slots(seen), *self._rate(seen)]
        differing = [r for r in rows if r["status"] == "differs"]
        place = next((p for p in PLACES if any(r["in"] == p for r in differing)), None)
        worst_rows = {}
        for p in PLACES:
            some = [r for r in rows if r["in"] == p and r["allowed"]]
            if some:
                worst_rows[p] = max(some, key=lambda r: r["max_abs"] / r["allowed"])
        counted = {p: sum(r["in"] == p and r["status"] != "not compared" for r in rows) for p in PLACES}
        status = "differs" if differing else "agrees"
        return {"step": seen.step, "status": status, "in": place, "loss": loss, "differing": differing,
                "worst": worst_rows, "compared": counted, "rate": seen.rate}  # fmt: skip

    def _loss(self, seen: Observed) -> dict[str, Any]:
        row = compared("loss", self.losses[seen.step], np.asarray(seen.loss), self.dtype,
                       self.wander[seen.step].get("loss"), self.asked)  # fmt: skip
        return row | {"in": "forward", "reference": float(self.losses[seen.step]), "candidate": seen.loss}

    def gradient_scale(self, step: int) -> float:
        """The largest value of any of the reference's gradients in a step."""
        keys = self.told["gradients"][step].values()
        return max((scale_of(self.context.array(k)) for k in keys), default=0.0)

    def _gradients(self, seen: Observed) -> list[dict[str, Any]]:
        told, repeated = self.told["gradients"][seen.step], self.loop.repeated()
        if repeated:
            names = ", ".join(sorted(repeated)[:3]) + " ..." * (len(repeated) > 3)
            self.notes.add(
                f"gradients of {names} are taken several times in a step: their weights are compared alone"
            )
        if not told or not seen.gradients:
            side = "the candidate's" if told else "the reference's"
            if not repeated:
                self.notes.add(
                    f"gradients are not compared: {side} step shows none to an optimizer or a tape"
                )
            return []
        wanted = self.loop.reference(seen.step, "gradients")
        around, spread = self.gradient_scale(seen.step), self.wander[seen.step].get("gradients")
        first = self.loop.first_names()
        rows = []
        for name, numbers in self.targets.items():
            if not set(numbers) & self.trained or first.get(name) != name or name in repeated:
                continue
            if name not in seen.gradients:
                reason = "it requires no gradient, and is trained in the reference"
                rows.append(_row("gradient", name, reason))
                continue
            keys = [str(i) for i in numbers if told.get(str(i))]
            far = None if spread is None else worst([spread.get(k) for k in keys])
            found = seen.gradients[name]
            row = compared(name, wanted.get(name), found, self.dtype, far, self.asked, around, slack=GRADIENT)
            rows.append(row | {"in": "gradient", "noise": is_noise(row["scale"], far, around)})
        return rows

    def _weights(self, seen: Observed) -> list[dict[str, Any]]:
        wanted, spread = (
            self.loop.reference(seen.step, "weights", self.dense),
            self.wander[seen.step].get("weights"),
        )
        repeated = self.loop.repeated()
        first, live = self.loop.first_names(), self.context.parameters_of()
        rows = []
        for name, found in seen.weights.items():
            numbers = [i for i in self.targets[name] if self.told["weights"][seen.step][i]]
            if not numbers or name not in wanted or first.get(name) != name:
                continue
            far = None if spread is None else worst([spread[i] for i in numbers])
            known = name in seen.gradients and name not in repeated
            row = self._updated(name, wanted[name], found, far, known)
            trained = bool(set(numbers) & self.trained)
            if not trained and name in live and row["status"] == "differs":
                trained, row["reason"] = (
                    True,
                    f"it is trained here, and not in the reference: {row['reason']}",
                )
            rows.append(row | {"in": "update" if trained else "statistics"})
        return rows

    def _updated(
        self, name: str, wanted: np.ndarray, found: np.ndarray, far: float | None, known: bool
    ) -> dict[str, Any]:
        """One weight after the step; where its gradient was not `known`, the rounding of that counts too."""
        units = UPDATE if known else UNITS
        return compared(name, wanted, found, self.dtype, far, self.asked, slack=self.slack, units=units)

    def _slots(self, seen: Observed) -> list[dict[str, Any]]:
        optimizer = self.loop.optimizer
        own = candidate_roles(optimizer)
        then = self.told["learning_rates"][seen.step]
        spread = self.wander[seen.step].get("slots") or {}
        names = {role: slot for slot, (role, _) in reference_roles(self.told["optimizer"]).items()}
        rows = []
        for role, (arrays, factor) in self.loop.reference_slots(seen.step, self.dense).items():
            held = seen.slots.get(role)
            if role not in own or not held or then is None or not factor(then) or seen.rate is None:
                continue
            ratio = own[role][1](seen.rate) / factor(then)
            for name, array in arrays.items():
                if name not in held:
                    continue
                keys = [str(i) for i in self.targets[name]]
                known = spread.get(names[role], {})
                far = worst([known.get(k) for k in keys]) if known else None
                far = None if far is None else far * abs(ratio)
                row = compared(name, array * np.asarray(ratio, array.dtype), held[name], self.dtype, far, self.asked,
                               slack=self.slack, units=4 * UPDATE)  # fmt: skip
                rows.append(row | {"in": "update", "slot": role})
        return rows

    def _rate(self, seen: Observed) -> list[dict[str, Any]]:
        then = self.told["learning_rates"][seen.step]
        if then is None or seen.rate is None or self.told["train_step"]:
            return []
        if abs(then - seen.rate) <= 1e-6 * abs(then):
            return []
        return [_row("update", "learning rate", f"{seen.rate:.7g} instead of {then:.7g}")]

    def left_out(self, optimizer: Any) -> list[str]:
        """What could not be compared, in words."""
        told, found = self.told, []
        own, roles = candidate_roles(optimizer), reference_roles(told["optimizer"])
        for slot in told["slots"][0]:
            if slot not in roles or roles[slot][0] not in own:
                found.append(f"optimizer state {slot}: {type(optimizer).__name__} has no known counterpart")
        named = {n for numbers in self.targets.values() for n in numbers}
        for i in sorted(self.trained - named):
            found.append(f"{self.context.variables['names'][i]}: it went into no tensor of the candidate")
        return found


def _row(place: str, name: str, reason: str) -> dict[str, Any]:
    return {"name": name, "status": "differs", "max_abs": 0.0, "max_rel": 0.0, "scale": 0.0, "allowed": 0.0,
            "reason": reason, "in": place}  # fmt: skip


class Curve:
    """The free-running loss beside the reference's, and the first weight that leaves."""

    def __init__(self, loop: Loop, asked: Tolerance) -> None:
        self.loop, self.asked, self.told = loop, asked, loop.told
        self.dtype = str(loop.context.dtype).removeprefix("torch.")
        self.wanted = loop.context.stored[self.told["losses"]].array
        self.found: list[float] = []
        self.allowed: list[float] = []
        self.left: dict[str, Any] | None = None
        self.first: dict[str, Any] | None = None
        wander = self.told.get("wander") or {}
        self.wander: list[Mapping[str, Any]] = wander.get("free") or [{}] * self.told["steps"]
        self.targets = loop.context.targets()

    def step(self, seen: Observed) -> None:
        """Takes one step of the curve."""
        wanted = float(self.wanted[seen.step])
        known = [w.get("loss") for w in self.wander[: seen.step + 1]]
        far = worst(known)
        slack = FREE if far is not None else UNKNOWN
        allowed = limit(self.dtype, abs(wanted), far, self.asked, slack=slack)
        self.found.append(seen.loss)
        self.allowed.append(allowed)
        apart = abs(seen.loss - wanted)
        if self.left is None and not (apart <= allowed or (np.isnan(wanted) and np.isnan(seen.loss))):
            self.left = {"step": seen.step, "reference": wanted, "candidate": seen.loss, "allowed": allowed}
        if self.first is None:
            self.first = self._leaver(seen)

    def _leaver(self, seen: Observed) -> dict[str, Any] | None:
        """The weight that is furthest outside of what it is allowed, if any is."""
        wanted = self.loop.reference(seen.step, "weights")
        spread = self.wander[seen.step].get("weights")
        around: Arrays = {}
        found = []
        for name, array in seen.weights.items():
            numbers = [i for i in self.targets[name] if self.told["weights"][seen.step][i]]
            if not numbers or name not in wanted:
                continue
            far = None if spread is None else worst([spread[i] for i in numbers])
            slack = FREE if far is not None else UNKNOWN
            row = compared(name, wanted[name], array, self.dtype, far, self.asked, slack=slack)
            if row["status"] == "differs":
                around[name] = array
                found.append(row)
        if not found:
            return None
        row = max(found, key=lambda r: r["max_abs"] / r["allowed"] if r["allowed"] else np.inf)
        return {"name": row["name"], "step": seen.step, "max_abs": row["max_abs"], "allowed": row["allowed"]}


__all__ = ["Curve", "Judge", "optimizers", "replay_training"]
