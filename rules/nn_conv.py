"""Convolutions in TensorFlow's layouts, exact for SAME on every size. Read by compat only: sizes decide the padding."""

from __future__ import annotations

from tfport.compat.windows import convolve as _convolve
from tfport.rule import Tensor, f32, f64, i32, prove, rule


@rule("tf.nn.conv1d", version=2, returns="input")
@prove(f32(2, 7, 3), f32(3, 3, 4), 1, "VALID")
@prove(f32(2, 8, 3), f32(3, 3, 4), stride=2, padding="SAME")
@prove(f32(2, 7, 3), f32(4, 3, 4), 3, "SAME")
@prove(f32(2, 7, 3), f32(1, 3, 4), 3, "SAME")
@prove(f32(2, 9, 3), f32(3, 3, 4), stride=1, padding="SAME", dilations=2)
@prove(f32(2, 9, 3), f32(2, 3, 4), stride=[1], padding="VALID", data_format="NWC")
@prove(f32(2, 9, 3), f32(2, 3, 4), stride=[1, 2, 1], padding="SAME")
@prove(f32(2, 3, 7, 3), f32(3, 3, 4), stride=1, padding="SAME")
def conv1d(input: Tensor, filters: Tensor, stride, padding, data_format="NWC", dilations=None, name=None):
    """Cross-correlation over one axis; filters are [width, in, out]."""
    return _convolve(input, filters, stride, padding, data_format, dilations)


@rule("tf.compat.v1.nn.conv1d", "tf.nn.conv1d", version=1, renamed={"input": "value"}, returns="value")
@prove(f32(2, 7, 3), f32(3, 3, 4), 1, "VALID")
@prove(f32(2, 8, 3), f32(3, 3, 4), 2, "SAME", True)
@prove(value=f32(2, 8, 3), filters=f32(3, 3, 4), stride=2, padding="SAME", data_format="NHWC")
@prove(input=f32(2, 8, 3), filters=f32(3, 3, 4), stride=1, padding="SAME", dilations=[2])
def conv1d_v1(value: Tensor = None, filters: Tensor = None, stride=None, padding=None, use_cudnn_on_gpu=None,
              data_format=None, name=None, dilations=None):  # fmt: skip
    """TensorFlow 1 names the input ``value`` and takes "NHWC" for NWC."""
    return _convolve(value, filters, stride, padding, data_format, dilations)


@rule("tf.nn.conv2d", version=2, returns="input", renamed={"filter": "filters"})
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 4), 1, "SAME")
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 4), [1, 2, 2, 1], "SAME")
@prove(f32(2, 8, 7, 3), f32(3, 2, 3, 4), strides=[1, 2, 2, 1], padding="SAME")
@prove(f32(2, 8, 9, 3), f32(2, 2, 3, 4), strides=3, padding="SAME")
@prove(f32(2, 8, 9, 3), f32(1, 1, 3, 4), strides=[2, 3], padding="SAME")
@prove(f32(2, 8, 9, 3), f32(3, 3, 3, 4), strides=[1, 1, 1, 1], padding="VALID")
@prove(f32(2, 8, 9, 3), f32(3, 3, 3, 4), strides=2, padding="VALID", data_format="NHWC")
@prove(f32(2, 8, 9, 3), f32(3, 3, 3, 4), strides=[1, 2, 1, 1], padding="VALID")
@prove(f32(1, 9, 10, 2), f32(3, 3, 2, 4), strides=1, padding="SAME", dilations=2)
@prove(f32(1, 9, 10, 2), f32(3, 3, 2, 4), strides=1, padding="VALID", dilations=[1, 2, 3, 1])
@prove(f32(1, 9, 10, 2), f32(4, 4, 2, 4), strides=1, padding="SAME")
@prove(f32(1, 9, 10, 2), f32(3, 3, 2, 4), strides=2, padding=[[0, 0], [1, 1], [0, 2], [0, 0]])
@prove(f32(2, 2, 5, 6, 2), f32(3, 3, 2, 4), strides=2, padding="SAME")
@prove(f64(1, 5, 6, 2), f64(3, 3, 2, 4), strides=2, padding="SAME")
@prove(i32(1, 5, 6, 2), i32(3, 3, 2, 4), strides=2, padding="SAME")
@prove(f32(1, 5, 6, 4), f32(3, 3, 2, 4), strides=1, padding="SAME", grad=False)
@prove(f32(1, 5, 6, 2), f32(3, 3, 2, 4), strides=2, padding="WRONG", raises=True)
@prove(f32(1, 5, 6, 2), f32(3, 3, 2, 4), strides=[2, 1, 1, 1], padding="SAME", raises=True)
def conv2d(input: Tensor, filters: Tensor, strides, padding, data_format="NHWC", dilations=None, name=None):
    """Cross-correlation; filters are [height, width, in, out], SAME puts the odd cell after."""
    return _convolve(input, filters, strides, padding, data_format, dilations)


