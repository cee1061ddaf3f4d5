"""From a rule and the shape of an input to a torch module with Keras' initial weights."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from tfport.compat.keras.variables import fill, of_layer
from tfport.layers import variables
from tfport.layers.layouts import alike, map_axes, reordered, to_first, to_last

Shapes = list[tuple[int | None, ...]]


def split(
    rule: Any, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    """The constructor's arguments by name: those of the rule, and those that every layer has."""
    name = rule.primary.rsplit(".", 1)[1]
    names = list(signature.parameters)
    if len(args) > len(names):
        raise TypeError(f"{name} takes {len(names)} positional arguments, {len(args)} were given")
    given = {key: _plain(value) for key, value in zip(names, args)}
    for key, value in kwargs.items():
        key = rule.renamed.get(key, key)
        if key in given:
            raise TypeError(f"{name} got {key} twice")
        given[key] = _plain(value)
    own = {key: value for key, value in given.items() if key in signature.parameters}
    base = {key: value for key, value in given.items() if key not in signature.parameters}
    if "activity_regularizer" in own:
        base["activity_regularizer"] = own["activity_regularizer"]
    missing = [
        n for n, p in signature.parameters.items() if p.default is inspect.Parameter.empty and n not in own
    ]
    if missing:
        raise TypeError(f"{name} needs {', '.join(missing)}")
    return own, base


def _plain(value: Any) -> Any:
    """NumPy's scalars, as ``tf.reduce_prod(shape).numpy()`` gives them, as Python's; tuples and lists of them too."""
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(_plain(item) for item in value)
    return value


def wish(layer: Any, shapes: Shapes, here: str = "last") -> str:
    """The layout that the layer wants of inputs that are in layout ``here``: "first" or "last"."""
    rank = max(map(len, shapes))
    if rank < 3 or layer.rule.layout in ("last", "call"):
        return "last"
    if layer.rule.layout == "first":
        axis = layer.arguments.get("axis", -1)
        if isinstance(axis, int) and axis % rank != rank - 1:
            raise NotImplementedError(f"{layer.class_name}(axis={axis}) of an input of rank {rank}: only the channels "
                                      "are ported; put a Permute before and after it")  # fmt: skip
        return "first"
    if layer.rule.layout in ("flatten", "reshape"):
        return here if all(alike(s) for s in shapes) else "last"
    if layer.stateful:  # made once, so in one layout: images channels first
        return "first" if rank > 3 else "last"
    return here if len({len(s) for s in shapes}) == 1 else "last"


def make(layer: Any, shapes: Shapes, layout: str, masked: bool = False) -> nn.Module:
    """Call the layer's rule for inputs in this layout and give the parameters Keras' initial values."""
    shape = max(shapes, key=len)
    rank = len(shape)
    arguments = dict(layer.arguments)
    if "axis" in arguments:
        arguments["axis"] = map_axes(layout, arguments["axis"], rank)
    if layout == "first" and arguments.get("shared_axes"):
        arguments["shared_axes"] = map_axes(layout, arguments["shared_axes"], rank)
    if layout == "first" and arguments.get("noise_shape") is not None:
        arguments["noise_shape"] = reordered(arguments["noise_shape"], layout)
    function = layer.rule.function
    facts = {
        "channels": shape[-1],
        "size": reordered(shape, layout)[1:],
        "dim": 1 if layout == "first" else -1,
        "rank": rank,
        "shape": tuple(shape),
        "sizes": three(shapes),
        "plain": False,
        "masked": masked,
    }
    parameters = inspect.signature(function).parameters
    if "channels" in parameters and facts["channels"] is None and layer.stateful:
        raise ValueError(f"layer {layer.name}: the number of channels of its input {shape} must be known")
    arguments.update({n: facts[n] for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY})
    module: nn.Module = function(**arguments)
    if layer.rule.weights and "*" not in layer.rule.weights:
        fill(of_layer(layer, module), module, layer.arguments)
    if not layer.trainable:
        freeze(module, True)
    return module


