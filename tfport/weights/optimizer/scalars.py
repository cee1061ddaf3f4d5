"""The numbers of an optimizer that belong to no weight: the count of steps, the rate, powers of betas, the loss scale.

A checkpoint may hold several optimizers (a GAN's), and one inside another (a LossScaleOptimizer's): a number is taken
from the place of the slots, then from what encloses it, never from a stranger.
"""

from __future__ import annotations

import math
import re

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.errors import WeightsError
from tfport.weights.optimizer.roles import family_of
from tfport.weights.optimizer.state import OptimizerState

__all__ = ["SCALARS", "bare", "fill_scalars", "place_of", "steps_of_powers"]

SCALARS = {
    "iteration": "iterations", "iterations": "iterations", "iter": "iterations", "global_step": "iterations",
    "learning_rate": "rate", "beta1_power": "beta1_power", "beta2_power": "beta2_power",
    "dynamic_scale": "loss_scale", "current_loss_scale": "loss_scale", "step_counter": "good_steps", "good_steps": "good_steps",
    "beta_1": "beta_1", "beta_2": "beta_2", "rho": "rho", "momentum": "momentum", "decay": "decay",
}  # fmt: skip
SETTINGS = ("beta_1", "beta_2", "rho", "momentum", "decay")
"""Hyperparameters that Keras 2's legacy optimizers store as numbers."""
_SCALERS = ("loss_scale_optimizer", "LossScaleOptimizer")


def bare(key: str) -> str:
    """A key without what the format adds to a name."""
    return re.sub(r":\d+$|/\.ATTRIBUTES/VARIABLE_VALUE$", "", key)


def place_of(entry: Entry) -> str | None:
    """Where the optimizer of a tensor stands: ``generator_optimizer``, ``optimizer/inner_optimizer``,
    ``optimizer_weights/Adam``; None where its key does not tell, as in TensorFlow 1."""
    key = bare(entry.key)
    if found := re.search(r"/\.OPTIMIZER_SLOT/(.+)/[^/]+$", key):
        return found[1]
    if found := re.match(r"(.+)/(?:_variables|vars)/\d+$", key):
        return found[1]
    if key.startswith("optimizer_weights/"):
        parts = key.split("/")[:-1]
        named = [at for at, part in enumerate(parts) if family_of(part) or part in _SCALERS]
        return "/".join(parts[: named[-1] + 1]) if named else "optimizer_weights"
    return key.rpartition("/")[0] or None if entry.shape == () else None


def fill_scalars(
    checkpoint: Checkpoint, state: OptimizerState, family: str, place: str | None, counted: bool = False
) -> None:
    """Set ``iterations``, ``rate``, ``loss_scale`` and ``good_steps`` of an OptimizerState whose slots stand at
    ``place`` (None: unknown), and the keys of all numbers in ``scalars``. Raises WeightsError where two optimizers'
    counts differ and nothing tells whose the state is (unless the count is known: ``counted``)."""
    found: dict[str, list[tuple[int, str]]] = {}
    for entry in checkpoint.entries.values():
        name = _name(entry)
        if not entry.ignored or name is None:
            continue
        rank = _rank(entry, name, family, place)
        if rank > 0:
            found.setdefault(name, []).append((rank, entry.key))
    for name, ranked in found.items():
        best = max(rank for rank, _ in ranked)
        keys = [key for rank, key in ranked if rank == best]
        values = {float(checkpoint[key]) for key in keys}
        if len(values) == 1:
            state.scalars[name] = keys[0]
        elif not counted and name in ("iterations", "beta1_power", "beta2_power"):
            raise WeightsError(
                f"{checkpoint.path}: holds several counts of steps, and nothing tells which is this optimizer's: pass"
                " steps=",
                [f"{key} is {float(checkpoint[key]):g}" for key in keys],
            )
    for name, key in state.scalars.items():
        value = checkpoint[key]
        if name in ("iterations", "good_steps"):
            setattr(state, name, int(value))
        elif name in ("rate", "loss_scale"):
            setattr(state, name, float(value))


def _name(entry: Entry) -> str | None:
    if entry.shape != ():
        return None
    last = re.sub(r"(power)_\d+$", r"\1", bare(entry.key).rpartition("/")[2]).lstrip("_")
    return next((SCALARS[n] for n in (entry.variable or "", last) if n in SCALARS), None)


def _rank(entry: Entry, name: str, family: str, place: str | None) -> int:
    """How close a number stands to the slots; 0 is a stranger's."""
    scales = any(layer in _SCALERS for layer in entry.layers[:1])
    if scales and name not in ("loss_scale", "good_steps"):
        return 0  # a LossScaleOptimizer's own count and rate are not used
    mine = place_of(entry)
    own = family_of((mine or "").rpartition("/")[2]) or family_of("".join(entry.layers[:1]))
    if place is None or mine is None:
        return 2 if own == family else 1
    if mine == place:
        return 100
    if own is not None and own == family:
        return 99 if mine.startswith("optimizer_weights") else 0
    near = _within(mine, place) or _within(place, mine) or (name in ("loss_scale", "good_steps") and _within(
        mine.rpartition("/")[0], place
    ))  # fmt: skip
    return 1 + len(mine.split("/")) if near else 0


def _within(inner: str, outer: str) -> bool:
    return bool(outer) and (inner + "/").startswith(outer + "/")


def steps_of_powers(
    checkpoint: Checkpoint, scalars: dict[str, str], betas: tuple[float, float]
) -> int | None:
    """TensorFlow 1 Adam's count of steps: beta_power is beta ** (steps + 1); beta1's underflows near step 900."""
    for name, beta in (("beta1_power", betas[0]), ("beta2_power", betas[1])):
        if name not in scalars:
            continue
        power = float(checkpoint[scalars[name]])
        if power > 1e-30 and 0 < beta < 1:
            steps = math.log(power) / math.log(beta) - 1
            if abs(steps - round(steps)) > 0.05 * max(1.0, steps / 100):
                raise WeightsError(
                    f"{checkpoint.path}: {scalars[name]} = {power:g} is no power of the optimizer's beta {beta:g}:"
                    " give the optimizer the betas of the run"
                )
            return round(steps)
    return None
