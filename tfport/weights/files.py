"""Files as read-only memory maps."""

from __future__ import annotations

import mmap
import os

from tfport.weights.errors import WeightsError

__all__ = ["mapped"]


def mapped(path: str) -> memoryview:
    """The bytes of a file, mapped, not read; an empty file is an empty view. WeightsError when it cannot be
    opened.
    """
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise WeightsError(f"{path}: no such file") from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