def three(shapes: Shapes) -> tuple[int | None, int | None, int | None]:
    """The features of query, value and key; the value stands in for a missing key."""
    found = [s[-1] if s else None for s in shapes]
    return (
        found[0],
        found[min(1, len(found) - 1)],
        found[2] if len(found) > 2 else found[min(1, len(found) - 1)],
    )


def freeze(module: nn.Module, frozen: bool) -> None:
    """Keras' trainable=False: no gradients, and batch normalisation in inference mode."""
    for parameter in module.parameters():
        parameter.requires_grad_(not frozen)
    for child in module.modules():
        if hasattr(child, "frozen"):
            child.frozen = frozen  # type: ignore[assignment]
            child.train(not frozen)


class Order:
    """In which order real tensors of rank 4 and more are at this point of the run.

    None outside of all models: layers take TensorFlow's order there, recorded models channels first. "last" inside the
    ``call`` of an own layer (TensorFlow's order), "first" inside a recorded model.
    """

    now: str | None = None

    @classmethod
    def here(cls) -> str:
        """The order in which a layer that is called here gets its images."""
        return cls.now or "last"


@contextlib.contextmanager
def in_tensorflows_order() -> Iterator[None]:
    """Layers that are called here get and give TensorFlow's order."""
    order, Order.now = Order.now, "last"
    try:
        yield
    finally:
        Order.now = order


def tf_shape(value: torch.Tensor, here: str) -> tuple[int | None, ...]:
    """The shape of a real tensor in TensorFlow's order; rank 4 and more is in the order ``here``."""
    shape = tuple(value.shape)
    return tuple(shape[i] for i in to_last(len(shape))) if len(shape) > 3 and here == "first" else shape


def images_moved(value: Any, here: str, wanted: str) -> Any:
    """The nested value with tensors of rank 4 and more permuted from one order to the other."""
    if here == wanted:
        return value
    if isinstance(value, torch.Tensor):
        return moved(value, here, wanted) if value.dim() > 3 else value
    if isinstance(value, list | tuple):
        items = [images_moved(item, here, wanted) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: images_moved(item, here, wanted) for key, item in value.items()}
    return value


def arrays_as_tensors(value: Any) -> Any:
    """The nested value with tensors for NumPy arrays, floating ones in torch's default dtype."""
    if isinstance(value, np.ndarray):
        made = torch.as_tensor(np.ascontiguousarray(value))
        return made.to(torch.get_default_dtype()) if made.is_floating_point() else made
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(arrays_as_tensors(item) for item in value)
    return value


def mapped(value: Any, function: Any) -> Any:
    """The nested value with ``function`` of each tensor."""
    if isinstance(value, list | tuple):
        return type(value)(mapped(item, function) for item in value)
    if isinstance(value, dict):
        return {key: mapped(item, function) for key, item in value.items()}
    return function(value) if isinstance(value, torch.Tensor) else value


def moved(value: torch.Tensor, here: str, wanted: str) -> torch.Tensor:
    """The tensor in another layout."""
    if here == wanted or value.dim() < 3:
        return value
    return value.permute(to_first(value.dim()) if wanted == "first" else to_last(value.dim()))


def shape_list(shapes: Any) -> Shapes:
    """One shape or a list of them as a list."""
    if isinstance(shapes, tuple) and all(n is None or isinstance(n, int) for n in shapes):
        return [tuple(shapes)]
    return [tuple(s) for s in shapes]


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested lists, tuples and dictionaries."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def unwrap(values: Any) -> Any:
    """The only item of a list or tuple, or the list."""
    while isinstance(values, list | tuple) and len(values) == 1:
        values = values[0]
    return values


def unpacked(values: Any) -> Any:
    """What a Keras model returns for outputs of this structure: a list or tuple of one item is that item."""
    return values[0] if isinstance(values, list | tuple) and len(values) == 1 else values


def free_name(module: nn.Module, name: str) -> str:
    """A name for a new parameter that the module does not have yet."""
    from tfport.layers.names import identifier

    made, count = identifier(name), 0
    while hasattr(module, made):
        count += 1
        made = f"{identifier(name)}_{count}"
    return made


def rename(module: nn.Module, old: str, new: str) -> None:
    """Move a parameter or buffer to another attribute."""
    for table in (module._parameters, module._buffers):
        if old in table:
            table[new] = table.pop(old)  # type: ignore[index, assignment]


