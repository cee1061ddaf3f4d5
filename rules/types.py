"""Classes and exceptions: tf.Tensor, tf.TensorShape, tf.Module, tf.errors."""

from __future__ import annotations

import torch

from tfport.compat import module as _module
from tfport.compat import shapes as _shapes
from tfport.compat import tensor_array as _tensor_array
from tfport.rule import prove, rule

CONSTANTS = {
    "tf.Tensor": torch.Tensor,
    "tf.DType": torch.dtype,
    "tf.dtypes.DType": torch.dtype,
    "tf.string": str,
    "tf.dtypes.string": str,
    "tf.errors.NotFoundError": FileNotFoundError,
    "tf.errors.AlreadyExistsError": FileExistsError,
    "tf.errors.PermissionDeniedError": PermissionError,
    "tf.errors.UnimplementedError": NotImplementedError,
    "tf.errors.DeadlineExceededError": TimeoutError,
    "tf.errors.ResourceExhaustedError": torch.OutOfMemoryError,
}


@rule("tf.TensorShape", returns="python", proved_by="tests/compat/test_types.py")
@prove([2, 3])
@prove([None, 3])
@prove(4)
@prove([-1], raises=True)
class TensorShape(_shapes.TensorShape):
    """A tuple of sizes, None where one is not known. A torch.Size is one to isinstance."""

    published = _shapes.TensorShape

    def __init__(self, dims):
        super().__init__()


@rule("tf.TensorSpec", returns="python", proved_by="tests/compat/test_types.py")
class TensorSpec(_shapes.TensorSpec):
    """Shape, dtype and name of a tensor that is to come."""

    published = _shapes.TensorSpec

    def __init__(self, shape, dtype=torch.float32, name=None):
        super().__init__(shape, dtype, name)


@rule("tf.Module", returns="python", proved_by="tests/compat/test_types.py")
class Module(_module.Module):
    """An nn.Module with tf.Module's constructor, ``variables``, ``trainable_variables``, ``submodules``, ``name``."""

    published = _module.Module

    def __init__(self, name=None):
        super().__init__(name)


@rule("tf.TensorArray", returns="python", pure=False, proved_by="tests/compat/test_tensor_array.py")
class TensorArray(_tensor_array.TensorArray):
    """A list of tensors, written place by place; ``write`` returns the array."""

    published = _tensor_array.TensorArray

    def __init__(self, dtype, size=None, dynamic_size=None, clear_after_read=None, tensor_array_name=None, handle=None,
                 flow=None, infer_shape=True, element_shape=None, colocate_with_first_write_call=True, name=None):  # fmt: skip
        super().__init__(dtype, size, dynamic_size, clear_after_read, element_shape=element_shape)
