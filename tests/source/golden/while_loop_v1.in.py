"""The tutorial's loop."""
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
a = tf.constant(0)
b = tf.constant(1)
c = tf.constant(1)


def cond(*args):
    return args[0] < 10


def body(i, p, q):
    i += 1
    return i, q, p + q


c1, c2, c3 = tf.while_loop(cond, body, [a, b, c])

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    x, y, z = sess.run([c1, c2, c3])

print(x, y, z)