def own_records(layer: Any, name: str, path: str) -> list[dict[str, Any]]:
    """Records of an own layer: what ``add_weight`` made, then the layers that it holds, in the order of attributes.

    Own weights keep their shape; their key is Keras' variable name, numbered where it comes twice.
    """
    weights: dict[str, list[Any]] = {}
    for attribute, variable in layer.__dict__.get("_made_weights", {}).items():
        key, count = variable, 0
        while key in weights:
            count += 1
            key = f"{variable}_{count}"
        weights[key] = [attribute, "... -> ...", {}]
    records = [
        {
            "name": name,
            "class": layer.class_name,
            "path": path or None,
            "keras_path": None,
            "weights": weights,
        }
    ]
    for attribute, child in held(layer):
        below = f"{path}.{attribute}".lstrip(".")
        if getattr(child, "tfport_layers", None) is not None:
            where = attribute.replace(".", "/")
            records.append({"name": f"{name}/{child.name}", "class": child.class_name, "path": below, "keras_path": where,
                            "weights": {}})  # fmt: skip
            records += [{**r, "name": f"{name}/{child.name}/{r['name']}", "path": r["path"] and f"{below}.{r['path']}",
                         "keras_path": f"{where}/{inside}"} for r, inside in placed(child.tfport_layers)]  # fmt: skip
            continue
        inner = own_records(child, f"{name}/{child.name}", below)
        if hasattr(child, "rule"):
            made = {} if child.module is None else of_layer(child, child.module)
            inner[0]["weights"] = variables.record(variables.below("", "module", made))
        for record in inner:
            record["keras_path"] = "/".join(filter(None, (attribute.replace(".", "/"), record["keras_path"])))
        records += inner
    return records


def placed(records: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    """The records of a recorded model, each with its place in the model: the name of a layer, and below an own layer the
    attributes that hold it.
    """
    owner = ""
    for record in records:
        if record["keras_path"] is None:
            owner = record["name"]
            yield record, owner
        else:
            yield record, f"{owner}/{record['keras_path']}"


class GrowingList(list[Any]):
    """``self.blocks = []`` of an own layer: modules that are appended later become submodules ``blocks_0`` ..."""

    def __init__(self, owner: nn.Module, name: str) -> None:
        super().__init__()
        self.owner, self.name = owner, name

    def append(self, value: Any) -> None:
        if isinstance(value, nn.Module):
            self.owner.add_module(f"{self.name}_{len(self)}", value)
        super().append(value)

    def extend(self, values: Any) -> None:
        for value in values:
            self.append(value)

    def __iadd__(self, values: Any) -> GrowingList:  # type: ignore[override, misc]
        self.extend(values)
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return [copy.deepcopy(item, memo) for item in self]


class NamedLayers(nn.ModuleList):
    """``self.towers = {"user": Dense(8), ...}`` of an own layer: submodules ``towers.0`` ..., numbered as Keras numbers
    them, and read as a dictionary is.
    """

    def __init__(self, layers: dict[Any, nn.Module]) -> None:
        super().__init__(layers.values())
        self.names = list(layers)

    def __getitem__(self, key: Any) -> Any:
        if key not in self.names:
            raise KeyError(key)
        return super().__getitem__(self.names.index(key))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.names)

    def __contains__(self, key: Any) -> bool:
        return key in self.names

    def keys(self) -> list[Any]:
        """The keys, in order."""
        return list(self.names)

    def values(self) -> list[nn.Module]:
        """The layers, in order."""
        return list(self.children())

    def items(self) -> list[tuple[Any, nn.Module]]:
        """Keys and layers."""
        return list(zip(self.names, self.values(), strict=True))

    def get(self, key: Any, default: Any = None) -> Any:
        """The layer of a key, or the default."""
        return self[key] if key in self.names else default


def held(layer: nn.Module, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The layers that a layer holds as attributes, through lists and dictionaries of layers."""
    for attribute, child in layer.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from held(child, f"{prefix}{attribute}.")
        elif hasattr(child, "class_name"):
            yield prefix + attribute, child
