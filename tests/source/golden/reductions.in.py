"""Reductions over axes, kept or not, of floats and integers."""
import tensorflow as tf

x = tf.constant([[[1.0, 2.0], [3.0, 4.5]], [[-1.0, 0.5], [2.0, 8.0]]])
n = tf.constant([[1, 2, 3], [4, 5, 7]])
axis = -1
for value in (
    tf.reduce_sum(x),
    tf.reduce_sum(x, axis),
    tf.reduce_mean(x, axis=[0, 2]),
    tf.reduce_max(x, 1, True),
    tf.reduce_min(input_tensor=x, keepdims=True, axis=(0, 1)),
    tf.reduce_prod(x, axis=[]),
    tf.reduce_sum(n, axis=0),
    tf.reduce_mean(n),
    tf.argmax(x, axis=2),
    tf.math.reduce_logsumexp(x, axis=1),
    tf.norm(x),
    tf.cumsum(n, axis=1),
    tf.math.reduce_std(x),
):
    print(value.shape, value.numpy().tolist())
