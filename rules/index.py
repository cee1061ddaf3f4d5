"""Values by their place: gather, scatter, slices, masks, where."""

from __future__ import annotations

import torch

from tfport.compat.arguments import to_tensor
from tfport.compat.indexing import bounded, scattered, strided
from tfport.compat.integers import ints
from tfport.rule import Indices, Tensor, array, boolean, f32, i32, prove, rule


@rule("tf.gather", "tf.gather_v2", returns="params")
@prove(f32(5, 3), array([0, 4, 4, 2], "int32"))
@prove(f32(5, 3), array([[0, 1], [2, 2]], "int64"), axis=0)
@prove(f32(2, 5, 3), array([3, 0], "int32"), axis=1)
@prove(f32(2, 5, 3), array([[2, 0]], "int32"), axis=-1)
@prove(f32(5), array(3, "int32"))
@prove(f32(2, 5), indices=array(1, "int64"), axis=1)
@prove(f32(2, 5, 3), array([[0, 4], [1, 1]], "int32"), batch_dims=1)
@prove(f32(2, 4, 5), array([[0, 4], [1, 1]], "int32"), axis=2, batch_dims=1)
@prove(f32(2, 4, 5), array([0, 3], "int32"), batch_dims=1)
@prove(i32(4), [1, 3])
@prove([1.0, 2.0, 3.0], [2, 0])
@prove(f32(4, 2), i32(0))
@prove(f32(5, 3), array([0, -1], "int32"), raises=True)
@prove(f32(5, 3), array([0, 5], "int32"), raises=True)
def gather(params: Tensor, indices: Indices, validate_indices=None, axis=None, batch_dims=0, name=None):
    """Slices of ``params`` along an axis. A negative index raises, as in TensorFlow on CPU; torch's indexing wraps."""
    if batch_dims == 0 and indices.ndim == 1:
        if axis is None:
            return torch.index_select(params, 0, indices)
        return torch.index_select(params, axis, indices)
    return _gather(params, indices, axis, batch_dims)


def _gather(params, indices, axis, batch_dims):
    batch = int(batch_dims) + indices.ndim if int(batch_dims) < 0 else int(batch_dims)
    axis = batch if axis is None else int(axis) + (params.ndim if int(axis) < 0 else 0)
    if batch == 0:
        chosen = torch.index_select(params, axis, indices.reshape(-1))
        return chosen.reshape(params.shape[:axis] + indices.shape + params.shape[axis + 1 :])
    moved = params.movedim(axis, batch)
    flat = indices.reshape(indices.shape[:batch] + (-1,)).long()
    rest = moved.ndim - batch - 1
    spread = flat.reshape(flat.shape + (1,) * rest).expand(flat.shape + moved.shape[batch + 1 :])
    chosen = torch.gather(moved, batch, spread)
    chosen = chosen.reshape(indices.shape + moved.shape[batch + 1 :])
    extra = indices.ndim - batch
    order = list(range(batch))
    inner = list(range(indices.ndim, chosen.ndim))
    order += inner[: axis - batch] + list(range(batch, batch + extra)) + inner[axis - batch :]
    return chosen.permute(order)


@rule("tf.gather_nd", returns="params")
@prove(f32(3, 4), array([[0, 1], [2, 3]], "int32"))
@prove(f32(3, 4), array([[0], [2]], "int64"))
@prove(f32(3, 4, 2), array([[[0, 1]], [[2, 3]]], "int32"))
@prove(f32(2, 3, 4), array([[1, 2], [0, 0]], "int32"), batch_dims=1)
@prove(f32(3, 4), array([1, 2], "int32"), grad=False)
@prove(f32(3), [[0], [1]])
@prove(f32(3, 4), i32(0, 2))
@prove(f32(3, 4), array([[0, -1]], "int32"), raises=True)
@prove(f32(3, 4), array([[3, 0]], "int32"), raises=True)
def gather_nd(params: Tensor, indices: Indices, batch_dims=0, name=None, bad_indices_policy=""):
    """Slices of ``params`` at the places that the last axis of ``indices`` lists. A negative index raises."""
    return _gather_nd(params, indices, batch_dims)


def _gather_nd(params, indices, batch_dims):
    batch = int(batch_dims)
    places = bounded(indices, params.shape[batch:])
    if batch:
        lead = []
        for axis in range(batch):
            shape = [1] * (indices.ndim - 1)
            shape[axis] = -1
            lead.append(torch.arange(params.shape[axis], device=params.device).reshape(shape))
        places = (*lead, *places)
    return params[places]


