"""Keras' recurrent layers, cells and wrappers as torch modules, on (N, T, features).

torch's gates are i, f, g, o (Keras' i, f, c, o) for an LSTM and r, z, n (Keras' z, r, h) for a GRU; torch has two biases
where Keras' LSTM has one, so the second is zero and does not train. Source of the facts:
https://keras.io/api/layers/recurrent_layers/ and https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html
"""

from __future__ import annotations

from torch import nn

from tfport.compat.keras import modules, wrappers
from tfport.rule import layer

ONE_BIAS = {"cell/kernel": ("weight_ih_l0", "i g -> g i"), "cell/recurrent_kernel": ("weight_hh_l0", "h g -> g h"),
            "cell/bias": [("bias_ih_l0", "g -> g"), ("bias_hh_l0", "0")]}  # fmt: skip
CELL_OF_ONE_BIAS = {"kernel": ("weight_ih", "i g -> g i"), "recurrent_kernel": ("weight_hh", "h g -> g h"),
                    "bias": [("bias_ih", "g -> g"), ("bias_hh", "0")]}  # fmt: skip


@layer("tf.keras.layers.LSTM", layout="call", weights=ONE_BIAS)
def LSTM(units, activation="tanh", recurrent_activation="sigmoid", use_bias=True, kernel_initializer="glorot_uniform",
         recurrent_initializer="orthogonal", bias_initializer="zeros", unit_forget_bias=True, kernel_regularizer=None,
         recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
         recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None,
         return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False, use_cudnn="auto",
         time_major=False, implementation=2, *, channels, plain):  # fmt: skip
    """nn.LSTM with batch_first; gates in one order, one bias. Other activations and masks have a module of their own."""
    if time_major:
        raise NotImplementedError("time_major=True: transpose the input to (N, T, features)")
    if plain:
        return nn.LSTM(channels, units, bias=use_bias, batch_first=True)
    return modules.LSTM(
        channels, units, bias=use_bias, activation=activation, recurrent_activation=recurrent_activation,
        dropout=dropout, recurrent_dropout=recurrent_dropout, return_sequences=return_sequences,
        return_state=return_state, go_backwards=go_backwards, stateful=stateful)  # fmt: skip


@layer("tf.keras.layers.GRU", layout="call",
       weights={"cell/kernel": ("weight_ih_l0", "i (g o) -> (g o) i", {"g": [1, 0, 2]}),
                "cell/recurrent_kernel": ("weight_hh_l0", "h (g o) -> (g o) h", {"g": [1, 0, 2]}),
                "cell/bias": [("bias_ih_l0", "0:2 (g o) -> (g o)", {"g": [1, 0, 2]}),
                              ("bias_hh_l0", "1:2 (g o) -> (g o)", {"g": [1, 0, 2]})]},
       unless={"reset_after": {"cell/bias": ("bias_ih_l0", "(g o) -> (g o)", {"g": [1, 0, 2]})}})  # fmt: skip
def GRU(units, activation="tanh", recurrent_activation="sigmoid", use_bias=True, kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal", bias_initializer="zeros", kernel_regularizer=None,
        recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
        recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, seed=None,
        return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False, reset_after=True,
        use_cudnn="auto", time_major=False, implementation=2, *, channels, plain):  # fmt: skip
    """nn.GRU with batch_first, gates z, r, h put as r, z, n; reset_after=False has a module of its own."""
    if time_major:
        raise NotImplementedError("time_major=True: transpose the input to (N, T, features)")
    if plain:
        return nn.GRU(channels, units, bias=use_bias, batch_first=True)
    return modules.GRU(
        channels, units, bias=use_bias, activation=activation, recurrent_activation=recurrent_activation,
        dropout=dropout, recurrent_dropout=recurrent_dropout, reset_after=reset_after,
        return_sequences=return_sequences, return_state=return_state, go_backwards=go_backwards,
        stateful=stateful)  # fmt: skip


@layer("tf.keras.layers.SimpleRNN", layout="call", weights=ONE_BIAS)
def SimpleRNN(units, activation="tanh", use_bias=True, kernel_initializer="glorot_uniform",
              recurrent_initializer="orthogonal", bias_initializer="zeros", kernel_regularizer=None,
              recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
              recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0,
              return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False, seed=None,
              time_major=False, *, channels, plain):  # fmt: skip
    """nn.RNN with batch_first: tanh or relu; other activations have a module of their own."""
    if time_major:
        raise NotImplementedError("time_major=True: transpose the input to (N, T, features)")
    if plain and activation == "relu":
        return nn.RNN(channels, units, nonlinearity="relu", bias=use_bias, batch_first=True)
    if plain:
        return nn.RNN(channels, units, bias=use_bias, batch_first=True)
    return modules.SimpleRNN(
        channels, units, bias=use_bias, activation=activation, dropout=dropout, recurrent_dropout=recurrent_dropout,
        return_sequences=return_sequences, return_state=return_state, go_backwards=go_backwards,
        stateful=stateful)  # fmt: skip


