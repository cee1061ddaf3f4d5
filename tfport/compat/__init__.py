"""What converted programs import: TensorFlow's functions, exact, on torch tensors.

``compat`` mirrors TensorFlow's names: ``tf.nn.conv2d`` is ``compat.nn.conv2d``, ``tf.reduce_sum`` is
``compat.reduce_sum``, ``tf.keras.layers.Dense`` is ``compat.keras.layers.Dense``, and where TensorFlow 1 differs,
``compat.v1.nn.dropout``. Every function is a rule of ``rules/``, proved against TensorFlow. Beside them stand
``nchw`` and ``nhwc`` (layouts at a converted model's boundary) and ``keras.call`` (a call as Keras makes it).
"""

from tfport.compat import indexing, namespace, operators, variables
from tfport.compat.inplace import (
    iadd,
    iand,
    ifloordiv,
    imatmul,
    imod,
    imul,
    ior,
    ipow,
    isub,
    itruediv,
    ixor,
)
from tfport.compat.layouts import nchw, nhwc
from tfport.compat.namespace import load_rules
from tfport.compat.unported import UnportedError, unported

__all__ = [
    "UnportedError", "iadd", "iand", "ifloordiv", "imatmul", "imod", "imul", "indexing", "ior", "ipow", "isub",
    "itruediv", "ixor", "load_rules", "nchw", "nhwc", "operators", "unported", "variables",
]  # fmt: skip

namespace.publish(__name__)

from tfport.compat.keras import calls as _calls  # noqa: E402  # needs the rules published above

namespace.place(__name__, "tf.keras.call", _calls.call)
namespace.place(__name__, "tf.detached", _calls.detached)
namespace.place(__name__, "tf.keras.set_trainable", _calls.set_trainable)
namespace.place(__name__, "tf.keras.trainable_variables", _calls.trainable_variables)
