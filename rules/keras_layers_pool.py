"""Keras' pooling, padding, cropping and upsampling layers as torch modules. Channels first.

Source of the facts: https://keras.io/api/layers/pooling_layers/ and https://keras.io/api/layers/reshaping_layers/
"""

from __future__ import annotations

from torch import nn

from tfport.compat.keras import modules
from tfport.layers.arguments import pairs
from tfport.rule import layer


@layer("tf.keras.layers.MaxPooling1D", "tf.keras.layers.MaxPool1D", layout="first")
def MaxPooling1D(pool_size=2, strides=None, padding="valid", data_format=None):
    """nn.MaxPool1d; with SAME the padding never wins."""
    if padding == "same" and pool_size != 1:
        return modules.SameMaxPool1d(pool_size, strides)
    if strides == pool_size:
        return nn.MaxPool1d(pool_size)
    return nn.MaxPool1d(pool_size, stride=strides)


@layer("tf.keras.layers.AveragePooling1D", "tf.keras.layers.AvgPool1D", layout="first")
def AveragePooling1D(pool_size=2, strides=None, padding="valid", data_format=None):
    """nn.AvgPool1d; with SAME the padding is left out of the mean."""
    if padding == "same" and pool_size != 1:
        return modules.SameAvgPool1d(pool_size, strides)
    if strides == pool_size:
        return nn.AvgPool1d(pool_size)
    return nn.AvgPool1d(pool_size, stride=strides)


@layer("tf.keras.layers.GlobalAveragePooling1D", "tf.keras.layers.GlobalAvgPool1D", layout="first")
def GlobalAveragePooling1D(data_format=None, keepdims=False, *, masked):
    """Mean over the steps, whose axis is dropped unless ``keepdims``; with a mask, of the steps that count."""
    if masked:
        return modules.MaskedMean(keepdims)
    if keepdims:
        return nn.AdaptiveAvgPool1d(1)
    return nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten())


@layer("tf.keras.layers.GlobalMaxPooling1D", "tf.keras.layers.GlobalMaxPool1D", layout="first")
def GlobalMaxPooling1D(data_format=None, keepdims=False):
    """Maximum over the spatial axes; gradients of ties are shared, unlike nn.AdaptiveMaxPool1d's."""
    return modules.GlobalMaxPool(keepdims)


@layer("tf.keras.layers.MaxPooling2D", "tf.keras.layers.MaxPool2D", layout="first")
def MaxPooling2D(pool_size=(2, 2), strides=None, padding="valid", data_format=None):
    """nn.MaxPool2d; with SAME the padding never wins."""
    if padding == "same" and pool_size != 1:
        return modules.SameMaxPool2d(pool_size, strides)
    if strides == pool_size:
        return nn.MaxPool2d(pool_size)
    return nn.MaxPool2d(pool_size, stride=strides)


@layer("tf.keras.layers.AveragePooling2D", "tf.keras.layers.AvgPool2D", layout="first")
def AveragePooling2D(pool_size=(2, 2), strides=None, padding="valid", data_format=None):
    """nn.AvgPool2d; with SAME the padding is left out of the mean."""
    if padding == "same" and pool_size != 1:
        return modules.SameAvgPool2d(pool_size, strides)
    if strides == pool_size:
        return nn.AvgPool2d(pool_size)
    return nn.AvgPool2d(pool_size, stride=strides)


@layer("tf.keras.layers.GlobalAveragePooling2D", "tf.keras.layers.GlobalAvgPool2D", layout="first")
def GlobalAveragePooling2D(data_format=None, keepdims=False):
    """Mean over the spatial axes, which are dropped unless ``keepdims``."""
    if keepdims:
        return nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


@layer("tf.keras.layers.GlobalMaxPooling2D", "tf.keras.layers.GlobalMaxPool2D", layout="first")
def GlobalMaxPooling2D(data_format=None, keepdims=False):
    """Maximum over the spatial axes; gradients of ties are shared, unlike nn.AdaptiveMaxPool2d's."""
    return modules.GlobalMaxPool(keepdims)


@layer("tf.keras.layers.MaxPooling3D", "tf.keras.layers.MaxPool3D", layout="first")
def MaxPooling3D(pool_size=(2, 2, 2), strides=None, padding="valid", data_format=None):
    """nn.MaxPool3d; with SAME the padding never wins."""
    if padding == "same" and pool_size != 1:
        return modules.SameMaxPool3d(pool_size, strides)
    if strides == pool_size:
        return nn.MaxPool3d(pool_size)
    return nn.MaxPool3d(pool_size, stride=strides)


