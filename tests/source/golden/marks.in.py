"""What has no port stays under a mark, and everything else runs."""
import tensorflow as tf


class Reader(tf.keras.utils.Unheard if hasattr(tf.keras.utils, "Unheard") else object):
    pass


def rarely(x, flag=False):
    if flag: return tf.unheard_of(x)
    elif x is None:
        return tf.unheard_of.either(
            x,
            tf.square(2.0),
        )
    return tf.square(x)


def text(): a = """x
y"""; return tf.raw_ops.UnheardOf(x=a) if False else a


print(float(rarely(tf.constant(3.0))), len(text()))
