"""Which state of which optimizer is the same quantity, in Keras, TensorFlow 1 and torch.

Slots have Keras 3's names here. Sources: the ``build`` methods of Keras' and TensorFlow's optimizers, the ``state``
of torch's; the factors are those of resuming a run in the middle (docs/weights.md has the errors).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

__all__ = [
    "EXTRA",
    "FAMILIES",
    "Role",
    "family_of",
    "is_another",
    "positional_slots",
    "slot_name",
    "v1_slots",
]


@dataclasses.dataclass(frozen=True)
class Role:
    """A state tensor: torch's key, and what Keras stores in units of it (1, the rate, or minus the rate)."""

    torch: str
    factor: str = ""


_ADAM = {"momentum": Role("exp_avg"), "velocity": Role("exp_avg_sq"), "velocity_hat": Role("max_exp_avg_sq")}
FAMILIES: dict[str, dict[str, Role]] = {
    "adam": _ADAM,
    "adamw": _ADAM,
    "lamb": _ADAM,
    "nadam": {k: _ADAM[k] for k in ("momentum", "velocity")},
    "adamax": {"momentum": Role("exp_avg"), "norm": Role("exp_inf")},
    "lion": {"momentum": Role("exp_avg")},
    "sgd": {"momentum": Role("momentum_buffer", "-rate")},
    "rmsprop": {
        "velocity": Role("square_avg"), "momentum": Role("momentum_buffer", "rate"),
        "average_gradient": Role("grad_avg"),
    },
    "adagrad": {"accumulator": Role("sum")},
    "adadelta": {"accumulated_grad": Role("square_avg"), "accumulated_delta_var": Role("acc_delta")},
    "ftrl": {"accumulator": Role("sum"), "linear": Role("linear")},
}  # fmt: skip
"""Family -> slot -> role."""
EXTRA = {"average": "use_ema", "gradient_accumulator": "gradient_accumulation_steps"}
"""What any of Keras' optimizers may keep for a weight beside its slots, in its order, and the argument that asks for it."""

_EARLIER = {"m": "momentum", "v": "velocity", "vhat": "velocity_hat", "rms": "velocity", "mg": "average_gradient",
            "u": "norm", "accum_grad": "accumulated_grad", "accum_var": "accumulated_delta_var"}  # fmt: skip
_V1: dict[str, tuple[str, dict[int, tuple[str, ...]]]] = {
    "Adam": ("adam", {1: ("momentum",), 2: ("momentum", "velocity")}),
    "Momentum": ("sgd", {1: ("momentum",)}),
    "RMSProp": ("rmsprop", {2: ("velocity", "momentum"), 3: ("velocity", "average_gradient", "momentum")}),
    "Adagrad": ("adagrad", {1: ("accumulator",)}),
    "Adadelta": ("adadelta", {2: ("accumulated_grad", "accumulated_delta_var")}),
    "Ftrl": ("ftrl", {2: ("accumulator", "linear")}),
    "AdaMax": ("adamax", {2: ("momentum", "norm")}),
    "LAMB": ("lamb", {2: ("momentum", "velocity")}),
}  # fmt: skip


_OTHERS = ("adafactor", "muon", "schedulefreeadamw", "multioptimizer")


def is_another(name: str) -> bool:
    """Whether a name is that of one of Keras' optimizers whose state is not carried."""
    return name.lower().rstrip("0123456789").replace("_", "").rpartition(">")[2] in _OTHERS


def family_of(name: str) -> str | None:
    """``Adam``, ``adam_1``, ``rm_sprop``, ``RMSprop``, ``legacy_adam`` -> the family; None for another name."""
    plain = (
        name.rpartition(">")[2]
        .lower()
        .rstrip("0123456789")
        .rstrip("_")
        .replace("_", "")
        .removeprefix("legacy")
    )
    return plain if plain in FAMILIES else None


def slot_name(family: str, name: str) -> str | None:
    """Keras 3's name of a slot that Keras 2 or TensorFlow calls otherwise; None for what is no slot of the family."""
    if name in FAMILIES[family] or name in EXTRA:
        return name
    if family == "adamax" and name == "v":
        return "norm"
    made = _EARLIER.get(name)
    return made if made in FAMILIES[family] else None


def v1_slots(name: str | None, count: int) -> tuple[str, tuple[str, ...]] | None:
    """The family and slots of TensorFlow 1's ``w/Adam``, ``w/Adam_1`` ...: by the optimizer's name or family and how
    many slots a variable has. None for another name or count."""
    found = _V1.get(name or "") or next((held for held in _V1.values() if held[0] == name), None)
    slots = None if found is None else found[1].get(count)
    return None if found is None or slots is None else (found[0], slots)


def positional_slots(
    family: str, variables: int, tensors: int, uses: Sequence[str] | None = None, extra: Sequence[str] = ()
) -> list[tuple[int, str]] | None:
    """What Keras' numbered optimizer variables are, in their order, after the count and the rate: pairs of (number of
    the trainable variable, slot).

    Adam's momentum and velocity alternate from variable to variable and ``velocity_hat`` follows for all; RMSprop's
    slots follow each other for all variables; what ``extra`` names (an ``average`` of the weights for use_ema, then
    a ``gradient_accumulator``) precedes them. ``uses`` names the slots that are there; without it their number must
    tell. None where the number of tensors does not fit.
    """
    names = list(FAMILIES[family])
    if uses is not None:
        choices = [[n for n in names if n in uses]]
    elif family == "rmsprop":
        choices = [names[:1], names]
    else:
        always = [n for n in names if n != "velocity_hat"]
        least = 0 if family == "sgd" else len(always)
        choices = [names[:k] for k in range(least, len(names) + 1)]
    every = range(variables)
    first = [(i, slot) for slot in extra for i in every]
    used = next((c for c in choices if len(c) * variables + len(first) == tensors), None)
    if used is None:
        return None
    if family == "rmsprop":
        return first + [(i, slot) for slot in used for i in every]
    last = [n for n in used if n == "velocity_hat"]
    return (
        first + [(i, n) for i in every for n in used if n not in last] + [(i, n) for n in last for i in every]
    )
