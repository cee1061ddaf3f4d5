"""Where an image is flattened before a layer, or made from a layer's output: whose axes run h w c in Keras and c h w in torch.

Only widths and the order of definition are known here, no program. Where they leave both possible it is said, never
decided: the axes of a Dense layer's kernel behind a Flatten, or before a Reshape into an image, are the user's to tell.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Told", "flattening", "spatial_rank"]


@dataclasses.dataclass(frozen=True)
class Told:
    """Sizes for a layer's kernel, and why the order of its axes, or of all its tensors', cannot be told."""

    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    kernel: str = ""
    tensors: str = ""
    pattern: str = ""
    vector: str = ""
    """The kernel's pattern and that of the other tensors, where they are not those of the class."""
    channels: int = 0
    """Of the image, where the order cannot be told."""

    def way(self, vector: bool) -> tuple[str, dict[str, int]]:
        """The pattern and sizes of a tensor if torch has c h w; "" where nothing is in doubt."""
        if not self.tensors and (vector or not self.kernel):
            return "", {}
        pattern = (
            "(h w c) -> (c h w)"
            if vector
            else "i (h w c) -> (c h w) i"
            if self.tensors
            else "(h w c) o -> o (c h w)"
        )
        return pattern, {"c": self.channels} if self.channels else {}

    def reason(self, role: str) -> str:
        """Why a tensor's order cannot be told; empty where it can."""
        return self.tensors or (self.kernel if role == "kernel" else "")


def spatial_rank(owner: Any) -> int:
    """Spatial rank of an image layer; 0 for others, and for a BatchNorm1d, which may stand behind a Linear."""
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase

    if isinstance(owner, nn.modules.conv._ConvNd):
        return len(owner.kernel_size)
    if not isinstance(owner, _NormBase) or type(owner).__name__.endswith("1d"):
        return 0
    return 3 if type(owner).__name__.endswith("3d") else 2


def flattening(owners: Sequence[Any]) -> dict[int, Told]:
    """By ``id`` of a layer, the sizes for its kernel and why the order of its axes cannot be told; ``owners`` are all
    layers in the order of definition.
    """
    widths = _Widths(owners)
    told = {id(owner): widths.passed(owner) for owner in owners}
    for at, owner in enumerate(owners):
        if _outputs(owner) and not told[id(owner)].kernel:
            _before_an_image(list(owners[at:]), owners, told)
    return told


class _Widths:
    """The channels of all images, and the widths of the flat values that the layers so far have made: what may feed the
    next Linear. A module may define a layer before those that feed it.
    """

    def __init__(self, owners: Sequence[Any]) -> None:
        self.image = 0  # channels of the image that the layer before gave; 0 after a Linear
        self.images = {c for owner in owners if (c := _channels(owner)) and spatial_rank(owner)}
        self.flat: set[int] = set()
        self.rows = {
            n for owner in owners for n in (_outputs(owner), getattr(owner, "embedding_dim", 0)) if n
        }

    def passed(self, owner: Any) -> Told:
        """Sizes for a Linear's kernel, and why its order cannot be told; notes what the layer gives."""
        from torch import nn

        if isinstance(owner, nn.Linear):
            return self._linear(owner)
        channels = _channels(owner)
        if channels and spatial_rank(owner):
            self.image = channels
        elif channels and channels not in self.images | self.rows:
            parts = {c for c in self.images if channels % c == 0}
            if parts:  # BatchNorm1d behind a Flatten
                image = self.image if self.image in parts else min(parts)
                return Told(tensors=_behind("a BatchNorm1d", channels, image), channels=image)
        if channels and not self.image:
            self.flat.add(channels)
        width = getattr(owner, "embedding_dim", 0) or getattr(owner, "nf", 0)
        for size in (width, *(getattr(owner, "normalized_shape", None) or ())):
            self.flat.add(int(size))
        return Told()

    def _linear(self, owner: Any) -> Told:
        image, inputs = self.image, owner.in_features
        self.image = 0
        self.flat.add(owner.out_features)
        if inputs == 0:  # lazy: the kernel must show that nothing spatial was flattened
            return Told({"i": image} if image else {})
        if image:
            known, images = {image}, {image}
        else:
            images = self.images
            known = self.flat | {c for c in images if not any(c % n == 0 for n in images if n < c)}
        flat = {c for c in images if inputs % c == 0}
        if inputs in known or not flat:
            self.flat.add(inputs)
            return Told()
        channels = image or min(flat)
        return Told(kernel=_behind("a Linear", inputs, channels), channels=channels)


def _channels(owner: Any) -> int:
    """The channels or features that a convolution or BatchNorm gives; 0 for others."""
    return int(getattr(owner, "out_channels", 0) or getattr(owner, "num_features", 0))


def _behind(what: str, width: int, channels: int) -> str:
    unit, pattern = (
        ("inputs", "(h w c) o -> o (c h w)") if what == "a Linear" else ("features", "(h w c) -> (c h w)")
    )
    return (
        f"{what} of {width} {unit} after an image of {channels} channels: whether its flattened axes run h w c or c h w"
        f" cannot be told; if torch flattens c h w, a map gives '{pattern}' with sizes {{ c = {channels} }}"
    )


def _outputs(owner: Any) -> int:
    """The width of what a Linear gives."""
    from torch import nn

    return int(owner.out_features) if isinstance(owner, nn.Linear) else 0


def _before_an_image(following: list[Any], owners: Sequence[Any], told: dict[int, Told]) -> None:
    """Say of a Linear, and of the norms of its width behind it, that an image may be made of what it gives: where the
    next layer takes an image of fewer channels and no other Linear takes that width.
    """
    linear, *rest = following
    width, held = _outputs(linear), [linear]
    for owner in rest:
        norm = (
            int(getattr(owner, "num_features", 0) or 0)
            or (getattr(owner, "normalized_shape", None) or [0])[-1]
        )
        if norm == width:
            held.append(owner)
            continue
        channels = int(getattr(owner, "in_channels", 0) or norm)
        taken = any(
            getattr(other, "in_features", 0) == width and not told[id(other)].kernel for other in owners
        )
        if (
            spatial_rank(owner)
            and (not channels or (width > channels and width % channels == 0))
            and not taken
        ):
            count = channels or "unknown"
            reason = (
                f"a Linear of {width} outputs before an image of {count} channels: whether what it gives is taken as h w c"
                f" or as c h w cannot be told; if torch views it as c h w, a map gives 'i (h w c) -> (c h w) i', and"
                f" '(h w c) -> (c h w)' for the bias, with sizes {{ c = {count} }}"
            )
            told.update((id(part), Told(tensors=reason, channels=channels)) for part in held)
        return