@rule("tf.batch_gather", returns="params")
@prove(f32(2, 5), array([[0, 4], [1, 1]], "int32"))
@prove(f32(2, 3, 5), array([[[0], [4], [1]], [[1], [2], [3]]], "int32"))
def batch_gather(params: Tensor, indices: Indices, name=None):
    """tf.gather with every axis of ``indices`` but the last as a batch axis."""
    return _gather(params, indices, indices.ndim - 1, indices.ndim - 1)


@rule("tf.scatter_nd", returns="updates")
@prove(array([[1], [3], [1]], "int32"), f32(3), [5])
@prove(array([[0, 1], [2, 0]], "int64"), f32(2, 4), shape=[3, 2, 4])
@prove(array([[0]], "int32"), i32(1, 3), array([2, 3], "int32"))
@prove([[1]], [2.0], [3])
@prove(array([[-1]], "int32"), f32(1), [3], raises=True)
def scatter_nd(indices: Indices, updates: Tensor, shape, bad_indices_policy="", name=None):
    """A tensor of zeros with ``updates`` added at ``indices``; duplicates sum up."""
    return _scatter_nd(indices, updates, shape)


def _scatter_nd(indices, updates, shape):
    return scattered(updates.new_zeros(ints(shape)), indices, updates, True)


@rule("tf.tensor_scatter_nd_update", "tf.tensor_scatter_update", returns="tensor")
@prove(f32(5), array([[1], [3]], "int32"), f32(2))
@prove(f32(3, 4), array([[0], [2]], "int64"), updates=f32(2, 4))
@prove(i32(3, 4), [[0, 1], [2, 2]], [7, 8])
@prove(f32(3, 2), array([[0, -1]], "int32"), f32(1), raises=True)
def tensor_scatter_nd_update(
    tensor: Tensor, indices: Indices, updates: Tensor, name=None, bad_indices_policy=""
):
    """A copy of ``tensor`` with ``updates`` at ``indices``. Which of two updates of one place stays is not defined."""
    return scattered(tensor, indices, updates, False)


@rule("tf.tensor_scatter_nd_add", "tf.tensor_scatter_add", returns="tensor")
@prove(f32(5), array([[1], [3], [1]], "int32"), f32(3))
@prove(f32(3, 4), array([[0], [2]], "int64"), updates=f32(2, 4))
def tensor_scatter_nd_add(
    tensor: Tensor, indices: Indices, updates: Tensor, bad_indices_policy="", name=None
):
    """A copy of ``tensor`` with ``updates`` added at ``indices``; duplicates sum up."""
    return scattered(tensor, indices, updates, True)


@rule("tf.tensor_scatter_nd_sub", "tf.tensor_scatter_sub", returns="tensor")
@prove(f32(5), array([[1], [3], [1]], "int32"), f32(3))
def tensor_scatter_nd_sub(
    tensor: Tensor, indices: Indices, updates: Tensor, bad_indices_policy="", name=None
):
    """A copy of ``tensor`` with ``updates`` subtracted at ``indices``; duplicates sum up."""
    return scattered(tensor, indices, -updates, True)


@rule("tf.tensor_scatter_nd_max", returns="tensor")
@prove(f32(5), array([[1], [3], [1]], "int32"), f32(3), grad=False)
@prove(i32(3, 2), array([[1], [1]], "int32"), i32(2, 2))
def tensor_scatter_nd_max(
    tensor: Tensor, indices: Indices, updates: Tensor, bad_indices_policy="", name=None
):
    """A copy of ``tensor`` with the largest of its value and the updates at ``indices``."""
    return _reduced(tensor, indices, updates, "amax")


@rule("tf.tensor_scatter_nd_min", returns="tensor")
@prove(f32(5), array([[1], [3], [1]], "int32"), f32(3), grad=False)
def tensor_scatter_nd_min(
    tensor: Tensor, indices: Indices, updates: Tensor, bad_indices_policy="", name=None
):
    """A copy of ``tensor`` with the smallest of its value and the updates at ``indices``."""
    return _reduced(tensor, indices, updates, "amin")


def _reduced(tensor, indices, updates, how):
    places = bounded(indices, tensor.shape)
    where = torch.arange(tensor.numel(), device=tensor.device).reshape(tensor.shape)[places].reshape(-1)
    return tensor.reshape(-1).scatter_reduce(0, where, updates.reshape(-1), how).reshape(tensor.shape)


