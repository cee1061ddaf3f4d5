"""Python control flow around tensors, and assignments that must not change other names."""
import tensorflow as tf


@tf.function
def collatz(n):
    steps = tf.constant(0)
    while n > 1:
        if tf.equal(n % 2, 0):
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


def twice(x):
    y = x
    y += 1.0
    y *= 2.0
    return x, y


total = tf.constant(0.0)
history = []
for i in range(4):
    total += tf.square(tf.cast(i, tf.float32)) if i % 2 else -1.0
    history.append(total)
table = {"sum": total}
table["sum"] += total
print(int(collatz(tf.constant(6))))
print([v.numpy().tolist() for v in twice(tf.constant([1.0, 2.0]))])
print([float(h) for h in history], float(table["sum"]), float(total))
if tf.reduce_any(tf.constant([False, True])): print("any")
print(1 if tf.reduce_all(tf.constant([False, True])) else 2)
