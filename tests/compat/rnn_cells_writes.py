"""Run as a process with TF_USE_LEGACY_KERAS=1: TensorFlow 1's cells, a checkpoint each by name, and what they compute.

``rnn_cells_writes.py FOLDER`` writes FOLDER/<dtype>/<case>/model.ckpt (Saver, V2) and FOLDER/<dtype>/<case>.npz: inputs,
structure and values of the result, gradients by name of the variable, and those of the inputs. The loss is the sum of
all results times weights. FOLDER/errors.json has the class of the error of each wrong call.
"""

import json
import pathlib
import sys

import numpy as np
import tensorflow.compat.v1 as tf

CELLS = tf.nn.rnn_cell
INPUTS, UNITS, ROWS, STEPS = 4, 5, 6, 5


class Pairs(CELLS.RNNCell):
    """A cell of the user's, over pairs of inputs and with pairs of outputs."""

    state_size = INPUTS
    output_size = (INPUTS, INPUTS)

    def call(self, inputs, state):
        one, other = inputs
        state = 0.5 * state + one * other
        return (state, state * one), state


class BlockLSTM(CELLS.RNNCell):
    """One step of TensorFlow's kernel BlockLSTM as CudnnCompatibleLSTMCell of 1.15 sets it."""

    state_size = CELLS.LSTMStateTuple(UNITS, UNITS)
    output_size = UNITS

    def call(self, inputs, state):
        with tf.variable_scope("cudnn_compatible_lstm_cell", reuse=tf.AUTO_REUSE):
            kernel = tf.get_variable("kernel", [int(inputs.shape[1]) + UNITS, 4 * UNITS], inputs.dtype)
            bias = tf.get_variable("bias", [4 * UNITS], inputs.dtype)
        none = tf.zeros([UNITS])
        made = tf.raw_ops.BlockLSTM(
            seq_len_max=1, x=inputs[None], cs_prev=state.c, h_prev=state.h, w=kernel, wci=none, wcf=none, wco=none,
            b=bias, forget_bias=0, cell_clip=-1, use_peephole=False,
        )  # fmt: skip
        return made.h[0], CELLS.LSTMStateTuple(made.cs[0], made.h[0])


class ResetAfter(CELLS.RNNCell):
    """One step of Keras' GRUCell with reset_after, with the variables that CudnnCompatibleGRUCell of 1.15 has."""

    state_size = output_size = UNITS

    def call(self, inputs, state):
        depth, kind = int(inputs.shape[1]), inputs.dtype
        with tf.variable_scope("cudnn_compatible_gru_cell", reuse=tf.AUTO_REUSE):
            gates = tf.get_variable("gates/kernel", [depth + UNITS, 2 * UNITS], kind)
            gates_bias = tf.get_variable("gates/bias", [2 * UNITS], kind)
            below = tf.get_variable("candidate/input_projection/kernel", [depth, UNITS], kind)
            below_bias = tf.get_variable("candidate/input_projection/bias", [UNITS], kind)
            across = tf.get_variable("candidate/hidden_projection/kernel", [UNITS, UNITS], kind)
            across_bias = tf.get_variable("candidate/hidden_projection/bias", [UNITS], kind)
        (reset_x, reset_h), (update_x, update_h) = (
            tf.split(gate, [depth, UNITS]) for gate in tf.split(gates, 2, 1)
        )
        reset_bias, update_bias = tf.split(gates_bias, 2)
        cell = tf.keras.layers.GRUCell(UNITS, reset_after=True, recurrent_activation="sigmoid", dtype=kind)
        cell.built = True
        cell.kernel = tf.concat([update_x, reset_x, below], 1)
        cell.recurrent_kernel = tf.concat([update_h, reset_h, across], 1)
        none = tf.zeros([UNITS], kind)
        cell.bias = tf.stack(
            [tf.concat([update_bias, reset_bias, below_bias], 0), tf.concat([none, none, across_bias], 0)]
        )
        output, _ = cell.call(inputs, [state])
        return output, output


