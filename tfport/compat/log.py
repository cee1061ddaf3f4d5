"""The logger behind ``tf.logging``."""

from __future__ import annotations

import collections
import logging
import sys

_CALLS: collections.Counter[tuple[str, int]] = collections.Counter()


def logger() -> logging.Logger:
    """The logger "tensorflow", which programs configure by that name: level WARNING at first.

    It writes to stderr unless the program has set up logging itself.
    """
    found = logging.getLogger("tensorflow")
    if found.level == logging.NOTSET:
        found.setLevel(logging.WARNING)
        if not found.handlers and not logging.getLogger().handlers:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
            found.addHandler(handler)
            found.propagate = False
    return found


def calls_before() -> int:
    """How often the rule that asks was called before from the same line of the program."""
    frame = sys._getframe(2)
    place = (frame.f_code.co_filename, frame.f_lineno)
    _CALLS[place] += 1
    return _CALLS[place] - 1
