"""The helpers behind rules/keras_applications.py."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import shutil
import tempfile
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tfport.compat.keras.symbol import NAMES

_COUNTERS: collections.Counter[str] = collections.Counter()
MEANS = {"caffe": (103.939, 116.779, 123.68), "torch": (0.485, 0.456, 0.406)}
STDDEV = (0.229, 0.224, 0.225)
CLASS_LIST = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"


def uid(prefix: str) -> int:
    """1, 2, 3 ... for each prefix."""
    _COUNTERS[prefix] += 1
    return _COUNTERS[prefix]


def clear() -> None:
    """Automatic names and counters start again."""
    NAMES.clear()
    _COUNTERS.clear()


def input_shape(
    given: Any, default_size: int, min_size: int, data_format: str, fixed: bool, weights: Any
) -> tuple[Any, ...]:
    """The (height, width, channels) of a classifier's input. Raises ValueError where it does not fit the weights."""
    if data_format != "channels_last":
        raise NotImplementedError(
            "channels_first: write the program in channels_last; it becomes NCHW in torch"
        )
    channels = given[-1] if given and len(given) == 3 and weights != "imagenet" else 3
    if channels not in (1, 3):
        warnings.warn(f"this model usually takes 1 or 3 channels; input_shape is {given}", stacklevel=3)
    default = (default_size, default_size, channels)
    if weights == "imagenet" and fixed:
        if given is not None and tuple(given) != default:
            raise ValueError(
                f"with include_top=True and imagenet weights input_shape is {default}, not {given}"
            )
        return default
    shape = tuple(given) if given else default if fixed else (None, None, 3)
    if len(shape) != 3:
        raise ValueError(f"input_shape is (height, width, channels), not {given}")
    if weights == "imagenet" and shape[-1] != 3:
        raise ValueError(f"imagenet weights take 3 channels; input_shape is {given}")
    if any(n is not None and n < min_size for n in shape[:2]):
        raise ValueError(f"the input must be at least {min_size}x{min_size}; input_shape is {given}")
    if fixed and None in shape:
        raise ValueError(f"with include_top=True every size must be known; input_shape is {given}")
    return shape


def correct_pad(inputs: Any, kernel_size: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """The padding of a strided convolution as SAME would pad; sizes are axes 1 and 2 of the symbol."""
    kernel = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
    sizes = tuple(inputs.shape)[1:3]
    odd = (1, 1) if sizes[0] is None else tuple(1 - n % 2 for n in sizes)
    halves = tuple(k // 2 for k in kernel)
    return (halves[0] - odd[0], halves[0]), (halves[1] - odd[1], halves[1])


def preprocess(x: Any, data_format: str | None, mode: str) -> Any:
    """Scale or centre images as the mode says; arrays stay arrays. Raises ValueError for an unknown mode."""
    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(f"mode is caffe, tf or torch, not {mode!r}")
    if data_format not in (None, "channels_last", "channels_first"):
        raise ValueError(f"data_format is channels_last or channels_first, not {data_format!r}")
    if isinstance(x, np.ndarray) and not np.issubdtype(x.dtype, np.floating):
        x = x.astype("float32")
    elif isinstance(x, torch.Tensor) and not x.is_floating_point():
        x = x.float()
    if mode == "tf":
        return x / 127.5 - 1.0
    axis = -3 if data_format == "channels_first" else -1
    if mode == "caffe":
        x = np.flip(x, axis) if isinstance(x, np.ndarray) else torch.stack(list(x.unbind(axis))[::-1], axis)
        return x - _along(MEANS["caffe"], axis, x)
    return (x / 255.0 - _along(MEANS["torch"], axis, x)) / _along(STDDEV, axis, x)


def _along(values: tuple[float, ...], axis: int, like: Any) -> Any:
    made = np.array(values).reshape(-1, *(1,) * (-axis - 1))
    if isinstance(like, np.ndarray):
        return made.astype(like.dtype)
    return torch.as_tensor(made, dtype=like.dtype, device=like.device)


def decode(predictions: np.ndarray[Any, Any], top: int) -> list[list[tuple[Any, ...]]]:
    """The best classes of each row. Raises ValueError unless the shape is (N, 1000)."""
    if predictions.ndim != 2 or predictions.shape[1] != 1000:
        raise ValueError(f"decode_predictions takes (samples, 1000), not {predictions.shape}")
    path = fetch("imagenet_class_index.json", CLASS_LIST, False, "c2c37ea517e94d9795004a39431a14cb", "models")
    classes = json.loads(Path(path).read_text(encoding="utf-8"))
    best = np.argsort(-predictions, axis=1, kind="stable")[:, :top]
    return [[(*classes[str(i)], row[i]) for i in indices] for row, indices in zip(predictions, best)]


def fetch(fname: str | None, origin: str | None, unpack: bool, digest: str | None, subdir: str,
          algorithm: str = "auto", cache_dir: Any = None, force: bool = False) -> str:  # fmt: skip
    """A file below ``cache_dir/subdir``, downloaded on first use. Raises ValueError where the hash is another."""
    if origin is None:
        raise ValueError("get_file needs origin, the address of the file")
    room = Path(cache_dir or os.environ.get("KERAS_HOME") or Path.home() / ".keras") / subdir
    path = room / (fname or origin.rsplit("/", 1)[-1])
    if force or not path.exists() or (digest and not _matches(path, digest, algorithm)):
        room.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=room, delete=False) as part:
            try:
                with urllib.request.urlopen(origin) as response:
                    shutil.copyfileobj(response, part)
                part.flush()
                if digest and not _matches(Path(part.name), digest, algorithm):
                    raise ValueError(f"{origin} has another hash than {digest}")
                os.replace(part.name, path)
            finally:
                Path(part.name).unlink(missing_ok=True)
    if unpack:
        tar = str(path).endswith((".tar", ".gz", ".tgz", ".bz2", ".xz"))
        shutil.unpack_archive(path, room, filter="data" if tar else None)
    return str(path)


def _matches(path: Path, digest: str, algorithm: str) -> bool:
    name = algorithm if algorithm != "auto" else ("sha256" if len(digest) == 64 else "md5")
    return hashlib.new(name, path.read_bytes()).hexdigest() == digest


def exists(path: Any) -> bool:
    """Whether a path exists; None and names such as "imagenet" do not."""
    return isinstance(path, str | os.PathLike) and os.path.exists(path)


def to_categorical(x: Any, classes: int | None) -> Any:
    """One row for each number, a one at its place."""
    if isinstance(x, torch.Tensor):
        flat = x.long()
        count = classes or int(flat.max()) + 1
        return torch.nn.functional.one_hot(flat, count).float()
    numbers = np.asarray(x, dtype="int64")
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    return np.eye(classes or int(numbers.max()) + 1, dtype="float32")[numbers]
