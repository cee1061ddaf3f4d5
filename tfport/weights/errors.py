"""The one error of this room: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["WeightsError"]


class WeightsError(ValueError):
    """A checkpoint that cannot be read, or that does not fit a module.

    The first line is complete in itself; ``problems`` holds one line per tensor where the error is about
    tensors.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  ".join((message, *self.problems)))
