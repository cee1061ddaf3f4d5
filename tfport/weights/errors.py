"""The one error of this room: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["WeightsError", "brief"]


def brief(error: BaseException, most: int = 200) -> str:
    """What a library said, in one line of at most so many characters."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= most else said[:most] + "..."


class WeightsError(ValueError):
    """A checkpoint that cannot be read, or that does not fit a module.

    The first line is complete in itself; ``problems`` holds one line per tensor where the error is about
    tensors.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  ".join((message, *self.problems)))
