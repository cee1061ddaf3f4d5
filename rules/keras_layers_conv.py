"""Keras' convolutions as torch modules. Channels first inside; Keras' kernels are [spatial..., in, out].

A builder's parameters are the Keras constructor's; ``channels`` is the size of the input's channel axis. Activation,
initialisers, regularizers and constraints are handled by the caller. Arguments come normalised: lower-case padding,
one number for an equal tuple (tfport/layers/arguments.py). Source of the facts: https://keras.io/api/layers/convolution_layers/
"""

from __future__ import annotations

from torch import nn

from tfport.compat.keras import modules
from tfport.rule import layer


@layer("tf.keras.layers.Conv1D", "tf.keras.layers.Convolution1D", layout="first",
       weights={"kernel": ("weight", "k i o -> o i k"), "bias": ("bias", "o -> o")})  # fmt: skip
def Conv1D(filters, kernel_size, strides=1, padding="valid", data_format=None, dilation_rate=1, groups=1,
           activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
           kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
           bias_constraint=None, *, channels):  # fmt: skip
    """nn.Conv1d; strided SAME padding depends on the input's size and has a module of its own."""
    if padding == "causal":
        return modules.CausalConv1d(channels, filters, kernel_size, stride=strides, dilation=dilation_rate,
                                    groups=groups, bias=use_bias)  # fmt: skip
    if padding == "valid" or kernel_size == 1:
        return nn.Conv1d(
            channels,
            filters,
            kernel_size,
            stride=strides,
            dilation=dilation_rate,
            groups=groups,
            bias=use_bias,
        )
    if strides == 1:
        return nn.Conv1d(
            channels,
            filters,
            kernel_size,
            padding="same",
            dilation=dilation_rate,
            groups=groups,
            bias=use_bias,
        )
    return modules.SameConv1d(
        channels, filters, kernel_size, stride=strides, dilation=dilation_rate, groups=groups, bias=use_bias
    )


@layer("tf.keras.layers.Conv2D", "tf.keras.layers.Convolution2D", layout="first",
       weights={"kernel": ("weight", "h w i o -> o i h w"), "bias": ("bias", "o -> o")})  # fmt: skip
def Conv2D(filters, kernel_size, strides=(1, 1), padding="valid", data_format=None, dilation_rate=(1, 1), groups=1,
           activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
           kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
           bias_constraint=None, *, channels):  # fmt: skip
    """nn.Conv2d; strided SAME padding depends on the input's size and has a module of its own."""
    if padding == "valid" or kernel_size == 1:
        return nn.Conv2d(
            channels,
            filters,
            kernel_size,
            stride=strides,
            dilation=dilation_rate,
            groups=groups,
            bias=use_bias,
        )
    if strides == 1:
        return nn.Conv2d(
            channels,
            filters,
            kernel_size,
            padding="same",
            dilation=dilation_rate,
            groups=groups,
            bias=use_bias,
        )
    return modules.SameConv2d(
        channels, filters, kernel_size, stride=strides, dilation=dilation_rate, groups=groups, bias=use_bias
    )


@layer("tf.keras.layers.Conv3D", "tf.keras.layers.Convolution3D", layout="first",
       weights={"kernel": ("weight", "d h w i o -> o i d h w"), "bias": ("bias", "o -> o")})  # fmt: skip
def Conv3D(filters, kernel_size, strides=(1, 1, 1), padding="valid", data_format=None, dilation_rate=(1, 1, 1), groups=1,
           activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
           kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
           bias_constraint=None, *, channels):  # fmt: skip
    """nn.Conv3d; strided SAME padding depends on the input's size and has a module of its own."""
    if padding == "valid" or kernel_size == 1:
        return nn.Conv3d(
            channels,
            filters,
            kernel_size,
            stride=strides,
            dilation=dilation_rate,
            groups=groups,
            bias=use_bias,
        )
    if strides == 1:
        return nn.Conv3d(
            channels,
            filters,
            kernel_size,
            padding="same",
            dilation=dilation_rate,
            groups=groups,
            bias=use_bias,
        )
    return modules.SameConv3d(
        channels, filters, kernel_size, stride=strides, dilation=dilation_rate, groups=groups, bias=use_bias
    )


@layer("tf.keras.layers.DepthwiseConv1D", layout="first",
       weights={"kernel": ("weight", "k c m -> (c m) 1 k"), "bias": ("bias", "o -> o")})  # fmt: skip