@rule("tf.boolean_mask", returns="tensor", version=2)
@prove(f32(4, 3), array([1, 0, 1, 1], "bool"))
@prove(f32(2, 3), mask=boolean(2, 3))
@prove(f32(2, 3, 4), array([1, 0, 1], "bool"), axis=1)
@prove(f32(2, 3, 4), boolean(3, 4), axis=1)
@prove(f32(2, 3, 4), array([1, 0, 1, 0], "bool"), axis=2)
@prove([1.0, 2.0], [True, False])
@prove(f32(3, 2), array([0, 0, 0], "bool"))
@prove(i32(2, 2), array([1, 0], "bool"), axis=0)
def boolean_mask(tensor: Tensor, mask: Indices, axis=None, name="boolean_mask"):
    """The slices where ``mask`` is true; the mask covers the axes from ``axis`` on."""
    if axis is None or axis == 0:
        return tensor[mask]
    if axis == 1:
        return tensor[:, mask]
    return _boolean_mask(tensor, mask, axis)


@rule("tf.compat.v1.boolean_mask", "tf.boolean_mask", returns="tensor", version=1)
@prove(f32(4, 3), array([1, 0, 1, 1], "bool"))
@prove(f32(2, 3, 4), array([1, 0, 1], "bool"), "mask", 1)
@prove(f32(2, 3, 4), array([1, 0, 1, 0], "bool"), axis=2)
def boolean_mask_v1(tensor: Tensor, mask: Indices, name="boolean_mask", axis=None):
    """tf.boolean_mask with TensorFlow 1's order of arguments."""
    if axis is None or axis == 0:
        return tensor[mask]
    if axis == 1:
        return tensor[:, mask]
    return _boolean_mask(tensor, mask, axis)


def _boolean_mask(tensor, mask, axis):
    axis = int(axis) + (tensor.ndim if int(axis) < 0 else 0)
    return tensor[(slice(None),) * axis + (mask,)]


@rule("tf.where", "tf.where_v2", returns="tensor", version=2)
@prove(boolean(2, 3), f32(2, 3), f32(2, 3, seed=1))
@prove(boolean(2, 3), f32(3), y=f32(2, 1))
@prove(boolean(3), f32(2, 3), 0.0)
@prove(boolean(3), 1, i32(3))
@prove(boolean(3), 1.0, 0.0)
@prove(boolean(3), 1, 0)
@prove(boolean(3), 1.5, f32(3))
@prove(boolean(3), True, False)
@prove(boolean(2, 3))
@prove(boolean(4), None, None)
@prove(array([0.0, 1.5, -2.0]))
@prove(i32(2, 2, low=0, high=2))
@prove(boolean(3), array([1.0, float("nan"), 2.0]), f32(3))
@prove([True, False], [1.0, 2.0], [3.0, 4.0])
@prove(boolean(0, 2), f32(0, 2), f32(2))
@prove(array(True, "bool"), f32(2), f32(2, seed=3))
def where(condition: Indices, x: Tensor = None, y: Tensor = None, name=None):
    """``x`` where the condition is true, ``y`` elsewhere, all broadcast; alone the int64 places [n, rank] of what is
    true or not zero."""
    if x is None and y is None:
        return torch.nonzero(condition)
    if isinstance(x, (int, float)) and isinstance(y, (int, float)):
        if isinstance(x, float) and isinstance(y, float):
            return torch.where(condition, x, y)
        return _where(condition, x, y)
    if isinstance(x, (int, float)):
        return torch.where(condition, x, y)
    if isinstance(y, (int, float)):
        return torch.where(condition, x, y)
    return torch.where(condition, x, y)


def _where(condition, x, y):
    return torch.where(condition, to_tensor(x), to_tensor(y))


@rule("tf.compat.v1.where", "tf.where", returns="tensor", version=1)
@prove(boolean(2, 3), f32(2, 3), f32(2, 3, seed=1))
@prove(boolean(3), f32(3, 3), f32(3, 3, seed=1))
@prove(boolean(2), i32(2, 3, 4), y=i32(2, 3, 4, seed=1))
@prove(boolean(2, 3))
@prove(array([0.0, 1.5, -2.0]))
@prove([True, False], [1.0, 2.0], [3.0, 4.0])
@prove(array(True, "bool"), f32(2), f32(2, seed=3))
def where_v1(condition: Indices, x: Tensor = None, y: Tensor = None, name=None):
    """TensorFlow 1's where: no broadcasting, but a condition of rank 1 chooses whole rows of ``x`` and ``y``."""
    if x is None and y is None:
        return torch.nonzero(condition)
    if condition.ndim == x.ndim:
        return torch.where(condition, x, y)
    return _rows(condition, x, y)


