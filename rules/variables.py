"""tf.Variable and the functions that assign: ``nn.Parameter``s, changed in place under no_grad."""

from __future__ import annotations

from tfport.compat import variables as _variables
from tfport.rule import f32, prove, rule

CONSTANTS = {
    "tf.VariableSynchronization.AUTO": 0, "tf.VariableSynchronization.NONE": 1,
    "tf.VariableSynchronization.ON_WRITE": 2, "tf.VariableSynchronization.ON_READ": 3,
    "tf.VariableAggregation.NONE": 0, "tf.VariableAggregation.SUM": 1, "tf.VariableAggregation.MEAN": 2,
    "tf.VariableAggregation.ONLY_FIRST_REPLICA": 3,
}  # fmt: skip


@rule("tf.Variable", pure=False)
@prove(f32(2, 3), grad=False)
@prove(1.5, grad=False)
@prove(1.5, False, grad=False)
@prove([1, 2], trainable=False, grad=False)
@prove([1, 2], dtype="float32", name="v", grad=False)
@prove(None, grad=False, raises=True)
def Variable(initial_value=None, trainable=None, validate_shape=True, caching_device=None, name=None,
             variable_def=None, dtype=None, import_scope=None, constraint=None, synchronization=0,
             aggregation=0, shape=None, experimental_enable_variable_lifting=True, collections=None,
             expected_shape=None, use_resource=None):  # fmt: skip
    """An ``nn.Parameter`` with a copy of the initial value: a Python float is float32, an int int32.

    It requires gradients if it is trainable and floating. One that is not trainable is a parameter too, so
    that a module saves it and moves it between devices. ``constraint`` is applied by
    ``compat.keras.optimizers``. The order of arguments is TensorFlow 2's; in TensorFlow 1 ``collections``
    comes third, which moves only arguments without effect here.
    """
    return _variables.variable(initial_value, trainable, dtype, constraint, shape, name)


class _Variable(metaclass=_variables.VariableType):
    make = staticmethod(Variable)


Variable.published = _Variable  # type: ignore[attr-defined]


@rule("tf.assign", pure=False, returns="ref", proved_by="tests/compat/test_variables.py")
def assign(ref, value, validate_shape=None, use_locking=None, name=None):
    """Write ``value`` into the variable and return it; shapes must be equal, and dtypes of tensors."""
    return _variables.assign(ref, value)


@rule("tf.assign_add", pure=False, returns="ref", proved_by="tests/compat/test_variables.py")
def assign_add(ref, value, use_locking=None, name=None):
    """Add to the variable in place and return it; nothing is broadcast."""
    return _variables.assign_add(ref, value)


@rule("tf.assign_sub", pure=False, returns="ref", proved_by="tests/compat/test_variables.py")
def assign_sub(ref, value, use_locking=None, name=None):
    """Subtract from the variable in place and return it; nothing is broadcast."""
    return _variables.assign_sub(ref, value)
