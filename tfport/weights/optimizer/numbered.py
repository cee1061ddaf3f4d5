"""Optimizer tensors that a file numbers (``optimizer/vars/7`` in ``.weights.h5`` and ``.keras``): in the order of the
trainable variables, by class (see `positional_slots`). A file may hold several optimizers, and one inside another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.errors import WeightsError
from tfport.weights.optimizer.roles import EXTRA, FAMILIES, family_of, positional_slots
from tfport.weights.optimizer.state import Asked, OptimizerState, refuse_another, same_family

__all__ = ["numbered_groups", "read_numbered"]

Groups = dict[str, dict[int, Entry]]
_NUMBERED = re.compile(r"(.+)/vars/(\d+)$")
_INSIDE = "/inner_optimizer"


def numbered_groups(checkpoint: Checkpoint) -> Groups:
    """The numbered tensors of each optimizer, by its place in the file."""
    found: Groups = {}
    for entry in checkpoint.entries.values():
        if entry.ignored == "optimizer state" and (match := _NUMBERED.match(entry.key)):
            found.setdefault(match[1], {})[int(match[2])] = entry
    return found


def read_numbered(
    checkpoint: Checkpoint, groups: Groups, asked: Asked, choices: Sequence[Sequence[Entry]]
) -> OptimizerState:
    """The state for the first of ``choices`` (lists of trainable weights, in Keras' order) that it fits.

    Raises WeightsError where no optimizer of the file fits, or more than one.
    """
    inner = {place: held for place, held in groups.items() if place + _INSIDE not in groups}
    if asked.which is not None:
        inner = {place: held for place, held in inner.items() if asked.means(place)}
        if not inner:
            raise WeightsError(
                f"{checkpoint.path}: holds no optimizer {asked.which!r}; it holds", sorted(groups)
            )
    fits, failures = [], []
    for place, held in inner.items():
        try:
            fits.append(_first(checkpoint, place, held, asked, choices))
        except WeightsError as error:
            failures.append(error)
    if len(fits) == 1:
        state = fits[0]
        _loss_scale(state, groups)
        return state
    if fits:
        raise WeightsError(
            f"{checkpoint.path}: several optimizers fit these weights: name one with which=",
            [s.place or "" for s in fits],
        )
    if len(failures) == 1:
        raise failures[0]
    raise WeightsError(
        f"{checkpoint.path}: none of its optimizers fits these weights",
        [str(failure) for failure in failures],
    )


def _first(
    checkpoint: Checkpoint,
    place: str,
    held: Mapping[int, Entry],
    asked: Asked,
    choices: Sequence[Sequence[Entry]],
) -> OptimizerState:
    failure: WeightsError | None = None
    for weights in choices:
        try:
            return _read(checkpoint, place, held, asked, weights)
        except WeightsError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _loss_scale(state: OptimizerState, groups: Groups) -> None:
    """A LossScaleOptimizer's own numbers: count, rate, steps since the last change, scale."""
    outer = groups.get((state.place or "").removesuffix(_INSIDE), {})
    if state.place is not None and state.place.endswith(_INSIDE) and len(outer) > 3:
        scalars = [outer[n] for n in sorted(outer)][:4]
        if [e.shape for e in scalars] == [()] * 4 and [e.dtype[:3] for e in scalars] == [
            "int",
            "flo",
            "int",
            "flo",
        ]:
            state.scalars |= {"good_steps": scalars[2].key, "loss_scale": scalars[3].key}


def _read(
    checkpoint: Checkpoint, place: str, held: Mapping[int, Entry], asked: Asked, weights: Sequence[Entry]
) -> OptimizerState:
    named = next((e.layers[0] for e in held.values() if e.layers), "")
    told = checkpoint.optimizer if place.removesuffix(_INSIDE) == "optimizer" else None
    config = told["config"] if told else {}
    found = family_of(named) or family_of(told["class_name"] if told else "")
    refuse_another(checkpoint, named, told["class_name"] if told else "")
    same_family(checkpoint, found, asked.family)
    family = found or asked.family
    if family is None:
        raise WeightsError(
            f"{checkpoint.path}: numbers the optimizer's tensors and does not say of which optimizer they are: name it"
        )
    ordered = [held[n] for n in sorted(held)]
    state = OptimizerState(
        family, False, {w.key: {} for w in weights}, place=place, idle=not named, keras3=bool(named)
    )
    if not found:
        state.notes.append(
            f"the file does not say of which optimizer the tensors are: they were taken for those of {family}"
        )
    state.scalars["iterations"] = ordered[0].key
    start = 2 if len(ordered) > 1 and ordered[1].shape == () else 1
    if start == 2:
        state.scalars["rate"] = ordered[1].key
    tensors = ordered[start:]
    while tensors and tensors[-1].shape == () and not any(w.shape == () for w in weights):
        tensors.pop()  # Nadam's product of the momentum schedule
    if not tensors and family == "sgd":
        return state
    if asked.average and checkpoint.averages is False:
        raise WeightsError(f"{checkpoint.path}: use_ema was off")
    for entry, (number, slot) in zip(
        tensors, _places(checkpoint, state, asked, config, weights, tensors), strict=True
    ):
        state.slots[weights[number].key][slot] = entry.key
    return state


def _places(
    checkpoint: Checkpoint, state: OptimizerState, asked: Asked, config: Mapping[str, object],
    weights: Sequence[Entry], tensors: Sequence[Entry],
) -> list[tuple[int, str]]:  # fmt: skip
    """What each tensor is: by the configuration in the file, else by what the optimizer keeps, else by their number."""
    family, count = state.family, (len(weights), len(tensors))
    given = _used(family, config)
    if config:
        extras = [[slot for slot, key in EXTRA.items() if config.get(key)]]
    else:
        extras = [["average"]] if asked.average else [list(asked.extra), *([] if not asked.extra else [[]])]
    kinds = [uses for uses in (given, asked.uses) if uses is not None]
    readings = [(extra, uses) for extra in extras for uses in kinds] + [(extra, None) for extra in extras]
    misplaced = None
    for extra, uses in readings:
        places = positional_slots(family, *count, uses, extra)
        wrong = None if places is None else _wrong(weights, tensors, places)
        if places is not None and wrong is None:
            if not config and (asked.average or asked.uses is None or uses is None):
                _only(checkpoint, family, count, weights, tensors, extra)
            elif not config and (
                len(kept := {slot for _, slot in places}) > 2 or (family == "rmsprop" and len(kept) > 1)
            ):
                state.notes.append(
                    f"the file numbers the tensors and tells no settings: they were taken for {', '.join(sorted(kept))}, as"
                    " the optimizer keeps"
                )
            return places
        misplaced = misplaced or wrong
    told = (
        f": {misplaced}: the trainable variables stand in another order, or the optimizer is another"
        if misplaced
        else ""
    )
    raise WeightsError(
        f"{checkpoint.path}: {count[1]} numbered tensors of {family} for {count[0]} trainable variables{told}:"
        " requires_grad_(False) on the parameters that were frozen in TensorFlow; amsgrad, centered, momentum, use_ema"
        " and gradient_accumulation_steps as they were (a .keras or .h5 file, or a checkpoint, tells them)"
    )


def _only(
    checkpoint: Checkpoint, family: str, count: tuple[int, int], weights: Sequence[Entry], tensors: Sequence[Entry],
    extra: Sequence[str],
) -> None:  # fmt: skip
    """WeightsError where the tensors could as well be others: averages of the weights, or none."""
    other = positional_slots(family, *count, None, [] if extra else ["average"])
    if any(slot != "average" for _, slot in other or ()) and _wrong(weights, tensors, other or []) is None:
        raise WeightsError(
            f"{checkpoint.path}: {count[1]} numbered tensors of {family} for {count[0]} trainable variables,"
            " alike in shape: whether the first are averages of the weights (use_ema) cannot be told; a .keras or"
            " .h5 file would tell"
        )


def _used(family: str, config: Mapping[str, object]) -> list[str] | None:
    """The slots that Keras 3 keeps with these settings."""
    if not config:
        return None
    on = {"velocity_hat": config.get("amsgrad"), "average_gradient": config.get("centered")}
    if family in ("sgd", "rmsprop"):
        on["momentum"] = config.get("momentum")
    return [slot for slot in FAMILIES[family] if on.get(slot, True)]


def _wrong(
    weights: Sequence[Entry], tensors: Sequence[Entry], places: Sequence[tuple[int, str]]
) -> str | None:
    """The first tensor that has not the shape of the weight whose slot it would be."""
    for entry, (number, slot) in zip(tensors, places, strict=True):
        weight = weights[number]
        if entry.shape != weight.shape:
            return (
                f"{entry.key} {list(entry.shape)} should be the {slot} of {weight.key} {list(weight.shape)}"
            )
    return None
