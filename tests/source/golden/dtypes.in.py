"""Dtypes: integer constants are int32, quotients of integers float64, sums keep their dtype."""
import tensorflow as tf

n = tf.constant([[1, 2], [3, 5]])
wide = tf.cast(n, tf.int64)
small = tf.cast(n, "uint8")
for value in (n, n / 2, 3 / n, n // 2, n % 3, wide / n[0, 0].numpy().item(), tf.reduce_sum(n, 0), tf.cast(n, tf.float64) * 2, small / 2,
              tf.range(3), tf.range(0.0, 1.0, 0.25), tf.fill([2], 7), tf.ones([2], dtype=tf.int32), tf.cast(n > 2, tf.float32),
              tf.constant([True, False]), tf.constant(1.5), tf.zeros((2,)), tf.concat([wide, wide], 0), tf.reduce_sum(tf.cast(n > 2, tf.int32))):  # fmt: skip
    print(value.dtype.is_floating if hasattr(value.dtype, "is_floating") else value.dtype.is_floating_point, value.numpy().dtype, value.numpy().tolist())
