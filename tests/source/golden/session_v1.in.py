"""A graph that is only fetched from."""
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
a = tf.constant([1.0, 2.0])
b = tf.add(a, 1.0)
init = tf.global_variables_initializer()

with tf.Session() as sess:
    sess.run(init)
    # fetch both
    x, y = sess.run([a, b])
    text = """kept
    as it is"""
    if x[0] > 0:
        print(x.tolist(), y.tolist(), len(text))
    print(sess.run(a * b).tolist(), [v.tolist() for v in sess.run([b])])

with tf.Session() as sess: print(sess.run(b).tolist())
