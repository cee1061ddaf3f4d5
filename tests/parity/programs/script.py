"""A script that prints what it computes."""

import tensorflow as tf

x = tf.reshape(tf.range(12, dtype=tf.float32), [3, 4]) / 7.0
print("sum", float(tf.reduce_sum(x)))
print(tf.nn.softmax(x))
print(tf.shape(x))
