"""TensorFlow 1's cells and loops: results, states, gradients and errors against TensorFlow, from its checkpoints."""

import copy
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from tfport import compat
from tfport.compat.structure import flatten, map_structure
from tfport.weights import load_weights, read_checkpoint

CELLS = compat.nn.rnn_cell
CUDNN = compat.contrib.cudnn_rnn
BOUNDS = {"float32": 1e-6, "float64": 1e-12}
ROWS, STEPS, INPUTS, UNITS = 6, 5, 4, 5


class Pairs(CELLS.RNNCell):
    """A cell of the user's, over pairs of inputs and with pairs of outputs."""

    state_size = INPUTS
    output_size = (INPUTS, INPUTS)

    def call(self, inputs, state):
        one, other = inputs
        state = 0.5 * state + one * other
        return (state, state * one), state


def cells(dtype):
    own = {"dtype": dtype}
    lstm, basic, gru = CELLS.LSTMCell, CELLS.BasicLSTMCell, CELLS.GRUCell
    return {
        "basic_rnn": lambda: CELLS.BasicRNNCell(5, **own),
        "basic_rnn_relu": lambda: CELLS.BasicRNNCell(5, activation=compat.nn.relu, **own),
        "basic_lstm": lambda: basic(7, **own),
        "basic_lstm_forget": lambda: basic(7, forget_bias=0.3, activation="softsign", **own),
        "basic_lstm_named": lambda: basic(5, name="reader", **own),
        "basic_lstm_concat": lambda: basic(5, state_is_tuple=False, **own),
        "lstm": lambda: lstm(7, **own),
        "lstm_peepholes": lambda: lstm(5, use_peepholes=True, forget_bias=0.5, **own),
        "lstm_projected": lambda: lstm(7, num_proj=3, **own),
        "lstm_clipped": lambda: lstm(7, num_proj=3, cell_clip=0.4, proj_clip=0.3, **own),
        "lstm_all": lambda: lstm(
            7, use_peepholes=True, num_proj=3, cell_clip=0.4, proj_clip=0.3, state_is_tuple=False, **own
        ),
        "gru": lambda: gru(7, **own),
        "gru_relu": lambda: gru(3, activation=compat.nn.relu, **own),
        "cudnn_lstm": lambda: CUDNN.CudnnCompatibleLSTMCell(UNITS).to(dtype),
        "cudnn_gru": lambda: CUDNN.CudnnCompatibleGRUCell(UNITS).to(dtype),
        "multi": lambda: CELLS.MultiRNNCell([basic(7, **own), gru(5, **own), lstm(3, num_proj=9, **own)]),
        "multi_concat": lambda: CELLS.MultiRNNCell(
            [gru(5, **own), CELLS.BasicRNNCell(3, **own)], state_is_tuple=False
        ),
        "multi_nested": lambda: CELLS.MultiRNNCell(
            [CELLS.MultiRNNCell([gru(5, **own), gru(5, **own)]), gru(5, **own)]
        ),
        "wrapped": lambda: CELLS.MultiRNNCell([
            CELLS.DeviceWrapper(CELLS.ResidualWrapper(gru(4, **own)), "/cpu:0"),
            CELLS.DropoutWrapper(basic(5, **own)),
            CELLS.ResidualWrapper(gru(5, **own), lambda i, o: 2 * i - o)]),
    }  # fmt: skip


def both(make):
    """Cells for both ways under the names of TensorFlow's scopes."""
    return nn.ModuleDict(dict(zip(("fw", "bw"), make, strict=True)))


