"""The conversion's record: which layer and variable became which module and parameter.

Its schema is that of ``model_torch.tfport.json``: ``models`` -> name -> ``layers``, each with name, class,
path, keras_path and ``weights``: variable -> [parameter, pattern, sizes], or a list of these where one variable goes
to several parameters. A variable of an object inside the layer has its path: ``cell/kernel``.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
from collections.abc import Mapping
from typing import Any

from tfport.weights.errors import WeightsError
from tfport.weights.patterns import ZEROS, Sizes

__all__ = ["Layer", "Record", "Way", "find_record", "parse_record", "tells_of_models"]

NON_TRAINABLE = frozenset(
    {"moving_mean", "moving_variance", "mean", "variance", "count", "seed_generator_state", "vector_u"}
)


@dataclasses.dataclass(frozen=True)
class Way:
    """One variable's way: its name in the layer, the parameter it becomes, the pattern that moves it."""

    variable: str
    target: str
    pattern: str
    sizes: Sizes

    @property
    def part(self) -> str:
        """The object inside the layer that has the variable: ``cell`` of ``cell/kernel``; empty for the layer's own."""
        return self.variable.rpartition("/")[0]

    @property
    def own_name(self) -> str:
        """The variable's name without its path."""
        return self.variable.rpartition("/")[2]

    @property
    def trainable(self) -> bool:
        """Whether Keras counts the variable among the trainable ones."""
        return self.own_name not in NON_TRAINABLE


@dataclasses.dataclass(frozen=True)
class Layer:
    """One Keras layer: ``name`` as inner/i1 when nested, ``path`` the module's, ``keras_path`` its attribute
    path.
    """

    name: str | None
    kind: str
    path: str
    keras_path: str | None
    ways: tuple[Way, ...]

    @property
    def sources(self) -> tuple[Way, ...]:
        """One way for each variable that is read; a parameter that is zero in Keras reads none."""
        return tuple({way.variable: way for way in reversed(self.ways) if way.pattern != ZEROS}.values())[
            ::-1
        ]

    @property
    def parts(self) -> dict[str, tuple[Way, ...]]:
        """The variables that are read, by the object inside the layer that has them; "" is the layer."""
        found: dict[str, list[Way]] = {}
        for way in self.sources:
            found.setdefault(way.part, []).append(way)
        return {part: tuple(ways) for part, ways in found.items()}


@dataclasses.dataclass(frozen=True)
class Record:
    """The layers of one model in Keras' order; ``kind`` is sequential, functional, subclass or derived."""

    model: str
    kind: str
    layers: tuple[Layer, ...]
    origin: str


def parse_record(data: Any, name: str, origin: str) -> Record:
    """The record of model ``name`` in a document of the schema, or in one model's entry; WeightsError if
    malformed.
    """
    if not isinstance(data, Mapping):
        raise WeightsError(f"{origin}: the record is no JSON object")
    if "layers" in data:
        return _record(data, name, origin)
    models = data.get("models")
    if data.get("version") != 1 or not isinstance(models, Mapping):
        raise WeightsError(f"{origin}: not a record of version 1; convert the model again with this tfport")
    if name in models:
        return _record(models[name], name, origin)
    if len(models) == 1:
        only = next(iter(models))
        return _record(models[only], only, origin)
    raise WeightsError(f"{origin}: no model {name!r} in the record; it has {', '.join(models) or 'none'}")


def _record(entry: Any, name: str, origin: str) -> Record:
    try:
        layers = tuple(_layer(item) for item in entry["layers"])
        return Record(name, str(entry.get("kind", "functional")), layers, origin)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(
            f"{origin}: the record of {name!r} is malformed ({type(error).__name__}: {error})"
        ) from None


def _layer(item: Mapping[str, Any]) -> Layer:
    path = item.get("path") or ""
    ways = []
    for variable, places in item.get("weights", {}).items():
        for parameter, pattern, *sizes in [places] if isinstance(places[0], str) else places:
            known = {str(k): _size(v) for k, v in (sizes[0] if sizes else {}).items()}
            target = f"{path}.{parameter}" if path else str(parameter)
            ways.append(Way(str(variable), target, str(pattern), known))
    return Layer(item.get("name"), str(item["class"]), path, item.get("keras_path"), tuple(ways))


def _size(value: Any) -> int | tuple[int, ...]:
    return tuple(int(v) for v in value) if isinstance(value, list | tuple) else int(value)


def find_record(module: Any, name: str | None = None) -> Record | None:
    """The record of a module: its attribute ``tfport_record``, else the file beside the one that defines its
    class; None where that file tells of no model at all (a TensorFlow 1 program).
    """
    kind = type(module)
    name = name or kind.__name__
    carried = getattr(module, "tfport_record", None)
    if carried is not None:
        return parse_record(carried, name, f"{kind.__name__}.tfport_record")
    try:
        source = inspect.getsourcefile(kind)
    except TypeError:  # built in the running session: there is no file
        return None
    path = os.path.splitext(source)[0] + ".tfport.json" if source else ""
    if not path or not tells_of_models(path):
        return None
    return parse_record(load_record(path), name, path)


def tells_of_models(path: str) -> bool:
    """Whether a file is there, and no conversion's record of a program without models."""
    if not os.path.isfile(path):
        return False
    data = load_record(path)
    return not (isinstance(data, dict) and data.get("version") == 1 and data.get("models") == {})


def load_record(path: str) -> Any:
    """The JSON of a record file; WeightsError when it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise WeightsError(f"{path}: not JSON ({error})") from None
