"""Code that looks like TensorFlow and is not."""
import torch
from tfport import compat


class layers:
    @staticmethod
    def Dense(units):
        return units * 2


class Session:
    def run(self, value):
        return value + 1


class Box:
    value = 3
    shape = (1, 2)

    def square(self):
        return self.value**2

    def numpy(self):
        return "numpy"


def shadowed(tf):
    return tf.square(), [tf.value for tf in (tf,)], (lambda tf: tf + 1)(1)


def loop():
    for tf in (Box(),):
        pass
    return tf.value


sess = Session()
x = [1, 2]
x += [3]
n = 1
n += 1
# tf.square(x)
print(layers.Dense(2), sess.run(4), shadowed(Box()), loop(), "tf.square", x[::-1], n, compat.Tensor.numpy(Box()), Box.shape[1])
print(float(compat.square(3.0)))