def cells(dtype):
    """Case -> the cell; numbers of units are odd, so that no two sizes are alike by chance."""
    own = {"dtype": dtype}
    block = BlockLSTM if dtype == "float32" else lambda: CELLS.BasicLSTMCell(
        UNITS, forget_bias=0.0, name="cudnn_compatible_lstm_cell", **own)  # fmt: skip
    return {
        "basic_rnn": lambda: CELLS.BasicRNNCell(5, **own),
        "basic_rnn_relu": lambda: CELLS.BasicRNNCell(5, activation=tf.nn.relu, **own),
        "basic_lstm": lambda: CELLS.BasicLSTMCell(7, **own),
        "basic_lstm_forget": lambda: CELLS.BasicLSTMCell(7, forget_bias=0.3, activation="softsign", **own),
        "basic_lstm_named": lambda: CELLS.BasicLSTMCell(5, name="reader", **own),
        "basic_lstm_concat": lambda: CELLS.BasicLSTMCell(5, state_is_tuple=False, **own),
        "lstm": lambda: CELLS.LSTMCell(7, **own),
        "lstm_peepholes": lambda: CELLS.LSTMCell(5, use_peepholes=True, forget_bias=0.5, **own),
        "lstm_projected": lambda: CELLS.LSTMCell(7, num_proj=3, **own),
        "lstm_clipped": lambda: CELLS.LSTMCell(7, num_proj=3, cell_clip=0.4, proj_clip=0.3, **own),
        "lstm_all": lambda: CELLS.LSTMCell(
            7, use_peepholes=True, num_proj=3, cell_clip=0.4, proj_clip=0.3, state_is_tuple=False, **own),
        "gru": lambda: CELLS.GRUCell(7, **own),
        "gru_relu": lambda: CELLS.GRUCell(3, activation=tf.nn.relu, **own),
        "cudnn_lstm": block,
        "cudnn_gru": ResetAfter,
        "multi": lambda: CELLS.MultiRNNCell([
            CELLS.BasicLSTMCell(7, **own), CELLS.GRUCell(5, **own), CELLS.LSTMCell(3, num_proj=9, **own)]),
        "multi_concat": lambda: CELLS.MultiRNNCell(
            [CELLS.GRUCell(5, **own), CELLS.BasicRNNCell(3, **own)], state_is_tuple=False),
        "multi_nested": lambda: CELLS.MultiRNNCell(
            [CELLS.MultiRNNCell([CELLS.GRUCell(5, **own), CELLS.GRUCell(5, **own)]), CELLS.GRUCell(5, **own)]),
        "wrapped": lambda: CELLS.MultiRNNCell([
            CELLS.DeviceWrapper(CELLS.ResidualWrapper(CELLS.GRUCell(4, **own)), "/cpu:0"),
            CELLS.DropoutWrapper(CELLS.BasicLSTMCell(5, **own)),
            CELLS.ResidualWrapper(CELLS.GRUCell(5, **own), lambda i, o: 2 * i - o)]),
    }  # fmt: skip


def stacked(fw, bw, x, **options):
    """What tf.contrib.rnn.stack_bidirectional_dynamic_rnn of 1.15 does."""
    states = []
    with tf.variable_scope("stack_bidirectional_rnn"):
        for n, pair in enumerate(zip(fw, bw)):
            with tf.variable_scope(f"cell_{n}"):
                outputs, after = tf.nn.bidirectional_dynamic_rnn(*pair, x, **options)
            x = tf.concat(outputs, 2)
            states.append(after)
    return (x, *(tuple(way) for way in zip(*states)))


