"""Images between TensorFlow's layout (channels last) and that of converted models (channels first)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tfport.layers.layouts import to_first, to_last


def as_tensor(value: Any) -> torch.Tensor:
    """A tensor of a NumPy array, list or number without a change of dtype; memory is shared where it may be written."""
    if isinstance(value, torch.Tensor):
        return value
    array = np.asarray(value)
    return torch.from_numpy(
        array if array.flags.writeable and min(array.strides, default=1) >= 0 else array.copy()
    )


def nchw(images: Any) -> torch.Tensor:
    """Images (N, H, W, C) or volumes (N, D, H, W, C) as a converted model takes them: channels first, a view.

    Takes tensors, NumPy arrays and lists. Like Keras, which casts to the dtype of its Input, it gives torch's
    default dtype (float32) whatever comes in. Raises ValueError for a rank other than 4 and 5.
    """
    made = as_tensor(images)
    if made.dim() not in (4, 5):
        raise ValueError(f"images have 4 axes, volumes 5; this has shape {tuple(made.shape)}")
    return made.to(torch.get_default_dtype()).permute(to_first(made.dim()))


def nhwc(images: torch.Tensor) -> torch.Tensor:
    """What a converted model returns for images, in TensorFlow's layout: channels last, a view."""
    if images.dim() not in (4, 5):
        raise ValueError(f"images have 4 axes, volumes 5; this has shape {tuple(images.shape)}")
    return images.permute(to_last(images.dim()))
