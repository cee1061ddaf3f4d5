"""TensorFlow 1's recurrent cells as modules, by the formulas of ``tf.nn.rnn_cell`` and ``tf.contrib.cudnn_rnn``.

Parameters have TensorFlow's names and layouts: ``cell.basic_lstm_cell.kernel`` is what a checkpoint calls
``rnn/basic_lstm_cell/kernel``, so that `tfport.load_weights` carries it as it is. An ``nn.LSTM`` is another thing: its
gates are i, f, g, o (here i, j, f, o), and the forget bias, which is added at run time, is in no checkpoint.
Source of the facts: https://www.tensorflow.org/api_docs/python/tf/compat/v1/nn/rnn_cell
"""

from __future__ import annotations

from collections import namedtuple

import torch
from torch import nn

from tfport.compat import rnn_cell as _base
from tfport.compat.keras import activation as _activation
from tfport.rule import rule

# A module with a __path__: mypy looks for its files elsewhere.
from tfport.rules import keras_initializers as _initializers  # type: ignore[attr-defined]

_PROVED = "tests/compat/test_rnn_cells_v1.py"


def _zeros(shape, dtype):
    return torch.zeros(shape, dtype=dtype)


def _ones(shape, dtype):
    return torch.ones(shape, dtype=dtype)


def _fill(initializer, otherwise):
    return otherwise if initializer is None else _initializers.get(initializer)


@rule("tf.nn.rnn_cell.LSTMStateTuple", "tf.contrib.rnn.LSTMStateTuple", proved_by=_PROVED)
class LSTMStateTuple(namedtuple("LSTMStateTuple", ("c", "h"))):
    """The state of an LSTM: the memory ``c`` and the output ``h``, in this order (torch's is h, c)."""

    __slots__ = ()

    @property
    def dtype(self):
        """The dtype of both; TypeError where they differ."""
        if self.c.dtype != self.h.dtype:
            raise TypeError(f"c is {self.c.dtype}, h is {self.h.dtype}")
        return self.c.dtype


@rule("tf.nn.rnn_cell.RNNCell", "tf.contrib.rnn.RNNCell", pure=False, proved_by=_PROVED)
class RNNCell(_base.Cell):
    """The base class of cells: a subclass has ``state_size``, ``output_size`` and ``call(inputs, state)``."""


class _OfOneState(RNNCell):
    """A cell whose state is its output, of ``num_units``."""

    @property
    def state_size(self):
        """The units."""
        return self._num_units

    @property
    def output_size(self):
        """The units."""
        return self._num_units


@rule("tf.nn.rnn_cell.BasicRNNCell", "tf.contrib.rnn.BasicRNNCell", pure=False, proved_by=_PROVED)
class BasicRNNCell(_OfOneState):
    """``h = tanh([x, h] @ kernel + bias)``; the kernel is (in + units, units)."""

    def __init__(self, num_units, activation=None, reuse=None, name=None, dtype=None, trainable=True):
        _base.Cell.__init__(self, trainable, name or "basic_rnn_cell", dtype)
        self._num_units, self._activation = num_units, _activation.get(activation or "tanh")
        shapes = {"kernel": (None, num_units), "bias": (num_units,)}
        self._add(self.name, shapes, {"kernel": _base.glorot_uniform, "bias": _zeros})

    def call(self, inputs, state):
        """One step on (N, in) and (N, units)."""
        output = self._activation(_base.product(self._scope, inputs, state))
        return output, output


@rule("tf.nn.rnn_cell.GRUCell", "tf.contrib.rnn.GRUCell", pure=False, proved_by=_PROVED)
class GRUCell(_OfOneState):
    """Gates r, u; the reset stands before the product, so that nn.GRU, which has it behind, is no twin.

    ``h = u * h + (1 - u) * tanh([x, r * h] @ kernel + bias)``. The gates' bias starts at one.
    """

    def __init__(self, num_units, activation=None, reuse=None, kernel_initializer=None, bias_initializer=None,
                 name=None, dtype=None, trainable=True):  # fmt: skip
        _base.Cell.__init__(self, trainable, name or "gru_cell", dtype)
        self._num_units, self._activation = num_units, _activation.get(activation or "tanh")
        kernel = _fill(kernel_initializer, _base.glorot_uniform)
        self._add(f"{self.name}/gates", {"kernel": (None, 2 * num_units), "bias": (2 * num_units,)},
                  {"kernel": kernel, "bias": _fill(bias_initializer, _ones)})  # fmt: skip
        self._add(f"{self.name}/candidate", {"kernel": (None, num_units), "bias": (num_units,)},
                  {"kernel": kernel, "bias": _fill(bias_initializer, _zeros)})  # fmt: skip

    def call(self, inputs, state):
        """One step on (N, in) and (N, units)."""
        scope = self._scope
        reset, update = torch.sigmoid(_base.product(scope.gates, inputs, state)).chunk(2, 1)
        candidate = self._activation(_base.product(scope.candidate, inputs, reset * state))
        output = update * state + (1 - update) * candidate
        return output, output


