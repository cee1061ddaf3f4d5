"""The optimizer's state in a checkpoint: for each weight its slots, the count of steps, the rate, the loss scale.

Slots are found by name: ``adam/sequential_a_kernel_momentum`` (Keras 3), ``Adam/m/a/kernel`` (Keras 2.11 and later),
``Adam/a/kernel/m`` (Keras 2 before), ``a/kernel/Adam_1`` (TensorFlow 1); in ``.weights.h5`` and ``.keras`` files they
are numbered and stand in the order of the trainable variables.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

from tfport.weights.checkpoint import ELSEWHERE, Checkpoint, Entry
from tfport.weights.errors import WeightsError
from tfport.weights.names import natural, slot_owner
from tfport.weights.optimizer.numbered import numbered_groups, read_numbered
from tfport.weights.optimizer.ordering import in_kerass_order
from tfport.weights.optimizer.roles import EXTRA, FAMILIES, family_of, slot_name, v1_slots
from tfport.weights.optimizer.scalars import bare, fill_scalars, place_of
from tfport.weights.optimizer.state import NOTHING, Asked, OptimizerState, refuse_another, same_family

__all__ = ["read_optimizer"]

_V1_SLOT = re.compile(r"(.+/.+?)(?:_(\d+))?$")
_BERT_SLOT = re.compile(r"(.+)/(adam_m|adam_v)$")
_BERT_NOTE = (
    "the checkpoint's AdamWeightDecayOptimizer has no bias correction, torch's AdamW has: until some 10,000 steps"
    " (beta_2 0.999) its steps are smaller or larger; a high count of steps turns the correction off"
)


def read_optimizer(
    checkpoint: Checkpoint,
    trainable: Sequence[str],
    asked: Asked = NOTHING,
    everything: Sequence[str] = (),
    ordered: bool = True,
) -> OptimizerState:
    """Find the optimizer's state for the weights with these keys, in the model's order or (``ordered`` is False) in any.

    ``everything`` are the keys of all weights that may have been trained, these among them: where a file numbers the
    tensors, their count tells which. The family is needed where the file does not name the class (``.weights.h5``),
    the slots in use where the number of tensors does not tell them.
    Raises WeightsError that says what is missing: no state at all, a weight without slots, an order that nothing
    tells.
    """
    entries = {**checkpoint.made, **checkpoint.entries}
    weights = [entries[key] for key in trainable]
    groups = numbered_groups(checkpoint)
    if groups:
        lists = [[entries[key] for key in everything]] if everything else []
        lists += [weights] if weights not in lists else []
        if not ordered:
            lists = [in_kerass_order(checkpoint, held) for held in lists]
        state = read_numbered(checkpoint, groups, asked, lists)
        wanted = set(trainable)
        state.left = [
            k for weight, held in state.slots.items() if weight not in wanted for k in held.values()
        ]
        state.slots = {weight: held for weight, held in state.slots.items() if weight in wanted}
    elif asked.family == "sgd" and not asked.uses and not _slotted(checkpoint):
        state = OptimizerState("sgd", False, {w.key: {} for w in weights})  # plain gradient descent has none
    else:
        state = _named(checkpoint, weights, asked)
    same_family(checkpoint, state.family, asked.family)
    fill_scalars(checkpoint, state, state.family, state.place or asked.which, asked.counted)
    _check(checkpoint, weights, state)
    return state


# ---------------------------------------------------------------- named


def _slotted(checkpoint: Checkpoint) -> bool:
    """Whether anything but scalars belongs to an optimizer."""
    return any(e.ignored.startswith("optimizer") and e.shape for e in checkpoint.entries.values())


def _named(checkpoint: Checkpoint, weights: Sequence[Entry], asked: Asked) -> OptimizerState:
    v1 = _v1(checkpoint, weights, asked.family) or _of_bert(checkpoint, weights)
    if v1 is not None:
        return v1
    candidates = [e for e in checkpoint.entries.values() if e.ignored.startswith("optimizer")]
    wanted = {w.key for w in weights}
    strangers = [
        e for e in checkpoint.entries.values()
        if (not e.ignored or e.ignored.startswith(ELSEWHERE)) and e.key not in wanted
    ]  # fmt: skip
    called = _called([*weights, *strangers])
    told = checkpoint.optimizer["class_name"] if checkpoint.optimizer else ""
    refuse_another(checkpoint, told, *(word for e in candidates for word in _words(e)))
    default = family_of(told) or asked.family
    states: dict[str | None, OptimizerState] = {}
    families: dict[str | None, set[str]] = {}
    counted: dict[tuple[str | None, str], int] = {}
    for entry in sorted((e for e in candidates if e.shape), key=lambda e: natural(e.key)):
        place = place_of(entry)
        if not asked.means(place):
            continue
        state = states.setdefault(place, OptimizerState("", False, {w.key: {} for w in weights}, place=place))
        owner, reading = None, None
        readings = _readings(entry, default)
        if place in checkpoint.trained and readings:
            reading = min(readings, key=lambda r: len(r.name))  # the longest name of a slot
            at = counted[place, reading.slot] = counted.get((place, reading.slot), -1) + 1
            listed = checkpoint.trained[place]
            owner = listed[at] if at < len(listed) else None
        else:
            for reading in readings:
                owners = next((called[n] for n in _endings(reading.name) if n in called), ())
                if len(owners) > 1:
                    raise WeightsError(f"{checkpoint.path}: {entry.key} may belong to {' and '.join(owners)}")
                if owners:
                    owner = owners[0]
                    break
        if owner is None or owner not in wanted or reading is None:
            state.left.append(entry.key)
            continue
        if reading.slot in state.slots[owner]:
            raise WeightsError(f"{checkpoint.path}: {owner} has two tensors for {reading.slot}")
        state.slots[owner][reading.slot] = entry.key
        state.idle, state.legacy = (
            state.idle or reading.form == "slot first",
            state.legacy or reading.form == "slot last",
        )
        state.keras3 = state.keras3 or reading.form == "joined"
        families.setdefault(place, set()).add(reading.family)
    return _chosen(checkpoint, weights, asked, candidates, states, families)


def _chosen(
    checkpoint: Checkpoint, weights: Sequence[Entry], asked: Asked, candidates: Sequence[Entry],
    states: dict[str | None, OptimizerState], families: dict[str | None, set[str]],
) -> OptimizerState:  # fmt: skip
    """The one optimizer that has slots of these weights, or gradient descent without any."""
    if len(families) > 1 and asked.family is not None:
        fitting = {place: held for place, held in families.items() if held == {asked.family}}
        families = fitting or families
    if not families:
        told = {family_of(e.layers[0].split("/")[0]) for e in candidates if e.layers} - {None}
        keys = {family_of(p) for e in candidates for p in e.key.split("/")} - {None}
        if "sgd" in told | keys or (candidates and not any(e.shape for e in candidates)):
            return OptimizerState("sgd", False, {w.key: {} for w in weights})
        raise WeightsError(
            f"{checkpoint.path}: holds no optimizer state for these weights (Keras 2 leaves that of a legacy optimizer"
            " out of .keras and .weights.h5 files: take an .h5 file of model.save, or a checkpoint)"
        )
    if len(families) > 1 or len(next(iter(families.values()))) > 1:
        raise WeightsError(
            f"{checkpoint.path}: holds the states of several optimizers of these weights: name one with which=",
            [f"{place}: {', '.join(sorted(held))}" for place, held in families.items()],
        )
    place, held = next(iter(families.items()))
    state = states[place]
    state.family = next(iter(held))
    own = [key for slots in state.slots.values() for key in slots.values()]
    words = {family_of(word) for key in own for word in _words(checkpoint.entries[key])}
    if state.family not in words | {
        family_of(checkpoint.optimizer["class_name"]) if checkpoint.optimizer else None
    }:
        state.notes.append(
            f"the file does not say of which optimizer the tensors are: they were taken for those of {state.family}"
        )
    return state


def _called(weights: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """Every name by which an optimizer may call a weight -> the weights' keys: the longest names decide."""
    found: dict[str, list[str]] = {}
    for weight in weights:
        names = {f"{layer}/{weight.variable}" for layer in weight.layers if weight.variable}
        parts = bare(weight.key).split("/")
        names |= {"/".join(parts[at:]) for at in range(len(parts))}
        for name in names:
            for spelled in {name, name.replace("/", "_")}:
                if weight.key not in found.setdefault(spelled, []):
                    found[spelled].append(weight.key)
    return {name: tuple(keys) for name, keys in found.items()}


