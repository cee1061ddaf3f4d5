"""Transposed, depthwise and separable convolutions in TensorFlow's layouts, and grey-scale morphology."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tfport.compat import windows as _windows
from tfport.rule import Tensor, f32, f64, prove, rule


def _transposed(x, filters, output_shape, strides, padding, data_format, dilations):
    return _windows.convolve_transposed(x, filters, output_shape, strides, padding, data_format, dilations)


@rule("tf.nn.conv1d_transpose", returns="input")
@prove(f32(2, 4, 3), f32(3, 5, 3), [2, 8, 5], 2)
@prove(f32(2, 4, 3), f32(3, 5, 3), [2, 7, 5], strides=2, padding="SAME")
@prove(f32(2, 4, 3), f32(2, 5, 3), [2, 11, 5], strides=3, padding="VALID")
@prove(f32(2, 4, 3), f32(2, 5, 3), [2, 12, 5], strides=3, padding="VALID")
def conv1d_transpose(input: Tensor, filters: Tensor, output_shape, strides, padding="SAME", data_format="NWC",
                     dilations=None, name=None):  # fmt: skip
    """Filters are [width, out, in]; output_shape settles the size."""
    return _transposed(input, filters, output_shape, strides, padding, data_format, dilations)


@rule("tf.nn.conv2d_transpose", version=2, returns="input")
@prove(f32(2, 4, 5, 3), f32(3, 3, 5, 3), [2, 8, 10, 5], [1, 2, 2, 1])
@prove(f32(2, 4, 5, 3), f32(3, 3, 5, 3), [2, 7, 9, 5], strides=2, padding="SAME")
@prove(f32(2, 4, 5, 3), f32(4, 4, 5, 3), [2, 8, 10, 5], strides=2, padding="SAME")
@prove(f32(2, 4, 5, 3), f32(2, 2, 5, 3), output_shape=[2, 12, 13, 5], strides=3, padding="SAME", grad=False)
@prove(f32(2, 4, 5, 3), f32(1, 1, 5, 3), output_shape=[2, 12, 13, 5], strides=3, padding="SAME")
@prove(f32(2, 4, 5, 3), f32(3, 3, 5, 3), output_shape=[2, 9, 11, 5], strides=2, padding="VALID")
@prove(f32(2, 4, 5, 3), f32(3, 3, 5, 3), output_shape=[2, 10, 12, 5], strides=2, padding="VALID")
@prove(f32(2, 4, 5, 3), f32(3, 3, 5, 3), output_shape=[2, 4, 5, 5], strides=1, padding="SAME")
@prove(f64(0, 4, 5, 3), f64(3, 3, 5, 3), output_shape=[0, 4, 5, 5], strides=1, padding="SAME")
@prove(f32(2, 4, 5, 3), f32(3, 3, 5, 3), [2, 6, 10, 5], strides=2, padding="SAME", raises=True)
def conv2d_transpose(input: Tensor, filters: Tensor, output_shape, strides, padding="SAME", data_format="NHWC",
                     dilations=None, name=None):  # fmt: skip
    """Filters are [height, width, out, in]; output_shape settles the size."""
    return _transposed(input, filters, output_shape, strides, padding, data_format, dilations)


@rule("tf.compat.v1.nn.conv2d_transpose", "tf.nn.conv2d_transpose", version=1, returns="value",
      renamed={"input": "value", "filters": "filter"})  # fmt: skip
@prove(f32(2, 4, 5, 3), f32(3, 3, 5, 3), [2, 8, 10, 5], [1, 2, 2, 1])
@prove(
    value=f32(2, 4, 5, 3),
    filter=f32(5, 5, 5, 3),
    output_shape=[2, 8, 10, 5],
    strides=[1, 2, 2, 1],
    padding="SAME",
)
@prove(
    input=f32(2, 4, 5, 3), filters=f32(5, 5, 5, 3), output_shape=[2, 11, 13, 5], strides=2, padding="VALID"
)
def conv2d_transpose_v1(value: Tensor = None, filter: Tensor = None, output_shape=None, strides=None, padding="SAME",
                        data_format="NHWC", name=None, dilations=None):  # fmt: skip
    """TensorFlow 1's names: value, filter."""
    return _transposed(value, filter, output_shape, strides, padding, data_format, dilations)


