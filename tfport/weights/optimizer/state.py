"""What is asked of a checkpoint's optimizer, and what is found."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfport.weights.checkpoint import Checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.optimizer.roles import FAMILIES, is_another

__all__ = ["NOTHING", "Asked", "OptimizerState", "refuse_another", "same_family"]


@dataclasses.dataclass(frozen=True)
class Asked:
    """The receiver's ``family``, the slots it ``uses`` and what it keeps beside them (``extra``: average,
    gradient_accumulator), each None or empty where nothing is known; ``average`` asks for Keras' averages of the
    weights; ``which`` names one of several optimizers; ``counted`` says that the count of steps is known."""

    family: str | None = None
    uses: Sequence[str] | None = None
    extra: Sequence[str] = ()
    average: bool = False
    which: str | None = None
    counted: bool = False

    def means(self, place: str | None) -> bool:
        """Whether the optimizer at this place may be meant."""
        return (
            self.which is None
            or place is None
            or self.which in (place, place.rpartition("/")[2], place.split("/")[0])
        )


NOTHING = Asked()


@dataclasses.dataclass
class OptimizerState:
    """What a checkpoint holds of an optimizer.

    ``family`` is adam, sgd, rmsprop ...; ``v1`` says that TensorFlow 1's optimizer wrote it, whose momentum is
    torch's. ``slots`` maps a weight's key to slot names (Keras 3's) and their keys. ``iterations`` counts steps,
    ``rate`` is the learning rate where it is stored; ``scalars`` are the keys they were read from; ``place`` is where
    the optimizer stands in the file. ``idle`` says that the writer keeps a momentum that it may not use (Keras 2's
    SGD), ``legacy`` that Keras 2's legacy class wrote it, ``keras3`` that Keras 3 did; ``left`` are slots of weights
    that were not asked for.
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
    place: str | None = None
    idle: bool = False
    legacy: bool = False
    keras3: bool = False
    left: list[str] = dataclasses.field(default_factory=list)


def refuse_another(checkpoint: Checkpoint, *names: str) -> None:
    """WeightsError where the optimizer is one of Keras' whose state is not carried."""
    if name := next((name for name in names if is_another(name)), None):
        raise WeightsError(
            f"{checkpoint.path}: holds the state of {name}, which is not carried; state is of {', '.join(FAMILIES)}"
        )


def same_family(checkpoint: Checkpoint, found: str | None, wanted: str | None) -> None:
    """WeightsError where the state is of another family than the optimizer."""
    if found and wanted and found != wanted and {found, wanted} != {"adam", "adamw"}:
        raise WeightsError(
            f"{checkpoint.path}: holds the state of {found}, not of {wanted}: make an optimizer of that kind"
        )
