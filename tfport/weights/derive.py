"""A record derived from a module alone: its leaf modules in the order of definition, with the usual patterns.

What the module cannot tell is refused: the order in which Keras flattened an image before a Linear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfport.weights.errors import WeightsError
from tfport.weights.record import Layer, Record, Way

__all__ = ["derive_record"]

_KERNELS = {1: "w i o -> o i w", 2: "h w i o -> o i h w", 3: "d h w i o -> o i d h w"}
_TRANSPOSED = {1: "w o i -> i o w", 2: "h w o i -> i o h w", 3: "d h w o i -> i o d h w"}
_DEPTHWISE = {1: "w c m -> (c m) 1 w", 2: "h w c m -> (c m) 1 h w"}


def derive_record(module: Any) -> Record:
    """The layers of a torch module, guessed from nothing but its leaf modules; WeightsError where that is a
    guess.
    """
    layers, problems = [], []
    image = 0  # channels of the image value that the next Linear may be fed with
    for path, child in module.named_modules():
        if any(True for _ in child.children()) and not _is_leaf(child):
            own = [n for n, _ in child.named_parameters(recurse=False)]
            if own:
                problems.append(
                    f"{path or type(child).__name__}: parameters {', '.join(own)} of no known layer"
                )
            continue
        found = _ways(child)
        if found is None:
            if any(True for _ in child.parameters(recurse=False)):
                problems.append(
                    f"{path or 'the module'}: {type(child).__name__} is no layer with known patterns"
                )
            continue
        kind, table = found
        sizes: dict[str, int] = {}
        if kind == "Dense" and image:
            if child.in_features == 0:  # lazy: the kernel must show that nothing spatial was flattened
                sizes = {"i": image}
            elif child.in_features != image:
                problems.append(
                    f"{path}.weight: a Linear of {child.in_features} inputs after an image of"
                    f" {image} channels: whether its flattened axes run h w c or c h w cannot be told"
                )
            image = 0
        elif _rank(child):
            image = int(getattr(child, "out_channels", 0) or getattr(child, "num_features", 0) or image)
        ways = tuple(
            Way(variable, f"{path}.{name}" if path else name, pattern, sizes if variable == "kernel" else {})
            for variable, (name, pattern) in table.items()
        )
        layers.append(Layer(path.replace(".", "/") or None, kind, path, None, ways))
    if problems:
        raise WeightsError(
            f"{type(module).__name__} has no record (tfport_record, or <file>.tfport.json beside its"
            " source), and its weights cannot be placed without one; convert the model, or pass record=",
            problems,
        )
    return Record(
        type(module).__name__, "derived", tuple(layers), "the module's own layers, in order of definition"
    )


def _is_leaf(child: Any) -> bool:
    return type(child).__module__.startswith("torch.nn.modules") and _ways(child) is not None


def _rank(child: Any) -> int:
    """Spatial rank of an image layer; 0 for others."""
    name = type(child).__name__.removeprefix("Lazy")
    return int(name[-2]) if name[-1:] == "d" and name[-2:-1].isdigit() and "Dropout" not in name else 0


def _ways(child: Any) -> tuple[str, dict[str, tuple[str, str]]] | None:
    """Keras class and table of a torch layer, or None."""
    name = type(child).__name__.removeprefix("Lazy")
    for prefix, make in _MAKERS.items():
        if name.startswith(prefix):
            kind, table = make(child)
            return kind, {k: v for k, v in table.items() if _has(child, v[0])}
    return None


def _has(child: Any, name: str) -> bool:
    return getattr(child, name, None) is not None


def _conv(child: Any) -> tuple[str, dict[str, tuple[str, str]]]:
    rank = len(child.kernel_size)
    if child.transposed:
        return f"Conv{rank}DTranspose", {"kernel": ("weight", _TRANSPOSED[rank]), "bias": ("bias", "o -> o")}
    if child.groups > 1 and child.groups == child.in_channels and rank in _DEPTHWISE:
        return f"DepthwiseConv{rank}D", {"kernel": ("weight", _DEPTHWISE[rank]), "bias": ("bias", "o -> o")}
    return f"Conv{rank}D", {"kernel": ("weight", _KERNELS[rank]), "bias": ("bias", "o -> o")}


def _batch_norm(child: Any) -> tuple[str, dict[str, tuple[str, str]]]:
    return "BatchNormalization", {
        "gamma": ("weight", "c -> c"), "beta": ("bias", "c -> c"),
        "moving_mean": ("running_mean", "c -> c"), "moving_variance": ("running_var", "c -> c"),
    }  # fmt: skip


def _norm(kind: str) -> Callable[[Any], tuple[str, dict[str, tuple[str, str]]]]:
    return lambda child: (kind, {"gamma": ("weight", "c -> c"), "beta": ("bias", "c -> c")})


_MAKERS: dict[str, Callable[[Any], tuple[str, dict[str, tuple[str, str]]]]] = {
    "Conv": _conv,
    "Linear": lambda child: ("Dense", {"kernel": ("weight", "i o -> o i"), "bias": ("bias", "o -> o")}),
    "BatchNorm": _batch_norm,
    "LayerNorm": _norm("LayerNormalization"),
    "GroupNorm": _norm("GroupNormalization"),
    "Embedding": lambda child: ("Embedding", {"embeddings": ("weight", "n d -> n d")}),
}
