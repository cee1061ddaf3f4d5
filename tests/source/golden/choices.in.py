"""Masks, where, comparisons, gathering."""
import tensorflow as tf

x = tf.constant([[1.0, -2.0, 3.0], [0.0, 5.0, -6.0]])
mask = tf.greater(x, 0.0)
print(tf.where(mask, x, tf.zeros_like(x)).numpy().tolist(), tf.compat.v2.where(x > 1.0, x, 0.5).numpy().tolist())
print(tf.maximum(x, 0.0).numpy().tolist(), tf.minimum(1.0, x).numpy().tolist(), tf.clip_by_value(x, -1.0, 2.0).numpy().tolist())
print(tf.logical_and(mask, tf.logical_not(x > 2.0)).numpy().tolist(), tf.boolean_mask(x, mask).numpy().tolist())
print(tf.gather(x, [1, 0]).numpy().tolist(), tf.gather(x, tf.constant([2, 2]), axis=1).numpy().tolist())
print(tf.one_hot(tf.argmax(x, axis=1), depth=3).numpy().tolist(), tf.math.top_k(x, k=2)[0].numpy().tolist())
print(tf.sign(x).numpy().tolist(), tf.not_equal(x, 0.0).numpy().tolist(), (tf.add(x, 1.0) ** 2)[0].numpy().tolist())
print((-tf.add(x, 1.0)).numpy().tolist(), (2.0 * tf.subtract(x, tf.subtract(x, 1.0))).numpy().tolist())
