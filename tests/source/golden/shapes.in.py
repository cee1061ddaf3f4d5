"""Shapes: static and dynamic sizes, reshaping, stacking, slicing, also backwards."""
import tensorflow as tf

x = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def flatten(x):
    size = tf.shape(x)[0]
    return tf.reshape(x, (size, -1))


def static(x):
    rows, columns = x.get_shape().as_list()
    return rows * columns + x.shape.ndims


print(flatten(x).numpy().tolist(), static(x))
print(tf.transpose(x).numpy().tolist(), tf.transpose(x, [0, 1]).numpy().tolist())
print(tf.expand_dims(x, -1).shape, tf.squeeze(x[tf.newaxis]).shape, x[..., tf.newaxis].shape)
print(tf.concat([x, x], axis=1).numpy().tolist(), tf.stack((x[0], tf.square(x[1]))).numpy().tolist())
print(x[:, ::-1].numpy().tolist(), x[::-1].numpy().tolist(), x[1, 1:].numpy().tolist())
print([p.numpy().tolist() for p in tf.split(x, 3, axis=1)], [p.numpy().tolist() for p in tf.unstack(x)])
print(tf.tile(x, [1, 2]).shape, tf.zeros_like(x).numpy().tolist(), tf.pad(x, [[1, 0], [0, 1]]).numpy().tolist())