@rule("tf.compat.v1.nn.conv2d", "tf.nn.conv2d", version=1, renamed={"filters": "filter"}, returns="input")
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 4), [1, 2, 2, 1], "SAME")
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 4), [1, 1, 1, 1], "VALID", False)
@prove(
    input=f32(2, 8, 8, 3),
    filter=f32(3, 3, 3, 4),
    strides=[1, 1, 1, 1],
    padding="SAME",
    dilations=[1, 2, 2, 1],
)
@prove(f32(2, 8, 8, 3), filters=f32(3, 3, 3, 4), strides=2, padding="SAME", data_format="NHWC")
def conv2d_v1(input: Tensor, filter: Tensor = None, strides=None, padding=None, use_cudnn_on_gpu=True,
              data_format="NHWC", dilations=None, name=None):  # fmt: skip
    """TensorFlow 1 has use_cudnn_on_gpu at the fifth place, which has no effect on the result."""
    return _convolve(input, filter, strides, padding, data_format, dilations)


@rule("tf.nn.conv3d", returns="input", renamed={"filter": "filters"})
@prove(f32(1, 4, 5, 6, 2), f32(3, 3, 3, 2, 4), [1, 2, 2, 2, 1], "SAME")
@prove(f32(1, 5, 4, 6, 2), f32(2, 3, 1, 2, 4), strides=[1, 1, 1, 1, 1], padding="VALID")
@prove(f32(1, 7, 6, 6, 2), f32(3, 3, 3, 2, 4), strides=[1, 1, 1, 1, 1], padding="SAME")
@prove(f64(0, 7, 6, 6, 2), f64(3, 3, 3, 2, 4), strides=[1, 1, 1, 1, 1], padding="SAME")
def conv3d(input: Tensor, filters: Tensor, strides, padding, data_format="NDHWC", dilations=None, name=None):
    """Cross-correlation over three axes; filters are [depth, height, width, in, out]."""
    return _convolve(input, filters, strides, padding, data_format, dilations)


@rule("tf.nn.convolution", version=2, returns="input")
@prove(f32(2, 7, 3), f32(3, 3, 4))
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 4), strides=2, padding="SAME")
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 4), padding="SAME", dilations=[2, 1])
@prove(f32(1, 5, 4, 6, 2), f32(2, 3, 1, 2, 4), [2, 1, 1], "SAME", "NDHWC")
def convolution(input: Tensor, filters: Tensor, strides=None, padding="VALID", data_format=None, dilations=None,
                name=None):  # fmt: skip
    """Cross-correlation in one, two or three dimensions, by the rank of the filters."""
    return _convolve(input, filters, strides, padding, data_format, dilations)


@rule("tf.compat.v1.nn.convolution", "tf.nn.convolution", version=1, returns="input",
      renamed={"filters": "filter", "dilations": "dilation_rate"})  # fmt: skip
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 4), "SAME")
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 4), "VALID", [2, 1])
@prove(f32(2, 7, 8, 3), f32(3, 3, 3, 4), "SAME", dilation_rate=[2, 2])
@prove(f32(2, 7, 3), f32(3, 3, 4), padding="SAME", dilations=[2])
def convolution_v1(input: Tensor, filter: Tensor, padding=None, strides=None, dilation_rate=None, name=None,
                   data_format=None):  # fmt: skip
    """TensorFlow 1 has the padding before the strides."""
    return _convolve(input, filter, strides, padding, data_format, dilation_rate)


@rule("tf.nn.atrous_conv2d", returns="value")
@prove(f32(1, 9, 10, 2), f32(3, 3, 2, 4), 2, "SAME")
@prove(f32(1, 9, 10, 2), f32(3, 3, 2, 4), rate=3, padding="VALID")
@prove(f32(1, 9, 10, 2), f32(2, 3, 2, 4), rate=1, padding="SAME")
def atrous_conv2d(value: Tensor, filters: Tensor, rate, padding, name=None):
    """A dilated convolution with stride 1."""
    return _convolve(value, filters, 1, padding, None, rate)
