# -*- coding: utf-8 -*-
"""Comments, line breaks and quotes stay what they were."""
from __future__ import print_function

import tensorflow as tf  # the framework

größe = 3.0; x = tf.constant([1.0, 4.0])  # two values


def scale( x,  by=2.0 ) :
	"""tf.square in a docstring stays."""
	# a comment about tf.square
	return tf.multiply(  # first
		x,  # the values
		by + größe,
	)  # last


y = [
    tf.sqrt(x),  # roots
    tf.concat([
        x,  # one
        x,  # two
    ], axis=0),
]
s = """tf.abs
  (x)"""; z = tf.abs(x) - 1.0 \
    + tf.square(x)
print(f'{float(tf.reduce_sum(x)):.3f} {{}} {int(größe)!r:>{3}}', "tf.abs" 'x', len(s))
print(scale(x).numpy().tolist(), [v.numpy().tolist() for v in y], z.numpy().tolist())