@rule("tf.nn.conv3d_transpose", version=2, returns="input")
@prove(f32(1, 2, 3, 4, 3), f32(3, 3, 3, 2, 3), [1, 4, 6, 8, 2], [1, 2, 2, 2, 1])
@prove(f32(1, 2, 3, 4, 3), f32(3, 2, 1, 2, 3), [1, 3, 5, 7, 2], strides=[1, 2, 2, 2, 1], padding="SAME")
def conv3d_transpose(input: Tensor, filters: Tensor, output_shape, strides, padding="SAME", data_format="NDHWC",
                     dilations=None, name=None):  # fmt: skip
    """Filters are [depth, height, width, out, in]."""
    return _transposed(input, filters, output_shape, strides, padding, data_format, dilations)


@rule("tf.compat.v1.nn.conv3d_transpose", "tf.nn.conv3d_transpose", version=1, returns="value",
      renamed={"input": "value", "filters": "filter"})  # fmt: skip
@prove(f32(1, 2, 3, 4, 3), f32(3, 3, 3, 2, 3), [1, 4, 6, 8, 2], [1, 2, 2, 2, 1])
@prove(value=f32(1, 2, 3, 4, 3), filter=f32(3, 3, 3, 2, 3), output_shape=[1, 5, 7, 9, 2], strides=[1, 2, 2, 2, 1],
       padding="VALID")  # fmt: skip
def conv3d_transpose_v1(value: Tensor, filter: Tensor = None, output_shape=None, strides=None, padding="SAME",
                        data_format="NDHWC", name=None, dilations=None):  # fmt: skip
    """TensorFlow 1's names: value, filter."""
    return _transposed(value, filter, output_shape, strides, padding, data_format, dilations)


@rule("tf.nn.conv_transpose", returns="input")
@prove(f32(2, 4, 3), f32(3, 5, 3), [2, 8, 5], 2)
@prove(f32(2, 4, 5, 3), f32(3, 3, 5, 3), [2, 8, 10, 5], 2)
def conv_transpose(input: Tensor, filters: Tensor, output_shape, strides, padding="SAME", data_format=None,
                   dilations=None, name=None):  # fmt: skip
    """In one, two or three dimensions, by the rank of the filters."""
    return _transposed(input, filters, output_shape, strides, padding, data_format, dilations)


@rule("tf.nn.atrous_conv2d_transpose", returns="value")
@prove(f32(1, 6, 7, 3), f32(3, 3, 2, 3), [1, 6, 7, 2], 2, "SAME")
@prove(f32(1, 6, 7, 3), f32(3, 3, 2, 3), output_shape=[1, 10, 11, 2], rate=2, padding="VALID")
def atrous_conv2d_transpose(value: Tensor, filters: Tensor, output_shape, rate, padding, name=None):
    """The gradient of a dilated convolution with stride 1."""
    return _transposed(value, filters, output_shape, 1, padding, None, rate)


@rule("tf.nn.depthwise_conv2d", version=2, returns="input")
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 1), [1, 1, 1, 1], "SAME")
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 2), [1, 2, 2, 1], "SAME")
@prove(f32(2, 8, 8, 3), f32(3, 3, 3, 2), strides=[1, 2, 2, 1], padding="VALID")
@prove(f32(2, 9, 9, 3), f32(3, 3, 3, 2), strides=[1, 1, 1, 1], padding="SAME", dilations=[2, 2])
@prove(f32(2, 8, 8, 3), f32(2, 2, 3, 2), strides=[1, 3, 3, 1], padding="SAME", data_format="NHWC")
@prove(f64(0, 8, 8, 3), f64(2, 2, 3, 2), strides=[1, 3, 3, 1], padding="SAME", grad=False)
@prove(f32(2, 8, 8, 3), f32(2, 2, 4, 2), strides=[1, 1, 1, 1], padding="SAME", raises=True)
def depthwise_conv2d(
    input: Tensor, filter: Tensor, strides, padding, data_format=None, dilations=None, name=None
):
    """Filters [height, width, channels, multiplier]; output channel c * multiplier + m."""
    return _windows.depthwise(input, filter, strides, padding, data_format, dilations)


@rule("tf.compat.v1.nn.depthwise_conv2d", "tf.nn.depthwise_conv2d", version=1,
      renamed={"dilations": "rate"}, returns="input")  # fmt: skip
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 2), [1, 2, 2, 1], "SAME")
@prove(f32(2, 9, 9, 3), f32(3, 3, 3, 2), [1, 1, 1, 1], "SAME", [2, 2])
@prove(input=f32(2, 9, 9, 3), filter=f32(3, 3, 3, 2), strides=[1, 1, 1, 1], padding="VALID", rate=[1, 2])
@prove(f32(2, 9, 9, 3), f32(3, 3, 3, 2), [1, 1, 1, 1], "VALID", dilations=[2, 2])
def depthwise_conv2d_v1(
    input: Tensor, filter: Tensor, strides, padding, rate=None, name=None, data_format=None
):
    """TensorFlow 1 has the dilation, ``rate``, at the fifth place."""
    return _windows.depthwise(input, filter, strides, padding, data_format, rate)


