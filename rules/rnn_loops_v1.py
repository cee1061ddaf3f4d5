"""TensorFlow 1's loops over recurrent cells: dynamic_rnn, static_rnn and both ways at once.

A cell holds its parameters, so these are functions; ``scope`` names variables in TensorFlow and does nothing here.
Past a row's ``sequence_length`` outputs are zero and the state stays what it was. The loop runs in Python, step by
step: an nn.LSTM or nn.GRU, where the cell has such a twin, is faster.
Source of the facts: https://www.tensorflow.org/api_docs/python/tf/compat/v1/nn/dynamic_rnn
"""

from __future__ import annotations

import torch

from tfport.compat import rnn_cell as _base
from tfport.compat.arguments import to_tensor as _to_tensor
from tfport.compat.structure import flatten as _flatten
from tfport.compat.structure import is_nested as _is_nested
from tfport.compat.structure import pack_sequence_as as _pack
from tfport.rule import rule

_PROVED = "tests/compat/test_rnn_cells_v1.py"


def _mapped(function, structure):
    return _pack(structure, [function(leaf) for leaf in _flatten(structure)])


@rule("tf.nn.dynamic_rnn", pure=False, proved_by=_PROVED)
def dynamic_rnn(cell, inputs, sequence_length=None, initial_state=None, dtype=None, parallel_iterations=None,
                swap_memory=False, time_major=False, scope=None):  # fmt: skip
    """A cell over (N, T, ...), or (T, N, ...) with time_major: the outputs in the same order, and the last state.

    The state is zeros of ``dtype`` unless ``initial_state`` is given. Inputs and outputs may be nested.
    """
    _base.check_cell("cell", cell)
    inputs = _mapped(_to_tensor, inputs)
    if any(leaf.ndim < 3 for leaf in _flatten(inputs)):
        raise ValueError(
            f"inputs must have three axes or more, got {[list(i.shape) for i in _flatten(inputs)]}"
        )
    if not time_major:
        inputs = _mapped(lambda leaf: leaf.transpose(0, 1), inputs)
    first, *others = _flatten(inputs)
    if any(other.shape[:2] != first.shape[:2] for other in others):
        raise ValueError("the inputs differ in their numbers of steps or rows")
    count, batch = first.shape[:2]
    lengths = _base.lengths_of(sequence_length, first, batch)
    state = _base.start(cell, initial_state, batch, dtype, first.device)
    steps = [_mapped(lambda leaf, at=at: leaf[at], inputs) for at in range(count)]
    found, state = _base.run(cell, steps, state, lengths)
    if found:
        outputs = _pack(found[0], [torch.stack(leaves) for leaves in zip(*map(_flatten, found), strict=True)])
    else:
        like = _flatten(state)[0]
        outputs = _mapped(lambda n: like.new_zeros((0, batch, n)), cell.output_size)
    if not time_major:
        outputs = _mapped(lambda leaf: leaf.transpose(0, 1), outputs)
    return outputs, state


@rule("tf.nn.bidirectional_dynamic_rnn", pure=False, proved_by=_PROVED)
def bidirectional_dynamic_rnn(cell_fw, cell_bw, inputs, sequence_length=None, initial_state_fw=None,
                              initial_state_bw=None, dtype=None, parallel_iterations=None, swap_memory=False,
                              time_major=False, scope=None):  # fmt: skip
    """`dynamic_rnn` forwards and backwards: ((outputs_fw, outputs_bw), (state_fw, state_bw)), not concatenated.

    Each row is reversed within its ``sequence_length``; what lies past it is neither read nor written.
    """
    _base.check_cell("cell_fw", cell_fw)
    _base.check_cell("cell_bw", cell_bw)

    def reversed_(value):
        value = _to_tensor(value)
        steps = value if time_major else value.transpose(0, 1)
        steps = _base.reversed_steps(steps, _base.lengths_of(sequence_length, steps, steps.shape[1]))
        return steps if time_major else steps.transpose(0, 1)

    forward, state_fw = dynamic_rnn(
        cell_fw, inputs, sequence_length, initial_state_fw, dtype, time_major=time_major
    )
    backward, state_bw = dynamic_rnn(
        cell_bw, _mapped(reversed_, inputs), sequence_length, initial_state_bw, dtype, time_major=time_major
    )
    return (forward, _mapped(reversed_, backward)), (state_fw, state_bw)


