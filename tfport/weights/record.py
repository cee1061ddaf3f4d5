"""The conversion's record: which layer and variable became which module and parameter.

Its schema is that of ``model_torch.tfport.json``: ``models`` -> name -> ``layers``, each with name, class,
path, keras_path and ``weights``: variable -> [parameter, pattern, sizes].
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
from collections.abc import Mapping
from typing import Any

from tfport.weights.errors import WeightsError

__all__ = ["Layer", "Record", "Way", "find_record", "parse_record"]

NON_TRAINABLE = frozenset(
    {"moving_mean", "moving_variance", "mean", "variance", "count", "seed_generator_state"}
)


@dataclasses.dataclass(frozen=True)
class Way:
    """One variable's way: its name in the layer, the parameter it becomes, the pattern that moves it."""

    variable: str
    target: str
    pattern: str
    sizes: Mapping[str, int]

    @property
    def trainable(self) -> bool:
        """Whether Keras counts the variable among the trainable ones."""
        return self.variable not in NON_TRAINABLE


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
    for variable, (parameter, pattern, *sizes) in item.get("weights", {}).items():
        known = {str(k): int(v) for k, v in (sizes[0] if sizes else {}).items()}
        ways.append(
            Way(str(variable), f"{path}.{parameter}" if path else str(parameter), str(pattern), known)
        )
    return Layer(item.get("name"), str(item["class"]), path, item.get("keras_path"), tuple(ways))


def find_record(module: Any, name: str | None = None) -> Record | None:
    """The record of a module: its attribute ``tfport_record``, else the file beside the one that defines its
    class.
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
    if not path or not os.path.isfile(path):
        return None
    return parse_record(load_record(path), name, path)


def load_record(path: str) -> Any:
    """The JSON of a record file; WeightsError when it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise WeightsError(f"{path}: not JSON ({error})") from None
