"""What TensorFlow 1 wraps recurrent cells in: dropout, a residual connection, a device.

A wrapper adds nothing to the names of the parameters.
Source of the facts: https://www.tensorflow.org/api_docs/python/tf/compat/v1/nn/rnn_cell
"""

from __future__ import annotations

import torch

from tfport.compat import rnn_cell as _base
from tfport.compat.seeds import stream as _stream
from tfport.compat.structure import flatten as _flatten
from tfport.compat.structure import map_structure as _map
from tfport.compat.structure import pack_sequence_as as _pack
from tfport.rule import rule

# A module with a __path__: mypy looks for its files elsewhere.
from tfport.rules import rnn_cells_v1 as _cells  # type: ignore[attr-defined]

_PROVED = "tests/compat/test_rnn_cells_v1.py"


@rule("tf.nn.rnn_cell.DropoutWrapper", "tf.contrib.rnn.DropoutWrapper", pure=False, proved_by=_PROVED)
class DropoutWrapper(_base.Wrapper, _cells.RNNCell):
    """Dropout on a cell's inputs, outputs and new states, but for c of an LSTM; kept are the given parts.

    As in TensorFlow 1 it drops whenever a probability is below one, in training and out of it.
    """

    def __init__(self, cell, input_keep_prob=1.0, output_keep_prob=1.0, state_keep_prob=1.0,
                 variational_recurrent=False, input_size=None, dtype=None, seed=None,
                 dropout_state_filter_visitor=None):  # fmt: skip
        _base.Wrapper.__init__(self, cell, dtype)
        if variational_recurrent or dropout_state_filter_visitor is not None:
            raise NotImplementedError(
                "DropoutWrapper: variational_recurrent and dropout_state_filter_visitor"
            )
        keep = {"input": input_keep_prob, "state": state_keep_prob, "output": output_keep_prob}
        for name, value in keep.items():
            if not 0 <= float(value) <= 1:
                raise ValueError(f"{name}_keep_prob must be between 0 and 1, got {float(value)}")
        self._keep, self._seed = keep, seed

    def call(self, inputs, state):
        """One step."""
        output, after = self.wrapped_cell(self._dropped("input", inputs), state)
        if float(self._keep["state"]) < 1:
            after = self._dropped_state(after)
        return self._dropped("output", output), after

    def _dropped(self, which, value):
        keep = float(self._keep[which])
        if keep >= 1:
            return value
        seed = None if self._seed is None else 3 * self._seed + list(self._keep).index(which)
        leaves = []
        for leaf in _flatten(value):
            random = torch.rand(leaf.shape, generator=_stream(seed, leaf.device), device=leaf.device)
            leaves.append(torch.where(random < keep, leaf / keep, torch.zeros_like(leaf)))
        return _pack(value, leaves)

    def _dropped_state(self, state):
        if isinstance(state, _cells.LSTMStateTuple):
            return _cells.LSTMStateTuple(state.c, self._dropped("state", state.h))
        if isinstance(state, tuple):
            return tuple(self._dropped_state(item) for item in state)
        return self._dropped("state", state)


@rule("tf.nn.rnn_cell.ResidualWrapper", "tf.contrib.rnn.ResidualWrapper", pure=False, proved_by=_PROVED)
class ResidualWrapper(_base.Wrapper, _cells.RNNCell):
    """The cell's output plus its input, which must have the same shape; or ``residual_fn(inputs, outputs)``."""

    def __init__(self, cell, residual_fn=None):
        _base.Wrapper.__init__(self, cell)
        self._residual_fn = residual_fn

    def call(self, inputs, state):
        """One step."""
        output, after = self.wrapped_cell(inputs, state)
        return (self._residual_fn or _sum)(inputs, output), after


def _sum(inputs, outputs):
    return _map(_added, inputs, outputs)


def _added(one, other):
    if one.shape != other.shape:
        raise ValueError(f"ResidualWrapper: the input is {list(one.shape)}, the output {list(other.shape)}")
    return one + other


@rule("tf.nn.rnn_cell.DeviceWrapper", "tf.contrib.rnn.DeviceWrapper", pure=False, proved_by=_PROVED)
class DeviceWrapper(_base.Wrapper, _cells.RNNCell):
    """The cell itself: parameters and values are where ``.to(device)`` put them, whatever ``device`` says."""

    def __init__(self, cell, device):
        _base.Wrapper.__init__(self, cell)
        self._device = device

    def call(self, inputs, state):
        """One step."""
        return self.wrapped_cell(inputs, state)
