"""Every spelling of a name meets in one rule."""

import os, tensorflow as tf
import tensorflow
import tensorflow.compat.v2 as tf2
from tensorflow import math as m, reduce_sum
from tensorflow.nn import relu as rectify

try:
    import tensorflow.compat.v2 as T
except ImportError:
    import tensorflow as T

nn = tf.nn
square = m.square
x = tf.constant([[1.0, -2.0], [3.0, 4.0]])


def local(x):
    import tensorflow as inner

    size = inner.shape(x)[0]
    return inner.abs(x) * float(size)


class Holder:
    def total(self, x):
        return reduce_sum(x)


print(nn.relu(x).numpy().tolist(), rectify(x).numpy().tolist())
print(square(x).numpy().tolist())
print(tensorflow.nn.relu(x).numpy().tolist(), tf2.abs(x).numpy().tolist(), T.negative(x).numpy().tolist())
print(local(x).numpy().tolist(), float(Holder().total(x)), os.sep)
