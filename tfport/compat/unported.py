"""Stands in for a TensorFlow module that marked code still names: using it raises, everything else runs."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, NoReturn


class UnportedError(NotImplementedError):
    """A marked line was run. The message names file, line and API."""


class Unported:
    """A TensorFlow name without a port. Attributes are stubs too; calling or using one raises `UnportedError`."""

    def __init__(self, name: str, file: str, line: int) -> None:
        self._name, self._file, self._line = name, file, line

    def __getattr__(self, name: str) -> Unported:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Unported(f"{self._name}.{name}", self._file, self._line)

    def _raise(self) -> NoReturn:
        raise UnportedError(
            f"{self._place(sys._getframe(2))}: {self._name} has no port yet [TFP101]; "
            f"see the mark above this line, or `tfport explain {self._name}`"
        )

    def _place(self, frame: FrameType | None) -> str:
        """The line of the marked file that led here, maybe through a library; else the line that made the stub."""
        while frame is not None:
            if frame.f_code.co_filename == self._file:
                return f"{self._file}:{frame.f_lineno}"
            frame = frame.f_back
        return f"{self._file}:{self._line}"

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._raise()

    def __instancecheck__(self, instance: Any) -> bool:
        self._raise()

    def __iter__(self) -> NoReturn:
        self._raise()

    def __bool__(self) -> bool:
        self._raise()

    def __enter__(self) -> NoReturn:
        self._raise()

    def __exit__(self, *error: object) -> None:
        return None

    def __getitem__(self, key: Any) -> NoReturn:
        self._raise()

    def __eq__(self, other: object) -> bool:
        self._raise()

    def __ne__(self, other: object) -> bool:
        self._raise()

    __hash__ = object.__hash__

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        """As a base class: the class can be defined, making an instance raises."""
        name, place = self._name, self._place(sys._getframe(1))

        def refuse(cls: type, *args: Any, **kwargs: Any) -> NoReturn:
            raise UnportedError(f"{place}: the base class {name} has no port yet [TFP101]")

        return (type("UnportedBase", (), {"__new__": refuse}),)

    def __repr__(self) -> str:
        return f"<unported {self._name}>"


def unported(name: str) -> Unported:
    """A stub for ``name``, which marked code may still use."""
    frame = sys._getframe(1)
    return Unported(name, frame.f_code.co_filename, frame.f_lineno)