def _rows(condition, x, y):
    return torch.where(condition.reshape(condition.shape + (1,) * (x.ndim - condition.ndim)), x, y)


@rule("tf.slice", renamed={"input": "input_"}, returns="input_")
@prove(f32(3, 4), [0, 1], [-1, 2])
@prove(f32(3, 4), begin=(1, 0), size=(2, 4))
@prove(i32(5), array([2], "int32"), array([3], "int32"))
@prove(f32(3, 4), [0, 4], [3, 0])
@prove(f32(3, 4), [0, 1], [-1, array(2, "int32")])
@prove(f32(3, 4), [0, 3], [3, 2], raises=True)
def slice_(input_: Tensor, begin, size, name=None):
    """A block of a tensor from ``begin`` on; a size of -1 takes the rest of an axis."""
    return _slice(input_, begin, size)


def _slice(tensor, begin, size):
    for axis, (first, count) in enumerate(zip(ints(begin), ints(size), strict=True)):
        length = tensor.shape[axis] - first if count == -1 else count
        if first < 0 or length < 0 or first + length > tensor.shape[axis]:
            raise ValueError(
                f"slice {first}:{first + length} of axis {axis} is not inside {tuple(tensor.shape)}"
            )
        tensor = tensor.narrow(axis, first, length)
    return tensor


@rule("tf.strided_slice", returns="input_")
@prove(f32(4, 5), [0, 1], [4, 5], [2, 2])
@prove(f32(4, 5), [1], [3])
@prove(f32(4, 5), begin=[3, 4], end=[0, -6], strides=[-1, -2])
@prove(f32(4, 5), [0, 0], [0, 3], begin_mask=1, end_mask=1)
@prove(f32(4, 5), [1, 2], [2, 3], shrink_axis_mask=1)
@prove(f32(2, 3, 4), [0, 0, 1], [0, 0, 2], [1, 1, 1], ellipsis_mask=2, begin_mask=1, end_mask=1)
@prove(f32(2, 3), [0, 0, 1], [0, 0, 3], [1, 1, 1], new_axis_mask=1, begin_mask=2, end_mask=2)
@prove(i32(6), [-2], [-8], [-1])
@prove(i32(6), [1], [-100], [-1], begin_mask=1)
@prove(f32(4, 5), array([0, 1], "int32"), array([9, 3], "int32"))
def strided_slice(input_: Tensor, begin, end, strides=None, begin_mask=0, end_mask=0, ellipsis_mask=0,
                  new_axis_mask=0, shrink_axis_mask=0, var=None, name=None):  # fmt: skip
    """Python's slice with TensorFlow's masks; negative strides are allowed, unlike in torch's indexing."""
    masks = (begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    return strided(input_, ints(begin), ints(end), None if strides is None else ints(strides), masks)


@rule("tf.dynamic_partition")
@prove(f32(4, 2), array([1, 0, 1, 2], "int32"), 3)
@prove(f32(2, 2), array([[1, 0], [0, 0]], "int32"), num_partitions=2)
@prove(f32(3), [0, 0, 0], 2)
def dynamic_partition(data: Tensor, partitions: Indices, num_partitions, name=None):
    """``data`` divided into lists of slices by the number in ``partitions``."""
    return [data[partitions == number] for number in range(int(num_partitions))]


@rule("tf.dynamic_stitch")
@prove([array([0, 2], "int32"), array([1, 3], "int32")], [f32(2, 3), f32(2, 3, seed=1)])
@prove([array(1, "int32"), array([[0, 2]], "int32")], [f32(2), f32(1, 2, 2)])
@prove([array([0, 1], "int32"), array([1, 2], "int32")], [i32(2), i32(2, seed=1)])
def dynamic_stitch(indices, data, name=None):
    """The slices of several tensors interleaved at the places given; of two at one place the later stays."""
    places = [to_tensor(i) for i in indices]
    values = [to_tensor(d) for d in data]
    rest = values[0].shape[places[0].ndim :]
    flat = torch.cat([v.reshape(-1, *rest) for v in values])
    where = torch.cat([p.reshape(-1) for p in places]).long()
    source = where.new_zeros(int(where.max()) + 1)
    order = torch.arange(where.numel(), device=where.device)
    source = source.scatter_reduce(0, where, order, "amax", include_self=False)
    return flat[source]
