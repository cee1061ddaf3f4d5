"""TF1 programs: a graph with scopes and batch normalisation, a loop in the graph, a session of the program's own."""

import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()


def net(x):
    with tf.variable_scope("block"):
        kernel = tf.get_variable("kernel", [3, 3, 3, 4], initializer=tf.random_normal_initializer(stddev=0.3))
        y = tf.nn.conv2d(x, kernel, [1, 2, 2, 1], "SAME", name="conv")
        gamma = tf.get_variable("gamma", [4], initializer=tf.random_uniform_initializer(0.5, 1.5))
        beta = tf.get_variable("beta", [4], initializer=tf.random_normal_initializer())
        mean = tf.get_variable("mean", [4], initializer=tf.random_normal_initializer())
        variance = tf.get_variable("variance", [4], initializer=tf.random_uniform_initializer(0.1, 1))
        y, _, _ = tf.nn.fused_batch_norm(y, gamma, beta, mean, variance, is_training=False, name="norm")
        y = tf.nn.relu(y, name="relu")
        with tf.variable_scope("deep"):
            y = tf.add(y, 1.0, name="more")
    y = tf.image.resize_bilinear(y, [8, 8], name="resize")
    return {"pooled": tf.reduce_mean(y, [1, 2], name="pooled"), "rows": tf.shape(x)[0]}


def loop(x):
    return tf.while_loop(lambda i, y: i < 5, lambda i, y: (i + 1, tf.tanh(y * 1.3)), [0, x])[1]


def trained(x, rate=0.1):
    """Weights are drawn in a graph of the program's own, which it does not seed."""
    with tf.Graph().as_default():
        fed = tf.placeholder(tf.float32, [None, 3], name="fed")
        with tf.variable_scope("dense"):
            w = tf.get_variable("w", [3, 2])
            product = tf.matmul(fed, w, name="product")
        loss = tf.reduce_mean(tf.square(product), name="loss")
        step = tf.train.MomentumOptimizer(rate, 0.9).minimize(loss)
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            losses = [sess.run({"loss": loss, "step": step}, {fed: x})["loss"] for _ in range(3)]
            return losses, w.eval()


def saving(x, folder="."):
    """A second run would overwrite the checkpoint."""
    with tf.Graph().as_default(), tf.Session() as sess:
        w = tf.get_variable("w", [3, 2])
        sess.run(tf.global_variables_initializer())
        tf.train.Saver().save(sess, folder + "/model")
        return sess.run(tf.matmul(tf.constant(x), w))
