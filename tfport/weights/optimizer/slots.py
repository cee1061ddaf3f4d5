"""The optimizer's state in a checkpoint: for each weight its slots, the count of steps, the rate, the loss scale.

Slots are found by name: ``adam/sequential_a_kernel_momentum`` (Keras 3), ``Adam/m/a/kernel`` (Keras 2.11 and later),
``Adam/a/kernel/m`` (Keras 2 before), ``a/kernel/Adam_1`` (TensorFlow 1); in ``.weights.h5`` and ``.keras`` files they
are numbered and stand in the order of the trainable variables.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.errors import WeightsError
from tfport.weights.names import natural
from tfport.weights.optimizer.ordering import in_kerass_order
from tfport.weights.optimizer.roles import FAMILIES, family_of, positional_slots, slot_name, v1_slots

__all__ = ["OptimizerState", "read_optimizer"]

SCALARS = {
    "iteration": "iterations", "iterations": "iterations", "iter": "iterations", "global_step": "iterations",
    "learning_rate": "rate", "beta1_power": "beta1_power", "beta2_power": "beta2_power",
    "dynamic_scale": "loss_scale", "current_loss_scale": "loss_scale", "step_counter": "good_steps", "good_steps": "good_steps",
}  # fmt: skip
_NUMBERED = re.compile(r"(?:^|/)optimizer/vars/(\d+)$")
_V1_SLOT = re.compile(r"(.+)/(Adam|Momentum|RMSProp|Adagrad|Adadelta|Ftrl|AdaMax|LAMB)(?:_(\d+))?$")
_BERT_SLOT = re.compile(r"(.+)/(adam_m|adam_v)$")
_BERT_NOTE = (
    "the checkpoint's AdamWeightDecayOptimizer has no bias correction, torch's AdamW has: until some 10,000 steps"
    " (beta_2 0.999) its steps are smaller or larger; a high count of steps turns the correction off"
)
EXTRA = ("average", "gradient_accumulator")


@dataclasses.dataclass
class OptimizerState:
    """What a checkpoint holds of an optimizer.

    ``family`` is adam, sgd, rmsprop ...; ``v1`` says that TensorFlow 1's optimizer wrote it, whose momentum is
    torch's. ``slots`` maps a weight's key to slot names (Keras 3's) and their keys. ``iterations`` counts steps,
    ``rate`` is the learning rate where it is stored; ``scalars`` are the keys they were read from.
    """

    family: str
    v1: bool
    slots: dict[str, dict[str, str]]
    iterations: int | None = None
    rate: float | None = None
    loss_scale: float | None = None
    good_steps: int | None = None
    scalars: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)


def read_optimizer(
    checkpoint: Checkpoint,
    trainable: Sequence[str],
    family: str | None = None,
    uses: Sequence[str] | None = None,
    average: bool = False,
    ordered: bool = True,
) -> OptimizerState:
    """Find the optimizer's state for the weights with these keys, in the model's order or (``ordered`` is False) in any.

    ``family`` is needed where the file numbers the tensors and does not name the class (``.weights.h5``);
    ``uses`` (its slots) and ``average`` (Keras' use_ema) where the number of tensors does not tell them.
    Raises WeightsError that says what is missing: no state at all, a weight without slots, tensors that nothing
    explains, an order that nothing tells.
    """
    entries = checkpoint.entries
    weights = [entries[key] for key in trainable]
    numbered = {int(m[1]): e for e in entries.values() if (m := _NUMBERED.search(e.key))}
    if numbered:
        if not ordered:
            weights = in_kerass_order(checkpoint, weights)
        state = _numbered(checkpoint, weights, numbered, family, uses, average)
    elif family == "sgd" and not uses and not _slotted(checkpoint):
        state = OptimizerState("sgd", False, {w.key: {} for w in weights})  # plain gradient descent has none
    else:
        state = _named(checkpoint, weights)
    _same_family(checkpoint, state.family, family)
    _fill_scalars(checkpoint, state)
    _check(checkpoint, weights, state)
    return state


def _same_family(checkpoint: Checkpoint, found: str | None, wanted: str | None) -> None:
    if found and wanted and found != wanted and {found, wanted} != {"adam", "adamw"}:
        raise WeightsError(f"{checkpoint.path}: holds the state of {found}, not of {wanted}")


def _scalar_entries(entries: Iterable[Entry]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries:
        names = re.split(r"[/:]", re.sub(r"/\.ATTRIBUTES/VARIABLE_VALUE$|:\d+$", "", entry.key))
        for name in (entry.variable or "", names[-1].lstrip("_")):
            if entry.shape == () and name in SCALARS:
                found.setdefault(SCALARS[name], entry.key)
    return found


def _fill_scalars(checkpoint: Checkpoint, state: OptimizerState) -> None:
    held = state.scalars or _scalar_entries(e for e in checkpoint.entries.values() if e.ignored)
    state.scalars = held
    for name in ("iterations", "good_steps"):
        if name in held:
            setattr(state, name, int(checkpoint[held[name]]))
    for name in ("rate", "loss_scale"):
        if name in held:
            setattr(state, name, float(checkpoint[held[name]]))


def steps_of_powers(checkpoint: Checkpoint, state: OptimizerState, betas: tuple[float, float]) -> int | None:
    """TensorFlow 1 Adam's count of steps: beta_power is beta ** (steps + 1); beta1's underflows near step 900."""
    for name, beta in (("beta1_power", betas[0]), ("beta2_power", betas[1])):
        if name not in state.scalars:
            continue
        power = float(checkpoint[state.scalars[name]])
        if power > 1e-30 and 0 < beta < 1:
            steps = math.log(power) / math.log(beta) - 1
            if abs(steps - round(steps)) > 0.05 * max(1.0, steps / 100):
                raise WeightsError(
                    f"{checkpoint.path}: {state.scalars[name]} = {power:g} is no power of the optimizer's beta {beta:g}"
                )
            return round(steps)
    return None


# ---------------------------------------------------------------- numbered


def _numbered(
    checkpoint: Checkpoint,
    weights: Sequence[Entry],
    numbered: Mapping[int, Entry],
    family: str | None,
    uses: Sequence[str] | None,
    average: bool,
) -> OptimizerState:
    named = next((e.layers[0] for e in numbered.values() if e.layers), "")
    _same_family(checkpoint, family_of(named), family)
    family = family_of(named) or family
    if family is None:
        raise WeightsError(
            f"{checkpoint.path}: numbers the optimizer's tensors and does not say of which optimizer they are: name it"
        )
    ordered = [numbered[n] for n in sorted(numbered)]
    scalars = {"iterations": ordered[0].key}
    start = 2 if len(ordered) > 1 and ordered[1].shape == () else 1
    if start == 2:
        scalars["rate"] = ordered[1].key
    tensors = ordered[start:]
    while tensors and tensors[-1].shape == () and not any(w.shape == () for w in weights):
        tensors.pop()  # Nadam's product of the momentum schedule
    state = OptimizerState(family, False, {w.key: {} for w in weights}, scalars=scalars)
    if not tensors and family == "sgd":
        return state
    told = checkpoint.averages
    if average and told is False:
        raise WeightsError(f"{checkpoint.path}: use_ema was off")
    places = positional_slots(family, len(weights), len(tensors), uses, average if told is None else told)
    if told is None and (average or uses is None) and _fits(weights, tensors, places):
        other = positional_slots(family, len(weights), len(tensors), None, not average)
        if any(slot != "average" for _, slot in other or ()) and _fits(weights, tensors, other):
            raise WeightsError(
                f"{checkpoint.path}: {len(tensors)} numbered tensors of {family} for {len(weights)} trainable variables,"
                " alike in shape: whether the first are averages of the weights (use_ema) cannot be told; a .keras or"
                " .h5 file would tell"
            )
    if places is None:
        raise WeightsError(
            f"{checkpoint.path}: {len(tensors)} numbered tensors of {family} for {len(weights)} trainable variables:"
            " frozen layers, an average of the weights, or another optimizer"
        )
    for entry, (number, slot) in zip(tensors, places, strict=True):
        weight = weights[number]
        if entry.shape != weight.shape:
            raise WeightsError(
                f"{checkpoint.path}: {entry.key} {list(entry.shape)} should be the {slot} of {weight.key}"
                f" {list(weight.shape)}: the trainable variables stand in another order"
            )
        state.slots[weight.key][slot] = entry.key
    return state


def _fits(
    weights: Sequence[Entry], tensors: Sequence[Entry], places: Sequence[tuple[int, str]] | None
) -> bool:
    """Whether every tensor has the shape of the weight whose slot it would be."""
    return places is not None and all(
        entry.shape == weights[number].shape for entry, (number, _) in zip(tensors, places, strict=True)
    )


# ---------------------------------------------------------------- named


def _slotted(checkpoint: Checkpoint) -> bool:
    """Whether anything but scalars belongs to an optimizer."""
    return any(e.ignored.startswith("optimizer") and e.shape for e in checkpoint.entries.values())


def _named(checkpoint: Checkpoint, weights: Sequence[Entry]) -> OptimizerState:
    v1 = _v1(checkpoint, weights) or _of_bert(checkpoint, weights)
    if v1 is not None:
        return v1
    candidates = [e for e in checkpoint.entries.values() if e.ignored.startswith("optimizer")]
    called = _called(weights)
    families: dict[str, int] = {}
    found: dict[str, dict[str, str]] = {w.key: {} for w in weights}
    for entry in sorted(candidates, key=lambda e: natural(e.key)):
        for family, slot, name in _readings(entry):
            owners = next((called[n] for n in _endings(name) if n in called), ())
            if len(owners) > 1:
                raise WeightsError(f"{checkpoint.path}: {entry.key} may belong to {' and '.join(owners)}")
            if owners:
                if slot in found[owners[0]]:
                    raise WeightsError(f"{checkpoint.path}: {owners[0]} has two tensors for {slot}")
                found[owners[0]][slot] = entry.key
                families[family] = families.get(family, 0) + 1
                break
    if not families:
        told = {family_of(e.layers[0].split("/")[0]) for e in candidates if e.layers} - {None}
        keys = {family_of(p) for e in candidates for p in e.key.split("/")} - {None}
        if "sgd" in told | keys or (candidates and not any(e.shape for e in candidates)):
            return OptimizerState("sgd", False, found)
        raise WeightsError(f"{checkpoint.path}: holds no optimizer state for these weights")
    if len(families) > 1:
        raise WeightsError(
            f"{checkpoint.path}: holds the states of several optimizers: {', '.join(sorted(families))}"
        )
    return OptimizerState(next(iter(families)), False, found)


def _called(weights: Sequence[Entry]) -> dict[str, tuple[str, ...]]:
    """Every name by which an optimizer may call a weight -> the weights' keys: the longest names decide."""
    found: dict[str, list[str]] = {}
    for weight in weights:
        names = {f"{layer}/{weight.variable}" for layer in weight.layers if weight.variable}
        parts = re.sub(r":\d+$|/\.ATTRIBUTES/VARIABLE_VALUE$", "", weight.key).split("/")
        names |= {"/".join(parts[at:]) for at in range(len(parts))}
        for name in names:
            for spelled in {name, name.replace("/", "_")}:
                if weight.key not in found.setdefault(spelled, []):
                    found[spelled].append(weight.key)
    return {name: tuple(keys) for name, keys in found.items()}


def _readings(entry: Entry) -> list[tuple[str, str, str]]:
    """(family, slot, weight's name) for each way to read the name of an optimizer's tensor, longest names first."""
    found = []
    for text in _names_of(entry):
        parts = text.split("/")
        for at, part in enumerate(parts[:-1]):
            family = family_of(part)
            if family is None:
                continue
            rest = parts[at + 1 :]
            if len(rest) > 1 and (slot := slot_name(family, rest[0])):  # Adam/m/a/kernel
                found.append((family, slot, "/".join(rest[1:])))
            if len(rest) > 1 and (slot := slot_name(family, rest[-1])):  # Adam/a/kernel/m
                found.append((family, slot, "/".join(rest[:-1])))
            whole = "/".join(rest)
            for slot in (*FAMILIES[family], *EXTRA):  # adam/a_kernel_momentum
                if whole.endswith(f"_{slot}"):
                    found.append((family, slot, whole[: -len(slot) - 1]))
    return found


def _endings(name: str) -> Iterator[str]:
    """The name, then what is left of it without the scopes before, longest first: the model's own name is often
    unknown."""
    yield name
    for match in re.finditer(r"[/_]", name):
        yield name[match.end() :]


def _names_of(entry: Entry) -> list[str]:
    texts = [f"{entry.layers[0]}/{entry.variable}"] if entry.layers and entry.variable else []
    key = re.sub(r":\d+$|/\.ATTRIBUTES/VARIABLE_VALUE$", "", entry.key)
    return [*texts, key]


# ---------------------------------------------------------------- TensorFlow 1


def _v1(checkpoint: Checkpoint, weights: Sequence[Entry]) -> OptimizerState | None:
    by_weight: dict[str, dict[str, dict[int, str]]] = {}
    for entry in checkpoint.entries.values():
        match = _V1_SLOT.match(entry.key)
        if match:
            by_weight.setdefault(match[1], {}).setdefault(match[2], {})[int(match[3] or 0)] = entry.key
    if not by_weight:
        return None
    families: set[str] = set()
    slots: dict[str, dict[str, str]] = {}
    for weight in weights:
        slots[weight.key] = {}
        for scope, keys in by_weight.get(weight.key, {}).items():
            known = v1_slots(scope, len(keys))
            if known is None or sorted(keys) != list(range(len(keys))):
                raise WeightsError(
                    f"{checkpoint.path}: {weight.key} has {len(keys)} slots of {scope}: not understood"
                )
            families.add(known[0])
            slots[weight.key] = {slot: keys[n] for n, slot in enumerate(known[1])}
    if len(families) != 1:
        raise WeightsError(
            f"{checkpoint.path}: slots of several optimizers, or of none of these weights: {families or ''}"
        )
    return OptimizerState(families.pop(), True, slots)


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
    for weight in weights:
        held = state.slots[weight.key]
        missing = used - held.keys()
        if missing:
            problems.append(f"{weight.key} has no {', '.join(sorted(missing))}")
        for slot, key in held.items():
            entry = checkpoint.entries[key]
            if (entry.shape, entry.dtype) != (weight.shape, weight.dtype):
                problems.append(
                    f"{key} ({slot}) is {list(entry.shape)} {entry.dtype}, its weight {list(weight.shape)} {weight.dtype}"
                )
    if problems:
        raise WeightsError(f"{checkpoint.path}: the optimizer's state is not whole", problems)
