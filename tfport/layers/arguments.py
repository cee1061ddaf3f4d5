"""Constructor arguments of Keras layers in one form, so that a rule's body compares plain values.

``padding="SAME"`` becomes ``"same"``, ``(3, 3)`` becomes ``3``, lists become tuples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SPATIAL = ("kernel_size", "pool_size", "strides", "dilation_rate", "size", "output_padding")


def normalise(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with lower-case padding, tuples for lists, and one number for an equal tuple.

    Raises NotImplementedError for ``data_format="channels_first"``.
    """
    done = dict(arguments)
    for name in SPATIAL:
        if name in done:
            done[name] = one(done[name])
    if isinstance(done.get("padding"), str):
        done["padding"] = done["padding"].lower()
    if done.get("data_format") not in (None, "channels_last"):
        raise NotImplementedError(
            'data_format="channels_first": write the model in Keras\' channels_last order; it becomes NCHW in torch'
        )
    for name in ("target_shape", "dims", "axis", "axes"):
        if isinstance(done.get(name), list):
            done[name] = tuple(done[name])
    if isinstance(done.get("axis"), tuple) and len(done["axis"]) == 1:
        done["axis"] = done["axis"][0]
    return done


def one(value: Any) -> Any:
    """``(3, 3)`` -> 3; a tuple of different numbers, a number or None as it is."""
    if isinstance(value, list | tuple):
        value = tuple(value)
        if value and all(v == value[0] for v in value):
            return value[0]
    return value


def many(value: Any, count: int) -> tuple[int, ...]:
    """A number or a tuple of ``count`` numbers as a tuple of ``count`` numbers. Raises ValueError otherwise."""
    if isinstance(value, list | tuple):
        if len(value) != count:
            raise ValueError(f"{value!r} has {len(value)} numbers where {count} are needed")
        return tuple(value)
    return (value,) * count


def pairs(value: Any, count: int) -> tuple[tuple[int, int], ...]:
    """Padding or cropping as ((before, after), ...) per spatial axis, from a number, numbers or pairs."""
    if count == 1 and isinstance(value, list | tuple) and not isinstance(value[0], list | tuple):
        return ((value[0], value[1]),) if len(value) == 2 else ((value[0], value[0]),)
    each: tuple[Any, ...] = many(value, count)
    return tuple((v[0], v[1]) if isinstance(v, list | tuple) else (v, v) for v in each)
