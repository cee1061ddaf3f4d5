"""What torch's writers raise, told as what it is: an error of the checkpoint, or a full disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tfport.weights.errors import WeightsError

__all__ = ["disk_errors"]


@contextlib.contextmanager
def disk_errors(path: str) -> Iterator[None]:
    """torch wraps what a tensor raises, and turns a full disk into errors of its own: WeightsError for either."""
    from torch.distributed.checkpoint import CheckpointException

    try:
        yield
    except (RuntimeError, CheckpointException) as error:
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, WeightsError):
                raise cause from None
        system = next((cause for cause in causes if isinstance(cause, OSError)), None)
        said = str(error).strip().splitlines()[-1] if system is None else system.strerror or system
        raise WeightsError(f"{path}: cannot be written: {said}") from None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The errors behind an error, those of a distributed checkpoint's processes first."""
    while error is not None:
        for failure in getattr(error, "failures", {}).values():
            yield from _causes(failure[0])
        yield error
        error = error.__cause__ or error.__context__
