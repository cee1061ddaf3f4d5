"""Lazy torch modules: what is known of their shapes, and how they become the real ones without a forward
pass.
"""

from __future__ import annotations

from typing import Any

__all__ = ["is_lazy", "known_shape", "materialise", "problems"]


def is_lazy(tensor: Any) -> bool:
    """Whether a parameter or buffer has no shape yet."""
    from torch.nn.parameter import is_lazy as lazy

    return bool(lazy(tensor))


def known_shape(module: Any, name: str) -> tuple[int | None, ...]:
    """The shape that an uninitialised parameter of ``module`` will have, None for the sizes its input
    decides.
    """
    if hasattr(module, "tensorflow_layout"):
        return tuple(module.shapes[name])
    if hasattr(module, "kernel_size"):
        if name == "bias":
            return (module.out_channels,)
        if module.transposed:
            return (None, module.out_channels // module.groups, *module.kernel_size)
        return (module.out_channels, None, *module.kernel_size)
    if hasattr(module, "out_features"):
        return (module.out_features,) if name == "bias" else (module.out_features, None)
    return (None,)


def problems(label: str, module: Any, shapes: dict[str, tuple[int, ...]]) -> list[str]:
    """Why the lazy parameters of one module cannot take these shapes together; empty when they can."""
    tensors = {**module._parameters, **module._buffers}
    empty = [
        name
        for name, tensor in tensors.items()
        if tensor is not None and is_lazy(tensor) and name not in shapes
    ]
    found = [f"missing: {label}: {name} has no shape yet, and no variable gives it one" for name in empty]
    if hasattr(module, "tensorflow_layout"):
        return found
    if all(len(shape) == 1 for shape in shapes.values()) and len(set(shapes.values())) > 1:
        found.append(f"wrong shape: {label}: its tensors differ in length: {shapes}")
    return found


def materialise(module: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    """Give the lazy parameters of one module their shapes and turn the module into its real class."""
    for name, shape in shapes.items():
        getattr(module, name).materialize(shape)
    weight = shapes.get("weight") or next(iter(shapes.values()))
    if hasattr(module, "in_features"):
        module.in_features = weight[1]
    elif hasattr(module, "in_channels"):
        module.in_channels = weight[0] if module.transposed else weight[1] * module.groups
    elif hasattr(module, "num_features"):
        module.num_features = weight[0]
    for hook in ("_initialize_hook", "_load_hook"):
        if hasattr(module, hook):
            getattr(module, hook).remove()
            delattr(module, hook)
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become
