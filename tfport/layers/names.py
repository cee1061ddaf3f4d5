"""Names as Keras makes them: automatic layer names, the names inside a .weights.h5, and their Python identifiers."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable


def snake_case(class_name: str) -> str:
    """``Conv2DTranspose`` -> ``conv2d_transpose``: Keras' snake case (keras.src.utils.naming.to_snake_case)."""
    name = re.sub(r"\W+", "", class_name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


class Namer:
    """Hands out automatic names in the order of creation: ``dense``, ``dense_1``, ``dense_2``."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}

    def name(self, class_name: str) -> str:
        """The next automatic name of a class."""
        prefix = snake_case(class_name)
        count = self._used.get(prefix, 0)
        self._used[prefix] = count + 1
        return f"{prefix}_{count}" if count else prefix

    def clear(self) -> None:
        """Start again, as ``keras.backend.clear_session``."""
        self._used.clear()


def container_names(class_names: Iterable[str]) -> list[str]:
    """Names of the layers of one container in a ``.weights.h5``: ``layers/conv2d``, ``layers/conv2d_1`` ...

    Keras ignores the layers' own names there (keras.src.saving.saving_lib); the input layers count as well.
    """
    namer = Namer()
    return [namer.name(class_name) for class_name in class_names]


def identifier(name: str, taken: Collection[str] = ()) -> str:
    """A Python identifier for a layer's name: ``conv2d/1`` -> ``conv2d_1``; a taken or reserved one gets ``_``."""
    made = re.sub(r"\W", "_", name)
    if not made or made[0].isdigit():
        made = f"_{made}"
    while made in taken or keyword.iskeyword(made):
        made += "_"
    return made
