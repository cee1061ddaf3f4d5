"""Methods of tensors, variables and shapes. The receiver may be another object of the program: then its own method."""

from __future__ import annotations

import numpy as np
import torch

from tfport.compat import indexing as _indexing
from tfport.compat import variables as _variables
from tfport.compat.arguments import to_tensor
from tfport.rule import boolean, f32, f64, i32, method, prove


class _Shape:
    """An object of a program with the methods of a shape."""

    def as_list(self):
        """The sizes."""
        return [2, 3]

    def is_fully_defined(self):
        """Whether all sizes are known."""
        return True

    def num_elements(self):
        """The product of the sizes."""
        return 6


@method("get_shape", returns="python")
@prove(f32(2, 3))
@prove(f32())
@prove(i32(0, 2))
def get_shape(self):
    """The shape: a torch.Size, which is a tuple of ints, where TensorFlow has a TensorShape."""
    if torch.is_tensor(self):
        return self.shape
    return self.get_shape()


@method("as_list", returns="python")
@prove(_Shape())
def as_list(self):
    """A shape as a list; a list or tuple stands for itself, anything else has its own ``as_list``."""
    if isinstance(self, (list, tuple)):
        return list(self)
    return self.as_list()


@method("numpy", returns="python")
@prove(f32(2, 3), grad=False)
@prove(i32(2))
@prove(f64(), grad=False)
@prove(boolean(3))
def numpy(self):
    """The values as a NumPy array, off the device and without gradient; bfloat16, which NumPy lacks, as float32.
    A copy: later changes of a variable do not show in it."""
    return _numpy(self)


def _numpy(value):
    if isinstance(value, (list, tuple)):  # fetched by a session
        return type(value)(_numpy(item) for item in value)
    if not torch.is_tensor(value):
        return value.numpy()
    value = value.detach().cpu()
    value = value.float() if value.dtype == torch.bfloat16 else value
    return np.array(value.numpy())[()]


@method("eval", returns="python")
@prove(f32(2, 3), grad=False)
@prove(i32(2))
def eval(self, feed_dict=None, session=None):
    """The values as a NumPy array. A value that still depends on ``feed_dict`` cannot be computed here; an
    nn.Module goes to its evaluation mode, other objects have their own ``eval``."""
    return _eval(self, feed_dict, session)


def _eval(value, feed_dict, session):
    if not torch.is_tensor(value):
        return value.eval(*(v for v in (feed_dict, session) if v is not None))
    if feed_dict:
        raise ValueError("the value is computed already; call the function with what feed_dict holds")
    return _numpy(value)


@method("set_shape", returns="python", pure=False)
@prove(f32(2, 3), [2, 3], grad=False)
@prove(f32(2, 3), [None, 3], grad=False)
@prove(f32(2, 3), (None, None), grad=False)
@prove(f32(2, 3), [2, 4], raises=True)
@prove(f32(2, 3), shape=[2], raises=True)
def set_shape(self, shape):
    """Checks the shape at run time; None fits every size. ValueError if it is another."""
    return _set_shape(self, shape)


def _set_shape(value, shape):
    if not torch.is_tensor(value):
        return value.set_shape(shape)
    wanted = None if shape is None else list(shape)
    if wanted is None:
        return None
    if len(wanted) != value.ndim or any(
        w is not None and int(w) != s for w, s in zip(wanted, value.shape, strict=False)
    ):
        raise ValueError(f"shape {tuple(value.shape)} is not compatible with {tuple(wanted)}")
    return None


@method("assign", returns="self", pure=False)
@prove(f32(2, 3), f32(2, 3, seed=1), grad=False)
@prove(i32(2), [7, 8])
@prove(f32(), 3.0, grad=False)
@prove(f32(2), f32(3), raises=True)
def assign(self, value, use_locking=False, name=None, read_value=True):
    """Writes values into a variable in place, without gradient, and returns the variable. Shapes must be equal."""
    return _assigned(self, value, "assign", torch.Tensor.copy_)