def DepthwiseConv1D(kernel_size, strides=1, padding="valid", depth_multiplier=1, data_format=None,
           dilation_rate=1, activation=None, use_bias=True, depthwise_initializer="glorot_uniform", bias_initializer="zeros",
           depthwise_regularizer=None, bias_regularizer=None, activity_regularizer=None, depthwise_constraint=None,
           bias_constraint=None, *, channels):  # fmt: skip
    """A convolution of one group per channel; output channel ``c * depth_multiplier + m``."""
    if padding == "valid" or kernel_size == 1:
        return nn.Conv1d(channels, channels * depth_multiplier, kernel_size, stride=strides, dilation=dilation_rate,
                         groups=channels, bias=use_bias)  # fmt: skip
    if strides == 1:
        return nn.Conv1d(channels, channels * depth_multiplier, kernel_size, padding="same", dilation=dilation_rate,
                         groups=channels, bias=use_bias)  # fmt: skip
    return modules.SameConv1d(channels, channels * depth_multiplier, kernel_size, stride=strides, dilation=dilation_rate,
                              groups=channels, bias=use_bias)  # fmt: skip


@layer("tf.keras.layers.DepthwiseConv2D", layout="first",
       weights={"kernel": ("weight", "h w c m -> (c m) 1 h w"), "bias": ("bias", "o -> o")})  # fmt: skip
def DepthwiseConv2D(kernel_size, strides=(1, 1), padding="valid", depth_multiplier=1, data_format=None,
           dilation_rate=(1, 1), activation=None, use_bias=True, depthwise_initializer="glorot_uniform", bias_initializer="zeros",
           depthwise_regularizer=None, bias_regularizer=None, activity_regularizer=None, depthwise_constraint=None,
           bias_constraint=None, *, channels):  # fmt: skip
    """A convolution of one group per channel; output channel ``c * depth_multiplier + m``."""
    if padding == "valid" or kernel_size == 1:
        return nn.Conv2d(channels, channels * depth_multiplier, kernel_size, stride=strides, dilation=dilation_rate,
                         groups=channels, bias=use_bias)  # fmt: skip
    if strides == 1:
        return nn.Conv2d(channels, channels * depth_multiplier, kernel_size, padding="same", dilation=dilation_rate,
                         groups=channels, bias=use_bias)  # fmt: skip
    return modules.SameConv2d(channels, channels * depth_multiplier, kernel_size, stride=strides, dilation=dilation_rate,
                              groups=channels, bias=use_bias)  # fmt: skip


@layer("tf.keras.layers.SeparableConv1D", "tf.keras.layers.SeparableConvolution1D", layout="first",
       weights={"depthwise_kernel": ("0.weight", "k c m -> (c m) 1 k"),
                "pointwise_kernel": ("1.weight", "k i o -> o i k"), "bias": ("1.bias", "o -> o")})  # fmt: skip
def SeparableConv1D(filters, kernel_size, strides=1, padding="valid", data_format=None, dilation_rate=1,
           depth_multiplier=1, activation=None, use_bias=True, depthwise_initializer="glorot_uniform",
           pointwise_initializer="glorot_uniform", bias_initializer="zeros", depthwise_regularizer=None,
           pointwise_regularizer=None, bias_regularizer=None, activity_regularizer=None, depthwise_constraint=None,
           pointwise_constraint=None, bias_constraint=None, *, channels):  # fmt: skip
    """A depthwise convolution without bias, then a pointwise one."""
    if padding == "valid" or kernel_size == 1:
        return nn.Sequential(
            nn.Conv1d(channels, channels * depth_multiplier, kernel_size, stride=strides, dilation=dilation_rate,
                      groups=channels, bias=False),
            nn.Conv1d(channels * depth_multiplier, filters, 1, bias=use_bias))  # fmt: skip
    if strides == 1:
        return nn.Sequential(
            nn.Conv1d(channels, channels * depth_multiplier, kernel_size, padding="same", dilation=dilation_rate,
                      groups=channels, bias=False),
            nn.Conv1d(channels * depth_multiplier, filters, 1, bias=use_bias))  # fmt: skip
    return nn.Sequential(
        modules.SameConv1d(channels, channels * depth_multiplier, kernel_size, stride=strides, dilation=dilation_rate,
                           groups=channels, bias=False),
        nn.Conv1d(channels * depth_multiplier, filters, 1, bias=use_bias))  # fmt: skip


@layer("tf.keras.layers.SeparableConv2D", "tf.keras.layers.SeparableConvolution2D", layout="first",
       weights={"depthwise_kernel": ("0.weight", "h w c m -> (c m) 1 h w"),
                "pointwise_kernel": ("1.weight", "h w i o -> o i h w"), "bias": ("1.bias", "o -> o")})  # fmt: skip