def loops(dtype):
    """Case -> the cells, and how they are run over x, lengths, start."""
    own = {"dtype": dtype}
    rnn, static, two_ways = compat.nn.dynamic_rnn, compat.nn.static_rnn, compat.nn.bidirectional_dynamic_rnn
    static_two_ways = compat.nn.static_bidirectional_rnn

    def lstm(n=5):
        return CELLS.BasicLSTMCell(n, **own)

    def gru(n=5):
        return CELLS.GRUCell(n, **own)

    def swapped(x):
        return x.transpose(0, 1)

    def pair(start):
        return CELLS.LSTMStateTuple(start, 0.5 * start)

    def stack():
        layers = both((lstm(), lstm(3))), both((gru(3), gru()))
        return nn.ModuleDict(
            {f"cell_{n}": nn.ModuleDict({"bidirectional_rnn": c}) for n, c in enumerate(layers)}
        )

    return {
        "dynamic": (lstm, lambda c, x, lengths, s: rnn(c, x, **own)),
        "dynamic_lengths": (lstm, lambda c, x, lengths, s: rnn(c, x, sequence_length=lengths, **own)),
        "dynamic_major": (gru, lambda c, x, lengths, s: rnn(
            c, swapped(x), sequence_length=lengths, time_major=True, initial_state=s)),
        "dynamic_start": (gru, lambda c, x, lengths, s: rnn(c, x, initial_state=s)),
        "dynamic_pair": (lstm, lambda c, x, lengths, s: rnn(c, x, lengths, pair(s))),
        "dynamic_short": (lstm, lambda c, x, lengths, s: rnn(c, x, lengths // 2, **own)),
        "dynamic_empty": (lstm, lambda c, x, lengths, s: rnn(c, x[:, :0], **own)),
        "dynamic_pairs": (Pairs, lambda c, x, lengths, s: rnn(c, (x, torch.sin(x)), sequence_length=lengths, **own)),
        "static": (lstm, lambda c, x, lengths, s: static(c, x.unbind(1), **own)),
        "static_lengths": (lstm, lambda c, x, lengths, s: static(c, x.unbind(1), sequence_length=lengths, **own)),
        "static_start": (gru, lambda c, x, lengths, s: static(c, x.unbind(1), s, sequence_length=lengths // 2)),
        "bidirectional": (lambda: both((lstm(), gru(3))), lambda c, x, lengths, s: two_ways(c.fw, c.bw, x, **own)),
        "bidirectional_lengths": (lambda: both((lstm(), lstm(3))), lambda c, x, lengths, s: two_ways(
            c.fw, c.bw, x, sequence_length=lengths, **own)),
        "bidirectional_major": (lambda: both((lstm(), lstm(3))), lambda c, x, lengths, s: two_ways(
            c.fw, c.bw, swapped(x), sequence_length=lengths, time_major=True, **own)),
        "bidirectional_start": (lambda: both((lstm(), gru())), lambda c, x, lengths, s: two_ways(
            c.fw, c.bw, x, initial_state_fw=pair(s), initial_state_bw=s)),
        "static_bidirectional": (lambda: both((lstm(), lstm(3))), lambda c, x, lengths, s: static_two_ways(
            c.fw, c.bw, x.unbind(1), **own)),
        "static_bidirectional_lengths": (lambda: both((lstm(), gru())), lambda c, x, lengths, s: static_two_ways(
            c.fw, c.bw, x.unbind(1), initial_state_bw=s, sequence_length=lengths, **own)),
        "stacked": (stack, lambda c, x, lengths, s: compat.contrib.rnn.stack_bidirectional_dynamic_rnn(
            *([layer.bidirectional_rnn[way] for layer in c.values()] for way in ("fw", "bw")), x,
            sequence_length=lengths, **own)),
    }  # fmt: skip


def cases(dtype):
    run = {n: (make, lambda c, x, lengths, s: compat.nn.dynamic_rnn(
        c, x, sequence_length=lengths, dtype=x.dtype)) for n, make in cells(dtype).items()}  # fmt: skip
    return run | loops(dtype)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    pytest.importorskip("tensorflow", reason="TensorFlow computes the reference")
    pytest.importorskip("tf_keras", reason="TensorFlow 1's cells are in Keras 2")
    folder = tmp_path_factory.mktemp("cells")
    script = pathlib.Path(__file__).with_name("rnn_cells_writes.py")
    env = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, str(script), str(folder)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def close(ours, theirs, bound):
    assert ours.shape == theirs.shape and str(ours.dtype).endswith(theirs.dtype.name)
    scale = max(1.0, float(np.abs(theirs).max(initial=0.0)))
    assert np.abs(ours.detach().numpy() - theirs).max(initial=0.0) <= bound * scale


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("case", cases(torch.float32))
def test_a_cell_computes_what_tensorflow_does(written, case, dtype):
    """From the checkpoint: structure, values and dtypes of outputs and states, gradients of inputs and all variables."""
    told, kind, bound = np.load(written / dtype / f"{case}.npz"), getattr(torch, dtype), BOUNDS[dtype]
    make, run = cases(kind)[case]
    cell, checkpoint, sources = make(), written / dtype / case / "model.ckpt", {}
    if pathlib.Path(f"{checkpoint}.index").exists():
        report = load_weights(cell, checkpoint)
        sources = {row.target: row.source for row in report.loaded}
        assert sorted(sources.values()) == sorted(read_checkpoint(checkpoint))
        assert not report.missing and not report.left_over
    parameters = dict(cell.named_parameters())
    assert sources.keys() == parameters.keys()
    x, start = (torch.tensor(told[name], requires_grad=True) for name in ("x", "start"))
    result = run(cell, x, torch.tensor(told["lengths"]), start)
    assert str(map_structure(lambda _: "t", result)) == str(told["structure"])
    found = flatten(result)
    for n, value in enumerate(found):
        close(value, told[f"found_{n}"], bound)
    loss = sum((v * torch.tensor(told[f"weight_{n}"])).sum() for n, v in enumerate(found))
    named = {"slope_of_x": x, "slope_of_start": start} | {
        f"slope/{s}": parameters[t] for t, s in sources.items()
    }
    given = loss.requires_grad and torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    for name, slope in zip(named, given or [None] * len(named), strict=True):
        if name in told:
            close(torch.zeros_like(named[name]) if slope is None else slope, told[name], bound)
        else:
            assert slope is None or not slope.any(), name


def wrong_calls():
    x, keep = torch.zeros(2, 3, 4), {"dtype": torch.float32}
    pair = [CELLS.GRUCell(3), CELLS.GRUCell(3)]
    cell = pair[0]
    return {
        "no dtype": lambda: compat.nn.dynamic_rnn(cell, x),
        "static without dtype": lambda: compat.nn.static_rnn(cell, [x[0]]),
        "no cell": lambda: compat.nn.dynamic_rnn(3, x, **keep),
        "no second cell": lambda: compat.nn.bidirectional_dynamic_rnn(cell, None, x, **keep),
        "two axes": lambda: compat.nn.dynamic_rnn(cell, x[0], **keep),
        "lengths of two axes": lambda: compat.nn.dynamic_rnn(cell, x, [[1, 2]], **keep),
        "no list": lambda: compat.nn.static_rnn(cell, x, **keep),
        "empty list": lambda: compat.nn.static_rnn(cell, [], **keep),
        "no list, both ways": lambda: compat.nn.static_bidirectional_rnn(*pair, x, **keep),
        "uneven steps": lambda: compat.nn.dynamic_rnn(cell, (x, x[:, 1:]), **keep),
        "cells in no list": lambda: CELLS.MultiRNNCell(cell),
        "no cells": lambda: CELLS.MultiRNNCell([]),
        "tuples in one row": lambda: CELLS.MultiRNNCell([CELLS.BasicLSTMCell(3)], state_is_tuple=False),
        "probability": lambda: CELLS.DropoutWrapper(cell, output_keep_prob=1.5),
        "wraps no cell": lambda: CELLS.ResidualWrapper("cell"),
        "residual of another width": lambda: CELLS.ResidualWrapper(cell)(x[0], torch.zeros(3, 3)),
        "no state size": lambda: CELLS.RNNCell().state_size,
    }


def test_wrong_calls_raise_what_tensorflow_raises(written):
    told, calls = json.loads((written / "errors.json").read_text()), wrong_calls()
    assert told.keys() == calls.keys()
    for name, call in calls.items():
        with pytest.raises(Exception) as caught:
            call()
        assert type(caught.value).__name__ == told[name], name


def test_dropout_has_tensorflows_moments(written):
    """DropoutWrapper on inputs, outputs and h, not on c: means and deviations over many equal rows, also in eval mode."""
    told = np.load(written / "dropped.npz")
    cell = CELLS.BasicLSTMCell(UNITS)
    load_weights(cell, written / "dropped" / "model.ckpt")
    cell = CELLS.DropoutWrapper(cell, input_keep_prob=0.8, output_keep_prob=0.6, state_keep_prob=0.7).eval()
    rows = torch.tensor(told["row"]).repeat(8000, 1, 1)
    outputs, state = compat.nn.dynamic_rnn(cell, rows, dtype=torch.float32)
    for n, found in enumerate((outputs[:, -1], state.c, state.h)):
        found, deviation = found.detach().numpy(), told[f"std_{n}"]
        assert np.abs(found.mean(0) - told[f"mean_{n}"]).max() < 6 * deviation.max() / 8000**0.5
        assert np.abs(found.std(0) / deviation - 1).max() < 0.1
    assert not state.c.eq(0).any() and 0.25 < state.h.eq(0).float().mean() < 0.35


def test_what_dropout_does_not_do_says_so():
    cell = CELLS.BasicRNNCell(UNITS)
    for options in ({"variational_recurrent": True}, {"dropout_state_filter_visitor": bool}):
        with pytest.raises(NotImplementedError, match="DropoutWrapper"):
            CELLS.DropoutWrapper(cell, **options)


def test_lengths_beyond_the_steps_cannot_be_reversed():
    x, pair = torch.zeros(2, 3, 4), (CELLS.GRUCell(3), CELLS.GRUCell(3))
    with pytest.raises(ValueError, match="between 0 and 3"):
        compat.nn.bidirectional_dynamic_rnn(*pair, x, sequence_length=[4, 1], dtype=torch.float32)
    with pytest.raises(ValueError, match="the batch is 2"):
        compat.nn.dynamic_rnn(pair[0], x, sequence_length=[1, 2, 3], dtype=torch.float32)


def test_a_cell_copies_saves_and_moves_like_any_module(tmp_path):
    """Under wrappers too: names are TensorFlow's, one parameter is one, a state_dict fills a cell that never ran."""
    x = torch.randn(2, 3, INPUTS, dtype=torch.float64)

    def build():
        return CELLS.MultiRNNCell([CELLS.DropoutWrapper(CELLS.BasicLSTMCell(3)), CELLS.GRUCell(UNITS)])

    cell = build().double()
    expected, _ = compat.nn.dynamic_rnn(cell, x, dtype=torch.float64)
    assert list(cell.state_dict()) == [
        "multi_rnn_cell.cell_0.basic_lstm_cell.kernel", "multi_rnn_cell.cell_0.basic_lstm_cell.bias",
        "multi_rnn_cell.cell_1.gru_cell.gates.kernel", "multi_rnn_cell.cell_1.gru_cell.gates.bias",
        "multi_rnn_cell.cell_1.gru_cell.candidate.kernel", "multi_rnn_cell.cell_1.gru_cell.candidate.bias",
    ]  # fmt: skip
    torch.save(cell.state_dict(), tmp_path / "cell.pt")
    other = build()
    other.load_state_dict(torch.load(tmp_path / "cell.pt"))
    for twin in (other, copy.deepcopy(cell)):
        assert torch.equal(compat.nn.dynamic_rnn(twin, x, dtype=torch.float64)[0], expected)
    cell.float()
    assert compat.nn.dynamic_rnn(cell, x.float(), dtype=torch.float32)[0].dtype is torch.float32
    assert len(list(cell.parameters())) == 6


def test_loops_compile_without_a_break_and_export():
    """Lengths stay data: no step depends on their values."""
    cell = CELLS.MultiRNNCell(
        [CELLS.LSTMCell(5, use_peepholes=True, num_proj=3, cell_clip=1.0), CELLS.GRUCell(4)]
    )
    pair = both((cell, CELLS.ResidualWrapper(CELLS.BasicLSTMCell(2))))

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = pair

        def forward(self, x, lengths):
            run = compat.nn.bidirectional_dynamic_rnn
            return run(self.pair.fw, self.pair.bw, x, sequence_length=lengths, dtype=torch.float32)

    module, x = Both(), torch.randn(3, 4, 2)
    module(x, torch.tensor([4, 4, 4]))  # the first call makes the parameters
    exported = torch.export.export(module, (x, torch.tensor([4, 0, 2]))).module()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for lengths in (torch.tensor([4, 0, 2]), torch.tensor([1, 3, 3])):
        expected = flatten(module(x, lengths))
        for twin in (exported, compiled):
            for ours, theirs in zip(flatten(twin(x, lengths)), expected, strict=True):
                assert torch.allclose(ours, theirs, atol=1e-6)


class Leaky(CELLS.RNNCell):
    """As programs of 2016 write one: no ``super().__init__()``, the cell inside set before, ``__call__`` with a scope."""

    def __init__(self, units):
        self._units = units
        self._inner = CELLS.GRUCell(units)
        self.rate = nn.Parameter(torch.full((units,), 0.25))

    state_size = output_size = property(lambda self: self._units)

    def __call__(self, inputs, state, scope=None):
        new, _ = self._inner(inputs, state)
        new = self.rate * new + (1 - self.rate) * state
        return new, new


def test_a_cell_of_the_users_needs_no_call_of_super(tmp_path):
    cell = CELLS.ResidualWrapper(Leaky(INPUTS))
    x = torch.randn(2, 3, INPUTS)
    outputs, state = compat.nn.dynamic_rnn(cell, x, dtype=torch.float32)
    assert torch.allclose(outputs[:, -1], state + x[:, -1])
    assert sorted(n for n, _ in cell.named_parameters())[-1] == "rate" and len(list(cell.parameters())) == 5
    assert torch.equal(compat.nn.dynamic_rnn(copy.deepcopy(cell), x, dtype=torch.float32)[0], outputs)
    torch.save(cell, tmp_path / "cell.pt")
    again = torch.load(tmp_path / "cell.pt", weights_only=False)
    assert torch.equal(compat.nn.dynamic_rnn(again, x, dtype=torch.float32)[0], outputs)


def test_states_are_where_the_inputs_are():
    """A cell made on another device, and the zeros that it starts from."""
    with torch.device("meta"):
        cells = CELLS.BasicLSTMCell(3), CELLS.DropoutWrapper(CELLS.GRUCell(3), output_keep_prob=0.5)
    x = torch.zeros(2, 3, INPUTS, device="meta")
    for cell in cells:
        outputs, state = compat.nn.dynamic_rnn(cell, x, dtype=torch.float32)
        assert {leaf.device.type for leaf in (outputs, *flatten(state), *cell.parameters())} == {"meta"}


class Counting(CELLS.RNNCell):
    """A GRU whose state also counts its steps."""

    def __init__(self):
        super().__init__()
        self.gru = CELLS.GRUCell(3)

    state_size = property(lambda self: (3, torch.Size([])))
    output_size = property(lambda self: 3)

    def call(self, inputs, state):
        h, _ = self.gru(inputs, state[0])
        return h, (h, state[1] + 1)


@pytest.mark.parametrize(("lengths", "steps"), [([3, 0, 2], 3), ([0, 0, 0], 1), ([5, 1, 1], 5)])
@pytest.mark.parametrize("static", [False, True])
def test_the_cell_does_not_run_past_the_longest_row(lengths, steps, static):
    """TensorFlow 2.21 counts max(1, longest) steps, and its gradients see nothing of the padding behind."""
    x = torch.randn(3, 5, INPUTS)
    x[:, steps:] = torch.nan
    cell, start = Counting(), (torch.zeros(3, 3), torch.tensor(0.0))
    if static:
        outputs, (_, count) = compat.nn.static_rnn(cell, list(x.unbind(1)), start, sequence_length=lengths)
        outputs = torch.stack(outputs, 1)
    else:
        outputs, (_, count) = compat.nn.dynamic_rnn(cell, x, lengths, start)
    assert count == steps and outputs.shape == (3, 5, 3) and not outputs[:, steps:].any()
    outputs.sum().backward()
    assert all(p.grad.isfinite().all() for p in cell.parameters())