@rule("tf.contrib.rnn.stack_bidirectional_dynamic_rnn", pure=False, proved_by=_PROVED)
def stack_bidirectional_dynamic_rnn(cells_fw, cells_bw, inputs, initial_states_fw=None, initial_states_bw=None,
                                    dtype=None, sequence_length=None, parallel_iterations=None, time_major=False,
                                    scope=None, swap_memory=False):  # fmt: skip
    """Several layers of `bidirectional_dynamic_rnn`, each over both outputs of the one below, side by side.

    Returns the last layer's outputs (..., fw + bw), and the states of all layers forwards and backwards.
    """
    for name, cells in (("cells_fw", cells_fw), ("cells_bw", cells_bw)):
        if not isinstance(cells, list) or not cells:
            raise ValueError(f"{name} must be a list of cells, and not empty")
    if len(cells_fw) != len(cells_bw):
        raise ValueError(f"{len(cells_fw)} cells forwards, {len(cells_bw)} backwards")
    starts = []
    for name, states in (("initial_states_fw", initial_states_fw), ("initial_states_bw", initial_states_bw)):
        if states is not None and (not isinstance(states, list) or len(states) != len(cells_fw)):
            raise ValueError(f"{name} must be a list of one state for each cell")
        starts.append([None] * len(cells_fw) if states is None else states)
    after_fw, after_bw = [], []
    for cell_fw, cell_bw, start_fw, start_bw in zip(cells_fw, cells_bw, *starts, strict=True):
        outputs, (state_fw, state_bw) = bidirectional_dynamic_rnn(
            cell_fw, cell_bw, inputs, sequence_length, start_fw, start_bw, dtype, time_major=time_major
        )
        inputs = torch.cat(outputs, 2)
        after_fw.append(state_fw)
        after_bw.append(state_bw)
    return inputs, tuple(after_fw), tuple(after_bw)


@rule("tf.nn.static_rnn", "tf.contrib.rnn.static_rnn", pure=False, proved_by=_PROVED)
def static_rnn(cell, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
    """A cell over a list of (N, ...): the list of outputs, and the last state."""
    _base.check_cell("cell", cell)
    steps = _steps(inputs)
    first = _flatten(steps[0])[0]
    batch = first.shape[0]
    lengths = _base.lengths_of(sequence_length, first, batch)
    return _base.run(cell, steps, _base.start(cell, initial_state, batch, dtype, first.device), lengths)


@rule(
    "tf.nn.static_bidirectional_rnn", "tf.contrib.rnn.static_bidirectional_rnn", pure=False, proved_by=_PROVED
)
def static_bidirectional_rnn(cell_fw, cell_bw, inputs, initial_state_fw=None, initial_state_bw=None, dtype=None,
                             sequence_length=None, scope=None):  # fmt: skip
    """`static_rnn` forwards and backwards: the list of outputs (N, fw + bw), state_fw, state_bw."""
    _base.check_cell("cell_fw", cell_fw)
    _base.check_cell("cell_bw", cell_bw)
    steps = _steps(inputs)
    first = _flatten(steps[0])[0]
    lengths = _base.lengths_of(sequence_length, first, first.shape[0])
    forward, state_fw = static_rnn(cell_fw, steps, initial_state_fw, dtype, sequence_length)
    backward, state_bw = static_rnn(
        cell_bw, _backwards(steps, lengths), initial_state_bw, dtype, sequence_length
    )
    both = zip(_flatten(forward), _flatten(_backwards(backward, lengths)), strict=True)
    return _pack(forward, [torch.cat(pair, 1) for pair in both]), state_fw, state_bw


def _steps(inputs):
    if not _is_nested(inputs):
        raise TypeError("inputs must be a list of the steps")
    if not len(inputs):
        raise ValueError("inputs must not be empty")
    return [_mapped(_to_tensor, step) for step in inputs]


def _backwards(steps, lengths):
    leaves = [torch.stack(leaf) for leaf in zip(*map(_flatten, steps), strict=True)]
    leaves = [_base.reversed_steps(leaf, lengths) for leaf in leaves]
    return [_pack(steps[0], [leaf[at] for leaf in leaves]) for at in range(len(steps))]
