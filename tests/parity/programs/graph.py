"""A TF1 program: functions that build a graph, one that runs a session itself."""

import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def built(x):
    return {"sum": tf.reduce_sum(x, axis=1), "rows": tf.shape(x)[0]}


def weighted(x):
    w = tf.get_variable("w", [3, 2], initializer=tf.ones_initializer())
    return tf.matmul(x, w)


def run(x):
    with tf.Graph().as_default():
        fed = tf.placeholder(tf.float32, [None, 3])
        with tf.Session() as sess:
            return sess.run(fed * 2.0, feed_dict={fed: x})