@layer("tf.keras.layers.AveragePooling3D", "tf.keras.layers.AvgPool3D", layout="first")
def AveragePooling3D(pool_size=(2, 2, 2), strides=None, padding="valid", data_format=None):
    """nn.AvgPool3d; with SAME the padding is left out of the mean."""
    if padding == "same" and pool_size != 1:
        return modules.SameAvgPool3d(pool_size, strides)
    if strides == pool_size:
        return nn.AvgPool3d(pool_size)
    return nn.AvgPool3d(pool_size, stride=strides)


@layer("tf.keras.layers.GlobalAveragePooling3D", "tf.keras.layers.GlobalAvgPool3D", layout="first")
def GlobalAveragePooling3D(data_format=None, keepdims=False):
    """Mean over the spatial axes, which are dropped unless ``keepdims``."""
    if keepdims:
        return nn.AdaptiveAvgPool3d(1)
    return nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten())


@layer("tf.keras.layers.GlobalMaxPooling3D", "tf.keras.layers.GlobalMaxPool3D", layout="first")
def GlobalMaxPooling3D(data_format=None, keepdims=False):
    """Maximum over the spatial axes; gradients of ties are shared, unlike nn.AdaptiveMaxPool3d's."""
    return modules.GlobalMaxPool(keepdims)


@layer("tf.keras.layers.ZeroPadding1D", layout="first")
def ZeroPadding1D(padding=1, data_format=None):
    """Zeros (before, after) the steps."""
    return nn.ConstantPad1d(sum(pairs(padding, 1), ()), 0.0)  # type: ignore[arg-type]


@layer("tf.keras.layers.ZeroPadding2D", layout="first")
def ZeroPadding2D(padding=(1, 1), data_format=None):
    """Keras' ((top, bottom), (left, right)) is torch's (left, right, top, bottom)."""
    if isinstance(padding, int):
        return nn.ZeroPad2d(padding)
    if isinstance(padding[0], int):
        return nn.ZeroPad2d((padding[1], padding[1], padding[0], padding[0]))
    if padding[0][0] == padding[0][1] and padding[1][0] == padding[1][1] and padding[0][0] == padding[1][0]:
        return nn.ZeroPad2d(padding[0][0])
    return nn.ZeroPad2d((padding[1][0], padding[1][1], padding[0][0], padding[0][1]))


@layer("tf.keras.layers.ZeroPadding3D", layout="first")
def ZeroPadding3D(padding=(1, 1, 1), data_format=None):
    """Zeros round the volume."""
    return nn.ConstantPad3d(sum(reversed(pairs(padding, 3)), ()), 0.0)  # type: ignore[arg-type]


@layer("tf.keras.layers.Cropping1D", layout="first")
def Cropping1D(cropping=(1, 1)):
    """Cut (before, after) from the steps."""
    return modules.Crop(pairs(cropping, 1))


@layer("tf.keras.layers.Cropping2D", layout="first")
def Cropping2D(cropping=((0, 0), (0, 0)), data_format=None):
    """Cut ((top, bottom), (left, right))."""
    return modules.Crop(pairs(cropping, 2))


@layer("tf.keras.layers.Cropping3D", layout="first")
def Cropping3D(cropping=((1, 1), (1, 1), (1, 1)), data_format=None):
    """Cut (before, after) from each axis of the volume."""
    return modules.Crop(pairs(cropping, 3))


@layer("tf.keras.layers.UpSampling1D", layout="first")
def UpSampling1D(size=2):
    """Each step repeated."""
    return nn.Upsample(scale_factor=size)


@layer("tf.keras.layers.UpSampling2D", layout="first")
def UpSampling2D(size=(2, 2), data_format=None, interpolation="nearest"):
    """Rows and columns repeated, or bilinear with half-pixel centres (torch's align_corners=False)."""
    if interpolation == "nearest":
        return nn.Upsample(scale_factor=size)
    if interpolation == "bilinear":
        return nn.Upsample(scale_factor=size, mode="bilinear")
    raise NotImplementedError(
        "UpSampling2D: nearest and bilinear are ported; resize by hand for other interpolations"
    )


@layer("tf.keras.layers.UpSampling3D", layout="first")
def UpSampling3D(size=(2, 2, 2), data_format=None):
    """Planes, rows and columns repeated."""
    return nn.Upsample(scale_factor=size)


@layer("tf.keras.layers.SpatialDropout1D", layout="first")
def SpatialDropout1D(rate, seed=None):
    """Drops whole channels."""
    return nn.Dropout1d(rate)


@layer("tf.keras.layers.SpatialDropout2D", layout="first")
def SpatialDropout2D(rate, data_format=None, seed=None):
    """Drops whole channels."""
    return nn.Dropout2d(rate)


@layer("tf.keras.layers.SpatialDropout3D", layout="first")
def SpatialDropout3D(rate, data_format=None, seed=None):
    """Drops whole channels."""
    return nn.Dropout3d(rate)
