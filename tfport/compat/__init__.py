"""What converted programs import: TensorFlow's functions, exact, on torch tensors.

``compat`` mirrors TensorFlow's names: ``tf.nn.conv2d`` is ``compat.nn.conv2d``, ``tf.reduce_sum`` is
``compat.reduce_sum``, ``tf.keras.layers.Dense`` is ``compat.keras.layers.Dense``, and where TensorFlow 1 differs,
``compat.v1.nn.dropout``. Every function is a rule of ``rules/``, proved against TensorFlow.
"""

from tfport.compat import namespace
from tfport.compat.unported import UnportedError, unported

__all__ = ["UnportedError", "unported"]

namespace.publish(__name__)
