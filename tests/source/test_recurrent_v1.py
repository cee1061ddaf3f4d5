"""TensorFlow 1's recurrent programs: cells and loops become compat calls, scopes stay marks, a cell made anew is told."""

from __future__ import annotations

import re

import pytest
import torch

import tfport
from tests.audit import audit

HEAD = "import tensorflow as tf\n\n"
MODEL = '''class Tagger:
    """Both ways over a deep cell."""

    def __init__(self, units):
        self.fw = tf.nn.rnn_cell.MultiRNNCell([self.make(units) for _ in range(2)])
        self.bw = tf.contrib.rnn.GRUCell(units, activation=tf.nn.tanh)

    @staticmethod
    def make(units):
        cell = tf.contrib.rnn.BasicLSTMCell(units, forget_bias=0.0, state_is_tuple=True)
        return tf.nn.rnn_cell.DropoutWrapper(cell, output_keep_prob=1.0)

    def __call__(self, x, lengths):
        outputs, (state, last) = tf.nn.bidirectional_dynamic_rnn(
            self.fw, self.bw, x, sequence_length=lengths, dtype=tf.float32)
        return tf.concat(outputs, 2), state[-1].h, last
'''
CALLS = {
    "tf.nn.rnn_cell.LSTMStateTuple(c, h)": "compat.nn.rnn_cell.LSTMStateTuple(c, h)",
    "tf.contrib.rnn.LSTMStateTuple(c, h)": "compat.nn.rnn_cell.LSTMStateTuple(c, h)",
    "tf.nn.rnn_cell.BasicRNNCell(4)": "compat.nn.rnn_cell.BasicRNNCell(4)",
    "tf.compat.v1.nn.rnn_cell.LSTMCell(4, use_peepholes=True)": "compat.nn.rnn_cell.LSTMCell(4, use_peepholes=True)",
    "tf.contrib.rnn.ResidualWrapper(c)": "compat.nn.rnn_cell.ResidualWrapper(c)",
    "tf.nn.rnn_cell.DeviceWrapper(c, '/gpu:0')": "compat.nn.rnn_cell.DeviceWrapper(c, '/gpu:0')",
    "tf.contrib.cudnn_rnn.CudnnCompatibleLSTMCell(4)": "compat.contrib.cudnn_rnn.CudnnCompatibleLSTMCell(4)",
    "tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell(4)": "compat.contrib.cudnn_rnn.CudnnCompatibleGRUCell(4)",
    "tf.nn.dynamic_rnn(c, h, dtype=tf.float32)": "compat.nn.dynamic_rnn(c, h, dtype=torch.float32)",
    "tf.compat.v1.nn.dynamic_rnn(c, h, n, time_major=True)": "compat.nn.dynamic_rnn(c, h, n, time_major=True)",
    "tf.nn.static_rnn(c, h, dtype='float32')": "compat.nn.static_rnn(c, h, dtype='float32')",
    "tf.contrib.rnn.static_rnn(c, h, s)": "compat.nn.static_rnn(c, h, s)",
    "tf.contrib.rnn.static_bidirectional_rnn(c, b, h)": "compat.nn.static_bidirectional_rnn(c, b, h)",
    "tf.contrib.rnn.stack_bidirectional_dynamic_rnn([c], [b], h)":
        "compat.contrib.rnn.stack_bidirectional_dynamic_rnn([c], [b], h)",
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_a_call_becomes_a_compat_call(call):
    text = f"{HEAD}def f(c, b, h, n, s):\n    return {call}\n"
    done = tfport.convert_source(text)
    assert f"    return {CALLS[call]}\n" in done.code and not done.marks
    assert not audit(text, done.code) and tfport.convert_source(done.code).code == done.code


def test_a_class_runs_as_converted():
    text = HEAD + MODEL
    done = tfport.convert_source(text)
    assert not done.findings and not audit(text, done.code)
    names: dict = {}
    exec(done.code, names)
    model, x, lengths = names["Tagger"](3), torch.randn(2, 5, 4), torch.tensor([5, 2])
    outputs, h, last = model(x, lengths)
    assert outputs.shape == (2, 5, 6) and not outputs[1, 2:].any()
    assert torch.equal(h, outputs[[0, 1], lengths - 1, :3]) and torch.equal(last, outputs[:, 0, 3:])
    again, _, _ = model(x, lengths)
    assert torch.equal(again, outputs)


@pytest.mark.parametrize(
    "name",
    ["tf.nn.raw_rnn(c, f)", "tf.contrib.rnn.LSTMBlockFusedCell(4)", "tf.contrib.cudnn_rnn.CudnnLSTM(1, 4)",
     "tf.contrib.rnn.LayerNormBasicLSTMCell(4)", "tf.contrib.rnn.AttentionCellWrapper(c, 3)", "tf.variable_scope('rnn')",
     "tf.contrib.seq2seq.dynamic_decode(c)", "tf.nn.static_state_saving_rnn(c, f, f, 's')"],
)  # fmt: skip
def test_what_has_no_rule_is_marked(name):
    done = tfport.convert_source(f"{HEAD}def f(c, f):\n    return {name}\n")
    assert [m.code for m in done.marks] == ["TFP101"] and f"    return {name}\n" in done.code


def test_a_wrong_argument_is_marked():
    done = tfport.convert_source(f"{HEAD}y = tf.nn.dynamic_rnn(c, x, lengths=n)\n")
    assert [m.code for m in done.marks] == ["TFP104"]


RUN = "tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)"
MADE = "cell = tf.nn.rnn_cell.GRUCell(4)"
PLACES = {
    "made and run": (f"def f(x):\n    {MADE}\n    return {RUN}\n", True),
    "made in the call": (f"def f(x):\n    return {RUN.replace('cell', 'tf.nn.rnn_cell.GRUCell(4)')}\n", True),
    "made by a helper": (f"def f(x):\n    cell = helper()\n    return {RUN}\n", True),
    "made in a method": (f"class A:\n    def call(self, x):\n        {MADE}\n        return {RUN}\n", True),
    "one of two": (
        f"def f(x, other):\n    {MADE}\n    return tf.nn.bidirectional_dynamic_rnn(other, cell, x, dtype=tf.float32)\n", True),
    "an argument": (f"def f(x, cell):\n    return {RUN}\n", False),
    "an argument, wrapped": (
        f"def f(x, cell):\n    cell = tf.nn.rnn_cell.ResidualWrapper(cell)\n    return {RUN}\n", False),
    "an attribute": (f"def f(self, x):\n    return {RUN.replace('cell', 'self.cell')}\n", False),
    "outside": (f"{MADE}\n\n\ndef f(x):\n    return {RUN}\n", False),
    "no function": (f"{MADE}\ny = {RUN}\n", False),
    "once": (f"class A:\n    def __init__(self, x):\n        {MADE}\n        self.y = {RUN}\n", False),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_cell_that_is_made_where_it_is_run_is_told(place):
    """Its weights would be new at every call: TFP204, a note at the loop; the code is converted."""
    text, told = PLACES[place]
    done = tfport.convert_source(HEAD + text)
    assert [f.code for f in done.findings] == ["TFP204"] * told
    assert not done.marks and re.search(r"compat\.nn\.(bidirectional_)?dynamic_rnn", done.code)


def test_the_command_says_it(tfport, tmp_path):
    (tmp_path / "m.py").write_text(HEAD + PLACES["made and run"][0])
    done = tfport("convert", tmp_path / "m.py")
    assert done.returncode == 0 and "TFP204 tf.nn.dynamic_rnn: f makes the cell that it runs" in done.stdout