@rule("tf.nn.rnn_cell.BasicLSTMCell", "tf.contrib.rnn.BasicLSTMCell", pure=False, proved_by=_PROVED)
class BasicLSTMCell(RNNCell):
    """One kernel (in + units, 4 * units), gates i, j, f, o; ``forget_bias`` is added to f at every step.

    ``c = c * sigmoid(f + forget_bias) + sigmoid(i) * tanh(j); h = tanh(c) * sigmoid(o)``.
    """

    def __init__(self, num_units, forget_bias=1.0, state_is_tuple=True, activation=None, reuse=None, name=None,
                 dtype=None, trainable=True):  # fmt: skip
        _base.Cell.__init__(self, trainable, name or "basic_lstm_cell", dtype)
        self._num_units, self._forget_bias, self._state_is_tuple = num_units, forget_bias, state_is_tuple
        self._activation = _activation.get(activation or "tanh")
        shapes = {"kernel": (None, 4 * num_units), "bias": (4 * num_units,)}
        self._add(self.name, shapes, {"kernel": _base.glorot_uniform, "bias": _zeros})

    @property
    def state_size(self):
        """c and h, or the sum of their sizes."""
        n = self._num_units
        return LSTMStateTuple(n, n) if self._state_is_tuple else 2 * n

    @property
    def output_size(self):
        """The units."""
        return self._num_units

    def call(self, inputs, state):
        """One step on (N, in) and c, h of (N, units)."""
        c, h = state if self._state_is_tuple else state.chunk(2, 1)
        i, j, f, o = _base.product(self._scope, inputs, h).chunk(4, 1)
        c = c * torch.sigmoid(f + self._forget_bias) + torch.sigmoid(i) * self._activation(j)
        h = self._activation(c) * torch.sigmoid(o)
        return h, LSTMStateTuple(c, h) if self._state_is_tuple else torch.cat([c, h], 1)


@rule("tf.nn.rnn_cell.LSTMCell", "tf.contrib.rnn.LSTMCell", pure=False, proved_by=_PROVED)
class LSTMCell(RNNCell):
    """BasicLSTMCell with peepholes, clipping and a projection of the output to ``num_proj``.

    The input and forget gates look at the old c, the output gate at the new, clipped one. The projection has no bias
    and no activation; it is clipped after the product.
    """

    def __init__(self, num_units, use_peepholes=False, cell_clip=None, initializer=None, num_proj=None,
                 proj_clip=None, num_unit_shards=None, num_proj_shards=None, forget_bias=1.0, state_is_tuple=True,
                 activation=None, reuse=None, name=None, dtype=None, trainable=True):  # fmt: skip
        _base.Cell.__init__(self, trainable, name or "lstm_cell", dtype)
        self._num_units, self._num_proj, self._use_peepholes = num_units, num_proj, use_peepholes
        self._cell_clip, self._proj_clip = cell_clip, proj_clip
        self._forget_bias, self._state_is_tuple = forget_bias, state_is_tuple
        self._activation = _activation.get(activation or "tanh")
        fill = _fill(initializer, _base.glorot_uniform)
        shapes = {"kernel": (None, 4 * num_units), "bias": (4 * num_units,)}
        if use_peepholes:
            shapes |= dict.fromkeys(("w_f_diag", "w_i_diag", "w_o_diag"), (num_units,))
        self._add(self.name, shapes, {**dict.fromkeys(shapes, fill), "bias": _zeros})
        if num_proj is not None:
            self._add(f"{self.name}/projection", {"kernel": (num_units, num_proj)}, {"kernel": fill})

    @property
    def state_size(self):
        """c and h, or the sum of their sizes."""
        n = self._num_units
        return LSTMStateTuple(n, self.output_size) if self._state_is_tuple else n + self.output_size

    @property
    def output_size(self):
        """The units, or num_proj."""
        return self._num_units if self._num_proj is None else self._num_proj

    def call(self, inputs, state):
        """One step on (N, in), c of (N, units) and h of (N, output_size)."""
        sizes = [self._num_units, self.output_size]
        c, h = state if self._state_is_tuple else state.split(sizes, 1)
        scope = self._scope
        i, j, f, o = _base.product(scope, inputs, h).chunk(4, 1)
        f = f + self._forget_bias
        if self._use_peepholes:
            i, f = i + scope.w_i_diag * c, f + scope.w_f_diag * c
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * self._activation(j)
        if self._cell_clip is not None:
            c = c.clamp(-self._cell_clip, self._cell_clip)
        if self._use_peepholes:
            o = o + scope.w_o_diag * c
        h = torch.sigmoid(o) * self._activation(c)
        if self._num_proj is not None:
            scope.projection.build(self._num_units, h)
            h = h @ scope.projection.kernel
            if self._proj_clip is not None:
                h = h.clamp(-self._proj_clip, self._proj_clip)
        return h, LSTMStateTuple(c, h) if self._state_is_tuple else torch.cat([c, h], 1)


