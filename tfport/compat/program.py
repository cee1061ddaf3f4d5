"""``tf.flags`` and ``tf.app``: absl's flags, which are TensorFlow's own, with the two liberties TensorFlow takes.

Reading a flag before the command line was parsed parses it, and ``app.run`` leaves flags alone that nobody defined.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import app, flags


class Flags:
    """``absl.flags.FLAGS``, parsed from ``sys.argv`` at the first look at a value if nothing parsed it before."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__") and not flags.FLAGS.is_parsed() and name in flags.FLAGS:
            flags.FLAGS(sys.argv)
        return getattr(flags.FLAGS, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(flags.FLAGS, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(flags.FLAGS, name)

    def __call__(self, argv: Sequence[str], known_only: bool = False) -> list[str]:
        return list(flags.FLAGS(argv, known_only))

    def __getitem__(self, name: str) -> Any:
        return flags.FLAGS[name]

    def __setitem__(self, name: str, flag: Any) -> None:
        flags.FLAGS[name] = flag

    def __contains__(self, name: str) -> bool:
        return name in flags.FLAGS

    def __iter__(self) -> Iterator[str]:
        return iter(flags.FLAGS)

    def __len__(self) -> int:
        return len(flags.FLAGS)

    def __dir__(self) -> list[str]:
        return dir(flags.FLAGS)

    def __str__(self) -> str:
        return str(flags.FLAGS)


FLAGS = Flags()


def run(main: Callable[[list[str]], Any] | None = None, argv: list[str] | None = None) -> Any:
    """Parse the command line, call ``main`` (that of the program if None) with what is left of it, and exit."""
    called = main if main is not None else getattr(sys.modules["__main__"], "main", None)
    if called is None:
        raise AttributeError("the program has no function main: name the one to run")
    app.run(called, argv=argv, flags_parser=lambda given: flags.FLAGS(given, known_only=True))
