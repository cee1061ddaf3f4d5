"""In which axis order a port without a conversion's record takes its inputs: tried, since running it tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tfport.parity import layouts

Taken = dict[int, str]
"""Number of an input -> `NHWC -> NCHW`, where it is moved."""


def tries(ranks: Iterable[int]) -> list[Taken]:
    """What is tried, in order: TensorFlow's axis order, images channels first, sequences too."""
    ranks = list(ranks)
    made: list[Taken] = []
    for moved in ((), (4, 5), (3, 4, 5), (3,)):
        one = {i: layouts.CHANNELS_LAST[rank] for i, rank in enumerate(ranks) if rank in moved}
        if one not in made:
            made.append(one)
    return made


def orders_taken(ranks: Iterable[int], run: Callable[[Taken], Any]) -> Taken:
    """The first order in which the candidate runs; where it runs in none, the one in which it comes furthest.

    `run(order)` calls the candidate; it raises what the candidate raises. Nothing is run where there is no choice.
    """
    options = tries(ranks)
    if len(options) == 1:
        return options[0]
    from tfport.parity.localise.taps import Taps

    furthest: tuple[int, Taken] = (-1, options[0])
    for order in options:
        taps = Taps(lambda operation, result: None)
        try:
            with taps:
                run(order)
        except Exception:  # the candidate may raise anything in an order that it does not take
            if taps.count > furthest[0]:
                furthest = (taps.count, order)
            continue
        return order
    return furthest[1]


def as_record(taken: Taken, where: str) -> dict[str, Any]:
    """The part of a conversion's record that tells of these orders; empty where nothing is moved."""
    lines = [{"where": where, "argument": str(i), "layout": layout} for i, layout in taken.items()]
    return {"arguments": lines} if lines else {}
