"""tf.config and tf.test: which devices there are."""

from __future__ import annotations

from typing import NamedTuple

import torch

from tfport.rule import prove, rule


class PhysicalDevice(NamedTuple):
    """A device with TensorFlow's name for it; ``torch_device`` is torch's."""

    name: str
    device_type: str

    @property
    def torch_device(self):
        """What ``.to()`` takes."""
        kind, _, number = (
            self.name.removeprefix("/").removeprefix("physical_").removeprefix("device:").partition(":")
        )
        return torch.device("cuda", int(number)) if kind == "GPU" else torch.device("cpu")


def _devices(kind, prefix):
    found = {"CPU": 1, "GPU": torch.cuda.device_count()}
    kinds = ["CPU", "GPU"] if kind is None else [kind]
    return [PhysicalDevice(f"{prefix}{k}:{i}", k) for k in kinds for i in range(found.get(k, 0))]


@rule("tf.config.list_physical_devices", "tf.config.experimental.list_physical_devices",
      "tf.config.get_visible_devices", "tf.config.experimental.get_visible_devices", returns="python")  # fmt: skip
@prove("CPU")
@prove("TPU")
@prove(device_type="CPU")
def list_physical_devices(device_type=None):
    """The devices of a kind ("CPU", "GPU"; None: all), with ``name`` and ``device_type``. There is one CPU."""
    return _devices(device_type, "/physical_device:")


@rule("tf.config.list_logical_devices", "tf.config.experimental.list_logical_devices", returns="python")
@prove("CPU")
@prove("TPU")
def list_logical_devices(device_type=None):
    """The devices of a kind: one for each physical device."""
    return _devices(device_type, "/device:")


@rule("tf.test.is_gpu_available", returns="python", proved_by="tests/compat/test_types.py")
def is_gpu_available(cuda_only=False, min_cuda_compute_capability=None):
    """Whether there is a CUDA device, of at least this compute capability (major, minor) if one is given."""
    if min_cuda_compute_capability is None:
        return torch.cuda.is_available()
    return _capable(min_cuda_compute_capability)


def _capable(least):
    return any(torch.cuda.get_device_capability(i) >= tuple(least) for i in range(torch.cuda.device_count()))


@rule("tf.test.is_built_with_cuda", returns="python", proved_by="tests/compat/test_types.py")
def is_built_with_cuda():
    """Whether this torch was built with CUDA."""
    return torch.backends.cuda.is_built()


@rule("tf.test.is_built_with_gpu_support", returns="python", proved_by="tests/compat/test_types.py")
def is_built_with_gpu_support():
    """Whether this torch was built with CUDA (or ROCm, which torch calls so too)."""
    return torch.backends.cuda.is_built()


@rule("tf.test.gpu_device_name", returns="python", proved_by="tests/compat/test_types.py")
def gpu_device_name():
    """TensorFlow's name of the first GPU, empty without one."""
    return "/device:GPU:0" if torch.cuda.is_available() else ""
