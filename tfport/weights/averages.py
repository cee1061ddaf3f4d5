"""``--ema``: the exponential moving averages of the weights in place of the weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfport.weights.checkpoint import Checkpoint
from tfport.weights.errors import WeightsError
from tfport.weights.names import describe

__all__ = ["lone_averages", "with_averages"]

SHADOW = "/ExponentialMovingAverage"


def lone_averages(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint in which averages that stand without their weights have the weights' names.

    Such is what a TensorFlow 1 Saver writes that was made for evaluation: ``Saver(average.variables_to_restore())``.
    """
    entries = []
    for key, entry in checkpoint.entries.items():
        weight = key.removesuffix(SHADOW)
        if weight != key and weight not in checkpoint.entries:
            entry = dataclasses.replace(entry, key=weight, made_of=(key,), **describe(weight))
        entries.append(entry)
    return checkpoint.having(entries)


def with_averages(checkpoint: Checkpoint, trainable: Sequence[str], ordered: bool = True) -> Checkpoint:
    """A checkpoint whose weights are their averages: TensorFlow 1's ``w/ExponentialMovingAverage``, or what Keras'
    optimizers keep with ``use_ema``.

    ``trainable`` are the keys of the trainable weights, ``ordered`` says whether in the model's order. Other weights
    (moving statistics) have no average in Keras and keep their value; in TensorFlow 1 those without a shadow do. Raises
    WeightsError when there is no average, or only some trainable weights have one.
    """
    shadows = {key: key + SHADOW for key in checkpoint.entries if key + SHADOW in checkpoint.entries}
    alone = {key for key, entry in checkpoint.entries.items() if entry.made_of == (key + SHADOW,)}
    if not shadows and not alone:
        shadows = _of_keras(checkpoint, trainable, ordered)
    missing = [key for key in trainable if key not in shadows and key not in alone]
    if missing:
        raise WeightsError(f"{checkpoint.path}: some trainable weights have no moving average", missing)
    entries = []
    for key, entry in checkpoint.entries.items():
        if key not in shadows:
            entries.append(entry)
            continue
        shadow = checkpoint.entries[shadows[key]]
        if (shadow.shape, shadow.dtype) != (entry.shape, entry.dtype):
            raise WeightsError(
                f"{checkpoint.path}: {shadow.key} is {list(shadow.shape)} {shadow.dtype}, its weight is not"
            )
        entries.append(dataclasses.replace(entry, read=shadow.read, unchecked=shadow.unchecked))
    return checkpoint.having(entries, f"{checkpoint.format}, moving averages")


def _of_keras(checkpoint: Checkpoint, trainable: Sequence[str], ordered: bool) -> dict[str, str]:
    from tfport.weights.optimizer import Asked, read_optimizer

    try:
        state = read_optimizer(checkpoint, trainable, Asked(average=True), ordered=ordered)
    except WeightsError as error:
        raise WeightsError(f"{checkpoint.path}: holds no moving averages of the weights ({error})") from None
    found = {weight: slots["average"] for weight, slots in state.slots.items() if "average" in slots}
    if not found:
        raise WeightsError(f"{checkpoint.path}: holds no moving averages of the weights (use_ema was off)")
    return found