def _separable(x, depthwise_filter, pointwise_filter, strides, padding, data_format, dilations):
    spread = _windows.depthwise(x, depthwise_filter, strides, padding, data_format, dilations)
    return _windows.convolve(spread, pointwise_filter, 1, "VALID", data_format)


@rule("tf.nn.separable_conv2d", version=2, returns="input")
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 2), f32(1, 1, 6, 4), [1, 1, 1, 1], "SAME")
@prove(f32(2, 8, 8, 3), f32(3, 3, 3, 1), f32(1, 1, 3, 4), strides=[1, 2, 2, 1], padding="SAME")
@prove(
    f32(2, 9, 8, 3), f32(3, 3, 3, 1), f32(1, 1, 3, 4), strides=[1, 1, 1, 1], padding="VALID", dilations=[2, 2]
)
def separable_conv2d(input: Tensor, depthwise_filter: Tensor, pointwise_filter: Tensor, strides, padding,
                     data_format=None, dilations=None, name=None):  # fmt: skip
    """A depthwise convolution, then one by one cells with a [1, 1, channels * multiplier, out] filter."""
    return _separable(input, depthwise_filter, pointwise_filter, strides, padding, data_format, dilations)


@rule("tf.compat.v1.nn.separable_conv2d", "tf.nn.separable_conv2d", version=1, renamed={"dilations": "rate"},
      returns="input")  # fmt: skip
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 2), f32(1, 1, 6, 4), [1, 1, 1, 1], "SAME")
@prove(f32(2, 9, 8, 3), f32(3, 3, 3, 1), f32(1, 1, 3, 4), strides=[1, 1, 1, 1], padding="VALID", rate=[2, 2])
def separable_conv2d_v1(input: Tensor, depthwise_filter: Tensor, pointwise_filter: Tensor, strides, padding,
                        rate=None, name=None, data_format=None):  # fmt: skip
    """TensorFlow 1 has the dilation, ``rate``, at the sixth place."""
    return _separable(input, depthwise_filter, pointwise_filter, strides, padding, data_format, rate)


def _dilation(x, filters, strides, padding, dilations):
    """Grey-scale dilation: the greatest of x + filter under each window; padding never wins."""
    stride = _windows.per_axis(strides, 2, True, "strides")
    rate = _windows.per_axis(dilations, 2, True, "dilations")
    height, width, channels = filters.shape
    planes = x.permute(0, 3, 1, 2)
    pairs = _windows.paddings(padding, planes.shape[2:], (height, width), stride, rate, True)
    planes = _windows.pad(planes, pairs, torch.finfo(x.dtype).min)
    rows = (planes.shape[2] - (height - 1) * rate[0] - 1) // stride[0] + 1
    columns = (planes.shape[3] - (width - 1) * rate[1] - 1) // stride[1] + 1
    cells = F.unfold(planes, (height, width), dilation=tuple(rate), stride=tuple(stride))
    cells = cells.reshape(x.shape[0], channels, height * width, rows, columns)
    taps = filters.permute(2, 0, 1).reshape(channels, height * width, 1, 1)
    return (cells + taps).max(2).values.permute(0, 2, 3, 1)


@rule("tf.nn.dilation2d", version=2, returns="input")
@prove(f32(2, 6, 7, 3), f32(3, 3, 3), [1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1])
@prove(f32(2, 6, 7, 3), f32(2, 3, 3), [1, 2, 2, 1], "VALID", "NHWC", [1, 1, 2, 1])
def dilation2d(input: Tensor, filters: Tensor, strides, padding, data_format, dilations, name=None):
    """Grey-scale dilation: max over the window of input + filter."""
    return _dilation(input, filters, strides, padding, dilations)


@rule("tf.nn.erosion2d", version=2, returns="value")
@prove(f32(2, 6, 7, 3), f32(3, 3, 3), [1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1])
@prove(f32(2, 6, 7, 3), f32(2, 3, 3), [1, 2, 2, 1], "VALID", "NHWC", [1, 1, 2, 1])
def erosion2d(value: Tensor, filters: Tensor, strides, padding, data_format, dilations, name=None):
    """Grey-scale erosion: the negated dilation of -value by the reversed filter."""
    return -_dilation(-value, filters.flip(0, 1), strides, padding, dilations)
