"""The catalogue of likely causes, one file each. A cause proposes changes; `trials` applies and judges them."""

from __future__ import annotations

from collections.abc import Iterator

from tfport.parity.localise.causes import (
    activation,
    arrangement,
    attention,
    configuration,
    epsilon,
    flattening,
    gates,
    kernels,
    masking,
    mode,
    padding,
    recurrent,
    resizing,
    statistics,
    surplus,
)
from tfport.parity.localise.causes.base import Context, Fix, Propose

CATALOGUE: tuple[Propose, ...] = (
    mode.propose,
    masking.propose,
    epsilon.propose,
    configuration.propose,
    padding.propose,
    activation.propose,
    statistics.propose,
    attention.propose,
    flattening.propose,
    recurrent.propose,
    resizing.propose,
    arrangement.propose,
    kernels.propose,
    gates.propose,
    surplus.propose,
)
"""In the order in which they are tried, after all that the reference's configuration tells."""


def proposals(context: Context) -> Iterator[tuple[int, Fix]]:
    """(rank, fix): a lower rank is tried first."""
    for rank, propose in enumerate(CATALOGUE):
        for fix in propose(context):
            yield (rank if not fix.told else rank - len(CATALOGUE)), fix


__all__ = ["CATALOGUE", "Context", "Fix", "proposals"]