@layer("tf.keras.layers.LSTMCell", layout="call", weights=CELL_OF_ONE_BIAS)
def LSTMCell(units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
             kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
             unit_forget_bias=True, kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None,
             kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
             recurrent_dropout=0.0, seed=None, implementation=2, *, channels):  # fmt: skip
    """nn.LSTMCell's parameters; called with (N, features) and [h, c], returns the output and [h, c]."""
    return modules.LSTMCell(
        channels, units, bias=use_bias, activation=activation, recurrent_activation=recurrent_activation,
        dropout=dropout, recurrent_dropout=recurrent_dropout)  # fmt: skip


@layer("tf.keras.layers.GRUCell", layout="call",
       weights={"kernel": ("weight_ih", "i (g o) -> (g o) i", {"g": [1, 0, 2]}),
                "recurrent_kernel": ("weight_hh", "h (g o) -> (g o) h", {"g": [1, 0, 2]}),
                "bias": [("bias_ih", "0:2 (g o) -> (g o)", {"g": [1, 0, 2]}),
                         ("bias_hh", "1:2 (g o) -> (g o)", {"g": [1, 0, 2]})]},
       unless={"reset_after": {"bias": ("bias_ih", "(g o) -> (g o)", {"g": [1, 0, 2]})}})  # fmt: skip
def GRUCell(units, activation="tanh", recurrent_activation="sigmoid", use_bias=True,
            kernel_initializer="glorot_uniform", recurrent_initializer="orthogonal", bias_initializer="zeros",
            kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None,
            recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0, reset_after=True,
            seed=None, implementation=2, *, channels):  # fmt: skip
    """nn.GRUCell's parameters; called with (N, features) and [h], returns the output and [h]."""
    return modules.GRUCell(
        channels, units, bias=use_bias, activation=activation, recurrent_activation=recurrent_activation,
        dropout=dropout, recurrent_dropout=recurrent_dropout, reset_after=reset_after)  # fmt: skip


@layer("tf.keras.layers.SimpleRNNCell", layout="call", weights=CELL_OF_ONE_BIAS)
def SimpleRNNCell(units, activation="tanh", use_bias=True, kernel_initializer="glorot_uniform",
                  recurrent_initializer="orthogonal", bias_initializer="zeros", kernel_regularizer=None,
                  recurrent_regularizer=None, bias_regularizer=None, kernel_constraint=None,
                  recurrent_constraint=None, bias_constraint=None, dropout=0.0, recurrent_dropout=0.0,
                  seed=None, *, channels):  # fmt: skip
    """nn.RNNCell's parameters; called with (N, features) and [h], returns the output and [h]."""
    return modules.SimpleRNNCell(
        channels, units, bias=use_bias, activation=activation, dropout=dropout,
        recurrent_dropout=recurrent_dropout)  # fmt: skip


@layer("tf.keras.layers.StackedRNNCells", layout="call", weights={"*": "cells"})
def StackedRNNCells(cells, *, shape):
    """Several cells as one, for RNN."""
    raise NotImplementedError("StackedRNNCells alone: give the cells to tf.keras.layers.RNN")


@layer("tf.keras.layers.RNN", layout="call", weights={"*": "cell"})
def RNN(cell, return_sequences=False, return_state=False, go_backwards=False, stateful=False, unroll=False,
        zero_output_for_mask=False, time_major=False, *, shape):  # fmt: skip
    """A cell, or a list of them one above the other, over the steps of (N, T, features)."""
    if time_major:
        raise NotImplementedError("time_major=True: transpose the input to (N, T, features)")
    return modules.RNN(
        wrappers.built_cells(cell, shape), wrappers.is_stack(cell), return_sequences=return_sequences,
        return_state=return_state, go_backwards=go_backwards, stateful=stateful,
        zero_output_for_mask=zero_output_for_mask)  # fmt: skip


