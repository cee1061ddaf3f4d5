"""Pooling in TensorFlow's layouts, exact for SAME on every size."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.compat import windows as _windows
from tfport.rule import Tensor, array, f32, f64, i32, prove, rule


def _pool(kind, x, ksize, strides, padding, data_format, rank=2):
    last = _windows.channels_last(data_format)
    window = _windows.per_axis(ksize, rank, last, "ksize")
    step = _windows.per_axis(strides, rank, last, "strides")
    pool = _windows.max_pool if kind == "MAX" else _windows.avg_pool
    return pool(x, window, step, padding, last)


_TIES = array([[[[1.0], [1.0]], [[1.0], [0.0]]]])


@rule("tf.nn.max_pool", version=2, returns="input")
@prove(f32(2, 7, 8, 3), 2, 2, "VALID")
@prove(f32(2, 7, 8, 3), [1, 3, 3, 1], [1, 2, 2, 1], "SAME")
@prove(f32(2, 8, 7, 3), ksize=3, strides=[2, 1], padding="SAME", data_format="NHWC")
@prove(f32(2, 8, 7, 3, low=-9.0, high=-1.0), ksize=2, strides=3, padding="SAME")
@prove(f32(2, 7, 3), ksize=3, strides=2, padding="SAME")
@prove(f32(1, 4, 5, 6, 3), ksize=3, strides=2, padding="SAME", data_format="NDHWC")
@prove(f32(1, 6, 6, 2), ksize=3, strides=2, padding=[[0, 0], [1, 1], [0, 1], [0, 0]])
@prove(_TIES, ksize=2, strides=1, padding="SAME")
@prove(i32(1, 5, 5, 2), ksize=2, strides=2, padding="SAME")
@prove(f64(0, 5, 5, 2), ksize=2, strides=2, padding="SAME", grad=False)
def max_pool(input: Tensor, ksize, strides, padding, data_format=None, name=None):
    """In one, two or three dimensions, by the rank of the input."""
    return _pool("MAX", input, ksize, strides, padding, data_format, input.ndim - 2)


@rule("tf.compat.v1.nn.max_pool", "tf.nn.max_pool", version=1, renamed={"input": "value"}, returns="value")
@prove(f32(2, 7, 8, 3), [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
@prove(value=f32(2, 7, 8, 3), ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], padding="VALID", data_format="NHWC")
def max_pool_v1(value: Tensor, ksize, strides, padding, data_format="NHWC", name=None):
    """Two dimensions; TensorFlow 1 names the input ``value``."""
    return _pool("MAX", value, ksize, strides, padding, data_format)


@rule("tf.nn.max_pool1d", returns="input")
@prove(f32(2, 7, 3), 3, 2, "SAME")
@prove(f32(2, 8, 3), ksize=[2], strides=[2], padding="VALID")
def max_pool1d(input: Tensor, ksize, strides, padding, data_format="NWC", name=None):
    """The greatest of each window along one axis."""
    return _pool("MAX", input, ksize, strides, padding, data_format, 1)


@rule("tf.nn.max_pool2d", returns="input")
@prove(f32(2, 7, 8, 3), 3, 2, "SAME")
@prove(f32(2, 7, 8, 3), ksize=[1, 2, 3, 1], strides=[1, 2, 1, 1], padding="VALID")
def max_pool2d(input: Tensor, ksize, strides, padding, data_format="NHWC", name=None):
    """The greatest of each window."""
    return _pool("MAX", input, ksize, strides, padding, data_format)


@rule("tf.nn.max_pool3d", returns="input")
@prove(f32(1, 4, 5, 6, 2), 3, 2, "SAME")
@prove(f32(1, 4, 5, 6, 2), ksize=[1, 2, 2, 2, 1], strides=[1, 1, 2, 1, 1], padding="VALID")
def max_pool3d(input: Tensor, ksize, strides, padding, data_format="NDHWC", name=None):
    """The greatest of each window in three dimensions."""
    return _pool("MAX", input, ksize, strides, padding, data_format, 3)


@rule("tf.nn.avg_pool", version=2, returns="input")
@prove(f32(2, 7, 8, 3), 2, 2, "VALID")
@prove(f32(2, 7, 8, 3), [1, 3, 3, 1], [1, 2, 2, 1], "SAME")
@prove(f32(2, 8, 7, 3), ksize=3, strides=[2, 1], padding="SAME", data_format="NHWC")
@prove(f32(2, 8, 7, 3), ksize=2, strides=3, padding="SAME")
@prove(f32(2, 8, 7, 3), ksize=4, strides=1, padding="SAME")
@prove(f32(2, 7, 3), ksize=4, strides=2, padding="SAME")
@prove(f32(1, 4, 5, 6, 3), ksize=3, strides=2, padding="SAME", data_format="NDHWC")
@prove(f64(0, 5, 5, 2), ksize=2, strides=2, padding="SAME", grad=False)
def avg_pool(input: Tensor, ksize, strides, padding, data_format=None, name=None):
    """The mean of what lies inside the input: SAME padding does not count."""
    return _pool("AVG", input, ksize, strides, padding, data_format, input.ndim - 2)


@rule("tf.compat.v1.nn.avg_pool", "tf.nn.avg_pool", "tf.compat.v1.nn.avg_pool2d", version=1,
      renamed={"input": "value"}, returns="value")  # fmt: skip
@prove(f32(2, 7, 8, 3), [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
@prove(value=f32(2, 7, 8, 3), ksize=[1, 3, 3, 1], strides=[1, 2, 2, 1], padding="VALID", data_format="NHWC")
def avg_pool_v1(value: Tensor, ksize, strides, padding, data_format="NHWC", name=None):
    """Two dimensions; TensorFlow 1 names the input ``value``."""
    return _pool("AVG", value, ksize, strides, padding, data_format)


@rule("tf.nn.avg_pool1d", returns="input")
@prove(f32(2, 7, 3), 3, 2, "SAME")
@prove(f32(2, 8, 3), ksize=[2], strides=[2], padding="VALID")
@prove(f32(2, 8, 3), ksize=3, strides=2, padding="SAME")
def avg_pool1d(input: Tensor, ksize, strides, padding, data_format="NWC", name=None):
    """The mean of each window along one axis."""
    return _pool("AVG", input, ksize, strides, padding, data_format, 1)


@rule("tf.nn.avg_pool2d", returns="input", renamed={"value": "input"})
@prove(f32(2, 7, 8, 3), 3, 2, "SAME")
@prove(f32(2, 7, 8, 3), ksize=[1, 2, 3, 1], strides=[1, 2, 1, 1], padding="VALID")
def avg_pool2d(input: Tensor, ksize, strides, padding, data_format="NHWC", name=None):
    """The mean of each window."""
    return _pool("AVG", input, ksize, strides, padding, data_format)


@rule("tf.nn.avg_pool3d", returns="input")
@prove(f32(1, 4, 5, 6, 2), 3, 2, "SAME")
@prove(f32(1, 4, 5, 6, 2), ksize=[1, 2, 2, 2, 1], strides=[1, 1, 2, 1, 1], padding="VALID")
def avg_pool3d(input: Tensor, ksize, strides, padding, data_format="NDHWC", name=None):
    """The mean of each window in three dimensions."""
    return _pool("AVG", input, ksize, strides, padding, data_format, 3)


def _general(x, window_shape, pooling_type, strides, padding, data_format, dilations):
    last, rank = _windows.channels_last(data_format), x.ndim - 2
    window = _windows.per_axis(window_shape, rank, last, "window_shape")
    step = _windows.per_axis(strides, rank, last, "strides")
    dilation = _windows.per_axis(dilations, rank, last, "dilations")
    pool = {"MAX": _windows.max_pool, "AVG": _windows.avg_pool}[pooling_type]
    return pool(x, window, step, padding, last, dilation)


@rule("tf.nn.pool", version=2, returns="input")
@prove(f32(2, 7, 8, 3), [2, 3], "MAX")
@prove(f32(2, 7, 8, 3), [3, 3], "AVG", strides=[2, 2], padding="SAME")
@prove(f32(2, 9, 8, 3), [3, 3], "MAX", dilations=[2, 2])
@prove(f32(2, 9, 8, 3), [3, 3], "AVG", padding="VALID", dilations=[2, 1])
@prove(f32(2, 9, 3), [3], "MAX", [2], "SAME")
def pool(input: Tensor, window_shape, pooling_type, strides=None, padding="VALID", data_format=None, dilations=None,
         name=None):  # fmt: skip
    """Max or mean pooling in any number of dimensions, dilated where asked."""
    return _general(input, window_shape, pooling_type, strides, padding, data_format, dilations)


@rule(
    "tf.compat.v1.nn.pool", "tf.nn.pool", version=1, renamed={"dilations": "dilation_rate"}, returns="input"
)
@prove(f32(2, 7, 8, 3), [2, 3], "MAX", "SAME")
@prove(f32(2, 9, 8, 3), [3, 3], "AVG", "VALID", [2, 2])
@prove(f32(2, 9, 8, 3), [3, 3], pooling_type="AVG", padding="SAME", strides=[2, 1])
def pool_v1(input: Tensor, window_shape, pooling_type, padding, dilation_rate=None, strides=None, name=None,
            data_format=None):  # fmt: skip
    """TensorFlow 1 has the padding third and the dilation before the strides."""
    return _general(input, window_shape, pooling_type, strides, padding, data_format, dilation_rate)


def _with_argmax(x, ksize, strides, padding, data_format, output_dtype, include_batch_in_index):
    last = _windows.channels_last(data_format)
    window, step = (_windows.per_axis(v, 2, last, "ksize") for v in (ksize, strides))
    planes = _windows.first(x, last)
    batch, channels, height, width = planes.shape
    pairs = _windows.paddings(padding, (height, width), window, step, [1, 1], last)
    padded = _windows.pad(planes, pairs, _windows.lowest(x.dtype))
    value, where = F.max_pool2d(padded, tuple(window), tuple(step), return_indices=True)
    row = torch.div(where, padded.shape[3], rounding_mode="floor") - pairs[0][0]
    column = where % padded.shape[3] - pairs[1][0]
    index = (row * width + column) * channels + torch.arange(channels, device=x.device).reshape(1, -1, 1, 1)
    if include_batch_in_index:
        index = index + torch.arange(batch, device=x.device).reshape(-1, 1, 1, 1) * (
            height * width * channels
        )
    return _windows.back(value, last), _windows.back(index, last).to(output_dtype)


@rule("tf.nn.max_pool_with_argmax", version=2)
@prove(f32(2, 6, 7, 3), 2, 2, "SAME")
@prove(f32(2, 6, 7, 3), ksize=3, strides=2, padding="VALID", include_batch_in_index=True)
@prove(f32(2, 6, 7, 3), [1, 3, 3, 1], [1, 2, 2, 1], "SAME", output_dtype=torch.int32, grad=False)
@prove(_TIES, ksize=2, strides=1, padding="SAME")
def max_pool_with_argmax(input: Tensor, ksize, strides, padding, data_format="NHWC", output_dtype=torch.int64,
                         include_batch_in_index=False, name=None):  # fmt: skip
    """Also the flat position of each maximum: (row * width + column) * channels + channel."""
    return _with_argmax(input, ksize, strides, padding, data_format, output_dtype, include_batch_in_index)


@rule("tf.compat.v1.nn.max_pool_with_argmax", "tf.nn.max_pool_with_argmax", version=1,
      renamed={"output_dtype": "Targmax"})  # fmt: skip
@prove(f32(2, 6, 7, 3), [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
@prove(
    f32(2, 6, 7, 3),
    [1, 2, 2, 1],
    [1, 2, 2, 1],
    "VALID",
    Targmax=torch.int32,
    include_batch_in_index=True,
    grad=False,
)
def max_pool_with_argmax_v1(input: Tensor, ksize, strides, padding, data_format="NHWC", Targmax=None, name=None,
                            include_batch_in_index=False):  # fmt: skip
    """TensorFlow 1 names the index dtype Targmax."""
    return _with_argmax(
        input, ksize, strides, padding, data_format, Targmax or torch.int64, include_batch_in_index
    )
