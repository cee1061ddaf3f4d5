"""Run as a process with TF_USE_LEGACY_KERAS=1: checkpoints of TensorFlow 1 programs in both formats, and what they compute.

``tf1_writes.py FOLDER`` writes FOLDER/<case>/v1 and v2 (tf.train.Saver's formats), and FOLDER/<case>.npz with the input
``x``, the results ``found_0``, ... and nothing else. The cuDNN cases have the names under which CudnnOpaqueParamsSaveable
of 1.15 saves a layer, over cells that compute the same on a CPU.
"""

import os
import pathlib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "compat"))

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim
from rnn_cells_writes import CELLS, UNITS, ResetAfter, stacked
from tf_keras.src import legacy_tf_layers
from tf_keras.src.legacy_tf_layers import normalization

# slim.batch_norm looks for them where tf_keras 2.16 and later do not have them any more
sys.modules["tf_keras.legacy_tf_layers"] = legacy_tf_layers
sys.modules["tf_keras.legacy_tf_layers.normalization"] = normalization
SEQUENCE, IMAGE = (3, 6, 4), (2, 8, 8, 3)


def compatible(units=UNITS):
    return CELLS.BasicLSTMCell(units, forget_bias=0.0, name="cudnn_compatible_lstm_cell")


def cells(x):
    """A deep encoder as programs of 2017 write it."""
    deep = CELLS.MultiRNNCell([
        CELLS.DropoutWrapper(CELLS.LSTMCell(7, use_peepholes=True, num_proj=5)),
        CELLS.ResidualWrapper(CELLS.GRUCell(5)), CELLS.BasicRNNCell(3)])  # fmt: skip
    with tf.variable_scope("encoder"):
        outputs, _ = tf.nn.dynamic_rnn(deep, x, dtype=tf.float32)
        both, _ = tf.nn.bidirectional_dynamic_rnn(
            CELLS.BasicLSTMCell(5), CELLS.BasicLSTMCell(5), outputs, dtype=tf.float32
        )
    return [tf.concat(both, 2)], {}


def forgetful(x):
    """One BasicLSTMCell each way, with its forget bias of one."""
    pair = [CELLS.BasicLSTMCell(UNITS) for _ in range(2)]
    outputs, _ = tf.nn.bidirectional_dynamic_rnn(*pair, x, dtype=tf.float32)
    return [tf.concat(outputs, 2)], {}


def cudnn_lstm(x):
    with tf.variable_scope("reader/cudnn_lstm"):
        fw, bw = ([compatible(), compatible()] for _ in range(2))
        found, _, _ = stacked(fw, bw, x, dtype=tf.float32)
    with tf.variable_scope("reader/dense"):
        kernel, bias = tf.get_variable("kernel", [2 * UNITS, 3]), tf.get_variable("bias", [3])
    return [found @ kernel + bias], {"reader/cudnn_lstm/opaque_kernel": tf.get_variable("buffer", [999])}


def cudnn_gru(x):
    with tf.variable_scope("cudnn_gru"):
        cell = CELLS.MultiRNNCell([ResetAfter(), ResetAfter()])
        outputs, state = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
    return [outputs, *state], {}


def cudnn_rnn(x):
    with tf.variable_scope("cudnn_rnn_relu"):
        cell = CELLS.MultiRNNCell([CELLS.BasicRNNCell(UNITS, activation=tf.nn.relu)])
        return [tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)[0]], {}


def layers(x):
    """tf.layers with the names it counts itself."""
    x = tf.layers.conv2d(x, 6, 3, padding="same")
    x = tf.nn.relu(tf.layers.batch_normalization(x))
    x = tf.layers.separable_conv2d(x, 5, 3, padding="same", depth_multiplier=2)
    x = tf.nn.relu(tf.layers.batch_normalization(x))
    x = tf.layers.conv2d_transpose(x, 4, 2, strides=2)
    x = tf.layers.dense(tf.reduce_mean(x, [1, 2]), 7, activation=tf.nn.relu)
    return [tf.layers.dense(x, 3)], {}


def slim_net(x):
    norm = {"normalizer_fn": slim.batch_norm, "normalizer_params": {"is_training": False, "scale": True}}
    with tf.variable_scope("MobileNet"), slim.arg_scope([slim.conv2d, slim.separable_conv2d], **norm):
        x = slim.conv2d(x, 6, 3, scope="Conv2d_0")
        x = slim.separable_conv2d(x, None, 3, depth_multiplier=1, scope="Conv2d_1_depthwise")
        x = slim.conv2d(x, 5, 1, scope="Conv2d_1_pointwise")
        x = slim.separable_conv2d(x, 4, 3, depth_multiplier=1, normalizer_fn=None, scope="Conv2d_2")
        x = slim.fully_connected(tf.reduce_mean(x, [1, 2]), 3, activation_fn=None, scope="Logits")
    return [x], {}


def write(folder, case, shape, build):
    rng = np.random.default_rng(sum(map(ord, case)))
    x = rng.standard_normal(shape).astype("float32")
    with tf.Graph().as_default(), tf.Session() as session:
        found, extra = build(tf.constant(x))
        variables = {
            v.op.name.replace("reset_after/", ""): v for v in tf.global_variables() if v not in extra.values()
        } | extra
        session.run(tf.global_variables_initializer())
        for name, v in variables.items():
            value = 0.5 * rng.standard_normal(v.shape.as_list())
            v.load(np.abs(value) + 0.5 if name.endswith("moving_variance") else value, session)
        os.makedirs(folder / case)
        for version, kind in (("v1", tf.train.SaverDef.V1), ("v2", tf.train.SaverDef.V2)):
            saver = tf.train.Saver(variables, write_version=kind)
            saver.save(session, str(folder / case / version), write_meta_graph=False)
        found = session.run(found)
    np.savez(folder / f"{case}.npz", x=x, **{f"found_{n}": v for n, v in enumerate(found)})


def main(folder):
    tf.disable_eager_execution()
    for build in (cells, forgetful, cudnn_lstm, cudnn_gru, cudnn_rnn):
        write(folder, build.__name__, SEQUENCE, build)
    for build in (layers, slim_net):
        write(folder, build.__name__, IMAGE, build)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