@layer("tf.keras.layers.Bidirectional", layout="call", weights={"*": "directions"})
def Bidirectional(layer, merge_mode="concat", weights=None, backward_layer=None, *, shape):
    """A recurrent layer and its twin that runs backwards; the last output of the twin is that of step 0."""
    return wrappers.bidirectional(layer, backward_layer, merge_mode, shape)


@layer("tf.keras.layers.TimeDistributed", layout="call", weights={"*": "layer"})
def TimeDistributed(layer, *, shape):
    """A layer on every step of (N, T, ...)."""
    return wrappers.TimeDistributed(wrappers.built(layer, (shape[0], *shape[2:])))


@layer("tf.keras.layers.ConvLSTM1D", layout="call",
       weights={"cell/kernel": ("weight_ih", "k i o -> o i k"),
                "cell/recurrent_kernel": ("weight_hh", "k i o -> o i k"), "cell/bias": ("bias_ih", "o -> o")})  # fmt: skip
def ConvLSTM1D(filters, kernel_size, strides=1, padding="valid", data_format=None, dilation_rate=1, activation="tanh",
               recurrent_activation="sigmoid", use_bias=True, kernel_initializer="glorot_uniform",
               recurrent_initializer="orthogonal", bias_initializer="zeros", unit_forget_bias=True,
               kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None,
               kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
               recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False, go_backwards=False,
               stateful=False, *, channels):  # fmt: skip
    """An LSTM whose products are convolutions, on (N, T, spatial..., channels)."""
    return modules.ConvLSTM(
        1, channels, filters, kernel_size, stride=strides, padding=padding, dilation=dilation_rate,
        activation=activation, recurrent_activation=recurrent_activation, bias=use_bias, dropout=dropout,
        recurrent_dropout=recurrent_dropout, return_sequences=return_sequences, return_state=return_state,
        go_backwards=go_backwards, stateful=stateful)  # fmt: skip


@layer("tf.keras.layers.ConvLSTM2D", layout="call",
       weights={"cell/kernel": ("weight_ih", "h w i o -> o i h w"),
                "cell/recurrent_kernel": ("weight_hh", "h w i o -> o i h w"), "cell/bias": ("bias_ih", "o -> o")})  # fmt: skip
def ConvLSTM2D(filters, kernel_size, strides=1, padding="valid", data_format=None, dilation_rate=1, activation="tanh",
               recurrent_activation="sigmoid", use_bias=True, kernel_initializer="glorot_uniform",
               recurrent_initializer="orthogonal", bias_initializer="zeros", unit_forget_bias=True,
               kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None,
               kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
               recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False, go_backwards=False,
               stateful=False, *, channels):  # fmt: skip
    """An LSTM whose products are convolutions, on (N, T, spatial..., channels)."""
    return modules.ConvLSTM(
        2, channels, filters, kernel_size, stride=strides, padding=padding, dilation=dilation_rate,
        activation=activation, recurrent_activation=recurrent_activation, bias=use_bias, dropout=dropout,
        recurrent_dropout=recurrent_dropout, return_sequences=return_sequences, return_state=return_state,
        go_backwards=go_backwards, stateful=stateful)  # fmt: skip


@layer("tf.keras.layers.ConvLSTM3D", layout="call",
       weights={"cell/kernel": ("weight_ih", "d h w i o -> o i d h w"),
                "cell/recurrent_kernel": ("weight_hh", "d h w i o -> o i d h w"), "cell/bias": ("bias_ih", "o -> o")})  # fmt: skip
def ConvLSTM3D(filters, kernel_size, strides=1, padding="valid", data_format=None, dilation_rate=1, activation="tanh",
               recurrent_activation="sigmoid", use_bias=True, kernel_initializer="glorot_uniform",
               recurrent_initializer="orthogonal", bias_initializer="zeros", unit_forget_bias=True,
               kernel_regularizer=None, recurrent_regularizer=None, bias_regularizer=None, activity_regularizer=None,
               kernel_constraint=None, recurrent_constraint=None, bias_constraint=None, dropout=0.0,
               recurrent_dropout=0.0, seed=None, return_sequences=False, return_state=False, go_backwards=False,
               stateful=False, *, channels):  # fmt: skip
    """An LSTM whose products are convolutions, on (N, T, spatial..., channels)."""
    return modules.ConvLSTM(
        3, channels, filters, kernel_size, stride=strides, padding=padding, dilation=dilation_rate,
        activation=activation, recurrent_activation=recurrent_activation, bias=use_bias, dropout=dropout,
        recurrent_dropout=recurrent_dropout, return_sequences=return_sequences, return_state=return_state,
        go_backwards=go_backwards, stateful=stateful)  # fmt: skip