@method("assign_add", returns="self", pure=False)
@prove(f32(2, 3), f32(2, 3, seed=1), grad=False)
@prove(i32(2), [7, 8])
@prove(f32(), delta=3.0, grad=False)
def assign_add(self, delta, use_locking=False, name=None, read_value=True):
    """Adds to a variable in place, without gradient, and returns the variable."""
    return _assigned(self, delta, "assign_add", torch.Tensor.add_)


@method("assign_sub", returns="self", pure=False)
@prove(f32(2, 3), f32(2, 3, seed=1), grad=False)
@prove(i32(2), delta=[7, 8])
def assign_sub(self, delta, use_locking=False, name=None, read_value=True):
    """Subtracts from a variable in place, without gradient, and returns the variable."""
    return _assigned(self, delta, "assign_sub", torch.Tensor.sub_)


def _assigned(variable, value, name, write):
    if not torch.is_tensor(variable):
        return getattr(variable, name)(value)
    value = to_tensor(value, variable.dtype, variable.device).detach()
    if value.shape != variable.shape:
        raise ValueError(
            f"{name} of shape {tuple(value.shape)} to a variable of shape {tuple(variable.shape)}"
        )
    with torch.no_grad():
        write(variable, value)
    return variable


@method("ref", returns="python", proved_by="tests/source/test_identity.py")
def ref(self):
    """A key for dicts and sets: equal for the same tensor or variable only. Other objects have a ``ref`` of their own."""
    return _ref(self)


@method("experimental_ref", returns="python", proved_by="tests/source/test_identity.py")
def experimental_ref(self):
    """The old name of ``ref``."""
    return _ref(self)


def _ref(value):
    return _variables.Reference(value) if torch.is_tensor(value) else value.ref()


@method("scatter_nd_update", returns="self", pure=False)
@prove(f32(4), [[0], [2]], [9.0, 8.0], grad=False)
@prove(i32(2, 2), [[1, 0]], updates=[5])
def scatter_nd_update(self, indices, updates, name=None):
    """Writes ``updates`` into a variable at ``indices`` [..., k], in place and without gradient, and returns it."""
    return _scattered(self, indices, updates, "scatter_nd_update")


@method("scatter_nd_add", returns="self", pure=False)
@prove(f32(4), [[0], [0]], [9.0, 8.0], grad=False)
def scatter_nd_add(self, indices, updates, name=None):
    """Adds ``updates`` to a variable at ``indices`` [..., k], repeated ones as often, and returns it."""
    return _scattered(self, indices, updates, "scatter_nd_add")


def _scattered(variable, indices, updates, name):
    if not torch.is_tensor(variable):
        return getattr(variable, name)(indices, updates)
    indices = to_tensor(indices, None, variable.device)
    updates = to_tensor(updates, variable.dtype, variable.device)
    with torch.no_grad():
        variable.copy_(_indexing.scattered(variable, indices, updates, name == "scatter_nd_add"))
    return variable


@method("value", returns="self")
@prove(f32(2, 3), grad=False)
def value(self):
    """The values of a variable as a tensor of their own: later assignments do not show in it."""
    return _value(self, "value")


@method("read_value", returns="self")
@prove(f32(2, 3), grad=False)
@prove(i32(2))
def read_value(self):
    """The values of a variable as a tensor of their own: later assignments do not show in it."""
    return _value(self, "read_value")


def _value(variable, name):
    return variable.clone() if torch.is_tensor(variable) else getattr(variable, name)()


@method("is_fully_defined", returns="python")
@prove(_Shape())
def is_fully_defined(self):
    """Whether every size of a shape is known: always, for a torch.Size."""
    return None not in self if isinstance(self, (list, tuple)) else self.is_fully_defined()


@method("num_elements", returns="python")
@prove(_Shape())
def num_elements(self):
    """The number of values of a shape."""
    return int(np.prod(self)) if isinstance(self, (list, tuple)) else self.num_elements()
