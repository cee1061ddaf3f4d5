"""TF1 programs that build a graph and leave the running to others: placeholders, scopes, small initial weights."""

import tensorflow.compat.v1 as tf
from absl import flags

tf.disable_v2_behavior()
flags.DEFINE_integer("classes", 3, "read before main() has parsed anything")


def net(x, keep):
    with tf.variable_scope("conv"):
        kernel = tf.get_variable(
            "kernel", [3, 3, 2, 4], initializer=tf.truncated_normal_initializer(stddev=0.02)
        )
        bias = tf.get_variable("bias", [4], initializer=tf.zeros_initializer())
        y = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, [1, 1, 1, 1], "SAME"), bias))
    with tf.variable_scope("norm"):
        mean = tf.get_variable("moving_mean", [4], initializer=tf.zeros_initializer(), trainable=False)
        variance = tf.get_variable("moving_variance", [4], initializer=tf.ones_initializer(), trainable=False)
        y = (y - mean) * tf.rsqrt(variance + 1e-3)
    with tf.variable_scope("head"):
        y = tf.nn.dropout(tf.reduce_mean(y, [1, 2], name="pooled"), keep)
        w = tf.get_variable(
            "w", [4, flags.FLAGS.classes], initializer=tf.random_normal_initializer(stddev=0.02)
        )
        return tf.tanh(tf.matmul(y, w), name="scores")


def build():
    x = tf.placeholder(tf.float32, [None, 5, 5, 2], name="image")
    keep = tf.placeholder(tf.float32, name="keep_prob")
    scores = net(x, keep)
    step = tf.train.AdamOptimizer().minimize(tf.reduce_mean(scores))
    return x, keep, scores, step


def of_arrays(x):
    return net(x, tf.placeholder(tf.float32, name="keep_prob"))


class Model:
    def __init__(self):
        self.image = tf.placeholder(tf.float32, [None, 5, 5, 2], name="image")
        self.scores = net(self.image, 1.0)


def raising():
    return tf.reshape(tf.placeholder(tf.float32, [None, None], name="x"), [7, 7])


def masked():
    x = tf.placeholder(tf.float32, [None, 6], name="x")
    scores = tf.add(x * 2.0, tf.constant([0.0, 0, 0, 0, -1e9, -1e9]), name="scores")
    return tf.nn.softmax(scores, name="chances")