@rule("tf.nn.rnn_cell.MultiRNNCell", "tf.contrib.rnn.MultiRNNCell", pure=False, proved_by=_PROVED)
class MultiRNNCell(RNNCell):
    """Cells one above the other; the state is a tuple of theirs, or all of it in one row."""

    def __init__(self, cells, state_is_tuple=True):
        _base.Cell.__init__(self, name="multi_rnn_cell")
        if not isinstance(cells, list | tuple):
            raise TypeError(f"cells must be a list or a tuple, got {type(cells).__name__}")
        if not cells:
            raise ValueError("MultiRNNCell needs a cell")
        if not state_is_tuple and any(isinstance(cell.state_size, tuple) for cell in cells):
            raise ValueError("state_is_tuple=False, and a cell has a tuple as its state")
        self.multi_rnn_cell = nn.ModuleDict({f"cell_{n}": cell for n, cell in enumerate(cells)})
        self._state_is_tuple = state_is_tuple

    @property
    def state_size(self):
        """The states' sizes as a tuple, or their sum."""
        sizes = tuple(cell.state_size for cell in self.multi_rnn_cell.values())
        return sizes if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self):
        """That of the last cell."""
        return list(self.multi_rnn_cell.values())[-1].output_size

    def call(self, inputs, state):
        """One step through all cells."""
        cells = list(self.multi_rnn_cell.values())
        states = state if self._state_is_tuple else state.split([cell.state_size for cell in cells], 1)
        after = []
        for cell, before in zip(cells, states, strict=True):
            inputs, new = cell(inputs, before)
            after.append(new)
        return inputs, tuple(after) if self._state_is_tuple else torch.cat(after, 1)


@rule("tf.contrib.cudnn_rnn.CudnnCompatibleLSTMCell", pure=False, proved_by=_PROVED)
class CudnnCompatibleLSTMCell(BasicLSTMCell):
    """BasicLSTMCell without a forget bias, which takes the weights of a CudnnLSTM in their canonical form.

    An nn.LSTM computes the same, and `tfport.load_weights` carries the canonical form into one too.
    Source: tensorflow/contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py, 1.15.
    """

    def __init__(self, num_units, reuse=None):
        BasicLSTMCell.__init__(self, num_units, forget_bias=0.0, name="cudnn_compatible_lstm_cell")


@rule("tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell", pure=False, proved_by=_PROVED)
class CudnnCompatibleGRUCell(_OfOneState):
    """Gates r, u; the reset stands behind the product, as in nn.GRU: the candidate has two kernels and two biases.

    ``h = u * h + (1 - u) * tanh(x @ K_x + b_x + r * (h @ K_h + b_h))``. The gates' bias starts at one.
    Source: tensorflow/contrib/cudnn_rnn/python/ops/cudnn_rnn_ops.py, 1.15.
    """

    def __init__(self, num_units, reuse=None, kernel_initializer=None):
        _base.Cell.__init__(self, name="cudnn_compatible_gru_cell")
        self._num_units = num_units
        kernel = _fill(kernel_initializer, _base.glorot_uniform)
        bias, starts = {"bias": (num_units,)}, {"kernel": kernel, "bias": _zeros}
        self._add(f"{self.name}/gates", {"kernel": (None, 2 * num_units), "bias": (2 * num_units,)},
                  {"kernel": kernel, "bias": _ones})  # fmt: skip
        for place, rows in (("input_projection", None), ("hidden_projection", num_units)):
            self._add(f"{self.name}/candidate/{place}", {"kernel": (rows, num_units), **bias}, starts)

    def call(self, inputs, state):
        """One step on (N, in) and (N, units)."""
        scope = self._scope
        reset, update = torch.sigmoid(_base.product(scope.gates, inputs, state)).chunk(2, 1)
        candidate = _base.projected(scope.candidate.input_projection, inputs)
        candidate = candidate + reset * _base.projected(scope.candidate.hidden_projection, state)
        output = (1 - update) * torch.tanh(candidate) + update * state
        return output, output