@dataclasses.dataclass(frozen=True)
class _Reading:
    """A way to read the name of an optimizer's tensor: the weight's ``name``, and in which ``form`` it stands."""

    family: str
    slot: str
    name: str
    form: str


def _readings(entry: Entry, default: str | None) -> list[_Reading]:
    """The ways to read a tensor's name, longest names first; ``default`` is the family where no part of it is one."""
    found = []
    for text in _names_of(entry):
        parts = text.split("/")
        starts = [(f, parts[at + 1 :]) for at, p in enumerate(parts[:-1]) if (f := family_of(p))]
        if not starts and default is not None:  # a LossScaleOptimizer of Keras 2: m/a/kernel
            starts = [(default, parts[1:] if parts[0] == "optimizer_weights" else parts)]
        for family, rest in starts:
            if len(rest) > 1 and (slot := slot_name(family, rest[0])):  # Adam/m/a/kernel
                found.append(_Reading(family, slot, "/".join(rest[1:]), "slot first"))
            if len(rest) > 1 and (slot := slot_name(family, rest[-1])):  # Adam/a/kernel/m
                found.append(_Reading(family, slot, "/".join(rest[:-1]), "slot last"))
            whole = "/".join(rest)
            for slot in (*FAMILIES[family], *EXTRA):  # adam/a_kernel_momentum
                if whole.endswith(f"_{slot}"):
                    found.append(_Reading(family, slot, whole[: -len(slot) - 1], "joined"))
    return found