def loops(x, lengths, start, dtype):
    """Case -> a cell, or two, over x (N, T, 4)."""
    steps = tf.unstack(x, axis=1)
    swapped = tf.transpose(x, [1, 0, 2])
    keep = {"dtype": dtype}
    cell, gru, both = CELLS.BasicLSTMCell, CELLS.GRUCell, tf.nn.bidirectional_dynamic_rnn
    pair = CELLS.LSTMStateTuple(start, 0.5 * start)
    return {
        "dynamic": lambda: tf.nn.dynamic_rnn(cell(5, **keep), x, **keep),
        "dynamic_lengths": lambda: tf.nn.dynamic_rnn(cell(5, **keep), x, sequence_length=lengths, **keep),
        "dynamic_major": lambda: tf.nn.dynamic_rnn(
            gru(5, **keep), swapped, sequence_length=lengths, time_major=True, initial_state=start),
        "dynamic_start": lambda: tf.nn.dynamic_rnn(gru(5, **keep), x, initial_state=start),
        "dynamic_pair": lambda: tf.nn.dynamic_rnn(cell(5, **keep), x, lengths, pair),
        "dynamic_short": lambda: tf.nn.dynamic_rnn(cell(5, **keep), x, lengths // 2, **keep),
        "dynamic_empty": lambda: tf.nn.dynamic_rnn(cell(5, **keep), x[:, :0], **keep),
        "dynamic_pairs": lambda: tf.nn.dynamic_rnn(Pairs(), (x, tf.sin(x)), sequence_length=lengths, **keep),
        "static": lambda: tf.nn.static_rnn(cell(5, **keep), steps, **keep),
        "static_lengths": lambda: tf.nn.static_rnn(cell(5, **keep), steps, sequence_length=lengths, **keep),
        "static_start": lambda: tf.nn.static_rnn(gru(5, **keep), steps, start, sequence_length=lengths // 2),
        "bidirectional": lambda: both(cell(5, **keep), gru(3, **keep), x, **keep),
        "bidirectional_lengths": lambda: both(
            cell(5, **keep), cell(3, **keep), x, sequence_length=lengths, **keep),
        "bidirectional_major": lambda: both(
            cell(5, **keep), cell(3, **keep), swapped, sequence_length=lengths, time_major=True, **keep),
        "bidirectional_start": lambda: both(
            cell(5, **keep), gru(5, **keep), x, initial_state_fw=pair, initial_state_bw=start),
        "static_bidirectional": lambda: tf.nn.static_bidirectional_rnn(
            cell(5, **keep), cell(3, **keep), steps, **keep),
        "static_bidirectional_lengths": lambda: tf.nn.static_bidirectional_rnn(
            cell(5, **keep), gru(5, **keep), steps, initial_state_bw=start, sequence_length=lengths, **keep),
        "stacked": lambda: stacked(
            [cell(5, **keep), gru(3, **keep)], [cell(3, **keep), gru(5, **keep)], x, sequence_length=lengths, **keep),
    }  # fmt: skip


def errors():
    """Name of a wrong call -> the class of TensorFlow's error."""
    x, pair = tf.zeros([2, 3, 4]), [CELLS.GRUCell(3), CELLS.GRUCell(3)]
    cell, keep = pair[0], {"dtype": tf.float32}
    calls = {
        "no dtype": lambda: tf.nn.dynamic_rnn(cell, x),
        "static without dtype": lambda: tf.nn.static_rnn(cell, [x[0]]),
        "no cell": lambda: tf.nn.dynamic_rnn(3, x, **keep),
        "no second cell": lambda: tf.nn.bidirectional_dynamic_rnn(cell, None, x, **keep),
        "two axes": lambda: tf.nn.dynamic_rnn(cell, x[0], **keep),
        "lengths of two axes": lambda: tf.nn.dynamic_rnn(cell, x, [[1, 2]], **keep),
        "no list": lambda: tf.nn.static_rnn(cell, x, **keep),
        "empty list": lambda: tf.nn.static_rnn(cell, [], **keep),
        "no list, both ways": lambda: tf.nn.static_bidirectional_rnn(*pair, x, **keep),
        "uneven steps": lambda: tf.nn.dynamic_rnn(cell, (x, x[:, 1:]), **keep),
        "cells in no list": lambda: CELLS.MultiRNNCell(cell),
        "no cells": lambda: CELLS.MultiRNNCell([]),
        "tuples in one row": lambda: CELLS.MultiRNNCell([CELLS.BasicLSTMCell(3)], state_is_tuple=False),
        "probability": lambda: CELLS.DropoutWrapper(cell, output_keep_prob=1.5),
        "wraps no cell": lambda: CELLS.ResidualWrapper("cell"),
        "residual of another width": lambda: CELLS.ResidualWrapper(cell)(x[0], tf.zeros([3, 3])),
        "no state size": lambda: CELLS.RNNCell().state_size,
    }
    found = {}
    for name, call in calls.items():
        with tf.variable_scope(None, "wrong"):
            try:
                call()
            except Exception as error:  # which one is what is asked
                found[name] = type(error).__name__
    return found


def dropped(folder):
    """Moments of a cell under DropoutWrapper, over many equal rows."""
    row = np.random.default_rng(3).standard_normal((1, 3, INPUTS)).astype("float32")
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(np.repeat(row, 8000, 0))
        cell = CELLS.DropoutWrapper(
            CELLS.BasicLSTMCell(UNITS), input_keep_prob=0.8, output_keep_prob=0.6, state_keep_prob=0.7
        )
        outputs, state = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
        variables = tf.global_variables()
        session.run(tf.global_variables_initializer())
        rng = np.random.default_rng(4)
        for v in variables:
            v.load(rng.standard_normal(v.shape.as_list()), session)
        (folder / "dropped").mkdir(parents=True)
        tf.train.Saver(variables).save(
            session, str(folder / "dropped" / "model.ckpt"), write_meta_graph=False
        )
        found = session.run([outputs[:, -1], state.c, state.h])
    told = {f"mean_{n}": v.mean(0) for n, v in enumerate(found)}
    np.savez(folder / "dropped.npz", row=row, **told, **{f"std_{n}": v.std(0) for n, v in enumerate(found)})


def write(folder, case, dtype, build):
    """One case in a graph of its own."""
    rng = np.random.default_rng(sum(map(ord, case)))
    data = {"x": rng.standard_normal((ROWS, STEPS, INPUTS)).astype(dtype)}
    data["start"] = rng.standard_normal((ROWS, UNITS)).astype(dtype)
    data["lengths"] = np.array([5, 0, 3, 1, 4, 2], np.int32)
    with tf.Graph().as_default(), tf.Session() as session:
        given = {"x": tf.constant(data["x"]), "start": tf.constant(data["start"])}
        result = build(given["x"], tf.constant(data["lengths"]), given["start"])
        data["structure"] = str(tf.nest.map_structure(lambda _: "t", result))
        found = tf.nest.flatten(result)
        variables = tf.global_variables()
        weights = [rng.standard_normal(f.shape.as_list()).astype(dtype) for f in found]
        loss = tf.add_n([tf.reduce_sum(f * w) for f, w in zip(found, weights)])
        named = {f"slope_of_{name}": value for name, value in given.items()}
        named.update({f"slope/{v.op.name}": v for v in variables})
        slopes = dict(zip(named, tf.gradients(loss, list(named.values()))))
        session.run(tf.global_variables_initializer())
        for v in variables:
            v.load((0.6 * rng.standard_normal(v.shape.as_list())).astype(dtype), session)
        (folder / case).mkdir(parents=True)
        if variables:
            tf.train.Saver(variables).save(session, str(folder / case / "model.ckpt"), write_meta_graph=False)
        values, slopes = session.run([found, {k: v for k, v in slopes.items() if v is not None}])
    data.update({f"weight_{n}": w for n, w in enumerate(weights)})
    data.update({f"found_{n}": v for n, v in enumerate(values)})
    np.savez(folder / f"{case}.npz", **data, **slopes)


def of_dtype(folder, dtype):
    """All cases of one dtype."""
    for case, make in cells(dtype).items():
        write(folder, case, dtype, lambda x, lengths, start, make=make: tf.nn.dynamic_rnn(
            make(), x, sequence_length=lengths, dtype=dtype))  # fmt: skip
    with tf.Graph().as_default():
        names = list(loops(tf.zeros([2, 3, INPUTS]), tf.zeros([2], tf.int32), tf.zeros([2, UNITS]), dtype))
    for case in names:
        write(folder, case, dtype, lambda *given, case=case: loops(*given, dtype)[case]())


def main(folder):
    tf.disable_eager_execution()
    for dtype in ("float32", "float64"):
        of_dtype(folder / dtype, dtype)
    dropped(folder)
    with tf.Graph().as_default():
        (folder / "errors.json").write_text(json.dumps(errors()))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