def SeparableConv2D(filters, kernel_size, strides=(1, 1), padding="valid", data_format=None, dilation_rate=(1, 1),
           depth_multiplier=1, activation=None, use_bias=True, depthwise_initializer="glorot_uniform",
           pointwise_initializer="glorot_uniform", bias_initializer="zeros", depthwise_regularizer=None,
           pointwise_regularizer=None, bias_regularizer=None, activity_regularizer=None, depthwise_constraint=None,
           pointwise_constraint=None, bias_constraint=None, *, channels):  # fmt: skip
    """A depthwise convolution without bias, then a pointwise one."""
    if padding == "valid" or kernel_size == 1:
        return nn.Sequential(
            nn.Conv2d(channels, channels * depth_multiplier, kernel_size, stride=strides, dilation=dilation_rate,
                      groups=channels, bias=False),
            nn.Conv2d(channels * depth_multiplier, filters, 1, bias=use_bias))  # fmt: skip
    if strides == 1:
        return nn.Sequential(
            nn.Conv2d(channels, channels * depth_multiplier, kernel_size, padding="same", dilation=dilation_rate,
                      groups=channels, bias=False),
            nn.Conv2d(channels * depth_multiplier, filters, 1, bias=use_bias))  # fmt: skip
    return nn.Sequential(
        modules.SameConv2d(channels, channels * depth_multiplier, kernel_size, stride=strides, dilation=dilation_rate,
                           groups=channels, bias=False),
        nn.Conv2d(channels * depth_multiplier, filters, 1, bias=use_bias))  # fmt: skip


@layer("tf.keras.layers.Conv1DTranspose", "tf.keras.layers.Convolution1DTranspose", layout="first",
       weights={"kernel": ("weight", "k o i -> i o k"), "bias": ("bias", "o -> o")})  # fmt: skip
def Conv1DTranspose(filters, kernel_size, strides=1, padding="valid", output_padding=None, data_format=None,
           dilation_rate=1, activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
           kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
           bias_constraint=None, *, channels):  # fmt: skip
    """nn.ConvTranspose1d where torch's symmetric padding gives Keras' size; otherwise the full result, cut."""
    if (
        output_padding is None
        and isinstance(kernel_size, int)
        and isinstance(strides, int)
        and dilation_rate == 1
    ):
        if padding == "valid" and kernel_size >= strides:
            return nn.ConvTranspose1d(channels, filters, kernel_size, stride=strides, bias=use_bias)
        if padding == "same" and kernel_size >= strides and (kernel_size - strides) % 2 == 0:
            return nn.ConvTranspose1d(channels, filters, kernel_size, stride=strides,
                                      padding=(kernel_size - strides) // 2, bias=use_bias)  # fmt: skip
    return modules.CutConvTranspose1d(channels, filters, kernel_size, stride=strides, dilation=dilation_rate, bias=use_bias,
                                      same=padding == "same", extra=output_padding)  # fmt: skip


@layer("tf.keras.layers.Conv2DTranspose", "tf.keras.layers.Convolution2DTranspose", layout="first",
       weights={"kernel": ("weight", "h w o i -> i o h w"), "bias": ("bias", "o -> o")})  # fmt: skip
def Conv2DTranspose(filters, kernel_size, strides=(1, 1), padding="valid", output_padding=None, data_format=None,
           dilation_rate=(1, 1), activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
           kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
           bias_constraint=None, *, channels):  # fmt: skip
    """nn.ConvTranspose2d where torch's symmetric padding gives Keras' size; otherwise the full result, cut."""
    if (
        output_padding is None
        and isinstance(kernel_size, int)
        and isinstance(strides, int)
        and dilation_rate == 1
    ):
        if padding == "valid" and kernel_size >= strides:
            return nn.ConvTranspose2d(channels, filters, kernel_size, stride=strides, bias=use_bias)
        if padding == "same" and kernel_size >= strides and (kernel_size - strides) % 2 == 0:
            return nn.ConvTranspose2d(channels, filters, kernel_size, stride=strides,
                                      padding=(kernel_size - strides) // 2, bias=use_bias)  # fmt: skip
    return modules.CutConvTranspose2d(channels, filters, kernel_size, stride=strides, dilation=dilation_rate, bias=use_bias,
                                      same=padding == "same", extra=output_padding)  # fmt: skip


@layer("tf.keras.layers.Conv3DTranspose", "tf.keras.layers.Convolution3DTranspose", layout="first",
       weights={"kernel": ("weight", "d h w o i -> i o d h w"), "bias": ("bias", "o -> o")})  # fmt: skip
def Conv3DTranspose(filters, kernel_size, strides=(1, 1, 1), padding="valid", data_format=None, output_padding=None,
           dilation_rate=(1, 1, 1), activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
           kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
           bias_constraint=None, *, channels):  # fmt: skip
    """nn.ConvTranspose3d where torch's symmetric padding gives Keras' size; otherwise the full result, cut."""
    if (
        output_padding is None
        and isinstance(kernel_size, int)
        and isinstance(strides, int)
        and dilation_rate == 1
    ):
        if padding == "valid" and kernel_size >= strides:
            return nn.ConvTranspose3d(channels, filters, kernel_size, stride=strides, bias=use_bias)
        if padding == "same" and kernel_size >= strides and (kernel_size - strides) % 2 == 0:
            return nn.ConvTranspose3d(channels, filters, kernel_size, stride=strides,
                                      padding=(kernel_size - strides) // 2, bias=use_bias)  # fmt: skip
    return modules.CutConvTranspose3d(channels, filters, kernel_size, stride=strides, dilation=dilation_rate, bias=use_bias,
                                      same=padding == "same", extra=output_padding)  # fmt: skip