def _endings(name: str) -> Iterator[str]:
    """The name, then what is left of it without the scopes before, longest first: the model's own name is often
    unknown."""
    yield name
    for match in re.finditer(r"[/_]", name):
        yield name[match.end() :]


def _words(entry: Entry) -> list[str]:
    return [word for name in _names_of(entry) for word in name.split("/")]


def _names_of(entry: Entry) -> list[str]:
    texts = [f"{entry.layers[0]}/{entry.variable}"] if entry.layers and entry.variable else []
    return [*texts, bare(entry.key)]


# ---------------------------------------------------------------- TensorFlow 1


def _v1(checkpoint: Checkpoint, weights: Sequence[Entry], family: str | None) -> OptimizerState | None:
    """``w/Adam``, ``w/Adam_1``: under the class's name, or any that the program gave (``w/my_adam``)."""
    by_weight: dict[str, dict[str, dict[int, str]]] = {}
    for entry in checkpoint.entries.values():
        match = _V1_SLOT.match(entry.key) if entry.ignored.startswith("optimizer slot ") else None
        owner = slot_owner(entry.key, checkpoint.entries) if match else None
        if match and owner is not None and "/.OPTIMIZER_SLOT/" not in entry.key:
            scope = match[1][len(owner) + 1 :]
            if scope not in ("ExponentialMovingAverage", "adam_m", "adam_v"):
                by_weight.setdefault(owner, {}).setdefault(scope, {})[int(match[2] or 0)] = entry.key
    if not by_weight:
        return None
    families: set[str] = set()
    slots: dict[str, dict[str, str]] = {}
    for weight in weights:
        slots[weight.key] = {}
        for scope, keys in by_weight.get(weight.key, {}).items():
            known = v1_slots(scope.rpartition("/")[2], len(keys)) or v1_slots(family, len(keys))
            if known is None or sorted(keys) != list(range(len(keys))):
                raise WeightsError(
                    f"{checkpoint.path}: {weight.key} has {len(keys)} slots of {scope}: not understood"
                    + ("" if family else ", name the kind of optimizer")
                )
            families.add(known[0])
            slots[weight.key] = {slot: keys[n] for n, slot in enumerate(known[1])}
    if len(families) != 1:
        raise WeightsError(
            f"{checkpoint.path}: slots of several optimizers, or of none of these weights: {families or ''}"
        )
    state = OptimizerState(families.pop(), True, slots)
    own = {scope for weight in weights for scope in by_weight.get(weight.key, {})}
    if unknown := sorted(
        scope
        for scope in own
        if not v1_slots(scope.rpartition("/")[2], 1) and not v1_slots(scope.rpartition("/")[2], 2)
    ):
        state.notes.append(
            f"the slots are called {', '.join(unknown)}: they were taken for those of {state.family}, as the optimizer is"
        )
    return state


def _of_bert(checkpoint: Checkpoint, weights: Sequence[Entry]) -> OptimizerState | None:
    """``w/adam_m`` and ``w/adam_v``, as the optimizer in google-research/bert's optimization.py names them."""
    found: dict[str, dict[str, str]] = {w.key: {} for w in weights}
    for key in checkpoint.entries:
        if (match := _BERT_SLOT.match(key)) and match[1] in found:
            found[match[1]][{"adam_m": "momentum", "adam_v": "velocity"}[match[2]]] = key
    if not any(found.values()):
        return None
    return OptimizerState("adamw", True, found, notes=[_BERT_NOTE])


def _check(checkpoint: Checkpoint, weights: Sequence[Entry], state: OptimizerState) -> None:
    """Every weight has the same slots, each of its shape and dtype."""
    used = {slot for slots in state.slots.values() for slot in slots}
    problems = []
    hint = ""
    for weight in weights:
        held = state.slots[weight.key]
        missing = used - held.keys()
        if missing:
            problems.append(f"{weight.key} has no {', '.join(sorted(missing))}")
            hint = (
                "; what TensorFlow did not train (trainable=False) has no state: requires_grad_(False) on its parameters,"
                " or leave them out of the optimizer"
            )
        for slot, key in held.items():
            entry = checkpoint.entries[key]
            if (entry.shape, entry.dtype) != (weight.shape, weight.dtype):
                problems.append(
                    f"{key} ({slot}) is {list(entry.shape)} {entry.dtype}, its weight {list(weight.shape)} {weight.dtype}"
                )
    if problems:
        raise WeightsError(f"{checkpoint.path}: the optimizer's state is not whole{hint}", problems)
